"""Who is patched when: wave by wave, each only after the one before went well enough."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fleet.cli import INTERRUPTED
from fleet.errors import NotYetError, StoppedError
from fleet.line import Line
from fleet.node import Node, NodeRecord, State
from fleet.report.record import NOT_TOUCHED, Outcome
from fleet.text import clean
from fleet.waves import Course, Tally, Wave
from generator.errors import StypticError

START = 4  # connections that a wave begins with; each that comes about makes room for one more at a time


def begun(node: Node, wave: int = 0, state: State = State.PENDING, error: str | None = None) -> Outcome:
    """Return the outcome of a node that nothing was done on yet."""
    whom = (node.name, node.address, node.environment, node.platform, node.release)
    return Outcome(NodeRecord(*whom, wave, state, error=error))


def spared(node: Node, why: str) -> Outcome:
    """Return the outcome of a node that was left alone because the rollout was stopped."""
    return begun(node, 0, State.SKIPPED, NOT_TOUCHED + why)


@dataclass(slots=True)
class Rollout:
    """A rollout as it goes: every node has an outcome at every moment, `pending` until its own way ended.

    `stopped` says in words why the rest was left alone, None as long as nothing stopped it. `halt`, there once it goes,
    stops it for the reason given and returns how many nodes are under way; `interrupted` says that a person did.
    `spare` returns the outcome of a node that is left alone for a reason.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    stopped: str | None = None
    halt: Callable[[str], int] | None = None
    interrupted: bool = False
    spare: Callable[[Node, str], Outcome] = spared

    @property
    def exit_code(self) -> int:
        """130 when a person stopped it, 3 when a limit did; 10 when no node could be asked at all; 2 when a node that
        counts is not good; else 0."""
        records = [outcome.record for outcome in self.outcomes.values()]
        if self.stopped:
            return INTERRUPTED if self.interrupted else 3
        if all(record.left_alone for record in records):
            return 10
        return 0 if all(record.state.good or record.left_alone for record in records) else 2


class Gate:
    """What a node passes before anything is changed on it: it has to find a place in the wave that is going.

    `stopped` says in words why nobody passes any more, None as long as nothing stopped it. `wave` is the number of the
    one that is going, `room` how many nodes may be on their way to being `reached`; `moved` is set whenever more may
    have become possible.
    """

    def __init__(self, line: Line | None = None):
        self.line = line
        self.wave = 0
        self.room = START
        self.stopped: str | None = None
        self.reached: set[str] = set()
        self.moved = asyncio.Event()

    def enter(self, name: str) -> int:
        """Return the wave in which the node may be changed, now.

        Raises StoppedError where the rollout was stopped, NotYetError where the wave has no place for it: then its way
        ends here, and it is sent again in a later one.
        """
        if self.stopped:
            raise StoppedError(NOT_TOUCHED + self.stopped)
        self.reach(name)
        if not self.line.admit(name):
            raise NotYetError("its wave has not begun")
        return self.wave or self.line.begun.at_work[name]

    def reach(self, name: str) -> None:
        """Hear that a node was reached, which makes room for one more."""
        if name not in self.reached:
            self.reached.add(name)
            self.room += 1
            self.moved.set()

    def left(self, name: str) -> None:
        """Hear that a node is no longer under way."""
        self.reached.discard(name)
        self.moved.set()

    def stop(self, why: str) -> None:
        """Let nobody pass any more."""
        self.stopped = self.stopped or clean(why, 160)
        self.moved.set()


Way = Callable[[Node, Gate], Awaitable[Outcome]]


def prepare(nodes: Iterable[Node], left_out: Iterable[Outcome] = ()) -> Rollout:
    """Return a rollout in which `nodes` are pending and the others already have their end."""
    rollout = Rollout({outcome.record.name: outcome for outcome in left_out})
    rollout.outcomes |= {node.name: begun(node) for node in nodes}
    return rollout


async def at_once(_: Wave) -> str | None:
    """Begin every wave without more ado."""
    return None


async def run(
    rollout: Rollout, nodes: Sequence[Node], way: Way, *, concurrency: int, ended: Callable[[Outcome], None],
    course: Course | None = None, begin: Callable[[Wave], Awaitable[str | None]] = at_once,
) -> None:
    """Send every node its `way(node, gate)`, wave by wave as `course` says, never more than `concurrency` at a time.

    A way passes the gate before it changes anything, and a wave has so many places: a node with nothing to patch takes
    none and holds nobody up, and one that is out of reach is replaced. A wave begins with START connections at once,
    each that comes about lets two follow, and it ends when all of its nodes have. `begin` is awaited before it, and
    returns (or says in a StypticError) why it shall not begin. `ended` hears of every node once, at its end. Who is
    spared when the course's limits stop the rollout is `skipped`. Without a course all are sent at once and nothing
    stops them.
    """
    line = Line(nodes, course.max_per_group, course.begun) if course else Line(nodes)
    gate = Gate(line)
    tally = Tally(course) if course else None

    def halt(why: str) -> int:
        gate.stop(why)
        return len(line.under_way)

    rollout.halt = halt

    async def send(node: Node, wave: Wave) -> None:
        try:
            outcome = await way(node, gate)
        except NotYetError:
            line.back(node.name)
            if rollout.outcomes[node.name].record.state.good:  # from before it was resumed, and that does not hold
                rollout.outcomes[node.name] = begun(node)
            return gate.left(node.name)
        except asyncio.CancelledError:
            rollout.outcomes[node.name] = begun(node, error="interrupted on its way; see what it is at")
            raise
        except StypticError as error:  # the journal cannot be written, say
            outcome = begun(node, 0, State.FAILED, clean(str(error), 600))
        except Exception as error:  # one node's surprise is that node's end, not the rollout's
            fault = f"a fault in Styptic itself, please report it: {type(error).__name__}: {clean(str(error))}"
            outcome = begun(node, 0, State.FAILED, fault)
        state = outcome.record.state
        rollout.outcomes[node.name] = outcome
        line.ended(node.name, state)
        if tally and (why := tally.add(outcome.record, wave, bool(gate.reached))):
            gate.stop(why)
        if state is not State.UNREACHABLE:
            gate.reach(node.name)
        gate.left(node.name)
        return ended(outcome)

    def more() -> bool:
        under_way = len(line.under_way)
        return not gate.stopped and under_way < concurrency and under_way - len(gate.reached) < gate.room

    async def go(wave: Wave) -> None:
        gate.wave, gate.room = wave.number, START if course else concurrency
        line.begin(wave)
        async with asyncio.TaskGroup() as group:
            while True:
                while more() and (node := line.next()):
                    group.create_task(send(node, wave))
                if not line.under_way:
                    break
                gate.moved.clear()
                await gate.moved.wait()

    for wave in course.waves if course else (Wave(1, "all", len(nodes), tuple(nodes), last=True),):
        if gate.stopped or not line.waiting:
            break
        if not line.wants(wave):
            continue
        try:
            if why := await begin(wave):
                gate.stop(why)
        except StypticError as error:
            gate.stop(str(error))
        if not gate.stopped:
            await go(wave)
    rest = line.rest() if gate.stopped else []
    for node in rest:
        rollout.outcomes[node.name] = rollout.spare(node, gate.stopped)
        ended(rollout.outcomes[node.name])
    if rest or any(rollout.outcomes[node.name].record.left_alone for node in nodes):
        rollout.stopped = gate.stopped
