"""A limit in time for work that has none of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return what `work()` returns or raise what it raises; TimeoutError once `seconds` are over.

    It is left to a thread that nobody waits for: nothing else ends a look-up of a name, or headers a byte at a time.
    """
    return begun(work).result(seconds)


def begun(work: Callable[[], Result]) -> "Future[Result]":
    """Begin `work()` in a thread that nobody waits for at the end, and return its future."""
    done: Future = Future()

    def run():
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done
