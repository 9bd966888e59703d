"""`invoke verify --live` on servers that bleed, only look so, and are fixed; see lab/bleeding.py for what they are."""

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from lab import bleeding
from lab.host import LabError

BLEEDS, SOUND = "live-bleeds", "live-sound"
INSIDE = 8443  # bound to the loopback alone
PORTS = {bleeding.BLEEDS: 8440, bleeding.SAME_VERSION: 8441, bleeding.FIXED: 8442}


@pytest.fixture(scope="module")
def programs():
    """Have the three programs; there is no lab without a package mirror, but one without this registry."""
    try:
        return [bleeding.program(version) for version in PORTS]
    except LabError as error:
        pytest.skip(f"the servers to ask cannot be had: {error}")


@pytest.fixture(scope="module")
def asked(operator, programs):
    """Ask both nodes; return the command, its nodes, and its checks from outside by name."""
    now = datetime.now(UTC)
    good = bleeding.certificate("web.example", now - timedelta(days=1), now + timedelta(days=365))
    over = bleeding.certificate("old.example", now - timedelta(days=365), now - timedelta(days=1))
    for name in (BLEEDS, SOUND):
        operator.lab.add(name, environment="_default")
    for name, version, identity in (
        (BLEEDS, bleeding.BLEEDS, good), (SOUND, bleeding.SAME_VERSION, over), (SOUND, bleeding.FIXED, good),
    ):
        bleeding.serve(operator.lab, name, version, PORTS[version], identity)
    bleeding.serve(operator.lab, SOUND, bleeding.FIXED, INSIDE, good, address="127.0.0.1")
    operator.indexed(BLEEDS, SOUND)
    report = operator.home / "live"
    who = ("--query", f"name:{BLEEDS} OR name:{SOUND}")
    done = operator.run("verify", "--live", *who, "--advisory", "CVE-2014-0160", "--report", str(report))
    nodes = {node["name"]: node for node in json.loads((report / "report.json").read_text())["nodes"]}
    suites = ET.parse(report / "junit.xml").getroot()  # noqa: S314 - our own file
    cases = {case.get("name"): case for suite in suites for case in suite if "from_outside" in case.get("name")}
    yield done, nodes, cases
    for name in (BLEEDS, SOUND):
        operator.lab.remove(name)


def outcome(case) -> str:
    """Return how a check ended."""
    return next((tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None), "passed")


def test_three_servers_get_three_right_answers(asked):
    done, _, cases = asked
    found = {port: outcome(cases[f"from_outside_heartbeat[{port}]"]) for port in PORTS.values()}
    assert found == {8440: "failure", 8441: "passed", 8442: "passed"}, done.stdout + done.stderr


def test_the_one_that_bleeds_fails_its_node_by_port(asked):
    done, nodes, _ = asked
    assert done.returncode == 2, done.stdout + done.stderr
    said = "answers a heartbeat with memory it should not (CVE-2014-0160), port 8440"
    assert (nodes[BLEEDS]["state"], nodes[BLEEDS]["error"]) == ("failed", said)
    assert f"  {BLEEDS} (failed): {said}\n    to do: stop or upgrade what listens there now" in done.stdout


def test_a_node_that_does_not_bleed_is_good_and_what_was_seen_is_said_of_it(asked):
    done, nodes, _ = asked
    assert (nodes[SOUND]["state"], nodes[SOUND]["error"]) == ("not_affected", None)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{SOUND}  not_affected  ")]
    assert "port 8442 gives no memory away (CVE-2014-0160), says sslyze 6" in line


def test_protocol_and_certificate_are_told_and_fail_nobody(asked):
    _, _, cases = asked
    assert cases["from_outside_protocol[8442]"].findtext("system-out") == "port 8442 speaks TLS 1.2"
    assert outcome(cases["from_outside_certificate[8442]"]) == "passed"
    assert "the certificate of old.example expired on " in cases["from_outside_certificate[8441]"].findtext("skipped")


def test_who_listens_on_the_loopback_alone_is_not_asked(asked):
    _, _, cases = asked
    names = [name for name in cases if f"[{INSIDE}]" in name]
    assert names == [f"from_outside[{INSIDE}]"]
    assert "bound to the loopback alone and was not asked" in cases[names[0]].findtext("skipped")


def test_through_a_gateway_nothing_is_asked_and_nothing_proven(operator, asked):
    assert asked[0].returncode == 2
    done = operator.run(
        "verify", "--advisory", "CVE-2014-0160", "--query", f"name:{SOUND}", "--live", "-G", BLEEDS
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{SOUND} (unknown): it is reached through another host" in done.stdout
