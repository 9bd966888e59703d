"""Every row of every shipped advisory: a version just below it, the version itself, and one just above."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import advisory, platforms
from generator.platforms import Release
from generator.versions import KINDS, applies, verdict

SHIPPED = advisory.load([advisory.ALL])
CODES = {name: number for number, name in platforms.CODENAMES.items()}
LATEST_MINOR = {"5": "11", "6": "10", "7": "9", "8": "10", "9": "7", "10": "1"}


def node_of(row) -> tuple[str, str]:
    """Return how ohai spells a platform and version that the row speaks of."""
    named, _ = platforms.stream_of(row.release)
    if row.distro == "rhel":
        return "redhat", f"{named.split('..')[0]}" if "." in named else f"{named}.{LATEST_MINOR[named]}"
    return row.distro, {"debian": CODES.get(named), "amazon": {"1": "2013.09"}.get(named)}.get(row.distro) or named


def around(row) -> tuple[str, str]:
    """Return the version just below the row's and one just above, as the package manager orders them."""
    if platforms.SCHEME[row.distro] == "apk":
        version, _, build = row.version.rpartition("-r")
        below = f"{version}-r{int(build) - 1}" if int(build) else f"{version}_rc1-r9"
        return below, f"{version}-r{int(build) + 1}"
    return f"{row.version}~", f"{row.version}.0"


def of_each(kind: str) -> list:
    return [pytest.param(found, row, id=f"{found.id}-{row.distro}-{row.release}-{row.package}-{row.version}"
                         if kind == "fixed" else f"{found.id}-{row.distro}-{row.release}-{row.package}")
            for found in SHIPPED for row in getattr(found, kind)]


def later_one(found, row) -> bool:
    """True if another row of the same package raises the bar: Debian mended squeeze twice for CVE-2014-0224."""
    return any((each.distro, each.release, each.package) == (row.distro, row.release, row.package)
               and each.version > row.version for each in found.fixed)


@pytest.mark.parametrize(("found", "row"), of_each("fixed"))
def test_below_at_and_above_the_fixed_version(found, row):
    platform, version = node_of(row)
    release = platforms.release_of(platform, version)
    assert applies(found, platform, version) == "fixed_row"
    names = found.binaries(Release(row.distro, row.release), row.package)
    assert names
    below, above = around(row)
    bars = {f"{each.version}, {each.advisory or found.id}" for each in found.fixed if each.version == row.version}
    for name in names:
        assert name in found.binaries(release, row.package)
        kinds = {each: verdict(found, platform, version, {name: each}) for each in (below, row.version, above)}
        assert kinds[below].kind == "vulnerable"
        if later_one(found, row):
            assert (row.release, kinds[row.version].kind) == ("squeeze", "vulnerable")
            continue
        assert kinds[below].reason.partition(", which ")[0] in {f"{name} {below} is below {bar}" for bar in bars}
        for reached in (row.version, above):
            assert kinds[reached].kind == "fixed"
            assert kinds[reached].reason in {f"{name} {reached} is at or above {bar}" for bar in bars}


@pytest.mark.parametrize(("found", "row"), of_each("not_affected"))
def test_a_release_that_never_had_the_fault(found, row):
    platform, version = node_of(row)
    names = found.binaries(Release(row.distro, platforms.release_of(platform, version).release), row.package)
    ending = {"rhel": f"-9.el{version.split('.')[0]}", "amazon": "-9.amzn1"}.get(row.distro, "-9ubuntu1")
    if row.distro == "debian":
        ending = "-9"
    affected = found.upstream.affected[0][0] if found.upstream.affected else found.upstream.before[-1][0]
    if ".." in row.release:  # the later minor releases have the package with the fault
        affected = "1.0.0"
    for name in names:
        said = verdict(found, platform, version, {name: f"{affected}{ending}"})
        assert (said.kind, said.reason.endswith(row.reason)) == ("not_affected", True), said


@pytest.mark.parametrize(("found", "row"), of_each("never_fixed"))
def test_a_release_that_is_never_mended(found, row):
    platform, version = node_of(row)
    ending = "-9.el6" if row.release == "6" else "-9.el7" if row.distro == "rhel" else "-9ubuntu1"
    (first, *_) = found.binaries(Release(row.distro, row.release), row.package)
    said = verdict(found, platform, version, {first: f"1.0.1e{ending}"})
    assert said.kind == "vulnerable"
    assert said.reason.endswith(f"is affected and never mended: {row.reason}")


WRITTEN = [row.version for each in SHIPPED for row in each.fixed]
MARKS = {
    "dpkg": ("{}.fips.9", "{}~bpo12+1", "{}+ppa1", "{}+deb.sury.org+1"),
    "rpm": ("{}_fips", "{}.ksplice1", "{}.remi", "9:{}"),
    "apk": (),
}


@pytest.mark.parametrize(("found", "row"), of_each("fixed"))
def test_another_builders_mark_makes_no_version_fixed(found, row):
    platform, version = node_of(row)
    (name, *_) = found.binaries(Release(row.distro, row.release), row.package)
    epoch, _, number = row.version.rpartition(":")
    has_fips_rows = any(f"{version}-fips" in each.release for each in found.fixed)
    for mark in MARKS[platforms.SCHEME[row.distro]]:
        if "fips" in mark and has_fips_rows:
            continue
        marked = mark.format(number) if ":" in mark or not epoch else f"{epoch}:{mark.format(number)}"
        said = verdict(found, platform, version, {name: marked})
        assert said.kind in {"unknown", "not_affected"}, said


@settings(deadline=None)
@given(
    st.sampled_from(SHIPPED), st.sampled_from([*platforms.FAMILY, ""]),
    st.sampled_from(["7.11", "trixie/sid", "8.4", "9", "2", "20.04", "3.18", "", "?"]),
    st.dictionaries(
        st.sampled_from(["openssl", "libssl1.1", "libssl3", "openssl-libs", "libcrypto3", "compat-openssl11"]),
        st.text("0123456789az.+~-:_^ r", max_size=24) | st.sampled_from(WRITTEN),
        max_size=3,
    ),
)
def test_whatever_a_node_says_there_is_a_verdict(found, platform, version, packages):
    said = verdict(found, platform, version, packages)
    assert said.kind in KINDS
    assert said.reason
    assert applies(found, platform, version) in {"fixed_row", "not_affected", "unknown"}


def test_how_many_there_are():
    assert [len(of_each(kind)) for kind in ("fixed", "not_affected", "never_fixed")] == [210, 60, 4]
    assert len(SHIPPED) == 21
