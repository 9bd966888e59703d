"""Order and stopping of a rollout. The nodes' ways are made up here, because only time and order are asked about."""

import asyncio

import pytest

from fleet import rollout
from fleet.errors import SettingsError, StoppedError
from fleet.node import Node, State
from fleet.rollout import begun

pytestmark = pytest.mark.filterwarnings("error")


UNCHANGED = (State.UNREACHABLE, State.ALREADY_PATCHED, State.UNKNOWN)


class Ways:
    """A way for each node: it ends in the state given, and passes the gate unless that state is one of UNCHANGED.

    `order` are those that were sent, `changed` those that passed, with their waves; `most` and `most_changed` say how
    many were under way, and past the gate, at once.
    """

    def __init__(self, states: dict[str, State]):
        self.states = states
        self.order: list[str] = []
        self.changed: list[tuple[str, int]] = []
        self.under_way, self.past = 0, 0
        self.most, self.most_changed = 0, 0

    async def __call__(self, node, gate):
        self.order.append(node.name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.steps()
        state, wave = self.states.get(node.name, State.PATCHED), 0
        try:
            if state not in UNCHANGED:
                wave = await gate.enter(node.name)
                self.changed.append((node.name, wave))
                self.past += 1
                self.most_changed = max(self.most_changed, self.past)
                await self.steps()
                self.past -= 1
        except StoppedError as error:
            return begun(node, 0, State.SKIPPED, str(error))
        finally:
            self.under_way -= 1
        return begun(node, wave, state)

    async def steps(self):
        for _ in range(3):
            await asyncio.sleep(0)


def rolled(ways, count=5, concurrency=50, canary=True):
    nodes = [Node(f"n{number}", "production", "192.0.2.1") for number in range(1, count + 1)]
    going = rollout.prepare(nodes)
    heard = []
    asyncio.run(rollout.run(going, nodes, ways, concurrency=concurrency, ended=heard.append, canary=canary))
    assert sorted(each.record.name for each in heard) == sorted(node.name for node in nodes), "each is heard of once"
    return going


def states(going):
    return {name: outcome.record.state for name, outcome in going.outcomes.items()}


def test_the_canary_goes_alone_and_first():
    ways = Ways({})
    going = rolled(ways)
    assert ways.changed[0] == ("n1", rollout.CANARY)
    assert {wave for _, wave in ways.changed[1:]} == {rollout.REST}
    assert ways.most == ways.most_changed == 4, "the rest goes at once"
    assert going.exit_code == 0


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


def test_a_failure_after_the_canary_leaves_the_others_alone():
    going = rolled(Ways({"n3": State.FAILED}))
    assert [state for name, state in states(going).items() if name != "n3"] == [State.PATCHED] * 4
    assert going.exit_code == 2


def test_a_dead_canary_is_replaced():
    ways = Ways({"n1": State.UNREACHABLE})
    going = rolled(ways)
    assert ways.order[:2] == ["n1", "n2"]
    assert ways.changed[:2] == [("n2", rollout.CANARY), ("n3", rollout.REST)]
    assert states(going)["n5"] is State.PATCHED
    assert going.exit_code == 2


def test_where_nobody_answers_the_rest_is_left_alone():
    ways = Ways({f"n{number}": State.UNREACHABLE for number in range(1, 6)})
    going = rolled(ways)
    assert len(ways.order) == rollout.TRIES
    assert going.stopped == "none of the first 3 nodes could be reached"
    assert going.exit_code == 3


def test_with_nobody_left_nothing_was_stopped():
    assert rolled(Ways({"n1": State.FAILED}), count=1).exit_code == 2
    assert rolled(Ways({f"n{number}": State.UNREACHABLE for number in (1, 2, 3)}), count=3).exit_code == 2


def test_a_canary_with_nothing_to_patch_proves_nothing():
    """However many at the head of the queue are patched already, only one is changed until that one ended well."""
    ways = Ways({f"n{number}": State.ALREADY_PATCHED for number in range(1, 8)})
    going = rolled(ways, count=12)
    assert ways.changed[0] == ("n8", rollout.CANARY)
    assert [wave for _, wave in ways.changed[1:]] == [rollout.REST] * 4
    assert ways.most == 11, "who has nothing to patch holds nobody up"
    assert going.exit_code == 0


def test_a_canary_that_comes_late_and_fails_stops_those_who_wait_for_it():
    ways = Ways({"n1": State.ALREADY_PATCHED, "n2": State.ALREADY_PATCHED, "n3": State.FAILED})
    going = rolled(ways, count=6, concurrency=4)
    assert ways.changed == [("n3", rollout.CANARY)]
    assert states(going) == {
        "n1": State.ALREADY_PATCHED, "n2": State.ALREADY_PATCHED, "n3": State.FAILED,
        **dict.fromkeys(("n4", "n5", "n6"), State.SKIPPED),
    }
    assert {going.outcomes[name].record.error for name in ("n4", "n5", "n6")} == {"not touched: the canary n3 failed"}
    assert going.exit_code == 3


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_at_once_than_concurrency(most):
    ways = Ways({})
    rolled(ways, count=8, concurrency=most)
    assert ways.most == most


def test_without_a_canary_all_go_at_once():
    ways = Ways(dict.fromkeys(("n1", "n2", "n3", "n4", "n5"), State.UNKNOWN))
    going = rolled(ways, canary=False)
    assert ways.most == 5
    assert going.exit_code == 2


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

    going = rolled(Full({}), canary=False)
    assert set(states(going).values()) == {State.FAILED}
    assert going.outcomes["n1"].record.error == "the journal /j.db cannot be written: disk full."


def test_a_hostile_name_of_a_canary_is_cleaned():
    class Hostile(Ways):
        async def __call__(self, node, gate):
            node = Node("\x1b[2J" + "x" * 1000, node.environment) if node.name == "n1" else node
            return begun(node, 1, State.FAILED)

    stopped = rollout.prepare([])
    nodes = [Node("n1", "production"), Node("n2", "production")]
    asyncio.run(rollout.run(stopped, nodes, Hostile({}), concurrency=1, ended=lambda _: None))
    assert stopped.stopped.startswith("the canary ?[2Jxxx")
    assert len(stopped.stopped) < 130


def test_interrupted_nodes_stay_pending():
    nodes = [Node("n1", "production", "192.0.2.1"), Node("n2", "production", "192.0.2.2")]
    going = rollout.prepare(nodes)

    async def interrupted():
        started = asyncio.Event()

        async def way(node, gate):
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(rollout.run(going, nodes, way, concurrency=2, ended=lambda _: None))
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
