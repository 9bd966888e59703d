"""Uploading a cookbook to a real Chef server: once, frozen, and never over other content."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.chef import config, cookbook, cookbook_files
from fleet.chef.server import ChefServer
from fleet.errors import ChefServerError, ConflictError

NAME, TARGET = "apitest_upload", "/cookbooks/apitest_upload/1.0.0"


@pytest.fixture(scope="module")
def chef(lab) -> Iterator[ChefServer]:
    with ChefServer(config.load(cwd=lab.chef_dir, env={"KNIFE_HOME": str(lab.chef_dir)})) as server:
        yield server


@pytest.fixture
def book(chef, tmp_path) -> Iterator[Path]:
    """Return a cookbook whose contents no other test has sent; it is deleted from the server afterwards."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "metadata.rb").write_text(f"name '{NAME}'\nversion '1.0.0'\ndescription '{tmp_path.name}'\n")
    (tmp_path / "recipes" / "default.rb").write_text(f"log '{tmp_path.name}'\n")
    (tmp_path / "files" / "probe.sh").write_bytes(b"#!/bin/sh\n# \xff\x00 " + tmp_path.name.encode())
    yield tmp_path
    if NAME in chef.get("/cookbooks"):
        chef.delete(TARGET)


def test_a_new_version_is_sent_whole_and_frozen(chef, book):
    done = cookbook.upload(chef, book)
    assert (done.name, done.version, done.changed, done.files_sent) == (NAME, "1.0.0", True, 4)
    there = chef.get(TARGET)
    assert there["frozen?"] is True
    assert there["metadata"]["description"] == book.name
    (probe,) = there["files"]
    assert (probe["path"], probe["specificity"]) == ("files/probe.sh", "root_default")
    served = chef._transport.send("GET", probe["url"], None, {})
    assert served.content == (book / "files/probe.sh").read_bytes()


def test_the_same_again_sends_nothing(chef, book, monkeypatch):
    cookbook.upload(chef, book)
    changes, send = [], chef._transport.send
    monkeypatch.setattr(chef._transport, "send", lambda method, *more: changes.append(method) or send(method, *more))
    again = cookbook.upload(chef, book)
    assert (again.changed, again.files_sent) == (False, 0)
    assert changes == ["GET"]


def test_other_content_under_a_frozen_version_is_refused_and_left_alone(chef, book):
    cookbook.upload(chef, book)
    before = chef.get(TARGET)["recipes"][0]["checksum"]
    (book / "recipes" / "default.rb").write_text("log 'other'\n")
    (book / "recipes" / "more.rb").write_text("log 'more'\n")
    with pytest.raises(ConflictError) as refused:
        cookbook.upload(chef, book)
    said = str(refused.value)
    assert f"has {NAME} 1.0.0 with other content (metadata.json, recipes/default.rb, recipes/more.rb)" in said
    assert "give it a higher version in metadata.rb" in said
    assert chef.get(TARGET)["recipes"][0]["checksum"] == before
    with pytest.raises(ConflictError, match="frozen"):  # what the server itself says when it is asked to
        chef.put(TARGET, cookbook_files.load(book).manifest("1"))


def test_a_new_version_sends_what_changed_alone(chef, book):
    cookbook.upload(chef, book)
    (book / "metadata.rb").write_text(f"name '{NAME}'\nversion '1.0.1'\n")
    try:
        done = cookbook.upload(chef, book)
        assert (done.version, done.changed, done.files_sent) == ("1.0.1", True, 2), "metadata.rb and metadata.json"
    finally:
        chef.delete("/cookbooks/apitest_upload/1.0.1")


def test_an_upload_that_broke_off_in_its_sandbox_is_finished(chef, book):
    loaded = cookbook_files.load(book)
    sandbox = chef.post("/sandboxes", {"checksums": dict.fromkeys(loaded.checksums.values())})
    checksum = loaded.checksums["files/probe.sh"]
    headers = {"Content-Type": "application/x-binary", "Content-MD5": b64encode(bytes.fromhex(checksum)).decode()}
    chef.put_file(sandbox["checksums"][checksum]["url"], loaded.files["files/probe.sh"], headers)
    with pytest.raises(ChefServerError, match=f"{NAME} 1.0.0 is half uploaded, no node gets it: .*push it again"):
        cookbook._commit(chef, sandbox["sandbox_id"], loaded, pause=None)
    done = cookbook.upload(chef, book)
    assert (done.changed, done.files_sent) == (True, 3), "one file was there already"
    assert chef.get(TARGET)["frozen?"] is True


def test_a_version_left_unfrozen_is_frozen_if_it_is_the_same(chef, book):
    cookbook._send_files(chef, cookbook_files.load(book), pause=None)
    chef.put(TARGET, {**cookbook_files.load(book).manifest("1"), "frozen?": False})
    assert not chef.get(TARGET)["frozen?"]
    done = cookbook.upload(chef, book)
    assert (done.changed, done.files_sent) == (True, 0)
    assert chef.get(TARGET)["frozen?"] is True


def test_a_version_left_unfrozen_with_other_content_is_not_overwritten(chef, book):
    cookbook._send_files(chef, cookbook_files.load(book), pause=None)
    chef.put(TARGET, {**cookbook_files.load(book).manifest("1"), "frozen?": False})
    (book / "recipes" / "default.rb").write_text("log 'other'\n")
    with pytest.raises(ConflictError, match=r"with other content \(recipes/default.rb\)"):
        cookbook.upload(chef, book)
    assert not chef.get(TARGET)["frozen?"]


def test_a_file_the_server_lacks_is_named_by_the_server(chef, book):
    with pytest.raises(ChefServerError, match=r"upload/1\.0\.0 with 400: .* hasn't been uploaded"):
        chef.put(TARGET, cookbook_files.load(book).manifest("1"))
