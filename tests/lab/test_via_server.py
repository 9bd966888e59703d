"""`--via chef-server` on real nodes: their own chef-client daemons patch them, and nobody connects to any."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.chef import cookbook
from fleet.edits import left
from fleet.journal import Journal
from lab.host import ROOT

ENVIRONMENT = "via-server"
NAMES = ("server-1", "server-2", "server-3")
HOW = ("--env", ENVIRONMENT, "--via", "chef-server", "--poll", "1", "--accept-unpinned")
ENTRY = re.compile(r"recipe\[openssl_patch@[0-9.]+\]")
PID = "/run/chef-client.pid"
LIMIT = 30  # seconds for what takes two


@dataclass
class Fleet:
    """The nodes of these tests, each with a chef-client daemon that runs when it is told to, and who patches them."""

    operator: object

    def start(self, name: str) -> None:
        """Start a node's daemon, with an interval that no test waits for."""
        self.operator.sh(name, f"chef-client -d -i 3600 -P {PID} -L /var/log/chef.log; until [ -s {PID} ]; do :; done")

    def run(self, name: str) -> None:
        """Have a node's daemon run now."""
        self.operator.sh(name, f"kill -USR1 $(cat {PID})")

    def accepted(self, name: str) -> int:
        """Return how many TCP connections the node's kernel ever took, on whatever port: proc(5), /proc/net/snmp."""
        names, values = (
            line.split() for line in self.operator.sh(name, "grep ^Tcp: /proc/net/snmp").splitlines()
        )
        return int(values[names.index("PassiveOpens")])

    def object(self, name: str) -> dict:
        return self.operator.chef.get(f"/nodes/{name}")

    def entered(self, name: str) -> bool:
        """True once our entry is in the node's run list."""
        return any(ENTRY.fullmatch(item) for item in self.object(name)["run_list"])

    def ran(self, *names: str) -> None:
        """Wait until our entry is in each node's run list, one after the other, and have its daemon run then."""
        for name in names or NAMES[:1]:
            wait_until(lambda name=name: self.entered(name))
            self.run(name)

    def patch(self, *words: str, then: Callable[[], None] | None = None):
        """Patch; do `then` meanwhile, `ran` if nothing else. Return how the verb ended and its report's nodes."""
        with ThreadPoolExecutor(1) as pool:
            rolling = pool.submit(self.operator.patch, *HOW, *words)
            (then or self.ran)()
            return rolling.result()

    @contextmanager
    def begun(self, report: Path):
        """Start a patch in a process of its own; give it once our entry is in server-1's run list."""
        operator = self.operator
        setting = {"KNIFE_HOME": str(operator.lab.chef_dir), "STYPTIC_STATE": str(operator.home / "journal.db")}
        words = ["patch", "--yes", *HOW, "--advisory", str(operator.lab.advisory), "--report", str(report)]
        with subprocess.Popen(
            [sys.executable, "-m", "invoke", *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, **setting},
        ) as rolling:
            wait_until(lambda: self.entered("server-1"))
            yield rolling

    def steps(self) -> list[tuple[str | None, str, dict]]:
        """Return the steps of the last run."""
        with Journal(self.operator.home / "journal.db") as journal:
            (run,) = journal.database.execute("SELECT id FROM run ORDER BY started DESC, id DESC LIMIT 1").fetchone()
            return journal.steps(run)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.1)  # the server announces no event for this


@pytest.fixture(scope="module")
def fleet(operator, uploads):
    operator.environment(ENVIRONMENT)
    yield Fleet(operator)
    operator.chef.delete(f"/environments/{ENVIRONMENT}")


@pytest.fixture
def standing(fleet):
    """Return what adds nodes of these names, new and with their daemons; they go when the test ends."""
    added = []

    def stand(*names: str):
        for name in names:
            fleet.operator.lab.add(name, base="light", init="sysv", environment=ENVIRONMENT)
            added.append(name)
            fleet.start(name)
        fleet.operator.indexed(*names)

    yield stand
    for name in added:
        fleet.operator.lab.remove(name)


def test_a_node_is_patched_and_nobody_connected_to_it(standing, fleet):
    standing("server-1")
    before, accepted = fleet.object("server-1"), fleet.accepted("server-1")
    done, nodes = fleet.patch()
    assert done.returncode == 0, done.stdout + done.stderr
    assert fleet.accepted("server-1") == accepted
    node = nodes["server-1"]
    assert (node["state"], node["wave"]) == ("patched", 1)
    assert node["packages_before"] != node["packages_after"]
    for package, version in node["packages_after"].items():
        assert f"{package}\t{version}\n" in fleet.operator.versions("server-1").replace(":amd64", "")
    assert "reloaded ssh" in node["actions"]
    after = fleet.object("server-1")
    assert (after["run_list"], after["normal"]) == (before["run_list"], before["normal"])
    assert after["default"]["openssl_patch"]["last_run"]["status"] == "success"
    assert "1 of 1 nodes are good by what 1 of them recorded on the Chef server" in done.stdout
    with socket.create_connection((fleet.operator.lab.nodes["server-1"].address, 22)) as connection:
        assert connection.recv(4) == b"SSH-"
    assert fleet.accepted("server-1") == accepted + 1  # so one that patch had made would have been counted


@pytest.mark.faults
def test_what_it_calls_patched_is_proven_over_ssh_and_an_old_record_is_none(standing, fleet):
    standing("server-1")
    done, _ = fleet.patch()
    assert done.returncode == 0, done.stdout + done.stderr
    done, nodes = fleet.operator.verify("--env", ENVIRONMENT)
    assert (done.returncode, nodes["server-1"]["state"]) == (0, "already_patched"), done.stdout + done.stderr
    before = fleet.object("server-1")["default"]["openssl_patch"]["last_run"]
    done, nodes = fleet.patch()
    assert (done.returncode, nodes["server-1"]["state"]) == (0, "already_patched"), done.stdout + done.stderr
    assert fleet.object("server-1")["default"]["openssl_patch"]["last_run"]["started"] > before["started"]


@pytest.mark.faults
def test_a_node_whose_runs_fail_times_out_and_spares_the_next_wave(standing, fleet):
    standing(*NAMES)
    before = fleet.object("server-3")
    accepted = {name: fleet.accepted(name) for name in NAMES}
    fleet.operator.sh("server-2", "mv /usr/bin/apt-get /usr/bin/apt-got")
    done, nodes = fleet.patch("--waves", "1,2,100%", "--timeout", "8", then=lambda: fleet.ran(*NAMES[:2]))
    assert done.returncode == 3, done.stdout + done.stderr
    assert {name: (node["state"], node["wave"]) for name, node in nodes.items()} == {
        "server-1": ("patched", 1), "server-2": ("failed", 2), "server-3": ("skipped", 0),
    }
    assert nodes["server-2"]["error"].startswith("timed out in wait for chef-client after 8 s")
    assert fleet.object("server-3") == before
    assert [fleet.object(name)["run_list"] for name in NAMES] == [[], [], []]
    assert {name: fleet.accepted(name) for name in NAMES} == accepted


@pytest.fixture
def waiting(fleet, tmp_path):
    """Upload a cookbook whose run goes on until a file is there; return the item that converges it."""
    book = tmp_path / "server_waits"
    (book / "recipes").mkdir(parents=True)
    (book / "metadata.rb").write_text("name 'server_waits'\nversion '0.1.0'\n")
    recipe = "execute 'touch /run/began; until [ -e /run/go ]; do sleep 0.1; done'\n"
    (book / "recipes" / "default.rb").write_text(recipe)
    cookbook.upload(fleet.operator.chef, book)
    yield "recipe[server_waits]"
    fleet.operator.chef.delete("/cookbooks/server_waits/0.1.0")


@pytest.mark.faults
def test_a_run_that_was_under_way_overwrites_the_edit_and_it_is_made_again(standing, fleet, waiting):
    standing("server-1")
    fleet.operator.chef.put("/nodes/server-1", fleet.object("server-1") | {"run_list": [waiting]})
    fleet.run("server-1")
    fleet.operator.sh("server-1", "until [ -e /run/began ]; do sleep 0.1; done")

    def then():
        wait_until(lambda: fleet.entered("server-1"))
        fleet.operator.sh("server-1", "touch /run/go")
        wait_until(lambda: not fleet.entered("server-1"))
        fleet.ran()

    done, nodes = fleet.patch(then=then)
    assert (done.returncode, nodes["server-1"]["state"]) == (0, "patched"), done.stdout + done.stderr
    assert fleet.object("server-1")["run_list"] == [waiting]
    assert [step for _, step, _ in fleet.steps()].count("add to its run list again") == 1


@pytest.mark.faults
def test_an_interruption_takes_the_entries_out_again(standing, fleet, tmp_path):
    standing("server-1")
    with fleet.begun(tmp_path) as rolling:
        rolling.send_signal(signal.SIGINT)
        assert "the node under way is finished" in rolling.stderr.readline()
        assert fleet.entered("server-1")
        rolling.send_signal(signal.SIGINT)
        _, err = rolling.communicate(timeout=LIMIT)
    assert rolling.returncode == 130, err
    assert "Traceback" not in err
    (node,) = json.loads((tmp_path / "report.json").read_text())["nodes"]
    assert (node["name"], node["state"]) == ("server-1", "pending")
    assert fleet.object("server-1")["run_list"] == []
    assert left(fleet.steps()) == {}


@pytest.mark.faults
def test_a_controller_that_was_killed_goes_on_where_it_stopped(standing, fleet, tmp_path):
    standing("server-1")
    with fleet.begun(tmp_path) as rolling:
        rolling.kill()
        rolling.communicate(timeout=LIMIT)
    assert list(left(fleet.steps())) == ["server-1"]
    fleet.run("server-1")  # while nobody looks
    wait_until(lambda: "openssl_patch" in fleet.object("server-1")["default"])
    done = fleet.operator.run("patch", "--resume", "--yes", "--report", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (node,) = json.loads((tmp_path / "report.json").read_text())["nodes"]
    assert (node["name"], node["state"]) == ("server-1", "patched")
    assert fleet.object("server-1")["run_list"] == []
    assert [step for _, step, _ in fleet.steps()].count("add to its run list") == 1


@pytest.mark.faults
def test_keep_leaves_the_recipe_in_the_run_list(standing, fleet):
    standing("server-1")
    done, nodes = fleet.patch("--keep")
    assert (done.returncode, nodes["server-1"]["state"]) == (0, "patched"), done.stdout + done.stderr
    assert fleet.entered("server-1")
