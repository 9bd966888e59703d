"""Verdicts: by row, by OpenSSL's own version, or not at all; and never `fixed` where that would be a guess."""

import itertools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import advisory, platforms, versions
from generator.advisory import Advisory, Fixed, NotAffected, Upstream
from generator.versions import KINDS, Verdict, applies, combined, verdict

HEARTBLEED = advisory.load(["heartbleed"])[0]
CODES = {name: number for number, name in platforms.CODENAMES.items()}


AFFECTED = ((("1.1.1", "1.1.1k"),), ("1.1.1l",))


def rows(*fixed: tuple[str, str, str, str], spared: tuple = (), upstream: tuple | None = AFFECTED) -> Advisory:
    return Advisory(
        id="TEST-1", title="a test", aliases=(), severity=None, coverage="nothing", libraries=("libssl",), services=(),
        follow_up=None, lab=False, upstream=Upstream(*upstream, "a source") if upstream else None,
        fixed=tuple(Fixed(*row, f"ROW-{number}", "a source", None) for number, row in enumerate(fixed)),
        not_affected=tuple(NotAffected(*row, "never had it", "a source") for row in spared), path=Path("test.toml"),
    )


def node_of(row: Fixed) -> tuple[str, str]:
    """Return how ohai spells a platform and version that the row speaks of."""
    if row.distro == "rhel":
        return "centos", f"{row.release}.5"
    return row.distro, {"debian": CODES.get(row.release), "amazon": "2013.09"}.get(row.distro) or row.release


def kind_and_reason(found: Advisory, platform: str, version: str, **packages: str) -> tuple[str, str]:
    names = {name.replace("__", "-").replace("_", "."): value for name, value in packages.items()}
    said = verdict(found, platform, version, names)
    return said.kind, said.reason


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from(HEARTBLEED.fixed), st.data())
def test_below_at_and_above_every_row(row, data):
    platform, version = node_of(row)
    release = platforms.release_of(platform, version)
    name = data.draw(st.sampled_from(platforms.binary_packages(release, row.package)))
    tail = data.draw(st.from_regex(r"(rc)?[0-9]{0,6}", fullmatch=True))  # letters could be a builder's mark
    below, above = f"{row.version}~{tail}", f"{row.version}.{data.draw(st.integers(0, 99))}"
    assert verdict(HEARTBLEED, platform, version, {name: below}) == Verdict(
        "vulnerable", f"{name} {below} is below {row.version}, {row.advisory}"
    )
    for reached in (row.version, above):
        assert verdict(HEARTBLEED, platform, version, {name: reached}) == Verdict(
            "fixed", f"{name} {reached} is at or above {row.version}, {row.advisory}"
        )


@settings(deadline=None)
@given(st.lists(st.builds(Verdict, st.sampled_from(KINDS), st.text("abc", max_size=2)), max_size=5))
def test_combined_knows_no_order(verdicts):
    found = combined(verdicts)
    assert all(combined(order) == found for order in itertools.permutations(verdicts))
    assert combined([*verdicts, found]).kind == found.kind
    kinds = {each.kind for each in verdicts}
    assert found.kind == next((kind for kind in KINDS if kind in kinds), "unknown")
    assert all(each.reason in found.reason for each in verdicts if each.kind == found.kind)


def test_combined_of_one_and_of_none():
    assert combined([Verdict("fixed", "a")]) == Verdict("fixed", "a")
    assert combined([Verdict("vulnerable", "b"), Verdict("fixed", "c"), Verdict("vulnerable", "a")]).reason == "a; b"
    assert combined(iter(())).kind == "unknown"


ALPHABET = st.text("0123456789abz.+~-:_^ \n\0é١²", max_size=40)


@settings(deadline=None)
@given(
    st.sampled_from([*platforms.FAMILY, "windows", ""]), st.sampled_from(["7.11", "6.5", "6.4", "2", "12.04", "", "?"]),
    st.dictionaries(st.sampled_from(["openssl", "libssl1.0.0", "openssl-libs", "x"]), ALPHABET | st.text(max_size=40)),
)
def test_nothing_a_node_says_raises(platform, version, packages):
    assert verdict(HEARTBLEED, platform, version, packages).kind in KINDS
    assert applies(HEARTBLEED, platform, version) in {"fixed_row", "not_affected", "unknown"}


@pytest.mark.parametrize("version", [
    "", " ", "none", "1.0.1e-2 deb7u9", "v9", "9\n", "9é", "١", "1:2:3", "9" * 5000, "x:9", "9;id", "9" * 201,
])
def test_a_version_that_dpkg_never_wrote_is_unknown(version):
    kind, reason = kind_and_reason(HEARTBLEED, "debian", "7.11", openssl=version)
    assert kind == "unknown"
    assert reason == f"openssl {version} is not a version that dpkg writes: see by hand what debian 7.11 has"


@pytest.mark.parametrize("version", ["", "9", "9:", "-", "a:9-9", "1.0.1e-16 el6", "9-", "9-9-9", "9é-9", "(none):9-9"])
def test_a_version_that_rpm_never_wrote_is_unknown(version):
    kind, reason = kind_and_reason(HEARTBLEED, "centos", "6.5", openssl=version)
    assert (kind, "is not a version that rpm writes" in reason) == ("unknown", True)


def test_the_tool_and_the_library_are_both_looked_at():
    old, new = "1.0.1e-2+deb7u4", "1.0.1e-2+deb7u5"
    assert kind_and_reason(HEARTBLEED, "debian", "7.11", openssl=new, libssl1_0_0=old) == (
        "vulnerable", f"libssl1.0.0 {old} is below {new}, DSA-2896-1"
    )
    assert kind_and_reason(HEARTBLEED, "debian", "7.11", openssl=new, libssl1_0_0=new)[0] == "fixed"
    assert kind_and_reason(HEARTBLEED, "debian", "7.11", openssl=new, libssl1_0_0="?")[0] == "unknown"


@pytest.mark.parametrize("packages", [{}, {"nginx": "1.2.1-2.2"}, {"libssl-dev": "1.0.1e-2+deb7u4"}])
def test_no_package_reported(packages):
    assert verdict(HEARTBLEED, "debian", "7.11", packages) == Verdict(
        "unknown", "no OpenSSL package (openssl, libssl1.0.0) of debian 7.11 was reported: run chef-client on it once, "
        "or see by hand what it has",
    )


def test_no_platform_reported_and_one_nobody_patches():
    assert kind_and_reason(HEARTBLEED, "", "", openssl="1.0.1e-2+deb7u5") == (
        "unknown", "it never reported its platform: run chef-client on it once, or see by hand what it has"
    )
    kind, reason = kind_and_reason(HEARTBLEED, "freebsd", "10.0", openssl="1.0.1e")
    assert (kind, "'freebsd 10.0'" in reason) == ("unknown", True)


@pytest.mark.parametrize(("platform", "version", "answer"), [
    ("debian", "7.11", "fixed_row"), ("centos", "6.5", "fixed_row"), ("oracle", "6.10", "fixed_row"),
    ("centos", "6", "fixed_row"), ("amazon", "2014.03", "fixed_row"), ("opensuse", "13.1", "fixed_row"),
    ("redhat", "5.11", "not_affected"), ("rocky", "7.0", "not_affected"), ("ubuntu", "10.04", "not_affected"),
    ("debian", "12", "unknown"), ("ubuntu", "14.04", "unknown"), ("debian", "trixie/sid", "unknown"),
    ("windows", "10", "unknown"), ("", "", "unknown"),
])
def test_what_applies_to_a_release(platform, version, answer):
    assert applies(HEARTBLEED, platform, version) == answer


def test_a_release_that_is_not_affected():
    said = "CVE-2014-0160 does not affect {}centos 5.11: not affected (0.9.8)"
    assert verdict(HEARTBLEED, "centos", "5.11", {"openssl": "0:0.9.8e-27.el5"}) == Verdict(
        "not_affected", said.format("openssl 0:0.9.8e-27.el5 on ")
    )
    assert verdict(HEARTBLEED, "centos", "5.11", {}) == Verdict("not_affected", said.format(""))
    # RHEL 7 has 1.0.1e, which upstream affects: its row knows better.
    assert verdict(HEARTBLEED, "redhat", "7.0", {"openssl": "1:1.0.1e-34.el7"}).kind == "not_affected"


def test_minor_releases_that_are_not_affected_beside_one_row_for_all():
    old, new = "0:1.0.1e-16.el6_5.4", "0:1.0.1e-16.el6_5.7"
    assert kind_and_reason(HEARTBLEED, "centos", "6.5", openssl=old)[0] == "vulnerable"
    assert kind_and_reason(HEARTBLEED, "centos", "6.5", openssl=new)[0] == "fixed"
    assert kind_and_reason(HEARTBLEED, "centos", "6.4", openssl="0:1.0.0-27.el6_4.2") == (
        "not_affected", "CVE-2014-0160 does not affect openssl 0:1.0.0-27.el6_4.2 on centos 6.4: "
        "openssl 1.0.0, not affected",
    )
    # `yum update openssl` alone takes the package of 6.5 to a node that still says 6.4: it is asked, and seen.
    assert applies(HEARTBLEED, "centos", "6.4") == "fixed_row"
    assert kind_and_reason(HEARTBLEED, "centos", "6.4", openssl=old)[0] == "vulnerable"
    assert kind_and_reason(HEARTBLEED, "centos", "6.4", openssl=new)[0] == "fixed"


def test_a_second_openssl_has_a_row_of_its_own():
    kind, reason = kind_and_reason(HEARTBLEED, "centos", "6.5", openssl098e="0:0.9.8e-17.el6")
    assert (kind, reason) == (
        "not_affected", "CVE-2014-0160 does not affect openssl098e 0:0.9.8e-17.el6 on centos 6.5: not affected"
    )
    both = {"openssl": "0:1.0.1e-16.el6_5.4", "openssl098e": "0:0.9.8e-17.el6"}
    assert verdict(HEARTBLEED, "centos", "6.5", both).kind == "vulnerable"
    only = rows(spared=[("rhel", "6", "openssl098e")])
    assert applies(only, "centos", "6.5") == "unknown"
    assert verdict(only, "centos", "6.5", both).kind == "unknown"


def test_no_row_and_newer_than_all_that_is_affected():
    packages = {"openssl": "3.0.17-1~deb12u2", "libssl3": "3.0.17-1~deb12u2"}
    for version in ("12.5", "trixie/sid"):
        found = verdict(HEARTBLEED, "debian", version, packages)
        assert found.kind == "not_affected"
        assert "libssl3 3.0.17-1~deb12u2 is newer than 1.0.1f, the last OpenSSL that CVE-2014-0160 aff" in found.reason
    assert kind_and_reason(HEARTBLEED, "rocky", "9.3", openssl="1:3.0.7-24.el9")[0] == "not_affected"


@pytest.mark.parametrize(("version", "reason"), [
    ("1.0.1f-1ubuntu2.27", "and OpenSSL 1.0.1f is not newer than 1.0.1f: add the row with its source, or see by hand"),
    ("1.0.1-4", "and OpenSSL 1.0.1 is not newer than 1.0.1f"),
    ("1.0.2~beta1-1", "and 1.0.2~beta1 is no release of OpenSSL"),  # Heartbleed is in it, and it sorts above 1.0.1f
    ("1.7.0-1", "and 1.7.0 is no release of OpenSSL"),
])
def test_no_row_and_no_way_to_know(version, reason):
    kind, said = kind_and_reason(HEARTBLEED, "ubuntu", "14.04", openssl=version, libssl1_0_0="3.0.2-1")
    assert kind == "unknown"
    assert said.startswith(f"CVE-2014-0160 has no row for openssl {version} on ubuntu 14.04, {reason}")


def test_newer_than_the_last_of_every_branch():
    found = rows(upstream=((("3.0.0", "3.0.6"), ("1.0.2", "1.0.2zc"), ("1.1.1", "1.1.1k")), ("3.0.7",)))
    tens = rows(upstream=((("3.9.0", "3.9.4"), ("3.10.0", "3.10.2")), ("3.9.5", "3.10.3")))
    assert kind_and_reason(tens, "debian", "12", openssl="3.9.5-1")[0] == "unknown"
    assert kind_and_reason(tens, "debian", "12", openssl="3.10.3-1")[0] == "not_affected"
    kinds = {release: kind_and_reason(found, "debian", "12", openssl=f"{release}-1")[0]
             for release in ("1.0.2zd", "1.1.1l", "3.0.6", "3.0.7", "3.0.10")}
    assert kinds == {
        "1.0.2zd": "unknown", "1.1.1l": "unknown", "3.0.6": "unknown", "3.0.7": "not_affected", "3.0.10": "not_affected"
    }


def test_no_row_and_no_upstream():
    found = rows(("debian", "bookworm", "openssl", "3.0.17-1"), upstream=None)
    assert kind_and_reason(found, "debian", "12", openssl="3.0.18-1")[0] == "fixed"
    kind, reason = kind_and_reason(found, "debian", "13", openssl="3.5.1-1")
    assert kind == "unknown"
    assert reason == (
        "TEST-1 has no row for openssl 3.5.1-1 on debian 13 and names no upstream releases: add the row with its "
        "source, or see by hand"
    )


def test_what_an_older_release_left_behind_is_no_package_of_this_one():
    new = "1.0.1e-2+deb7u5"
    assert kind_and_reason(HEARTBLEED, "debian", "7.11", openssl=new, libssl1_1="1.0.1c-1")[0] == "unknown"
    assert kind_and_reason(HEARTBLEED, "debian", "7.11", openssl=new, libssl3="3.0.17-1")[0] == "fixed"


FOCAL = ("ubuntu", "20.04", "openssl", "1.1.1f-1ubuntu2.8")
EL9 = ("rhel", "9", "openssl", "1:3.5.1-7.el9_7")


@pytest.mark.parametrize("version", [
    "1.1.1f-1ubuntu2.fips.2.8", "1.1.1f-1ubuntu2.fips.7.1", "1.1.1f-1ubuntu2.9+Fips1", "1.1.1e-1ubuntu2.fips.1",
])
def test_a_fips_build_is_not_fixed_by_the_plain_row(version):
    kind, reason = kind_and_reason(rows(FOCAL), "ubuntu", "20.04", libssl1_1=version)
    assert kind == "unknown"
    assert reason == (
        f"libssl1.1 {version} is a FIPS or Ksplice build, which 1.1.1f-1ubuntu2.8, ROW-0 does not speak of: "
        "ask whoever built it which version has the fix"
    )


@pytest.mark.parametrize("version", ["10:1.0.1e-16.el6_5.4_fips", "2:1.0.1e-16.ksplice1.el6_5.4", "1:1.0.1e-1.el6"])
def test_another_epoch_is_another_flavour(version):
    kind, reason = kind_and_reason(HEARTBLEED, "oracle", "6.5", openssl=version)
    assert (kind, version in reason) == ("unknown", True)


def test_no_epoch_is_epoch_0():
    row = "1.0.1e-37.fc20.1"
    assert kind_and_reason(HEARTBLEED, "fedora", "20", openssl__libs=f"0:{row}")[0] == "fixed"
    assert kind_and_reason(HEARTBLEED, "fedora", "20", openssl__libs=row)[0] == "fixed"
    assert kind_and_reason(HEARTBLEED, "fedora", "20", openssl__libs="1:1.0.1e-30.fc20")[0] == "unknown"
    assert kind_and_reason(HEARTBLEED, "amazon", "2013.09", openssl="0:1.0.1e-37.66.amzn1")[0] == "vulnerable"
    assert kind_and_reason(HEARTBLEED, "centos", "6.5", openssl="1.0.1e-16.el6_5.7")[0] == "fixed"


def test_another_upstream_release_above_the_row_may_be_affected_itself():
    kind, reason = kind_and_reason(HEARTBLEED, "debian", "7.11", openssl="1.0.1f-1")
    assert kind == "unknown"
    assert reason.startswith("openssl 1.0.1f-1 is above 1.0.1e-2+deb7u5, DSA-2896-1, and OpenSSL 1.0.1f itself is not")
    assert kind_and_reason(HEARTBLEED, "debian", "7.11", openssl="1.0.2~beta1-1")[0] == "unknown"
    assert kind_and_reason(HEARTBLEED, "debian", "7.11", openssl="1.0.1g-1")[0] == "fixed"
    assert kind_and_reason(HEARTBLEED, "amazon", "2014.03", openssl="1:1.0.1h-1.72.amzn1")[0] == "fixed"


def test_an_rpm_of_another_minor_release():
    assert kind_and_reason(HEARTBLEED, "centos", "6.5", openssl="0:1.0.1e-15.el6_4")[0] == "vulnerable"
    assert kind_and_reason(HEARTBLEED, "centos", "6.9", openssl="0:1.0.1e-57.el6_8")[0] == "fixed"
    patched = {"openssl__libs": "1:3.0.7-29.el9_4.2"}
    upstream = ((("3.0.0", "3.0.18"),), ("3.0.19",))
    assert kind_and_reason(rows(EL9, upstream=upstream), "rocky", "9.4", **patched)[0] == "vulnerable"
    kind, reason = kind_and_reason(rows(EL9, upstream=upstream), "redhat", "9.4", **patched)
    assert (kind, "of the extended stream of 9.4 (EUS), of which TEST-1 has no row" in reason) == ("unknown", True)
    stream = rows(
        EL9, ("rhel", "9.4-eus", "openssl", "1:3.0.7-29.el9_4.2"), ("rhel", "9.4-e4s", "openssl", "1:3.0.7-29.el9_4.1"),
        ("rhel", "9.2-e4s", "openssl", "1:3.0.7-18.el9_2.3"), ("rhel", "9.4-eus", "compat-openssl11", "1:9-9.el9_4"),
        upstream=upstream,
    )
    assert kind_and_reason(stream, "redhat", "9.4", **patched) == (
        "fixed", "openssl-libs 1:3.0.7-29.el9_4.2 is at or above 1:3.0.7-29.el9_4.2, ROW-1"
    )
    assert kind_and_reason(stream, "redhat", "9.4", openssl="1:3.0.7-29.el9_4.1")[0] == "vulnerable"
    assert kind_and_reason(stream, "redhat", "9.7", openssl="1:3.5.1-7.el9_7")[0] == "fixed"


def test_of_two_rows_the_later_counts():
    found = rows(*(("debian", "squeeze", "openssl", f"0.9.8o-4squeeze{number}") for number in (16, 15)))
    assert kind_and_reason(found, "debian", "6.0.10", openssl="0.9.8o-4squeeze15")[0] == "vulnerable"
    assert kind_and_reason(found, "debian", "6.0.10", openssl="0.9.8o-4squeeze16")[0] == "fixed"


def test_verdicts_are_remembered_and_another_file_content_is_not_mistaken_for_it():
    packages = {"openssl": "3.0.17-1"}
    found = rows(("debian", "bookworm", "openssl", "3.0.17-1"))
    assert verdict(found, "debian", "12", packages) is verdict(found, "debian", "12", dict(packages))
    later = replace(found, fixed=(replace(found.fixed[0], version="3.0.17-2"),))
    assert hash(later) == hash(found)
    assert verdict(later, "debian", "12", packages).kind == "vulnerable"


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg itself is what these verdicts are held against")
@pytest.mark.parametrize("version", [
    "1.0.1e-2+deb7u4", "1.0.1e-2+deb7u5", "1.0.1e-2+deb7u10", "1.0.1e-2+deb7u5~bpo60+1", "1.0.1e-3", "1.0.1c-9",
    "1.0.1g-1",
])
def test_dpkg_agrees(version):
    row = "1.0.1e-2+deb7u5"
    above = subprocess.run(["dpkg", "--compare-versions", version, "ge", row], check=False).returncode == 0
    assert (kind_and_reason(HEARTBLEED, "debian", "7.11", openssl=version)[0] == "fixed") is above


def test_what_upstream_released():
    ordered = ("3.0.10", "3.0.9", "1.1.1za", "1.1.1z", "1.0.1g", "1.0.1f", "1.0.1", "0.9.8zh")
    releases = [versions.upstream_release(each) for each in ordered]
    assert sorted(releases) == releases[::-1]
    for other in ("1.0.1~beta1", "1.0.1-beta1", "3.0.0-alpha1", "1.0", "1.7.0", "", "1.0.1\n", "1.0.1é"):
        with pytest.raises(ValueError, match=r"is no release of OpenSSL|is not a valid .*OpensslVersion"):
            versions.upstream_release(other)
