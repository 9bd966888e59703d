"""What the journal tells of runs: as they stood at one moment, whoever writes it meanwhile, fit for a terminal."""

import json
import os
import sqlite3
import stat
from datetime import UTC, datetime, timedelta

import pytest
from invoke import Config, Context

from fleet import journal, who
from fleet.errors import SettingsError
from fleet.history import History
from fleet.journal import WAITING, Journal, new_run
from fleet.node import NodeRecord, State
from fleet.report.record import node_as_dict
from fleet.verbs import history as verbs

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ABOUT = {
    "verb": "patch", "server": "https://chef.example", "environment": "production", "query": None, "via": "chef",
    "advisories": ["CVE-2014-0160"], "cookbook": {"name": "openssl_patch", "version": "1.0.0"},
    "operator": "ada@admin1", "ticket": "OPS-7",
}
HERE = {"host": who.host(), "process": who.process()}
GONE = {"host": who.host(), "process": {"pid": os.getpid(), "born": who.process()["born"] + "0"}}


@pytest.fixture
def book(tmp_path, monkeypatch):
    path = tmp_path / "journal.db"
    monkeypatch.setenv("STYPTIC_STATE", str(path))
    with Journal(path) as book:
        yield book


def line(name, state=State.PENDING, **values):
    record = NodeRecord(name, "192.0.2.1", "production", "debian", "12", 1, state, **values)
    return name, 1, state.value, node_as_dict(record)


def begun(book, run="r1", started=NOW, **about):
    """Write down a run with a node at work, one that failed, one that is patched and one that waits for its wave."""
    book.begin(run, ABOUT | about, started)
    book.nodes(run, [line(name) for name in ("web1", "web2", "web3", "web4")])
    for name in ("web1", "web2", "web3", "web4"):
        book.step(run, name, "connect")
    book.step(run, "web4", WAITING)
    book.step(run, "web2", "read the result", exit_code=1, output="E: one | E: two")
    name, wave, state, record = line("web2", State.FAILED, error="chef-client ended with 1")
    book.node(run, name, wave, state, record | {"todo": "mend it"})
    book.node(run, *line("web3", State.PATCHED, seconds=2.0, actions=["reloaded ssh"]))
    book.step(run, "web1", "converge", full_run=False, packages={"libssl3": "3.0.1"})


def said(verb, capsys, **flags):
    verb(Context(Config()), **flags)
    return capsys.readouterr().out


def test_status_while_the_rollout_goes_on(book, capsys):
    begun(book, **HERE)
    out = said(verbs.status, capsys)
    assert out.splitlines()[0] == "run          r1 is running"
    assert "who          ada@admin1, ticket OPS-7\n" in out
    assert "nodes        4: 1 failed, 1 patched, 1 at work, 1 not begun\n" in out
    assert "at work      web1  converge, 0 s ago, wave 1\n" in out
    assert out.endswith("  web2 (failed): chef-client ended with 1\n    to do: mend it\n")
    told = json.loads(said(verbs.status, capsys, json=True))
    assert (told["stage"], told["counts"]) == ("running", {"failed": 1, "patched": 1, "pending": 2})
    assert [(each["name"], each["step"]) for each in told["at_work"]] == [("web1", "converge")]


def test_reading_stands_in_no_writers_way_and_tells_of_one_moment(book):
    begun(book)
    with History(book.path) as reader:
        before = reader.run().counts
        book.node("r1", *line("web1", State.PATCHED))
        book.finish("r1", 2, NOW + timedelta(seconds=61))
        assert reader.run().counts == before
    with History(book.path) as reader, book.at_once():  # while another writes
        assert reader.run().counts == {"failed": 1, "patched": 2, "pending": 1}
        assert reader.run().stage == "ended"


def test_reading_writes_nothing(book):
    begun(book)
    with History(book.path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.database.execute("DELETE FROM run")


def test_status_of_a_run_that_is_no_more(book, capsys):
    begun(book, **HERE)
    book.finish("r1", 130, NOW + timedelta(minutes=2, seconds=3))
    out = said(verbs.status, capsys)
    assert out.startswith("run          r1 was interrupted with exit code 130, ")
    assert "took 2 min 3 s\n" in out
    assert "nodes        4: 1 failed, 1 patched, 1 cut short, 1 not begun\ncut short    web1  converge, " in out


@pytest.mark.parametrize(("about", "ended", "stage"), [
    (HERE, None, "running"), (GONE, None, "broken off"), (HERE | {"host": "another"}, None, "unknown"),
    ({}, None, "unknown"), (GONE, 0, "ended"), (GONE, 130, "interrupted"),
])
def test_the_stage_of_a_run(book, about, ended, stage, capsys):
    begun(book, **about)
    if ended is not None:
        book.finish("r1", ended, NOW + timedelta(minutes=2))
    with History(book.path) as reader:
        assert reader.run("r1").stage == stage
    assert ("patch --resume --run r1" in said(verbs.status, capsys)) == (stage in ("broken off", "interrupted"))


def test_a_verify_that_was_killed_is_not_resumed_but_started_again(book, capsys):
    begun(book, verb="verify", **GONE)
    out = said(verbs.status, capsys)
    assert "--resume" not in out
    assert out.endswith("\nIt changed nothing: start it again.\n")


@pytest.mark.parametrize(("code", "goes_on"), [(0, False), (1, True), (2, True), (3, True), (10, False), (130, True)])
def test_status_says_how_a_patch_goes_on_that_did_not_end_well(book, capsys, code, goes_on):
    begun(book)
    book.finish("r1", code, NOW)
    assert ("`invoke patch --resume --run r1` goes on with it" in said(verbs.status, capsys)) == goes_on


@pytest.mark.parametrize(("step", "told"), [
    ({"name": "pause", "seconds": 600, "wave": 2}, "waits        600 s before wave 2, since 0 s ago\n"),
    ({"name": "confirm", "wave": 2}, "waits        for a yes at its terminal before wave 2, since 0 s ago\n"),
])
def test_status_says_what_a_rollout_waits_for_between_waves(book, capsys, step, told):
    begun(book, **HERE)
    book.step("r1", None, step.pop("name"), **step)
    assert told in said(verbs.status, capsys)
    book.step("r1", None, "wave", number=2)
    assert "waits" not in said(verbs.status, capsys)


def test_history_lists_the_latest_first(book, capsys):
    begun(book)
    book.finish("r1", 2, NOW + timedelta(minutes=2, seconds=3))
    begun(book, "r2", NOW + timedelta(days=1), environment="staging", **GONE)
    rows = said(verbs.history, capsys).splitlines()
    assert [row.split()[0] for row in rows] == ["RUN", "r2", "r1"]
    assert rows[2].split("  ")[-1] == "exit 2"
    assert "2 min 3 s" in rows[2]
    assert "ada@admin1  OPS-7" in rows[2]
    assert rows[1].endswith("broken off")
    told = json.loads(said(verbs.history, capsys, env="production", json=True))
    assert [(run["run"], run["operator"], run["ticket"]) for run in told] == [("r1", "ada@admin1", "OPS-7")]
    assert len(said(verbs.history, capsys, limit="1").splitlines()) == 2


def test_show_tells_each_step_and_what_a_failed_converge_said(book, capsys):
    begun(book)
    book.step("r1", None, "wave", number=1, title="a canary")
    out = said(verbs.show, capsys)
    assert "\nweb2  failed  wave 1  chef-client ended with 1\n  to do: mend it\n" in out
    assert "      exit_code: 1\n      | E: one\n      | E: two\n" in out
    assert "  converge\n      full_run: no\n      packages: libssl3 3.0.1\n" in out
    assert "web3  patched  wave 1  2.0 s  reloaded ssh\n" in out
    assert "  wave\n      number: 1\n      title: a canary\n" in out
    alone = said(verbs.show, capsys, run="r", node="web2")
    assert "web2" in alone
    assert "web1" not in alone
    (told,) = json.loads(said(verbs.show, capsys, node="web2", json=True))["nodes"]
    assert (told["name"], told["state"], [step["step"] for step in told["steps"]]) == (
        "web2", "failed", ["connect", "read the result"],
    )


def test_what_nodes_said_moves_no_terminal(book, capsys):
    evil = "\x1b[2J\u202e\r\nx"
    book.begin("r1", ABOUT | {"ticket": evil, "operator": evil}, NOW)
    book.nodes("r1", [line(evil)])
    book.step("r1", evil, "read the result", output=evil, **{evil: [evil]})
    book.node("r1", *line(evil, State.FAILED, error=evil))
    for verb in (verbs.status, verbs.history, verbs.show):
        for json_too in (False, True):
            out = said(verb, capsys, json=json_too)
            assert all(row.isprintable() for row in out.splitlines()), out


@pytest.mark.parametrize(("flags", "sentence"), [
    ({"run": "x"}, "--run x: no run begins so; `invoke history` lists them."),
    ({"run": "r"}, "--run r: more than one run begins so; `invoke history` lists them."),
    ({"run": "r1", "node": "no"}, "--node no: run r1 has no such node; `invoke show` lists them."),
])
def test_who_or_what_is_not_there(book, capsys, flags, sentence):
    begun(book)
    begun(book, "r2")
    with pytest.raises(SystemExit):
        verbs.show(Context(Config()), **flags)
    assert capsys.readouterr().err == f"styptic: {sentence}\n"


def test_no_journal_and_an_empty_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STYPTIC_STATE", str(tmp_path / "j.db"))
    with pytest.raises(SystemExit):
        verbs.history(Context(Config()))
    assert f"there is no journal {tmp_path}/j.db" in capsys.readouterr().err
    assert not (tmp_path / "j.db").exists()
    Journal(tmp_path / "j.db").close()
    assert said(verbs.history, capsys) == f"The journal {tmp_path}/j.db holds no run yet.\n"
    assert said(verbs.history, capsys, env="staging") == f"The journal {tmp_path}/j.db holds no run of staging yet.\n"
    assert said(verbs.history, capsys, json=True) == "[]\n"
    with pytest.raises(SystemExit):
        verbs.status(Context(Config()))
    assert "holds no run yet" in capsys.readouterr().err


def test_another_version_and_what_is_no_journal_are_refused(tmp_path):
    path = tmp_path / "50% of a ?#j.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(SettingsError, match="has format 7 and this Styptic reads up to 2: read it with the"):
        History(path)
    path.write_text("this is no database, but a text of some length\n" * 100)
    with pytest.raises(SettingsError, match="cannot be read: file is not a database"):
        History(path)


def test_a_journal_of_the_first_format_is_read_too(tmp_path):
    path = tmp_path / "j.db"
    with sqlite3.connect(path) as database:
        database.executescript(journal.FIRST_SCHEMA + "PRAGMA user_version = 1")
        database.execute("INSERT INTO run (id, started, about) VALUES ('r1', '2026-01-02T03:04:05.678Z', '{}')")
    database.close()
    with History(path) as reader:
        assert reader.run("r1").id == "r1"
        assert list(reader.exposures([])) == []


def test_ends_and_exposures_of_nodes(book):
    begun(book)
    begun(book, "r2", NOW + timedelta(days=1), verb="exposure")
    with History(book.path) as reader:
        ends = list(reader.ends(["patch", "verify"]))
        assert sorted(end[:2] for end in ends) == [
            ("web1", "pending"), ("web2", "failed"), ("web3", "patched"), ("web4", "pending"),
        ]
        assert ends == sorted(ends, key=lambda end: end[3])
        assert list(reader.exposures([])) == []
    book.exposure("r1", "web1", {"items": [1]})
    book.exposure("r2", "web1", {"items": [2]})
    book.exposure("r1", "web2", {"items": [3]})
    book.write("UPDATE exposure SET found = 'spoilt' WHERE node = 'web2'")
    book.write("UPDATE run SET about = json_set(about, '$.advisories', json_array('CVE-1')) WHERE id = 'r2'")
    with History(book.path) as reader:
        assert [(node, found, about) for node, _, found, about in reader.exposures(["CVE-1", "CVE-2"])] == [
            ("web1", {"items": [1]}, False), ("web1", {"items": [2]}, True), ("web2", {}, False),
        ]


def test_what_a_rollout_writes_is_its_owners_alone(book):
    begun(book)
    files = sorted(book.path.parent.iterdir())
    assert [file.name for file in files] == ["journal.db", "journal.db-shm", "journal.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_names_of_runs_sort_by_time_and_differ():
    names = [new_run(NOW + timedelta(seconds=second)) for second in range(50)]
    assert names == sorted(names)
    assert len({new_run(NOW) for _ in range(20)}) > 1
