"""Stands by a converge that goes on by itself on a node: starts it, waits for its end, and comes back to it over a new
connection where one breaks.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleet import detached, look
from fleet.detached import Stage, Standing
from fleet.errors import LostError, UnreachableError

if TYPE_CHECKING:
    from fleet.trip import Trip

PAUSES = (1, 2, 4, 8, 15, 30)  # seconds before each attempt to connect again; the last of them from then on


class Standby:
    """An async context manager around a trip (fleet.trip's) and the connection it has; both stay the caller's.

    Has no limit of its own in time: the trip's clock ends it, whatever it waits for, and the converge goes on.
    """

    def __init__(self, trip: "Trip", connection):
        self.trip, self.connection = trip, connection
        self.own = contextlib.AsyncExitStack()  # the connections made here
        settings = trip.patcher.settings
        self.run, self.sudo = trip.patcher.run, settings.sudo
        # What a wait leaves on the node where nobody comes back for it ends after as long as that.
        self.seconds = min(settings.timeout, settings.step_timeout or settings.timeout)
        self.lock_seconds = settings.run_lock_timeout

    async def __aenter__(self) -> "Standby":
        return self

    async def __aexit__(self, *error) -> None:
        await self.own.__aexit__(*error)

    async def start(self, argv: Sequence[str], payload: bytes = b"") -> Standing:
        """Start a program with this input, wait for its end and return how it ended: BUSY and REFUSED began nothing.

        Another run's converge on the node is waited for, for as long as another chef-client would be. Raises NodeError.
        """
        until = asyncio.get_running_loop().time() + self.lock_seconds
        words = detached.start(self.run, argv, len(payload), self.seconds)
        while True:
            found = await self.told(words, payload)
            if found is None:
                found = await self.over()
                if found.stage is Stage.NOTHING:
                    continue
            if found.stage is not Stage.BUSY:
                return await self.over() if found.stage is Stage.RUNNING else found
            if found.said == self.run:
                return await self.over()
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return found
            self.trip.step("wait for another run's converge", whose=found.said)
            await self.told(detached.ask(self.run, min(self.seconds, 1 + int(left)), anybodys=True))
            await asyncio.sleep(PAUSES[0])
            self.trip.step("converge")

    async def over(self) -> Standing:
        """Wait until this run's converge does not go on, and return how it stands. Raises NodeError."""
        while True:
            found = await self.told(detached.ask(self.run, self.seconds))
            if found is not None and found.stage is not Stage.RUNNING:
                return found
            await asyncio.sleep(PAUSES[0])  # a node that does not wait costs no more than this

    async def read(self, argv: Sequence[str]):
        """Run a command that only reads and return its answer (fleet.ssh.Answer). Raises NodeError."""
        while True:
            answer = await self.ran(argv, b"", detached.SHORT)
            if answer is not None:
                return answer

    async def told(self, words: Sequence[str], payload: bytes = b"") -> Standing | None:
        """Return what the node answers to fleet.detached's words, None where the connection broke and is a new one now.
        """
        answer = await self.ran(words, payload, self.seconds + detached.SHORT)
        return None if answer is None else detached.parse(answer)

    async def ran(self, argv: Sequence[str], payload: bytes, seconds: float):
        """Run a command; return its answer, None where the connection broke and is a new one now."""
        try:
            return await self.connection.run(argv, stdin=payload, timeout=seconds, limit=look.BOUND, sudo=self.sudo)
        except LostError as error:
            await self.connect_again(error)
            return None

    async def connect_again(self, why: Exception) -> None:
        """Connect anew, however often that takes; the trip's `trouble` says meanwhile why there is no connection."""
        trip, at = self.trip, self.trip.at
        await self.own.aclose()
        trip.step("connect again", lost=str(why))
        attempt = 0
        while True:
            trip.at, trip.trouble = at, f"its connection broke, and there is no other: {str(why).rstrip('.')}"
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1
            try:
                self.connection = await self.own.enter_async_context(await trip.patcher.connections.connect(trip.node))
            except UnreachableError as error:
                why = error
                continue
            trip.trouble = ""
            trip.step(at, again=True)
            return
