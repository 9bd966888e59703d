"""What is done about a connection that breaks while a node converges. The connections are made up here;
tests/lab/test_detached.py breaks real ones.
"""

import asyncio
from types import SimpleNamespace

import pytest

from fleet import change, detached, standby
from fleet.errors import LostError, NodeError, UnreachableError
from fleet.node import Node, State
from fleet.patch import Patcher
from fleet.rollout import Gate, begun
from fleet.settings import Settings
from fleet.ssh import Answer
from fleet.trip import Trip

NODE = Node("web1", "production", "192.0.2.1")
LOST = LostError("the connection broke")
BEFORE = SimpleNamespace(packages={})


class Connections:
    """Connections over which the node answers what stands in `answers`, one after the other, and raises the errors."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked, self.closed = [], 0

    async def connect(self, node):
        self.asked.append("connect")
        if isinstance(self.answers[0], UnreachableError):
            raise self.answers.pop(0)
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.closed += 1

    async def run(self, argv, **_):
        if argv[0] == "cat":
            return Answer(1, b"", b"", False)
        self.asked.append("start" if detached.START in argv else f"wait {argv[-1]}")
        if not self.answers:
            await asyncio.Event().wait()
        said = self.answers.pop(0)
        if isinstance(said, Exception):
            raise said
        return Answer(0, f"styptic-converge 1 {said}\n".encode(), b"", False)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(standby, "PAUSES", (0,))


def trip_over(journal, connections, **settings):
    patcher = Patcher(connections, journal, "r1", Settings(**settings), [], None, lambda *_: None)
    return Trip(patcher, NODE, begun(NODE), Gate())


def changed(journal, *answers, **settings):
    """Return how a node's change ended that answers so, what was asked of it, and its trip."""
    connections = Connections(*answers)
    trip = trip_over(journal, connections, **settings)
    done = asyncio.run(trip.change(connections, BEFORE))
    return done, connections, trip


def test_what_goes_well_is_one_command(journal):
    done, connections, _ = changed(journal, "ended 000")
    assert (done.code, connections.asked, connections.closed) == (0, ["start"], 0)


@pytest.mark.parametrize(("answers", "asked"), [
    ((LOST, "ended 035"), ["start", "connect", "wait own"]),
    ((LOST, "running", "ended 035"), ["start", "connect", "wait own", "wait own"]),
    (("running", "ended 035"), ["start", "wait own"]),
    (("busy r1", "ended 035"), ["start", "wait own"]),
    ((LOST, "nothing", "ended 035"), ["start", "connect", "wait own", "start"]),
    ((LOST, LOST, "ended 035"), ["start", "connect", "wait own", "connect", "wait own"]),
    ((LOST, UnreachableError("no"), UnreachableError("no"), "ended 035"),
     ["start", "connect", "connect", "connect", "wait own"]),
    (("busy other", "nothing", "ended 035"), ["start", "wait any", "start"]),
    (("busy other", LOST, "ended 035"), ["start", "wait any", "connect", "start"]),
])
def test_it_is_come_back_to_and_started_once(journal, answers, asked):
    done, connections, trip = changed(journal, *answers)
    assert (done.code, done.owes_reboot, connections.asked) == (35, True, asked)
    assert connections.closed == sum(each is LOST for each in answers), "what it opened it closed"
    assert (trip.at, trip.trouble) == ("read the result", "")
    told = [detail["lost"] for _, name, detail in journal.steps("r1", "web1") if name == "connect again"]
    assert told == ["the connection broke"] * answers.count(LOST)


def test_another_runs_converge_is_waited_for_no_longer_than_a_chef_client(journal):
    connections = Connections("busy other")
    trip = trip_over(journal, connections, run_lock_timeout=0)
    with pytest.raises(NodeError, match="the run other still has its converge going on there, after 0 s"):
        asyncio.run(trip.change(connections, BEFORE))
    assert connections.asked == ["start"]
    assert trip.where("x") == "x (nothing was changed on it)"


def test_a_node_on_which_nothing_can_be_started_is_left_unchanged(journal):
    connections = Connections("refused there is no flock on it")
    trip = trip_over(journal, connections)
    with pytest.raises(NodeError, match="chef-client could not be started: there is no flock on it"):
        asyncio.run(trip.change(connections, BEFORE))
    assert not trip.outcome.converged


@pytest.mark.parametrize(("stands", "said"), [
    ("cut", "the machine went down while chef-client ran on it"), ("killed", "ended without an exit code"),
    ("nothing", "it knows nothing of that any more"),
])
def test_one_that_was_cut_off_says_how_and_where_its_log_is(journal, stands, said):
    connections = Connections(stands)
    trip = trip_over(journal, connections)
    done = asyncio.run(change.attach(trip, connections))
    assert (done.failed, done.code) == (True, None)
    assert said in done.why("chef-client")
    assert "/var/lib/openssl_patch/r1.log" in done.why("chef-client")


@pytest.mark.parametrize(("settings", "seconds"), [
    ({"timeout": 1}, 1), ({"timeout": 1000, "step_timeout": 1}, 1),
])
def test_one_that_takes_too_long_is_left_running_and_says_where_its_log_is(journal, monkeypatch, settings, seconds):
    async def go(trip):
        await trip.change(trip.patcher.connections, BEFORE)

    monkeypatch.setattr(Trip, "go", go)
    trip = trip_over(journal, Connections(), **settings)
    outcome = asyncio.run(trip.patcher(NODE, Gate()))
    assert outcome.record.state is State.FAILED
    assert outcome.record.error == (
        f"timed out in converge after {seconds} s (chef-client was started on it and may still run)"
    )
    assert outcome.todo.startswith("see its log, /var/lib/openssl_patch/r1.log on it; `invoke patch --resume` finds it")


def test_one_that_is_not_reached_again_says_why(journal, monkeypatch):
    async def go(trip):
        await trip.change(trip.patcher.connections, BEFORE)

    async def unreachable(node):
        raise UnreachableError("refused")

    monkeypatch.setattr(Trip, "go", go)
    monkeypatch.setattr(standby, "PAUSES", (0.1,))
    connections = Connections(LOST)
    connections.connect = unreachable
    outcome = asyncio.run(trip_over(journal, connections, timeout=1).patcher(NODE, Gate()))
    assert outcome.record.error == (
        "timed out in converge after 1 s: its connection broke, and there is no other: refused "
        "(chef-client was started on it and may still run)"
    )
