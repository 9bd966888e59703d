"""Every report.json is as docs/report.schema.json says, and the schema speaks of every key there is."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from fleet.node import State
from fleet.report import json as report_json
from fleet.report.record import FORMAT, STALE_KEYS
from lab import example

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())


def closed(schema):
    """Return a schema that takes no key which it does not name: a reader may meet later ones, ours writes none."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    return found | ({"additionalProperties": False} if isinstance(found.get("properties"), dict) else {})


def wrong(found: dict) -> list[tuple[str, str]]:
    """Return where a report is not as its schema says, and by which keyword."""
    validator = Draft202012Validator(closed(SCHEMA))
    return [(error.json_path, error.validator) for error in validator.iter_errors(found)]


def report(run) -> dict:
    return json.loads(report_json.as_bytes(run))


@pytest.mark.parametrize("run", [
    example.run(200), example.run(0), example.stopped(example.run(40)), example.unfinished(example.run(5)),
], ids=["a run", "nobody", "stopped", "not ended"])
def test_a_report_is_as_its_schema_says(run):
    assert wrong(report(run)) == []


@pytest.mark.parametrize(("spoil", "where", "keyword"), [
    (lambda found: found.update(format=2), "$.format", "const"), (lambda found: found.pop("nodes"), "$", "required"),
    (lambda found: found.update(started="2026-01-02"), "$.started", "pattern"),
    (lambda found: found.update(finished=7), "$.finished", "anyOf"),
    (lambda found: found.update(x=1), "$", "additionalProperties"),
    (lambda found: found["nodes"][0].update(state="fine"), "$.nodes[0].state", "enum"),
    (lambda found: found["nodes"][0].update(wave=True), "$.nodes[0].wave", "type"),
    (lambda found: found["nodes"][0]["packages_after"].update(openssl=3), "$.nodes[0].packages_after.openssl", "type"),
])
def test_and_another_is_not(spoil, where, keyword):
    found = report(example.run(1))
    spoil(found)
    assert wrong(found) == [(where, keyword)]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_knows_every_state_and_every_key_of_a_process():
    assert set(SCHEMA["$defs"]["node"]["properties"]["state"]["enum"]) == set(State)
    assert tuple(SCHEMA["$defs"]["process"]["properties"]) == STALE_KEYS
    assert SCHEMA["properties"]["format"] == {"const": FORMAT}
