"""nodes.csv is RFC 4180, a line a node, and no cell of it is a formula, whatever a node says."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from fleet.report import csv as report_csv
from fleet.report.spreadsheet import MOST, cell
from lab import example


def lines(run) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report_csv.as_bytes(run).decode(), newline=""), strict=True))


def test_a_line_a_node():
    run = example.run(80)
    found = lines(run)
    assert [each["name"] for each in found] == [outcome.record.name for outcome in run.outcomes]
    assert [each["state"] for each in found] == [outcome.record.state for outcome in run.outcomes]
    stale = next(each for each in found if each["state"] == "stale")
    assert stale["stale_after"] == "/opt/billing/bin/billingd (pid 4711)"
    assert stale["checks_failed"] == "no_stale_process"
    assert stale["todo"] == "restart them, or reboot the node"
    assert set(found[0]) == set(report_csv.COLUMNS)


def test_lines_end_as_the_standard_says():
    content = report_csv.as_bytes(example.run(3))
    assert content.count(b"\r\n") == content.count(b"\n") == 4
    assert content.decode().isprintable() is False, "line ends alone are not printable"
    assert content.decode().replace("\r\n", "").isprintable()


@given(st.text(), st.text())
def test_whatever_a_node_says_is_text_in_its_own_cell(name, said):
    run = example.run(2)
    record = run.outcomes[0].record
    record.name, record.error, record.actions, record.packages_after = f"={name}", f"@{said}", [said], {said: said}
    found = lines(run)
    assert len(found) == 2
    assert found[0]["name"].startswith("'=")
    assert found[0]["error"].startswith("'@")


@given(st.text())
def test_no_cell_is_a_formula(text):
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert cell(text).isprintable()


def test_what_a_spreadsheet_might_skip_hides_no_formula():
    for before in ("", " ", "\t", "\r\n", "\u00a0"):
        assert cell(f'{before}=HYPERLINK("http://x")') == """'=HYPERLINK("http://x")"""
    assert cell("\x00=1+1") == "?=1+1"
    assert cell("1.0.2-3") == "1.0.2-3"
    assert len(cell("x" * 100_000)) == MOST
