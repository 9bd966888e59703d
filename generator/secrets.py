"""Where services keep certificates and private keys: secrets.toml, checked and typed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from generator.table import Table, rows

DATA = Path(__file__).with_name("secrets.toml")
#: A word of a configuration; it becomes part of a sed program.
WORD = re.compile(r"[A-Za-z0-9_!-]{1,64}", re.ASCII)
PATTERN = re.compile(r"/[A-Za-z0-9/_.*+-]+", re.ASCII)
PROCESS = re.compile(r"[A-Za-z0-9_.-]{1,15}", re.ASCII)  # as much of a name as the kernel keeps, proc(5)
SKIP = re.compile(r"\$?[A-Za-z0-9_]+", re.ASCII)
LIBRARIES = ("libssl", "libcrypto")


@dataclass(frozen=True, slots=True)
class Keeper:
    """One row of the data: see its head for each field. `library` is the one whose memory holds the keys."""

    name: str
    source: str
    library: str
    processes: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()
    base: str | None = None


@cache
def load(path: Path = DATA) -> Mapping[str, Keeper]:
    """Return name to Keeper. Raises AdvisoryError naming every mistake by file, key and reason."""
    return rows(path, _keeper, WORD)


def _keeper(name: str, table: Table) -> Keeper:
    words = {key: table.words(key, needed=False, pattern=WORD) for key in ("include", "files", "lists", "roots")}
    found = Keeper(
        name, table.text("source"), table.choice("library", LIBRARIES),
        processes=table.words("processes", needed=False, pattern=PROCESS),
        config=table.words("config", needed=False, pattern=PATTERN), **words,
        skip=table.words("skip", needed=False, pattern=SKIP), usual=table.words("usual", needed=False, pattern=PATTERN),
        base=table.text("base", needed=False, pattern=PATTERN),
    )
    table.done()
    if not found.usual and not (found.config and found.files):
        table.wrong("files", "is missing; without it and config, or usual, nothing is looked at")
    return found
