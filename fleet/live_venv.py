"""The venv of sslyze, which wants an older cryptography than asyncssh: a lock of its own, made when first used."""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from fleet.errors import LiveError
from fleet.text import last_lines

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-live.lock"
VENV = ROOT / ".venv-live"
STAMP = "requirements.lock"  # a copy of the lock that the venv was made from, written last
RETRIES = 2  # pip's own for a registry that does not answer
# sslyze itself comes as its source alone; nothing else is built here.
FORMATS = ("--only-binary", ":all:", "--no-binary", "sslyze")


def python(tell: Callable[[str], None], lock: Path = LOCK, place: Path = VENV) -> Path:
    """Return the Python of the venv; `tell` hears a line before the venv is made, or made again for a changed lock.

    One process at a time makes it. Raises LiveError where it cannot be made.
    """
    try:
        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            wanted = held.read()
            if not whole(place, wanted):
                tell(f"installing sslyze into {place.name}, which --live asks with (once)")
                make(place, lock)
                (place / STAMP).write_bytes(wanted)
    except OSError as error:
        raise LiveError(f"{place} cannot be made: {error.strerror or error}.") from error
    return program(place)


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


def make(place: Path, lock: Path) -> None:
    """Make the venv anew with what the lock pins. Raises LiveError, and leaves none that could be taken for whole."""
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, symlinks=os.name != "nt")
    words = [sys.executable, "-m", "pip", "--python", program(place), "--disable-pip-version-check", "--no-input", "-q",
             "install", "--retries", str(RETRIES), *FORMATS, "--require-hashes", "-r", lock]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        shutil.rmtree(place, ignore_errors=True)
        said = last_lines(done.stderr, 2) or "pip gives no reason"
        raise LiveError(f"sslyze could not be installed into {place.name}: {said.rstrip('.')}.")
