"""What is left to do after the patch where memory leaked: followup.toml and a shop's own file, checked and typed."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from generator.errors import AdvisoryError
from generator.table import Table

DATA = Path(__file__).with_name("followup.toml")
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do: see the head of followup.toml for each field."""

    id: str
    title: str
    why: str
    how: str
    source: str | None = None


def load(own: Path | None = None) -> tuple[Item, ...]:
    """Return the shipped items and those of a shop's `own` file after them, in the order of the files.

    Raises AdvisoryError naming every mistake by file, key and reason; an id that is there already is one.
    """
    found = list(_read(DATA, source=True))
    if own is not None:
        found += _read(own, taken={item.id for item in found})
    return tuple(found)


def _read(path: Path, source: bool = False, taken: frozenset | set = frozenset()) -> tuple[Item, ...]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AdvisoryError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # no TOML, or no UTF-8
        raise AdvisoryError(f"{path}: is not TOML: {error}") from error
    mistakes: list[str] = []
    file = Table(data, mistakes)
    found, known = [], set(taken)
    for number, table in enumerate(file.tables("item"), 1):
        item = Item(
            table.text("id", pattern=ID), table.text("title", fold=True), table.text("why", fold=True),
            table.text("how", fold=True), table.text("source", needed=source),
        )
        table.done()
        if item.id in known:
            file.wrong(f"[[item]] {number} id", f"{item.id!r} is there already")
        known.add(item.id)
        found.append(item)
    file.done()
    if not found and not mistakes:
        file.wrong("item", "is missing; the file is a list of [[item]] tables")
    if mistakes:
        raise AdvisoryError("; ".join(f"{path}: {mistake}" for mistake in mistakes))
    return tuple(found)
