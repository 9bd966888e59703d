"""A venv of its own, from a lock of its own, for a program that cannot share our dependencies: made when first used."""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleet.text import last_lines
from generator.errors import StypticError

ROOT = Path(__file__).parents[1]
STAMP = "requirements.lock"  # a copy of the lock that the venv was made from, written last
RETRIES = 2  # pip's own for a registry that does not answer


@dataclass(frozen=True, slots=True)
class OwnVenv:
    """What a venv holds and how it is made.

    `program` is what is in it, in words; `lock` pins it whole; `place` is its directory; `sources` are the packages of
    the lock that come as source alone, and nothing else is built; `purpose` says what for; `error` is what is raised.
    """

    program: str
    lock: Path
    place: Path
    purpose: str
    error: type[StypticError]
    sources: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        """Where its Python stands."""
        return program(self.place)

    def ready(self, tell: Callable[[str], None]) -> Path:
        """Return its Python; `tell` hears a line before it is made, or made again for a changed lock.

        One process at a time makes it. Raises `error` where it cannot be made.
        """
        try:
            with self.lock.open("rb") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                wanted = held.read()
                if not whole(self.place, wanted):
                    tell(f"installing {self.program} into {self.place.name}, {self.purpose} (once)")
                    self.make()
                    (self.place / STAMP).write_bytes(wanted)
        except OSError as error:
            raise self.error(f"{self.place} cannot be made: {error.strerror or error}.") from error
        return self.python

    def make(self) -> None:
        """Make it anew with what the lock pins. Raises `error`, and leaves none that could be taken for whole."""
        shutil.rmtree(self.place, ignore_errors=True)
        venv.create(self.place, symlinks=os.name != "nt")
        formats = ["--only-binary", ":all:", *(["--no-binary", ",".join(self.sources)] if self.sources else [])]
        words = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", "--no-input",
                 "-q", "install", "--no-deps", "--retries", str(RETRIES), *formats, "--require-hashes", "-r", self.lock]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            shutil.rmtree(self.place, ignore_errors=True)
            said = last_lines(done.stderr, 2) or "pip gives no reason"
            raise self.error(f"{self.program} could not be installed into {self.place.name}: {said.rstrip('.')}.")


def program(place: Path) -> Path:
    """Return where a venv's Python stands."""
    return place / "bin" / "python"


def whole(place: Path, lock: bytes) -> bool:
    """Return whether the venv was made from this lock, and its Python still runs and finds its packages there."""
    try:
        if (place / STAMP).read_bytes() != lock:
            return False
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        found = subprocess.run([program(place), "-I", "-c", where], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.returncode == 0 and Path(found.stdout.strip()).is_dir()
