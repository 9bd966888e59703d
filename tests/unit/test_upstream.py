"""Upstream's own releases, by the ranges of the advisories."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import advisory, upstream
from generator.numbering import parsed, upstream_release
from generator.upstream import verdict
from generator.versions import KINDS

SHIPPED = {each.id: each for each in advisory.load([advisory.ALL])}
RELEASES = st.from_regex(r"\A(0\.9\.[78]|1\.0\.[012]|1\.1\.[01])[a-z]?\Z|\A3\.[0-6]\.[0-9][0-9]?\Z")


@pytest.mark.parametrize(("name", "release", "kind", "words"), [
    ("CVE-2014-0160", "1.0.1", "vulnerable", "is in 1.0.1 to 1.0.1f, which CVE-2014-0160 affects; 1.0.1g has the fix"),
    ("CVE-2014-0160", "1.0.1f", "vulnerable", "is in 1.0.1 to 1.0.1f"),
    ("CVE-2014-0160", "1.0.1g", "fixed", "is at or above 1.0.1g, which has the fix"),
    ("CVE-2014-0160", "1.0.1u", "fixed", "is at or above 1.0.1g"),
    ("CVE-2014-0160", "1.0.2", "not_affected", "is newer than 1.0.1f, the last OpenSSL that CVE-2014-0160 affects"),
    ("CVE-2014-0160", "3.0.17", "not_affected", "is newer than 1.0.1f"),
    ("CVE-2014-0160", "0.9.8y", "not_affected", "is older than 1.0.1, the first OpenSSL that CVE-2014-0160 affects"),
    ("CVE-2014-0160", "1.0.2-beta1", "unknown", "is no release of OpenSSL"),
    ("CVE-2014-0160", "", "unknown", "is no release of OpenSSL"),
    ("CVE-2014-0224", "0.9.8y", "vulnerable", "is below 0.9.8za, which CVE-2014-0224 affects; 0.9.8za has the fix"),
    ("CVE-2014-0224", "0.9.7a", "vulnerable", "is below 0.9.8za"),
    ("CVE-2014-0224", "0.9.8za", "fixed", "is at or above 0.9.8za"),
    ("CVE-2014-0224", "1.0.0l", "vulnerable", "is in 1.0.0 to what is below 1.0.0m"),
    ("CVE-2014-0224", "1.0.2", "not_affected", "is at or above 1.0.1h, newer than every OpenSSL that CVE-2014-0224"),
    ("CVE-2015-0291", "1.0.2", "vulnerable", "is 1.0.2 itself"),
    ("CVE-2022-0778", "1.1.0l", "unknown", "has no upstream range that speaks of OpenSSL 1.1.0l"),
    ("CVE-2022-0778", "1.0.2zd", "fixed", "is at or above 1.0.2zd"),
    ("CVE-2025-9230", "3.1.8", "unknown", "has no upstream range"),
    ("CVE-2025-9230", "3.5.3", "vulnerable", "3.5.4 has the fix"),
    ("CVE-2025-9230", "3.5.4", "fixed", "is at or above 3.5.4"),
    ("CVE-2025-9230", "3.6.0", "not_affected", "is at or above 3.5.4, newer than every OpenSSL"),
    ("CVE-2025-15467", "3.10.0", "not_affected", "newer than every OpenSSL"),
])
def test_a_build_of_ones_own(name, release, kind, words):
    said = verdict(SHIPPED[name], release)
    assert (said.kind, words in said.reason) == (kind, True), said


def test_without_ranges_nothing_is_said():
    found = replace(SHIPPED["CVE-2014-0160"], upstream=None)
    assert verdict(found, "1.0.1f").kind == "unknown"
    assert upstream.clean(found, "1.0.1f")


@pytest.mark.parametrize("found", SHIPPED.values(), ids=SHIPPED)
def test_the_ends_of_every_range(found):
    for first, last in found.upstream.affected:
        assert [verdict(found, each).kind for each in (first, last)] == ["vulnerable", "vulnerable"]
    for first, clean in found.upstream.before:
        assert verdict(found, clean).kind == "fixed"
        assert first == "0" or verdict(found, first).kind == "vulnerable"
    assert {verdict(found, each).kind for each in found.upstream.fixed} == {"fixed"}


@settings(deadline=None)
@given(st.sampled_from(sorted(SHIPPED)), RELEASES)
def test_every_release_has_one_answer_and_it_agrees_with_the_ranges(name, release):
    said, ranges, read = verdict(SHIPPED[name], release), SHIPPED[name].upstream, upstream_release
    within = any(read(first) <= read(release) <= read(last) for first, last in ranges.affected) or any(
        (first == "0" or read(first) <= read(release)) and read(release) < read(last) for first, last in ranges.before
    )
    assert said.kind in KINDS
    assert (said.kind == "vulnerable") is within
    assert upstream.clean(SHIPPED[name], release) is (said.kind in ("fixed", "not_affected"))


@settings(deadline=None)
@given(st.text(max_size=20))
def test_whatever_is_typed_has_an_answer(text):
    assert verdict(SHIPPED["CVE-2014-0160"], text).kind in KINDS


@settings(deadline=None)
@given(RELEASES, RELEASES, RELEASES)
def test_releases_are_ordered(one, other, third):
    first, second, last = sorted(map(upstream_release, (one, other, third)))
    assert first <= second <= last
    assert first <= last
    assert (upstream_release(one) == upstream_release(other)) is (one == other)


PART = st.from_regex(r"\A[0-9][a-z0-9]{0,3}\Z")
EPOCH = st.sampled_from(["", "1:"])
VERSIONS = {
    "dpkg": st.builds("{}{}.{}{}-{}".format, EPOCH, PART, PART, st.sampled_from(["", "~rc1"]), PART),
    "rpm": st.builds("{}{}.{}-{}.el{}".format, EPOCH, PART, PART, PART, st.integers(6, 10)),
    "apk": st.builds("{}.{}.{}-r{}".format, *[st.integers(0, 20)] * 4),
}


@settings(deadline=None)
@given(st.data(), st.sampled_from(sorted(VERSIONS)))
def test_packages_are_ordered(data, scheme):
    """Every two compare, one way alone; and what is below below is below."""
    one, other, third = (parsed(scheme, data.draw(VERSIONS[scheme])).whole for _ in range(3))
    assert (one < other) + (other < one) + (not one < other and not other < one) == 1
    if one < other < third:
        assert one < third
    first, second, last = sorted((one, other, third))
    assert not last < first
    assert not second < first


@pytest.mark.parametrize(("scheme", "version", "epoch", "release"), [
    ("dpkg", "5.6.1+really5.4.5-1", 0, "5.4.5"), ("dpkg", "1:1.0.1e-2+deb7u5", 1, "1.0.1e"),
    ("rpm", "1:1.0.2k-25.el7_9", 1, "1.0.2k"), ("rpm", "1.0.1e-16.el6", 0, "1.0.1e"),
    ("apk", "3.3.3-r0", 0, "3.3.3"), ("apk", "1.1.1k-r10", 0, "1.1.1k"),
])
def test_the_parts_of_a_version(scheme, version, epoch, release):
    found = parsed(scheme, version)
    assert (found.epoch, found.upstream) == (epoch, release)


@pytest.mark.parametrize(("scheme", "version"), [
    ("apk", "3.3.3-r"), ("apk", "3.3.3~x-r0"), ("apk", ""), ("apk", "1:3-r0"), ("dpkg", "a"), ("rpm", "1.0"),
])
def test_what_no_package_manager_writes(scheme, version):
    with pytest.raises(ValueError, match=r"is not a (valid|version)"):
        parsed(scheme, version)


@pytest.mark.parametrize("version", ["5.6.1", "2.39", "9.8p1", "8.4.0"])
def test_another_librarys_release(version):
    assert upstream_release(version, openssl=False) == upstream_release(version, openssl=False)
    assert upstream_release("9.8p2", openssl=False) > upstream_release("9.8p1", openssl=False)


@pytest.mark.parametrize("version", ["5.5.1alpha", "", "5", "v5.6", "5.6.1-1", "5.6.1\n"])
def test_what_is_no_release_of_a_library(version):
    with pytest.raises(ValueError, match="is no release of the library"):
        upstream_release(version, openssl=False)
