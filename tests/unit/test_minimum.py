"""The advisories' rows as the cookbook has them: ohai's words, and nothing lost on the way."""

import re

import pytest

from generator import advisory, minimum, origin, platforms, versions

HEARTBLEED = advisory.load(["CVE-2014-0160"])[0]


@pytest.fixture(scope="module")
def said():
    return minimum.attribute([HEARTBLEED])["CVE-2014-0160"]


def test_every_row_of_dpkg_and_rpm_is_there(said):
    for key, rows in (("fixed", HEARTBLEED.fixed), ("not_affected", HEARTBLEED.not_affected)):
        kept = [row for row in rows if platforms.SCHEME[row.distro] != "apk"]
        assert [row["distro"] for row in said[key]] == [row.distro for row in kept]
    assert said["packages"] is None
    assert said["upstream"]["affected"] == [["1.0.1", "1.0.1f"]]


def test_a_row_is_in_ohais_words(said):
    wheezy = next(row for row in said["fixed"] if row["distro"] == "debian")
    assert wheezy == {
        "distro": "debian", "release": "7", "stream": "", "packages": ["openssl", "libssl1.0.0"],
        "version": "1.0.1e-2+deb7u5", "advisory": "DSA-2896-1",
    }


def test_a_range_of_minor_releases_is_spelled_out(said):
    found = [row for row in said["not_affected"] if "minors" in row]
    assert [(row["release"], row["minors"]) for row in found] == [("6", ["6.0", "6.1", "6.2", "6.3", "6.4"])]


def test_day_zero_asks_for_no_version():
    assert minimum.attribute([advisory.latest()]) == {}


def test_a_source_package_that_is_a_name_of_its_own(said):
    assert any(row["packages"] == ["openssl098e"] for row in said["not_affected"])


def test_every_platform_that_is_patched_has_a_distribution():
    distros = minimum.origins()["distros"]
    assert distros["rocky"] == distros["oracle"] == "rhel"
    assert distros.keys() == {name for name in platforms.FAMILY if platforms.patched(name)}


@pytest.mark.parametrize(("distro", "version", "release"), [
    ("debian", "1.0.1e-2+deb7u21", "7"), ("ubuntu", "1.1.1f-1~20.04.2", "20.04"), ("rhel", "0:3.0.7-27.el9_4", "9"),
    ("amazon", "1:3.0.8-1.amzn2023.0.9", "2023"), ("fedora", "1:3.2.1-2.fc40", "40"),
])
def test_the_patterns_say_for_which_release_a_package_was_built(distro, version, release):
    assert re.search(minimum.origins()["tags"][distro], version)[1] == release
    assert origin.stranger(distro, version) is None


def test_outside_of_the_distribution():
    outside = minimum.origins()["outside"]
    version = "3.0.14-1~bpo11+1"
    assert re.search(outside, version)
    assert versions.verdict(HEARTBLEED, "debian", "11.9", {"openssl": version}).kind == "not_affected"


def test_ruby_knows_openssls_packages_from_others():
    known = re.compile(minimum.origins()["openssl"].replace(r"\z", r"\Z"), re.ASCII)
    every = {name for names in platforms.PACKAGES.values() for name in names}
    assert [name for name in every if not known.search(name)] == []
    assert [name for name in ("liblzma5", "libssl-dev", "openssl-devel", "xopenssl") if known.search(name)] == []


def test_companions_are_neither_tool_nor_library():
    assert platforms.COMPANIONS.keys() == platforms.PACKAGES.keys()
    names = {name for names in platforms.COMPANIONS.values() for name in names}
    assert names
    assert [name for name in names if platforms.is_openssl(name)] == []
