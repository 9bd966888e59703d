"""What ohai says of a platform, in the advisories' words."""

import importlib.util
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import platforms
from generator.platforms import Release

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("platform", "version", "release"), [
    ("debian", "7.11", ("debian", "wheezy")),
    ("debian", "12", ("debian", "bookworm")),
    ("debian", "13.1", ("debian", "trixie")),
    ("ubuntu", "12.04", ("ubuntu", "12.04")),
    ("ubuntu", "24.04", ("ubuntu", "24.04")),
    ("centos", "6.5", ("rhel", "6")),
    ("centos", "7.9.2009", ("rhel", "7")),
    ("centos", "9", ("rhel", "9")),
    ("redhat", "8.4", ("rhel", "8")),
    ("rocky", "9.3", ("rhel", "9")),
    ("almalinux", "10.0", ("rhel", "10")),
    ("oracle", "6.10", ("rhel", "6")),
    ("amazon", "2013.09", ("amazon", "1")),
    ("amazon", "2018.03", ("amazon", "1")),
    ("amazon", "2", ("amazon", "2")),
    ("amazon", "2023", ("amazon", "2023")),
    ("amazon", "2023.6.20241010", ("amazon", "2023")),
    ("fedora", "20", ("fedora", "20")),
    ("opensuse", "13.1", ("opensuse", "13.1")),
    ("opensuseleap", "15.5", ("opensuse", "15.5")),
    ("opensuseleap", "42.3", ("opensuse", "42.3")),
    ("debian", "trixie/sid", ("debian", "sid")),
    ("alpine", "3.18.4", ("alpine", "3.18")),
    ("alpine", "3.20", ("alpine", "3.20")),
])
def test_ohai_spelling(platform, version, release):
    found = platforms.release_of(platform, version)
    assert found == Release(*release)
    assert hash(found) == hash(Release(*release))
    assert str(found) == " ".join(release)


@pytest.mark.parametrize(("platform", "version"), [
    ("debian", "trixie/"), ("debian", "99"), ("debian", ""), ("debian", "7.11\n"), ("debian", "٧"), ("ubuntu", "12"),
    ("windows", "10.0.20348"), ("suse", "15.5"), ("opensuseleap", "15"), ("", ""), ("Debian", "7"),
    ("centos", "6.5; id"), ("centos", "9" * 5000), ("alpine", "edge"),
])
def test_what_names_no_release(platform, version):
    assert platforms.release_of(platform, version) is None


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from(sorted(platforms.FAMILY)), st.text(max_size=30))
def test_no_version_a_node_reports_breaks_it(platform, version):
    release = platforms.release_of(platform, version)
    assert release is None or (release.distro in platforms.SCHEME and release.release)


@pytest.mark.parametrize(("said", "spelled"), [
    (("opensuse-leap", "15.5"), ("opensuseleap", "15.5")), (("amzn", "2"), ("amazon", "2")),
    (("rhel", "9.3"), ("redhat", "9.3")), (("ol", "8.9"), ("oracle", "8.9")), (("debian", "12"), ("debian", "12")),
    (("debian", ""), ("debian", "trixie/sid")),
])
def test_the_checks_spell_what_os_release_says_as_ohai_does(said, spelled):
    spec = importlib.util.spec_from_file_location("checks", ROOT / "tests" / "infra" / "conftest.py")
    checks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checks)
    assert checks.platform_of({"os": list(said), "debian": ["trixie/sid"]}) == spelled
    assert platforms.release_of(*spelled)


def test_windows_is_not_patched():
    assert "windows" not in platforms.FAMILY
    assert {platforms.FAMILY[name] for name in ("debian", "centos", "amazon", "fedora")} == {
        "debian", "rhel", "amazon", "fedora"
    }


@pytest.mark.parametrize(("release", "source", "packages"), [
    (Release("debian", "squeeze"), "openssl", ("openssl", "libssl0.9.8")),
    (Release("debian", "wheezy"), "openssl", ("openssl", "libssl1.0.0")),
    (Release("debian", "stretch"), "openssl", ("openssl", "libssl1.1")),
    (Release("debian", "stretch"), "openssl1.0", ("libssl1.0.2",)),
    (Release("debian", "bullseye"), "openssl", ("openssl", "libssl1.1")),
    (Release("debian", "bookworm"), "openssl", ("openssl", "libssl3")),
    (Release("debian", "trixie"), "openssl", ("openssl", "libssl3t64")),
    (Release("ubuntu", "10.04"), "openssl", ("openssl", "libssl0.9.8")),
    (Release("ubuntu", "12.04"), "openssl", ("openssl", "libssl1.0.0")),
    (Release("ubuntu", "14.04-esm"), "openssl", ("openssl", "libssl1.0.0")),
    (Release("ubuntu", "20.04"), "openssl", ("openssl", "libssl1.1")),
    (Release("ubuntu", "22.04"), "openssl", ("openssl", "libssl3")),
    (Release("ubuntu", "24.04"), "openssl", ("openssl", "libssl3t64")),
    (Release("ubuntu", "26.10"), "openssl", ("openssl", "libssl4", "libssl3t64")),
    (Release("rhel", "6"), "openssl", ("openssl",)),
    (Release("rhel", "6"), "openssl098e", ("openssl098e",)),
    (Release("rhel", "6.4-eus"), "openssl", ("openssl",)),
    (Release("rhel", "7"), "openssl", ("openssl", "openssl-libs")),
    (Release("rhel", "10.0-eus"), "openssl", ("openssl", "openssl-libs")),
    (Release("fedora", "20"), "openssl", ("openssl", "openssl-libs")),
    (Release("amazon", "1"), "openssl", ("openssl",)),
    (Release("amazon", "2"), "openssl", ("openssl", "openssl-libs")),
    (Release("amazon", "2"), "openssl11", ("openssl11", "openssl11-libs")),
    (Release("opensuse", "13.1"), "openssl", ("openssl", "libopenssl1_0_0")),
    (Release("opensuse", "13.1"), "libopenssl1_0_0", ("libopenssl1_0_0",)),
    (Release("debian", "wheezy"), "libopenssl1_0_0", ()),
    (Release("debian", "potato"), "openssl", ()),
    (Release("debian", "sid"), "openssl", ("openssl", "libssl3t64")),
    (Release("ubuntu", "20.04-fips-updates"), "openssl", ("openssl", "libssl1.1")),
    (Release("alpine", "3.16"), "openssl", ("openssl", "libssl1.1", "libcrypto1.1")),
    (Release("alpine", "3.20"), "openssl", ("openssl", "libssl3", "libcrypto3")),
    (Release("alpine", "3.20"), "xz", ()),
    (Release("gentoo", "2"), "openssl", ()),
])
def test_binary_packages(release, source, packages):
    assert platforms.binary_packages(release, source) == packages
    assert all(platforms.is_openssl(name) for name in packages)


@pytest.mark.parametrize("name", [
    "openssl-devel", "openssl-perl", "libssl-dev", "libssl1.0.0-dbg", "libssl3-dbgsym", "nginx",
    "libgnutls-openssl27", "", "openssl\n", "openssl-fips-provider",
])
def test_what_carries_neither_tool_nor_library(name):
    assert not platforms.is_openssl(name)


@pytest.mark.parametrize(("version", "covered"), [
    ("6.0", True), ("6.4", True), ("6.5", False), ("6.10", False), ("5.11", False), ("6", False), ("7.2", False),
])
def test_a_range_of_minor_releases(version, covered):
    assert platforms.covers("6.0..6.4", platforms.release_of("centos", version)) is covered


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_range_counts_numbers_not_letters(low, minor, high):
    release = platforms.release_of("redhat", f"6.{minor}")
    assert platforms.covers(f"6.{low}..6.{high}", release) is (low <= minor <= high)


@pytest.mark.parametrize(("distro", "named", "ranges", "reason"), [
    ("debian", "7", False, "'7' is no release of debian, which is a code name: squeeze, wheezy"),
    ("ubuntu", "noble", False, "'noble' is no release of ubuntu, which is a number such as 12.04"),
    ("rhel", "6.5", False, "'6.5' is no release of rhel, which is a major number such as 6, or a stream"),
    ("rhel", "6.4 and earlier", True, "or a range such as 6.0..6.4"),
    ("rhel", "6.0..6.4", False, "is no release of rhel"),
    ("rhel", "6.4..6.0", True, "it goes from the lower to the higher minor release of one major release"),
    ("rhel", "5.0..6.4", True, "it goes from the lower to the higher minor release of one major release"),
])
def test_why_a_row_cannot_have_this_release(distro, named, ranges, reason):
    assert re.search(re.escape(reason), platforms.why_no_release(distro, named, ranges))


@pytest.mark.parametrize(("distro", "named"), [
    ("debian", "wheezy"), ("ubuntu", "12.04"), ("ubuntu", "14.04-esm"), ("rhel", "6"), ("rhel", "6.4-eus"),
    ("rhel", "7-els"), ("amazon", "1"), ("amazon", "2023"), ("fedora", "20"), ("opensuse", "12.3"),
    ("rhel", "6.0..6.4"), ("debian", "sid"), ("ubuntu", "20.04-fips-updates"), ("alpine", "3.20"),
])
def test_releases_a_row_can_have(distro, named):
    assert platforms.why_no_release(distro, named, ranges=True) is None
