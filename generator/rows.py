"""What an advisory's file says, row by row, each checked as it is read; every row names its source."""

from dataclasses import dataclass

from generator import numbering, platforms
from generator.table import NAME, Table

LEAKS = ("memory",)  # what may leak: keys, passwords and sessions are in it


@dataclass(frozen=True, slots=True)
class Upstream:
    """The library's own releases: which are affected, and the first of each branch with the fix.

    `affected` are first and last of each branch, inclusive; `before` are first and the first that is clean again, where
    that is how the source puts it ("0" is from the beginning). `since`, where a source says so, is the first release
    that has the fault at all: what is older never had it.
    """

    affected: tuple[tuple[str, str], ...]
    fixed: tuple[str, ...]
    source: str
    before: tuple[tuple[str, str], ...] = ()
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """One row: `version` of the source package is the first of that release with the fix.

    It is dpkg's, apk's, or rpm's as epoch:version-release, where no epoch is 0. A release is one that
    generator.platforms.release_of gives, or a stream of it (`6.4-eus`, `7-els`, `18.04-esm`, `20.04-fips-updates`).
    """

    distro: str
    release: str
    package: str
    version: str
    advisory: str | None
    source: str
    source_kind: str | None


@dataclass(frozen=True, slots=True)
class _WithoutVersion:
    distro: str
    release: str
    package: str
    reason: str
    source: str
    source_kind: str | None = None


class NotAffected(_WithoutVersion):
    """One row: that release's package never had the fault. `6.0..6.4` are these minor releases, both included."""

    __slots__ = ()


class NeverFixed(_WithoutVersion):
    """One row: that release's package has the fault, and the distribution will not mend it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Package:
    """The binary packages that are built from a source package and carry what the advisory is about.

    `release` None is every release of the distribution that no other such table names. `companions` carry none of it
    and demand its very version (headers, say), so that they are upgraded with it where they are installed.
    """

    distro: str
    release: str | None
    package: str
    binary: tuple[str, ...]
    source: str
    companions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leak:
    """What attackers may have had before the patch: `what` is one of LEAKS, of every process that maps a library of
    `libraries`.
    """

    what: str
    libraries: tuple[str, ...]
    source: str


def leak(table: Table | None) -> Leak | None:
    """Return the table [leaks], None where there is none: nothing leaks."""
    if table is None:
        return None
    what = table.text("what")
    if what is not None and what not in LEAKS:
        table.wrong("what", f"{what!r:.60} is none of {', '.join(LEAKS)}")
    found = Leak(what, table.words("libraries"), table.text("source"))
    table.done()
    return found


def upstream(table: Table | None, openssl: bool) -> Upstream | None:
    """Return the table [upstream], None where there is none; `openssl` says whose way of numbering it is in."""
    if table is None:
        return None
    affected, before = table.pairs("affected", needed=False), table.pairs("before", needed=False)
    fixed, since = table.words("fixed"), table.text("since", needed=False)
    if not affected and not before:
        table.wrong("affected", "is missing; it is a list of [first, last] pairs, or `before` of [first, clean] pairs")
    said = {"affected": sum(affected, ()), "before": sum(before, ()), "fixed": fixed}
    said["since"] = (since,) if since else ()
    for key, releases in said.items():
        for release in releases:
            if not (_is_release(release, openssl) or (key == "before" and release == "0")):
                whose, such = ("OpenSSL", "1.0.1f or 3.0.17") if openssl else ("a library", "5.6.1 or 9.8p1")
                table.wrong(key, f"{release!r:.60} is no release of {whose} such as {such}")
    for key, pairs in (("affected", affected), ("before", before)):
        for first, last in pairs:
            known = first != "0" and _is_release(first, openssl) and _is_release(last, openssl)
            if known and _later(first, last, openssl):
                table.wrong(key, f"{first} comes after {last}; the first release of a branch comes first")
    found = Upstream(affected, fixed, table.text("source"), before, since)
    table.done()
    return found


def fixed(table: Table) -> Fixed:
    """Return a row of [[fixed]]."""
    distro, release, package = _where(table)
    version = table.text("version")
    if version is not None and distro in platforms.SCHEME:
        try:
            numbering.parsed(platforms.SCHEME[distro], version)
        except ValueError:
            table.wrong("version", f"{version!r:.80} is not a version that {platforms.SCHEME[distro]} writes")
    found = Fixed(
        distro, release, package, version, table.text("advisory", needed=False), table.text("source"),
        table.text("source_kind", needed=False),
    )
    table.done()
    return found


def not_affected(table: Table) -> NotAffected:
    """Return a row of [[not_affected]]."""
    found = NotAffected(*_where(table, ranges=True), *_why(table))
    table.done()
    return found


def never_fixed(table: Table) -> NeverFixed:
    """Return a row of [[never_fixed]]."""
    found = NeverFixed(*_where(table), *_why(table))
    table.done()
    return found


def package(table: Table) -> Package:
    """Return a row of [[package]]."""
    distro, release = table.text("distro"), table.text("release", needed=False)
    _check(table, distro, release)
    found = Package(
        distro, release, table.text("package", pattern=NAME), table.words("binary"), table.text("source"),
        table.words("companions", needed=False),
    )
    table.done()
    return found


def _why(table: Table) -> tuple[str | None, str | None, str | None]:
    return table.text("reason"), table.text("source"), table.text("source_kind", needed=False)


def _where(table: Table, ranges: bool = False) -> tuple[str | None, str | None, str | None]:
    """Return a row's distribution, release and source package; the first two are checked to be ones a node can have."""
    distro, release, package = table.text("distro"), table.text("release"), table.text("package", pattern=NAME)
    if release is not None:
        _check(table, distro, release, ranges)
    return distro, release, package


def _check(table: Table, distro: str | None, release: str | None, ranges: bool = False) -> None:
    if distro is None:
        return
    if distro not in platforms.SCHEME:
        hint = " (rhel is the name for its rebuilds too)" if platforms.FAMILY.get(distro) == "rhel" else ""
        table.wrong("distro", f"{distro!r:.60} is none of {', '.join(platforms.SCHEME)}{hint}")
    elif release is not None and (reason := platforms.why_no_release(distro, release, ranges)):
        table.wrong("release", reason)


def _is_release(text: str, openssl: bool) -> bool:
    try:
        return numbering.upstream_release(text, openssl) is not None
    except ValueError:
        return False


def _later(first: str, last: str, openssl: bool) -> bool:
    return numbering.upstream_release(first, openssl) > numbering.upstream_release(last, openssl)
