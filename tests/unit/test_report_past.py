"""A report made anew from the journal is the one that was written at the run's end, in every format."""

import json
import os
import pty
import stat
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from invoke import Config, Context

from fleet.earlier import Earlier
from fleet.errors import SettingsError
from fleet.history import History
from fleet.journal import Journal
from fleet.node import State
from fleet.report import formats, past
from fleet.report.record import Check, Outcome, outcome_as_dict
from fleet.verbs.report import report
from lab import example

RUN = replace(example.run(60), exposure=(), followup=())


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("STYPTIC_STATE", str(tmp_path / "journal.db"))
    return tmp_path / "journal.db"


def about(run) -> dict:
    """Return what fleet.verbs.rolling writes down when such a run begins."""
    keys = ("verb", "server", "environment", "query", "advisories", "cookbook", "via", "operator", "ticket")
    return {key: getattr(run, key) for key in keys} | {"described": run.described, "versions": run.versions}


def keep(book: Journal, run) -> None:
    book.begin(run.run, about(run), run.started)
    book.nodes(run.run, [
        (each.record.name, each.record.wave, each.record.state.value, outcome_as_dict(each)) for each in run.outcomes
    ])
    if run.finished:
        book.finish(run.run, run.exit_code, run.finished)


@pytest.mark.parametrize("run", [RUN, example.stopped(replace(example.run(40), exposure=(), followup=()))])
@pytest.mark.parametrize("format", formats.FORMATS)
def test_the_journal_loses_nothing(path, run, format):
    for outcome in run.outcomes:  # what a clock gives, which the journal keeps to the millisecond
        outcome.record.seconds = round(outcome.record.seconds, 3)
        if started := outcome.record.started:
            outcome.record.started = started.replace(microsecond=started.microsecond // 1000 * 1000)
    run = replace(run, finished=run.finished.replace(microsecond=0))
    with Journal(path) as book:
        keep(book, run)
    name, as_bytes = formats.FORMATS[format]
    assert as_bytes(past.read(path)) == as_bytes(run), name


def test_the_checks_of_a_node_are_kept_with_its_end(path):
    checks = (Check("no_stale_process", "failed", "nginx\nstill"), Check("tls", "passed"))
    outcome = Outcome(RUN.outcomes[0].record, checks, "restart it")
    with Journal(path) as book:
        book.begin("r1", {"verb": "patch"}, RUN.started)
        Earlier().write_end(book, "r1", outcome, time.monotonic())
    with History(path) as history:
        (line,) = history.nodes("r1")
    assert (line.outcome.checks, line.outcome.todo) == (checks, "restart it")
    assert line.outcome.record.started is not None


def test_the_last_that_patched_or_verified_is_meant(path):
    with Journal(path) as book:
        keep(book, RUN)
        book.begin("20260103T000000Z-0000", {"verb": "exposure"}, RUN.finished)
    assert past.read(path).run == RUN.run
    assert past.read(path, RUN.run[:9]).run == RUN.run
    with pytest.raises(SettingsError, match="patched and verified nothing"):
        past.read(path, "20260103")
    with pytest.raises(SettingsError, match="no run begins so"):
        past.read(path, "2027")


def test_a_journal_without_such_a_run_says_so(path):
    with pytest.raises(SettingsError, match="there is no journal"):
        past.read(path)
    with Journal(path) as book:
        book.begin("r1", {"verb": "exposure"}, RUN.started)
    with pytest.raises(SettingsError, match="no run of `invoke patch` or `invoke verify` yet"):
        past.read(path)


def test_a_run_that_was_killed_has_a_report_as_far_as_it_came(path):
    gone = {"host": "elsewhere", "process": {"pid": 1, "born": "0"}}
    with Journal(path) as book:
        keep(book, replace(RUN, finished=None, exit_code=None))
        book.write("UPDATE run SET about = ?", json.dumps(about(RUN) | gone))
    found = json.loads(formats.FORMATS["json"][1](past.read(path)))
    assert (found["stage"], found["finished"], found["exit_code"]) == ("unknown", None, None)
    assert found["verdict"].startswith("example: not ended; 57 of 60 nodes are good so far")
    for _, as_bytes in formats.FORMATS.values():
        assert as_bytes(past.read(path))


def test_a_run_of_an_older_styptic_has_a_report(path):
    """Its journal had neither checks nor times, and said less of the run."""
    with Journal(path) as book:
        book.begin("r1", {"verb": "patch", "environment": "production", "advisories": ["CVE-2014-0160"]}, RUN.started)
        line = outcome_as_dict(RUN.outcomes[0])
        book.node("r1", "web1", 1, State.PATCHED, {key: line[key] for key in line if key not in ("started", "checks")})
        book.finish("r1", 0, RUN.finished)
    found = past.read(path)
    assert found.outcomes[0].record.packages_after == RUN.outcomes[0].record.packages_after
    assert b"web1" in formats.FORMATS["html"][1](found)


def test_what_became_known_of_its_certificates_since_is_in_its_report(path):
    found = example.run(3).exposure
    with Journal(path) as book:
        keep(book, RUN)
        book.begin("20260105T000000Z-0000", {"verb": "exposure", "advisories": list(RUN.advisories)}, RUN.finished)
        book.begin("20260106T000000Z-0000", {"verb": "exposure", "advisories": ["CVE-2024-5535"]}, RUN.finished)
        for each in found:
            book.exposure("20260105T000000Z-0000", each["node"], {"window": {}, "items": [each]})
            # What is at risk by another advisory, or is not, says nothing of this one.
            book.exposure("20260106T000000Z-0000", each["node"], {"window": {}, "items": [each | {"exposed": False}]})
        book.exposure("20260105T000000Z-0000", "of another run", {"window": {}, "items": [found[0]]})
    assert sorted(past.read(path).exposure, key=str) == sorted(found, key=str)


def called(**flags) -> int:
    try:
        report(Context(Config()), **flags)
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize("format", formats.FORMATS)
def test_the_verb_writes_each_format(path, tmp_path, capfdbinary, format):
    with Journal(path) as book:
        keep(book, RUN)
    wanted = formats.FORMATS[format][1](past.read(path))
    assert called(format=format) == 0
    assert capfdbinary.readouterr().out == wanted
    assert called(format=format, output="-") == 0
    assert capfdbinary.readouterr().out == wanted
    file = tmp_path / "new" / "report"
    assert called(format=format, output=str(file)) == 0
    assert file.read_bytes() == wanted
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert capfdbinary.readouterr() == (b"", b"")


@pytest.mark.parametrize(("flags", "said"), [
    ({"format": "pdf"}, "--format is html, json, csv, junit, not 'pdf'"),
    ({"output": ""}, "--output wants the name of a file"),
    ({"output": "/dev/null/report.html"}, "--output /dev/null/report.html cannot be written: "),
    ({"run": "x"}, "--run x: no run begins so"),
])
def test_what_is_wrong_is_one_sentence(path, capfd, flags, said):
    with Journal(path) as book:
        keep(book, RUN)
    assert called(**flags) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert said in err


def test_a_page_is_not_shown_to_a_terminal(path, capfd, monkeypatch):
    with Journal(path) as book:
        keep(book, RUN)
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        assert called() == 1
    os.close(master)
    assert "give --output report.html" in capfd.readouterr().err


def test_advisories_are_kept_in_words():
    advisory = SimpleNamespace(id="A-1", title="t", severity=None, follow_up="reissue keys", path="/gone")
    assert past.described([advisory]) == [{"id": "A-1", "title": "t", "severity": None, "follow_up": "reissue keys"}]
