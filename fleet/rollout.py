"""Who is patched when: a canary, then the rest; a failed canary stops everything."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fleet.errors import StoppedError
from fleet.node import Node, NodeRecord, State
from fleet.report.record import Outcome
from fleet.text import clean
from generator.errors import StypticError

# Where so many nodes at the head of the queue are out of reach, the fault is more likely ours than theirs.
TRIES = 3

CANARY, REST = 1, 2  # waves; 0 is that of a node on which nothing was to be changed


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


class Gate:
    """What a node passes before anything is changed on it: the first is the canary, the others wait for how it ends.

    `stopped` says in words why nobody passes any more, None as long as nothing stopped it.
    """

    def __init__(self):
        self.canary: str | None = None
        self.stopped: str | None = None
        self.decided = asyncio.Event()

    async def enter(self, name: str) -> int:
        """Wait until the node may be changed and return its wave. Raises StoppedError where the canary failed."""
        if self.canary is None and not self.stopped:
            self.canary = name
            return CANARY
        await self.decided.wait()
        if self.stopped:
            raise StoppedError(f"not touched: {self.stopped}")
        return REST

    def ended(self, record: NodeRecord) -> None:
        """Hear how a node ended. A canary that is `stale` was patched as far as the data allows and stops nobody."""
        if record.name == self.canary and not self.decided.is_set():
            if record.state is State.FAILED:
                self.stop(f"the canary {record.name} failed")
            self.decided.set()

    def stop(self, why: str) -> None:
        """Let nobody pass any more."""
        self.stopped = self.stopped or clean(why, 120)
        self.decided.set()


Way = Callable[[Node, Gate], Awaitable[Outcome]]


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
    canary: bool = True,
) -> None:
    """Send every node its `way(node, gate)`: one at a time until one is reached, then `concurrency` at a time.

    A way passes the gate before it changes anything, so that only one node is changed until that one, the canary, has
    ended well: a node with nothing to patch proves nothing and holds nobody up. `ended` hears of every node once, at
    its end. A first node that `failed` stops the rest, whether it came to the gate or not, and so do TRIES nodes in a
    row that are out of reach; who is spared is `skipped`. Without `canary` all are sent at once.
    """
    gate = Gate()

    async def send(node: Node) -> Outcome:
        try:
            outcome = await way(node, gate)
        except asyncio.CancelledError:
            rollout.outcomes[node.name] = begun(node, error="interrupted on its way; see what it is at")
            raise
        except StypticError as error:  # the journal cannot be written, say
            outcome = begun(node, 0, State.FAILED, clean(str(error), 600))
        except Exception as error:  # one node's surprise is that node's end, not the rollout's
            fault = f"a fault in Styptic itself, please report it: {type(error).__name__}: {clean(str(error))}"
            outcome = begun(node, 0, State.FAILED, fault)
        rollout.outcomes[node.name] = outcome
        gate.ended(outcome.record)
        ended(outcome)
        return outcome

    waiting = deque(nodes)
    out_of_reach = 0
    while canary and waiting:
        record = (await send(waiting.popleft())).record
        if record.state is State.FAILED:
            gate.stop(f"the canary {record.name} failed")
        if record.state is not State.UNREACHABLE:
            break
        out_of_reach += 1
        if out_of_reach == TRIES:
            gate.stop(f"none of the first {TRIES} nodes could be reached")
            break
    slots = asyncio.Semaphore(concurrency)

    async def in_turn(node: Node) -> None:
        async with slots:
            if gate.stopped:
                rollout.outcomes[node.name] = begun(node, 0, State.SKIPPED, f"not touched: {gate.stopped}")
                ended(rollout.outcomes[node.name])
            else:
                await send(node)

    async with asyncio.TaskGroup() as group:
        for node in waiting:
            group.create_task(in_turn(node))
    if any(outcome.record.state is State.SKIPPED for outcome in (rollout.outcomes[node.name] for node in nodes)):
        rollout.stopped = gate.stopped
