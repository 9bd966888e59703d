"""The browser that reports are looked at with: Debian's chromium, installed when first wanted, announced."""

import shutil

from lab import host

PROGRAM = "chromium"  # its package has the same name: https://packages.debian.org/stable/chromium


def require() -> str:
    """Return the path of chromium, which is installed where it is missing. Raises LabError with apt's own words."""
    if not shutil.which(PROGRAM):
        host.install(PROGRAM)
    return shutil.which(PROGRAM) or PROGRAM
