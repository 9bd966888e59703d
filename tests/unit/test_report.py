"""report.json has exactly its keys, junit.xml is XML whatever a node says, and all are whole or absent."""

import json
import stat
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.node import NodeRecord, State
from fleet.report import formats, junit, record
from fleet.report import json as report_json
from fleet.report.record import Check, Outcome, Run
from generator.errors import StypticError

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STALE = {
    "pid": 7, "kind": "service", "command": "nginx: master", "service": "nginx", "library": "/usr/lib/libssl.so.3",
    "user": "root",
}
COOKBOOK = {"name": "openssl_patch", "version": "1.0.0", "sha256": "00"}


def node(name="web1", state=State.PATCHED, **values):
    where = ("192.0.2.1", "production", "debian", "12.5")
    return NodeRecord(name, *where, int(state is not State.SKIPPED), state, seconds=1.23456, started=STARTED, **values)


def run(*outcomes, code=0):
    query = "chef_environment:production"
    finished = STARTED + timedelta(seconds=9)
    who = ("ops@admin", "OPS-7")
    return Run("r1", "production", query, ("CVE-2014-0160",), COOKBOOK, STARTED, finished, code, outcomes, *who)


def test_report_json_has_exactly_its_keys():
    checks = (Check("no_stale_process", "passed"),)
    outcome = Outcome(node(stale_before=[STALE], actions=["restarted nginx"]), checks, "rest")
    found = json.loads(report_json.as_bytes(run(outcome)))
    assert list(found) == [
        "format", "run", "verb", "stage", "verdict", "operator", "ticket", "environment", "query", "server", "via",
        "advisories", "described", "versions", "cookbook", "started", "finished", "exit_code", "stopped", "exposure",
        "followup", "nodes",
    ]
    assert (found["format"], found["verb"], found["stage"], found["via"]) == (1, "patch", "ended", "chef")
    assert found["verdict"] == "production: 1 of 1 nodes are good and verified (1 patched)."
    assert found["started"] == "2026-01-02T03:04:05.000Z"
    assert (found["operator"], found["ticket"]) == ("ops@admin", "OPS-7")
    assert found["cookbook"] == COOKBOOK
    assert found["nodes"] == [{
        "name": "web1", "address": "192.0.2.1", "environment": "production", "platform": "debian", "release": "12.5",
        "wave": 1, "state": "patched", "packages_before": {}, "packages_after": {},
        "stale_before": [{key: value for key, value in STALE.items() if key != "user"}], "stale_after": [],
        "actions": ["restarted nginx"], "started": "2026-01-02T03:04:05.000Z", "seconds": 1.235, "error": None,
        "todo": "rest", "checks": [{"name": "no_stale_process", "outcome": "passed", "message": ""}],
    }]


def test_what_has_to_be_known_of_a_good_end_is_in_both():
    outcome = Outcome(node(note="nobody says that it has the fix"))
    found = json.loads(report_json.as_bytes(run(outcome)))["nodes"][0]
    assert (found["note"], list(found)[:-2]) == ("nobody says that it has the fix", list(record.NODE_KEYS))
    case = suites(outcome)[0][0]
    assert (case.get("name"), case.findtext("system-out")) == ("state patched", "nobody says that it has the fix")


def test_why_it_stopped_is_said_by_the_nodes_that_were_spared():
    spared = Outcome(node("web2", State.SKIPPED, error="not touched: the canary web1 failed"))
    later = Outcome(node("web0", State.SKIPPED, error="left for later by --limit 1"))
    assert run(later, spared, code=3).stopped == "the canary web1 failed"
    assert run(later).stopped is None


def test_all_four_are_written_for_their_owner_alone(tmp_path):
    formats.write(run(Outcome(node())), tmp_path / "new")
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert found == dict.fromkeys(("report.html", "report.json", "nodes.csv", "junit.xml"), 0o600)


def test_a_fault_of_ours_in_one_costs_no_other(tmp_path, monkeypatch):
    def broken(_):
        raise KeyError("no such key\x1b")

    monkeypatch.setitem(formats.FORMATS, "html", ("report.html", broken))
    with pytest.raises(StypticError) as raised:
        formats.write(run(Outcome(node())), tmp_path)
    assert str(raised.value).startswith("report.html cannot be made, by a fault in Styptic itself, please report it: ")
    assert str(raised.value).isprintable()
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "nodes.csv", "junit.xml"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each, max_size=3)
                    | st.dictionaries(st.sampled_from([*record.NODE_KEYS, "todo", "checks", "pid"]), each)))
def test_a_node_that_somebody_spoilt_in_the_journal_is_still_one(line):
    line = line if isinstance(line, dict) else {}
    outcome = record.outcome_of("web1", "failed", line)
    assert outcome.record.name == "web1"
    formats.FORMATS["html"][1](run(outcome))
    junit.as_bytes(run(outcome))


def test_a_node_comes_back_from_its_line_as_it_was():
    checks = (Check("no_stale_process", "failed", "nginx"), Check("tls", "passed"))
    gone = {key: value for key, value in STALE.items() if key != "user"}
    record_ = node(
        state=State.STALE, stale_before=[gone], stale_after=[gone], actions=["reloaded ssh"], error="x", note="y",
        packages_before={"libssl3": "1"}, packages_after={"libssl3": "2"},
    )
    record_.seconds = 1.235
    outcome = Outcome(record_, checks, "restart it")
    assert record.outcome_of("web1", "stale", json.loads(json.dumps(record.outcome_as_dict(outcome)))) == outcome


def test_a_report_is_whole_or_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    record.write_whole(path, b"old")
    monkeypatch.setattr(record.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        record.write_whole(path, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("report.json", b"old")]


def suites(*outcomes):
    return ET.fromstring(junit.as_bytes(run(*outcomes)))  # noqa: S314 - our own bytes


def test_junit_has_a_suite_a_node_and_a_case_a_check():
    checks = (
        Check("test_versions[libssl3]", "passed"), Check("test_stale", "failed", "nginx\nstill"),
        Check("test_tls", "skipped", "none"),
    )
    stale = Outcome(node("web2", State.STALE, error="nginx holds it"), checks, "restart nginx")
    found = suites(Outcome(node()), stale)
    assert found.get("time") == "9.000"
    assert [found.get(count) for count in ("tests", "failures", "errors", "skipped")] == ["5", "2", "0", "1"]
    web1, web2 = found
    assert [case.get("name") for case in web1] == ["state patched"]
    assert [(case.get("name"), [each.tag for each in case]) for case in web2] == [
        ("state stale", ["failure"]), ("test_versions[libssl3]", []), ("test_stale", ["failure"]),
        ("test_tls", ["skipped"]),
    ]
    assert web2[0][0].text == "nginx holds it. restart nginx"
    assert web2[2][0].get("message") == "nginx"


@pytest.mark.parametrize(("state", "tag"), [
    (State.FAILED, "failure"), (State.STALE, "failure"), (State.REBOOT_REQUIRED, "failure"),
    (State.UNREACHABLE, "error"), (State.UNKNOWN, "error"), (State.PENDING, "error"), (State.SKIPPED, "skipped"),
])
def test_no_bad_state_passes(state, tag):
    assert [each.tag for each in suites(Outcome(node(state=state)))[0][0]] == [tag]


@given(st.text(), st.text())
@settings(max_examples=60)
def test_junit_is_xml_whatever_a_node_says(name, said):
    checks = (Check(said, "failed", said),)
    found = suites(Outcome(node(name + "\x00\x1b\ud800<&", State.FAILED, error=said), checks))
    assert found[0].get("tests") == "2"
