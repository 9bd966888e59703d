"""Who is taken out and put back, who stays out, and how a node ends whose hook fails. The hooks are real programs."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from fleet import hook_run, hooks
from fleet.hooks import Hook, Hooks
from fleet.node import Node, State
from fleet.pool import Pool, remind_all
from fleet.report import junit
from fleet.rollout import Rollout, begun
from fleet.waves import Amount, Course, Tally, Wave

WEB1 = Node("web1", "production", "192.0.2.1")


class Way:
    """A node's place with hooks that tell a file, and fail where one of these steps is named."""

    def __init__(self, tmp_path, *failing):
        tell = f'echo "$STYPTIC_STEP" >>{tmp_path}/ran; for each in {" ".join(failing)}; do [ "$each" != ' \
               '"$STYPTIC_STEP" ] || { echo "$STYPTIC_STEP is broken"; exit 1; }; done'
        path = tmp_path / "hook.sh"
        path.write_text(f"#!/bin/sh\n{tell}\n")
        path.chmod(0o755)
        self.steps, self.file = [], tmp_path / "ran"
        self.pool = Pool(
            Hooks(Hook("drain", (str(path),)), Hook("return", (str(path),))), WEB1, "r1",
            lambda name, **_: self.steps.append(name), None,
        )
        self.outcome = begun(WEB1, 1)
        self.hand = hook_run.by_hand(self.pool.hooks.back, WEB1, "r1")

    def go(self, state=None, error=None) -> bool:
        """Take the node out, give it its end, and put it back; return whether it was taken out."""

        async def way():
            if not await self.pool.take_out(self.outcome):
                return False
            self.outcome.record.state, self.outcome.record.error = state, error
            await self.pool.put_back(self.outcome)
            return True

        taken = asyncio.run(way())
        self.pool.remind(self.outcome)
        return taken

    @property
    def ran(self) -> list[str]:
        return self.file.read_text().split() if self.file.exists() else []

    @property
    def end(self):
        return self.outcome.record.state, self.outcome.record.error, self.outcome.todo


@pytest.mark.parametrize("state", [State.PATCHED, State.STALE, State.REBOOT_REQUIRED, State.UNKNOWN])
def test_a_node_that_was_patched_as_far_as_can_be_is_returned(tmp_path, state):
    way = Way(tmp_path)
    assert way.go(state, "why")
    assert way.ran == ["drain", "return"]
    assert way.steps == ["drain", "return", "returned"]
    assert way.end == (state, "why", None)


def test_a_node_that_failed_stays_out_and_the_way_back_is_told(tmp_path):
    way = Way(tmp_path)
    way.outcome.todo = "mend it"
    assert way.go(State.FAILED, "chef-client ended with 1")
    assert way.ran == way.steps == ["drain"]
    assert way.end == (
        State.FAILED, "chef-client ended with 1; it was drained and is not returned",
        f"mend it; then return it: {way.hand}",
    )


def test_a_drain_that_fails_skips_the_node_which_is_returned_because_it_may_be_half_out(tmp_path):
    way = Way(tmp_path, "drain")
    assert not way.go()
    assert way.ran == ["drain", "return"]
    assert hooks.drained(way.steps) is False
    assert way.end == (
        State.SKIPPED, "the drain hook ended with 1: drain is broken; nothing was changed on it, and it was returned",
        "see why its drain fails, then patch again",
    )


def test_a_drain_and_a_return_that_fail_leave_a_node_that_may_be_out(tmp_path):
    way = Way(tmp_path, "drain", "return")
    assert not way.go()
    assert hooks.drained(way.steps) is True
    state, error, todo = way.end
    assert state is State.SKIPPED
    assert error.endswith("it, and it may be out: the return hook ended with 1: return is broken")
    assert todo == f"see why its drain fails, then patch again; then return it: {way.hand}"


@pytest.mark.parametrize(("state", "why", "said"), [
    (State.PATCHED, None, "patched, but not returned: the return hook ended with 1: return is broken"),
    (State.STALE, "shopd", "stale, but not returned: the return hook ended with 1: return is broken; shopd"),
])
def test_a_return_that_fails_fails_the_node(tmp_path, state, why, said):
    way = Way(tmp_path, "return")
    assert way.go(state, why)
    assert way.end == (State.FAILED, said, f"return it: {way.hand}")


def test_nothing_is_begun_for_a_name_that_no_hook_is_given(tmp_path):
    way = Way(tmp_path)
    way.pool.node = replace(WEB1, name="--all")
    assert not way.go()
    assert way.ran == way.steps == []
    assert way.end[0] is State.SKIPPED


def test_without_hooks_nobody_is_out(tmp_path):
    way = Way(tmp_path)
    way.pool.hooks = hooks.NONE
    assert way.go(State.PATCHED)
    assert way.ran == way.steps == []


def test_a_node_that_was_taken_out_by_hooks_that_are_no_more_is_not_forgotten(tmp_path):
    way = Way(tmp_path)
    way.pool.hooks, way.pool.out = hooks.NONE, True  # as a resume finds it
    assert way.go(State.PATCHED)
    assert way.end == (
        State.FAILED, "patched, but not returned: invoke.yaml has no hooks for it any more",
        "return it: as it was taken out, by hand",
    )


def test_an_interrupted_node_is_told_as_out_by_the_journal(tmp_path):
    way, journal = Way(tmp_path), Steps({"web1": ["drain", "converge"], "web2": ["drain", "return", "returned"]})
    web2 = replace(WEB1, name="web2")
    outcomes = {node.name: begun(node, error="interrupted on its way") for node in (WEB1, web2)}
    for _ in range(2):  # what is told once is not told twice
        remind_all(way.pool.hooks, outcomes, journal, "r1")
    assert outcomes["web1"].record.error == "interrupted on its way; it was drained and is not returned"
    assert outcomes["web1"].todo == f"return it: {way.hand}"
    assert (outcomes["web2"].record.error, outcomes["web2"].todo) == ("interrupted on its way", None)


@pytest.mark.parametrize("node", [replace(WEB1, address="web_1"), Node("web1", "")])
def test_a_node_that_a_resume_cannot_name_to_a_hook_is_still_told_as_out(tmp_path, node):
    """Its address is another than when it was drained, or the search does not find it any more."""
    way, outcome = Way(tmp_path), begun(node, error="cut short in converge")
    way.pool.node, way.pool.out = node, True
    way.pool.remind(outcome)
    assert outcome.record.error == "cut short in converge; it was drained and is not returned"
    assert outcome.todo == "return it: as it was taken out, by hand"
    told = begun(node, error="the search does not find it any more")
    remind_all(way.pool.hooks, {"web1": told}, Steps({"web1": ["drain", "converge"]}), "r1")
    assert told.record.error == "the search does not find it any more; it was drained and is not returned"


class Steps:
    """A journal that has these steps of each node, and nothing else."""

    def __init__(self, steps):
        self.taken = [(node, name, {}) for node, names in steps.items() for name in names]

    def understandably(self):
        return contextlib.nullcontext()

    def steps(self, run):
        return self.taken


def test_a_node_whose_drain_failed_counts():
    outcome, left = (begun(WEB1, wave, State.SKIPPED, "the drain hook ended with 1") for wave in (1, 0))
    assert Rollout({"web1": outcome}).exit_code == 2
    assert Rollout({"web1": left}).exit_code == 10
    assert Rollout({"web1": outcome, "win1": left}).exit_code == 2
    assert junit.suite(outcome).find("testcase/failure") is not None
    course = Course((), 40, Amount(1), Amount(0))
    tally, wave = Tally(course), Wave(1, "all", 40, (), last=True)
    assert tally.add(outcome.record, wave) is None
    assert tally.add(left.record, wave) is None
    assert tally.add(outcome.record, wave) == "2 nodes failed, and --max-failures allows 1"
