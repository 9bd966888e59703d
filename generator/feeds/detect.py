"""Which feed wrote a file or an answer, and what it says of one CVE."""

from collections.abc import Collection

from generator.errors import FeedError
from generator.feeds import debian, osv, redhat, strict, ubuntu
from generator.feeds.record import Record

FROM_A_FILE = ", from a file"  # its source is where the feed publishes it, which nobody here has seen


def record(data: bytes, cve: str | None = None, source: str = "") -> Record:
    """Return what `data` says of `cve`; which of the four feeds wrote it shows in what it holds.

    `cve` may be left out where the record is of one CVE alone; `source` is the URL that was read, "" for a file. Raises
    FeedError for what no feed writes, and for a record of another CVE.
    """
    if cve is not None:
        found = records(data, [cve], source)
        if cve not in found:
            raise FeedError(f"{debian.FEED} has nothing on {cve}.")
        return found[cve]
    if debian.looks_like(strict.utf8(data, "the record")):
        raise FeedError(f"{debian.FEED} is of every CVE: say which, --cve.")
    return _of_one(data, None, source)


def records(data: bytes, cves: Collection[str], source: str = "") -> dict[str, Record]:
    """Return {CVE: what `data` says of it}; Debian's tracker, which is of every CVE, may have nothing on some.

    `source` is the URL that was read, "" for a file. Raises FeedError for what no feed writes, and for a record that is
    about others than these CVEs.
    """
    if debian.looks_like(strict.utf8(data, "the record")):
        return debian.records(data, cves, source or debian.URL, debian.FEED + ("" if source else FROM_A_FILE))
    return {cve: _of_one(data, cve, source) for cve in cves}


def _of_one(data: bytes, cve: str | None, source: str) -> Record:
    """Return what a record of one CVE says, or what one of several (OSV's) says of `cve`."""
    mark = "" if source else FROM_A_FILE
    held = strict.loads(data, "the record")
    if type(held) is dict and "id" in held and "affected" in held:
        return osv.record(held, cve, source, osv.FEED + mark)
    if type(held) is dict and not {"affected_release", "package_state", "threat_severity"}.isdisjoint(held):
        made = redhat.record(held, source, redhat.FEED + mark)
    elif type(held) is dict and "id" in held and "packages" in held:
        made = ubuntu.record(held, source, ubuntu.FEED + mark)
    else:
        raise FeedError(
            "no feed that Styptic knows writes this: it is not Debian's tracker, Ubuntu's or Red Hat's record of a "
            "CVE, nor one in OSV's schema."
        )
    if cve is not None and made.cve != cve:
        raise FeedError(f"{made.feed} is about {made.cve}, not about {cve}.")
    return made
