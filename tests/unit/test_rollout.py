"""Order and stopping of a rollout. The nodes' ways are made up here, because only time and order are asked about."""

import asyncio

import pytest

from fleet import rollout
from fleet.errors import SettingsError
from fleet.node import Node, State
from fleet.rollout import begun

pytestmark = pytest.mark.filterwarnings("error")


class Ways:
    """A way for each node: it ends in the state given, and remembers who was under way at once."""

    def __init__(self, states: dict[str, State], converged: bool = True):
        self.states, self.converged = states, converged
        self.order: list[tuple[str, int]] = []
        self.under_way: set[str] = set()
        self.most = 0

    async def __call__(self, node, wave):
        self.order.append((node.name, wave))
        self.under_way.add(node.name)
        self.most = max(self.most, len(self.under_way))
        for _ in range(3):
            await asyncio.sleep(0)
        self.under_way.discard(node.name)
        outcome = begun(node, wave, self.states.get(node.name, State.PATCHED))
        outcome.converged = self.converged and outcome.record.state is not State.UNREACHABLE
        return outcome


def rolled(ways, count=5, concurrency=50, canaries=rollout.CANARIES):
    nodes = [Node(f"n{number}", "production", "192.0.2.1") for number in range(1, count + 1)]
    going = rollout.prepare(nodes)
    heard = []
    asyncio.run(rollout.run(going, nodes, ways, concurrency=concurrency, ended=heard.append, canaries=canaries))
    assert sorted(each.record.name for each in heard) == [node.name for node in nodes], "every node is heard of once"
    return going


def states(going):
    return {name: outcome.record.state for name, outcome in going.outcomes.items()}


def test_the_canary_goes_alone_and_first():
    ways = Ways({})
    going = rolled(ways)
    assert ways.order[0] == ("n1", rollout.CANARY)
    assert {wave for _, wave in ways.order[1:]} == {rollout.REST}
    assert ways.most == 4, "the rest goes at once"
    assert going.exit_code == 0


def test_a_failed_canary_stops_everything():
    ways = Ways({"n1": State.FAILED})
    going = rolled(ways)
    assert ways.order == [("n1", 1)]
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
    assert ways.order[:2] == [("n1", 1), ("n2", 1)]
    assert ways.order[2][1] == rollout.REST
    assert states(going)["n5"] is State.PATCHED
    assert going.exit_code == 2


def test_where_nobody_answers_the_rest_is_left_alone():
    ways = Ways({f"n{number}": State.UNREACHABLE for number in range(1, 6)})
    going = rolled(ways)
    assert len(ways.order) == rollout.CANARIES
    assert going.stopped == "none of the first 3 nodes could be reached"
    assert going.exit_code == 3


def test_with_nobody_left_nothing_was_stopped():
    assert rolled(Ways({"n1": State.FAILED}), count=1).exit_code == 2
    assert rolled(Ways({f"n{number}": State.UNREACHABLE for number in (1, 2, 3)}), count=3).exit_code == 2


def test_a_canary_with_nothing_to_patch_proves_nothing():
    ways = Ways({f"n{number}": State.ALREADY_PATCHED for number in range(1, 8)}, converged=False)
    going = rolled(ways, count=7)
    assert [wave for _, wave in ways.order] == [1, 1, 1, 2, 2, 2, 2]
    assert going.exit_code == 0


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_at_once_than_concurrency(most):
    ways = Ways({})
    rolled(ways, count=8, concurrency=most)
    assert ways.most == most


def test_without_canaries_all_go_at_once():
    ways = Ways({"n1": State.FAILED})
    going = rolled(ways, canaries=0)
    assert {wave for _, wave in ways.order} == {rollout.REST}
    assert ways.most == 5
    assert going.exit_code == 2


def test_a_surprise_is_one_nodes_end():
    class Surprising(Ways):
        async def __call__(self, node, wave):
            if node.name == "n3":
                raise ZeroDivisionError("a\x1b[31mb")
            return await super().__call__(node, wave)

    going = rolled(Surprising({}))
    assert states(going)["n3"] is State.FAILED
    assert going.outcomes["n3"].record.error.endswith("ZeroDivisionError: a?[31mb")
    assert states(going)["n5"] is State.PATCHED


def test_what_can_happen_to_a_way_is_said_in_its_own_words():
    class Full(Ways):
        async def __call__(self, node, wave):
            raise SettingsError("the journal /j.db cannot be written: disk full.")

    going = rolled(Full({}), canaries=0)
    assert set(states(going).values()) == {State.FAILED}
    assert going.outcomes["n1"].record.error == "the journal /j.db cannot be written: disk full."


def test_a_hostile_name_of_a_canary_is_cleaned():
    class Hostile(Ways):
        async def __call__(self, node, wave):
            node = Node("\x1b[2J" + "x" * 1000, node.environment) if node.name == "n1" else node
            return begun(node, wave, State.FAILED)

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

        async def way(node, wave):
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
