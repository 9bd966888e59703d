"""Two hundred nodes, one in twenty of them dead: the limit's two sides, connections, pace, and the journal.

All of them are real. Ten have a vulnerable library and converge, the others are in order and are asked all the same.
The dead were last heard of when they were vulnerable, so that they stand among the first, as such nodes do.
"""

import contextlib
import json
import subprocess
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import pytest

from fleet import rollout
from fleet.chef import lock, search
from fleet.history import History

pytestmark = pytest.mark.load
ENVIRONMENT = "load"
CONCURRENCY = 20
ALL = [f"load-{number:03}" for number in range(1, 201)]
GONE, OLD = ALL[9::20], ALL[19::20]  # the dead, and those that have something to patch
ALIVE = [name for name in ALL if name not in GONE]
HOW = ("--via", "shell", "--concurrency", str(CONCURRENCY))
# dpkg's word for what is installed, made older than it is: there is no still older package in the nodes' mirror.
AGE = r"sed -i '/^Package: \(openssl\|libssl3\)$/,/^$/ s/^Version: .*/Version: 3.0.1-1/' /var/lib/dpkg/status"
TOLD = "grep ^Tcp: /proc/net/snmp; dpkg-query -W -f '${Version}\\n' openssl; cat /var/log/dpkg.log 2>/dev/null || :"


@dataclass(repr=False)
class Watch:
    """Counts, every moment, this machine's connections to port 22 of these addresses: proc(5), /proc/net/tcp.

    The kernel does not stand still while that is read. What is in two readings stood in the moment between them.
    """

    addresses: set[str]
    most: int = 0
    looks: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()

    def look(self) -> None:
        before: set[tuple[str, str]] = set()
        while not self.over.wait(0.02):
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            now = {(row[1], row[2]) for row in rows if row[3] in ("01", "02") and self.told(row[2]) in self.addresses}
            self.most, self.looks = max(self.most, len(now & before)), self.looks + 1
            before = now

    @staticmethod
    def told(remote: str) -> str:
        """Return the address of an entry that is about port 22, "" for another."""
        address, _, port = remote.partition(":")
        return ".".join(str(byte) for byte in reversed(bytes.fromhex(address))) if port == "0016" else ""


@dataclass(repr=False)
class Fleet:
    """The nodes, and who patches them."""

    operator: object
    advisory: Path
    fixed: str

    def told(self, name: str) -> tuple[int, str, int]:
        """Return how many connections a node ever took, its version of openssl, and how often that was upgraded."""
        names, values, version, *log = self.operator.sh(name, TOLD).splitlines()
        accepted = int(values.split()[names.split().index("PassiveOpens")])
        return accepted, version, sum(" upgrade openssl:" in line for line in log)

    def patch(self, *words: str) -> tuple[subprocess.CompletedProcess, dict[str, dict]]:
        """Patch; return the run and its report's nodes. Holds that it began slowly and never had too many at once."""
        report = self.operator.home / "report"
        began = time.monotonic()
        with Watch({self.operator.lab.node(name).address for name in ALL}) as watch:
            done = self.operator.run(
                "patch", "--yes", "--env", ENVIRONMENT, "--advisory", str(self.advisory), "--report", str(report),
                *HOW, *words,
            )
        assert watch.looks > 20, done.stdout + done.stderr
        assert 0 < watch.most <= CONCURRENCY
        first = list(self.first_connections())
        assert 0 < max(first) <= rollout.START
        assert lock.read(self.operator.chef, ENVIRONMENT) is None
        found = json.loads((report / "report.json").read_text())["nodes"]
        print(f"exit {done.returncode} after {time.monotonic() - began:.0f} s, {watch.most} connections at most, "
              f"{', '.join(map(str, first))} at a wave's beginning")
        return done, {node["name"]: node for node in found}

    def first_connections(self) -> Iterator[int]:
        """Yield how many connections each wave began with, before the first of them came about or did not."""
        steps = [step.name for step in self.steps()]
        for at in (number for number, name in enumerate(steps) if name == "wave"):
            yield sum(1 for _ in takewhile("connect".__eq__, steps[at + 1 :]))

    def steps(self) -> list:
        """Return the steps of the latest run, in their order."""
        with History(self.operator.home / "journal.db") as history:
            return history.steps(history.run().id)


@pytest.fixture(scope="module")
def fleet(operator):
    """Make them, let the old ones be old, and cut the power of the dead."""
    lab = operator.lab
    operator.environment(ENVIRONMENT)
    with contextlib.ExitStack() as added:
        added.callback(operator.chef.delete, f"/environments/{ENVIRONMENT}")
        lab.add_light(ALL, ENVIRONMENT)
        added.callback(lab.remove, *ALL)
        said = lab.advisory.read_text()
        version = operator.sh(ALL[0], "dpkg-query -W -f '${Version}' openssl")
        newest = tomllib.loads(said)["fixed"][0]["version"]
        assert newest != version
        advisory = operator.home / "LAB-LOAD.toml"  # which the nodes are not affected by, as they come
        advisory.write_text(said.replace("LAB-CURRENT", "LAB-LOAD").replace(f'"{newest}"', f'"{version}"'))
        for name in OLD:
            operator.sh(name, AGE)
        for name in (*OLD, *GONE):
            found = operator.chef.get(f"/nodes/{name}")
            for package in ("openssl", "libssl3"):
                found["automatic"]["packages"][package]["version"] = "3.0.1-1"
            operator.chef.put(f"/nodes/{name}", found)
        for name in GONE:
            lab.power_off(name)
        end = time.monotonic() + 60
        while len(search.find_nodes(operator.chef, ENVIRONMENT)) < len(ALL):  # goiardi is slow at a query of 200 names
            assert time.monotonic() < end
        yield Fleet(operator, advisory, newest)


@pytest.fixture(scope="module")
def before(fleet):
    """Return what each living node says of itself before anybody patches."""
    return {name: fleet.told(name) for name in ALIVE}


@pytest.fixture(scope="module")
def stopped(fleet, before):
    """Patch where fewer may be dead than are."""
    done, nodes = fleet.patch("--max-unreachable", "4%")
    return done, nodes, Counter(step.node for step in fleet.steps() if step.name.startswith("connect"))


@pytest.fixture(scope="module")
def finished(fleet, stopped):
    """Patch where as many may be dead as are."""
    done, nodes = fleet.patch("--max-unreachable", "5%")
    return done, nodes, Counter(step.node for step in fleet.steps() if step.name.startswith("connect"))


def test_more_dead_than_allowed_stop_it(stopped):
    done, nodes, _ = stopped
    assert done.returncode == 3, done.stdout[-3000:] + done.stderr
    assert "Stopped: 9 nodes could not be reached, and --max-unreachable allows 4% (8)" in done.stdout
    assert sorted(nodes) == ALL
    assert {nodes[name]["state"] for name in GONE} <= {"unreachable", "skipped"}
    assert {nodes[name]["state"] for name in OLD} <= {"patched", "skipped"}
    assert {node["state"] for node in nodes.values()} == {"already_patched", "patched", "unreachable", "skipped"}


def test_as_many_dead_as_allowed_do_not(stopped, finished):
    done, nodes, _ = finished
    assert done.returncode == 2, done.stdout[-3000:] + done.stderr
    assert sorted(nodes) == ALL
    assert {name for name, node in nodes.items() if node["state"] == "unreachable"} == set(GONE)
    assert {name for name, node in nodes.items() if node["state"] not in ("patched", "already_patched")} == set(GONE)
    patched = [name for _, found, _ in (stopped, finished) for name in OLD if found[name]["state"] == "patched"]
    assert sorted(patched) == OLD, "each once, by the one run or the other"


def test_nodes_were_patched_once_and_as_many_connections_made_as_the_journal_says(fleet, before, stopped, finished):
    for name in ALIVE:
        accepted, version, upgrades = before[name]
        accepted_now, version_now, upgrades_now = fleet.told(name)
        assert (version_now, upgrades_now - upgrades) == ((fleet.fixed, 1) if name in OLD else (version, 0)), name
        assert accepted_now - accepted == stopped[2][name] + finished[2][name], name
        untouched = [found[name]["state"] != "patched" for _, found, _ in (stopped, finished)]
        assert [count[name] for _, _, count in (stopped, finished)] <= [1 if each else 2 for each in untouched]


def test_the_dead_are_patched_once_they_live(fleet, finished):
    assert finished[0].returncode == 2
    for name in GONE:
        fleet.operator.lab.power_on(name)
    done, nodes = fleet.patch("--query", " OR ".join(f"name:{name}" for name in GONE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: node["state"] for name, node in nodes.items()} == dict.fromkeys(GONE, "already_patched")
