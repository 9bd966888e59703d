"""Waves: how many nodes may be changed before the next look at how it goes, and how much may go wrong. Planning and
counting alone: nothing here waits or connects."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fleet.errors import SettingsError
from fleet.node import Node, NodeRecord, State
from fleet.text import clean
from generator import platforms

CANARY = "canary"
MOST_CANARIES = 20  # a node's release is its own word: as many as there are nodes would make one wave of them all
NAMED = 5  # names told of canaries
# Where so many nodes at the head of the queue are out of reach, the fault is more likely ours than theirs.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of nodes, or, with `share`, that many percent of them."""

    number: int
    share: bool = False

    def of(self, total: int) -> int:
        """Return how many of `total` nodes it is; a share is rounded down, but to no less than one unless it is 0 %."""
        return max(self.number * total // 100, min(self.number, 1)) if self.share else self.number

    def __str__(self) -> str:
        return f"{self.number}{'%' * self.share}"


Steps = tuple[Amount | None, ...]  # what --waves says; None is CANARY
DEFAULT: Steps = (None, Amount(10, True), Amount(100, True))
FIVE_PERCENT = Amount(5, True)


def amount(value: object, where: str) -> Amount:
    """Return the number or share that a person wrote; raises SettingsError, naming `where`, for anything else."""
    said = re.fullmatch(r"(\d{1,7})(%?)", str(value).strip(), re.ASCII)
    if isinstance(value, bool) or not said or (said[2] and int(said[1]) > 100):
        raise SettingsError(f"{where} must be a number of nodes or a share of them (3, 5%), not {clean(str(value))!r}.")
    return Amount(int(said[1]), bool(said[2]))


def steps(value: object, where: str) -> Steps:
    """Return what --waves says, `1,10%,50%,100%` or a list of the same; raises SettingsError where it makes no sense.

    Each says how many nodes are changed in all when its wave ends, so numbers grow, and so do shares; `canary` may
    stand first.
    """
    words = value if isinstance(value, (list, tuple)) else str(value).split(",")
    words = [str(each).strip() for each in words]
    found: list[Amount | None] = [None] if words[:1] == [CANARY] else []
    found += [amount(each, f"{where}, each of it but a first `canary`,") for each in words[len(found):]]
    if not found:
        raise SettingsError(f"{where} wants at least one wave, `canary,10%,100%` say.")
    for share in (False, True):
        counts = [each.number for each in found if each and each.share is share]
        if counts != sorted(set(counts)) or 0 in counts:
            raise SettingsError(
                f"{where} must grow from wave to wave, because each says how many nodes are changed in all when it "
                f"ends, not {clean(','.join(words))!r}."
            )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Wave:
    """`number` counts from 1, `title` says which it is; at most `until` nodes are changed in all when it ends.

    `nodes` are whom search data puts into it, in their order: who turns out to need nothing, or is out of reach, gives
    the place to the next. A canary wave has `releases`, each with a place for one of its nodes; the others have none.
    With `again` it is what a rollout that was resumed looks at before all else, and has no place of its own: see Begun.
    """

    number: int
    title: str
    until: int
    nodes: tuple[Node, ...]
    last: bool
    canary: bool = False
    releases: frozenset = frozenset()
    again: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """What the earlier part of a rollout that is resumed did with its nodes, by their names.

    Those it was `at_work` on keep the place they have in the wave given; those it `changed` and that were good then
    keep theirs as long as they need nothing; those it found `in_order` have none.
    """

    at_work: Mapping[str, int] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    in_order: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self.changed | self.in_order | self.at_work.keys()


NOTHING_BEGUN = Begun()


def release_of(node: Node) -> object:
    """Return what tells a node's platform release from others: an advisory's name for it, else the node's own words."""
    known = platforms.release_of(node.platform, node.release or "") if node.platform in platforms.FAMILY else None
    return str(known) if known else (node.platform, node.release)


def cut(nodes: Sequence[Node], said: Steps, likely: Callable[[Node], bool] = lambda _: True) -> tuple[Wave, ...]:
    """Return the waves for these nodes, each node in exactly one of them; within a wave their order stays.

    A canary goes for every platform release (at most MOST_CANARIES) that has a node `likely` to need something; where
    none has, the first node is the only one. A step that would bring no node is no wave, and the last takes the rest.
    """
    left = list(nodes)
    waves: list[tuple] = []
    until = 0
    for step in (*said, Amount(100, True)):
        if not left:
            break
        releases: dict = {}
        if step is None:
            for node in left:
                if len(releases) < MOST_CANARIES and likely(node):
                    releases.setdefault(release_of(node), node)
            chosen = {node.name for node in releases.values()} or {left[0].name}
        else:
            chosen = {node.name for node in left[: max(0, step.of(len(nodes)) - until)]}
        if not chosen:
            continue
        until += len(chosen)
        waves.append((until, step, tuple(node for node in left if node.name in chosen), frozenset(releases)))
        left = [node for node in left if node.name not in chosen]
    return tuple(
        Wave(number, title(step, until, len(nodes)), until, members, number == len(waves), step is None, releases)
        for number, (until, step, members, releases) in enumerate(waves, 1)
    )


def title(step: Amount | None, until: int, total: int) -> str:
    """Return in words which wave a step makes that ends when `until` of `total` nodes are changed."""
    if step is None:
        return "a canary" if until == 1 else f"{until} canaries, one of each platform release"
    if until == total:
        return "the rest"
    return f"until {f'{step}, {until}' if step.share else until} of {total} nodes are changed"


@dataclass(frozen=True, slots=True)
class Course:
    """How a rollout over `total` nodes goes: its waves, what stops it, how many of one group are under way at once.

    `max_failures` None is the default: none before the last wave, and 5 % in all; `max_unreachable` None likewise: 5 %,
    and not all of the first ones. `max_per_group` None: groups do not matter. `begun` is what an earlier part of it
    did, where it is resumed.
    """

    waves: tuple[Wave, ...]
    total: int
    max_failures: Amount | None = None
    max_unreachable: Amount | None = None
    max_per_group: int | None = None
    begun: Begun = NOTHING_BEGUN

    def said(self) -> Iterable[tuple[str, str]]:
        """Yield what a person should know of it before it begins: a heading and a line."""
        first, *_ = (*(wave.number for wave in self.waves), 0)
        for wave in self.waves:
            names = f": {', '.join(clean(node.name, 100) for node in wave.nodes[:NAMED])}" if wave.canary else ""
            more = f" and {len(wave.nodes) - NAMED} more" if names and len(wave.nodes) > NAMED else ""
            number = "first" if wave.again else wave.number
            yield "" if wave.number > first else "waves", f"{number}: {wave.title}{names}{more}"
        if self.max_failures is None:
            most = f"one failure before the last wave, more than {self.counted(FIVE_PERCENT)} in the whole rollout"
        else:
            most = f"more than {self.counted(self.max_failures)} failures in the whole rollout"
        gone = self.counted(self.max_unreachable or FIVE_PERCENT)
        yield "stopped by", f"{most}, or more than {gone} nodes out of reach"
        if self.max_per_group is not None:
            yield "spread", f"at most {self.max_per_group} of one group at once; nodes that have none are one group"

    def counted(self, most: Amount) -> str:
        """Return an amount with what it comes to here."""
        return f"{most} ({most.of(self.total)})" if most.share else str(most)


@dataclass(slots=True)
class Tally:
    """Counts how the nodes of a course ended, across all of its waves."""

    course: Course
    reached: int = 0
    failed: int = 0
    unreachable: int = 0

    def add(self, record: NodeRecord, wave: Wave, others: bool = False) -> str | None:
        """Count how a node ended in `wave`; return in words why the rollout is to stop, None where it goes on.

        `others` says that a node which was reached is under way.
        A node that is `stale` or owes a reboot was patched as far as the data allows and is no failure. One whose drain
        failed is one: what kept it in will keep in others, and each of them may have been half out for a while.
        """
        course = self.course
        if record.state is State.UNREACHABLE:
            self.unreachable += 1
            if course.max_unreachable is None and self.unreachable == TRIES and not (self.reached or others):
                return f"none of the first {TRIES} nodes could be reached, and no --max-unreachable is given"
            most = course.max_unreachable or FIVE_PERCENT
            if self.unreachable > most.of(course.total):
                allowed = course.counted(most)
                return f"{nodes(self.unreachable)} could not be reached, and --max-unreachable allows {allowed}"
            return None
        self.reached += 1
        if record.state is not State.FAILED and not record.kept_in:
            return None
        self.failed += 1
        if course.max_failures is None and wave.canary:
            return f"the canary {clean(record.name, 80)} failed"
        if course.max_failures is None and wave.again:
            return f"{clean(record.name, 80)}, which was begun before, failed, and none may before the last wave"
        if course.max_failures is None and not wave.last:
            return f"{clean(record.name, 80)} failed in wave {wave.number}, and none may before the last"
        most = FIVE_PERCENT if course.max_failures is None else course.max_failures
        if self.failed > most.of(course.total):
            return f"{nodes(self.failed)} failed, and --max-failures allows {course.counted(most)}"
        return None


def nodes(count: int) -> str:
    """Return a number of nodes in words."""
    return f"{count} node{'s' * (count != 1)}"
