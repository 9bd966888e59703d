"""What a run ran with: the versions of Styptic, Python and the libraries that a verdict rests on."""

import platform
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARIES = ("asyncssh", "cryptography", "pytest", "pytest-testinfra", "univers")


def ours(root: Path = ROOT) -> dict[str, str]:
    """Return name to version; `unknown` is what cannot be read, because no rollout may fail for it."""
    try:
        version = str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        version = "unknown"
    return {"styptic": version, "python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "unknown"
