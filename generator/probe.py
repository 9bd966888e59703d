"""Runs nothing itself: the text of probe.sh for a node's shell, and what its answer means."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from generator.errors import ProbeError
from generator.shell import quote

SCRIPT = Path(__file__).with_name("probe.sh")
FIRST, LAST = "styptic-probe 1", "end"
KINDS = frozenset({"service", "init", "session", "own", "orphan"})
#: What keeps a node from being good. A session ends by itself, and who asks is no service.
COUNTED = frozenset({"service", "init", "orphan"})


@dataclass(frozen=True, slots=True)
class Process:
    """A process that still maps a deleted library file.

    `kind` is one of KINDS, `service` the systemd unit (without .service) or init script that owns it, None where there
    is none, `library` the path of the deleted file, `command` at most 300 characters of printable ASCII.
    """

    pid: int
    kind: str
    command: str
    service: str | None
    library: str
    user: str

    @property
    def counted(self) -> bool:
        """True if this process keeps its node from being good."""
        return self.kind in COUNTED


@dataclass(frozen=True, slots=True)
class Findings:
    """A whole answer: the stale processes by PID, and how many processes it says nothing about.

    `unread` are those that the asking user may not look into, and stale ones beyond the most that are listed.
    """

    stale: tuple[Process, ...]
    unread: int

    @property
    def counted(self) -> tuple[Process, ...]:
        """The stale processes that keep the node from being good."""
        return tuple(process for process in self.stale if process.counted)


@cache
def text() -> str:
    """Return probe.sh as it is shipped."""
    return SCRIPT.read_text()


def command(libraries: Iterable[str] = ()) -> str:
    """Return a program for `sh -s` or `sh -c` that prints the probe's answer; it changes nothing.

    `libraries` are stems of library files (`libssl`); empty for the probe's own libssl and libcrypto.
    """
    stems = " ".join(libraries)
    setting = f"PROBE_LIBRARIES={quote(stems)}\nexport PROBE_LIBRARIES\n" if stems else ""
    return setting + text()


def parse(answer: str) -> Findings:
    """Return what probe.sh found. Raises ProbeError for an answer that is not whole, which is never read as clean."""
    lines = answer.splitlines()
    if FIRST not in lines or lines[-1] != LAST:
        raise ProbeError("the probe gave no whole answer; it is not taken for a clean node.")
    stale, unread, more = [], None, 0
    for line in lines[lines.index(FIRST) + 1 : -1]:
        word, *fields = line.split("\t")
        if word == "stale" and len(fields) == 6 and fields[0].isdecimal() and fields[1] in KINDS:
            pid, kind, service, user, library, started = fields
            stale.append(Process(int(pid), kind, started, service or None, library, user))
        elif word == "more" and len(fields) == 1 and fields[0].isdecimal():
            more = int(fields[0])
        elif word == "unread" and len(fields) == 1 and fields[0].isdecimal():
            unread = int(fields[0])
        else:
            raise ProbeError(f"the probe answered with a line of no known form: {line[:100]!r}")
    if unread is None:
        raise ProbeError("the probe did not say how many processes it could not read.")
    return Findings(tuple(sorted(stale, key=lambda process: process.pid)), unread + more)
