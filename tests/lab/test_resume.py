"""A rollout that is killed, interrupted or stopped, and goes on by `patch --resume`: on real nodes, with a real lock.

The nodes have a small package of their own, so that a round takes seconds. `invoke test` kills at a few entries of the
journal, `invoke test.faults` at every one, before it is written and after.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys

import pytest

from fleet.chef import lock
from lab import inside
from lab.host import ROOT
from tests.lab import journals
from tests.lab.tiny import ADVISORY, BAD, BUILD, GOOD, RESET, upgrades

ENVIRONMENT = "resume"
NAMES = ("resume-1", "resume-2")


class Rounds:
    """Rollouts over two nodes, each from the beginning, with a journal and a report of their own."""

    def __init__(self, operator):
        self.operator = operator
        self.advisory = operator.home / "TINY-1.toml"
        self.advisory.write_text(ADVISORY)
        self.count = 0

    def new(self) -> None:
        """Have the nodes as they were, no journal and no lock, whatever a round before left."""
        if left := lock.read(self.operator.chef, ENVIRONMENT):
            lock.release(self.operator.chef, left)
        for name in NAMES:
            self.operator.sh(name, RESET)
        self.count += 1
        self.home = self.operator.home / f"round-{self.count}"
        self.home.mkdir()

    @property
    def words(self) -> list[str]:
        """The rollout, as it is asked for first."""
        return ["patch", "--env", ENVIRONMENT, "--advisory", str(self.advisory), "--via", "shell", "--yes",
                "--report", str(self.home / "report"), "--max-unreachable", "50%"]

    @property
    def setting(self) -> dict[str, str]:
        return {"KNIFE_HOME": str(self.operator.lab.chef_dir), "STYPTIC_STATE": str(self.home / "journal.db"),
                "PYTHONPATH": str(ROOT)}

    def killed(
        self, number: int, when: str, words: list[str] | None = None, **setting: str
    ) -> subprocess.CompletedProcess:
        """Run the rollout until it kills itself at an entry of the journal, or ends."""
        return subprocess.run(
            [sys.executable, "tests/lab/killing.py", str(number), when, *(words or self.words)], cwd=ROOT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
            env=os.environ | self.setting | setting,
        )

    def started(self, *words: str) -> subprocess.Popen:
        """Start a verb."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=os.environ | self.setting,
        )

    def run(self, *words: str, **setting: str) -> subprocess.CompletedProcess:
        """Run a verb to its end."""
        return self.operator.run(*words, **self.setting | setting)

    def resume(self, **setting: str) -> subprocess.CompletedProcess:
        """Go on with it."""
        return self.run("patch", "--resume", "--yes", **setting)

    def report(self) -> dict:
        """Return its report; of the journal where it was killed after its end was in there."""
        file = self.home / "report" / "report.json"
        return json.loads(file.read_text() if file.exists() else self.run("report", "--format", "json").stdout)

    def upgrades(self) -> list[int]:
        """Return how often each node had its package upgraded."""
        seen = [self.operator.sh(name, "cat /var/log/dpkg.log") for name in NAMES]
        return [upgrades(each) for each in seen]

    @contextlib.contextmanager
    def held(self, name: str):
        """Have a node's upgrade stand still in the package's own script; give what waits for that, and what ends it."""
        self.operator.sh(name, "mkfifo /root/hold")
        within = inside.within(self.operator.lab.nodes[name])
        script = "exec 3>/root/hold && echo there && read -r go; rm -f /root/hold"
        with subprocess.Popen(
            [*within, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            try:
                yield lambda: waited(holder), lambda: print("go", file=holder.stdin, flush=True)
            finally:
                holder.kill()

    def until(self, name: str, step: str) -> None:
        """Wait until a node has begun a step in a part that was resumed."""
        journals.awaited(self.home / "journal.db", journals.taken(name, step))

    def check(self, resumed: subprocess.CompletedProcess) -> None:
        """See that all is well: each node patched, once, and said to be; nothing locked, nothing left to resume."""
        said = resumed.stdout + resumed.stderr
        assert resumed.returncode == 0, said
        assert self.upgrades() == [1, 1], said
        report = self.report()
        assert {node["name"]: node["state"] for node in report["nodes"]} == dict.fromkeys(NAMES, "patched"), said
        for node in report["nodes"]:
            assert (node["packages_before"], node["packages_after"]) == ({"libtiny1": BAD}, {"libtiny1": GOOD}), node
            assert node["wave"] in (1, 2), node
        assert report["exit_code"] == 0
        assert lock.read(self.operator.chef, ENVIRONMENT) is None
        again = self.resume()
        assert (again.returncode, again.stdout) == (0, ""), again.stdout + again.stderr
        assert "nothing to resume" in again.stderr


def waited(holder: subprocess.Popen) -> None:
    """Wait until a node's upgrade stands still."""
    assert select.select([holder.stdout], [], [], 60)[0], "no upgrade came so far"
    assert holder.stdout.readline() == "there\n"


@pytest.fixture(scope="module")
def rounds(operator):
    operator.environment(ENVIRONMENT)
    with contextlib.ExitStack() as added:
        added.callback(operator.chef.delete, f"/environments/{ENVIRONMENT}")
        for name in NAMES:
            operator.lab.add(name, base="light", init="sysv", environment=ENVIRONMENT)
            added.callback(operator.lab.remove, name)
            operator.sh(name, BUILD)
        operator.indexed(*NAMES)
        yield Rounds(operator)


#: Entries of a rollout over two nodes, one of them the canary; the first makes the journal.
LAST = 27
DAILY = [(14, "after")]  # the canary's converge is written down and not yet begun
EVERY = [(number, when) for number in range(1, LAST + 1) for when in ("before", "after")]


def points():
    """Yield where to be killed: a few every day, all of them where that is asked for."""
    for number, when in EVERY:
        marks = () if (number, when) in DAILY else pytest.mark.faults
        yield pytest.param(number, when, id=f"{when}-{number}", marks=marks)


@pytest.mark.parametrize(("number", "when"), list(points()))
def test_killed_at_an_entry_of_the_journal_it_is_gone_on_with(rounds, number, when):
    rounds.new()
    killed = rounds.killed(number, when)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    resumed = rounds.resume()
    if re.search("holds no run|there is no journal", resumed.stderr):  # so nothing was done either
        assert (resumed.returncode, rounds.upgrades(), number < 4) == (1, [0, 0], True)
        resumed = rounds.run(*rounds.words)
    rounds.check(resumed)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(2, 23, 4))
def test_a_resume_that_is_killed_is_gone_on_with_as_well(rounds, number):
    rounds.new()
    rounds.killed(20, "before")  # the canary is patched, the other one has its place
    killed = rounds.killed(number, "after", ["patch", "--resume", "--yes"])
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    rounds.check(rounds.resume())


@pytest.mark.faults
def test_there_are_no_more_entries_than_those(rounds):
    rounds.new()
    done = rounds.killed(0, "after")
    assert done.stdout.endswith(f"entries: {LAST}\n"), done.stdout + done.stderr
    rounds.check(done)


@pytest.mark.faults
@pytest.mark.parametrize("how", ["killed", "interrupted twice"])
def test_a_converge_that_goes_on_is_waited_for_and_others_are_kept_out(rounds, how):
    rounds.new()
    with rounds.held(NAMES[0]) as (stands, go):
        with rounds.started(*rounds.words) as first:
            stands()
            if how == "killed":
                first.kill()
            else:
                first.send_signal(signal.SIGINT)
                first.stderr.readline()
                first.send_signal(signal.SIGINT)
            first.communicate(timeout=60)
        assert first.returncode == (130 if how == "interrupted twice" else -signal.SIGKILL)
        assert (lock.read(rounds.operator.chef, ENVIRONMENT) is None) == (how == "interrupted twice")
        with rounds.started("patch", "--resume", "--yes") as resume:
            rounds.until(NAMES[0], "see how its converge stands")
            other = rounds.setting | {"STYPTIC_STATE": str(rounds.home / "third.db")}
            third = rounds.operator.run(*rounds.words, **other)
            assert third.returncode == 3
            assert f"{ENVIRONMENT} is being patched by" in third.stderr
            again = rounds.resume()
            assert (again.returncode, f"is running, as process {resume.pid}" in again.stderr) == (1, True)
            go()
            out, err = resume.communicate(timeout=60)
    rounds.check(subprocess.CompletedProcess([], resume.returncode, out, err))


@pytest.mark.faults
def test_interrupted_once_it_finishes_what_is_under_way_and_a_resume_does_the_rest(rounds):
    rounds.new()
    with rounds.held(NAMES[0]) as (stands, go), rounds.started(*rounds.words) as first:
        stands()
        first.send_signal(signal.SIGINT)
        assert "the node under way is finished" in first.stderr.readline()
        go()
        first.communicate(timeout=60)
    assert first.returncode == 130
    assert {node["name"]: node["state"] for node in rounds.report()["nodes"]} == {
        NAMES[0]: "patched", NAMES[1]: "skipped",
    }
    resumed = rounds.resume()
    assert f"first: 1 node begun before\n{NAMES[0]}  patched" in resumed.stdout
    rounds.check(resumed)


@pytest.mark.faults
def test_what_failed_is_tried_again_once_it_is_mended_and_what_is_patched_is_not(rounds):
    rounds.new()
    rounds.operator.sh(NAMES[1], "mv /etc/apt/sources.list.d/offers.list /root")
    failed = rounds.run(*rounds.words)
    assert failed.returncode == 2, failed.stdout + failed.stderr
    assert rounds.upgrades() == [1, 0]
    still = rounds.resume()
    assert still.returncode == 2, still.stdout + still.stderr
    rounds.operator.sh(NAMES[1], "mv /root/offers.list /etc/apt/sources.list.d")
    rounds.check(rounds.resume())
    shown = rounds.run("history").stdout
    assert "exit 0" in shown
    assert "resumed      2 times, last " in rounds.run("show").stdout


@pytest.mark.faults
def test_what_chef_client_did_counts_and_the_cookbook_is_not_pushed_again(rounds, uploads):
    rounds.new()
    words = [word.replace("shell", "chef") for word in rounds.words] + ["--accept-unpinned"]
    home = {"KNIFE_HOME": rounds.operator.settings(ENVIRONMENT)}
    killed = rounds.killed(16, "before", words, **home)  # the canary has converged, which nobody heard of
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    assert rounds.upgrades() == [1, 0]
    before = rounds.operator.uploaded()
    rounds.check(rounds.resume(**home))
    assert rounds.operator.uploaded() == before
