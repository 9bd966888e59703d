"""What is left to do after the patch: the data, what is crossed off of it and for whom, and what a report says."""

import json
import re

import pytest
from invoke import Config, Context

from fleet import entry, followup
from fleet.errors import SettingsError
from fleet.history import History
from fleet.journal import Journal
from fleet.plan import Plan
from fleet.report import past
from fleet.settings import Settings, load
from fleet.verbs.followup import done, listed, undone
from generator import advisory
from generator import followup as data
from generator.errors import AdvisoryError

HEARTBLEED = "CVE-2014-0160"
OWN = '[[item]]\nid = "badges"\ntitle = "Replace badges"\nwhy = "they open doors"\nhow = "ask Security"\n'


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("STYPTIC_STATE", str(tmp_path / "journal.db"))
    return tmp_path / "journal.db"


@pytest.fixture
def context(tmp_path):
    """Return an Invoke context whose invoke.yaml names a shop's own list."""
    (tmp_path / "own.toml").write_text(OWN)
    settings = {"advisories": [HEARTBLEED], "followup": str(tmp_path / "own.toml")}
    return Context(Config(overrides={"styptic": settings}, lazy=True))


def verb(task, context, **flags):
    """Run a verb; return its exit code."""
    try:
        task(context, **flags)
    except SystemExit as ended:
        return ended.code
    return 0


def states(context, capsys, **flags):
    """Return what the list says, by advisory and item."""
    capsys.readouterr()
    code = verb(listed, context, json=True, **flags)
    found = json.loads(capsys.readouterr().out)["items"]
    assert code == (0 if all(each["done_at"] for each in found) else 2)
    return {(each["advisory"], each["item"]): each for each in found}


def test_the_list_has_what_the_issue_names_and_sources_for_it():
    found = {item.id: item for item in data.load()}
    assert set(found) == {
        "certificates", "chef-keys", "service-passwords", "sessions", "oauth-tokens", "api-keys", "cloud-password",
        "cloud-api-keys",
    }
    assert next(iter(found)) == "certificates"  # before any password
    assert all(item.source.startswith("https://") for item in found.values())


def test_the_verbs_that_the_list_names_are_there():
    import tasks

    named = {word for item in data.load() for word in re.findall(r"`invoke ([a-z.]+)", item.how)}
    assert named == {"exposure", "followup.chef"}
    assert all(name in tasks.ns for name in named)


@pytest.mark.parametrize(("text", "wrong"), [
    ("item = 7", "item: must be tables"), ("", "item: is missing"), ("[[item]]\nid = 'x'", "title: is missing"),
    (OWN.replace("badges", "sessions", 1), "'sessions' is there already"), (OWN * 2, "'badges' is there already"),
    (OWN.replace("badges", "Bad id", 1), "characters that do not belong"), (f"{OWN}more = 1", "more: is no key here"),
    (OWN.replace("they", "\\u202ethey"), "printable"), ("[[", "is not TOML"), ("x = 1\n", "x: is no key here"),
])
def test_a_mistake_in_a_shops_file_is_named(tmp_path, text, wrong):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(AdvisoryError, match=f"^{re.escape(str(path))}: .*{re.escape(wrong)}"):
        data.load(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(AdvisoryError, match="cannot be read: No such file"):
        data.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xe9")
    with pytest.raises(AdvisoryError, match="is not TOML"):
        data.load(tmp_path / "latin.toml")


def test_the_setting_is_invoke_yamls():
    assert load({}, {"followup": "~root/own.toml"}).followup == "/root/own.toml"
    with pytest.raises(SettingsError, match=r"styptic\.followup wants a value"):
        load({}, {"followup": ["a"]})


def test_an_item_is_done_for_an_environment_and_an_advisory(path, context, capsys):
    both = [HEARTBLEED, "CVE-2021-3712"]
    assert not any(each["done_at"] for each in states(context, capsys, env="production", advisory=both).values())
    assert not path.exists()  # who only looks leaves nothing
    assert verb(done, context, item="badges", note="OPS-8", env="production") == 0
    found = states(context, capsys, env="production", advisory=both)
    assert len(found) == 18
    assert [key for key, each in found.items() if each["done_at"]] == [(HEARTBLEED, "badges")]
    each = found[HEARTBLEED, "badges"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["done_at"])
    assert (each["by"].count("@"), each["note"]) == (1, "OPS-8")
    for other in ("staging", "*", None):
        assert not any(each["done_at"] for each in states(context, capsys, env=other).values())


def test_what_is_done_for_all_is_done_for_each_until_somebody_says_otherwise(path, context, capsys):
    key = HEARTBLEED, "cloud-password"
    assert verb(done, context, item=key[1], note="all owners") == 0
    assert capsys.readouterr().out == "every environment, CVE-2014-0160: cloud-password is done; 8 left to do.\n"
    assert states(context, capsys, env="production")[key]["done_at"]
    assert verb(undone, context, item=key[1], env="production") == 1
    assert "--note: say why it is open again, or the ticket it is in" in capsys.readouterr().err
    assert verb(undone, context, item=key[1], note="a seventh", env="production") == 0
    found = states(context, capsys, env="production")[key]
    assert (found["done_at"], found["by"], found["note"]) == (None, None, "a seventh")
    assert states(context, capsys, env="staging")[key]["done_at"]
    with History(path) as history:
        assert history.rows("SELECT COUNT(*) FROM followup") == [(2,)]  # nothing is taken back, only said anew


def test_all_done_ends_well(path, context, capsys):
    for item in followup.items(None):
        assert verb(done, context, item=item.id, note="x", env="production") == 0
    assert verb(done, context, item="badges", note="x" * 500, env="production") == 0
    capsys.readouterr()
    assert verb(listed, context, env="production") == 0
    assert capsys.readouterr().out.startswith("production, CVE-2014-0160: all 9 are done.\n  done  certificates: ")


def test_a_person_reads_what_is_open_first_and_how(path, context, capsys):
    verb(done, context, item="certificates", note="\x1b[2JOPS", env="production")
    verb(undone, context, item="sessions", note="the app", env="production")
    capsys.readouterr()
    assert verb(listed, context, env="production") == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "production, CVE-2014-0160: 8 of 9 things are left to do."
    assert lines[1].startswith("  open  chef-keys: ")
    assert "        opened again: the app" in lines
    assert lines[-2].startswith("  done  certificates: ")
    assert lines[-1].endswith(": ?[2JOPS")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(("flags", "said"), [
    ({"item": "nothing", "note": "x"}, "'nothing' is not on the list; there is certificates"),
    ({"note": "x"}, "--item: say which"), ({"item": "sessions"}, "--note: say what was done"),
    ({"item": "sessions", "note": " "}, "--note: say what was done"),
    ({"item": "sessions", "note": "x" * 501}, "longer than 500"),
    ({"item": "sessions", "note": "x", "env": "a b"}, "not the name of a Chef environment"),
    ({"item": "sessions", "note": "x", "advisory": ["CVE-2022-0778"]}, "nothing leaks by it"),
])
def test_what_is_wrong_is_a_sentence(path, context, capsys, flags, said):
    assert verb(done, context, **flags) == 1
    assert said in capsys.readouterr().err
    if path.exists():
        with History(path) as history:
            assert history.rows("SELECT * FROM followup") == []


def test_a_secret_in_a_note_is_not_kept(path, context, capsys):
    verb(done, context, item="api-keys", note="new one: password=hunter2hunter2", env="production")
    with History(path) as history:
        [(note,)] = history.rows("SELECT note FROM followup")
    assert note.startswith("new one: password=")
    assert "hunter2" not in note


@pytest.mark.parametrize("as_json", [False, True])
def test_an_advisory_that_leaks_nothing_has_none(path, context, capsys, as_json):
    assert verb(listed, context, advisory=["CVE-2022-0778"], json=as_json) == 0
    out = capsys.readouterr().out
    assert out == ("{}\n" if as_json else "CVE-2022-0778: nothing leaks by it, so nothing is left to do for it.\n")


def run_about(book, environment, *names, own=None):
    """Begin and end a run as `verify` does; return it as a report has it."""
    settings = Settings(env=environment, advisories=names, followup=own)
    begun = entry.begin(book, settings, "http://chef", advisory.load(names), Plan((), (), {}), verb="verify")
    book.finish(begun.run, 0, begun.started)
    return past.read(book.path, begun.run)


def test_a_report_tells_what_was_done_since(path, context):
    with Journal(path) as book:
        own = context.config.styptic.followup
        run = run_about(book, "production", HEARTBLEED, own=own)
        assert [each["item"] for each in run.followup][-1] == "badges"
        assert not any(each["done_at"] for each in run.followup)
        verb(done, context, item="badges", note="OPS-8", env="production")
        run = past.read(path, run.run)
        each = run.followup[-1]
        assert set(each) >= {"item", "title", "why", "done_at", "by", "note"}
        assert (each["title"], each["note"], bool(each["done_at"])) == ("Replace badges", "OPS-8", True)
        assert not run_about(book, "staging", HEARTBLEED, own=own).followup[-1]["done_at"]
        assert not run_about(book, "*", HEARTBLEED, own=own).followup[-1]["done_at"]


def test_a_report_on_what_leaks_nothing_has_no_list(path):
    with Journal(path) as book:
        assert run_about(book, "production", "CVE-2022-0778").followup == ()
        two = run_about(book, "production", HEARTBLEED, "CVE-2022-0778", "CVE-2021-3712").followup
    assert len(two) == 16
    assert {each["title"].rpartition(" ")[2] for each in two} == {"(CVE-2014-0160)", "(CVE-2021-3712)"}


@pytest.mark.parametrize("kept", [None, 7, {}, {"advisories": 7, "items": []}, {"advisories": ["a"], "items": [7, {}]}])
def test_what_somebody_spoilt_is_no_list(path, kept):
    with Journal(path), History(path) as history:
        assert followup.for_report(history, {"followup": kept}, None) == ()
