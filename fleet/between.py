"""What happens before a wave begins: a pause, a person asked, and both written down first."""

import asyncio
import os
import sys
import termios
from collections.abc import Callable, Sequence

from fleet import console
from fleet.apart import apart
from fleet.errors import ChefServerError, SettingsError
from fleet.journal import Journal
from fleet.report.conclusion import counts
from fleet.rollout import Rollout
from fleet.settings import Settings
from fleet.waves import Wave


def check(settings: Settings) -> None:
    """Raise SettingsError where somebody is to be asked between waves and nobody can be, so that no rollout hangs."""
    if settings.confirm and not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise SettingsError(
            "--confirm asks before each wave and there is no terminal to ask at, so nothing was changed; "
            "give --pause SECONDS in its place, or neither."
        )


class Between:
    """Called with each wave before it begins; returns why it shall not, None where it goes on.

    The first one begins at once, and where a rollout is resumed the first of those that are left: who started it has
    just agreed to it. Before each other one `lost` is asked for a lock that was broken meanwhile, if it is given; it
    returns a sentence or None, and may raise ChefServerError. Raises SettingsError where the journal cannot be written.
    """

    def __init__(
        self, settings: Settings, journal: Journal, run: str, going: Rollout, shown: console.Lines,
        waves: Sequence[Wave], lost: Callable[[], str | None] | None = None,
    ):
        self.settings, self.journal, self.run, self.going, self.shown = settings, journal, run, going, shown
        self.lost = lost
        self.first = next((wave.number for wave in waves if not wave.again), 0)
        self.count = max((wave.number for wave in waves), default=0)

    async def __call__(self, wave: Wave) -> str | None:
        which = "first" if wave.again else f"wave {wave.number} of {self.count}"
        later = wave.number > self.first
        if later and self.settings.pause:
            self.journal.step(self.run, None, "pause", seconds=self.settings.pause, wave=wave.number)
            self.shown.wave(f"a pause of {self.settings.pause:g} s before {which}")
            await asyncio.sleep(self.settings.pause)
        if later and self.settings.confirm:
            self.journal.step(self.run, None, "confirm", wave=wave.number)
            so_far = counts(self.going.outcomes.values())
            with self.shown.held():
                said = await answer(f"{which}: {wave.title}; so far {so_far}. Go on? Type yes: ")
            if said.strip().lower() not in ("yes", "y"):
                return f"not confirmed before {which}"
        if later and self.lost and (why := await self.broken()):
            return why
        self.journal.step(self.run, None, "wave", number=wave.number, until=wave.until, title=wave.title)
        self.shown.wave(f"{which}: {wave.title}")
        return None

    async def broken(self) -> str | None:
        """Return in a sentence which lock is not ours any more; None where all are, or the server does not say."""
        try:
            why = await apart(self.lost)
        except ChefServerError as error:  # nodes need no Chef server where a script patches them
            self.journal.step(self.run, None, "the lock could not be looked at", error=str(error))
            return None
        if why:
            self.journal.step(self.run, None, "lock lost", why=why)
        return why


async def answer(question: str) -> str:
    """Ask at the terminal; return the line that a person typed there afterwards, "" where it hung up.

    The event loop reads it, not a thread, so that Ctrl-C ends the waiting like any other.
    """
    loop = asyncio.get_running_loop()
    typed = loop.create_future()
    terminal = sys.stdin.fileno()

    def read() -> None:
        try:
            line = os.read(terminal, 4096)  # a terminal gives a line at a time, and nothing at its end
        except OSError:
            line = b""
        if not typed.done():
            typed.set_result(line.decode(errors="replace"))

    try:
        termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before the question is no answer to it
        print(question, end="", flush=True)
    except (OSError, termios.error):
        return ""
    loop.add_reader(terminal, read)
    try:
        return await typed
    finally:
        loop.remove_reader(terminal)
