"""How versions are numbered: dpkg's, rpm's, apk's and upstream's own, each read and compared by univers alone."""

import re
from functools import cache, lru_cache
from typing import NamedTuple

# univers reads more than a package manager writes; these are the characters of deb-version(7), rpm-version(7) and of
# https://wiki.alpinelinux.org/wiki/APKBUILD_Reference (pkgver, pkgrel).
_WRITTEN = {
    "dpkg": re.compile(r"(?:\d{1,9}:)?\d[A-Za-z0-9.+~-]{0,199}", re.ASCII),
    "rpm": re.compile(r"(?:\d{1,9}:)?[A-Za-z0-9._+~^]{1,100}-[A-Za-z0-9._+~^]{1,100}", re.ASCII),
    "apk": re.compile(r"\d[a-z0-9._]{0,99}(?:-r\d{1,9})?", re.ASCII),
}
# Releases, no alpha, beta or snapshot: OpenSSL's with their letters, others' with a p for portable (OpenSSH's 9.8p1).
_OPENSSL = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}[a-z]{0,2}", re.ASCII)
_OTHER = re.compile(r"\d{1,4}(?:\.\d{1,4}){1,3}(?:p\d{1,2})?", re.ASCII)
# An upload that went back to an older upstream release names it after this, because its own number may not go back.
_REALLY = "+really"


class Parsed(NamedTuple):
    """A package's version: univers' object, its epoch, and the part that is upstream's own version."""

    whole: object
    epoch: int
    upstream: str


def parsed(scheme: str, version: str) -> Parsed:
    """Return a package's version as univers reads it; `scheme` is dpkg, rpm or apk. Raises ValueError where it cannot.

    The upstream version of `5.6.1+really5.4.5-1` is 5.4.5.
    """
    return _parsed(scheme, version)


def upstream_release(version: str, openssl: bool = True):
    """Return a release of OpenSSL (1.0.1f, 3.0.17), or of another library, as univers reads it.

    Raises ValueError for anything else. Alphas, betas and snapshots are nothing here: where a branch's fix came in
    between two of them no range says. A letter counts in OpenSSL's way (1.0.2za comes after 1.0.2y); the others are
    compared as dpkg compares them.
    """
    if not (_OPENSSL if openssl else _OTHER).fullmatch(version):
        raise ValueError(f"{version!r} is no release of {'OpenSSL' if openssl else 'the library'}")
    return _upstream(version, openssl)


@lru_cache(maxsize=16384)
def _parsed(scheme: str, version: str) -> Parsed:
    from univers.versions import AlpineLinuxVersion, DebianVersion, RpmVersion

    if not _WRITTEN[scheme].fullmatch(version):
        raise ValueError(f"{version!r} is not a version that {scheme} writes")
    if scheme == "apk":
        return Parsed(AlpineLinuxVersion(version), 0, version.partition("-r")[0])
    whole = DebianVersion(version) if scheme == "dpkg" else RpmVersion(version)
    upstream = whole.value.upstream if scheme == "dpkg" else whole.value.version
    return Parsed(whole, whole.value.epoch, upstream.rpartition(_REALLY)[2])


@cache
def _upstream(version: str, openssl: bool):
    from univers.versions import DebianVersion, OpensslVersion

    return OpensslVersion(version) if openssl else DebianVersion(version)
