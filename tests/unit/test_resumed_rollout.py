"""The waves of a rollout that is resumed. The nodes' ways are made up here, because only their order is asked about."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import plan, rollout, waves
from fleet.earlier import Earlier
from fleet.errors import StoppedError
from fleet.node import Node, State
from fleet.plan import Plan
from fleet.rollout import begun as outcome_of
from fleet.settings import Settings
from fleet.waves import Amount, Begun, Course


def fleet(count: int) -> list[Node]:
    return [Node(f"n{number}", "production", "192.0.2.1", "debian", "12.5") for number in range(1, count + 1)]


class Ways:
    """A way for each node, which ends as `needs` says: True is patched once it has a place, False needs nothing."""

    def __init__(self, needs):
        self.needs = needs
        self.changed: list[tuple[str, int]] = []
        self.order: list[str] = []

    async def __call__(self, node, gate):
        self.order.append(node.name)
        await asyncio.sleep(0)
        if not self.needs[node.name]:
            return outcome_of(node, 0, State.ALREADY_PATCHED)
        try:
            wave = gate.enter(node.name)
        except StoppedError as error:
            return outcome_of(node, 0, State.SKIPPED, str(error))
        self.changed.append((node.name, wave))
        await asyncio.sleep(0)
        return outcome_of(node, wave, self.needs[node.name])


def rolled(nodes, way, course, **how):
    going = rollout.prepare(nodes)
    for name, value in how.items():
        setattr(going, name, value)
    asyncio.run(rollout.run(going, nodes, way, concurrency=9, ended=lambda _: None, course=course))
    return going


def course_of(nodes, begun, said="canary,10%,100%", **limits) -> Course:
    made = Plan(tuple(nodes), (), {}, begun)
    return plan.course(made, Settings(waves=waves.steps(said, "--waves"), **limits))


def test_what_was_begun_goes_first_and_a_canary_is_not_needed_twice():
    nodes = fleet(20)
    begun = Begun({"n2": 2}, frozenset({"n1"}), frozenset({"n3"}))
    course = course_of(nodes, begun)
    assert [(wave.number, wave.title) for wave in course.waves] == [
        (0, "3 nodes begun before"), (3, "the rest"),
    ], "of the second wave's two places both are taken"
    assert [line for _, line in course.said()][:2] == ["first: 3 nodes begun before", "3: the rest"]
    way = Ways({each.name: State.PATCHED for each in nodes} | {"n1": False, "n3": False})
    going = rolled(nodes, way, course)
    assert set(way.order[:3]) == {"n1", "n2", "n3"}
    assert way.changed[0] == ("n2", 2)
    assert Counter(wave for _, wave in way.changed) == {2: 1, 3: 17}
    assert going.exit_code == 0


def test_who_was_in_order_and_is_not_any_more_waits_for_a_place():
    nodes = fleet(20)
    way = Ways({each.name: State.PATCHED for each in nodes})
    going = rolled(nodes, way, course_of(nodes, Begun({}, frozenset({"n1", "n2"}), frozenset())))
    assert way.order[:2] == ["n1", "n2"]
    assert Counter(wave for _, wave in way.changed) == {3: 20}
    assert way.order.count("n1") == 2
    assert going.exit_code == 0


def test_who_was_patched_and_waits_for_a_place_is_not_called_patched_by_an_interruption():
    nodes = fleet(20)
    going = rollout.prepare(nodes)
    for name in ("n1", "n2"):
        going.outcomes[name] = outcome_of(nodes[int(name[1:]) - 1], 1, State.PATCHED)

    async def interrupted(wave):
        if wave.number:
            raise asyncio.CancelledError

    way = Ways(dict.fromkeys([each.name for each in nodes], State.PATCHED) | {"n2": False})
    course = course_of(nodes, Begun({}, frozenset({"n1", "n2"}), frozenset()))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(rollout.run(
            going, nodes, way, concurrency=9, ended=lambda _: None, course=course, begin=interrupted
        ))
    states = {name: going.outcomes[name].record.state for name in ("n1", "n2", "n3")}
    assert states == {"n1": State.PENDING, "n2": State.ALREADY_PATCHED, "n3": State.PENDING}


def test_a_canary_that_failed_is_tried_again_alone():
    nodes = fleet(20)
    way = Ways(dict.fromkeys([each.name for each in nodes], State.PATCHED) | {"n1": State.FAILED})
    going = rolled(nodes, way, course_of(nodes, Begun({}, frozenset(), frozenset({"n2"}))))
    assert way.changed == [("n1", 1)]
    assert going.stopped == "the canary n1 failed"


def test_what_was_begun_and_fails_stops_the_rest_and_the_others_keep_their_ends():
    nodes = fleet(20)
    way = Ways(dict.fromkeys([each.name for each in nodes], State.PATCHED) | {"n1": State.FAILED})
    kept = outcome_of(nodes[8], 1, State.STALE)
    spare = {"n9": Earlier("n9", kept)}
    going = rolled(
        nodes, way, course_of(nodes, Begun({"n1": 2}, frozenset(), frozenset())),
        spare=lambda each, why: spare.get(each.name, Earlier()).spared(each, why),
    )
    assert going.stopped == "n1, which was begun before, failed, and none may before the last wave"
    assert going.outcomes["n9"] is kept
    assert going.outcomes["n8"].record.state is State.SKIPPED
    assert going.exit_code == 3


@given(
    st.lists(st.sampled_from(["new", "good", "in order", "at work", "failed"]), min_size=1, max_size=40),
    st.sampled_from(["canary,10%,100%", "1,10%,50%,100%", "3", "100%", "canary"]), st.data(),
)
def test_however_it_was_cut_short_no_wave_gets_more_than_its_places(kinds, said, data):
    """`said` is held against all that is changed in the end of each wave, in both parts of the rollout."""
    nodes = fleet(len(kinds))
    names = {kind: [each.name for each, was in zip(nodes, kinds, strict=True) if was == kind] for kind in set(kinds)}
    begun = Begun(
        dict.fromkeys(names.get("at work", []), 1), frozenset(names.get("good", [])),
        frozenset(names.get("in order", [])),
    )
    fine = sorted(begun.changed | begun.in_order)
    wanting = data.draw(st.sets(st.sampled_from(fine))) if fine else set()
    needs = {
        each.name: False if each.name in fine and each.name not in wanting else State.PATCHED
        for each in nodes
    }
    limits = {"max_failures": Amount(100, True), "max_unreachable": Amount(100, True)}
    course, way = course_of(nodes, begun, said, **limits), Ways(needs)
    going = rolled(nodes, way, course)
    assert going.stopped is None
    assert Counter(name for name, _ in way.changed) == Counter(name for name, need in needs.items() if need)
    kept = begun.changed - wanting
    counts = Counter(wave for name, wave in way.changed if name not in begun.at_work)
    for wave in course.waves:
        taken = len(kept) + len(begun.at_work) + sum(counts[number] for number in range(1, wave.number + 1))
        if counts[wave.number]:
            assert taken <= wave.until
    assert all(wave == 1 for name, wave in way.changed if name in begun.at_work)
