"""The reports of a real run, and the same ones made anew from its journal."""

import contextlib
import json
import xml.etree.ElementTree as ET

import pytest

from fleet.report import formats


@pytest.fixture(scope="module")
def patched(operator):
    """Patch a node; return the finished verb and where its reports are."""
    with contextlib.ExitStack() as afterwards:
        operator.environment("report")
        afterwards.callback(operator.chef.delete, "/environments/report")
        operator.lab.add("report-1", base="light", init="sysv", environment="report")
        afterwards.callback(operator.lab.remove, "report-1")
        operator.indexed("report-1")
        done, _ = operator.patch("--env", "report", "--via", "shell", "--ticket", "OPS-7")
        yield done, operator.home / "report"


def test_a_run_leaves_all_four(patched):
    done, directory = patched
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in directory.iterdir()) == sorted(name for name, _ in formats.FORMATS.values())
    found = json.loads((directory / "report.json").read_text())
    assert found["verdict"] in done.stdout.splitlines()
    assert [each["id"] for each in found["described"]] == found["advisories"]
    assert (found["via"], found["ticket"], found["server"][:7]) == ("shell", "OPS-7", "http://")
    (node,) = found["nodes"]
    assert (node["state"], node["wave"]) == ("patched", 1)
    assert {check["outcome"] for check in node["checks"]} == {"passed", "skipped"}
    cases = ET.fromstring((directory / "junit.xml").read_bytes())[0]  # noqa: S314 - our own file
    assert [case.get("name") for case in cases][1:] == [check["name"] for check in node["checks"]]
    page = (directory / "report.html").read_text()
    assert found["verdict"] in page
    assert "Nodes at risk over time" in page


@pytest.mark.parametrize("format", ["html", "junit"])
def test_the_journal_makes_the_same_again(operator, patched, format):
    _, directory = patched
    again = operator.home / f"again.{format}"
    done = operator.run("report", "--format", format, "--output", str(again))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert again.read_bytes() == (directory / formats.FORMATS[format][0]).read_bytes()


def test_a_dash_is_standard_output(operator, patched):
    done = operator.run("report", "--format", "json", "--output", "-")
    assert done.stderr == ""
    assert done.stdout == (patched[1] / "report.json").read_text()
