"""What a test waits for in a journal that a rollout writes: nothing tells a reader that there is more."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fleet.errors import SettingsError
from fleet.history import History


def awaited(journal: Path, what: Callable, seconds: float = 60, alive: Callable[[], bool] = lambda: True):
    """Return what `what(history, run)` says of the latest run once that is true; fail after `seconds`, or where whoever
    writes is not `alive` any more.
    """
    end = time.monotonic() + seconds
    while True:
        going = alive()
        if journal.exists():
            with suppress(SettingsError), History(journal) as history:  # it may have no run yet
                if found := what(history, history.run().id):
                    return found
        assert going, f"whoever writes {journal} has ended, and it is not there"
        assert time.monotonic() < end, f"it did not come into {journal} within {seconds} s"
        time.sleep(0.1)


def taken(name: str, step: str) -> Callable:
    """Return what `awaited` asks for a step of a node."""
    return lambda history, run: step in [each.name for each in history.steps(run, name)]
