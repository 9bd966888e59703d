"""fleet/chef against a real Chef server: search, pins and unpinned nodes, and what it says when it refuses."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fleet import push
from fleet.chef import config, cookbook, pins, search
from fleet.chef.server import ChefServer
from fleet.errors import (
    AuthenticationError,
    ChefServerError,
    NotFoundError,
    PinError,
    ServerUnreachableError,
    SettingsError,
)
from generator import render
from generator.render import Rendered

BOOK = "apitest_book"
MANY = 300


class Own:
    """What these tests put on the shared server; `close` takes it away again."""

    def __init__(self, chef: ChefServer):
        self.chef, self.paths = chef, []

    def environment(self, name: str, **constraints: str) -> str:
        body = {"name": name, "description": "", "cookbook_versions": constraints, "json_class": "Chef::Environment",
                "chef_type": "environment", "default_attributes": {}, "override_attributes": {}}
        self.make("/environments", name, body)
        return name

    def node(self, name: str, environment: str, run_list=(), **automatic) -> str:
        body = {"name": name, "chef_environment": environment, "run_list": list(run_list), "json_class": "Chef::Node",
                "chef_type": "node", "automatic": automatic, "normal": {}, "default": {}, "override": {}}
        self.make("/nodes", name, body)
        return name

    @staticmethod
    def write(directory: Path, version: str) -> None:
        (directory / "recipes").mkdir(parents=True, exist_ok=True)
        (directory / "metadata.rb").write_text(f"name '{BOOK}'\nversion '{version}'\n")
        (directory / "recipes" / "default.rb").write_text("log 'a'\n")

    def book(self, directory: Path, version: str) -> None:
        self.write(directory, version)
        cookbook.upload(self.chef, directory)
        self.paths.append(f"/cookbooks/{BOOK}/{version}")

    def make(self, kind: str, name: str, body: dict) -> None:
        self.chef.post(kind, body)
        self.paths.append(f"{kind}/{name}")

    def close(self) -> None:
        nodes = [path for path in self.paths if path.startswith("/nodes/")]
        with ThreadPoolExecutor(8) as workers:
            list(workers.map(self.chef.delete, nodes))
        for path in reversed([path for path in self.paths if path not in nodes]):
            self.chef.delete(path)


@pytest.fixture(scope="module")
def settings(lab):
    return config.load(cwd=lab.chef_dir, env={"KNIFE_HOME": str(lab.chef_dir)})


@pytest.fixture(scope="module")
def chef(settings) -> Iterator[ChefServer]:
    with ChefServer(settings) as server:
        yield server


@pytest.fixture
def own(chef) -> Iterator[Own]:
    made = Own(chef)
    yield made
    made.close()


def indexed(found, expected: int) -> list:
    """Return what `found()` gives once it is as many as expected: the server's index follows its objects later."""
    deadline = time.monotonic() + 10
    while len(rows := found()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)  # the server announces no event for this
    assert len(rows) == expected
    return rows


@pytest.fixture(scope="module")
def many(chef) -> Iterator[str]:
    """Return the environment of several hundred nodes."""
    made = Own(chef)
    environment = made.environment("apitest-many")

    def one(number: int) -> None:
        made.node(
            f"apitest-{number:03}", environment, ["role[apitest]"], fqdn=f"apitest-{number:03}.example",
            platform="debian", platform_version="12", ohai_time=1700000000.5, ipaddress="192.0.2.1", roles=["apitest"],
            apitest={"lan": {"address": f"192.0.2.{number}"}},
            packages={"openssl": {"version": "3.0.1-1"}, "bash": {"version": "5"}},
        )

    try:
        with ThreadPoolExecutor(8) as workers:
            list(workers.map(one, range(MANY)))
        indexed(lambda: search.partial(chef, "node", f"chef_environment:{environment}", {"name": ("name",)}), MANY)
        yield environment
    finally:
        made.close()


def test_every_node_of_an_environment_once(chef, many, caplog):
    nodes = search.find_nodes(chef, many)
    assert [node.name for node in nodes] == [f"apitest-{number:03}" for number in range(MANY)]
    first = nodes[0]
    assert (first.environment, first.address) == (many, "apitest-000.example")
    assert (first.platform, first.release) == ("debian", "12")
    assert (first.packages, first.ohai_time, first.policy_name) == ({"openssl": "3.0.1-1"}, 1700000000.5, None)
    assert caplog.records == []


def test_queries_and_addresses_are_knifes(chef, many):
    (node,) = search.find_nodes(chef, many, "apitest-007", address_attribute="apitest.lan.address")
    assert (node.name, node.address) == ("apitest-007", "192.0.2.7")
    assert [each.name for each in search.find_nodes(chef, query="name:apitest-00* AND NOT name:apitest-000")] == [
        f"apitest-{number:03}" for number in range(1, 10)
    ]
    assert search.find_nodes(chef, many, address_attribute="apitest.none")[0].address is None
    assert len(search.find_nodes(chef, "*", "roles:apitest")) == MANY
    assert search.find_nodes(chef, many, "name:none") == []


def test_a_node_that_moved_is_not_found_where_it_was(chef, own, caplog):
    before, after = own.environment("apitest-before"), own.environment("apitest-after")
    name = own.node("apitest-mover", before)
    indexed(lambda: search.find_nodes(chef, before), 1)
    chef.put(f"/nodes/{name}", {**chef.get(f"/nodes/{name}"), "chef_environment": after})
    indexed(lambda: search.find_nodes(chef, after), 1)
    assert search.find_nodes(chef, before) == []
    assert [node.environment for node in search.find_nodes(chef, query=f"name:{name}")] == [after]


def test_a_query_that_is_none_is_refused_in_the_servers_words(chef):
    with pytest.raises(ChefServerError, match="400: parse error near"):
        search.find_nodes(chef, query="name:[")


def test_an_unknown_environment_names_those_there_are(chef):
    with pytest.raises(NotFoundError, match=r"there is no environment 'apitest-none' on http.*; there are: .*_default"):
        search.find_nodes(chef, "apitest-none")


def test_a_wrong_key_is_one_sentence(settings):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with ChefServer(replace(settings, client_key=wrong)) as server, pytest.raises(AuthenticationError) as refused:
        server.get("/nodes")
    assert "check that node_name and client_key belong together" in str(refused.value)
    with ChefServer(replace(settings, client_name="apitest-nobody")) as server, pytest.raises(AuthenticationError):
        server.get("/nodes")


@pytest.mark.parametrize(("hours", "said"), [(1, "ahead of"), (-1, "behind")])
def test_a_clock_that_is_off_is_named(settings, hours, said):
    clock = lambda: datetime.now(UTC) + timedelta(hours=hours)  # noqa: E731
    with ChefServer(settings, clock=clock) as server, pytest.raises(AuthenticationError) as refused:
        server.get("/nodes")
    assert f"s {said} the server's, and 900 s are allowed: set it right (NTP)" in str(refused.value)


@pytest.mark.parametrize("known", ["1.3", "1.1", "1.0"])
def test_the_server_takes_each_protocol(settings, monkeypatch, known):
    monkeypatch.setattr("fleet.chef.server.PROTOCOLS", (known,))
    with ChefServer(settings) as server:
        assert "_default" in server.get("/environments")
        assert server.post("/search/node?q=name:apitest-none", {"name": ["name"]})["rows"] == []
        assert server.protocol == known


def test_where_nobody_listens(settings):
    pauses = []
    nobody = replace(settings, server_url="http://127.0.0.1:9")
    with ChefServer(nobody, pause=pauses.append) as server, pytest.raises(ServerUnreachableError, match="refused"):
        server.get("/nodes")
    assert pauses == [0.5, 1.5]


def test_an_organisation_that_goiardi_has_not(settings):
    settings = replace(settings, server_url=settings.server_url + "/organizations/apitest")
    with ChefServer(settings) as server, pytest.raises(NotFoundError, match="goiardi has no organisations"):
        server.get("/nodes")


def test_the_solver_says_which_version_nodes_would_get(chef, own, tmp_path):
    free, held = own.environment("apitest-free"), own.environment("apitest-held", **{BOOK: "= 1.0.0"})
    assert pins.resolved_version(chef, free, BOOK) is None
    for version in ("1.0.0", "1.1.0"):
        own.book(tmp_path, version)
    assert pins.resolved_version(chef, free, BOOK) == "1.1.0"
    assert pins.resolved_version(chef, held, BOOK) == "1.0.0"
    assert (pins.constraint(chef, free, BOOK), pins.constraint(chef, held, BOOK)) == (None, "= 1.0.0")
    pins.check_constraint(chef, free, BOOK, "1.1.0")
    pins.check_solution(chef, free, BOOK, "1.1.0")
    pins.check_constraint(chef, held, BOOK, "1.0.0")
    with pytest.raises(PinError, match=r"apitest-held pins apitest_book to '= 1.0.0', so its nodes would not get"):
        pins.check_constraint(chef, held, BOOK, "1.1.0")
    with pytest.raises(PinError, match=r"would get apitest_book 1.0.0 and not 1.1.0 \(its pin is '= 1.0.0'\): change"):
        pins.check_solution(chef, held, BOOK, "1.1.0")
    with pytest.raises(PinError, match=r"would get apitest_book 1.1.0 and not 1.0.0 \(it has no pin\)"):
        pins.check_solution(chef, free, BOOK, "1.0.0")
    with pytest.raises(PinError, match=r"would get no apitest_none at all, not even 1\.0\.0"):
        pins.check_solution(chef, free, "apitest_none", "1.0.0")
    with pytest.raises(NotFoundError, match="apitest-gone"):
        pins.resolved_version(chef, "apitest-gone", BOOK)


def carriers(own: Own) -> list[tuple[str, str]]:
    """Make nodes that carry the recipe in every way; return those that would converge 2.0.0 by themselves."""
    free = own.environment("apitest-u-free")
    exact = own.environment("apitest-u-exact", **{BOOK: "= 2.0.0"})
    below = own.environment("apitest-u-low", **{BOOK: "< 2.0.0"})
    wide = own.environment("apitest-u-wide", **{BOOK: ">= 1.0.0"})
    listed = [f"recipe[{BOOK}]"]
    found = [
        (own.node("apitest-u1", free, listed), free),
        (own.node("apitest-u2", free, [f"recipe[{BOOK}::default]"]), free),
        (own.node("apitest-u3", free, ["role[x]"], recipes=[BOOK, f"{BOOK}::default"]), free),
        (own.node("apitest-u4", wide, listed), wide), (own.node("apitest-u5", "_default", listed), "_default"),
        (own.node("apitest-u6", free, [f"recipe[{BOOK}@1.0.0]", *listed]), free),
    ]
    own.node("apitest-p1", exact, listed)
    own.node("apitest-p2", below, listed)
    own.node("apitest-p3", free, [f"recipe[{BOOK}@2.0.0]"])
    own.node("apitest-p4", free, [f"recipe[{BOOK}_more]"], recipes=[f"{BOOK}_more"])
    own.node("apitest-p5", free, ["recipe[other]"])
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def test_nodes_that_would_converge_an_upload_by_themselves(chef, own):
    expected = carriers(own)
    indexed(lambda: search.find_nodes(chef, query="name:apitest-u* OR name:apitest-p*"), 11)
    assert indexed(lambda: pins.unpinned_nodes(chef, BOOK, "2.0.0"), len(expected)) == expected
    below = {node for node, _ in pins.unpinned_nodes(chef, BOOK, "1.5.0")}
    assert below - {node for node, _ in expected} == {"apitest-p2"}, "< 2.0.0 lets 1.5.0 through"
    assert pins.unpinned_nodes(chef, "apitest_none", "1.0.0") == []


@pytest.fixture
def pushed(chef, own, settings, tmp_path, monkeypatch):
    """Return a function that pushes a cookbook of our own name, because the lab's server keeps the real one.

    Rendering is left out for that reason alone; what the server is asked and told is real.
    """
    monkeypatch.setattr(push, "COOKBOOK", BOOK)

    def one(version: str, *environments: str, accept_unpinned: bool = False):
        def write(_advisories, path, above=None):
            given = version if above is None else "1.1.1"  # what rendering above 1.1.0 gives
            own.write(path, given)
            return Rendered(BOOK, given, path, True)

        monkeypatch.setattr(render, "cookbook", write)
        return push.push(chef, replace(settings, cookbook_path=(tmp_path,)), [], environments, accept_unpinned)

    yield one
    for version in chef.get("/cookbooks?num_versions=all").get(BOOK, {}).get("versions", []):
        chef.delete(f"/cookbooks/{BOOK}/{version['version']}")


def test_push_stops_before_the_upload_where_a_pin_or_unpinned_nodes_stand_in_its_way(chef, own, pushed):
    free, held = own.environment("apitest-push"), own.environment("apitest-push-held", **{BOOK: "= 1.0.0"})
    own.node("apitest-push1", free, [f"recipe[{BOOK}]"])
    own.node("apitest-push2", held, [f"recipe[{BOOK}]"])
    indexed(lambda: pins.unpinned_nodes(chef, BOOK, "1.0.0"), 1)
    with pytest.raises(PinError, match="apitest-push-held pins"):
        pushed("1.1.0", free, held, accept_unpinned=True)
    with pytest.raises(SettingsError, match=r"^1 node with .* every wave: apitest-push1 \(apitest-push\); nothing was"):
        pushed("1.0.0", free)
    assert BOOK not in chef.get("/cookbooks")
    done = pushed("1.0.0", free, held, accept_unpinned=True)
    assert (done.name, done.version, done.changed, done.files) == (BOOK, "1.0.0", True, 3)
    again = pushed("1.0.0", free, held)
    assert (again.changed, again.files, again.sha256) == (False, 0, done.sha256), "what is there reaches nobody anew"
    assert pushed("1.1.0", free, accept_unpinned=True).changed
    passing = pushed("1.0.0", free, accept_unpinned=True)
    assert (passing.version, passing.changed) == ("1.1.1", True), "its nodes would get 1.1.0 and not what is there"
