"""Who is patched when: a canary, then the rest; a failed canary stops everything."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fleet.node import Node, NodeRecord, State
from fleet.report.record import Outcome
from fleet.text import clean
from generator.errors import StypticError

# A canary that was out of reach, or had nothing to patch, proves nothing: the next takes its place, up to this many.
CANARIES = 3

CANARY, REST = 1, 2

Way = Callable[[Node, int], Awaitable[Outcome]]


@dataclass(slots=True)
class Rollout:
    """A rollout as it goes: every node has an outcome at every moment, `pending` until its own way ended.

    `stopped` says in words why the rest was left alone, None as long as nothing stopped it.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def exit_code(self) -> int:
        """3 when stopped; 10 when no node could be asked at all; 2 when a node that counts is not good; else 0."""
        states = [outcome.record.state for outcome in self.outcomes.values()]
        if self.stopped:
            return 3
        if all(state is State.SKIPPED for state in states):
            return 10
        return 0 if all(state.good or state is State.SKIPPED for state in states) else 2


def begun(node: Node, wave: int = 0, state: State = State.PENDING, error: str | None = None) -> Outcome:
    """Return the outcome of a node that nothing was done on yet."""
    whom = (node.name, node.address, node.environment, node.platform, node.release)
    return Outcome(NodeRecord(*whom, wave, state, error=error))


def prepare(nodes: Iterable[Node], left_out: Iterable[Outcome] = ()) -> Rollout:
    """Return a rollout in which `nodes` are pending and the others already have their end."""
    rollout = Rollout({outcome.record.name: outcome for outcome in left_out})
    rollout.outcomes |= {node.name: begun(node) for node in nodes}
    return rollout


async def run(
    rollout: Rollout, nodes: Sequence[Node], way: Way, *, concurrency: int, ended: Callable[[Outcome], None],
    canaries: int = CANARIES,
) -> None:
    """Send every node its `way(node, wave)`: canaries one at a time, then the rest, `concurrency` at a time.

    `ended` hears of every node once, at its end. Only a canary that `failed` stops the rest, which are then `skipped`:
    a `stale` one is patched as far as the data allows, and the others gain by the same. Where none of the first
    `canaries` nodes can be reached the fault is more likely ours, and the rest is left alone too. 0 sends all at once.
    """

    async def send(node: Node, wave: int) -> Outcome:
        try:
            outcome = await way(node, wave)
        except asyncio.CancelledError:
            rollout.outcomes[node.name] = begun(node, wave, error="interrupted on its way; see what it is at")
            raise
        except StypticError as error:  # the journal cannot be written, say
            outcome = begun(node, wave, State.FAILED, clean(str(error), 600))
        except Exception as error:  # one node's surprise is that node's end, not the rollout's
            fault = f"a fault in Styptic itself, please report it: {type(error).__name__}: {clean(str(error))}"
            outcome = begun(node, wave, State.FAILED, fault)
        rollout.outcomes[node.name] = outcome
        ended(outcome)
        return outcome

    waiting = deque(nodes)
    reached = False
    for _ in range(canaries):
        if not waiting:
            break
        canary = await send(waiting.popleft(), CANARY)
        if canary.record.state is State.FAILED:
            rollout.stopped = f"the canary {clean(canary.record.name, 100)} failed"
            break
        reached = reached or canary.record.state is not State.UNREACHABLE
        if canary.converged:
            break
    else:
        if canaries and not reached:
            rollout.stopped = f"none of the first {canaries} nodes could be reached"
    if not waiting:
        rollout.stopped = None  # nobody was left to be spared
    if rollout.stopped:
        for node in waiting:
            rollout.outcomes[node.name] = begun(node, 0, State.SKIPPED, f"not touched: {rollout.stopped}")
            ended(rollout.outcomes[node.name])
        return
    slots = asyncio.Semaphore(concurrency)

    async def in_turn(node: Node) -> None:
        async with slots:
            await send(node, REST)

    async with asyncio.TaskGroup() as group:
        for node in waiting:
            group.create_task(in_turn(node))
