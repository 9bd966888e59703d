"""What holds more than names is its owner's alone, whatever the umask: journal, report, known_hosts (tests/lab too)."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.journal import Journal
from fleet.node import Node, State
from fleet.report.record import Run
from fleet.rollout import begun
from fleet.settings import Settings
from fleet.verbs import rolling, shared


@pytest.fixture(autouse=True)
def anybody():
    """The umask that takes no right from anybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, str]:
    """The rights of a directory and of all in it, in octal."""
    return {str(path.relative_to(directory)): f"{stat.S_IMODE(path.stat().st_mode):o}" for path in
            (directory, *directory.rglob("*"))}


def test_the_journal_its_log_and_its_index(tmp_path):
    with Journal(tmp_path / "state" / "journal.db") as journal:
        journal.begin("r1", {}, datetime.now(UTC))
        assert modes(tmp_path / "state") == {
            ".": "700", "journal.db": "600", "journal.db-wal": "600", "journal.db-shm": "600",
        }


def test_the_report_and_the_directory_that_is_made_for_it(tmp_path):
    place = tmp_path / "deep" / "report"
    shared.make_report_directory(Settings(report=str(place)))
    now = datetime.now(UTC)
    outcome = begun(Node("web1", "production"), state=State.PATCHED)
    rolling.report(Run("r1", "production", "*:*", (), {}, now, now, 0, (outcome,)), place)
    found = modes(place)
    assert found.pop(".") == "700"
    assert {"report.json", "junit.xml"} <= set(found)
    assert set(found.values()) == {"600"}


def test_a_directory_that_was_there_keeps_its_rights(tmp_path):
    tmp_path.chmod(0o755)
    shared.make_report_directory(Settings(report=str(tmp_path)))
    assert modes(tmp_path) == {".": "755"}
