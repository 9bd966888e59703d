"""What each feed's record becomes: rows where it says something of a release that is known, else a reason told."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import FeedError
from generator.feeds import debian, detect, osv, record, redhat, strict, ubuntu

DATA = Path(__file__).parents[1] / "data" / "feeds"
CVE = "CVE-2022-0778"
FEEDS = {
    "debian_tracker.json": debian.FEED, "ubuntu_CVE-2022-0778.json": ubuntu.FEED,
    "redhat_CVE-2022-0778.json": redhat.FEED, "osv_UBUNTU-CVE-2022-0778.json": osv.FEED,
    "osv_RLSA-2022_1065.json": osv.FEED,
}


def read(name: str, source: str = "https://feed.example/x") -> record.Record:
    return detect.record((DATA / name).read_bytes(), CVE, source)


def rows(found: record.Record) -> dict[str, str]:
    return {str(row): row.said + (f", {row.advisory}" if row.advisory else "") for row in found.rows}


@pytest.mark.parametrize(("name", "feed"), FEEDS.items())
def test_a_record_is_known_by_what_it_holds(name, feed):
    found = read(name)
    assert (found.cve, found.feed) == (CVE, feed)
    assert {(row.source, row.source_kind) for row in found.rows} == {("https://feed.example/x", feed)}


@pytest.mark.parametrize("name", FEEDS)
def test_a_record_from_a_file_says_so(name):
    found = read(name, "")
    assert {row.source_kind for row in found.rows} == {FEEDS[name] + ", from a file"}
    assert all(row.source.startswith("https://") for row in found.rows)


def test_debian():
    found = read("debian_tracker.json")
    assert rows(found) == {
        "debian bookworm nodejs": "not affected (never affected)",
        "debian bookworm openssl": "not affected (never affected)",
        "debian bullseye openssl": "fixed in 1.1.1k-1+deb11u2",
        "debian buster openssl": "never fixed (ignored: Minor issue)",
        "debian sid openssl": "fixed in 1.1.1n-1",
        "debian stretch openssl": "never fixed (end of life)",
    }
    assert found.left_out == {
        "no release that Styptic knows": ("debian forky",), "status undetermined": ("debian jessie openssl",),
        "no fix yet": ("debian trixie openssl",),
    }


def test_debians_file_is_of_many_cves():
    data = (DATA / "debian_tracker.json").read_bytes()
    found = debian.records(data, ["CVE-2014-0160", CVE, "CVE-1999-0001"])
    assert sorted(found) == ["CVE-2014-0160", CVE]
    assert rows(found["CVE-2014-0160"]) == {"debian bullseye openssl": "fixed in 1.0.1g-1"}
    with pytest.raises(FeedError, match="is of every CVE: say which, --cve"):
        detect.record(data)
    with pytest.raises(FeedError, match="has nothing on CVE-1999-0001"):
        detect.record(data, "CVE-1999-0001")


def test_ubuntu():
    found = read("ubuntu_CVE-2022-0778.json")
    assert rows(found) == {
        "ubuntu 14.04-esm openssl": "fixed in 1.0.1f-1ubuntu2.27+esm5, USN-5328-2",
        "ubuntu 16.04-esm openssl": "fixed in 1.0.2g-1ubuntu4.20+esm2, USN-5328-2",
        "ubuntu 18.04 nodejs": "not affected (uses system openssl1.0)",
        "ubuntu 18.04 openssl": "fixed in 1.1.1-1ubuntu2.1~18.04.15, USN-5328-1",
        "ubuntu 18.04 openssl1.0": "fixed in 1.0.2n-1ubuntu5.8, USN-5328-1",
        "ubuntu 20.04 openssl": "fixed in 1.1.1f-1ubuntu2.12, USN-5328-1",
        "ubuntu 20.04-fips-updates openssl": "fixed in 1.1.1f-1ubuntu2.fips.2.8",
        "ubuntu 21.04 openssl": "never fixed (ignored: end of life)",
        "ubuntu 21.10 openssl": "fixed in 1.1.1l-1ubuntu1.2",
        "ubuntu 22.04 openssl": "not affected (3.0.2-0ubuntu1 is without the fault)",
    }
    assert found.left_out == {
        "no fix yet": ("ubuntu 24.04 openssl", "ubuntu 22.04 nodejs"),
        "no release that Styptic knows": ("ubuntu bionic oem", "ubuntu zany"),
        "status surprising": ("ubuntu 20.10 openssl",),
    }
    assert found.severity == "high"


@pytest.mark.parametrize(("codename", "pocket", "version", "release"), [
    ("focal", "", "", "20.04"), ("focal", "updates", "", "20.04"), ("trusty", "esm-infra-legacy", "", "14.04-esm"),
    ("esm-infra/xenial", "", "", "16.04-esm"), ("trusty/esm", "", "", "14.04-esm"),
    ("bionic", "security", "1-1+esm1", "18.04-esm"), ("focal", "", "1.1.1f-1ubuntu2.fips.2", "20.04-fips"),
    ("focal", "fips-updates", "1.1.1f-1ubuntu2.fips.2", "20.04-fips-updates"),
    ("focal", "realtime", "", None), ("upstream", "", "", None), ("", "", "", None),
])
def test_ubuntus_streams(codename, pocket, version, release):
    assert ubuntu.release_of(codename, pocket, version) == release


def test_red_hat():
    found = read("redhat_CVE-2022-0778.json")
    assert rows(found) == {
        "rhel 6 openssl": "never fixed (Out of support scope)",
        "rhel 6 openssl098e": "not affected (Not affected)",
        "rhel 6-els openssl": "fixed in 0:1.0.1e-60.el6_10, RHSA-2022:1073",
        "rhel 7 openssl": "fixed in 1:1.0.2k-25.el7_9, RHSA-2022:1066",
        "rhel 7.6-aus openssl": "fixed in 1:1.0.2k-18.el7_6, RHSA-2022:1078",
        "rhel 8 compat-openssl10": "fixed in 1:1.0.2o-4.el8_6, RHSA-2022:5326",
        "rhel 8 edk2": "not affected (Not affected)",
        "rhel 8 openssl": "fixed in 1:1.1.1k-6.el8_5, RHSA-2022:1065",
        "rhel 8.4-eus openssl": "fixed in 1:1.1.1g-16.el8_4, RHSA-2022:1071",
        "rhel 9 compat-openssl11": "fixed in 1:1.1.1k-4.el9_0, RHSA-2022:4899",
        "rhel 9 openssl": "not affected (Not affected)",
    }
    assert len(found.left_out["no release that Styptic knows"]) == 4, "JBoss and Virtualization build for RHEL too"
    assert found.title == "openssl: Infinite loop in BN_mod_sqrt() reachable when parsing certificates"
    assert found.severity == "Important"


@pytest.mark.parametrize("package", ["openssl-1.1.1k-6.el8_5", "openssl", "nodejs:14-80500", "openssl-1:1.1.1k", ""])
def test_red_hats_package_without_its_epoch_is_no_row(package):
    said = {"product_name": "Red Hat Enterprise Linux 8", "cpe": "cpe:/o:redhat:enterprise_linux:8", "package": package}
    found = redhat.record({"name": CVE, "affected_release": [said]})
    assert found.rows == ()
    assert found.left_out == {"no package with epoch, version and release": (f"rhel 8 {package}".strip(),)}


def test_osv_of_ubuntu_and_of_rocky():
    found = read("osv_UBUNTU-CVE-2022-0778.json")
    assert rows(found) == {
        "ubuntu 14.04-esm openssl": "fixed in 1.0.1f-1ubuntu2.27+esm5",
        "ubuntu 16.04-esm openssl": "fixed in 1.0.2g-1ubuntu4.20+esm2",
        "ubuntu 16.04-fips-updates openssl": "fixed in 1.0.2g-1ubuntu4.fips.4.20.2",
        "ubuntu 18.04 openssl": "fixed in 1.1.1-1ubuntu2.1~18.04.15",
        "ubuntu 18.04 openssl1.0": "fixed in 1.0.2n-1ubuntu5.8",
        "ubuntu 20.04 openssl": "fixed in 1.1.1f-1ubuntu2.12",
        "ubuntu 21.10 openssl": "fixed in 1.1.1l-1ubuntu1.2",
    }
    assert found.left_out == {"no fix yet": ("ubuntu 16.04-esm edk2", "ubuntu 16.04-fips openssl")}
    assert rows(read("osv_RLSA-2022_1065.json")) == {"rhel 8 openssl": "fixed in 1:1.1.1k-6.el8_5, RLSA-2022:1065"}


@pytest.mark.parametrize(("ecosystem", "place"), [
    ("Debian:12", ("debian", "bookworm")), ("Ubuntu:20.04:LTS", ("ubuntu", "20.04")),
    ("Ubuntu:25.04", ("ubuntu", "25.04")), ("Ubuntu:Pro:FIPS-updates:18.04:LTS", ("ubuntu", "18.04-fips-updates")),
    ("Alpine:v3.18", ("alpine", "3.18")), ("Rocky Linux:8", ("rhel", "8")), ("AlmaLinux:9", ("rhel", "9")),
    ("openSUSE:Leap 15.5", ("opensuse", "15.5")), ("Red Hat:enterprise_linux:9::appstream", ("rhel", "9")),
    ("Red Hat:rhel_eus:9.2::baseos", ("rhel", "9.2-eus")), ("SUSE:Linux Enterprise Server 15 SP5", None),
    ("openSUSE:Tumbleweed", None), ("Debian", None), ("Debian:99", None), ("Alpine", None), ("PyPI", None), ("", None),
    ("Ubuntu:Pro:22.04:LTS:Realtime:Kernel", None), ("Red Hat:openshift:4.9", None),
])
def test_ecosystems(ecosystem, place):
    assert osv.release_of(ecosystem) == place


def of_osv(*events, **more) -> dict:
    package = {"ecosystem": "Debian:12", "name": "openssl"}
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}]
    return {"id": CVE, "affected": [{"package": package, "ranges": ranges}], **more}


@pytest.mark.parametrize("events", [
    ({"introduced": "1.0"}, {"fixed": "2-1"}), ({"introduced": "0"}, {"last_affected": "2-1"}), (),
    ({"introduced": "0"}, {"fixed": "2-1"}, {"introduced": "3-1"}, {"fixed": "4-1"}), ({"fixed": "2-1"},),
])
def test_a_range_that_a_row_cannot_hold_is_told(events):
    found = osv.record(of_osv(*events))
    assert found.rows == ()
    assert [what for whats in found.left_out.values() for what in whats] == ["debian bookworm openssl"]


def test_a_record_that_was_withdrawn_says_nothing():
    with pytest.raises(FeedError, match="was withdrawn"):
        osv.record(of_osv({"introduced": "0"}, {"fixed": "2-1"}, withdrawn="2024-01-01T00:00:00Z"))


def test_which_cve_a_record_of_several_is_asked_for():
    several = of_osv({"introduced": "0"}, {"fixed": "2-1"}) | {"id": "USN-1-1", "upstream": [CVE, "CVE-2022-0001"]}
    with pytest.raises(FeedError, match=r"of several CVEs .*: say which, --cve"):
        osv.record(several)
    assert rows(osv.record(several, CVE)) == {"debian bookworm openssl": "fixed in 2-1, USN-1-1"}
    with pytest.raises(FeedError, match="is not about CVE-1999-0001"):
        osv.record(several, "CVE-1999-0001")
    with pytest.raises(FeedError, match=f"is about {CVE}, not about"):
        detect.record((DATA / "redhat_CVE-2022-0778.json").read_bytes(), "CVE-1999-0001")


def test_what_a_feed_says_twice_and_differently_is_left_out():
    reading = record.Reading("a feed", CVE, "https://feed.example")
    reading.fixed("debian", "bookworm", "openssl", "1-1")
    reading.fixed("debian", "bookworm", "openssl", "1-2")
    reading.fixed("debian", "trixie", "openssl", "1-1")
    reading.fixed("debian", "trixie", "openssl", "1-1")
    found = reading.record()
    assert rows(found) == {"debian trixie openssl": "fixed in 1-1"}
    assert found.left_out == {"the feed says two things of it": ("debian bookworm openssl",)}


@pytest.mark.parametrize("version", ["", "not a version", "1.0-1;reboot", "1-1\n", "9" * 300])
def test_a_version_that_no_package_manager_writes_is_left_out(version):
    found = osv.record(of_osv({"introduced": "0"}, {"fixed": version + "\x00"}))
    assert found.rows == ()


HOSTILE = "\x1b[2J\u202e\ud800" + "x" * 10_000


def test_hostile_words_become_one_short_line():
    spared = {"release_codename": "focal", "status": "not-affected", "description": HOSTILE}
    found = ubuntu.record({"id": CVE, "description": HOSTILE, "priority": HOSTILE, "packages": [
        {"name": "openssl", "statuses": [spared]},
        {"name": HOSTILE, "statuses": [{"release_codename": HOSTILE, "status": HOSTILE}]},
    ]})
    words = [found.title, found.severity, found.rows[0].reason, *found.left_out, *found.left_out[record.NO_RELEASE]]
    assert all(word.isprintable() and len(word) <= 200 and word.encode() for word in words)


@pytest.mark.parametrize("data", [
    b"", b"[]", b"{}", b"null", b"\xff\xfe", b"<html>offline</html>", b'{"id": "CVE-2022-0778"}', b"[" * 100_000,
    b'{"a": ' * 100_000, b'{"openssl": {"CVE-2022-0778": {"releases": {}}}', b'{"id": 1, "affected": []}',
    b"1" * 10_000, b'{"threat_severity": "x"}', b'{"name": [], "affected_release": []}',
    b'{"id": "CVE-2022-0778", "packages": [1]}', b'{"name": "CVE-2022-0778", "package_state": [1]}',
    b'{"id": "CVE-2022-0778", "packages": {}}', b'{"id": "CVE-2022-0778", "packages": [{"statuses": [{"status": 1}]}]}',
    b'{"openssl": {"CVE-2022-0778": {"releases": {}}}, "x": 1}', b'{"openssl": {"CVE-2022-0778": {"releases": {}}}} {}',
])
def test_what_no_feed_writes_is_a_sentence(data):
    with pytest.raises(FeedError) as caught:
        detect.record(data, CVE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


WORDS = st.sampled_from([
    CVE, "openssl", "bookworm", "focal", "0", "1:1.1.1k-6.el8_5", "1.1.1f-1ubuntu2", "released", "resolved",
    "ECOSYSTEM", "Debian:12", "cpe:/o:redhat:enterprise_linux:8", "Red Hat Enterprise Linux 8",
    "openssl-1:1.1.1k-6.el8_5",
])
KEYS = st.sampled_from([
    "id", "name", "packages", "statuses", "release_codename", "status", "description", "pocket", "notices", "is_source",
    "release_packages", "version", "affected", "affected_release", "package_state", "package", "product_name", "cpe",
    "threat_severity", "bugzilla", "fix_state", "package_name", "ecosystem", "purl", "ranges", "type", "events",
    "fixed", "introduced", "upstream", "aliases", "related", "withdrawn", "database_specific", "severity", "releases",
    CVE, "bookworm", "fixed_version", "urgency", "nodsa", "nodsa_reason", "openssl",
])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.sampled_from([CVE, None]), st.sampled_from(list(FEEDS)), st.lists(KEYS, max_size=3))
def test_anything_is_a_record_or_a_sentence(value, cve, name, path):
    """Any JSON, and a real record with anything in one of its places."""
    real = json.loads((DATA / name).read_text())
    place = real
    for key in path:
        inside = place.get(key) if isinstance(place, dict) else None
        inside = inside[0] if isinstance(inside, list) and inside else inside
        if not isinstance(inside, dict):
            break
        place = inside
    place[path[-1] if path else "id"] = value
    for data in (value, real):
        try:
            found = detect.record(json.dumps(data).encode(), cve, "https://feed.example")
        except FeedError as error:
            said = str(error)
        else:
            said = found.cve
            assert strict.CVE.fullmatch(found.cve)
            assert all(row.version or row.reason for row in found.rows)
        assert said.isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sentence(data):
    with pytest.raises(FeedError):
        detect.record(data, CVE)


@pytest.mark.parametrize(("told", "kept"), [("was needs-triage now end-of-life", False), ("end of life", True)])
def test_what_ubuntu_ignored_before_anybody_looked_is_not_called_affected(told, kept):
    status = {"release_codename": "noble", "pocket": "security", "status": "ignored", "description": told}
    data = {"id": CVE, "packages": [{"name": "openssl", "statuses": [status]}]}
    found = detect.record(json.dumps(data).encode(), CVE)
    assert bool(found.rows) == kept
    assert ("ignored before anybody looked" in found.left_out) != kept
