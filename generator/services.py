"""How each service gets rid of a replaced library: services.toml, checked and typed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from generator.table import ANYTHING, Table, rows

DATA = Path(__file__).with_name("services.toml")
#: What a unit or init script may be called, systemd.unit(5).
NAME = re.compile(r"[A-Za-z0-9:_.@-]+")
PATH = re.compile(r"/[A-Za-z0-9/_.+-]+")
SUFFIX = re.compile(r"[A-Za-z0-9._-]+")
SIGNAL = re.compile(r"[A-Z][A-Z0-9]*")
#: What a step may do, the gentlest first.
RELOAD, UPGRADE, RESTART = "reload", "upgrade", "restart"
ORDER = (RELOAD, UPGRADE, RESTART)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done to a stale service: `do` is one of ORDER, `source` is where this was seen or is written.

    `end` is the signal for old processes that go on with what they have begun for too long, None where none do;
    `pid_file` then holds the main process. An upgrade has `old_suffix`, put behind that name for the old main
    process's while both run, `begin`, the signal that starts the new one, and `finish`, those that the old one gets.
    """

    do: str
    source: str
    pid_file: str | None = None
    old_suffix: str | None = None
    begin: str | None = None
    finish: tuple[str, ...] = ()
    end: str | None = None

    @property
    def data(self) -> dict[str, object]:
        """What whoever takes the step needs to know, as plain values."""
        every = {name: getattr(self, name) for name in Step.__slots__ if name != "source"}
        return {name: value for name, value in every.items() if value}


@dataclass(frozen=True, slots=True)
class Service:
    """One row of the data.

    `names` are the systemd units or init scripts it goes by; `steps` are taken in their order while it is stale;
    `restart` says that it may be restarted without asking, `because` why not; `test` is the command that checks its
    configuration, empty where there is none; `source` is where that or the reason is written. Of systemd's own,
    `systemd` is the version from which on they may be restarted, and with `spares_graphical` not even then while there
    is a graphical session. Their `because` is for such nodes, which owe a reboot.
    """

    name: str
    names: tuple[str, ...]
    restart: bool
    steps: tuple[Step, ...]
    test: tuple[str, ...] = ()
    because: str | None = None
    source: str | None = None
    systemd: int | None = None
    spares_graphical: bool = False

    def why_reboot(self, systemd: int | None, graphical: bool) -> str | None:
        """Return why only a reboot helps a stale process of it, in the recipe's sentence; None where a restart does.

        `systemd` is the version that runs the node, None where it does not say; `graphical` is whether somebody has a
        graphical session there.
        """
        if self.systemd is None:
            return None
        if systemd is None or systemd < self.systemd:
            return (f"{self.name} of systemd {systemd or 'of an unknown version'} is not restarted (it may be from "
                    f"{self.systemd} on): {self.because}")
        if self.spares_graphical and graphical:
            return f"{self.name} is not restarted while there is a graphical session: {self.because}"
        return None


@cache
def load(path: Path = DATA) -> Mapping[str, Service]:
    """Return name to Service. Raises AdvisoryError naming every mistake by file, key and reason."""
    return rows(path, _service)


def _service(name: str, table: Table) -> Service:
    found = Service(
        name, table.words("names", pattern=NAME), table.flag("restart", needed=True),
        tuple(_step(each) for each in table.tables("steps")),
        table.words("test", needed=False, pattern=ANYTHING, once=False), table.text("because", needed=False),
        table.text("source", needed=False), table.number("systemd"), table.flag("spares_graphical"),
    )
    does = [step.do for step in found.steps]
    if does != [each for each in ORDER if each in does] and None not in does:
        table.wrong("steps", f"must go from gentle to harsh, each once ({', '.join(ORDER)}), not {', '.join(does)}")
    if found.restart and does[-1:] != [RESTART]:
        table.wrong("steps", "must end with a restart, where restart is true")
    if not found.restart and RESTART in does:
        table.wrong("steps", "must have no restart, where restart is false")
    if found.systemd is not None and not found.restart:
        table.wrong("systemd", "says from when on it may be restarted, so restart is true")
    if found.spares_graphical and found.systemd is None:
        table.wrong("spares_graphical", "is for systemd's own, which have the key systemd too")
    if (found.restart and found.systemd is None) == bool(found.because):
        table.wrong("because", "says why it is not restarted, where restart is false or systemd given, and only there")
    if (found.test or found.because) and not found.source:
        table.wrong("source", "is missing; it says where the test or the reason is written")
    table.done()
    return found


def _step(table: Table) -> Step:
    do = table.text("do", pattern=re.compile("|".join(ORDER)))
    found = {"do": do, "source": table.text("source")}
    if do in (RELOAD, UPGRADE):
        found["end"] = table.text("end", needed=False, pattern=SIGNAL)
    if do == UPGRADE or found.get("end"):
        found["pid_file"] = table.text("pid_file", pattern=PATH)
    if do == UPGRADE:
        found["old_suffix"] = table.text("old_suffix", pattern=SUFFIX)
        found["begin"] = table.text("begin", pattern=SIGNAL)
        found["finish"] = table.words("finish", pattern=SIGNAL)
    table.done()
    return Step(**found)
