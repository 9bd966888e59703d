"""The lock that keeps a second lab away: held by whoever brings a lab up, then by its holder, see flock(2)."""

import contextlib
import fcntl
import getpass
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lab.host import ROOT, LabError

FILE = Path("/run/styptic-lab.lock")


@contextlib.contextmanager
def held() -> Iterator[int]:
    """Hold the lock, whose descriptor a holder inherits and keeps. Raises LabError, saying whose it is, if it is held.

    When what is done with it fails, the lock is gone without a trace.
    """
    descriptor = take(wait=False)
    if descriptor is None:
        raise LabError(f"a lab is up already (by {owner()}): use that one, or end it with `invoke lab.down`.")
    os.truncate(descriptor, 0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(descriptor, f"{getpass.getuser()} at {now}, process {os.getpid()}, from {ROOT}".encode())
    try:
        yield descriptor
    except BaseException:
        FILE.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def take(wait: bool) -> int | None:
    """Return a descriptor that holds the lock; None if another process holds it and we do not wait."""
    while True:
        descriptor = os.open(FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        # Who ends a lab removes the file: a lock on a file that is gone keeps nobody out.
        if FILE.exists() and os.path.samestat(os.fstat(descriptor), FILE.stat()):
            return descriptor
        os.close(descriptor)


def drop(descriptor: int) -> None:
    """Give up a lock that was taken, and leave no file."""
    FILE.unlink(missing_ok=True)
    os.close(descriptor)


def owner() -> str:
    """Return who took the lock, in words."""
    with contextlib.suppress(FileNotFoundError):
        return FILE.read_text() or "a process that has not said its name"
    return "a process that has just ended"
