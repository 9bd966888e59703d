"""A node that was being changed when its run was cut short: gone on with, or changed anew.

What the node says of its converge is made up here; tests/lab/test_resume.py has real ones.
"""

import asyncio
import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from fleet import change, detached, earlier, reboot, served
from fleet.change import Change
from fleet.clock import Clock
from fleet.detached import Stage, Standing
from fleet.earlier import Earlier
from fleet.errors import NodeError, UnreachableError
from fleet.history import NodeLine, Step
from fleet.journal import Journal
from fleet.node import Node, State
from fleet.patch import Patcher
from fleet.report.record import outcome_as_dict
from fleet.rollout import Gate
from fleet.served import Served
from fleet.settings import Settings
from fleet.ssh import Answer
from fleet.trip import Trip

NODE = Node("web1", "production", "192.0.2.1")
STEPS = tuple(
    Step("web1", "2026-01-02T03:04:05.678Z", name, detail) for name, detail in (
        ("ask for a place in the wave", {}), ("see what it serves", {"wave": 2}),
        ("converge", {"packages": {"libssl3": "3.0.1"}, "version": "1.0.0", "tls": [443]}),
    )
)
RESULT = SimpleNamespace(stale_before=({"pid": 7},), actions=["reloaded ssh"], cookbook_version="1.0.0")
WELL = Change(0, b"", RESULT)


@pytest.fixture
def trip(tmp_path):
    with Journal(tmp_path / "journal.db") as journal:
        journal.begin("r1", {}, datetime.now(UTC))
        patcher = Patcher(None, journal, "r1", Settings(), [], None, lambda *_: None, version="1.0.1")
        before = Earlier("web1", steps=STEPS, tried=STEPS[2])
        yield Trip(patcher, NODE, before.begun(NODE), Gate(), earlier=before)


def gone_on(trip, monkeypatch, stage: Stage, ends: Change = WELL) -> Change | None:
    async def find(*_):
        return Standing(stage)

    async def attach(*_):
        return ends

    monkeypatch.setattr(detached, "find", find)
    monkeypatch.setattr(change, "attach", attach)
    return asyncio.run(trip.gone_on_with(None))


@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.ENDED])
def test_a_converge_that_goes_on_or_ended_well_is_not_begun_again(trip, monkeypatch, stage):
    assert gone_on(trip, monkeypatch, stage) is WELL
    record = trip.outcome.record
    assert (record.wave, record.actions, record.stale_before) == (2, ["reloaded ssh"], [{"pid": 7}])
    assert not trip.ends_after(WELL), "the cookbook of then is as good as today's"
    assert trip.earlier.serves.tls == (443,)


def test_a_reboot_that_came_about_after_the_converge_is_not_owed_again(trip, monkeypatch):
    trip.earlier = Earlier("web1", steps=(*STEPS, Step("web1", STEPS[0].at, "reboot", {})), tried=STEPS[2])
    done = gone_on(trip, monkeypatch, Stage.ENDED, replace(WELL, code=37, rebooted=True))
    assert (done.failed, done.owes_reboot) == (False, False)
    assert trip.outcome.record.actions == ["reloaded ssh", "rebooted"]
    assert replace(done, rebooted=False).owes_reboot


@pytest.mark.parametrize("rebooted", [False, True])
def test_what_the_recipe_said_to_owe_a_reboot_has_had_it_by_another_boot(trip, rebooted):
    said = {
        "format": 2, "node": "web1", "status": "success", "cookbook_version": "1.0.0", "stale_before": [],
        "reloaded": [], "upgraded": [], "ended": [], "restarted": [], "reexecuted": False, "not_touched": [],
        "reboot": ["init is no systemd"],
    }

    class Node:
        async def read(self, argv):
            return Answer(0, json.dumps(said).encode(), b"", False)

    done = asyncio.run(change.read(trip, Node(), Standing(Stage.ENDED, 0, rebooted=rebooted)))
    assert (done.rebooted, done.result.reboot) == (rebooted, () if rebooted else ("init is no systemd",))


class Anywhere:
    """Connections that come about, and are asked nothing."""

    async def connect(self, node):
        return contextlib.AsyncExitStack()


@pytest.fixture
def looked(trip, monkeypatch):
    """Make up what the node is found to be: what comes of it alone is asked about. Return the list of what is done."""
    done = []

    async def look(*_):
        done.append("look")
        return SimpleNamespace(name=None, packages={"libssl3": "3.0.2"}, stale=(), counted=(), reboots=())

    async def prove(trip, *_, serves, **__):
        done.append(serves.tls)
        trip.end(State.ALREADY_PATCHED)

    monkeypatch.setattr(Trip, "look", look)
    monkeypatch.setattr(Trip, "prove", prove)
    trip.patcher.connections = Anywhere()
    return done


def test_who_needs_no_change_any_more_keeps_the_place_it_had(trip, looked, monkeypatch):
    async def cut_off(*_):
        return None

    monkeypatch.setattr(Trip, "gone_on_with", cut_off)
    monkeypatch.setattr(Trip, "needs_change", lambda *_: False)
    patcher = trip.patcher
    patcher.earlier = {"web1": Earlier("web1", steps=STEPS, tried=STEPS[2])}
    record = asyncio.run(patcher(NODE, Gate())).record
    assert looked == ["look", (443,)]
    assert (record.state, record.wave, record.packages_before) == (State.PATCHED, 2, {"libssl3": "3.0.1"})


def test_who_is_changed_again_must_serve_what_it_did_before_the_first_time_too(trip, looked, monkeypatch):
    async def ask(*_):
        return Served((25,))

    async def changed(trip, connection, before, serves):
        looked.append(serves.tls)
        raise NodeError("that is all that is asked about")

    monkeypatch.setattr(served, "ask", ask)
    monkeypatch.setattr(Trip, "change", changed)
    for name, said in (("needs_change", True), ("ends_unchanged", False), ("turn", 2)):
        monkeypatch.setattr(Trip, name, lambda *_, said=said: said)
    before = Earlier("web1").begun(NODE)
    before.record.state = State.FAILED
    trip.patcher.earlier = {"web1": Earlier("web1", before, tried=STEPS[2])}
    asyncio.run(trip.patcher(NODE, Gate()))
    assert looked == ["look", (443, 25)]


@pytest.mark.parametrize("rebooted", [False, True])
def test_a_node_that_rebooted_meanwhile_may_boot_to_the_end_before_it_is_proven(trip, looked, monkeypatch, rebooted):
    async def settle(waiting, connection):
        looked.append(waiting.serves.tls)

    monkeypatch.setattr(reboot.Return, "settle", settle)

    async def seen_through():
        async with Clock(60) as trip.clock:
            await trip.see_it_through(replace(WELL, rebooted=rebooted), trip.earlier.serves)

    asyncio.run(seen_through())
    assert looked == [*([(443,)] * rebooted), "look", (443,)]


@pytest.mark.parametrize(("stage", "ends"), [
    (Stage.NOTHING, WELL), (Stage.CUT, WELL), (Stage.KILLED, WELL), (Stage.ENDED, Change(1, b"", RESULT)),
    (Stage.RUNNING, Change(None, b"", None, "cut")), (Stage.ENDED, Change(0, b"", None)),
])
def test_one_that_did_not_end_well_is_begun_again(trip, monkeypatch, stage, ends):
    assert gone_on(trip, monkeypatch, stage, ends) is None
    assert "may still run" in trip.where("the connection broke")


def test_a_node_that_was_not_being_changed_is_asked_nothing(trip):
    trip.earlier = Earlier("web1", steps=STEPS[:2])
    assert asyncio.run(trip.gone_on_with(None)) is None


class Nowhere:
    """No node can be reached."""

    async def connect(self, node):
        raise UnreachableError("no route")


@pytest.mark.parametrize(("before", "state", "said"), [
    (Earlier("web1", steps=STEPS), State.FAILED, "no route (chef-client was started on it and may still run)"),
    (Earlier("web1"), State.UNREACHABLE, "no route (nothing was changed on it)"),
])
def test_who_is_out_of_reach_now_is_told_as_what_it_was(trip, before, state, said):
    patcher = trip.patcher
    patcher.connections, patcher.earlier = Nowhere(), {"web1": before}
    outcome = asyncio.run(patcher(NODE, Gate()))
    assert (outcome.record.state, outcome.record.error) == (state, said)


def test_where_a_converge_ended_and_nothing_proves_it_nobody_is_told_that_it_may_run(trip):
    trip.ended = 0
    assert trip.where("the host key has changed.") == (
        "the host key has changed (chef-client ended on it with 0, and what came of it is not proven)"
    )


def test_what_a_converge_did_that_the_run_lost_sight_of_is_the_runs():
    before = Earlier("web1").begun(NODE)
    before.record.state, before.record.packages_before = State.FAILED, {"libssl3": "3.0.1"}
    line = NodeLine("web1", 2, "failed", outcome_as_dict(before), STEPS)
    again = Earlier("web1").begun(NODE)
    again.record.state = State.ALREADY_PATCHED
    again.record.packages_before = again.record.packages_after = {"libssl3": "3.0.2"}
    earlier.of(line).join(again)
    assert (again.record.state, again.record.packages_before) == (State.PATCHED, {"libssl3": "3.0.1"})


def test_who_was_patched_and_is_out_of_reach_is_not_called_patched(trip):
    before = Earlier("web1").begun(NODE)
    before.record.state = State.PATCHED
    before.record.packages_before, before.record.packages_after = {"a": "1"}, {"a": "2"}
    trip.patcher.connections, trip.patcher.earlier = Nowhere(), {"web1": Earlier("web1", before)}
    record = asyncio.run(trip.patcher(NODE, Gate())).record
    assert (record.state, record.packages_after) == (State.UNREACHABLE, {"a": "2"})
    assert record.error == "no route (it was patched before, and is not verified again)"
