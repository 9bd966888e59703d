"""Which OpenSSL packages a node has, asked of its own package manager."""

import re
from collections.abc import Iterable

from generator import platforms
from generator.errors import ProbeError

# Wide enough for every name that generator.platforms.is_openssl knows; what else matches is dropped afterwards.
NAMES = ("openssl", "openssl[0-9-]*", "libssl[0-9]*", "libopenssl*", "compat-openssl*")

# dpkg-query(1): an unknown pattern makes it exit 1 and still prints the rest; 2 is a failure of its own.
# rpm(8): %{EPOCH} is "(none)" where the package has none, which counts as 0 (rpm-version(7)).
# Both are asked, because either may be there as a mere tool beside the other; it then knows of no OpenSSL.
SCRIPT = r"""
if command -v dpkg-query >/dev/null 2>&1; then
    dpkg-query -W -f 'package\tdpkg\t${Package}\t${Version}\t${Status}\n' @NAMES@ 2>/dev/null
    [ $? -le 1 ] && printf 'packages\tdpkg\n'
fi
if command -v rpm >/dev/null 2>&1; then
    rpm -qa --qf 'package\trpm\t%{NAME}\t%{EPOCH}:%{VERSION}-%{RELEASE}\tinstalled\n' @NAMES@ 2>/dev/null &&
        printf 'packages\trpm\n'
fi
""".replace("@NAMES@", " ".join(f"'{name}'" for name in NAMES))
# dpkg(1), package states: with these two no file of the package is on the node; half-way states leave some.
ABSENT = frozenset({"not-installed", "config-files"})
# No package manager writes anything else (deb-version(7), rpm-version(7)), whatever a node says.
VERSION = re.compile(r"[A-Za-z0-9.+~^_:-]{1,250}", re.ASCII)


def parse(lines: Iterable[str]) -> dict[str, str]:
    """Return {binary package: full version} of the OpenSSL packages in what SCRIPT printed.

    Every package that is OpenSSL on some release is kept, because what an upgrade of the release left behind is OpenSSL
    too. Versions are dpkg's, or rpm's as epoch:version-release. Of a package that is there twice (two architectures, an
    rpm transaction that broke off) the older one counts. Raises ProbeError where no package manager gave a whole
    answer, or an impossible one.
    """
    found: dict[str, str] = {}
    whole = False
    for line in lines:
        fields = line.split("\t")
        whole = whole or (fields[0] == "packages" and len(fields) == 2)
        if fields[0] != "package" or len(fields) != 5:
            continue
        _, manager, name, version, status = fields
        if status.rpartition(" ")[2] in ABSENT or not platforms.is_openssl(name):
            continue
        version = version.replace("(none):", "0:", 1)
        if not VERSION.fullmatch(version):
            raise ProbeError(f"the node names a version that no package manager writes: {version[:80]!r}.")
        found[name] = older(manager, found.get(name, version), version)
    if not whole:
        raise ProbeError("neither dpkg-query nor rpm answered on the node.")
    return found


def older(manager: str, one: str, other: str) -> str:
    """Return the older of two versions; one that cannot be read counts as older, so that nobody takes it for fixed."""
    from generator import versions

    if one == other:
        return one
    for version in (one, other):
        try:
            versions.parsed(manager, version)
        except ValueError:
            return version
    return one if versions.parsed(manager, one).whole <= versions.parsed(manager, other).whole else other
