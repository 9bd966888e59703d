"""report.json has exactly its keys, junit.xml is XML whatever a node says, and both are whole or absent."""

import json
import stat
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.node import NodeRecord, State
from fleet.report import json as report_json
from fleet.report import junit, record
from fleet.report.record import Check, Outcome, Run

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STALE = {
    "pid": 7, "kind": "service", "command": "nginx: master", "service": "nginx", "library": "/usr/lib/libssl.so.3",
    "user": "root",
}
COOKBOOK = {"name": "openssl_patch", "version": "1.0.0", "sha256": "00"}


def node(name="web1", state=State.PATCHED, **values):
    where = ("192.0.2.1", "production", "debian", "12.5")
    return NodeRecord(name, *where, 1, state, seconds=1.23456, started=STARTED, **values)


def run(*outcomes, code=0):
    query = "chef_environment:production"
    finished = STARTED + timedelta(seconds=9)
    who = ("ops@admin", "OPS-7")
    return Run("r1", "production", query, ("CVE-2014-0160",), COOKBOOK, STARTED, finished, code, outcomes, *who)


def test_report_json_has_exactly_its_keys(tmp_path):
    path = report_json.write(run(Outcome(node(stale_before=[STALE], actions=["restarted nginx"]))), tmp_path / "new")
    found = json.loads(path.read_text())
    assert list(found) == [
        "run", "operator", "ticket", "environment", "query", "advisories", "cookbook", "started", "finished",
        "exit_code", "nodes",
    ]
    assert found["started"] == "2026-01-02T03:04:05.000Z"
    assert (found["operator"], found["ticket"]) == ("ops@admin", "OPS-7")
    assert found["cookbook"] == COOKBOOK
    assert found["nodes"] == [{
        "name": "web1", "address": "192.0.2.1", "environment": "production", "platform": "debian", "release": "12.5",
        "wave": 1, "state": "patched", "packages_before": {}, "packages_after": {},
        "stale_before": [{key: value for key, value in STALE.items() if key != "user"}], "stale_after": [],
        "actions": ["restarted nginx"], "seconds": 1.235, "error": None,
    }]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_has_to_be_known_of_a_good_end_is_in_both(tmp_path):
    outcome = Outcome(node(note="nobody says that it has the fix"))
    found = json.loads(report_json.write(run(outcome), tmp_path).read_text())["nodes"][0]
    assert (found["note"], list(found)[:-1]) == ("nobody says that it has the fix", list(record.NODE_KEYS))
    case = suites(outcome, tmp_path=tmp_path)[0][0]
    assert (case.get("name"), case.findtext("system-out")) == ("state patched", "nobody says that it has the fix")


def test_a_report_is_whole_or_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    record.write_whole(path, b"old")
    monkeypatch.setattr(record.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        record.write_whole(path, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("report.json", b"old")]


def suites(*outcomes, tmp_path):
    return ET.fromstring(junit.write(run(*outcomes), tmp_path).read_bytes())  # noqa: S314 - our own file


def test_junit_has_a_suite_a_node_and_a_case_a_check(tmp_path):
    checks = (
        Check("test_versions[libssl3]", "passed"), Check("test_stale", "failed", "nginx\nstill"),
        Check("test_tls", "skipped", "none"),
    )
    stale = Outcome(node("web2", State.STALE, error="nginx holds it"), checks, "restart nginx")
    found = suites(Outcome(node()), stale, tmp_path=tmp_path)
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
def test_no_bad_state_passes(state, tag, tmp_path):
    assert [each.tag for each in suites(Outcome(node(state=state)), tmp_path=tmp_path)[0][0]] == [tag]


@given(st.text(), st.text())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junit_is_xml_whatever_a_node_says(tmp_path, name, said):
    checks = (Check(said, "failed", said),)
    found = suites(Outcome(node(name + "\x00\x1b\ud800<&", State.FAILED, error=said), checks), tmp_path=tmp_path)
    assert found[0].get("tests") == "2"
