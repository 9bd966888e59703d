"""Red Hat's security data, https://access.redhat.com/hydra/rest/securitydata/cve/CVE-....json.

It has "affected_release", what was fixed: "product_name", "cpe", "package" (openssl-1:1.1.1k-6.el8_5) and "advisory";
and "package_state", what was not: "fix_state" of a "package_name"
(https://docs.redhat.com/en/documentation/red_hat_security_data_api/).
"""

import re

from generator.feeds import strict
from generator.feeds.record import NO_FIX, NO_RELEASE, Reading, Record

FEED = "Red Hat's security data"
URL = "https://access.redhat.com/hydra/rest/securitydata/cve/{cve}.json"
_PRODUCT = "Red Hat Enterprise Linux"  # others build for it too: JBoss and Virtualization have CPEs of RHEL's
_CPE = re.compile(r"cpe:/[oa]:redhat:(enterprise_linux|rhel_([a-z0-9]+)):(\d{1,2})(?:\.(\d{1,2}))?(?:::.*)?", re.ASCII)
# Red Hat names the epoch, a 0 too; where it is left out nobody can say what the version compares to (rpm-version(7)).
_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9.+_-]*?)-(?P<version>\d+:[^-:]+-[^-:]+)", re.ASCII)
_NEVER = ("Will not fix", "Out of support scope")
_WAITING = ("Affected", "Fix deferred", "New", "Under investigation")


def record(data: dict, source: str = "", feed: str = FEED) -> Record:
    """Return what Red Hat's record says; `source` is the URL it came from. Raises FeedError for what is no such one."""
    cve = strict.word(data, "name", feed)
    where = f"{feed} of {cve}"
    reading = Reading(feed, cve, source or URL.format(cve=cve))
    for said in strict.objects(data, "affected_release", where):
        _fixed(reading, said, where)
    for said in strict.objects(data, "package_state", where):
        _state(reading, said, where)
    bugzilla = strict.get(data, "bugzilla", dict, where) or {}
    title = strict.word(bugzilla, "description", where).removeprefix(cve).strip()
    return reading.record(title, strict.word(data, "threat_severity", where))


def release_of(cpe: str) -> str | None:
    """Return the advisories' name of a release and its stream, None for one that is unknown.

    cpe:/o:redhat:enterprise_linux:8 is 8, cpe:/o:redhat:rhel_eus:8.4::baseos is 8.4-eus, cpe:/o:redhat:rhel_els:6 is
    6-els.
    """
    found = _CPE.fullmatch(cpe)
    if not found:
        return None
    _, stream, major, minor = found.groups()
    if stream is None:
        return major
    return f"{major}.{minor}-{stream}" if minor else f"{major}-{stream}"


def _release(reading: Reading, said: dict, where: str) -> str | None:
    """Return the release an entry speaks of, None where it is another product; that is noted then."""
    product = strict.word(said, "product_name", where)
    found = release_of(strict.word(said, "cpe", where)) if product.startswith(_PRODUCT) else None
    if found is None:
        reading.left_out(NO_RELEASE, product)
    return found


def _fixed(reading: Reading, said: dict, where: str) -> None:
    release = _release(reading, said, where)
    if release is None:
        return
    package = strict.word(said, "package", where)
    found = _PACKAGE.fullmatch(package)
    if found:
        reading.fixed("rhel", release, found["name"], found["version"], strict.word(said, "advisory", where))
    else:
        reading.left_out("no package with epoch, version and release", f"rhel {release} {package}")


def _state(reading: Reading, said: dict, where: str) -> None:
    release = _release(reading, said, where)
    if release is None:
        return
    package, state = strict.word(said, "package_name", where), strict.word(said, "fix_state", where)
    if state == "Not affected":
        reading.not_affected("rhel", release, package, "Not affected")
    elif state in _NEVER:
        reading.never_fixed("rhel", release, package, state)
    elif state in _WAITING:
        reading.left_out(NO_FIX, f"rhel {release} {package}")
    else:
        reading.left_out(f"fix state {state or 'missing'}", f"rhel {release} {package}")
