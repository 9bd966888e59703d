"""Assessments by the shipped advisory on Heartbleed: verdicts, ages, what is told to people and to programs."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invoke import Config, Context

from fleet import plan
from fleet.assess import FOREIGN, assess
from fleet.chef import search
from fleet.judgement import judge
from fleet.node import Node
from fleet.report import assessment as reports
from fleet.report import assessment_text
from fleet.verbs import assess as verbs
from generator import advisory, versions

HEARTBLEED = advisory.load(["CVE-2014-0160"])
[SECOND] = [replace(HEARTBLEED[0], id="CVE-2014-9999", path=Path("second.toml"), not_affected=())]
NOW, DAY = 1_700_000_000.0, 86_400
VULNERABLE = {"openssl": "1.0.1e-2+deb7u4", "libssl1.0.0": "1.0.1e-2+deb7u4"}
FIXED = {"openssl": "1.0.1e-2+deb7u5", "libssl1.0.0": "1.0.1e-2+deb7u5"}


def node(name="n1", platform="debian", release="7.11", packages=VULNERABLE, ohai_time=NOW - 60, **other):
    return Node(
        name, "production", "192.0.2.1", platform, release, packages, ohai_time,
        reports_packages=other.pop("reports_packages", bool(packages)), **other,
    )


def assessed(*nodes, advisories=HEARTBLEED, troubles=None):
    found = assess(nodes, advisories, DAY, NOW, troubles)
    assert [finding.node.name for finding in found.findings] == [each.name for each in nodes], "every node, and once"
    return found


def said(*nodes, **how) -> list[str]:
    lines = list(assessment_text.lines(assessed(*nodes, **how), "production"))
    assert all(line.isprintable() for line in lines)
    return lines


def test_each_node_has_the_verdict_that_a_plan_gives_it():
    nodes = [node("a"), node("b", packages=FIXED), node("c", packages={}), node("d", "ubuntu", "10.04", {})]
    found = assessed(*nodes, advisories=[*HEARTBLEED, SECOND])
    for finding in found.findings:
        each = finding.node
        assert finding.kind == plan.verdict([*HEARTBLEED, SECOND], each.platform, each.release, each.packages).kind
    assert [finding.kind for finding in found.findings] == ["vulnerable", "fixed", "unknown", "unknown"]


def test_nodes_that_reported_the_same_are_judged_once(monkeypatch):
    judged = []
    verdict = versions.verdict
    monkeypatch.setattr(versions, "verdict", lambda *words: judged.append(words) or verdict(*words))
    nodes = [node(f"n{number}", packages=dict(VULNERABLE if number % 2 else FIXED)) for number in range(1000)]
    found = judge(nodes, [*HEARTBLEED, SECOND])
    assert len(judged) == 4
    assert {judgement.whole.kind for judgement in found.values()} == {"vulnerable", "fixed"}
    assert found["n1"] is found["n3"]


@pytest.mark.parametrize(("nodes", "code"), [
    ([node(packages=FIXED)], 0), ([node(packages=FIXED), node("n2", "ubuntu", "10.04", {})], 0),
    ([node(packages=FIXED), node("n2")], 2), ([node(packages={})], 2), ([node(platform=None)], 2),
    ([node(packages=FIXED, ohai_time=NOW - DAY - 1)], 2), ([node(packages=FIXED, ohai_time=NOW - DAY)], 0),
    ([node(packages=FIXED, ohai_time=None)], 2), ([node(packages=FIXED, ohai_time=NOW + DAY + 1)], 2),
    ([node(platform="windows")], 10), ([node(platform="windows"), node("n2", packages=FIXED)], 0), ([], 10),
])
def test_the_exit_code_is_good_only_where_every_node_is_and_said_so_lately(nodes, code):
    assert assessed(*nodes).exit_code == code


def test_the_table_counts_every_node_once_for_each_advisory():
    nodes = [
        node("a"), node("b"), node("c", packages=FIXED), node("d", "centos", "6.5", {"openssl": "1.0.1e-16.el6_5.4"}),
        node("e", "windows", "10"), node("f", "redhat", "6.5", {"openssl": "1.0.1e-16.el6_5.7"}),
    ]
    table = assessed(*nodes, advisories=[*HEARTBLEED, SECOND]).table
    assert list(table) == [
        ("CVE-2014-0160", "debian wheezy"), ("CVE-2014-0160", "rhel 6"),
        ("CVE-2014-9999", "debian wheezy"), ("CVE-2014-9999", "rhel 6"),
    ]
    assert table["CVE-2014-0160", "debian wheezy"] == {"vulnerable": 2, "fixed": 1}
    assert table["CVE-2014-0160", "rhel 6"] == {"vulnerable": 1, "fixed": 1}


def test_a_person_is_told_who_by_what_and_then_the_counts():
    assert said(node("web1"), node("web2", packages=FIXED)) == [
        "web1  vulnerable  debian 7.11  CVE-2014-0160: libssl1.0.0 1.0.1e-2+deb7u4 is below 1.0.1e-2+deb7u5, "
        "DSA-2896-1; openssl 1.0.1e-2+deb7u4 is below 1.0.1e-2+deb7u5, DSA-2896-1",
        "",
        "ADVISORY       RELEASE        VULNERABLE  UNKNOWN  FIXED  NOT AFFECTED",
        "CVE-2014-0160  debian wheezy           1        0      1             0",
        "production: 2 nodes by what ohai reported last, CVE-2014-0160: 1 vulnerable, 1 fixed.",
    ]


def test_several_advisories_are_named_in_one_line():
    first = said(node("web1"), advisories=[*HEARTBLEED, SECOND])[0]
    assert first == (
        "web1  vulnerable  debian 7.11  CVE-2014-0160, CVE-2014-9999: it has libssl1.0.0 1.0.1e-2+deb7u4, "
        "openssl 1.0.1e-2+deb7u4"
    )


def test_releases_without_fault_share_a_row():
    spared = [node("a", packages=FIXED), node("b", "ubuntu", "12.04", {"libssl1.0.0": "1.0.1-4ubuntu5.12"})]
    assert "CVE-2014-0160  2 releases without fault           0        0      2             0" in said(*spared)


def test_old_data_is_told_with_its_age():
    old = [
        node("a", packages=FIXED, ohai_time=NOW - 3 * DAY), node("b", packages=FIXED, ohai_time=None),
        node("c", packages=FIXED, ohai_time=NOW + 9 * DAY),
    ]
    lines = said(*old)
    assert lines[:3] == [
        "b  old  it never reported; it was fixed then",
        "a  old  it last reported 3 d ago; it was fixed then",
        "c  old  its last report is of a time to come: see its clock; it was fixed then",
    ]
    assert lines[-1].endswith(": 3 fixed, 3 with data older than 1 d.")


def test_who_reports_no_packages_is_told_which_settings_hide_them():
    silent = [node(f"n{number:02}", packages={}) for number in range(22)]
    [line] = [line for line in said(*silent) if "  no packages  " in line]
    assert line.startswith("n00, n01, ")
    assert " and 2 more  no packages  they report no packages: " in line
    for setting in ("disabled_plugins", "allowed_automatic_attributes", "blocked_automatic_attributes"):
        assert setting in line


def test_a_node_with_other_packages_and_no_openssl_is_no_silent_one():
    lines = said(node(packages={}, reports_packages=True))
    assert lines[0].startswith("n1  unknown  debian 7.11  no OpenSSL package (")
    assert not any("disabled_plugins" in line for line in lines)


def test_a_foreign_platform_is_skipped_and_counted():
    lines = said(node("w1", "windows", "10"), node("w2", "windows", "10"), node("a", packages=FIXED))
    assert lines[0] == "w1, w2  skipped  no advisory speaks of windows 10"
    assert lines[-1].endswith("1 fixed, 2 skipped.")


def test_a_node_that_gave_no_answer_is_unknown_whatever_it_reported_once():
    found = assessed(node("a", packages=FIXED), node("b"), troubles={"a": "no route to host"})
    first = found.findings[0]
    assert (first.kind, first.reason, first.silent) == ("unknown", "no route to host", False)
    assert found.table["CVE-2014-0160", "debian wheezy"] == {"unknown": 1, "vulnerable": 1}
    lines = list(assessment_text.lines(found, "production"))
    assert "a  unknown  debian 7.11  no route to host" in lines
    assert "by what they say now" in lines[-1]


def test_json_has_everything():
    found = json.loads(reports.as_json(assessed(node(), node("n2", packages=FIXED)), "production", "https://chef"))
    assert (found["exit_code"], found["advisories"], found["live"]) == (2, ["CVE-2014-0160"], False)
    assert found["table"] == [{
        "advisory": "CVE-2014-0160", "release": "debian wheezy", "vulnerable": 1, "unknown": 0, "fixed": 1,
        "not_affected": 0,
    }]
    first, second = found["nodes"]
    assert first["packages"] == VULNERABLE
    assert first["reported"] == "2023-11-14T22:12:20.000Z"
    assert first["verdicts"] == {"CVE-2014-0160": "vulnerable"}
    assert first["reasons"]["CVE-2014-0160"].startswith("libssl1.0.0 1.0.1e-2+deb7u4 is below ")
    assert (second["verdict"], second["reasons"]) == ("fixed", {})


def test_csv_has_a_line_a_node():
    found = list(csv.DictReader(io.StringIO(reports.as_csv(assessed(node(), node("n2", packages={}))))))
    assert [each["node"] for each in found] == ["n1", "n2"]
    assert (found[0]["verdict"], found[0]["vulnerable_to"], found[0]["old"]) == ("vulnerable", "CVE-2014-0160", "no")
    assert found[0]["packages"] == "libssl1.0.0=1.0.1e-2+deb7u4 openssl=1.0.1e-2+deb7u4"
    assert (found[1]["unknown_to"], found[1]["reports_packages"]) == ("CVE-2014-0160", "no")


def test_no_cell_is_a_formula():
    hostile = [node('=HYPERLINK("http://x")'), node("+1"), node("-1"), node("@x"), node("\t=1"), node("\r\n=1")]
    for each in csv.reader(io.StringIO(reports.as_csv(assessed(*hostile)))):
        assert not each[0].lstrip().startswith(("=", "+", "-", "@"))


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NODES = st.builds(
    lambda platform, release, packages, when, reports: node(
        "n", platform, release, packages, when, reports_packages=reports
    ),
    st.one_of(st.none(), ANY, st.sampled_from(["debian", "ubuntu", "centos", "windows", "alpine"])),
    st.one_of(st.none(), ANY, st.sampled_from(["7.11", "10.04", "6.5"])),
    st.dictionaries(st.sampled_from([*VULNERABLE, "libssl3"]), ANY, max_size=3),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), st.booleans(),
)


@settings(deadline=None)
@given(st.lists(NODES, max_size=5), ANY, st.booleans())
def test_whatever_nodes_say_every_one_is_told_and_nothing_breaks(nodes, name, live):
    nodes = [replace(each, name=f"{name}{number}") for number, each in enumerate(nodes)]
    troubles = {nodes[0].name: name} if live and nodes else None
    found = assessed(*nodes, advisories=[*HEARTBLEED, SECOND], troubles=troubles)
    lines = list(assessment_text.lines(found, name))
    assert all(line.isprintable() and len(line) < 2500 for line in lines)
    assert len(json.loads(reports.as_json(found, name, name))["nodes"]) == len(nodes)
    assert len(list(csv.reader(io.StringIO(reports.as_csv(found))))) == len(nodes) + 1
    counted = sum(1 for finding in found.findings if finding.kind != FOREIGN)
    assert sum(sum(counts.values()) for counts in found.table.values()) == 2 * counted


@pytest.mark.parametrize(("flags", "sentence"), [
    ({"json": True, "csv": True}, "give --json or --csv, not both."),
    ({"all": True, "advisory": ["heartbleed"]}, "give --all or --advisory, not both."),
    ({"max_age": "soon"}, "--max-age must be seconds, or a number with a unit (90min, 24h, 7d), not 'soon'."),
])
def test_flags_that_contradict_each_other_are_refused(capsys, flags, sentence):
    with pytest.raises(SystemExit, match="1"):
        verbs.assess(Context(Config()), env="production", **flags)
    assert capsys.readouterr().err == f"styptic: {sentence}\n"


def test_the_search_asks_for_what_the_advisories_name_and_no_more():
    assert search.package_names(HEARTBLEED) == search.OPENSSL_PACKAGES
    other = replace(HEARTBLEED[0], libraries=("liblzma",))
    assert search.package_names([other]) == ()
