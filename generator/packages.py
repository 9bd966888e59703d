"""Which packages of a library a node has, OpenSSL's or those an advisory names, asked of its own package manager."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from generator import platforms, shell
from generator.errors import ProbeError

if TYPE_CHECKING:
    from generator.advisory import Advisory
    from generator.rows import Package

# Wide enough for every name that generator.platforms.is_openssl knows; what else matches is dropped afterwards.
NAMES = ("openssl", "openssl[0-9-]*", "libssl[0-9]*", "libcrypto[0-9]*", "libopenssl*", "compat-openssl*")

# dpkg-query(1): an unknown pattern makes it exit 1 and still prints the rest; 2 is a failure of its own.
# rpm(8): %{EPOCH} is "(none)" where the package has none, which counts as 0 (rpm-version(7)).
# Both are asked, because either may be there as a mere tool beside the other; it then knows of no OpenSSL.
_SCRIPT = r"""
if command -v dpkg-query >/dev/null 2>&1; then
    dpkg-query -W -f 'package\tdpkg\t${Package}\t${Version}\t${Status}\n' @NAMES@ 2>/dev/null
    [ $? -le 1 ] && printf 'packages\tdpkg\n'
fi
if command -v rpm >/dev/null 2>&1; then
    rpm -qa --qf 'package\trpm\t%{NAME}\t%{EPOCH}:%{VERSION}-%{RELEASE}\tinstalled\n' @NAMES@ 2>/dev/null &&
        printf 'packages\trpm\n'
fi
"""
# dpkg(1), package states: with these two no file of the package is on the node; half-way states leave some.
ABSENT = frozenset({"not-installed", "config-files"})
# With these dpkg was interrupted: `dpkg --configure -a` goes on with what is at least unpacked.
HALF_WAY = frozenset({"half-installed", "unpacked", "half-configured"})
# No package manager writes anything else (deb-version(7), rpm-version(7)), whatever a node says.
VERSION = re.compile(r"[A-Za-z0-9.+~^_:-]{1,250}", re.ASCII)


def names(advisories: Iterable["Advisory"] = ()) -> tuple[str, ...]:
    """Return the names to ask for, patterns among them: OpenSSL's, and those that the advisories name themselves."""
    return (*NAMES, *sorted({name for each in advisories for name in each.named}))


def script(names: Iterable[str] = NAMES) -> str:
    """Return the shell commands that ask a node for the packages of these names."""
    return _SCRIPT.replace("@NAMES@", shell.join(names))


#: What asks for OpenSSL's packages.
SCRIPT = script()


def concern(advisories: Iterable["Advisory"]) -> Callable[[str], bool]:
    """Return whether a package is one that any of the advisories speaks of, as `parse` wants to know it.

    Where none is named these are OpenSSL's.
    """
    asked = tuple(advisories)
    return lambda name: any(each.concerns(name) for each in asked) if asked else platforms.is_openssl(name)


def upgraded(advisories: Iterable["Advisory"]) -> dict[str, tuple[str, ...]]:
    """Return what is to be upgraded where it is installed, by Chef's platform_family.

    OpenSSL's packages where an advisory is about OpenSSL or none is named, and those that the advisories name
    themselves.
    """
    return _by_family(advisories, platforms.PACKAGES, lambda row: row.binary)


def along(advisories: Iterable["Advisory"]) -> dict[str, tuple[str, ...]]:
    """Return what goes along in the same upgrade where it is installed, by Chef's platform_family: see COMPANIONS of
    generator.platforms, and `companions` of the advisories' own packages.
    """
    return _by_family(advisories, platforms.COMPANIONS, lambda row: row.companions)


def _by_family(
    advisories: Iterable["Advisory"], openssl: Mapping[str, Iterable[str]], named: Callable[["Package"], Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    """Return by platform_family OpenSSL's own where that is asked about, and what each advisory's packages have."""
    asked = tuple(advisories)
    about_openssl = not asked or any(each.openssl for each in asked)
    found = {family: list(names) if about_openssl else [] for family, names in openssl.items()}
    for row in (row for each in asked for row in each.packages):
        if (family := platforms.family_of(row.distro)) in found:
            found[family] += named(row)
    return {family: tuple(dict.fromkeys(names)) for family, names in found.items()}


def parse(lines: Iterable[str], concerns: Callable[[str], bool] = platforms.is_openssl) -> dict[str, str]:
    """Return {binary package: full version} of the packages in what SCRIPT or `script` printed.

    Kept are those that `concerns` is true of. Every package that is OpenSSL on some release is one, because what an
    upgrade of the release left behind is OpenSSL too. Versions are dpkg's, or rpm's as epoch:version-release. Of a
    package that is there twice (two architectures, an rpm transaction that broke off) the older one counts. Raises
    ProbeError where no package manager gave a whole answer, or an impossible one.
    """
    found: dict[str, str] = {}
    whole = False
    for line in lines:
        fields = line.split("\t")
        whole = whole or (fields[0] == "packages" and len(fields) == 2)
        if fields[0] != "package" or len(fields) != 5:
            continue
        _, manager, name, version, status = fields
        if status.rpartition(" ")[2] in ABSENT or not concerns(name):
            continue
        version = version.replace("(none):", "0:", 1)
        if not VERSION.fullmatch(version):
            raise ProbeError(f"the node names a version that no package manager writes: {version[:80]!r}.")
        found[name] = older(manager, found.get(name, version), version)
    if not whole:
        raise ProbeError("neither dpkg-query nor rpm answered on the node.")
    return found


def half_way(lines: Iterable[str], concerns: Callable[[str], bool] = platforms.is_openssl) -> dict[str, str]:
    """Return {binary package: dpkg's state} of those, of the same lines as parse takes, that dpkg has not done with."""
    fields = (line.split("\t") for line in lines)
    states = {each[2]: each[4].rpartition(" ")[2] for each in fields if each[0] == "package" and len(each) == 5}
    return {name: state for name, state in states.items() if state in HALF_WAY and concerns(name)}


def older(manager: str, one: str, other: str) -> str:
    """Return the older of two versions; one that cannot be read counts as older, so that nobody takes it for fixed."""
    from generator.numbering import parsed

    if one == other:
        return one
    for version in (one, other):
        try:
            parsed(manager, version)
        except ValueError:
            return version
    return one if parsed(manager, one).whole <= parsed(manager, other).whole else other
