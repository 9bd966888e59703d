"""What ends a node's way that takes too long: as a whole by `--timeout`, in one step by `--step-timeout`."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

UNTIMED = ("connect", "connect anew")  # the steps whose limit is --connect-timeout


class Clock:
    """An async context manager that raises TimeoutError once `timeout` seconds are over, or `step_timeout` of a step.

    `ran_out` is then which of the two it was, in seconds. `step_timeout` None is no limit.
    """

    def __init__(self, timeout: float, step_timeout: float | None = None):
        self.timeout, self.step_timeout = timeout, step_timeout
        self.way = asyncio.timeout(timeout)
        self.one = asyncio.timeout(None)
        self.going = contextlib.AsyncExitStack()
        self.stopped = False

    async def __aenter__(self) -> "Clock":
        await self.going.enter_async_context(self.way)
        await self.going.enter_async_context(self.one)
        return self

    async def __aexit__(self, *error) -> bool | None:
        return await self.going.__aexit__(*error)

    @property
    def ran_out(self) -> float:
        """The limit that was met, in seconds."""
        return self.step_timeout if self.one.expired() else self.timeout

    def step(self, name: str) -> None:
        """Hear that a step begins."""
        if self.step_timeout is None or self.stopped:
            return
        untimed = name in UNTIMED
        self.one.reschedule(None if untimed else asyncio.get_running_loop().time() + self.step_timeout)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Stop the clock within the block; steps that are begun there are not timed either."""
        if self.stopped:
            yield
            return
        left = [(clock, clock.when()) for clock in (self.way, self.one)]
        for clock, _ in left:
            clock.reschedule(None)
        self.stopped, waiting = True, time.monotonic()
        try:
            yield
        finally:
            self.stopped = False
            waited = time.monotonic() - waiting
            for clock, when in left:
                if when is not None:
                    clock.reschedule(when + waited)
