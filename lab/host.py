"""What the lab needs of the machine: root, Debian or Ubuntu, and tools, which it fetches without installing them."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from generator.errors import StypticError

#: Where a lab lives while it is up. On a tmpfs under systemd, so that a reboot leaves nothing.
RUN = Path("/run/styptic-lab")
#: Where the nodes' overlays are mounted, in the holder's mount namespace.
NODES = RUN / "nodes"
#: The checkout.
ROOT = Path(__file__).resolve().parents[1]

#: Debian packages whose programs the lab runs from its cache: unpacked, never installed, so no service starts.
TOOLS = ("goiardi", "mmdebstrap", "tini")

#: Programs the machine itself must have, and the Debian package that brings each.
PROGRAMS = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "perl": "perl",
    "dpkg-deb": "dpkg",
}


Made = TypeVar("Made")


class LabError(StypticError):
    """The lab cannot do what was asked; the message says why and what to do."""


def cache() -> Path:
    """Return the directory that keeps bases, packages and tools between labs (STYPTIC_LAB_CACHE overrides it)."""
    return Path(os.environ.get("STYPTIC_LAB_CACHE", "/var/cache/styptic-lab"))


def log(name: str) -> Path:
    """Return the log file of a node, the Chef server (goiardi) or the holder, while the lab is up."""
    return RUN / "log" / f"{name}.log"


def say(line: str) -> None:
    """Tell the user what the lab is about to do, at once."""
    print(f"lab: {line}", flush=True)


def require() -> None:
    """Check that a lab can be had here, and install what only a package can bring.

    Raises LabError where that is impossible: no root, or no Debian or Ubuntu.
    """
    elsewhere = "Styptic itself needs no lab: point it at your own Chef server with ~/.chef/credentials or config.rb."
    if os.geteuid() != 0:
        raise LabError(f"the lab needs root, for namespaces and overlay mounts. {elsewhere}")
    if not shutil.which("apt-get"):
        raise LabError(f"the lab makes its nodes of Debian packages and needs apt-get, which is not here. {elsewhere}")
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing:
        install(*missing)


def install(*packages: str) -> None:
    """Install Debian packages on the machine, announced first. Raises LabError with apt's own words."""
    say(f"installing the Debian packages {' '.join(packages)}")
    with_fresh_lists(lambda: apt("install", "--yes", "--no-install-recommends", *packages))


def download(where: Path, *packages: str) -> None:
    """Fetch Debian packages (NAME or NAME=VERSION) into a directory. Raises LabError with apt's own words."""
    apt("download", *packages, cwd=where)


def with_fresh_lists(work: Callable[[], Made]) -> Made:
    """Return what `work` does with apt; if it fails, apt's lists may be old or missing: update them, and do it anew.

    Raises LabError if it fails again, or the update does.
    """
    try:
        return work()
    except LabError as error:
        say(f"{error}; updating apt's lists and trying once more")
        apt("update")
        return work()


def apt(*arguments: str, cwd: Path | None = None) -> None:
    """Run apt-get. Raises LabError with the end of its output."""
    run("apt-get", "-q", *arguments, cwd=cwd, env={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


def run(*words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, given: str = "") -> str:
    """Run a program and return its output; `env` is added to ours, `given` is its standard input.

    Raises LabError with the last lines it printed if it fails.
    """
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **(env or {})}, input=given, capture_output=True, text=True, check=False,
        errors="replace",
    )
    if done.returncode:
        said = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-4:])
        raise LabError(f"{Path(words[0]).name} failed with {done.returncode}: {said or 'it said nothing'}")
    return done.stdout


def tools() -> Path:
    """Return the directory below which the programs of TOOLS stand, as in their packages; fetched when missing."""
    target = cache() / "tools" / fingerprint(*TOOLS)
    if target.is_dir():
        return target
    say(f"fetching {', '.join(TOOLS)} (unpacked into the lab's cache, not installed)")
    shutil.rmtree(target.parent, ignore_errors=True)
    fetched = target.with_suffix(".new")
    fetched.mkdir(parents=True)
    download(fetched, *TOOLS)
    for archive in fetched.glob("*.deb"):
        run("dpkg-deb", "-x", archive, fetched)
        archive.unlink()
    fetched.rename(target)
    return target


def pack(tree: Path, archive: Path) -> None:
    """Make a Debian package of a directory that holds its files and DEBIAN/control, see dpkg-deb(1)."""
    run("dpkg-deb", "-Zgzip", "--root-owner-group", "--build", tree, archive)


def fingerprint(*parts: str) -> str:
    """Return a short name for a list of words: the same words, the same name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
