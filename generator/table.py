"""A table of a TOML file whose values are checked as they are taken, every mistake written down by key and reason."""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from generator.errors import AdvisoryError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_@-]{0,63}", re.ASCII)  # of a package, a service, a library
ANYTHING = re.compile(r".+")


class Table:
    """A table of a file: gives values of the type that is asked for, and adds to `mistakes` what is wrong with them.

    `where` comes before a key in a mistake. A value that is wrong or absent comes back as None, () or False.
    """

    def __init__(self, data: Mapping, mistakes: list[str], where: str = "") -> None:
        self._data, self._mistakes, self._where = data, mistakes, where
        self._asked: set[str] = set()

    def wrong(self, key: str, reason: str) -> None:
        """Write down a mistake."""
        self._mistakes.append(f"{self._where}{key}: {reason}")

    def _get(self, key: str, kind: type, wanted: str, needed: bool):
        self._asked.add(key)
        if key not in self._data:
            if needed:
                self.wrong(key, f"is missing; it is {wanted}")
            return None
        value = self._data[key]
        if type(value) is not kind:
            self.wrong(key, f"must be {wanted}, not {value!r:.60}")
            return None
        return value

    def text(self, key: str, needed: bool = True, pattern: re.Pattern = ANYTHING, fold: bool = False) -> str | None:
        """Return one line of text; `fold` makes one line of several. None where there is none or it is wrong."""
        value = self._get(key, str, "text", needed)
        return None if value is None else self._line(key, " ".join(value.split()) if fold else value, pattern)

    def _line(self, key: str, value: str, pattern: re.Pattern) -> str | None:
        if not value.strip():
            return self.wrong(key, "is empty")
        if not value.isprintable():
            return self.wrong(key, f"must be one line of printable text, not {value!r:.60}")
        if not pattern.fullmatch(value):
            return self.wrong(key, f"{value!r:.80} has characters that do not belong there")
        return value

    def words(
        self, key: str, needed: bool = True, pattern: re.Pattern = NAME, once: bool = True
    ) -> tuple[str, ...]:
        """Return a list of texts; an empty one counts as missing where it is needed. With `once` none may repeat."""
        values = self._get(key, list, "a list of text", needed)
        if needed and values == []:
            self.wrong(key, "is empty")
        found = []
        for value in values or ():
            if not isinstance(value, str):
                self.wrong(key, f"must hold text alone, not {value!r:.60}")
            elif self._line(key, value, pattern) is not None:
                found.append(value)
        for twice in sorted({value for value in found if once and found.count(value) > 1}):
            self.wrong(key, f"{twice!r} is there twice")
        return tuple(found)

    def flag(self, key: str, needed: bool = False) -> bool:
        """Return true or false, false where the key is absent."""
        return self._get(key, bool, "true or false", needed) or False

    def number(self, key: str) -> int | None:
        """Return a whole number above 0, None where the key is absent or it is wrong."""
        value = self._get(key, int, "a whole number", False)
        if value is not None and value < 1:
            return self.wrong(key, f"must be above 0, not {value}")
        return value

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """Return one of the words that are known, the first of them where the key is absent or wrong."""
        value = self.text(key, needed=False)
        if value is not None and value not in known:
            self.wrong(key, f"{value!r:.60} is none of {', '.join(known)}")
        return value if value in known else known[0]

    def pairs(self, key: str, needed: bool = True) -> tuple[tuple[str, str], ...]:
        """Return a list, not empty, of [first, last] pairs of text; () where it is absent and not needed."""
        values = self._get(key, list, "a list of [first, last] pairs", needed)
        if values == []:
            self.wrong(key, "is empty")
        found = []
        for pair in values or ():
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, str) for each in pair):
                found.append((pair[0], pair[1]))
            else:
                self.wrong(key, f"must hold [first, last] pairs, not {pair!r:.60}")
        return tuple(found)

    def table(self, key: str) -> "Table | None":
        """Return the table [key], None where there is none."""
        value = self._get(key, dict, f"a table [{key}]", False)
        return None if value is None else Table(value, self._mistakes, f"[{key}] ")

    def tables(self, key: str) -> "list[Table]":
        """Return the tables [[key]]; in mistakes they are counted from 1."""
        found = []
        for number, value in enumerate(self._get(key, list, f"tables [[{key}]]", False) or (), 1):
            if isinstance(value, dict):
                found.append(Table(value, self._mistakes, f"{self._where}[[{key}]] {number} "))
            else:
                self.wrong(key, f"must be tables [[{key}]], not {value!r:.60}")
        return found

    def done(self) -> None:
        """Write down the keys that nobody asked for."""
        for key in sorted(set(self._data) - self._asked):
            self.wrong(f"{key!r:.60}"[1:-1], f"is no key here; the keys are {', '.join(sorted(self._asked))}")


def rows(path: Path, row: Callable[[str, Table], object], word: re.Pattern = ANYTHING) -> Mapping:
    """Return what `row(name, table)` makes of each table of a file, by its name, which has to match `word`.

    Raises AdvisoryError naming every mistake by file, key and reason.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AdvisoryError(f"{path} cannot be read: {error}") from error
    mistakes: list[str] = []
    file = Table(tables, mistakes)
    found = {name: row(name, table) for name in tables if (table := file.table(name))}
    for name in found:
        if not word.fullmatch(name):
            file.wrong(name, "is no name of a service")
    if mistakes:
        raise AdvisoryError("; ".join(f"{path}: {mistake}" for mistake in mistakes))
    return MappingProxyType(found)
