"""Ctrl-C, SIGTERM and a hang-up: once, and what is under way is finished and no more begun; twice, and all stops."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleet.rollout import Rollout

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded_signals() -> tuple[signal.Signals, ...]:
    """Return those that mean anything here: nohup(1), and a shell's & in a script, have some of them ignored."""
    if threading.current_thread() is not threading.main_thread():  # only that one may handle signals
        return ()
    return tuple(each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN)


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt in this block, so that what was taken is given back."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in heeded_signals()}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def heeded(going: Rollout, heard: Callable[[str, int], None]) -> Iterator[None]:
    """Have the signals that come while this block of the running task goes on stop the rollout.

    The first starts no more nodes; where none is under way, and at the second, the task is cancelled. `heard` hears of
    each: the signal's name, and how many nodes are finished first.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupted(name: str) -> None:
        first, going.interrupted = not going.interrupted, True
        under_way = going.halt(f"interrupted by {name}") if going.halt else 0
        if not first:
            under_way = 0
        heard(name, under_way)
        if not under_way:
            task.cancel()

    before = {each: signal.getsignal(each) for each in heeded_signals()}
    for each in before:
        loop.add_signal_handler(each, interrupted, "Ctrl-C" if each == signal.SIGINT else each.name)
    try:
        yield
    finally:
        for each, handler in before.items():
            loop.remove_signal_handler(each)
            signal.signal(each, handler)
