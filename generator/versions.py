"""Verdicts: is what a node has vulnerable, fixed, not affected, or is that not known? Every comparison is univers'."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from generator import platforms
from generator.platforms import Release

if TYPE_CHECKING:
    from generator.advisory import Advisory, Fixed, NotAffected

KINDS = ("vulnerable", "unknown", "fixed", "not_affected")  # the earlier one decides for several

# univers reads more than dpkg and rpm write; these are the characters of deb-version(7) and rpm-version(7).
_WRITTEN = {
    "dpkg": re.compile(r"(?:\d{1,9}:)?\d[A-Za-z0-9.+~-]{0,199}", re.ASCII),
    "rpm": re.compile(r"(?:\d{1,9}:)?[A-Za-z0-9._+~^]{1,100}-[A-Za-z0-9._+~^]{1,100}", re.ASCII),
}
_RELEASED = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}[a-z]{0,2}", re.ASCII)  # of OpenSSL; no alpha, beta or snapshot
# Ubuntu Pro's FIPS builds, Oracle's _fips and .ksplice: flavours with fixes of their own, numbered beside the plain.
# Oracle on which rows speak of which: https://github.com/aquasecurity/trivy/issues/1967
_FLAVOUR = re.compile(r"fips|ksplice", re.IGNORECASE)
_STREAM = re.compile(r"\.el(\d+)_(\d+)", re.ASCII)  # the minor release an rpm was built for


class Parsed(NamedTuple):
    """A package's version: univers' object, its epoch, and the part that is OpenSSL's own version."""

    whole: object
    epoch: int
    upstream: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is vulnerable, fixed, not_affected or unknown; `reason` says why in one sentence without a full stop.

    Reasons quote what a node said of itself: whoever prints one cleans it.
    """

    kind: str
    reason: str


def verdict(
    advisory: "Advisory", platform: str, platform_version: str, packages: Mapping[str, str]
) -> Verdict:
    """Return what `advisory` says of these packages on this platform (ohai's spelling); it never raises.

    `packages` are binary package names to versions, dpkg's or rpm's as epoch:version-release (no epoch is 0); names
    that are not OpenSSL's are passed over. Each package is held against the row of its release. A package without a row
    is not affected if it is newer than every release the advisory's upstream names, and unknown otherwise. Verdicts are
    remembered: a comparison costs 10 to 18 us.
    """
    found = tuple(sorted((str(name), str(version)) for name, version in packages.items()))
    return _verdict(advisory, platform, platform_version, found)


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the one verdict of several, in whatever order they come, with the reasons of those that decide.

    Vulnerable by any is vulnerable; else unknown to any is unknown; else fixed by any is fixed; else not affected.
    """
    verdicts = set(verdicts)
    for kind in KINDS:
        if deciding := sorted(each.reason for each in verdicts if each.kind == kind):
            return Verdict(kind, "; ".join(deciding))
    return Verdict("unknown", "no advisory was asked: name one")


def applies(advisory: "Advisory", platform: str, platform_version: str) -> str:
    """Return what the advisory says of a release before any package is known: fixed_row, not_affected or unknown.

    Where one row covers a whole release (rhel 6) and another calls some of its minor releases not affected (6.0..6.4),
    this is fixed_row: an update of OpenSSL alone takes such a node to the later package and leaves its number behind,
    so it has to be asked what it has.
    """
    release = platforms.release_of(platform, platform_version)
    if release is None:
        return "unknown"
    if any(_covers(row, release) for row in advisory.fixed):
        return "fixed_row"
    return "not_affected" if _release_row(advisory, release) else "unknown"


def parsed(scheme: str, version: str) -> Parsed:
    """Return a package's version as univers reads it; `scheme` is dpkg or rpm. Raises ValueError where it cannot."""
    from univers.versions import DebianVersion, RpmVersion

    return _parsed(DebianVersion if scheme == "dpkg" else RpmVersion, scheme, version)


def upstream_release(version: str):
    """Return a release of OpenSSL (1.0.1f, 3.0.17) as univers' OpensslVersion; raises ValueError for anything else.

    Alphas, betas and snapshots are nothing here: where a branch's fix came in between two of them no range says.
    """
    if not _RELEASED.fullmatch(version):
        raise ValueError(f"{version!r} is no release of OpenSSL")
    return _upstream(version)


@lru_cache(maxsize=16384)
def _verdict(
    advisory: "Advisory", platform: str, platform_version: str, packages: Sequence[tuple[str, str]]
) -> Verdict:
    node = f"{platform} {platform_version}".strip()
    if platform not in platforms.FAMILY:
        reason = f"no advisory can speak of the platform {node!r}" if node else "it never reported its platform"
        return Verdict("unknown", f"{reason}: run chef-client on it once, or see by hand what it has")
    release = platforms.release_of(platform, platform_version)
    if release and applies(advisory, platform, platform_version) == "not_affected":
        return Verdict("not_affected", _not_affected(advisory, _release_row(advisory, release), node))
    installed = [(name, version) for name, version in packages if platforms.is_openssl(name)]
    if not installed:
        expected = ", ".join(_expected(advisory, release)) or "openssl"
        return Verdict(
            "unknown", f"no OpenSSL package ({expected}) of {node} was reported: run chef-client on it once, "
            "or see by hand what it has",
        )
    return combined(_of_package(advisory, node, release, platform, *each) for each in installed)


def _of_package(
    advisory: "Advisory", node: str, release: Release | None, platform: str, name: str, version: str
) -> Verdict:
    """Return the verdict on one package, by its release's row or by OpenSSL's own version."""
    said = f"{name} {version}"
    scheme = "dpkg" if platforms.FAMILY[platform] == "debian" else "rpm"
    try:
        ours = parsed(scheme, version)
        fixed = _fixed_rows(advisory, release, name, version)
        spared = next((row for row in advisory.not_affected if _covers(row, release, name)), None)
        if spared and (not fixed or _affected_upstream(advisory, ours) is False):
            return Verdict("not_affected", _not_affected(advisory, spared, f"{said} on {node}"))
        if fixed:
            return _by_row(advisory, said, ours, max(fixed, key=lambda row: parsed(scheme, row.version).whole))
        return _by_upstream(advisory, node, said, ours)
    except (ValueError, TypeError):
        return Verdict("unknown", f"{said} is not a version that {scheme} writes: see by hand what {node} has")


def _by_row(advisory: "Advisory", said: str, ours: Parsed, row: "Fixed") -> Verdict:
    """Return the verdict of one row; above it is fixed only where that is no accident of numbering."""
    theirs = parsed(platforms.SCHEME[row.distro], row.version)
    bar = f"{row.version}, {row.advisory or advisory.id}"
    doubt = "ask whoever built it which version has the fix"
    if _FLAVOUR.search(said):
        return Verdict("unknown", f"{said} is a FIPS or Ksplice build, which {bar} does not speak of: {doubt}")
    if ours.epoch > theirs.epoch:
        return Verdict("unknown", f"{said} has a higher epoch than {bar}, so the two do not compare: {doubt}")
    if ours.whole < theirs.whole:
        return Verdict("vulnerable", f"{said} is below {bar}")
    if ours.upstream != theirs.upstream and _affected_upstream(advisory, ours) is not False:
        return Verdict(
            "unknown", f"{said} is above {bar}, and OpenSSL {ours.upstream} itself is not known to be fixed: {doubt}"
        )
    return Verdict("fixed", f"{said} is at or above {bar}")


def _by_upstream(advisory: "Advisory", node: str, said: str, ours: Parsed) -> Verdict:
    """Return the verdict on a package that no row speaks of: newer than all that is affected, or unknown."""
    missing = f"{advisory.id} has no row for {said} on {node}"
    todo = "add the row with its source, or see by hand"
    if advisory.upstream is None:
        return Verdict("unknown", f"{missing} and names no upstream releases: {todo}")
    last = max((last for _, last in advisory.upstream.affected), key=upstream_release)
    try:
        newer = upstream_release(ours.upstream) > upstream_release(last)
    except ValueError:
        return Verdict("unknown", f"{missing}, and {ours.upstream} is no release of OpenSSL: {todo}")
    if newer:
        return Verdict("not_affected", f"{said} is newer than {last}, the last OpenSSL that {advisory.id} affects")
    return Verdict("unknown", f"{missing}, and OpenSSL {ours.upstream} is not newer than {last}: {todo}")


def _affected_upstream(advisory: "Advisory", ours: Parsed) -> bool | None:
    """True if OpenSSL's own version is in a range that is affected, False if in none, None where nobody can say.

    An advisory without upstream ranges knows of no affected release but those its rows name: False.
    """
    if advisory.upstream is None:
        return False
    try:
        release = upstream_release(ours.upstream)
    except ValueError:
        return None
    return any(
        upstream_release(first) <= release <= upstream_release(last) for first, last in advisory.upstream.affected
    )


def _fixed_rows(advisory: "Advisory", release: Release | None, name: str, version: str) -> list["Fixed"]:
    """Return the rows that a package is held against: its own stream's (6.4-eus for .el6_4) before its release's."""
    if release and release.distro == "rhel" and (stream := _STREAM.search(version)):
        prefix = f"{stream[1]}.{stream[2]}-"
        rows = [
            row for row in advisory.fixed
            if row.distro == "rhel" and row.release.startswith(prefix) and name in _binaries(row, release)
        ]
        if rows:
            return rows
    return [row for row in advisory.fixed if _covers(row, release, name)]


def _covers(row: "Fixed | NotAffected", release: Release | None, name: str | None = None) -> bool:
    """True if the row speaks of this release, and of this binary package if one is named."""
    if release is None or row.distro != release.distro or not platforms.covers(row.release, release):
        return False
    return name is None or name in _binaries(row, release)


def _binaries(row: "Fixed | NotAffected", release: Release) -> tuple[str, ...]:
    return platforms.binary_packages(release, row.package)


def _release_row(advisory: "Advisory", release: Release) -> "NotAffected | None":
    """Return the row that calls the release's own OpenSSL not affected; one about a second OpenSSL is not enough."""
    rows = (row for row in advisory.not_affected if row.package == "openssl" and _covers(row, release))
    return next(rows, None)


def _not_affected(advisory: "Advisory", row: "NotAffected", what: str) -> str:
    return f"{advisory.id} does not affect {what}: {row.reason}"


def _expected(advisory: "Advisory", release: Release | None) -> tuple[str, ...]:
    """Return the packages that the advisory asks for on this release."""
    rows = [row for row in advisory.fixed if _covers(row, release)]
    return tuple(dict.fromkeys(name for row in rows for name in _binaries(row, release)))


@lru_cache(maxsize=16384)
def _parsed(kind: type, scheme: str, version: str) -> Parsed:
    if not _WRITTEN[scheme].fullmatch(version):
        raise ValueError(f"{version!r} is not a version that {scheme} writes")
    whole = kind(version)
    return Parsed(whole, whole.value.epoch, whole.value.upstream if scheme == "dpkg" else whole.value.version)


@cache
def _upstream(version: str):
    from univers.versions import OpensslVersion

    return OpensslVersion(version)
