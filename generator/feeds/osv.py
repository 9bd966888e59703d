"""A record in OSV's schema, https://ossf.github.io/osv-schema/, as api.osv.dev and several distributions publish.

What an ecosystem's package has is told by ranges of events; one that was introduced at 0 and fixed in a version is a
row. A record can be of several CVEs (a USN, an RLSA), which it names in `upstream`, `aliases` or, older, in `related`.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from generator import platforms
from generator.errors import FeedError
from generator.feeds import redhat, strict
from generator.feeds.record import NO_FIX, NO_RELEASE, Reading, Record

FEED = "OSV"
URL = "https://api.osv.dev/v1/vulns/{id}"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}", re.ASCII)
_OF_A_CVE = re.compile(r"(?:[A-Z]+-)?(CVE-\d{4}-\d{4,19})", re.ASCII)
# Those that stand for one release of a package; the rest of the ids repeat a CVE's.
_ADVISORY = re.compile(r"(?:DSA|DLA|USN|RHSA|RHBA|RLSA|ALSA|SUSE-SU|openSUSE-SU)-.+", re.ASCII)
_PRO = re.compile(r"Pro:(?:(FIPS|FIPS-updates):)?(\d\d\.\d\d)(?::LTS)?", re.ASCII)


def record(data: dict, cve: str | None = None, source: str = "", feed: str = FEED) -> Record:
    """Return what the record says of `cve`, which may be left out where the record is of one CVE alone.

    `source` is the URL it came from. Raises FeedError for what is no such record, one that was withdrawn, or one of
    another CVE.
    """
    name = strict.word(data, "id", feed)
    if not _ID.fullmatch(name):
        raise FeedError(f"{feed} is not as that feed writes it: its id is {strict.line(name, 60)!r}.")
    where = f"{feed} record {name}"
    if data.get("withdrawn"):
        raise FeedError(f"{where} was withdrawn; nothing is taken from it.")
    reading = Reading(feed, _meant(data, name, cve, where), source or URL.format(id=name))
    advisory = name if _ADVISORY.fullmatch(name) else ""
    for affected in strict.objects(data, "affected", where):
        _read(reading, affected, advisory, where)
    rated = strict.get(data, "database_specific", dict, where) or {}
    title = strict.word(data, "summary", where) or strict.word(data, "details", where)
    severity = rated.get("severity")
    return reading.record(title, severity if type(severity) is str else "")


def cves(data: dict, where: str = FEED) -> tuple[str, ...]:
    """Return the CVEs that the record is about: its own id, else `upstream` and `aliases`, else `related`."""
    own = _OF_A_CVE.fullmatch(strict.word(data, "id", where))
    if own:
        return (own[1],)
    for keys in (("upstream", "aliases"), ("related",)):
        named = [each for key in keys for each in strict.texts(data, key, where)]
        if found := tuple(dict.fromkeys(each for each in named if strict.CVE.fullmatch(each))):
            return found
    return ()


def _meant(data: dict, name: str, cve: str | None, where: str) -> str:
    found = cves(data, where)
    if cve is None and len(found) == 1:
        return found[0]
    named = ", ".join(found[:10]) + (", ..." if len(found) > 10 else "") or "none"
    if cve is None:
        raise FeedError(f"{where} is of several CVEs or of none ({named}): say which, --cve.")
    if cve not in found:
        raise FeedError(f"{where} is not about {cve}, but about {named}.")
    return cve


def _read(reading: Reading, affected: dict, advisory: str, where: str) -> None:
    package = strict.get(affected, "package", dict, where) or {}
    name, ecosystem = strict.word(package, "name", where), strict.word(package, "ecosystem", where)
    place = release_of(ecosystem, strict.word(package, "purl", where))
    if place is None:
        reading.left_out(NO_RELEASE, ecosystem)
        return
    what = f"{' '.join(place)} {name}"
    events = [
        event for each in strict.objects(affected, "ranges", where) if strict.word(each, "type", where) == "ECOSYSTEM"
        for event in strict.objects(each, "events", where)
    ]
    told = [(kind, strict.word(event, kind, where)) for event in events for kind in event]
    if told == [("introduced", "0")]:
        reading.left_out(NO_FIX, what)
    elif len(told) == 2 and sorted(told)[1] == ("introduced", "0") and sorted(told)[0][0] == "fixed":
        reading.fixed(*place, name, dict(told)["fixed"], advisory)
    elif any(kind == "last_affected" for kind, _ in told):
        reading.left_out("it names the last affected version and not the first fixed one", what)
    else:
        reading.left_out("its ranges are not from the beginning to one fixed version", what)


def release_of(ecosystem: str, purl: str = "") -> tuple[str, str] | None:
    """Return the advisories' distribution and release of an ecosystem, None for one that is unknown.

    `Debian:12` is debian bookworm, `Ubuntu:20.04:LTS` ubuntu 20.04, `Ubuntu:Pro:16.04:LTS` ubuntu 16.04-esm,
    `Alpine:v3.18` alpine 3.18, `Rocky Linux:8` and `AlmaLinux:8` rhel 8, `openSUSE:Leap 15.5` opensuse 15.5. Which FIPS
    stream is meant the purl says (distro=fips-updates/xenial).
    """
    system, _, rest = ecosystem.partition(":")
    return _ECOSYSTEMS.get(system, lambda rest, purl: None)(rest, purl)


def _debian(rest: str, purl: str) -> tuple[str, str] | None:
    return ("debian", platforms.CODENAMES[rest]) if rest in platforms.CODENAMES else None


def _ubuntu(rest: str, purl: str) -> tuple[str, str] | None:
    if found := re.fullmatch(r"(\d\d\.\d\d)(?::LTS)?", rest, re.ASCII):
        return "ubuntu", found[1]
    if found := _PRO.fullmatch(rest):
        stream = (found[1] or "esm").lower()
        return "ubuntu", f"{found[2]}-{'fips-updates' if 'distro=fips-updates/' in purl else stream}"
    return None


def _numbered(distro: str, pattern: str) -> Callable[[str, str], tuple[str, str] | None]:
    def numbered(rest: str, purl: str) -> tuple[str, str] | None:
        found = re.fullmatch(pattern, rest, re.ASCII)
        return (distro, found[1]) if found else None

    return numbered


def _redhat(rest: str, purl: str) -> tuple[str, str] | None:
    found = redhat.release_of(f"cpe:/o:redhat:{rest}")
    return ("rhel", found) if found else None


_ECOSYSTEMS: Mapping[str, Callable[[str, str], tuple[str, str] | None]] = MappingProxyType({
    "Debian": _debian, "Ubuntu": _ubuntu, "Red Hat": _redhat,
    "Alpine": _numbered("alpine", r"v(\d+\.\d+)"), "openSUSE": _numbered("opensuse", r"Leap (\d+\.\d+)"),
    "Rocky Linux": _numbered("rhel", r"(\d+)"), "AlmaLinux": _numbered("rhel", r"(\d+)"),
})
