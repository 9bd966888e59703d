"""Debian's security tracker, https://security-tracker.debian.org/tracker/data/json: one file of every source package.

It has {source package: {CVE: {"description", "releases": {code name: {"status", "fixed_version", "urgency", "nodsa",
"nodsa_reason"}}}}}, of the releases that Debian still cares for. A fixed_version "0" means never affected
(https://security-team.debian.org/security_tracker.html).
"""

import json
import re
from collections.abc import Collection, Iterator

from generator import platforms
from generator.errors import FeedError
from generator.feeds import strict
from generator.feeds.record import NO_FIX, NO_RELEASE, Reading, Record

FEED = "Debian's security tracker"
URL = "https://security-tracker.debian.org/tracker/data/json"
_BLANK = re.compile(r"[ \t\r\n]*")


def records(data: bytes, cves: Collection[str], source: str = URL, feed: str = FEED) -> dict[str, Record]:
    """Return {CVE: record} of those asked for that the tracker has; `data` is the whole file or a part of its packages.

    Read once and package by package: of 70 MB never more than one package is held as objects. Raises FeedError for what
    is no such file.
    """
    readings = {cve: Reading(feed, cve, source) for cve in cves}
    titles: dict[str, str] = {}
    for package, entries in _packages(strict.utf8(data, feed), feed):
        for cve in readings.keys() & entries.keys():
            where = f"{feed}, {package} {cve}"
            entry = strict.get(entries, cve, dict, where) or {}
            titles.setdefault(cve, strict.word(entry, "description", where))
            releases = strict.get(entry, "releases", dict, where) or {}
            for name in sorted(releases):
                _read(readings[cve], package, name, strict.get(releases, name, dict, where) or {}, where)
    return {cve: readings[cve].record(titles[cve]) for cve in cves if cve in titles}


def looks_like(text: str) -> bool:
    """Return whether this JSON text begins as the tracker does; only its first package is looked at."""
    try:
        _, entries = next(_packages(text, FEED))
        first = next(iter(entries.values()))
    except (FeedError, StopIteration):
        return False
    return type(first) is dict and "releases" in first


def _read(reading: Reading, package: str, release: str, said: dict, where: str) -> None:
    status, version = strict.word(said, "status", where), strict.word(said, "fixed_version", where)
    what = f"debian {strict.line(release, 60)} {package}"
    if platforms.why_no_release("debian", release):
        reading.left_out(NO_RELEASE, f"debian {release}")
    elif status == "resolved" and version == "0":
        reading.not_affected("debian", release, package, "never affected")
    elif status == "resolved":
        reading.fixed("debian", release, package, version)
    elif strict.word(said, "nodsa_reason", where) == "ignored":
        reading.never_fixed("debian", release, package, f"ignored: {strict.word(said, 'nodsa', where)}".rstrip(": "))
    elif strict.word(said, "urgency", where) == "end-of-life":
        reading.never_fixed("debian", release, package, "end of life")
    elif status == "open":
        reading.left_out(NO_FIX, what)
    else:
        reading.left_out(f"status {status or 'missing'}", what)


def _packages(text: str, feed: str) -> Iterator[tuple[str, dict]]:
    """Yield each source package of the file with its CVEs, one after the other."""
    decoder = json.JSONDecoder()
    end = f"{feed} is not JSON: it ends or breaks off at character"

    def after(at: int, wanted: str) -> str:
        if text[at : at + 1] not in tuple(wanted):
            raise FeedError(f"{end} {at}.")
        return text[at]

    def value(at: int) -> tuple[object, int]:
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise FeedError(f"{end} {at}.") from error
        return found, _blank(text, at)

    at = _blank(text, 0)
    after(at, "{")
    at = _blank(text, at + 1)
    if text[at : at + 1] == "}":
        return
    while True:
        package, at = value(at)
        after(at, ":")
        entries, at = value(_blank(text, at + 1))
        if type(package) is not str or type(entries) is not dict:
            raise FeedError(f"{feed} is not as that feed writes it: it is no object of source packages.")
        yield strict.line(package, 80), entries
        ended = after(at, ",}") == "}"
        at = _blank(text, at + 1)
        if ended:
            break
    if at != len(text):
        raise FeedError(f"{end} {at}.")


def _blank(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()
