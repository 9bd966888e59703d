"""A clock that is off, for one program and those it starts: Debian's libfaketime, preloaded.

The kernel has no wall clock that a namespace can have for itself, see time_namespaces(7), and the machine's own is not
the lab's to set.
"""

import shutil
from pathlib import Path

from lab import host
from lab.host import LabError

PACKAGE = "libfaketime"


def environment(seconds: int) -> dict[str, str]:
    """Return what a program's environment needs so that its clock is so many seconds ahead (behind: below zero).

    What measures how long something takes is left alone. Raises LabError where the package cannot be had.
    """
    return {"LD_PRELOAD": str(library()), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def library() -> Path:
    """Return libfaketime for programs of many threads, fetched into the lab's cache when missing."""
    target = host.cache() / PACKAGE
    if not target.is_dir():
        host.say(f"fetching {PACKAGE} (unpacked into the lab's cache, not installed)")
        fetched = target.with_suffix(".new")
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir(parents=True)
        host.download(fetched, PACKAGE)
        for archive in fetched.glob("*.deb"):
            host.run("dpkg-deb", "-x", archive, fetched)
        fetched.rename(target)
    for found in target.glob("usr/lib/*/faketime/libfaketimeMT.so.1"):
        return found
    raise LabError(f"Debian's {PACKAGE} holds no libfaketimeMT.so.1; {target} shows what it has.")
