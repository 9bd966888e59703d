"""Which certificates and keys a node has: the text of exposure.sh for its shell, and what its answer means."""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from generator import packages, secrets
from generator.errors import ProbeError
from generator.secrets import LIBRARIES, Keeper
from generator.shell import join, quote

SCRIPT = Path(__file__).with_name("exposure.sh")
FIRST, LAST = "styptic-exposure 1", "end"
USED, KEPT = "used", "kept"
ENCRYPTED, UNREAD = "encrypted", "unread"
#: A directory that a user names; the program looks three levels deep.
DIRECTORY = re.compile(r"/[A-Za-z0-9/_.@+-]{0,400}", re.ASCII)

_NUMBER = r"[0-9]{1,10}"  # of seconds: until 2286, which every calendar here has
_SECONDS = rf"(?:{_NUMBER})?"
_NAME = r"[A-Za-z0-9_.@:/?-]{1,64}"
_PATH = r"/?[^\t]{0,4096}"
_DER = r"[A-Za-z0-9+/=]{1,40000}"
_PACKAGE, _VERSION = r"[A-Za-z0-9.+_:-]{1,150}", r"[A-Za-z0-9.+~^_:()<>-]{1,250}"
_FORMS = {
    "now": (_NUMBER,), "booted": (_NUMBER,), "left": (_NUMBER,), "elsewhere": (_NUMBER,), "mute": (),
    "named": (_NAME, _PATH, _PATH, _PATH), "file": (_PATH, _SECONDS, f"{USED}|{KEPT}", "[01]"),
    "certificate": (_PATH, _DER), "key": (_PATH, f"[0-9a-f]{{64}}|{ENCRYPTED}|{UNREAD}"),
    "hostkey": (_PATH, r"[A-Za-z0-9@.-]{1,100}", _DER), "other": (_PATH,),
    "dpkg": (_SECONDS, _PACKAGE, _VERSION, _VERSION), "list": (_SECONDS, _PACKAGE),
    "rpm": (_NUMBER, _PACKAGE, _VERSION), "dnf": (r"[0-9T:+Z-]{19,24}", r"[A-Za-z]{1,20}", _VERSION),
    "yum": (_SECONDS, r"[A-Z][a-z]{2} [0-9]{2} [0-9:]{8}", r"[A-Za-z]{1,20}", _VERSION),
}
_NEVRA = re.compile(rf"(?:([0-9]+):)?({_PACKAGE})-(?:([0-9]+):)?([^:-]+-[^:-]+)\.[A-Za-z0-9_]+", re.ASCII)
# What dnf and yum call what came, and dnf what went: of an upgrade it writes both, yum the former alone.
_CAME = frozenset({"Install", "Installed", "Upgrade", "Updated", "Downgrade", "Reinstall", "Reinstalled"})
_WENT = frozenset({"Upgraded", "Downgraded", "Erase", "Erased", "Removed", "Obsoleted"})


@dataclass(frozen=True, slots=True)
class Named:
    """A name by which something leads to a file: `service` has `path` by `by`; `real` is the file, None for none."""

    service: str
    path: str
    real: str | None
    by: str


@dataclass(slots=True)
class File:
    """A file that was looked into: `certificates` are DER in its order, `keys` what is known of private keys in it.

    One of `keys` is the SHA-256 of its public half (SubjectPublicKeyInfo) in hex, ENCRYPTED or UNREAD; `host_key` is
    sshd's public half. `used` is whether something names it, `whole` whether all of it was read, `known` whether all
    that it seems to hold was understood.
    """

    path: str
    mtime: int | None
    used: bool
    whole: bool
    certificates: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    host_key: bytes | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """At a moment of the node's clock `version` of a package came, or `before` went, or one for the other."""

    at: int
    package: str
    version: str | None
    before: str | None = None
    by: str = "dpkg's log"


@dataclass(slots=True)
class Found:
    """A whole answer. Moments are seconds since 1970 by the node's clock.

    `elsewhere` counts processes of containers, `left` files and configurations that were not read; `mute` is a node
    without an openssl that works, which says nothing of files.
    """

    now: int
    booted: int | None = None
    named: list[Named] = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    lists: dict[str, int] = field(default_factory=dict)
    elsewhere: int = 0
    left: int = 0
    mute: bool = False


@cache
def text() -> str:
    """Return the program as it is: exposure.sh with its parts in the places where it names them."""
    return re.sub(r"(?m)^#include (\w+\.sh)\n", lambda part: SCRIPT.with_name(part[1]).read_text(), SCRIPT.read_text())


def command(
    libraries: Iterable[str] = LIBRARIES[:1], directories: Iterable[str] = (), names: Iterable[str] = packages.NAMES
) -> str:
    """Return a program for `sh -s`, for root, that lists certificates, keys and packages' history; it changes nothing.

    `libraries` are those whose memory leaked, `directories` further ones to look into, `names` the packages as
    generator.packages has them. Raises ValueError for a directory that is no plain absolute path.
    """
    libraries, directories = sorted(set(libraries)), list(directories)
    for wrong in (each for each in directories if not DIRECTORY.fullmatch(each)):
        raise ValueError(f"{wrong!r} is no absolute path of letters, digits and /_.@+-")
    rows = [row for row in secrets.load().values() if row.library in libraries or row.library == LIBRARIES[0]]
    settings = {
        "EXPOSURE_DIRECTORIES": "\n".join(directories),
        "EXPOSURE_LIBRARIES": r"/lib\(" + r"\|".join(each.removeprefix("lib") for each in libraries) + r"\)[^/]*\.so",
        "EXPOSURE_PACKAGES": "|".join(map(_pattern, names)),
    }
    head = "".join(f"{name}={quote(value)}\n" for name, value in settings.items())
    calls = "".join(f"    {_call(row)}\n" for row in rows)
    return f"{head}# shellcheck disable=SC2016 # postfix's own $\nservices() {{\n{calls}}}\n{text()}"


def _pattern(name: str) -> str:
    """Return a glob of package names as an extended regular expression."""
    return name.replace(".", r"\.").replace("+", r"\+").replace("*", "[^ :]*")


def _call(row: Keeper) -> str:
    """Return the call of `service` for a row."""
    marks = [
        f"s/^{''.join(_letter(char) for char in word)}$/\t{mark}/"
        for mark, words in (("file", row.files), ("include", row.include), ("list", row.lists), ("root", row.roots))
        for word in words
    ]
    lists = (row.skip, row.usual, row.config)
    words = [row.name, "\n".join(row.processes), row.base or "", "\n".join(marks), *("\n".join(each) for each in lists)]
    return f"service {join(words)}"


def _letter(char: str) -> str:
    return f"[{char.upper()}{char.lower()}]" if char.isalpha() else char


def parse(answer: str) -> Found:
    """Return what a node said. Raises ProbeError for an answer that is not whole, or not of the known form."""
    lines = answer.split("\n")
    if FIRST not in lines or lines[-2:] != [LAST, ""]:
        raise ProbeError("the node did not say which certificates and keys it has.")
    lines = [line.split("\t") for line in lines[lines.index(FIRST) + 1 : -2]]
    for word, *fields in lines:
        forms = _FORMS.get(word)
        if forms is None or len(fields) != len(forms) or not all(map(_fits, forms, fields)):
            raise ProbeError(f"the node answered with a line of no known form: {' '.join((word, *fields))[:100]!r}")
    if not lines or lines[0][0] != "now":
        raise ProbeError("the node did not say what time it has.")
    found = Found(int(lines[0][1]))
    try:
        for word, *fields in lines[1:]:
            _take(found, word, fields)
    except (KeyError, ValueError, OverflowError) as error:
        raise ProbeError(f"the node answered with what cannot be: {str(error)[:100]}.") from None
    if any(not re.fullmatch(_NUMBER, str(event.at)) for event in found.events):
        raise ProbeError("the node answered with what cannot be: packages that came in another age.")
    found.events.sort(key=lambda event: event.at)
    return found


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _take(found: Found, word: str, fields: Sequence[str]) -> None:
    """Take one line, whose form is known, into what was found."""
    match word, *fields:
        case "booted" | "left" | "elsewhere", number:
            setattr(found, word, int(number))
        case "mute",:
            found.mute = True
        case "named", service, path, real, by:
            found.named.append(Named(service, path, real or None, by))
        case "file", real, mtime, role, cut:
            found.files[real] = File(real, int(mtime) if mtime else None, role == USED, cut == "0")
        case "certificate", real, der:
            found.files[real].certificates.append(_bytes(der))
        case "key", real, digest:
            found.files[real].keys.append(digest)
        case "hostkey", real, _, blob:
            found.files[real].host_key = _bytes(blob)
        case "other", real:
            found.files[real].known = False
        case "list", seconds, package if seconds:
            found.lists[package] = int(seconds)
        case _:
            found.events += _events(word, fields)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


def _events(word: str, fields: Sequence[str]) -> list[Event]:
    """Return what a line of a package manager's says, nothing where it does not tell when or which."""
    match word, *fields:
        case "dpkg", seconds, package, before, version if seconds:
            came, gone = (None if each == "<none>" else each for each in (version, before))
            return [Event(int(seconds), package.split(":")[0], came, gone)]
        case "rpm", seconds, package, version:
            return [Event(int(seconds), package, version.replace("(none):", "0:", 1), by="rpm's database")]
        case "dnf", stamp, action, nevra if action in _CAME | _WENT:
            return _of(nevra, datetime.fromisoformat(stamp), "dnf's log", action in _WENT)
        case "yum", written, stamp, action, nevra if action in _CAME and written:
            moment = _dated(stamp, datetime.fromtimestamp(int(written), UTC))
            return _of(nevra, moment, "yum's log, which has neither year nor time zone")
    return []


def _dated(stamp: str, last: datetime) -> datetime:
    """Return a moment that was written without its year, the latest that was not after the log's last line."""
    without = datetime.strptime(f"2000 {stamp}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
    for year in range(last.year, last.year - 9, -1):  # 29 February may be eight years ago
        with contextlib.suppress(ValueError):
            if (moment := without.replace(year=year)) <= last + timedelta(days=1):
                return moment
    raise ValueError(f"no year has {stamp}")


def _of(nevra: str, moment: datetime, by: str, went: bool = False) -> list[Event]:
    parts = _NEVRA.fullmatch(nevra)
    if not parts or moment.tzinfo is None:
        return []
    version = f"{parts[1] or parts[3] or 0}:{parts[4]}"
    came, gone = (None, version) if went else (version, None)
    return [Event(int(moment.timestamp()), parts[2], came, gone, by)]
