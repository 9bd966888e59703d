"""nodes.csv: one line a node, for spreadsheets."""

import csv
import io
from collections.abc import Mapping, Sequence

from fleet.journal import utc
from fleet.report.record import Outcome, Run
from fleet.report.spreadsheet import cell

COLUMNS = (
    "name", "address", "environment", "platform", "release", "wave", "state", "started", "seconds", "packages_before",
    "packages_after", "stale_before", "stale_after", "actions", "checks_failed", "error", "todo", "note",
)


def as_bytes(run: Run) -> bytes:
    """Return nodes.csv (RFC 4180, UTF-8): a line of headings, then a line a node; lists are separated by `; `."""
    stream = io.StringIO()
    lines = csv.writer(stream)
    lines.writerow(COLUMNS)
    lines.writerows([cell(value) for value in row(outcome)] for outcome in run.outcomes)
    return stream.getvalue().encode(errors="backslashreplace")


def row(outcome: Outcome) -> tuple[str, ...]:
    """Return a node's cells, in the order of COLUMNS."""
    record = outcome.record
    return (
        record.name, record.address or "", record.environment, record.platform or "", record.release or "",
        str(record.wave), record.state.value, utc(record.started) if record.started else "", f"{record.seconds:.3f}",
        _packages(record.packages_before), _packages(record.packages_after),
        _stale(record.stale_before), _stale(record.stale_after), "; ".join(record.actions),
        "; ".join(check.name for check in outcome.checks if check.outcome in ("failed", "error")),
        record.error or "", outcome.todo or "", record.note or "",
    )


def _packages(packages: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {version}" for name, version in sorted(packages.items()))


def _stale(processes: Sequence[Mapping]) -> str:
    return "; ".join(f"{each.get('service') or each.get('command')} (pid {each.get('pid')})" for each in processes)
