"""What a rollout shows while it goes: a live table at a terminal, one line a node in a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO

from fleet.cli import silence
from fleet.node import State
from fleet.report.conclusion import told
from fleet.report.record import Outcome
from fleet.text import clean

COLOURS = {
    State.FAILED: "bold red", State.STALE: "red", State.REBOOT_REQUIRED: "yellow", State.UNREACHABLE: "red",
    State.UNKNOWN: "yellow", State.PATCHED: "green", State.ALREADY_PATCHED: "green", State.NOT_AFFECTED: "green",
}


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
        if not (outcome.record.state.good or outcome.record.left_alone):
            self.console.print(self.row_text(outcome), soft_wrap=True)

    def picture(self):
        """Return the table and the bar."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(expand=False, box=None)
        for heading in ("node", "state", "seconds"):
            table.add_column(heading, overflow="ellipsis", no_wrap=True)
        table.add_column("")  # the only one that may wrap, as rich has it, so the one that a narrow terminal cuts
        room = self.room
        at_work = list(self.at_work.items())[:room]
        for outcome in self.done[-(room - len(at_work)):] if room > len(at_work) else []:
            record = outcome.record
            table.add_row(
                Text(clean(record.name, 40)), Text(record.state, COLOURS.get(record.state, "")),
                Text(f"{record.seconds:.1f}"), Text(told(outcome), no_wrap=True, overflow="ellipsis"),
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
