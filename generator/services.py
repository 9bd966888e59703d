"""How each service gets rid of a replaced library: services.toml, checked and typed."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from generator.errors import AdvisoryError
from generator.table import ANYTHING, Table

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
    mistakes: list[str] = []
    file = Table(tables, mistakes)
    found = {name: _service(name, table) for name in tables if (table := file.table(name))}
    if mistakes:
        raise AdvisoryError("; ".join(f"{path}: {mistake}" for mistake in mistakes))
    return MappingProxyType(found)


def _service(name: str, table: Table) -> Service:
    found = Service(
        name, table.words("names", pattern=NAME), table.flag("reload_is_enough", needed=True),
        table.flag("restart", needed=True), table.text("source"),
        table.words("test", needed=False, pattern=ANYTHING, once=False),
    )
    table.done()
    return found
