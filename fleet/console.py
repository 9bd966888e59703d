"""What a rollout shows: a live table at a terminal, one line a node in a pipe, and at the end what matters first."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO

from fleet import live_seen
from fleet.cli import silence
from fleet.node import State
from fleet.report.record import Outcome
from fleet.rollout import Rollout
from fleet.text import clean

# The order in which states are counted and listed: what needs a person comes first.
ORDER = (
    State.FAILED, State.STALE, State.REBOOT_REQUIRED, State.UNREACHABLE, State.UNKNOWN, State.PENDING, State.SKIPPED,
    State.PATCHED, State.ALREADY_PATCHED, State.NOT_AFFECTED,
)
COLOURS = {
    State.FAILED: "bold red", State.STALE: "red", State.REBOOT_REQUIRED: "yellow", State.UNREACHABLE: "red",
    State.UNKNOWN: "yellow", State.PATCHED: "green", State.ALREADY_PATCHED: "green", State.NOT_AFFECTED: "green",
}
NAMED = 5  # names told of nodes that were left alone for one reason


class Steady:
    """A stream that drops what cannot be written: a reader that goes away, a full disk or a terminal that hung up
    ends what is shown, never the rollout."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Write `text`, or drop it."""
        try:
            return self.stream.write(text)
        except OSError:
            silence(self.stream)
            return len(text)

    def flush(self) -> None:
        """Send what was written."""
        try:
            self.stream.flush()
        except OSError:
            silence(self.stream)

    def __getattr__(self, name: str):
        return getattr(self.stream, name)


class Lines:
    """One line a node, as it ends: `NAME  STATE  SECONDS s  WHAT`, for a pipe or a log."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = Steady(stream or sys.stdout)

    def begin(self, total: int) -> None:
        """Nothing is said before a node ended."""

    def step(self, name: str, step: str) -> None:
        """A node's steps are for a table that moves."""

    def ended(self, outcome: Outcome) -> None:
        """Say how a node ended."""
        record = outcome.record
        self.say(f"{clean(record.name, 100)}  {record.state}  {record.seconds:.1f} s  {told(outcome)}".rstrip())

    def wave(self, line: str) -> None:
        """Say that a wave begins."""
        self.say(line)

    def held(self) -> AbstractContextManager:
        """Return what holds still while a person is asked: here nothing moves."""
        return nullcontext()

    def say(self, line: str) -> None:
        """Write one line at once."""
        print(line, file=self.stream, flush=True)

    def close(self) -> None:
        """Nothing was opened."""


class Quiet(Lines):
    """Says nothing while it goes on."""

    def ended(self, outcome: Outcome) -> None:
        """The conclusion tells."""

    def wave(self, line: str) -> None:
        """The report tells."""


class Live(Lines):
    """A table of the nodes at work and those that ended last, above a bar, on a terminal."""

    ROWS = 15

    def __init__(self, stream: TextIO | None = None):
        super().__init__(stream)
        from rich.console import Console
        from rich.live import Live as RichLive
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        self.console = Console(file=self.stream, markup=False, emoji=False, highlight=False)
        self.bar = Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=self.console)
        self.task = self.bar.add_task("nodes", total=None)
        self.at_work: dict[str, str] = {}
        self.done: list[Outcome] = []
        self.live = RichLive(get_renderable=self.picture, console=self.console, refresh_per_second=4)

    def begin(self, total: int) -> None:
        """Draw the empty table."""
        self.bar.update(self.task, total=total)
        self.live.start()

    def step(self, name: str, step: str) -> None:
        """Show what a node is at; one that is at nothing leaves the table."""
        if step:
            self.at_work[name] = step
        else:
            self.at_work.pop(name, None)

    def wave(self, line: str) -> None:
        """Say above the table that a wave begins."""
        self.console.print(line, soft_wrap=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the table still while a person is asked."""
        self.live.stop()
        try:
            yield
        finally:
            self.live.start(refresh=True)

    def ended(self, outcome: Outcome) -> None:
        """Move a node from those at work to those that ended; what needs a person stays above the table."""
        self.at_work.pop(outcome.record.name, None)
        self.done.append(outcome)
        self.bar.advance(self.task)
        if not (outcome.record.state.good or outcome.record.state is State.SKIPPED):
            self.console.print(self.row_text(outcome), soft_wrap=True)

    def picture(self):
        """Return the table and the bar."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(expand=False, box=None)
        for heading in ("node", "state", "seconds", ""):
            table.add_column(heading, overflow="ellipsis", no_wrap=True)
        room = self.room
        at_work = list(self.at_work.items())[:room]
        for outcome in self.done[-(room - len(at_work)):] if room > len(at_work) else []:
            record = outcome.record
            table.add_row(
                Text(clean(record.name, 40)), Text(record.state, COLOURS.get(record.state, "")),
                Text(f"{record.seconds:.1f}"), Text(told(outcome)),
            )
        for name, step in at_work:
            table.add_row(Text(clean(name, 40)), Text(step, "cyan"), Text(""), Text(""))
        return Group(table, self.bar)

    def row_text(self, outcome: Outcome):
        """Return one node's line with its state in colour."""
        from rich.text import Text

        record = outcome.record
        return Text.assemble(
            clean(record.name, 100), "  ", (record.state.value, COLOURS.get(record.state, "")), "  ", told(outcome)
        )

    @property
    def room(self) -> int:
        """How many nodes the table shows at once."""
        return max(3, min(self.ROWS, self.console.height - 5))

    def close(self) -> None:
        """Leave the table standing if it holds every node, else take it away; what follows are plain lines."""
        self.live.transient = len(self.done) > self.room
        self.live.stop()


def for_stream(stream: TextIO | None = None, quiet: bool = False) -> Lines:
    """Return what shows a rollout on this stream (standard output unless given)."""
    stream = stream or sys.stdout
    if quiet:
        return Quiet(stream)
    moves = stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return Live(stream) if moves else Lines(stream)


def told(outcome: Outcome) -> str:
    """Return what there is to say of a node that ended, in one line."""
    record = outcome.record
    if record.error:
        return clean(record.error, 600)
    said = [
        f"{clean(name, 60)} {clean(before or 'absent', 60)} -> {clean(after, 60)}"
        for name, after in sorted(record.packages_after.items())
        if (before := record.packages_before.get(name)) != after and record.packages_before
    ]
    said += [clean(action, 120) for action in record.actions]
    said += [clean(record.note, 300)] if record.note else []
    return "; ".join(said + [clean(each, 300) for each in live_seen.said(outcome.checks)])


def counts(outcomes: Iterable[Outcome]) -> str:
    """Return how many nodes are in which state, in words."""
    counted = Counter(outcome.record.state for outcome in outcomes)
    return ", ".join(f"{counted[state]} {state.replace('_', ' ')}" for state in ORDER if counted[state])


def conclusion(rollout: Rollout, whom: str) -> Iterator[str]:
    """Yield the last words: one sentence with what matters, then who needs a person, why and what to do."""
    outcomes = list(rollout.outcomes.values())
    good = sum(outcome.record.state.good for outcome in outcomes)
    skipped = sum(outcome.record.state is State.SKIPPED for outcome in outcomes)
    counted = counts(outcomes)
    whom = clean(whom, 200)
    if rollout.stopped:
        yield f"Stopped: {clean(rollout.stopped)}; {skipped} of {len(outcomes)} nodes of {whom} left alone ({counted})."
    elif rollout.exit_code == 0:
        asked = sum(outcome.record.started is not None for outcome in outcomes if outcome.record.state.good)
        verified = "and verified" if asked == good else f"and {asked} of them verified, the others not affected"
        yield f"{whom}: {good} of {len(outcomes)} nodes are good {verified} ({counted})."
    elif skipped == len(outcomes):
        yield f"{whom}: none of {len(outcomes)} nodes was asked."
    else:
        yield f"{whom}: {len(outcomes) - good} of {len(outcomes)} nodes are not good ({counted})."
    yield from needing_a_person(outcomes)


def follow_up(rollout: Rollout, advisories: Sequence) -> Iterator[str]:
    """Yield what is left to do about what may have leaked before, if a node was patched: no package changes that. And
    what has to be known of nodes that are good.
    """
    noted = Counter(outcome.record.note for outcome in rollout.outcomes.values() if outcome.record.note)
    for note, count in noted.items():
        yield f"{count} of {len(rollout.outcomes)} nodes: {clean(note, 600)}."
    if any(outcome.record.state is State.PATCHED for outcome in rollout.outcomes.values()):
        for advisory in advisories:
            if advisory.follow_up:
                yield f"{clean(advisory.id)} may have leaked before: {clean(advisory.follow_up, 600)}."


def needing_a_person(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield a line for each node that is not good, worst state first.

    Nodes that were left alone, and those not yet reached when the rollout was interrupted, are told together.
    """
    alone: dict[tuple[State, str], list[str]] = {}
    for outcome in sorted(outcomes, key=lambda each: (ORDER.index(each.record.state), each.record.name)):
        record = outcome.record
        if record.state.good:
            continue
        if record.state is State.SKIPPED or (record.state is State.PENDING and not record.error):
            why = told(outcome) or "not reached"
            alone.setdefault((record.state, why), []).append(clean(record.name, 100))
            continue
        yield f"  {clean(record.name, 100)} ({record.state}): {told(outcome) or 'see the report'}"
        if outcome.todo:
            yield f"    to do: {clean(outcome.todo, 600)}"
    for (state, why), names in alone.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"  {', '.join(names[:NAMED])}{more} ({state}): {why}"
