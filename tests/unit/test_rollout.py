"""Order and stopping of a rollout. The nodes' ways are made up here, because only time and order are asked about."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import rollout, waves
from fleet.errors import NotYetError, SettingsError, StoppedError
from fleet.node import Node, State
from fleet.rollout import begun
from fleet.waves import Amount, Course

NOBODY = "none of the first 3 nodes could be reached, and no --max-unreachable is given"
UNCHANGED = (State.UNREACHABLE, State.ALREADY_PATCHED, State.UNKNOWN, State.NOT_AFFECTED)


class Ways:
    """A way for each node: it ends in the state given, and passes the gate unless that state is one of UNCHANGED.

    `order` are those that were sent, `changed` those that passed, with their waves, `back` those that were sent back;
    `most` and `most_changed` say how many were under way, and past the gate, at once, `most_alike` how many of a group.
    """

    def __init__(self, states: dict[str, State]):
        self.states = states
        self.order: list[str] = []
        self.changed: list[tuple[str, int]] = []
        self.back: list[str] = []
        self.under_way, self.past = 0, 0
        self.most, self.most_changed, self.most_alike = 0, 0, 0
        self.groups: Counter = Counter()

    async def __call__(self, node, gate):
        self.order.append(node.name)
        self.under_way += 1
        self.groups[node.group] += 1
        self.most = max(self.most, self.under_way)
        self.most_alike = max(self.most_alike, self.groups[node.group])
        await self.steps()
        state, wave = self.states.get(node.name, State.PATCHED), 0
        try:
            if state not in UNCHANGED:
                wave = gate.enter(node.name)
                self.changed.append((node.name, wave))
                self.past += 1
                self.most_changed = max(self.most_changed, self.past)
                await self.steps()
                self.past -= 1
        except StoppedError as error:
            return begun(node, 0, State.SKIPPED, str(error))
        except NotYetError:
            self.back.append(node.name)
            raise
        finally:
            self.under_way -= 1
            self.groups[node.group] -= 1
        return begun(node, wave, state)

    async def steps(self):
        for _ in range(3):
            await asyncio.sleep(0)

    def waves(self):
        """Return how many were changed in each wave."""
        return Counter(wave for _, wave in self.changed)


def fleet(count):
    return [Node(f"n{number}", "production", "192.0.2.1") for number in range(1, count + 1)]


def course_of(nodes, said="canary,10%,100%", **limits):
    return Course(waves.cut(nodes, waves.steps(said, "--waves")), len(nodes), **limits)


def rolled(ways, count=5, concurrency=50, nodes=None, begin=rollout.at_once, course=True, **how):
    nodes = nodes or fleet(count)
    going = rollout.prepare(nodes)
    heard = []
    course = course_of(nodes, **how) if course else None
    asyncio.run(
        rollout.run(going, nodes, ways, concurrency=concurrency, ended=heard.append, course=course, begin=begin)
    )
    assert sorted(each.record.name for each in heard) == sorted(node.name for node in nodes), "each is heard of once"
    assert ways.most <= concurrency
    return going


def states(going):
    return {name: outcome.record.state for name, outcome in going.outcomes.items()}


def test_the_canary_goes_alone_and_first():
    ways = Ways({})
    going = rolled(ways)
    assert ways.changed[0] == ("n1", 1)
    assert ways.changed[1:] == [(f"n{number}", 2) for number in (2, 3, 4, 5)]
    assert ways.most == ways.most_changed == 4, "the rest goes at once"
    assert ways.back == []
    assert going.exit_code == 0


def test_each_release_has_its_canary_and_they_go_together():
    nodes = fleet(3) + [Node(f"w{number}", "production", None, "debian", f"7.{number}") for number in (1, 2)]
    ways = Ways({})
    rolled(ways, nodes=nodes)
    assert ways.changed == [("n1", 1), ("w1", 1), ("n2", 2), ("n3", 2), ("w2", 2)]
    assert ways.most == 3


def test_a_failed_canary_stops_everything():
    ways = Ways({"n1": State.FAILED})
    going = rolled(ways)
    assert ways.order == ["n1"]
    assert states(going) == {"n1": State.FAILED, **{f"n{number}": State.SKIPPED for number in (2, 3, 4, 5)}}
    assert going.outcomes["n4"].record.error == "not touched: the canary n1 failed"
    assert going.exit_code == 3


@pytest.mark.parametrize("state", [State.STALE, State.REBOOT_REQUIRED])
def test_a_canary_that_is_patched_but_not_done_stops_nobody(state):
    going = rolled(Ways({"n1": state}))
    assert states(going)["n5"] is State.PATCHED
    assert going.exit_code == 2


def test_a_failure_in_the_last_wave_leaves_the_others_alone():
    going = rolled(Ways({"n3": State.FAILED}))
    assert [state for name, state in states(going).items() if name != "n3"] == [State.PATCHED] * 4
    assert going.exit_code == 2


def test_a_failure_in_the_wave_before_stops_the_rest_and_those_under_way_end():
    ways = Ways({"n2": State.FAILED})
    going = rolled(ways, count=40)
    assert ways.waves() == {1: 1, 2: 3}
    assert [states(going)[name] for name in ("n2", "n3", "n4", "n5")] == [
        State.FAILED, State.PATCHED, State.PATCHED, State.SKIPPED
    ]
    assert going.stopped == "n2 failed in wave 2, and none may before the last"
    assert going.exit_code == 3


def test_failures_are_counted_across_the_waves():
    ways = Ways(dict.fromkeys(("n1", "n3", "n30", "n31"), State.FAILED))
    going = rolled(ways, count=100, concurrency=1, max_failures=Amount(2))
    assert going.stopped == "3 nodes failed, and --max-failures allows 2"
    assert [name for name, _ in ways.changed] == [f"n{number}" for number in range(1, 31)]
    assert going.exit_code == 3
    assert rolled(Ways({"n1": State.FAILED}), max_failures=Amount(100, True)).exit_code == 2


def test_a_dead_canary_is_replaced():
    ways = Ways({"n1": State.UNREACHABLE})
    going = rolled(ways)
    assert ways.order[:2] == ["n1", "n2"]
    assert ways.changed[:2] == [("n2", 1), ("n3", 2)]
    assert states(going)["n5"] is State.PATCHED
    assert going.exit_code == 2


def test_where_nobody_answers_the_rest_is_left_alone():
    ways = Ways({f"n{number}": State.UNREACHABLE for number in range(1, 61)})
    going = rolled(ways, count=60)
    assert len(ways.order) == waves.TRIES
    assert going.stopped == NOBODY
    assert going.exit_code == 3


def test_nodes_that_are_gone_at_the_head_of_the_queue_stop_nobody_who_said_how_many_may_be():
    """They are there each time anew: what search data says of them is the vulnerable version for ever."""
    gone = Ways({f"n{number}": State.UNREACHABLE for number in range(1, 6)})
    going = rolled(gone, count=60, max_unreachable=Amount(5))
    assert going.stopped is None
    assert going.exit_code == 2


def test_too_many_out_of_reach_stop_it_whichever_wave_they_are_in():
    ways = Ways({f"n{number}": State.UNREACHABLE for number in range(2, 99, 2)})
    going = rolled(ways, count=100)
    assert going.stopped == "6 nodes could not be reached, and --max-unreachable allows 5% (5)"
    assert ways.waves()[1] == 1
    assert ways.waves()[2] <= 9
    assert 3 not in ways.waves()
    assert rolled(Ways({"n2": State.UNREACHABLE}), max_unreachable=Amount(0)).exit_code == 3


def test_with_nobody_left_nothing_was_stopped():
    assert rolled(Ways({"n1": State.FAILED}), count=1).exit_code == 2
    dead = Ways({f"n{number}": State.UNREACHABLE for number in (1, 2, 3)})
    assert rolled(dead, count=3, max_unreachable=Amount(9)).exit_code == 2


def test_a_canary_with_nothing_to_patch_proves_nothing():
    """However many at the head of the queue are patched already, only one is changed until that one ended well."""
    ways = Ways({f"n{number}": State.ALREADY_PATCHED for number in range(1, 101)})
    going = rolled(ways, count=120)
    assert ways.waves() == {1: 1, 2: 11, 3: 8}
    assert ways.changed[0] == ("n101", 1)
    assert ways.most > 16, "who has nothing to patch holds nobody up: so many more are looked at with each"
    assert set(ways.back) <= {f"n{number}" for number in range(102, 121)}
    assert going.exit_code == 0


def test_a_node_sent_back_is_looked_at_anew_when_its_wave_comes():
    ways = Ways(dict.fromkeys(("n1", "n2", "n3"), State.ALREADY_PATCHED))
    rolled(ways, count=9)
    assert ways.changed == [("n4", 1), *((f"n{number}", 2) for number in range(5, 10))]
    assert ways.back
    assert all(ways.order.count(name) == 2 for name in ways.back)


def test_a_canary_that_comes_late_and_fails_stops_those_who_wait_for_it():
    ways = Ways({"n1": State.ALREADY_PATCHED, "n2": State.ALREADY_PATCHED, "n3": State.FAILED})
    going = rolled(ways, count=6, concurrency=4)
    assert ways.changed == [("n3", 1)]
    assert states(going) == {
        "n1": State.ALREADY_PATCHED, "n2": State.ALREADY_PATCHED, "n3": State.FAILED,
        **dict.fromkeys(("n4", "n5", "n6"), State.SKIPPED),
    }
    assert {going.outcomes[name].record.error for name in ("n4", "n5", "n6")} == {"not touched: the canary n3 failed"}
    assert going.exit_code == 3


def test_a_place_on_which_nothing_was_changed_is_given_to_the_next():
    class Spared(Ways):
        async def __call__(self, node, gate):
            outcome = await super().__call__(node, gate)
            return begun(node, 0, State.SKIPPED, "its load balancer keeps it") if node.name == "n1" else outcome

    ways = Spared({})
    going = rolled(ways)
    assert ways.changed[:3] == [("n1", 1), ("n2", 1), ("n3", 2)]
    assert (going.stopped, going.exit_code) == (None, 0)


@pytest.mark.parametrize("most", [1, 2, 9])
def test_no_more_at_once_than_concurrency(most):
    ways = Ways({})
    rolled(ways, count=90, concurrency=most)
    assert ways.most == most


@pytest.mark.parametrize("most", [1, 2])
def test_nodes_of_one_group_do_not_go_down_together(most):
    nodes = [Node(f"n{number}", "production", None, group=f"zone{number % 3}") for number in range(60)]
    ways = Ways({})
    rolled(ways, nodes=nodes, max_per_group=most)
    assert (ways.most_alike, ways.most) == (most, 3 * most)
    alone = Ways({})
    rolled(alone, nodes=fleet(9), max_per_group=most)
    assert alone.most == most, "those that have no group are one"


def test_without_a_course_all_go_at_once():
    ways = Ways(dict.fromkeys((f"n{number}" for number in range(1, 41)), State.UNREACHABLE))
    going = rolled(ways, count=40, course=False)
    assert ways.most == 40
    assert going.exit_code == 2


@given(
    st.lists(st.sampled_from(list(State)[1:]), min_size=1, max_size=50), st.integers(1, 20),
    st.sampled_from(["canary,10%,100%", "1,10%,50%,100%", "3", "100%", "canary"]),
    st.one_of(st.none(), st.integers(1, 3)), st.data(),
)
def test_whatever_happens_no_limit_is_exceeded(ends, concurrency, said, most, data):
    """`said` is held against what was changed by the end of each wave, whoever turned out to need nothing."""
    releases = data.draw(st.lists(st.sampled_from("789"), min_size=len(ends), max_size=len(ends)))
    nodes = [
        Node(f"n{number}", "production", None, "debian", release, group=f"zone{number % 4}")
        for number, release in enumerate(releases)
    ]
    ways = Ways({node.name: state for node, state in zip(nodes, ends, strict=True)})
    everything = {"max_failures": Amount(100, True), "max_unreachable": Amount(100, True)}
    going = rolled(ways, nodes=nodes, concurrency=concurrency, said=said, max_per_group=most, **everything)
    assert most is None or ways.most_alike <= most
    counts = Counter(wave for name, wave in ways.changed if ways.states[name] is not State.SKIPPED)
    for wave in course_of(nodes, said).waves:
        assert sum(counts[number] for number in range(1, wave.number + 1)) <= wave.until
    assert len(dict(ways.changed)) == len(ways.changed), "nobody is changed twice"
    assert going.stopped is None
    assert states(going) == ways.states
    assert {name for name, _ in ways.changed} == {n for n, state in ways.states.items() if state not in UNCHANGED}


def test_what_comes_before_a_wave_may_keep_it_from_beginning():
    begun_waves = []

    async def begin(wave):
        begun_waves.append(wave.number)
        if wave.number == 2:
            return "not confirmed before wave 2 of 3"
        return None

    ways = Ways({})
    going = rolled(ways, count=40, begin=begin)
    assert begun_waves == [1, 2]
    assert ways.order == ["n1"]
    assert going.outcomes["n40"].record.error == "not touched: not confirmed before wave 2 of 3"
    assert going.exit_code == 3


def test_a_wave_that_cannot_be_written_down_does_not_begin():
    async def begin(wave):
        raise SettingsError("the journal /j.db cannot be written: disk full.")

    ways = Ways({})
    assert rolled(ways, begin=begin).stopped == "the journal /j.db cannot be written: disk full."
    assert ways.order == []


def test_a_surprise_is_one_nodes_end():
    class Surprising(Ways):
        async def __call__(self, node, gate):
            if node.name == "n3":
                raise ZeroDivisionError("a\x1b[31mb")
            return await super().__call__(node, gate)

    going = rolled(Surprising({}))
    assert states(going)["n3"] is State.FAILED
    assert going.outcomes["n3"].record.error.endswith("ZeroDivisionError: a?[31mb")
    assert states(going)["n5"] is State.PATCHED


def test_what_can_happen_to_a_way_is_said_in_its_own_words():
    class Full(Ways):
        async def __call__(self, node, gate):
            raise SettingsError("the journal /j.db cannot be written: disk full.")

    going = rolled(Full({}), course=False)
    assert set(states(going).values()) == {State.FAILED}
    assert going.outcomes["n1"].record.error == "the journal /j.db cannot be written: disk full."


def test_interrupted_nodes_stay_pending():
    nodes = fleet(2)
    going = rollout.prepare(nodes)

    async def interrupted():
        started = asyncio.Event()

        async def way(node, gate):
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            rollout.run(going, nodes, way, concurrency=2, ended=lambda _: None, course=course_of(nodes))
        )
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert set(states(going).values()) == {State.PENDING}
    assert [going.outcomes[name].record.error for name in ("n1", "n2")] == [
        "interrupted on its way; see what it is at", None,
    ]
    assert going.exit_code == 2


def test_nobody_to_ask_is_no_success():
    node = Node("win1", "production", "192.0.2.9", "windows", "10")
    going = rollout.prepare([], [begun(node, state=State.SKIPPED, error="not a platform")])
    assert going.exit_code == 10
