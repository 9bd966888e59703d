"""The one place where words become shell."""

import shlex
from collections.abc import Iterable


def quote(word: str) -> str:
    """Return `word` as one word of a POSIX shell command line.

    Raises ValueError for a word with a NUL byte, which no command line can carry.
    """
    if "\0" in word:
        raise ValueError("a NUL byte cannot be part of a command line")
    return shlex.quote(word)


def join(words: Iterable[str]) -> str:
    """Return the words as one POSIX shell command line, each quoted."""
    return " ".join(quote(word) for word in words)
