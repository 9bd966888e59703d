"""Who built a package, and for which release, as far as its version says: another's numbers answer no row."""

import re

from generator import platforms
from generator.platforms import Release

# Flavours with fixes of their own, numbered beside the plain: Ubuntu Pro's FIPS builds, Oracle's _fips and .ksplice.
# Oracle on which rows speak of which: https://github.com/aquasecurity/trivy/issues/1967
_FIPS = re.compile(r"fips", re.IGNORECASE)
_KSPLICE = re.compile(r"ksplice", re.IGNORECASE)
_ESM = re.compile(r"[+~]esm\d", re.ASCII)  # Ubuntu Pro's, whose numbers go on from the plain ones
#: What builders outside the distribution write into a version: Debian's backports (~bpo12+1), PPAs, Ondřej Surý's,
#: Dotdeb's; Remi's, IUS', CodeIT's and City Fan's for rpm.
_OUTSIDE = re.compile(r"[~+.](?:bpo\d|ppa|deb\.sury|dotdeb)|[.~+_](?:remi|ius|codeit|cf)(?![a-z0-9])", re.ASCII)
_DEBIAN = re.compile(r"[+~]deb(\d+)u\d", re.ASCII)  # Debian's policy for security and stable updates
_UBUNTU = re.compile(r"~(\d\d\.\d\d)\.\d", re.ASCII)  # https://wiki.ubuntu.com/SecurityTeam/UpdatePreparation
# The dist tag: https://docs.fedoraproject.org/en-US/packaging-guidelines/DistTag/
_TAGS = {
    "rhel": re.compile(r"\.el(\d+)", re.ASCII), "fedora": re.compile(r"\.fc(\d+)", re.ASCII),
    "amazon": re.compile(r"\.amzn(\d+)", re.ASCII),
}
_MINOR = re.compile(r"\.el(\d+)_(\d+)", re.ASCII)
# Oracle's number for a change of its own, before the tag: openssl-3.2.2-6.0.1.el9_5.1 of
# https://yum.oracle.com/repo/OracleLinux/OL9/baseos/latest/x86_64/ is Red Hat's 3.2.2-6.el9_5.1
_REBUILT = re.compile(r"\.0\.\d+(?=\.el\d)", re.ASCII)


def flavour(version: str) -> str:
    """Return the stream a package's version says it is of: fips, ksplice, esm, or "" where it says none."""
    for name, pattern in (("fips", _FIPS), ("ksplice", _KSPLICE), ("esm", _ESM)):
        if pattern.search(version):
            return name
    return ""


def stranger(distro: str, version: str) -> str | None:
    """Return why no row of `distro` speaks of a package of this version, None where one may.

    What an older release of the distribution left behind is no stranger: see `home`.
    """
    if found := _OUTSIDE.search(version):
        return f"was built outside the distribution ({found[0][1:]})"
    if distro == "debian" and "ubuntu" in version:
        return "was built for Ubuntu"
    if distro == "ubuntu" and _DEBIAN.search(version):
        return "was built for Debian"
    if distro in _TAGS and not _TAGS[distro].search(version):
        return f"carries no tag of {distro} (such as {_EXAMPLES[distro]}) in its version"
    return None


def home(release: Release, version: str) -> Release:
    """Return the release that a package was built for: the node's own, or the one its version names.

    A library that an upgrade of the release left behind (`1.0.1e-2+deb7u21` on jessie) is judged by the rows of where
    it came from.
    """
    distro = release.distro
    pattern = {"debian": _DEBIAN, "ubuntu": _UBUNTU}.get(distro) or _TAGS.get(distro)
    found = pattern.findall(version) if pattern else []
    if not found:
        return release
    name = platforms.CODENAMES.get(found[-1]) if distro == "debian" else found[-1]  # 2.1-3+deb11u1~deb10u1 is buster's
    return release if name in (None, release.release) else Release(distro, name)


def minor(version: str) -> tuple[int, int] | None:
    """Return the minor release of RHEL that an rpm was built for, (9, 4) for `.el9_4`; None where it names none."""
    found = _MINOR.search(version)
    return (int(found[1]), int(found[2])) if found else None


def base(version: str, row: str) -> str:
    """Return the version of which this one is a rebuild, itself where it is none, to be held against a row's version.

    Oracle's 3.2.2-6.0.1.el9_5 is Red Hat's 3.2.2-6.el9_5; rpm sorts it above 3.2.2-6.el9_5.1, whose fix it has not.
    """
    return version if _REBUILT.search(row) else _REBUILT.sub("", version)


def foreign(version: str, row: str) -> bool:
    """Return whether a row's version says that Ubuntu built it and this one does not: Debian's 3.0.2-1 sorts above
    3.0.2-0ubuntu1.8.
    """
    return "ubuntu" in row and "ubuntu" not in version


def extended(major: int, number: int) -> bool:
    """Return whether Red Hat goes on mending this minor release in a stream of its own (EUS, AUS, E4S, TUS).

    https://access.redhat.com/support/policy/updates/errata: 6.0 to 6.7, 7.1 to 7.7, 8.1 and every second one since.
    """
    if major <= 6:
        return number <= 7
    if major == 7:
        return 1 <= number <= 7
    return number % 2 == 0 or (major, number) == (8, 1)


def patterns() -> dict[str, object]:
    """Return these patterns as text that Ruby reads the same way: `outside`, `rebuilt`, and by distribution `tags`."""
    tags = {distro: each.pattern for distro, each in {"debian": _DEBIAN, "ubuntu": _UBUNTU, **_TAGS}.items()}
    return {"outside": _OUTSIDE.pattern, "rebuilt": _REBUILT.pattern, "tags": tags}


_EXAMPLES = {"rhel": ".el9", "fedora": ".fc20", "amazon": ".amzn2"}
