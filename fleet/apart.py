"""Work that blocks, done beside the event loop: in a thread that nobody waits for once whoever asked is gone."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from fleet.within import begun

Result = TypeVar("Result")


async def apart(work: Callable[[], Result]) -> Result:
    """Return what `work()` returns or raise what it raises. Cancelled, it goes on by itself and is heard of no more."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future = loop.create_future()

    def settle(done) -> None:
        if answer.done():
            return
        if error := done.exception():
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    def tell(done) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, done)

    begun(work).add_done_callback(tell)
    return await answer
