"""The fault table: what is broken, when, and how it ends; and what has to hold after every fault, whatever it was.

A fault is broken for real, on a node of its own, in a rollout that has a second node which nothing is wrong with.
"""

import contextlib
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from fleet.chef import lock
from fleet.history import History
from fleet.node import State
from generator import probe
from lab import power
from lab.host import ROOT, RUN, LabError
from lab.node import LabNode
from lab.witness import Witness
from tests.lab import journals

# So that one node's fault is one node's, and so that a dead connection is found in seconds.
ALONE = ("--waves", "100%", "--max-failures", "100%", "--max-unreachable", "100%")
ALIVE = f"Include {RUN}/ssh_config\nHost *\n  ServerAliveInterval 1\n"
SETTINGS = "styptic: {connect_timeout: 2, ssh_config: %s}\n"
# Whoever comes by stands still, once: says so in one pipe and goes on when somebody writes into the other. Both are in
# /run, so that nobody stands still after a reboot.
HALT = r"""
mkfifo /run/halted /run/go
cat >/root/halt <<'SCRIPT'
#!/bin/sh
[ -p /run/halted ] && mkdir /run/stands 2>/dev/null || exit 0
: >/run/halted
read -r _ </run/go
exit 0
SCRIPT
chmod 755 /root/halt
"""
#: The moments of an upgrade. `unpacking`: dpkg stands in a maintainer script (postrm) of the version that goes, in the
#: middle of the library's package. `unpacked`: between dpkg's unpacking of all and its configuring (dpkg(1),
#: --pre-invoke). `ended`: the converge has ended, and the next command over SSH is about to begin (sshd(8), sshrc).
MOMENTS = {
    "unpacking": "cp /root/halt /var/lib/dpkg/info/libssl3:amd64.postrm",
    "unpacked": r"""
printf '%s\n' '#!/bin/sh' '[ "$DPKG_HOOK_ACTION" != configure ] || exec /root/halt' >/root/hook
chmod 755 /root/hook
echo 'pre-invoke=/root/hook' >/etc/dpkg/dpkg.cfg.d/halt
""",
    "ended": "echo '[ ! -e /var/lib/openssl_patch/result.json ] || exec /root/halt' >/etc/ssh/sshrc",
}
# Holds dpkg's lock as dpkg does, until somebody writes to /run/go.
HOLD_LOCK = r"""
mkfifo /run/held /run/go
cat >/run/lock-holder <<'PERL'
use Fcntl;
open(my $file, '>', '/var/lib/dpkg/lock') or die;
my $whole = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0);
fcntl($file, F_SETLK, $whole) or die;
open(my $held, '>', '/run/held') or die; close $held;
open(my $go, '<', '/run/go') or die;
PERL
perl /run/lock-holder </dev/null >/dev/null 2>&1 &
timeout 10 cat /run/held
"""
CONVERGING = "/var/lib/openssl_patch/converge.lock"
RESUME = ("--resume",)
CONFIGURE = "dpkg --configure -a"
PACKAGES = ("libssl3", "openssl")
LISTED = r"dpkg-query -W -f '${Package} ${Version} ${Status}\n' " + " ".join(PACKAGES)


class Victim(Witness):
    """A node that a fault is done to; all of it past SSH."""

    @property
    def node(self) -> LabNode:
        return self.lab.node(self.name)

    def halts(self, moment: str) -> None:
        """Have the node's upgrade stand still at one of MOMENTS."""
        self.sh(HALT + MOMENTS[moment])

    def await_halt(self) -> None:
        """Wait until it stands there. Raises LabError if it does not."""
        self.sh("timeout 60 cat /run/halted")

    def let_go(self) -> None:
        """Have it go on."""
        self.sh("timeout 20 sh -c ': >/run/go'")

    def listed(self) -> dict[str, tuple[str, str]]:
        """Return version and dpkg's status of each of the node's packages."""
        return {
            name: (version, status)
            for name, version, status in (line.split(" ", 2) for line in self.sh(LISTED).splitlines())
        }

    def logged(self, *words: str) -> int:
        """Return how many lines of the node's dpkg.log end with these words, after the time."""
        lines = self.sh("cat /var/log/dpkg.log 2>/dev/null || true").splitlines()
        return sum(line.split()[2:] == list(words) for line in lines)


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the table.

    `breaks` does it to the node: before the rollout, or once it stands still at `moment`. `meanwhile` is done after
    that, while the rollout goes on; it gets what ends with the rollout. `state` is how the node ends, `said` a part of
    its sentence; `mends` is what a person does about it, and `again` the words of the rollout after that. `words` are
    for the first one.
    """

    name: str
    state: State
    said: str
    breaks: Callable[[Victim], object]
    mends: Callable[[Victim], object] = lambda _: None
    moment: str | None = None
    meanwhile: Callable[[Victim, "Rollouts"], object] | None = None
    words: tuple[str, ...] = ("--via", "shell")
    again: tuple[str, ...] = ()
    daily: bool = False

    @property
    def code(self) -> int:
        """What the rollout ends with."""
        return 0 if self.state.good else 2


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Patches an environment of two: `well`, which is in order after the first time, and the one a fault is done to."""

    operator: object
    environment: str
    well: Victim
    settings: Path

    def patch(self, *words: str) -> tuple[CompletedProcess, dict[str, dict]]:
        """Patch both; return the run and its report's nodes by name."""
        about = () if "--resume" in words else ("--env", self.environment, *ALONE)
        return self.operator.reported(
            "patch", "--yes", *about, *words, KNIFE_HOME=self.operator.settings(self.environment),
            INVOKE_RUNTIME_CONFIG=str(self.settings),
        )

    def await_step(self, name: str, wanted: str) -> None:
        """Wait until a node has taken a step in the latest run."""
        journals.awaited(self.operator.home / "journal.db", journals.taken(name, wanted))


@contextlib.contextmanager
def two(operator, environment: str) -> Iterator[Rollouts]:
    """Add the node that nothing is wrong with to an environment, and yield what patches it."""
    name = f"{environment.replace('_', '-')}-well"
    with tempfile.TemporaryDirectory() as place, added(operator, name, environment) as well:
        alive, settings = Path(place, "ssh_config"), Path(place, "invoke.yaml")
        alive.write_text(ALIVE)
        settings.write_text(SETTINGS % alive)
        yield Rollouts(operator, environment, well, settings)


@contextlib.contextmanager
def added(operator, name: str, environment: str) -> Iterator[Victim]:
    """Add a light node, and take it away again."""
    operator.lab.add(name, base="light", init="sysv", environment=environment)
    try:
        operator.indexed(name)
        yield Victim(operator.lab, name)
    finally:
        operator.lab.remove(name)


def sh(script: str) -> Callable[[Victim], str]:
    """Return what runs a shell script on a node, which must succeed."""
    return lambda victim: victim.sh(script)


def table(*faults: Fault):
    """Return the mark that makes a test of each fault, a line each; all but the daily ones are for test.faults."""
    return pytest.mark.parametrize("fault", [
        pytest.param(fault, id=fault.name, marks=() if fault.daily else pytest.mark.faults) for fault in faults
    ])


def undocumented(faults: Iterable[Fault]) -> list[str]:
    """Return the faults that have no row in docs/faults.md, by name."""
    rows = (ROOT / "docs/faults.md").read_text()
    return [fault.name for fault in faults if f"\n| {fault.name} | " not in rows]


def happens(fault: Fault, victim: Victim, rollouts: Rollouts) -> None:
    """Let a fault happen in a rollout, hold what has to hold, mend it, and let the next rollout make it good."""
    names = {victim.name, rollouts.well.name}
    if fault.moment:
        victim.halts(fault.moment)
    else:
        fault.breaks(victim)
    with ThreadPoolExecutor(1) as beside:
        going = beside.submit(rollouts.patch, *fault.words)
        if fault.moment:
            try:
                victim.await_halt()
            except LabError:
                pytest.fail(f"it never came to the moment: {going.result()}")
            fault.breaks(victim)
        if fault.meanwhile:
            fault.meanwhile(victim, rollouts)
        done, nodes = going.result()
    holds(rollouts.operator, rollouts.environment, names, done, nodes, fault.code)
    found = nodes[victim.name]
    assert (found["state"], fault.said in (found["error"] or "")) == (fault.state, True), found
    assert nodes[rollouts.well.name]["state"] in ("patched", "already_patched")
    fault.mends(victim)
    if fault.state.good and not fault.again:
        return
    done, nodes = rollouts.patch(*(fault.again or fault.words))
    holds(rollouts.operator, rollouts.environment, names, done, nodes, 0)
    if fault.again == RESUME:
        assert nodes[victim.name]["state"] == "patched", "it was this run that did it"


def holds(
    operator, environment: str, names: Collection[str], done: CompletedProcess, nodes: Mapping[str, dict], code: int
) -> None:
    """Hold what has to be true after every rollout, whatever went wrong in it; `names` are those it was about.

    `done` and `nodes` are the run and its report's nodes, `code` what it has to end with. No node is lost from report,
    terminal or journal; none is called good that is not, or was patched twice, by what those say themselves that can be
    asked past SSH; and nothing is left locked.
    """
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert set(nodes) == set(names)
    for name in names:
        assert any(line.split()[:1] == [name] and nodes[name]["state"] in line for line in said.splitlines()), said
    with History(operator.home / "journal.db") as history:
        run = history.run()
        assert (run.stage, run.exit_code) == ("ended", code)
        assert {node.name: node.state for node in history.nodes(run.id)} == {
            name: node["state"] for name, node in nodes.items()
        }
    assert lock.read(operator.chef, environment) is None
    for name in names & operator.lab.nodes.keys():
        if power.is_on(operator.lab.node(name)):
            told_true(Victim(operator.lab, name), State(nodes[name]["state"]), fixed(operator.lab))


def told_true(node: Victim, state: State, version: str) -> None:
    """Hold what a report says of a node against what the node says, past SSH; `version` is the fixed one."""
    for package in PACKAGES:
        assert node.logged("status", "installed", f"{package}:amd64", version) <= 1, f"{node.name} was patched twice"
    if state in (State.PATCHED, State.ALREADY_PATCHED):
        assert node.listed() == dict.fromkeys(PACKAGES, (version, "install ok installed"))
        assert not probe.parse(node.sh("set +e\n" + probe.command())).counted
        node.sh(f"! test -e {CONVERGING} || flock -n {CONVERGING} true")


def fixed(lab) -> str:
    """Return the version that fixes the lab's nodes."""
    return tomllib.loads(lab.advisory.read_text())["fixed"][0]["version"]
