"""The venv of sslyze, which wants an older cryptography than asyncssh: a lock of its own, made when first used."""

from collections.abc import Callable
from pathlib import Path

from fleet.errors import LiveError
from fleet.own_venv import ROOT, OwnVenv

LOCK = ROOT / "requirements-live.lock"
VENV = ROOT / ".venv-live"


def python(tell: Callable[[str], None], lock: Path = LOCK, place: Path = VENV) -> Path:
    """Return the Python of the venv; see OwnVenv.ready. Raises LiveError where it cannot be made."""
    return OwnVenv("sslyze", lock, place, "which --live asks with", LiveError, sources=("sslyze",)).ready(tell)
