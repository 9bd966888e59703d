"""When a node could be bled: since when a vulnerable version was installed, and until when a process last ran it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from fleet.journal import utc
from generator.exposure import Event, Found

#: What is known of it. OPEN: it can be bled now. CLOSED: until when is known. UNPROVEN: the fixed version is installed,
#: and nothing shows when the last process stopped to run the old one. UNSEEN: nothing shows which version was there
#: before. NEVER: it never had a vulnerable one. UNKNOWN: no advisory can speak of what it has.
OPEN, CLOSED, UNPROVEN, UNSEEN, NEVER, UNKNOWN = "open", "closed", "unproven", "unseen", "never", "unknown"
DPKG = "dpkg's log"  # it alone says that nothing was there before
SLACK = 60  # seconds by which two clocks may differ that were compared


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by the controller's clock, in seconds since 1970, and who says so."""

    at: float
    by: str

    @property
    def time(self) -> datetime:
        """The moment in UTC."""
        return datetime.fromtimestamp(self.at, UTC)

    def __str__(self) -> str:
        return f"{utc(self.time)[:19]}Z ({self.by})"


@dataclass(frozen=True, slots=True)
class Window:
    """A node's window: `state` is one of the six above, `why` says what OPEN, UNSEEN and UNKNOWN rest on.

    `since` is when the vulnerable version came (None: before all that is written down), `replaced` when the fixed one
    took its place, `until` when no process ran the old one any more, as far as each is known. `offset` is how many
    seconds the node's clock is ahead of the controller's.
    """

    state: str
    since: Moment | None = None
    replaced: Moment | None = None
    until: Moment | None = None
    why: str | None = None
    offset: int = 0

    @property
    def limit(self) -> datetime | None:
        """Keys that were there at this moment may have leaked; None where no such moment is known."""
        if self.state == OPEN:
            return datetime.max.replace(tzinfo=UTC)
        known = {CLOSED: self.until, UNPROVEN: self.replaced}.get(self.state)
        return known.time if known else None


@dataclass(frozen=True, slots=True)
class Span:
    """A version of a package was installed from `start` to `end`, the node's clock; None is not known, and still."""

    version: str
    start: int | None
    end: int | None
    by: str
    fresh: bool = False  # nothing of the package was there before


def spans(events: Sequence[Event], installed: str | None, written: int | None = None) -> list[Span]:
    """Return which versions of one package were there when; `events` are in order, `installed` is what is there now.

    `written` is when the package manager last wrote its list of files, which is weaker and counts where there is no
    event. Where a log ends with another version than is installed, it is not known when that one went.
    """
    came = [event for event in events if event.version]
    found = []
    for event, following in pairwise([*came, None]):
        fresh = event is events[0] and event.before is None and event.by == DPKG
        found.append(Span(event.version, event.at, following and following.at, event.by, fresh))
    first = {event.version: event.at for event in reversed(came)}
    ended = {(span.version, span.end) for span in found}
    # What went at another moment: it came before the log began, nothing took its place, or there are two architectures.
    found = [
        *(Span(event.before, first.get(event.before), event.at, event.by) for event in events
          if event.before and (event.before, event.at) not in ended), *found,
    ]
    if installed is None or (found and found[-1].version == installed):
        return found
    if not found:
        return [Span(installed, written, None, "the time of dpkg's list of its files")]
    return [*found, Span(installed, None, None, "the package manager")]


@dataclass(frozen=True, slots=True)
class Proof:
    """At a moment of our clock a run of ours, or the recipe, found the node in order (`good`), or with a vulnerable
    version (not `good`). That processes ran some old library is neither.
    """

    at: float
    good: bool
    by: str


Judge = Callable[[Mapping[str, str]], object]  # packages to a generator.verdict.Verdict


def of(
    found: Found, packages: Mapping[str, str], judge: Judge, bleeding: str | None, proofs: Sequence[Proof], offset: int
) -> Window:
    """Return a node's window.

    `found` is what generator.exposure read there, `packages` what the node has now by its package manager, `judge` says
    what the advisories make of packages. `bleeding` says which processes run an old library now, None where none does:
    after a proof that none did, that is one with the fix. `offset` is how many seconds the node's clock is ahead.
    """
    now = judge(packages)
    if now.kind not in ("fixed", "vulnerable", "not_affected"):
        return Window(UNKNOWN, why=now.reason, offset=offset)
    by_package: dict[str, list[Event]] = {name: [] for name in packages}
    for event in found.events:
        by_package.setdefault(event.package, []).append(event)
    every = {name: spans(events, packages.get(name), found.lists.get(name)) for name, events in by_package.items()}
    bad = [
        span for name, known in every.items() for span in known if judge({name: span.version}).kind == "vulnerable"
    ]
    starts = [span.start for span in bad]
    since = None
    if starts and None not in starts:
        first = min(bad, key=lambda span: span.start)
        since = Moment(first.start - offset, first.by)
    ends = [Moment(span.end - offset, span.by) for span in bad if span.end is not None]
    replaced = max(ends, key=lambda moment: moment.at, default=None)
    if now.kind == "vulnerable":
        why = f"a vulnerable version is installed: {now.reason.rstrip('.')}"
        return Window(OPEN, since, why=why, offset=offset)
    was_bad = bool(bad) or not all(proof.good for proof in proofs)
    if now.kind == "not_affected" and not was_bad:
        return Window(NEVER, why=now.reason, offset=offset)
    until = proven(replaced, proofs, found.booted and found.booted - offset)
    if bleeding and not until:
        return Window(OPEN, since, replaced, why=bleeding, offset=offset)
    if was_bad:
        return Window(CLOSED if until else UNPROVEN, since, replaced, until, offset=offset)
    if all(known and known[0].fresh for known in every.values()):
        return Window(NEVER, why="it was installed with a fixed version", offset=offset)
    return Window(UNSEEN, until=until, why="nothing shows which version it had before", offset=offset)


def proven(replaced: Moment | None, proofs: Iterable[Proof], booted: float | None) -> Moment | None:
    """Return the first moment at which no process can have run the old version any more; None where none is known.

    That is the first proof after the fixed version came and after the last time a vulnerable one was seen; or the start
    of the machine, where that was after the fixed version came.
    """
    proofs = list(proofs)
    after = max((proof.at for proof in proofs if not proof.good), default=0.0)
    if replaced:
        after = max(after, replaced.at - SLACK)
    moments = [Moment(proof.at, proof.by) for proof in proofs if proof.good and proof.at >= after]
    if replaced and booted and booted > replaced.at:
        moments.append(Moment(booted, "the machine was started then"))
    return min(moments, key=lambda moment: moment.at, default=None)
