"""Which rows of an advisory a package is held against: its release's, its stream's, or none."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from generator import origin, platforms
from generator.numbering import parsed
from generator.platforms import Release

if TYPE_CHECKING:
    from generator.advisory import Advisory
    from generator.rows import Fixed, NeverFixed, NotAffected

    Row = Fixed | NeverFixed | NotAffected


def streams(
    advisory: "Advisory", release: Release | None, platform: str, name: str, version: str
) -> dict[str, "Fixed"]:
    """Return the rows that a package is held against, by release or stream; of two about one the later counts.

    Of RHEL these are its own stream's (6.4-eus for .el6_4) before its release's. A stream that goes on from where a
    release ended (els, esm) counts where the release has no row, or for what was built for it. FIPS builds have rows of
    their own or none.
    """
    if release is None:
        return {}
    flavour, minor = origin.flavour(version), origin.minor(version)
    found: dict[str, dict[str, Fixed]] = {"": {}, "later": {}, "fips": {}, "minor": {}}
    for row in advisory.fixed:
        if row.distro != release.distro or name not in advisory.binaries(release, row.package):
            continue
        named, stream = platforms.stream_of(row.release)
        if minor and stream and named == f"{minor[0]}.{minor[1]}":
            kind = "minor"
        elif named != release.release:
            continue
        else:
            kind = "" if not stream else "fips" if stream.startswith("fips") else "later"
        other = found[kind].get(row.release)
        scheme = platforms.SCHEME[row.distro]
        if other is None or parsed(scheme, other.version).whole < parsed(scheme, row.version).whole:
            found[kind][row.release] = row
    if flavour == "fips":
        return found["fips"] or found[""] or found["later"]
    if found["minor"] and platforms.FAMILY[platform] == "rhel":
        return found["minor"]
    return found["later"] if found["later"] and (flavour == "esm" or not found[""]) else found[""]


def row(
    advisory: "Advisory", rows: Iterable["NotAffected | NeverFixed"], release: Release | None, name: str, version: str
) -> "NotAffected | NeverFixed | None":
    """Return the first of the rows that speaks of this binary package, built for `release`; None for none.

    A row about a stream speaks of its builds alone, one that names none not of those a stream mends by itself.
    """
    if release is None:
        return None
    flavour, minor = origin.flavour(version), origin.minor(version)
    for each in rows:
        named, stream = platforms.stream_of(each.release)
        if each.distro != release.distro or name not in advisory.binaries(release, each.package):
            continue
        if minor and stream and named == f"{minor[0]}.{minor[1]}":
            return each
        if platforms.covers(named, release) and (not stream or stream.split("-")[0] in (flavour, "els")):
            return each
    return None


def speaks(row: "Row", release: Release) -> bool:
    """Return whether the row speaks of this release, or of a stream that nodes of it can be of."""
    if row.distro != release.distro:
        return False
    named, stream = platforms.stream_of(row.release)
    exact = ".".join(map(str, release.exact[:2]))
    return platforms.covers(row.release, release) or (bool(stream) and named in (release.release, exact))


def release_row(advisory: "Advisory", release: Release) -> "NotAffected | None":
    """Return the row that calls the release's own library not affected; one about a second OpenSSL is not enough."""
    rows = (
        row for row in advisory.not_affected
        if (row.package == "openssl" or not advisory.openssl)
        and row.distro == release.distro and platforms.covers(row.release, release)
    )
    return next(rows, None)


def expected(advisory: "Advisory", release: Release | None) -> tuple[str, ...]:
    """Return the packages that the advisory asks for on this release."""
    rows = [row for row in advisory.fixed if release and speaks(row, release)]
    return tuple(dict.fromkeys(name for row in rows for name in advisory.binaries(release, row.package)))
