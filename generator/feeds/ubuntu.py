"""Ubuntu's record of a CVE, https://ubuntu.com/security/cves/CVE-....json.

It has "packages", each with a "name" and "statuses" by "release_codename": a "status", its "description" (the version
of a release, the reason of another) and the "pocket" the fix is in; and "notices" with the versions each USN released
(the schema of https://github.com/canonical/ubuntu.com-security-api, webapp/schemas.py).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from generator.feeds import strict
from generator.feeds.record import NO_FIX, NO_RELEASE, Reading, Record

FEED = "Ubuntu's CVE record"
URL = "https://ubuntu.com/security/cves/{cve}.json"
# /usr/share/distro-info/ubuntu.csv of the Debian package distro-info-data
CODENAMES: Mapping[str, str] = MappingProxyType({
    "lucid": "10.04", "maverick": "10.10", "natty": "11.04", "oneiric": "11.10", "precise": "12.04",
    "quantal": "12.10", "raring": "13.04", "saucy": "13.10", "trusty": "14.04", "utopic": "14.10", "vivid": "15.04",
    "wily": "15.10", "xenial": "16.04", "yakkety": "16.10", "zesty": "17.04", "artful": "17.10", "bionic": "18.04",
    "cosmic": "18.10", "disco": "19.04", "eoan": "19.10", "focal": "20.04", "groovy": "20.10", "hirsute": "21.04",
    "impish": "21.10", "jammy": "22.04", "kinetic": "22.10", "lunar": "23.04", "mantic": "23.10", "noble": "24.04",
    "oracular": "24.10", "plucky": "25.04", "questing": "25.10", "resolute": "26.04",
})
# A pocket is a stream of its own where its builds are: ESM's have +esm in their version, FIPS' have .fips. .
_STREAMS = {
    "esm": "-esm", "esm-infra": "-esm", "esm-infra-legacy": "-esm", "esm-apps": "-esm",
    "fips": "-fips", "fips-updates": "-fips-updates",
}
_PLAIN = ("", "security", "updates")
_UNSEEN = "needs-triage"  # stays in the words of what was ignored before anybody looked whether it has the fault
_WAITING = ("needed", "pending", "deferred", "in-progress", "active", _UNSEEN)
_VERSION = re.compile(r"(?:\d+:)?\d+\.\d", re.ASCII)  # of the package that the release came out with


def record(data: dict, source: str = "", feed: str = FEED) -> Record:
    """Return what Ubuntu's record says; `source` is the URL it came from. Raises FeedError for what is no such one."""
    cve = strict.word(data, "id", feed)
    where = f"{feed} of {cve}"
    reading = Reading(feed, cve, source or URL.format(cve=cve))
    notices = _notices(data, where)
    for package in strict.objects(data, "packages", where):
        name = strict.word(package, "name", where)
        for said in strict.objects(package, "statuses", where):
            _read(reading, name, said, notices, where)
    return reading.record(strict.word(data, "description", where), strict.word(data, "priority", where))


def _read(reading: Reading, package: str, said: dict, notices: Mapping, where: str) -> None:
    status, told = strict.word(said, "status", where), strict.word(said, "description", where)
    codename = strict.word(said, "release_codename", where)
    release = release_of(codename, strict.word(said, "pocket", where), told if status == "released" else "")
    if status == "DNE" or codename == "upstream":
        return
    if release is None:
        reading.left_out(NO_RELEASE, f"ubuntu {codename} {strict.word(said, 'pocket', where)}".rstrip())
    elif status == "released":
        reading.fixed("ubuntu", release, package, told, notices.get((codename.rpartition("/")[2], package, told), ""))
    elif status == "not-affected":
        reason = f"{told} is without the fault" if _VERSION.match(told) else told
        reading.not_affected("ubuntu", release, package, reason)
    elif status == "ignored" and _UNSEEN in told:
        reading.left_out("ignored before anybody looked", f"ubuntu {release} {package}")
    elif status == "ignored":
        reading.never_fixed("ubuntu", release, package, f"ignored: {told}".rstrip(": "))
    elif status in _WAITING:
        reading.left_out(NO_FIX, f"ubuntu {release} {package}")
    else:
        reading.left_out(f"status {status or 'missing'}", f"ubuntu {release} {package}")


def release_of(codename: str, pocket: str, version: str = "") -> str | None:
    """Return the advisories' name of a release and its stream, None for one that is unknown.

    `esm-infra/xenial` and `trusty/esm` are spellings of a release and its pocket in one. A build that says +esm or
    .fips. in its version is of that stream, whatever pocket is named.
    """
    left, _, right = codename.partition("/")
    codename, pocket = (left, right or pocket) if left in CODENAMES else (right or left, left if right else pocket)
    number = CODENAMES.get(codename)
    if number is None or (pocket not in _STREAMS and pocket not in _PLAIN):
        return None
    stream = _STREAMS.get(pocket, "")
    if not stream and "esm" in version:
        stream = "-esm"
    if not stream.startswith("-fips") and "fips" in version:
        stream = "-fips"
    return number + stream


def _notices(data: dict, where: str) -> dict[tuple[str, str, str], str]:
    """Return {(code name, source package, version): USN} of the notices; older records name their ids alone."""
    found: dict[tuple[str, str, str], str] = {}
    for notice in strict.get(data, "notices", list, where) or []:
        if type(notice) is not dict:
            continue
        usn = strict.word(notice, "id", where)
        packages = strict.get(notice, "release_packages", dict, where) or {}
        for codename in packages:
            for package in strict.objects(packages, codename, where):
                if package.get("is_source") is True:
                    key = codename, strict.word(package, "name", where), strict.word(package, "version", where)
                    found.setdefault(key, usn)
    return found
