"""How each service gets rid of a replaced library: services.toml, checked and typed."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from generator.errors import AdvisoryError

DATA = Path(__file__).with_name("services.toml")
#: What a unit or init script may be called, systemd.unit(5).
NAME = re.compile(r"[A-Za-z0-9:_.@-]+")


@dataclass(frozen=True, slots=True)
class Service:
    """One row of the data.

    `names` are the systemd units or init scripts it goes by; `reload_is_enough` says that a reload leaves nothing on
    the old library, `restart` that it may be restarted without asking; `test` is the command that checks its
    configuration, empty where there is none; `source` is where this was seen or is written.
    """

    name: str
    names: tuple[str, ...]
    reload_is_enough: bool
    restart: bool
    source: str
    test: tuple[str, ...] = ()


@cache
def load(path: Path = DATA) -> Mapping[str, Service]:
    """Return name to Service. Raises AdvisoryError naming every mistake by file, key and reason."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AdvisoryError(f"{path} cannot be read: {error}") from error
    mistakes = [f"{name}{mistake}" for name, table in tables.items() for mistake in _mistakes(table)]
    if mistakes:
        raise AdvisoryError(f"{path}: {'; '.join(mistakes)}")
    return MappingProxyType({name: _service(name, table) for name, table in tables.items()})


def _service(name: str, table: Mapping) -> Service:
    return Service(name, tuple(table["names"]), table["reload_is_enough"], table["restart"], table["source"],
                   tuple(table.get("test", ())))


def _mistakes(table: object):
    if not isinstance(table, dict):
        yield " is not a table"
        return
    for key in sorted(table.keys() - {"names", "reload_is_enough", "restart", "source", "test"}):
        yield f".{key} is not known here"
    for key in ("names", "test"):
        words = table.get(key, [] if key == "test" else None)
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            yield f".{key} must be a list of words"
    names = table.get("names")
    usable = isinstance(names, list) and names and all(isinstance(each, str) and NAME.fullmatch(each) for each in names)
    if isinstance(names, list) and not usable:
        yield ".names must be names of units or init scripts, at least one"
    for key in ("reload_is_enough", "restart"):
        if not isinstance(table.get(key), bool):
            yield f".{key} must be true or false"
    if not isinstance(table.get("source"), str) or not table["source"]:
        yield ".source must say where this was seen or is written"
