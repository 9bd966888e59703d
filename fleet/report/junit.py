"""junit.xml: a testsuite a node, a testcase a check, as Jenkins, GitLab and others read it."""

import re
import xml.etree.ElementTree as ET  # written here, never parsed: S405 is about reading

from fleet.journal import utc
from fleet.node import State
from fleet.report.record import Check, Outcome, Run

# Everything that XML 1.0 (fifth edition, 2.2) allows as a character; a node may say anything.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_bytes(run: Run) -> bytes:
    """Return junit.xml; a run that has not ended has no time."""
    suites = [suite(outcome) for outcome in run.outcomes]
    attributes = {"name": f"styptic {run.run}", "timestamp": utc(run.started)}
    if run.finished:
        attributes["time"] = f"{(run.finished - run.started).total_seconds():.3f}"
    for count in ("tests", "failures", "errors", "skipped"):
        attributes[count] = str(sum(int(each.get(count, "0")) for each in suites))
    root = ET.Element("testsuites", attributes)
    root.extend(suites)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def suite(outcome: Outcome) -> ET.Element:
    """Return a node as a testsuite; its first case, `state`, is how the node ended as a whole."""
    record = outcome.record
    name = fit(record.name)
    cases = [case(name, of_state(outcome)), *(case(name, check) for check in outcome.checks)]
    element = ET.Element("testsuite", {
        "name": name, "hostname": fit(record.address or ""), "tests": str(len(cases)),
        "failures": str(sum(each.find("failure") is not None for each in cases)),
        "errors": str(sum(each.find("error") is not None for each in cases)),
        "skipped": str(sum(each.find("skipped") is not None for each in cases)), "time": f"{record.seconds:.3f}",
    })
    if record.started:
        element.set("timestamp", utc(record.started))
    element.extend(cases)
    return element


def of_state(outcome: Outcome) -> Check:
    """Return the node's state as a check: an error where nothing could be proven, a failure where it was disproven."""
    state = outcome.record.state
    said = ". ".join(part.rstrip(".") for part in (outcome.record.error, outcome.todo) if part)
    if state.good:
        return Check(f"state {state}", "passed", outcome.record.note or "")
    kinds = {State.SKIPPED: "skipped", State.UNREACHABLE: "error", State.UNKNOWN: "error", State.PENDING: "error"}
    kind = "failed" if outcome.record.kept_in else kinds.get(state, "failed")
    return Check(f"state {state}", kind, said)


def case(classname: str, check: Check) -> ET.Element:
    """Return one check as a testcase."""
    element = ET.Element("testcase", {"classname": classname, "name": fit(check.name)})
    if tag := {"failed": "failure", "error": "error", "skipped": "skipped"}.get(check.outcome):
        message = fit(check.message)
        said = ET.SubElement(element, tag, {"message": message.split("\n", 1)[0][:500]})
        said.text = message
    elif check.message:
        ET.SubElement(element, "system-out").text = fit(check.message)
    return element


def fit(text: str) -> str:
    """Return `text` with what XML cannot carry replaced by U+FFFD."""
    return NOT_XML.sub("�", text)
