"""An upload to a Chef Infra Server that speaks API 2 and needs a moment.

Needs no Chef Infra Server: a real HTTP server plays its part. The lab's tests upload to goiardi, one of API 1.
"""

import json

import pytest

from fleet.chef import cookbook
from fleet.chef.config import ChefConfig
from fleet.chef.server import ChefServer
from fleet.errors import ChefServerError, ConflictError

HEADERS = {"Content-Type": "application/json", "X-Ops-Server-API-Version": '{"min_version":"0","max_version":"2"}'}


class Infra:
    """Keeps what it is sent; completes a sandbox at the attempt `late`, freezes, and refuses what is frozen."""

    def __init__(self, answer, late: int = 1):
        self.answer, self.left, self.url = answer, late, ""
        self.contents, self.versions, self.commits = {}, {}, 0

    def __call__(self, request):
        status, body = self.route(request, request.path.partition("?")[0])
        return self.answer(status, json.dumps(body).encode(), HEADERS)

    def route(self, request, path: str):
        if path == "/environments":
            return 200, {}
        if path.startswith("/store/"):
            self.contents[path.removeprefix("/store/")] = request.body
            return 200, {}
        body = json.loads(request.body or b"{}")
        if path == "/sandboxes":
            needed = {
                checksum: {"url": f"{self.url}/store/{checksum}", "needs_upload": checksum not in self.contents}
                for checksum in body["checksums"]
            }
            return 201, {"sandbox_id": "s1", "checksums": needed}
        if path == "/sandboxes/s1":
            self.commits += 1
            return (200, {}) if self.commits >= self.left else (400, {"error": ["checksums not yet stored"]})
        return self.version(request.method, path, body)

    def version(self, method: str, path: str, body: dict):
        there = self.versions.get(path)
        if method == "GET":
            return (200, there) if there else (404, {"error": ["no such cookbook"]})
        if there and there["frozen?"]:
            return 409, {"error": ["The cookbook is frozen. Use the 'force' option to override."]}
        self.versions[path] = body
        return 201, body


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book"
    (path / "recipes").mkdir(parents=True)
    (path / "metadata.rb").write_text("name 'book'\nversion '1.0.0'\n")
    (path / "recipes" / "default.rb").write_text("log 'a'\n")
    (path / "recipes" / "same.rb").write_text("log 'a'\n")
    return path


@pytest.fixture
def infra(serve, answer, pem):
    """Return a function that starts such a server and returns it with a connection to it."""
    opened = []

    def start(**options):
        played = Infra(answer, **options)
        played.url = serve(played).url
        opened.append(ChefServer(ChefConfig(played.url, "ada", pem), pause=lambda _: None))
        return played, opened[-1]

    yield start
    for chef in opened:
        chef.close()


def test_the_manifest_is_in_the_servers_api_and_equal_contents_travel_once(infra, book):
    played, chef = infra()
    done = cookbook.upload(chef, book)
    assert (done.name, done.version, done.changed, done.files_sent) == ("book", "1.0.0", True, 3)
    (manifest,) = played.versions.values()
    assert {each["path"] for each in manifest["all_files"]} == {
        "metadata.rb", "metadata.json", "recipes/default.rb", "recipes/same.rb",
    }
    assert {each["checksum"] for each in manifest["all_files"]} == set(played.contents)
    assert manifest["frozen?"] is True
    again = cookbook.upload(chef, book)
    assert again.sha256 == done.sha256 == cookbook.load(book).sha256
    assert (again.changed, again.files_sent, played.commits) == (False, 0, 1)


def test_a_server_that_needs_a_moment_to_see_the_files_is_waited_for(infra, book):
    played, chef = infra(late=3)
    pauses = []
    assert cookbook.upload(chef, book, pauses.append).changed
    assert (played.commits, pauses) == (3, [1, 1])


def test_a_server_that_never_sees_them_is_given_up_in_one_sentence(infra, book):
    played, chef = infra(late=99)
    said = r"^book 1\.0\.0 is half uploaded, .*checksums not yet stored; push it again$"
    with pytest.raises(ChefServerError, match=said):
        cookbook.upload(chef, book, lambda _: None)
    assert (played.commits, played.versions) == (5, {})
    played.left = 1
    assert cookbook.upload(chef, book).files_sent == 0, "the files were there already"
    assert len(played.versions) == 1


def test_another_upload_that_was_faster_is_good_if_it_froze_the_same(infra, book):
    played, chef = infra()
    theirs = cookbook.load(book).manifest("2")

    def meanwhile(change):
        def put_first(method, path, body, version=played.version):
            if method == "PUT" and path not in played.versions:
                played.versions[path] = change(theirs)
            return version(method, path, body)
        played.version = put_first

    meanwhile(lambda manifest: manifest)
    assert cookbook.upload(chef, book).changed
    played.versions.clear()
    meanwhile(lambda manifest: {**manifest, "all_files": manifest["all_files"][1:]})
    with pytest.raises(ConflictError, match="with other content"):
        cookbook.upload(chef, book)


@pytest.mark.parametrize("odd", [
    [], [1], {"all_files": 7}, {"recipes": [7]}, {"files": [{}]}, {"files": [{"path": 7, "checksum": ""}]},
])
def test_a_manifest_of_another_form_is_one_sentence(serve, answer, pem, book, odd):
    with ChefServer(ChefConfig(serve(answer(body=json.dumps(odd).encode())).url, "ada", pem)) as chef:
        for read in (cookbook.standing, cookbook.upload):
            with pytest.raises(ChefServerError, match=r"answered GET /cookbooks/book/1\.0\.0 with something else"):
                read(chef, book)


@pytest.mark.parametrize("odd", [
    [], {"checksums": []}, {"checksums": {"a": 7}}, {"checksums": {"a": {"needs_upload": True}}}, {"checksums": {}},
    {"checksums": {"no of ours": {"needs_upload": True, "url": "http://x"}}, "sandbox_id": "s"},
    {"checksums": {}, "sandbox_id": 7},
])
def test_a_sandbox_of_another_form_is_one_sentence(infra, book, odd):
    played, chef = infra()
    route = played.route
    played.route = lambda request, path: (201, odd) if path == "/sandboxes" else route(request, path)
    with pytest.raises(ChefServerError, match="answered POST /sandboxes with something else"):
        cookbook.upload(chef, book)
    assert (played.contents, played.versions) == ({}, {})
