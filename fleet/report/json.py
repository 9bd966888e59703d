"""report.json: what an auditor's program reads. docs/report.schema.json says what it holds."""

import json

from fleet.journal import utc
from fleet.report.conclusion import verdict
from fleet.report.record import FORMAT, Run, outcome_as_dict


def as_dict(run: Run) -> dict:
    """Return the whole of report.json; times are UTC in ISO 8601, seconds are seconds."""
    return {
        "format": FORMAT, "run": run.run, "verb": run.verb, "stage": run.stage,
        "verdict": verdict(run.outcomes, run.whom, run.exit_code, run.stopped),
        "operator": run.operator, "ticket": run.ticket, "environment": run.environment, "query": run.query,
        "server": run.server, "via": run.via, "advisories": list(run.advisories),
        "described": [dict(each) for each in run.described], "versions": dict(run.versions),
        "cookbook": {key: run.cookbook.get(key) for key in ("name", "version", "sha256")},
        "started": utc(run.started), "finished": run.finished and utc(run.finished), "exit_code": run.exit_code,
        "stopped": run.stopped, "exposure": [dict(each) for each in run.exposure],
        "followup": [dict(each) for each in run.followup],
        "nodes": [outcome_as_dict(outcome) for outcome in run.outcomes],
    }


def as_bytes(run: Run) -> bytes:
    """Return report.json: a line a key, and a line an element of its lists, which grep and diff like.

    It is ASCII: what is not is escaped, so that nothing in it can move a terminal that shows the file.
    """
    lines = (f"  {json.dumps(key)}: {_value(value)}" for key, value in as_dict(run).items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _value(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {json.dumps(each)}" for each in value) + "\n  ]"
    return json.dumps(value)
