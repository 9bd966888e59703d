"""An assessment for programs and for spreadsheets: JSON and CSV."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from fleet.assess import Assessment, Finding
from fleet.journal import utc
from fleet.report.spreadsheet import cell
from generator.verdict import KINDS

COLUMNS = (
    "node", "environment", "platform", "release", "verdict", "vulnerable_to", "unknown_to", "packages", "reported",
    "old", "reports_packages", "reason",
)
_CELL = 2000  # characters of a reason in one cell


def as_json(assessment: Assessment, whom: str, server: str) -> str:
    """Return the whole assessment as JSON, in ASCII, so that nothing in it can move a terminal that shows it.

    A node has the kind of verdict by each advisory, and the reason where that is vulnerable or unknown.
    """
    about = {
        "whom": whom, "server": server, "assessed": _time(assessment.now), "live": assessment.live,
        "max_age": assessment.max_age, "advisories": [each.id for each in assessment.advisories],
        "exit_code": assessment.exit_code,
    }
    table = (
        {"advisory": advisory, "release": release, **{kind: counts[kind] for kind in KINDS}}
        for (advisory, release), counts in assessment.table.items()
    )
    nodes = (_as_dict(assessment, finding) for finding in assessment.findings)
    # A line each, and not `indent`, which takes seconds for 10,000 nodes.
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items()]
    parts += [f'"table": {_lines(table)}', f'"nodes": {_lines(nodes)}']
    return "{\n" + ",\n".join(parts) + "\n}"


def _lines(values: Iterable[dict]) -> str:
    """Return a JSON list with a line for each of its objects."""
    return "[\n" + ",\n".join(map(json.dumps, values)) + "\n]"


def as_csv(assessment: Assessment) -> str:
    """Return one line a node below a line of headings (RFC 4180); lists are separated by spaces.

    What a spreadsheet would take for a formula has an apostrophe before it.
    """
    stream = io.StringIO()
    lines = csv.writer(stream)
    lines.writerow(COLUMNS)
    for finding in assessment.findings:
        node = finding.node
        by_kind = _by_kind(assessment, finding)
        lines.writerow([cell(value, _CELL) for value in (
            node.name, node.environment, node.platform or "", node.release or "", finding.kind,
            " ".join(by_kind.get("vulnerable", ())), " ".join(by_kind.get("unknown", ())),
            " ".join(f"{name}={version}" for name, version in sorted(node.packages.items())),
            _time(node.ohai_time) or "never", _word(finding.old), _word(node.reports_packages), finding.reason,
        )])
    return stream.getvalue()


def _as_dict(assessment: Assessment, finding: Finding) -> dict:
    node = finding.node
    verdicts = dict(zip((each.id for each in assessment.advisories), finding.verdicts(), strict=True))
    return {
        "name": node.name, "environment": node.environment, "platform": node.platform, "release": node.release,
        "packages": dict(node.packages), "reported": _time(node.ohai_time), "old": finding.old,
        "reports_packages": node.reports_packages, "verdict": finding.kind,
        "verdicts": {name: kind for name, (kind, _) in verdicts.items()},
        "reasons": {name: reason for name, (kind, reason) in verdicts.items() if kind in ("vulnerable", "unknown")},
    }


def _by_kind(assessment: Assessment, finding: Finding) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for advisory, (kind, _) in zip(assessment.advisories, finding.verdicts(), strict=True):
        found.setdefault(kind, []).append(advisory.id)
    return found


def _time(seconds: float | None) -> str | None:
    """A time as the reports write it; None where there is none, or none that a calendar has."""
    try:
        return None if seconds is None else utc(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, OSError, ValueError):
        return None


def _word(value: bool) -> str:
    return "yes" if value else "no"
