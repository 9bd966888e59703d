"""Runs nothing itself: the text of probe.sh for a node's shell, and what its answer means."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from generator.errors import ProbeError
from generator.shell import quote

SCRIPT = Path(__file__).with_name("probe.sh")
FIRST, LAST = "styptic-probe 3", "end"
KINDS = frozenset({"service", "init", "container", "session", "own", "orphan"})
#: What keeps a node from being good. A session ends by itself, and who asks is no service. A session is also whatever a
#: user's own systemd runs, and goes on running while that user lingers (user@1000.service/app.slice/x.service).
COUNTED = frozenset({"service", "init", "container", "orphan"})
#: What `--strict` counts too: who logged in before the upgrade goes on with the old library until that ends.
STRICT = COUNTED | {"session"}
#: Why a node owes a reboot: PID 1 cannot be refreshed; what only matters to an advisory that asks for a reboot.
INIT, DEEPER = "init", frozenset({"libc", "kernel", "asked"})
COPIES = 50  # the most paths of own copies that an answer lists

NUMBER, ANY, BUILD = r"[0-9]{1,10}", r".*", r"[A-Za-z0-9 .,:+-]{0,200}"
STALE = (NUMBER, "|".join(sorted(KINDS)), ANY, ANY, r"/.*", rf"(?:{NUMBER})?", BUILD, ANY)
COPY = (NUMBER, r"/.*", BUILD)
REBOOT = ("|".join(sorted({INIT, *DEEPER})), r".+")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that still maps a deleted library file.

    `kind` is one of KINDS; `service` the systemd unit (without .service), init script or container (its name, or the
    first 12 digits of its id) that it is of, None where there is none or it is not known; `library` the path of the
    deleted file; `command` at most 300 characters of printable ASCII. `since` is when it started, in seconds since
    1970, None where the node does not say; `build` is what the mapped file says of itself, None where it says nothing
    or cannot be read: "OpenSSL 3.0.20 7 Apr 2026, built on: Sat Jun  6 19:56:20 2026 UTC".
    """

    pid: int
    kind: str
    command: str
    service: str | None
    library: str
    user: str
    since: int | None = None
    build: str | None = None

    @property
    def counted(self) -> bool:
        """True if this process keeps its node from being good."""
        return self.kind in COUNTED


@dataclass(frozen=True, slots=True)
class Copy:
    """An OpenSSL that a process maps from outside the distribution's library directories, and that no upgrade reaches.

    `pid` is the first process that maps it, `path` as that process sees it, `build` as a Process has it.
    """

    pid: int
    path: str
    build: str | None


@dataclass(frozen=True, slots=True)
class Reboot:
    """A thing that only a reboot mends: `why` is INIT or one of DEEPER, `sentence` says what was seen."""

    why: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Findings:
    """A whole answer: the stale processes by PID, and how many processes it says nothing about.

    `unread` are those that the asking user may not look into, and stale ones beyond the most that are listed. `copies`
    are by path, each path once, COPIES at most: no judgement of theirs is made, and one that is linked statically into
    a program is not seen.
    """

    stale: tuple[Process, ...]
    unread: int
    copies: tuple[Copy, ...] = ()
    reboots: tuple[Reboot, ...] = ()

    @property
    def counted(self) -> tuple[Process, ...]:
        """The stale processes that keep the node from being good."""
        return tuple(process for process in self.stale if process.counted)

    def owed(self, deeper: bool = False) -> tuple[str, ...]:
        """Return why the node owes a reboot, in sentences; `deeper` where an advisory is about a kernel or libc."""
        return tuple(each.sentence for each in self.reboots if each.why == INIT or deeper)


def kinds(restarts: Iterable[str], strict: bool = False) -> frozenset[str]:
    """Return the kinds of stale processes that keep a node from being good.

    `restarts` is what each advisory says that helps (service, reboot, none): where none of them wants anything
    restarted, nothing is counted. `strict` counts logins too.
    """
    if set(restarts) == {"none"}:
        return frozenset()
    return STRICT if strict else COUNTED


@cache
def text() -> str:
    """Return the probe as it is shipped: one program, probe.sh with its parts in the places where it names them."""
    return re.sub(r"(?m)^#include (\w+\.sh)\n", lambda part: SCRIPT.with_name(part[1]).read_text(), SCRIPT.read_text())


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
    stale, copies, reboots, counts = [], [], [], {"more": 0}
    for line in lines[lines.index(FIRST) + 1 : -1]:
        word, *fields = line.split("\t")
        if word == "stale" and _are(fields, *STALE):
            pid, kind, service, user, library, since, build, started = fields
            when = int(since) if since else None
            stale.append(Process(int(pid), kind, started, service or None, library, user, when, build or None))
        elif word == "own-copy" and _are(fields, *COPY):
            pid, path, build = fields
            copies.append(Copy(int(pid), path, build or None))
        elif word == "reboot" and _are(fields, *REBOOT):
            reboots.append(Reboot(*fields))
        elif word in ("more", "unread") and _are(fields, NUMBER):
            counts[word] = int(fields[0])
        else:
            raise ProbeError(f"the probe answered with a line of no known form: {line[:100]!r}")
    if "unread" not in counts:
        raise ProbeError("the probe did not say how many processes it could not read.")
    if len(copies) > COPIES:
        raise ProbeError(f"the probe listed {len(copies)} copies of OpenSSL, which it never does.")
    return Findings(
        tuple(sorted(stale, key=lambda process: process.pid)), counts["unread"] + counts["more"],
        tuple(sorted(copies, key=lambda copy: copy.path)), tuple(reboots),
    )


def _are(fields: list[str], *patterns: str) -> bool:
    """True if these are as many fields as patterns, each of its pattern."""
    return len(fields) == len(patterns) and all(map(re.fullmatch, patterns, fields))
