"""Verdicts: is what a node has vulnerable, fixed, not affected, or is that not known? Every comparison is univers'."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from generator import match, origin, platforms, upstream
from generator.numbering import Parsed, parsed, upstream_release
from generator.platforms import Release
from generator.verdict import KINDS, NEWEST, Verdict, combined

if TYPE_CHECKING:
    from generator.advisory import Advisory
    from generator.rows import Fixed, NotAffected

__all__ = ["KINDS", "NEWEST", "Verdict", "applies", "combined", "newest", "parsed", "upstream_release", "verdict"]


def verdict(
    advisory: "Advisory", platform: str, platform_version: str, packages: Mapping[str, str]
) -> Verdict:
    """Return what `advisory` says of these packages on this platform (ohai's spelling); it never raises.

    `packages` are binary package names to versions, dpkg's, apk's or rpm's as epoch:version-release (no epoch is 0);
    names that the advisory is not about are passed over. Each package is held against the row of the release it was
    built for. Without a row it is not affected if it lies outside of all that the advisory's upstream names, and
    unknown otherwise, as is whatever was built outside the distribution. Verdicts are remembered: a comparison costs
    10 to 18 us.
    """
    found = tuple(sorted((str(name), str(version)) for name, version in packages.items()))
    return _verdict(advisory, platform, platform_version, found)


def applies(advisory: "Advisory", platform: str, platform_version: str) -> str:
    """Return what the advisory says of a release before any package is known: fixed_row, not_affected or unknown.

    Where one row covers a whole release (rhel 6) and another calls some of its minor releases not affected (6.0..6.4),
    this is fixed_row: an update of OpenSSL alone takes such a node to the later package and leaves its number behind,
    so it has to be asked what it has. A row that says the release is never mended is a fixed_row too: it is affected.
    """
    release = platforms.release_of(platform, platform_version)
    if release is None:
        return "unknown"
    if any(match.speaks(row, release) for row in (*advisory.fixed, *advisory.never_fixed)):
        return "fixed_row"
    return "not_affected" if match.release_row(advisory, release) else "unknown"


def newest(packages: Mapping[str, str], offered: Mapping[str, str]) -> Verdict:
    """Return the verdict of day zero, when no advisory names a version yet: is each package the newest on offer?

    `offered` are the candidates that the node's own package manager names, by the same names and in the same writing.
    Never fixed: whether the newest has the fix, nobody has said. Vulnerable is what could be newer.
    """
    older = sorted(name for name, version in packages.items() if offered.get(name, version) != version)
    if older:
        said = f"{older[0]} {packages[older[0]]}"
        return Verdict("vulnerable", f"{said} is not the newest its repositories offer: {offered[older[0]]}")
    missing = sorted(packages.keys() - offered.keys())
    if missing or not packages:
        return Verdict("unknown", f"nothing says what the repositories offer of {', '.join(missing) or 'any package'}")
    return Verdict(NEWEST, "patched to the newest the repositories offer; no advisory says yet that it has the fix")


@lru_cache(maxsize=16384)
def _verdict(
    advisory: "Advisory", platform: str, platform_version: str, packages: Sequence[tuple[str, str]]
) -> Verdict:
    node = f"{platform} {platform_version}".strip()
    if platform not in platforms.FAMILY:
        reason = f"no advisory can speak of the platform {node!r}" if node else "it never reported its platform"
        return Verdict("unknown", f"{reason}: run chef-client on it once, or see by hand what it has")
    if advisory.latest:
        return Verdict("unknown", "no advisory says yet which version has the fix: what a node can have is the newest "
                       "its repositories offer")
    release = platforms.release_of(platform, platform_version)
    spared = release and applies(advisory, platform, platform_version) == "not_affected"
    installed = [(name, version) for name, version in packages if advisory.concerns(name)]
    if spared and not installed:
        return Verdict("not_affected", _not_affected(advisory, match.release_row(advisory, release), node))
    if not installed:
        whose = "OpenSSL" if advisory.openssl else advisory.libraries[0]
        expected = ", ".join(match.expected(advisory, release)) or ("openssl" if advisory.openssl else "none is named")
        return Verdict(
            "unknown", f"no {whose} package ({expected}) of {node} was reported: run chef-client on it once, "
            "or see by hand what it has",
        )
    return combined(_of_package(advisory, node, release, platform, *each) for each in installed)


def _of_package(
    advisory: "Advisory", node: str, release: Release | None, platform: str, name: str, version: str
) -> Verdict:
    """Return the verdict on one package, by its release's row or by upstream's own version."""
    said, distro = f"{name} {version}", platforms.distro_of(platform)
    scheme = platforms.SCHEME[distro]
    try:
        ours = parsed(scheme, version)
        if who := origin.stranger(distro, version):
            return _stranger(advisory, said, who, ours)
        return _by_rows(advisory, node, release, platform, name, version, ours)
    except (ValueError, TypeError):
        return Verdict("unknown", f"{said} is not a version that {scheme} writes: see by hand what {node} has")


def _by_rows(
    advisory: "Advisory", node: str, release: Release | None, platform: str, name: str, version: str, ours: Parsed
) -> Verdict:
    said = f"{name} {version}"
    home = release and origin.home(release, version)
    where = node if home == release else f"{home} (left on {node})"
    fixed = match.streams(advisory, home, platform, name, version)
    never = match.row(advisory, advisory.never_fixed, home, name, version)
    spared = match.row(advisory, advisory.not_affected, home, name, version)
    if spared:
        flavoured = origin.flavour(version) in ("fips", "ksplice")  # the row is about the plain build
        clean = upstream.clean(advisory, ours.upstream) and (advisory.upstream or not flavoured)
        if clean or not (fixed or flavoured):
            return Verdict("not_affected", _not_affected(advisory, spared, f"{said} on {where}"))
    if fixed:
        return _by_streams(advisory, platform, said, version, ours, fixed)
    if never and (platforms.stream_of(never.release)[1] or not origin.flavour(version)):
        return Verdict("vulnerable", f"{said} on {where} is affected and never mended: {never.reason}")
    return _by_upstream(advisory, where, said, ours)


def _by_streams(
    advisory: "Advisory", platform: str, said: str, version: str, ours: Parsed, fixed: Mapping[str, "Fixed"]
) -> Verdict:
    """Return the verdict of the rows of one or more streams; where they differ nobody knows which is meant."""
    rows = sorted(fixed.values(), key=lambda row: parsed(platforms.SCHEME[row.distro], row.version).whole)
    verdicts = [_by_row(advisory, platform, said, version, ours, row) for row in rows]
    if len({each.kind for each in verdicts}) > 1 and origin.flavour(version) == "fips":
        return Verdict("unknown", f"{said} is fixed in one of {', '.join(sorted(fixed))} and not in the other, and "
                       "does not say which it is of: ask `pro status` on the node")
    return verdicts[-1]


def _by_row(advisory: "Advisory", platform: str, said: str, version: str, ours: Parsed, row: "Fixed") -> Verdict:
    """Return the verdict of one row; above it is fixed, and below it vulnerable, only where that is no accident."""
    theirs = parsed(platforms.SCHEME[row.distro], row.version)
    stream = platforms.stream_of(row.release)[1]
    bar = f"{row.version}, {row.advisory or advisory.id}"
    doubt = "ask whoever built it which version has the fix"
    flavour = origin.flavour(version)
    if flavour == "ksplice" or (flavour == "fips" and not stream.startswith("fips")):
        return Verdict("unknown", f"{said} is a FIPS or Ksplice build, which {bar} does not speak of: {doubt}")
    if ours.epoch > theirs.epoch:
        return Verdict("unknown", f"{said} has a higher epoch than {bar}, so the two do not compare: {doubt}")
    base = origin.base(version, row.version)
    based = parsed(platforms.SCHEME[row.distro], base)
    if based.whole < theirs.whole:
        said += "" if base == version else f", a rebuild of {base},"
        return _below(advisory, platform, said, base, based, row)
    clean = upstream.clean(advisory, ours.upstream)
    if origin.foreign(version, row.version) and not (clean and advisory.upstream):
        return Verdict("unknown", f"{said} is above {bar}, and does not say that Ubuntu built it: {doubt}")
    if ours.upstream != theirs.upstream and not clean:
        return Verdict(
            "unknown", f"{said} is above {bar}, and {_library(advisory)} {ours.upstream} itself is not known to be "
            f"fixed: {doubt}"
        )
    return Verdict("fixed", f"{said} is at or above {bar}")


def _below(advisory: "Advisory", platform: str, said: str, version: str, ours: Parsed, row: "Fixed") -> Verdict:
    """Return the verdict on a package that sorts below its row."""
    theirs = parsed(platforms.SCHEME[row.distro], row.version)
    stream = platforms.stream_of(row.release)[1]
    bar = f"{row.version}, {row.advisory or advisory.id}"
    if theirs.epoch and ":" not in version and row.distro not in ("debian", "ubuntu"):
        with_epoch = parsed(platforms.SCHEME[row.distro], f"{theirs.epoch}:{version}").whole
        if with_epoch >= theirs.whole:
            return Verdict("unknown", f"{said} names no epoch, and that of {bar} is {theirs.epoch}: ask rpm for "
                           "%{EPOCH}:%{VERSION}-%{RELEASE}")
    if _older_than_the_fault(advisory, ours):
        return Verdict("not_affected", f"{said} is {upstream.outside(advisory, ours.upstream)}")
    minor, last = origin.minor(version), origin.minor(row.version)
    if platform == "redhat" and minor and last and not stream and minor < last and origin.extended(*minor):
        return Verdict(
            "unknown", f"{said} is below {bar}, and may be of the extended stream of {minor[0]}.{minor[1]} (EUS), of "
            f"which {advisory.id} has no row: ask Red Hat's errata which version has the fix there"
        )
    only = {"esm": "Ubuntu Pro (ESM) alone has", "els": "Red Hat's ELS alone has"}.get(stream)
    return Verdict("vulnerable", f"{said} is below {bar}" + (f", which {only}" if only else ""))


def _stranger(advisory: "Advisory", said: str, who: str, ours: Parsed) -> Verdict:
    """Return the verdict on a package from outside the distribution: upstream's own version decides, or nobody can."""
    try:
        reason = advisory.upstream and upstream.outside(advisory, ours.upstream)
    except ValueError:
        reason = None
    if reason:
        return Verdict("not_affected", f"{said} {who}; it is {reason}")
    return Verdict("unknown", f"{said} {who}, so no row of {advisory.id} speaks of it: ask whoever built it which "
                   "version has the fix")


def _by_upstream(advisory: "Advisory", where: str, said: str, ours: Parsed) -> Verdict:
    """Return the verdict on a package that no row speaks of: outside of all that is affected, or unknown."""
    missing = f"{advisory.id} has no row for {said} on {where}"
    todo = "add the row with its source, or see by hand"
    if advisory.upstream is None:
        return Verdict("unknown", f"{missing} and names no upstream releases: {todo}")
    library = _library(advisory)
    try:
        reason = upstream.outside(advisory, ours.upstream)
    except ValueError:
        return Verdict("unknown", f"{missing}, and {ours.upstream} is no release of {library}: {todo}")
    if reason:
        return Verdict("not_affected", f"{said} is {reason}")
    last = max((last for _, last in (*advisory.upstream.affected, *advisory.upstream.before)),
               key=lambda each: upstream_release(each, advisory.openssl))
    return Verdict("unknown", f"{missing}, and {library} {ours.upstream} is not newer than {last}: {todo}")


def _older_than_the_fault(advisory: "Advisory", ours: Parsed) -> bool:
    """True where a source says which upstream release brought the fault, and this one is older."""
    if advisory.upstream is None or advisory.upstream.since is None:
        return False
    try:
        read = upstream_release(ours.upstream, advisory.openssl)
    except ValueError:
        return False
    return read < upstream_release(advisory.upstream.since, advisory.openssl)


def _library(advisory: "Advisory") -> str:
    return "OpenSSL" if advisory.openssl else advisory.libraries[0]


def _not_affected(advisory: "Advisory", row: "NotAffected", what: str) -> str:
    return f"{advisory.id} does not affect {what}: {row.reason}"
