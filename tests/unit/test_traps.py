"""What misleads a plain comparison of versions, each with its right answer; and the libraries beside OpenSSL."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from generator import advisory, packages, platforms
from generator.advisory import Package
from generator.rows import NeverFixed
from generator.versions import Verdict, applies, combined, newest, verdict

XZ = advisory.read(Path(__file__).parents[1] / "data" / "advisories" / "CVE-2024-3094.toml")


def of(name: str):
    (found,) = advisory.load([name])
    return found


def judged(found, platform: str, release: str, **named: str) -> tuple[str, str]:
    """Return kind and reason; of a name `__` is a dash and `_` a dot."""
    said = verdict(found, platform, release, {
        name.replace("__", "-").replace("_", "."): version for name, version in named.items()
    })
    return said.kind, said.reason


@pytest.mark.parametrize(("version", "kind", "words"), [
    ("1.1.1f-1ubuntu2.fips.22", "vulnerable", "is below 1.1.1f-1ubuntu2.fips.23"),
    ("1.1.1f-1ubuntu2.fips.23", "fixed", "is at or above 1.1.1f-1ubuntu2.fips.23"),
    ("1.1.1f-1ubuntu2.22", "vulnerable", "is below 1.1.1f-1ubuntu2.23"),
    ("1.1.1f-1ubuntu2.23", "fixed", "is at or above 1.1.1f-1ubuntu2.23"),
])
def test_a_fips_build_has_a_row_of_its_own(version, kind, words):
    assert "1.1.1f-1ubuntu2.fips.2.8" > "1.1.1f-1ubuntu2.23"  # as dpkg orders them too: it looks patched
    said = judged(of("CVE-2024-5535"), "ubuntu", "20.04", libssl1_1=version)
    assert (said[0], words in said[1]) == (kind, True)


def test_a_fips_build_without_a_row_is_unknown_and_one_outside_of_the_fault_is_not():
    kind, reason = judged(of("CVE-2022-0778"), "ubuntu", "20.04", libssl1_1="1.1.1f-1ubuntu2.fips.13")
    assert (kind, "is a FIPS or Ksplice build, which 1.1.1f-1ubuntu2.12" in reason) == ("unknown", True)
    spared = of("CVE-2022-3602")  # 3.x alone has it
    assert judged(spared, "ubuntu", "20.04", libssl1_1="1.1.1f-1ubuntu2.fips.13")[0] == "not_affected"
    silent = replace(spared, upstream=None)
    assert judged(silent, "ubuntu", "20.04", libssl1_1="1.1.1f-1ubuntu2.fips.13")[0] == "unknown"


def test_two_fips_streams_that_disagree_are_unknown():
    found = of("CVE-2024-5535")
    row = next(each for each in found.fixed if each.release == "20.04-fips-updates")
    both = replace(found, fixed=(*found.fixed, replace(row, release="20.04-fips", version="1.1.1f-1ubuntu2.fips.30")))
    kind, reason = judged(both, "ubuntu", "20.04", libssl1_1="1.1.1f-1ubuntu2.fips.25")
    assert (kind, "fixed in one of 20.04-fips, 20.04-fips-updates and not in the other" in reason) == ("unknown", True)
    assert judged(both, "ubuntu", "20.04", libssl1_1="1.1.1f-1ubuntu2.fips.30")[0] == "fixed"


def test_what_esm_alone_mends_is_vulnerable_without_it():
    found = of("CVE-2025-9230")
    assert judged(found, "ubuntu", "20.04", libssl1_1="1.1.1f-1ubuntu2.24") == (
        "vulnerable", "libssl1.1 1.1.1f-1ubuntu2.24 is below 1.1.1f-1ubuntu2.24+esm1, CVE-2025-9230, which Ubuntu Pro "
        "(ESM) alone has",
    )
    assert judged(found, "ubuntu", "20.04", libssl1_1="1.1.1f-1ubuntu2.24+esm1")[0] == "fixed"


def test_an_esm_build_goes_on_from_the_plain_one():
    plain = of("CVE-2022-0778")
    assert judged(plain, "ubuntu", "18.04", libssl1_1="1.1.1-1ubuntu2.1~18.04.23+esm6")[0] == "fixed"
    row = next(each for each in plain.fixed if (each.release, each.package) == ("18.04", "openssl"))
    esm = replace(row, release="18.04-esm", version="1.1.1-1ubuntu2.1~18.04.23+esm7")
    both = replace(plain, fixed=(*plain.fixed, esm))
    assert judged(both, "ubuntu", "18.04", libssl1_1="1.1.1-1ubuntu2.1~18.04.23+esm6")[0] == "vulnerable"
    assert judged(both, "ubuntu", "18.04", libssl1_1="1.1.1-1ubuntu2.1~18.04.23")[0] == "fixed"


@pytest.mark.parametrize(("platform", "release", "version", "kind", "words"), [
    ("redhat", "9.4", "1:3.0.7-29.el9_4.2", "fixed", "1:3.0.7-29.el9_4.2, RHSA-2026:1519"),
    ("redhat", "9.4", "1:3.0.7-29.el9_4.1", "vulnerable", "1:3.0.7-29.el9_4.2, RHSA-2026:1519"),
    ("redhat", "9.4", "1:3.0.7-27.el9", "vulnerable", "1:3.5.1-7.el9_7, RHSA-2026:1473"),
    ("redhat", "9.8", "1:3.5.1-7.el9_8", "fixed", "1:3.5.1-7.el9_7, RHSA-2026:1473"),
    ("redhat", "9.5", "1:3.2.2-6.el9_5.1", "vulnerable", "1:3.5.1-7.el9_7, RHSA-2026:1473"),  # 9.5 has no EUS
    ("rocky", "9.5", "1:3.2.2-6.el9_5.1", "vulnerable", "1:3.5.1-7.el9_7, RHSA-2026:1473"),
    ("almalinux", "10.0", "1:3.2.2-16.el10_0.5", "vulnerable", "1:3.2.2-16.el10_0.6, RHSA-2026:1496"),
    ("oracle", "8.10", "1:1.1.1k-12.el8_9", "not_affected", "not affected"),
])
def test_an_eus_stream_is_held_against_its_own_row(platform, release, version, kind, words):
    said = judged(of("CVE-2025-15467"), platform, release, openssl__libs=version)
    assert (said[0], words in said[1]) == (kind, True), said


def test_an_eus_stream_without_a_row_is_unknown():
    kind, reason = judged(of("CVE-2024-6119"), "redhat", "9.2", openssl__libs="1:3.0.7-18.el9_2.1")
    assert (kind, "may be of the extended stream of 9.2 (EUS)" in reason) == ("unknown", True)
    assert judged(of("CVE-2024-6119"), "rocky", "9.2", openssl__libs="1:3.0.7-18.el9_2.1")[0] == "vulnerable"


def test_els_goes_on_from_the_release():
    found = of("CVE-2025-9230")
    assert judged(found, "redhat", "7.9", openssl="1:1.0.2k-26.el7_9") == (
        "vulnerable", "openssl 1:1.0.2k-26.el7_9 is below 1:1.0.2k-26.el7_9.1, RHSA-2026:1720, which Red Hat's ELS "
        "alone has",
    )
    assert judged(found, "centos", "7.9", openssl="1:1.0.2k-26.el7_9.1")[0] == "fixed"


@pytest.mark.parametrize(("platform", "release", "version", "kind"), [
    ("centos", "6.5", "0:1.0.1e-16.el6_5.7", "fixed"),
    ("centos", "6.5", "1.0.1e-16.el6_5.7", "fixed"),
    ("centos", "6.5", "1:1.0.1e-16.el6_5.4", "unknown"),
    ("amazon", "2013.09", "1:1.0.1e-37.66.amzn1", "fixed"),
    ("amazon", "2013.09", "1:1.0.1e-4.60.amzn1", "vulnerable"),
    ("amazon", "2013.09", "1.0.1e-37.66.amzn1", "unknown"),
    ("amazon", "2013.09", "1.0.1e-4.60.amzn1", "vulnerable"),
])
def test_the_epoch_counts(platform, release, version, kind):
    assert judged(of("heartbleed"), platform, release, openssl=version)[0] == kind


def test_an_epoch_that_is_not_named_is_not_made_up():
    kind, reason = judged(of("CVE-2022-0778"), "redhat", "7.9", openssl__libs="1.0.2k-25.el7_9")
    assert (kind, "names no epoch, and that of 1:1.0.2k-25.el7_9, RHSA-2022:1066 is 1" in reason) == ("unknown", True)
    assert judged(of("CVE-2022-0778"), "redhat", "7.9", openssl__libs="1:1.0.2k-25.el7_9")[0] == "fixed"
    assert judged(of("CVE-2022-0778"), "redhat", "7.9", openssl__libs="1:1.0.2k-9.el7_9")[0] == "vulnerable"


@pytest.mark.parametrize(("platform", "release", "good", "bad"), [
    ("rocky", "8.6", {"openssl-libs": "1:1.1.1k-6.el8_5"}, {"compat-openssl10": "1:1.0.2o-3.el8"}),
    ("almalinux", "9.0", {"openssl-libs": "1:3.0.1-20.el9_0"}, {"compat-openssl11": "1:1.1.1k-3.el9"}),
    ("ubuntu", "18.04", {"libssl1.1": "1.1.1-1ubuntu2.1~18.04.15"}, {"libssl1.0.0": "1.0.2n-1ubuntu5.7"}),
    ("amazon", "2", {"openssl-libs": "1:1.0.2k-24.amzn2.0.2"}, {"openssl11-libs": "1:1.1.1g-12.amzn2.0.6"}),
    ("debian", "9.13", {"libssl1.1": "1.1.0l-1~deb9u5"}, {"libssl1.0.2": "1.0.2u-1~deb9u6"}),
])
def test_of_two_openssls_each_has_its_row(platform, release, good, bad):
    found = of("CVE-2022-0778")
    assert verdict(found, platform, release, good).kind in ("fixed", "not_affected")
    assert verdict(found, platform, release, bad).kind == "vulnerable"
    both = verdict(found, platform, release, good | bad)
    assert (both.kind, next(iter(bad)) in both.reason) == ("vulnerable", True)


def test_a_source_package_is_many_binary_ones():
    for name in ("openssl", "libssl1.1"):
        assert verdict(of("CVE-2022-0778"), "ubuntu", "20.04", {name: "1.1.1f-1ubuntu2.11"}).reason == (
            f"{name} 1.1.1f-1ubuntu2.11 is below 1.1.1f-1ubuntu2.12, USN-5328-1"
        )


@pytest.mark.parametrize(("platform", "release", "package", "version", "words"), [
    ("debian", "7.11", "libssl1.0.0", "1.0.1e-2+deb7u4~bpo60+1", "was built outside the distribution (bpo6)"),
    ("debian", "7.11", "openssl", "1.0.1f-1ubuntu2", "was built for Ubuntu"),
    ("ubuntu", "12.04", "openssl", "1.0.1e-2+deb7u4", "was built for Debian"),
    ("ubuntu", "12.04", "openssl", "1.0.1-4ubuntu5.13~ppa1", "was built outside the distribution (ppa)"),
    ("centos", "6.5", "openssl", "0:1.0.1e-99.fc20", "carries no tag of rhel (such as .el9) in its version"),
    ("centos", "6.5", "openssl", "0:1.0.1f-1.ius.el6", "was built outside the distribution (ius)"),
    ("amazon", "2013.09", "openssl", "1:1.0.1e-99.el6", "carries no tag of amazon (such as .amzn2) in its version"),
])
def test_what_was_built_outside_the_distribution_is_unknown(platform, release, package, version, words):
    kind, reason = judged(of("heartbleed"), platform, release, **{package.replace(".", "_"): version})
    assert kind == "unknown"
    assert reason.startswith(f"{package} {version} {words}, so no row of CVE-2014-0160 speaks of it")


def test_what_was_built_outside_may_still_lie_outside_of_the_fault():
    kind, reason = judged(of("heartbleed"), "debian", "7.11", openssl="1.0.2k-1~bpo8+1")
    assert kind == "not_affected"
    assert reason.endswith("it is newer than 1.0.1f, the last OpenSSL that CVE-2014-0160 affects")
    # A newer OpenSSL than its release's own: the row "3.x only" is not about it.
    kind, reason = judged(of("CVE-2022-3602"), "ubuntu", "20.04", libssl3="3.0.5-2ubuntu1")
    assert kind == "unknown"
    beside = {"libssl3": "3.0.5-2ubuntu1", "libssl1_1": "1.1.1f-1ubuntu2"}
    assert judged(of("CVE-2022-3602"), "ubuntu", "20.04", **beside)[0] == kind


def test_a_branch_that_upstream_says_nothing_of_is_not_clean():
    found = of("CVE-2023-0286")  # the range of 1.0.2 was not read; 14.04-esm has 1.0.1f
    kind, reason = judged(found, "ubuntu", "14.04", openssl="1.0.2g-1ubuntu4.20")
    assert (kind, "OpenSSL 1.0.2g itself is not known to be fixed" in reason) == ("unknown", True)
    assert judged(found, "debian", "10.13", libssl1_1="1.1.1w-0+deb10u9")[0] == "fixed"


def test_one_in_usr_local_is_no_package():
    kind, reason = judged(of("heartbleed"), "debian", "7.11")
    assert (kind, "no OpenSSL package" in reason) == ("unknown", True)


def test_what_an_upgrade_of_the_release_left_behind_is_held_against_where_it_came_from():
    found = of("CVE-2016-2107")  # wheezy 1.0.1e-2+deb7u21, jessie 1.0.1k-3+deb8u5
    assert judged(found, "debian", "8.11", libssl1_0_0="1.0.1e-2+deb7u21")[0] == "fixed"
    assert judged(found, "debian", "8.11", libssl1_0_0="1.0.1e-2+deb7u20")[0] == "vulnerable"
    kind, reason = judged(found, "centos", "7.2", openssl="0:1.0.1e-48.el6_8.1")
    assert (kind, reason.startswith("openssl 0:1.0.1e-48.el6_8.1 is at or above 0:1.0.1e-48.el")) == ("fixed", True)
    kind, reason = judged(found, "debian", "9.1", libssl1_0_0="1.0.1e-2+deb6u1")
    assert (kind, "on debian squeeze (left on debian 9.1)" in reason) == ("unknown", True)


def test_what_is_never_mended():
    found = of("CVE-2015-0286")
    assert judged(found, "ubuntu", "14.04", libssl0_9_8="0.9.8o-7ubuntu3.2.14.04.1") == (
        "vulnerable", "libssl0.9.8 0.9.8o-7ubuntu3.2.14.04.1 on ubuntu 14.04 is affected and never mended: ignored "
        "(end of life)",
    )
    ended = NeverFixed("ubuntu", "13.10", "openssl", "end of life", "a source")
    only = replace(found, never_fixed=(ended,), fixed=())
    assert applies(only, "ubuntu", "13.10") == "fixed_row"  # it is affected, so it has to be asked
    assert judged(only, "ubuntu", "13.10", libssl1_0_0="1.0.1e-3ubuntu1.8+esm1")[0] == "unknown"


@pytest.mark.parametrize(("version", "kind", "words"), [
    ("5.6.1-1", "vulnerable", "is below 5.6.1+really5.4.5-1, DSA-5649-1"),
    ("5.6.0-0.2", "vulnerable", "is below 5.6.1+really5.4.5-1, DSA-5649-1"),
    ("5.5.1alpha-0.1", "vulnerable", "is below 5.6.1+really5.4.5-1, DSA-5649-1"),
    ("5.4.5-0.3", "not_affected", "is older than 5.6.0, the first liblzma that CVE-2024-3094 affects"),
    ("5.6.1+really5.4.5-1", "fixed", "is at or above 5.6.1+really5.4.5-1, DSA-5649-1"),
    ("5.6.2-1", "fixed", "is at or above 5.6.1+really5.4.5-1, DSA-5649-1"),
    ("5.6.1-2", "vulnerable", "is below"),
])
def test_xz(version, kind, words):
    said = judged(XZ, "debian", "trixie/sid", liblzma5=version, libssl3="3.0.1-1")
    assert (said[0], words in said[1]) == (kind, True), said


def test_xz_elsewhere():
    assert judged(XZ, "debian", "12.5", liblzma5="5.4.1-0.2") == (
        "not_affected", "liblzma5 5.4.1-0.2 is older than 5.6.0, the first liblzma that CVE-2024-3094 affects",
    )
    assert judged(XZ, "debian", "12.5", liblzma5="5.6.1-1")[0] == "unknown"  # a stable release has none, and yet
    assert judged(XZ, "debian", "13.1", liblzma5="5.8.1-1")[0] == "not_affected"  # newer than the back door
    assert judged(XZ, "ubuntu", "24.04", liblzma5="5.6.1-1")[0] == "unknown"
    kind, reason = judged(XZ, "debian", "trixie/sid", libssl3="3.0.1-1")
    assert (kind, reason.startswith("no liblzma package (liblzma5, xz-utils) of debian tri")) == ("unknown", True)


def test_the_file_says_which_packages_are_meant():
    assert not XZ.openssl
    assert XZ.restart == "service"
    assert packages.names([XZ])[-2:] == ("liblzma5", "xz-utils")
    assert "'libopenssl*' 'compat-openssl*' liblzma5 xz-utils" in packages.script(packages.names([XZ]))
    lines = [f"package\tdpkg\t{name}\t1-1\tinstall ok installed" for name in ("liblzma5", "libssl3", "libc6")]
    assert set(packages.parse([*lines, "packages\tdpkg"], packages.concern([XZ]))) == {"liblzma5"}
    both = packages.concern([XZ, of("drown")])
    assert set(packages.parse([*lines, "packages\tdpkg"], both)) == {"liblzma5", "libssl3"}
    assert packages.upgraded([XZ])["debian"] == ("liblzma5", "xz-utils")
    assert packages.upgraded([XZ])["rhel"] == ()
    assert packages.upgraded([XZ, of("drown")])["debian"] == (*platforms.PACKAGES["debian"], "liblzma5", "xz-utils")
    assert packages.upgraded([]) == packages.upgraded([of("drown")]) == dict(platforms.PACKAGES)


def test_a_release_has_its_own_packages_before_the_distributions():
    one = Package("debian", "sid", "xz-utils", ("liblzma6",), "a source")
    found = replace(XZ, packages=(*XZ.packages, one))
    assert found.binaries(platforms.Release("debian", "sid"), "xz-utils") == ("liblzma6",)
    assert found.binaries(platforms.Release("debian", "bookworm"), "xz-utils") == ("liblzma5", "xz-utils")
    assert found.binaries(platforms.Release("debian", "bookworm"), "openssl") == ()


def test_day_zero():
    nothing = advisory.latest()
    assert nothing.openssl
    assert (nothing.latest, nothing.fixed, str(nothing.path)) == (True, (), os.devnull)
    kind, reason = judged(nothing, "debian", "12.5", libssl3="3.0.17-1~deb12u2")
    assert (kind, reason.startswith("no advisory says yet which version has the fix")) == ("unknown", True)
    old, new = {"libssl3": "3.0.17-1~deb12u2"}, {"libssl3": "3.0.18-1~deb12u1"}
    assert newest(new, new).reason == (
        "patched to the newest the repositories offer; no advisory says yet that it has the fix"
    )
    assert newest(new, new).kind == "newest"
    assert combined([newest(new, new), Verdict("fixed", "a")]).kind == "newest"
    said = newest(old, new)
    assert (said.kind, said.reason) == (
        "vulnerable", "libssl3 3.0.17-1~deb12u2 is not the newest its repositories offer: 3.0.18-1~deb12u1"
    )
    for installed, offered in ((old, {}), ({}, new), ({}, {})):
        said = newest(installed, offered)
        assert (said.kind, "nothing says" in said.reason) == ("unknown", True)


@pytest.mark.parametrize(("version", "kind", "words"), [
    ("1:3.2.2-6.0.1.el9_5", "vulnerable", "a rebuild of 1:3.2.2-6.el9_5, is below 1:3.2.2-6.el9_5.1"),
    ("1:3.2.2-6.0.1.el9_5.1", "fixed", "is at or above 1:3.2.2-6.el9_5.1"),
    ("1:3.2.2-7.0.1.el9_6", "fixed", "is at or above 1:3.2.2-6.el9_5.1"),
])
def test_oracles_own_number_stands_before_the_tag_and_says_nothing_of_the_fix(version, kind, words):
    """Both builds of 3.2.2-6 are Oracle's; rpm sorts the first one above the row, too."""
    said = judged(of("CVE-2024-12797"), "oracle", "9.5", openssl__libs=version)
    assert (said[0], words in said[1]) == (kind, True), said


def test_a_row_that_is_a_rebuilds_own_is_compared_as_it_stands():
    found = of("CVE-2024-12797")
    row = replace(found.fixed[0], distro="rhel", release="9", version="1:3.2.2-6.0.1.el9_5.1")
    rebuilt = replace(found, fixed=(row,))
    assert judged(rebuilt, "oracle", "9.5", openssl__libs="1:3.2.2-6.0.1.el9_5")[0] == "vulnerable"
    assert judged(rebuilt, "oracle", "9.5", openssl__libs="1:3.2.2-6.0.1.el9_5.1")[0] == "fixed"


def test_debians_build_on_ubuntu_sorts_above_a_fix_that_it_has_not():
    found = of("CVE-2023-0286")  # 3.0.2-0ubuntu1.8
    kind, reason = judged(found, "ubuntu", "22.04", libssl3="3.0.2-1")
    assert (kind, "does not say that Ubuntu built it" in reason) == ("unknown", True), reason
    assert judged(found, "ubuntu", "22.04", libssl3="3.0.8-1")[0] == "fixed", "upstream's own release has it"
    assert judged(replace(found, upstream=None), "ubuntu", "22.04", libssl3="3.0.8-1")[0] == "unknown"
    assert judged(found, "ubuntu", "22.04", libssl3="3.0.2-0ubuntu1.8")[0] == "fixed"


def test_of_two_releases_in_a_version_the_last_built_it():
    found = of("CVE-2022-0778")  # buster 1.1.1d-0+deb10u8, bullseye 1.1.1k-1+deb11u2
    kind, reason = judged(found, "debian", "10.13", libssl1_1="1.1.1k-1+deb11u2~deb10u1")
    assert (kind, "1.1.1d-0+deb10u8" in reason) == ("unknown", True), reason
