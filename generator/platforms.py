"""How ohai spells a platform, what the advisories call the same release, and which packages are OpenSSL there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

# Spelling: https://docs.chef.io/infra_language/checking_platforms/ (platform and platform_family values); "centos",
# "oracle" and "opensuse" are those of Ohai's lib/ohai/plugins/linux/platform.rb, "opensuseleap" is that of
# https://github.com/chef/ohai/pull/784. SUSE Linux Enterprise ("suse") is left out on purpose: SCHEME has no such
# distribution, so no advisory could speak of a node of it.
#: Platforms that advisories speak of, as ohai spells them, to Chef's platform_family; `patched` says where the cookbook
#: knows what to upgrade.
FAMILY: Mapping[str, str] = MappingProxyType({
    "debian": "debian", "ubuntu": "debian",
    "redhat": "rhel", "centos": "rhel", "rocky": "rhel", "almalinux": "rhel", "oracle": "rhel", "scientific": "rhel",
    "amazon": "amazon", "fedora": "fedora", "opensuse": "suse", "opensuseleap": "suse", "alpine": "alpine",
})
#: Distributions as the advisories name them, to how their packages' versions are written and compared.
SCHEME: Mapping[str, str] = MappingProxyType({
    "debian": "dpkg", "ubuntu": "dpkg", "rhel": "rpm", "amazon": "rpm", "fedora": "rpm", "opensuse": "rpm",
    "alpine": "apk",
})
# https://www.debian.org/releases/
CODENAMES: Mapping[str, str] = MappingProxyType({
    "6": "squeeze", "7": "wheezy", "8": "jessie", "9": "stretch", "10": "buster", "11": "bullseye", "12": "bookworm",
    "13": "trixie",
})
SID = "sid"  # testing and unstable, while /etc/debian_version names both at once: trixie/sid
_RELEASE_NAMES = {
    "debian": ("|".join((*CODENAMES.values(), SID)), "a code name: " + ", ".join((*CODENAMES.values(), SID))),
    "ubuntu": (r"\d\d\.(?:04|10)(?:-esm|-fips|-fips-updates)?", "a number such as 12.04, or a stream such as "
               "14.04-esm"),
    "rhel": (r"\d+(?:(?:\.\d+)?-[a-z0-9]+)?", "a major number such as 6, or a stream such as 6.4-eus"),
    "amazon": (r"1|2|20\d\d", "1 (the AMI of 2010 to 2018), 2 or a year such as 2023"),
    "fedora": (r"\d+", "a number such as 20"),
    "opensuse": (r"\d+\.\d+", "a number such as 13.1"),
    "alpine": (r"\d+\.\d+", "a number such as 3.20"),
}
_RANGE = re.compile(r"(\d+)\.(\d+)\.\.(\d+)\.(\d+)", re.ASCII)

# The library's binary packages by release: packages.debian.org and packages.ubuntu.com, source package openssl.
_DEBIAN = {
    "squeeze": "libssl0.9.8", "wheezy": "libssl1.0.0", "jessie": "libssl1.0.0", "stretch": "libssl1.1",
    "buster": "libssl1.1", "bullseye": "libssl1.1", "bookworm": "libssl3", "trixie": "libssl3t64",
}
_UBUNTU = (
    ((26, 10), ("libssl4", "libssl3t64")), ((24, 4), ("libssl3t64",)), ((22, 4), ("libssl3",)),
    ((18, 4), ("libssl1.1",)), ((11, 10), ("libssl1.0.0",)), ((0, 0), ("libssl0.9.8",)),
)
# The library's binary packages on Alpine: main/openssl/APKBUILD of each release's branch of aports.
_ALPINE = (((3, 17), ("libssl3", "libcrypto3")), ((3, 9), ("libssl1.1", "libcrypto1.1")))
# Second OpenSSLs a release ships beside its own; source package to binary packages.
_BESIDE = {
    "debian": {"openssl1.0": ("libssl1.0.2",)},
    "ubuntu": {"openssl098": ("libssl0.9.8",), "openssl1.0": ("libssl1.0.0",)},
    "rhel": {name: (name,) for name in ("openssl097a", "openssl098e", "compat-openssl10", "compat-openssl11")},
    "amazon": {"openssl11": ("openssl11", "openssl11-libs")},
    "opensuse": {"libopenssl1_0_0": ("libopenssl1_0_0",)},
}
#: What the cookbook upgrades where it is installed, by Chef's platform_family: every name that OpenSSL's tool and
#: library have had there, because a node may hold the library of the release it was upgraded from.
PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "debian": ("openssl", "libssl0.9.8", "libssl1.0.0", "libssl1.0.2", "libssl1.1", "libssl3", "libssl3t64",
               "libssl4"),
    "rhel": ("openssl", "openssl-libs", "openssl097a", "openssl098e", "compat-openssl10", "compat-openssl11"),
    "fedora": ("openssl", "openssl-libs", "compat-openssl10", "compat-openssl11"),
    "amazon": ("openssl", "openssl-libs", "openssl098e", "openssl11", "openssl11-libs"),
    "suse": ("openssl", "libopenssl0_9_8", "libopenssl1_0_0", "libopenssl1_1", "libopenssl3"),
})
# Their dependencies name the very version of the library: packages.debian.org; openssl.spec of RHEL, Fedora and Amazon.
#: What goes along in the same upgrade where it is installed, by Chef's platform_family: it carries neither tool nor
#: library, or is a part of one, and left behind it would keep the library where it is.
COMPANIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "debian": ("libssl-dev", "libssl0.9.8-dbg", "libssl1.0-dev", "libssl1.0.0-dbg", "openssl-provider-legacy"),
    "rhel": ("openssl-devel", "openssl-perl", "openssl-static"),
    "fedora": ("compat-openssl10-devel", "compat-openssl11-devel", "openssl-devel", "openssl-perl", "openssl-static"),
    "amazon": ("openssl-devel", "openssl-perl", "openssl-static", "openssl11-devel", "openssl11-static"),
    "suse": ("libopenssl-devel",),
})
#: Whatever carries the tool or the library, on any release: what one release left behind on the next is OpenSSL too.
OPENSSL = re.compile(
    r"openssl(?:-?\d[\w.]*)?(?:-libs)?|compat-openssl\d\w*|lib(?:ssl|crypto)\d[\w.]*|libopenssl\d+(?:_\d+)*", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Release:
    """A distribution's release in the advisories' words: `debian wheezy`, `rhel 6`.

    `exact` is the version the node reported, (6, 5) say; rows that speak of some minor releases alone need it, and two
    releases are equal without it.
    """

    distro: str
    release: str
    exact: tuple[int, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.distro} {self.release}"


@lru_cache(maxsize=4096)
def release_of(platform: str, platform_version: str) -> Release | None:
    """Return the release that ohai's `platform` and `platform_version` are in the advisories' words.

    `debian 7.11` is debian wheezy, `centos 6.5` is rhel 6, `amazon 2014.03` is amazon 1, `opensuseleap 15.5` is
    opensuse 15.5, `debian trixie/sid` is debian sid. None for a platform that no advisory speaks of and for a version
    that names no release.
    """
    family = FAMILY.get(platform)
    if platform == "debian" and re.fullmatch(r"[a-z]{1,20}/sid", platform_version, re.ASCII):
        return Release("debian", SID)
    if family is None or not re.fullmatch(r"\d{1,4}(?:\.\d{1,9}){0,3}", platform_version, re.ASCII):
        return None
    exact = tuple(int(number) for number in platform_version.split("."))
    if platform == "debian":
        name = CODENAMES.get(str(exact[0]))
    elif platform == "ubuntu" or family in ("suse", "alpine"):
        name = ".".join(platform_version.split(".")[:2]) if len(exact) > 1 else None
    elif platform == "amazon":
        # Amazon Linux AMI was numbered by year and month, the last 2018.03; its successors are 2 and 2022 onwards.
        name = "1" if 2010 <= exact[0] <= 2018 else str(exact[0])
    else:
        name = str(exact[0])
    return Release(distro_of(platform), name, exact) if name else None


def distro_of(platform: str) -> str:
    """Return the distribution whose rows speak of a platform (a key of FAMILY): that of `rocky` is rhel."""
    return {"rhel": "rhel", "suse": "opensuse"}.get(FAMILY[platform], platform)


def family_of(distro: str) -> str:
    """Return Chef's platform_family of a distribution (a key of SCHEME)."""
    return {"rhel": "rhel", "opensuse": "suse"}.get(distro) or FAMILY[distro]


def patched(platform: str) -> bool:
    """Return whether the cookbook knows what to upgrade on this platform, as ohai spells it."""
    return FAMILY.get(platform) in PACKAGES


def covers(named: str, release: Release) -> bool:
    """True if a row whose release is `named` speaks of `release`; `6.0..6.4` is these minor releases, both included.

    A node that reported its major number alone is in no such range. A stream of a release is another: see `stream_of`.
    """
    if found := _RANGE.fullmatch(named):
        low, high = (int(found[1]), int(found[2])), (int(found[3]), int(found[4]))
        return len(release.exact) > 1 and low <= release.exact[:2] <= high
    return named == release.release


@lru_cache(maxsize=4096)
def stream_of(named: str) -> tuple[str, str]:
    """Return the release and the stream in the name of a row's release: ("9.4", "eus"), ("20.04", "esm"), ("7", "")."""
    release, _, stream = named.partition("-")
    return release, stream


def why_no_release(distro: str, named: str, ranges: bool = False) -> str | None:
    """Return why `named` cannot be the release of a row about `distro`, None if it can; `ranges` allows `6.0..6.4`.

    `distro` is a key of SCHEME.
    """
    pattern, wanted = _RELEASE_NAMES[distro]
    if ranges and (found := _RANGE.fullmatch(named)):
        if found[1] == found[3] and int(found[2]) <= int(found[4]):
            return None
        return f"{named!r} is no range: it goes from the lower to the higher minor release of one major release"
    if re.fullmatch(pattern, named, re.ASCII):
        return None
    or_range = ", or a range such as 6.0..6.4" if ranges else ""
    return f"{named!r} is no release of {distro}, which is {wanted}{or_range}"


@lru_cache(maxsize=4096)
def binary_packages(release: Release, source: str) -> tuple[str, ...]:
    """Return the binary packages of `source` on `release` that carry the tool or the library, () for none known.

    Sources: packages.debian.org, packages.ubuntu.com; openssl.spec of RHEL 7 and Fedora, where openssl-libs is a
    package of its own; Amazon Linux 2 follows RHEL 7; Alpine's APKBUILD. `release.release` may be a stream (`6.4-eus`)
    or a range.
    """
    distro = release.distro
    if source != "openssl":
        return _BESIDE.get(distro, {}).get(source, ())
    numbers = tuple(int(number) for number in re.findall(r"\d+", stream_of(release.release)[0], re.ASCII))
    if distro == "debian":
        library = _DEBIAN.get(release.release, _DEBIAN["trixie"] if release.release == SID else None)
        return ("openssl", library) if library else ()
    if distro == "ubuntu":
        return ("openssl", *next(libraries for since, libraries in _UBUNTU if numbers >= since))
    if distro == "alpine":
        return ("openssl", *next((libraries for since, libraries in _ALPINE if numbers >= since), ()))
    if distro == "opensuse":
        return ("openssl", "libopenssl1_0_0")
    if distro == "fedora" or (distro == "rhel" and numbers[0] >= 7) or (distro == "amazon" and numbers[0] >= 2):
        return ("openssl", "openssl-libs")
    return ("openssl",) if distro in SCHEME else ()


def is_openssl(name: str) -> bool:
    """True for a binary package that carries OpenSSL's tool or library on some release (not headers, not symbols)."""
    return OPENSSL.fullmatch(name) is not None
