"""The journal: on the disk when a method returns, private, refused when it is somebody else's."""

import sqlite3
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleet import journal
from fleet.errors import SettingsError
from fleet.journal import Journal, default_path, utc

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def test_steps_are_read_back_in_order_by_another_reader(tmp_path):
    path = tmp_path / "state" / "journal.db"
    with Journal(path) as journal:
        journal.begin("r1", {"environment": "production"}, NOW)
        journal.step("r1", "web1", "connect")
        journal.step("r1", "web2", "connect")
        journal.step("r1", "web1", "converge", full_run=False)
        with Journal(path) as other:  # not closed, not finished: what was written is there
            assert other.steps("r1", "web1") == [("web1", "connect", {}), ("web1", "converge", {"full_run": False})]
            assert [whom for whom, _, _ in other.steps("r1")] == ["web1", "web2", "web1"]


def test_a_node_has_one_line_a_run(tmp_path):
    with Journal(tmp_path / "j.db") as journal:
        journal.begin("r1", {}, NOW)
        journal.node("r1", "web1", 1, "pending", {})
        journal.node("r1", "web1", 1, "patched", {"name": "web1"})
        journal.finish("r1", 0, NOW)
        assert journal.database.execute("SELECT state FROM node").fetchall() == [("patched",)]
        assert journal.database.execute("SELECT finished, exit_code FROM run").fetchall() == [(utc(NOW), 0)]


def test_many_nodes_are_written_all_or_none(tmp_path):
    with Journal(tmp_path / "j.db") as journal:
        journal.begin("r1", {}, NOW)
        journal.nodes("r1", [("web1", 0, "pending", {}), ("web2", 0, "pending", {})])
        with pytest.raises(SettingsError, match="FOREIGN KEY constraint failed"):
            journal.nodes("r2", [("web3", 0, "pending", {})])
        with pytest.raises(ZeroDivisionError):
            journal.nodes("r1", ((name, 0, "skipped", {} if name == "web1" else 1 / 0) for name in ("web1", "web2")))
        assert journal.database.execute("SELECT name, state FROM node").fetchall() == [
            ("web1", "pending"), ("web2", "pending"),
        ]


def test_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "state" / "journal.db"
    Journal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_writes_ahead_and_syncs(tmp_path):
    with Journal(tmp_path / "j.db") as journal:
        assert journal.database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal.database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "j.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(SettingsError, match="format 7 and this Styptic writes 2"):
        Journal(path)


def test_a_journal_of_the_first_format_is_brought_up_and_keeps_what_it_has(tmp_path):
    path = tmp_path / "j.db"
    with sqlite3.connect(path) as database:
        database.executescript(journal.FIRST_SCHEMA + "PRAGMA user_version = 1")
        database.execute("INSERT INTO run (id, started, about) VALUES ('r1', '2026-01-02T03:04:05.678Z', '{}')")
    database.close()
    with Journal(path) as book:
        assert book.database.execute("PRAGMA user_version").fetchone() == (2,)
        assert book.database.execute("SELECT id FROM run").fetchall() == [("r1",)]
        book.exposure("r1", "web1", {"items": []})
        book.exposure("r1", "web1", {"items": [1]})
        assert book.database.execute("SELECT run, node, found FROM exposure").fetchall() == [
            ("r1", "web1", '{"items": [1]}'),
        ]
        assert book.database.execute("SELECT * FROM followup").fetchall() == []
        with pytest.raises(SettingsError, match="FOREIGN KEY"):
            book.exposure("r2", "web1", {})
    Journal(path).close()


def test_a_new_journal_and_one_brought_up_are_alike(tmp_path):
    with sqlite3.connect(tmp_path / "old.db") as database:
        database.executescript(journal.FIRST_SCHEMA + "PRAGMA user_version = 1")
    database.close()
    tables = []
    for name in ("old.db", "new.db"):
        with Journal(tmp_path / name) as book:
            tables.append(book.database.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall())
    assert tables[0] == tables[1]


def test_what_is_no_database_is_refused(tmp_path):
    path = tmp_path / "j.db"
    path.write_text("this is no database, but a text of some length\n" * 100)
    with pytest.raises(SettingsError, match=r"j\.db cannot be written: file is not a database"):
        Journal(path)


def test_another_writer_is_named_as_such_and_not_waited_for_long(tmp_path, monkeypatch):
    assert journal.WAIT <= 2, "seconds in which no other node gets on"
    monkeypatch.setattr(journal, "WAIT", 0.05)
    path = tmp_path / "j.db"
    said = rf"^the journal {path} cannot be written: another Styptic is writing, .*; wait for it, or name another file"
    with Journal(path) as ours, Journal(path) as theirs:
        with theirs.at_once(), pytest.raises(SettingsError, match=said):
            ours.begin("r1", {}, NOW)
        with theirs.at_once(), pytest.raises(SettingsError, match=said):
            Journal(path)
        ours.begin("r1", {}, NOW)


def test_a_disk_that_is_full_in_the_middle_of_many_rows_is_told_as_such(tmp_path):
    with Journal(tmp_path / "j.db") as full:
        full.begin("r1", {}, NOW)
        full.database.execute("PRAGMA cache_size = -64")  # KiB: they do not wait there for the end of it all
        full.database.execute("PRAGMA max_page_count = 60")
        with pytest.raises(SettingsError, match="cannot be written: database or disk is full"):
            full.nodes("r1", [(f"n{number}", 0, "pending", {"a": "b" * 3000}) for number in range(500)])
        full.step("r1", None, "it goes on")
        assert full.database.execute("SELECT COUNT(*) FROM node").fetchone() == (0,)


def test_a_directory_in_its_place_is_named(tmp_path):
    with pytest.raises(SettingsError, match="STYPTIC_STATE"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"STYPTIC_STATE": "/a/b.db", "XDG_STATE_HOME": "/x"}, "/a/b.db"),
        ({"XDG_STATE_HOME": "/x"}, "/x/styptic/journal.db"),
        ({"XDG_STATE_HOME": ""}, str(Path.home() / ".local/state/styptic/journal.db")),
    ],
)
def test_where_it_stands(environment, path):
    assert str(default_path(environment)) == path


@pytest.mark.parametrize("name", ["STYPTIC_STATE", "XDG_STATE_HOME"])
def test_the_home_of_nobody_is_refused(name):
    with pytest.raises(SettingsError, match=rf"^{name}: '~nobody-at-all/x' names the home of a user there is not\.$"):
        default_path({name: "~nobody-at-all/x"})


def test_times_are_utc():
    assert utc(NOW.astimezone(timezone(timedelta(hours=2)))) == "2026-01-02T03:04:05.678Z"
