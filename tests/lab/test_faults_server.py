"""The fault table, the Chef server's side: down, slow, broken, restarted, behind; and a clock of ours that is off.

A front (lab.front) before the real server is what is broken, or the server itself is.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from fleet.chef import config, lock
from fleet.chef.server import ChefServer
from fleet.node import State
from fleet.via_server import NAME as VIA_SERVER
from lab import events, goiardi, network, wrong_clock
from lab.front import Front, Reply, Rule, relay
from tests.lab.faults import Victim, holds

NAMES = ("faults-server-1", "faults-server-2")
HOW = ("--via", "shell", "--waves", "1,100%", "--max-failures", "100%")
LOCKS = f"/data/{lock.BAG}"
HOUR = 3600  # seconds
GONE = Reply(500, body=json.dumps({"error": ["the database is gone"]}).encode())
PID = "/run/chef-client.pid"
faults = pytest.mark.faults


class From:
    """True of every request from that number on of those which hold a text."""

    def __init__(self, part: str, number: int = 1):
        self.part, self.number, self.seen = part, number, 0

    def __call__(self, asked: str) -> bool:
        self.seen += self.part in asked
        return self.seen >= self.number


def broken(when: Callable[[str], bool]) -> Rule:
    """Answer 500 to such requests."""
    return lambda asked, ask: GONE if when(asked) else ask()


@dataclass(repr=False)
class Site:
    """Two nodes, and an operator whose Chef server stands behind a front."""

    operator: object
    environment: str
    front: Front

    @property
    def nodes(self) -> list[Victim]:
        return [Victim(self.operator.lab, name) for name in NAMES]

    @property
    def looks(self) -> str:
        """How the lock is looked at: once it was taken, before each further wave, and at the end."""
        return f"GET {LOCKS}/{self.environment}"

    def patch(self, *words: str, **environment: str) -> tuple[subprocess.CompletedProcess, dict[str, dict]]:
        """Patch both, by the front's word; return the run and its report's nodes."""
        knife = environment.pop("KNIFE_HOME", None) or self.operator.settings(self.environment, self.front.url)
        words = ("patch", "--yes", "--env", self.environment, *(words or HOW))
        return self.operator.reported(*words, KNIFE_HOME=knife, **environment)

    def new(self) -> None:
        """Have both as they were."""
        for name in NAMES:
            self.operator.lab.reset(name)
        self.operator.indexed(*NAMES)

    def connections(self) -> list[int]:
        """Return how many TCP connections each node's kernel ever took: proc(5), /proc/net/snmp."""
        rows = [node.sh("grep ^Tcp: /proc/net/snmp").split() for node in self.nodes]
        return [int(row[len(row) // 2 :][row.index("PassiveOpens")]) for row in rows]

    def holds(self, done, nodes, code: int = 0) -> None:
        """Hold what has to be true after every rollout."""
        holds(self.operator, self.environment, set(NAMES), done, nodes, code)

    def well_again(self) -> None:
        """The front relays all, and the next rollout ends well."""
        self.front.down()
        self.front.up()
        self.holds(*self.patch())


@pytest.fixture(scope="module")
def site(operator, environment):
    with contextlib.ExitStack() as added, Front() as front:
        for name in NAMES:
            operator.lab.add(name, environment=environment)
            added.callback(operator.lab.remove, name)
        operator.indexed(*NAMES)
        yield Site(operator, environment, front)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fault that is there before anything is done: `breaks` does it, `said` is a part of the one sentence."""

    name: str
    said: str
    breaks: Callable[[Site], object] = lambda _: None
    words: tuple[str, ...] = HOW
    environment: Callable[[], dict[str, str]] = dict
    daily: bool = False


def broken_at(part: str) -> Callable[[Site], object]:
    """Return what has the front answer 500 to every request that holds a text."""
    return lambda site: setattr(site.front, "rule", broken(lambda asked: part in asked))


REFUSALS = (
    Refusal("Chef server down", "check chef_server_url", lambda site: site.front.down()),
    Refusal("Chef server answering 500 to the search", "the database is gone", broken_at("/search/")),
    Refusal("Chef server answering 500 to the lock", "the database is gone", broken_at(f"POST {LOCKS}"), daily=True),
    Refusal("Chef server answering 500 to the cookbook", "the database is gone", broken_at("/cookbooks/"),
            words=("--waves", "100%")),
    Refusal("401 for a clock off by an hour", "s ahead of the server's, and 900 s are allowed: set it right (NTP)",
            environment=lambda: wrong_clock.environment(HOUR)),
)


@pytest.mark.parametrize("fault", [
    pytest.param(fault, id=fault.name, marks=() if fault.daily else faults) for fault in REFUSALS
])
def test_nobody_is_touched_and_one_sentence_says_why(site, fault):
    connections = site.connections()
    fault.breaks(site)
    done, nodes = site.patch(*fault.words, **fault.environment())
    assert done.returncode == 1, done.stdout + done.stderr
    assert nodes == {}
    assert fault.said in done.stderr
    assert done.stderr.count("\n") == 1
    assert site.connections() == connections
    assert lock.read(site.operator.chef, site.environment) is None
    site.well_again()


@faults
def test_chef_server_slow(site):
    def slow(asked: str, ask: Callable[[], Reply]) -> Reply | None:
        time.sleep(1)  # the fault itself
        return ask()

    site.new()
    site.front.asked.clear()
    site.front.rule = slow
    began = time.monotonic()
    done, nodes = site.patch()
    assert time.monotonic() - began > len(site.front.asked) >= 6
    site.holds(done, nodes)
    assert {name: (node["state"], node["wave"]) for name, node in nodes.items()} == {
        NAMES[0]: ("patched", 1), NAMES[1]: ("patched", 2),
    }
    site.well_again()


@dataclass(frozen=True, slots=True)
class Midway:
    """A fault that begins when the lock is looked at before the second wave."""

    name: str
    said: str
    rule: Callable[[Site, Callable[[str], bool]], Rule] = field(repr=False)


MIDWAY = (
    Midway("Chef server down between waves", "the Chef server does not answer at",
           lambda site, begins: lambda asked, ask: site.front.down() if begins(asked) else ask()),
    Midway("Chef server answering 500 between waves", "the database is gone", lambda site, begins: broken(begins)),
)


@faults
@pytest.mark.parametrize("fault", MIDWAY, ids=lambda fault: fault.name)
def test_a_rollout_that_needs_no_server_goes_on_and_says_that_its_lock_stands(site, fault):
    site.new()
    site.front.rule = fault.rule(site, From(site.looks, 2))
    done, nodes = site.patch()
    assert f"styptic: the lock on {site.environment} may still stand" in done.stderr, done.stdout + done.stderr
    assert fault.said in done.stderr
    assert done.stderr.count("\n") == 1
    assert lock.read(site.operator.chef, site.environment) is not None
    freed = site.operator.run("unlock", "--env", site.environment, "--yes")
    assert freed.returncode == 0, freed.stderr
    site.holds(done, nodes)
    assert {name: (node["state"], node["wave"]) for name, node in nodes.items()} == {
        NAMES[0]: ("patched", 1), NAMES[1]: ("patched", 2),
    }
    site.well_again()


@faults
def test_chef_server_down_for_the_nodes_too(site):
    site.new()
    for node in site.nodes:
        node.sh(f"sed -i 's|^chef_server_url.*|chef_server_url \"{site.front.url}\"|' /etc/chef/client.rb")
    begins = From(site.looks, 2)
    site.front.rule = lambda asked, ask: site.front.down() if begins(asked) else ask()
    done, nodes = site.patch("--waves", "1,100%", "--max-failures", "100%")
    assert "invoke unlock" in done.stderr
    assert site.operator.run("unlock", "--env", site.environment, "--yes").returncode == 0
    site.holds(done, nodes, 2)
    assert [nodes[name]["state"] for name in NAMES] == [State.PATCHED, State.FAILED]
    assert "chef-client ended with 1: " in nodes[NAMES[1]]["error"]
    assert site.front.url.partition("//")[2] in nodes[NAMES[1]]["error"]
    assert "libssl3 3.0.20" in " ".join(map(" ".join, nodes[NAMES[1]]["packages_before"].items()))
    assert nodes[NAMES[1]]["packages_after"] == nodes[NAMES[1]]["packages_before"]
    site.well_again()


@pytest.fixture
def own(site, tmp_path):
    """Give the site a Chef server of its own, which keeps what it holds over a restart; and what restarts it."""
    keys = tmp_path / "keys"
    keys.mkdir()
    with contextlib.ExitStack() as ends, (tmp_path / "log").open("w") as log:
        port = goiardi.PORT + 1
        words = goiardi.command(network.MACHINE, port, keys, *goiardi.kept(tmp_path))

        def start() -> subprocess.Popen:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            ends.callback(process.wait)
            ends.callback(process.kill)
            events.wait_port(network.MACHINE, port)
            return process

        running = [start()]

        def restart() -> None:
            running[-1].terminate()
            running[-1].wait(30)
            running.append(start())

        url = f"http://{network.MACHINE}:{port}"
        home = site.operator.settings("own", url, keys / "admin.pem")
        with ChefServer(config.load(cwd=tmp_path, env={"KNIFE_HOME": home, "HOME": "/nonexistent"})) as chef, \
                Front(url) as front:
            operator = replace(site.operator, chef=chef)
            operator.environment(site.environment)
            for name in NAMES:
                chef.post("/nodes", site.operator.chef.get(f"/nodes/{name}"))
            operator.indexed(*NAMES)
            operator.settings("own", front.url, keys / "admin.pem")
            yield replace(site, operator=operator, front=front), home, restart


@faults
def test_chef_server_restarted_between_waves(site, own):
    site.new()
    site, home, restart = own
    begins = From(site.looks, 2)

    def once(asked: str, ask: Callable[[], Reply]) -> Reply | None:
        if not begins(asked):
            return ask()
        site.front.rule = relay
        return restart()  # which took the question with it

    site.front.rule = once
    done, nodes = site.patch(KNIFE_HOME=home)
    assert site.front.rule is relay
    site.holds(done, nodes)
    assert done.stderr == ""
    assert [(nodes[name]["state"], nodes[name]["wave"]) for name in NAMES] == [("patched", 1), ("patched", 2)]
    site.holds(*site.patch(KNIFE_HOME=home))


class Late:
    """A search index that stands still: each question gets the answer that it got first."""

    def __init__(self):
        self.said: dict[str, Reply] = {}

    def __call__(self, asked: str, ask: Callable[[], Reply]) -> Reply | None:
        if "/search/node" not in asked:
            return ask()
        if asked not in self.said:
            self.said[asked] = ask()
        return self.said[asked]


@faults
def test_an_index_that_is_late_over_ssh(site):
    site.new()
    site.front.rule = Late()
    site.holds(*site.patch())
    done, nodes = site.patch()
    site.holds(done, nodes)
    assert {node["state"] for node in nodes.values()} == {"already_patched"}, "whatever the search says"


@faults
def test_an_index_that_is_late_via_the_chef_server(site):
    site.new()
    node = site.nodes[0]
    node.sh(f"chef-client -d -i 3600 -P {PID} -L /var/log/chef.log; while ! [ -s {PID} ]; do sleep 0.1; done")
    site.front.rule = late = Late()
    before = site.operator.chef.get(f"/nodes/{node.name}")["run_list"]
    ran = []

    def run_once(asked: str, ask: Callable[[], Reply]) -> Reply | None:
        reply = late(asked, ask)
        if not ran and asked == f"PUT /nodes/{node.name}":
            ran.append(node.sh(f"kill -USR1 $(cat {PID})"))
        return reply

    site.front.rule = run_once
    words = ("--via", VIA_SERVER, "--poll", "1", "--timeout", "15", "--query", f"name:{node.name}", "--accept-unpinned")
    done, nodes = site.patch(*words)
    assert ran, done.stdout + done.stderr
    holds(site.operator, site.environment, {node.name}, done, nodes, 0)
    assert nodes[node.name]["state"] == "patched"
    assert site.operator.chef.get(f"/nodes/{node.name}")["run_list"] == before
