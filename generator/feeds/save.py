"""An advisory's text into its file: checked first, whole or not at all."""

import os
import tempfile
from pathlib import Path

from generator import advisory
from generator.errors import AdvisoryError, FeedError


def save(path: Path, text: str) -> None:
    """Put the advisory `text` at `path`; what stood there stands there until the new file is whole.

    Raises FeedError where the text would not be an advisory, naming every mistake, and where it cannot be written.
    """
    scratch = None
    try:
        path = path.resolve()  # a symbolic link stays one
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".new", dir=path.parent)
        scratch = Path(name)
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        advisory.read(scratch)
        scratch.chmod(mode)
        scratch.replace(path)
        scratch = None
    except AdvisoryError as error:
        wrong = str(error).replace(str(scratch), str(path))
        raise FeedError(f"what would be written is no advisory, so nothing was: {wrong}") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle, up to Python 3.12
        raise FeedError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
