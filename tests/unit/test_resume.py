"""What a run that was cut short left, read from a real journal, and the plan of what is to be done about it."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleet import entry, plan, resume, rollout, who
from fleet.earlier import TAKE_UP
from fleet.errors import NotFoundError, NothingToResumeError, SettingsError
from fleet.history import History
from fleet.journal import WAITING, Journal
from fleet.node import Node, NodeRecord, State
from fleet.plan import Plan
from fleet.report.record import Outcome, outcome_as_dict
from fleet.served import Served
from fleet.settings import Settings
from fleet.waves import Begun

OLD, NEW = {"libssl3": "3.0.1"}, {"libssl3": "3.0.2"}
SERVES = Served((443,), ("nginx",), ((443, "nginx"),))
CONVERGE = {"packages": OLD, "wave": 2, "version": "1.0.0", **SERVES.detail}
GONE = {"pid": os.getpid(), "born": (who.process()["born"] or "") + "0"}


def node(name: str, **values) -> Node:
    return Node(name, "production", "192.0.2.1", "debian", "12.5", **values)


def ended(name: str, state: State, **values) -> Outcome:
    """Return how a node ended that was asked."""
    known = {"started": datetime(2026, 1, 2, tzinfo=UTC), "seconds": 3.0} | values
    return Outcome(NodeRecord(name, "192.0.2.1", "production", "debian", "12.5", state=state, **known))


def patched(name: str, wave: int = 1) -> Outcome:
    return ended(
        name, State.PATCHED, wave=wave, packages_before=OLD, packages_after=NEW, actions=["reloaded ssh"],
        stale_before=[{"pid": 1}],
    )


class Book:
    """A journal with one run, `r1`, whose nodes are `pending` until told otherwise."""

    def __init__(self, path, **about):
        self.path = path
        self.journal = Journal(path)
        known = {"verb": "patch", "environment": "production", "host": who.host(), "process": GONE, "server": "s"}
        self.journal.begin("r1", known | about, datetime(2026, 1, 2, tzinfo=UTC))

    def end(self, outcome: Outcome) -> None:
        record = outcome.record
        self.journal.node("r1", record.name, record.wave, record.state.value, outcome_as_dict(outcome))

    def steps(self, name: str, *steps) -> None:
        """Have a node go these steps, each a name or a name and its detail; it has not ended."""
        self.end(Outcome(rollout.begun(node(name)).record))
        for step in steps:
            step, detail = step if isinstance(step, tuple) else (step, {})
            self.journal.step("r1", name, step, **detail)

    def finish(self, code: int) -> None:
        self.journal.finish("r1", code, datetime.now(UTC))

    def past(self, *said):
        with History(self.path) as history:
            return resume.read(history, *said)


@pytest.fixture
def book(tmp_path):
    book = Book(tmp_path / "journal.db")
    yield book
    book.journal.close()


PLACE = "ask for a place in the wave"


def test_what_a_node_was_at_when_the_run_was_cut_short(book):
    book.steps("new")
    book.steps("looking", "connect", "look", PLACE)
    book.steps("waiting", "connect", "look", PLACE, WAITING)
    book.steps("seeing", "connect", "look", PLACE, ("see what it serves", {"wave": 3}))
    book.steps("changing", PLACE, WAITING, PLACE, ("see what it serves", {"wave": 2}), ("converge", CONVERGE), "prove")
    book.end(patched("done"))
    nodes = book.past().nodes
    assert {name: each.wave for name, each in nodes.items()} == {
        "new": 0, "looking": 0, "waiting": 0, "seeing": 3, "changing": 2, "done": 0,
    }
    assert [name for name, each in nodes.items() if each.converge] == ["changing"]
    assert (nodes["changing"].serves, nodes["changing"].version) == (SERVES, "1.0.0")
    assert [name for name, each in nodes.items() if each.good] == ["done"]


def test_a_node_that_is_taken_up_keeps_its_end_however_often_that_is_cut_short(book):
    book.end(patched("web1"))
    for _ in range(2):
        before = book.past().nodes["web1"]
        assert (before.good, before.changed) == (True, True)
        assert outcome_as_dict(before.end) == outcome_as_dict(patched("web1"))
        before.take_up(book.journal, "r1")
        before.take_up(book.journal, "r1")
        book.journal.step("r1", "web1", "connect")
    assert [name for _, name, _ in book.journal.steps("r1", "web1")].count(TAKE_UP) == 1, "it is still taken up"
    with History(book.path) as history:
        (line,) = history.nodes("r1")
        assert (line.state, [each.name for each, _ in history.at_work("r1")]) == ("pending", ["web1"])


CUT_SHORT = (PLACE, ("see what it serves", {"wave": 2}), ("converge", CONVERGE))


def taken_up(book, name: str, *steps) -> None:
    """Have a node that has its end be taken up again, go these steps and be cut short in the last."""
    book.past().nodes[name].take_up(book.journal, "r1")
    for step, detail in ((each, {}) if isinstance(each, str) else each for each in steps):
        book.journal.step("r1", name, step, **detail)


def test_a_converge_that_a_resume_began_is_known_however_often_that_is_cut_short(book):
    book.end(ended("web1", State.FAILED, error="it failed"))
    taken_up(book, "web1", "look", *CUT_SHORT)
    for _ in range(2):
        before = book.past().nodes["web1"]
        assert (before.wave, before.converge.name, before.end.record.error) == (2, "converge", "it failed")
        taken_up(book, "web1", "look", "see how its converge stands")


def test_a_place_in_which_a_hook_comes_first_is_in_the_wave_that_is_told_later(book):
    book.steps("web1", *CUT_SHORT, "look", PLACE, "drain", ("converge", CONVERGE))
    assert book.past().nodes["web1"].wave == 2


@pytest.mark.parametrize(("steps", "state"), [
    (("look", PLACE, WAITING), State.SKIPPED), (("look", *CUT_SHORT), State.PENDING), (("look",), State.PATCHED),
])
def test_who_was_patched_and_turned_out_to_need_a_change_since_is_not_called_patched(book, steps, state):
    book.end(patched("web1"))
    taken_up(book, "web1", *steps)
    past = book.past()
    before = past.nodes["web1"]
    assert before.holds == (state is State.PATCHED)
    assert past.spare(node("web1"), "a stop").record.state is state
    (gone,) = planned(book, []).left_out
    assert gone.record.state is (State.PATCHED if before.holds else State.SKIPPED)
    assert before.holds or gone.record.error.startswith(
        "it is not on the Chef server any more; it ended patched before; it was cut short in "
    )
    (left_out,) = planned(book, [replace(node("web1"), address=None)]).left_out
    assert left_out.record.state is (State.PATCHED if before.holds else State.UNREACHABLE)


def test_who_failed_and_was_being_changed_since_did_not_end(book):
    book.end(ended("web1", State.FAILED, error="it failed"))
    taken_up(book, "web1", *CUT_SHORT)
    record = book.past().spare(node("web1"), "a stop").record
    assert (record.state, record.wave) == (State.PENDING, 2)
    assert record.error == "cut short in converge, and not gone on with: a stop"


def test_what_a_node_served_before_the_run_changed_it_is_known_after_its_end(book):
    book.steps("web1", *CUT_SHORT)
    book.end(ended("web1", State.FAILED, error="1 of 9 checks failed: nginx does not run"))
    assert book.past().nodes["web1"].serves == SERVES
    more = Served((25, 443), ("postfix",), ((25, "postfix"),))
    taken_up(book, "web1", PLACE, ("converge", CONVERGE | (SERVES | more).detail))
    assert book.past().nodes["web1"].serves == Served(
        (443, 25), ("nginx", "postfix"), ((443, "nginx"), (25, "postfix"))
    )


def test_steps_from_before_its_end_do_not_count(book):
    book.steps("web1", PLACE, ("see what it serves", {"wave": 1}), ("converge", CONVERGE))
    book.end(ended("web1", State.FAILED, error="chef-client ended with 1"))
    book.past().nodes["web1"].take_up(book.journal, "r1")
    before = book.past().nodes["web1"]
    assert (before.wave, before.converge, before.end.record.state) == (0, None, State.FAILED)


@pytest.mark.parametrize("record", [{}, [], {"was": "patched"}, {"was": "odd", "record": {}}, {"record": [1]}])
def test_a_spoilt_journal_is_a_node_that_nothing_is_known_of(book, record):
    book.steps("web1", (TAKE_UP, record if isinstance(record, dict) else {}), "connect")
    before = book.past().nodes["web1"]
    assert not before.good
    assert not before.changed


def test_who_was_verified_again_is_what_it_was(book):
    book.end(patched("web1"))
    now = ended("web1", State.ALREADY_PATCHED, packages_before=NEW, packages_after=NEW, seconds=1.0)
    book.past().nodes["web1"].join(now)
    record, before = now.record, patched("web1").record
    assert (record.state, record.packages_before, record.actions) == (State.PATCHED, OLD, ["reloaded ssh"])
    assert (record.wave, record.started, record.seconds) == (1, before.started, before.seconds)


def test_who_does_not_hold_any_more_is_not_called_patched(book):
    book.end(patched("web1"))
    now = ended("web1", State.STALE, packages_before=NEW, packages_after=NEW, error="still running the old library")
    book.past().nodes["web1"].join(now)
    assert (now.record.state, now.record.packages_before) == (State.STALE, OLD)
    lost = ended("web1", State.UNREACHABLE, error="no route")
    book.past().nodes["web1"].join(lost)
    assert (lost.record.state, lost.record.packages_after) == (State.UNREACHABLE, NEW)


def test_a_converge_that_nobody_heard_of_any_more_counts_as_this_runs(book):
    book.steps("web1", PLACE, ("see what it serves", {"wave": 1}), ("converge", CONVERGE))
    now = ended("web1", State.ALREADY_PATCHED, packages_before=NEW, packages_after=NEW)
    book.past().nodes["web1"].join(now)
    assert (now.record.state, now.record.packages_before) == (State.PATCHED, OLD)
    untouched = ended("web1", State.ALREADY_PATCHED, packages_before=OLD, packages_after=OLD)
    book.past().nodes["web1"].join(untouched)
    assert untouched.record.state is State.ALREADY_PATCHED


def test_who_is_spared_keeps_what_is_true(book):
    book.end(patched("good"))
    book.end(ended("bad", State.FAILED, error="it failed"))
    book.steps("cut", PLACE, ("see what it serves", {"wave": 2}), ("converge", CONVERGE))
    book.steps("new")
    past = book.past()
    past.nodes["good"].wanting = False
    ends = {name: past.spare(node(name), "a stop").record for name in ("good", "bad", "cut", "new", "unknown")}
    assert {name: record.state for name, record in ends.items()} == {
        "good": State.PATCHED, "bad": State.FAILED, "cut": State.PENDING, "new": State.SKIPPED,
        "unknown": State.SKIPPED,
    }
    assert ends["cut"].error == "cut short in converge, and not gone on with: a stop"
    past.nodes["good"].wanting = True
    assert past.spare(node("good"), "a stop").record.state is State.SKIPPED


def test_which_run_is_meant(book):
    book.finish(2)
    book.journal.begin("r2", {"verb": "verify", "environment": "production"}, datetime.now(UTC))
    book.journal.begin("r3", {"verb": "patch", "environment": "staging", "process": GONE}, datetime.now(UTC))
    assert book.past().run == "r3"
    assert book.past(None, "production").run == "r1"
    assert book.past("r1").run == "r1"
    with pytest.raises(SettingsError, match="run r2 changed nothing"):
        book.past("r2")
    with pytest.raises(SettingsError, match="holds no run of `invoke patch` of elsewhere"):
        book.past(None, "elsewhere")


@pytest.mark.parametrize("code", [2, 3, 10, 130, 1])
def test_a_run_that_did_not_end_well_can_be_resumed(book, code):
    book.finish(code)
    assert book.past().line.exit_code == code


def test_a_run_that_ended_well_has_nothing_to_resume(book):
    book.finish(0)
    with pytest.raises(NothingToResumeError, match="nothing to resume: run r1 ended with 0") as said:
        book.past()
    assert said.value.exit_code == 0


def test_a_run_that_is_alive_is_left_alone(tmp_path):
    book = Book(tmp_path / "j.db", process=who.process())
    with pytest.raises(SettingsError, match=rf"run r1 is running, as process {os.getpid()}"):
        book.past()
    book.journal.close()


def test_a_run_of_another_machine_is_told(tmp_path):
    book = Book(tmp_path / "j.db", host="elsewhere", process={"pid": 7, "born": "a b 1"})
    assert "run r1 was begun on elsewhere" in resume.unseen(book.past())
    book.journal.close()


def test_of_two_who_resume_it_one_does(book):
    book.finish(3)
    first, second = book.past(), book.past()
    about, was = resume.enter(book.journal, first, {"versions": {}})
    assert about["resumed"]["times"] == 1
    with pytest.raises(SettingsError, match="is running, as process"):
        resume.enter(book.journal, second, {})
    with History(book.path) as history:
        assert (history.run("r1").stage, history.run("r1").exit_code) == ("running", None)
        assert [step.name for step in history.steps("r1")] == ["resume"]
    book.journal.finish_again("r1", *was)
    assert book.past().line.exit_code == 3


class Server:
    """A Chef server that knows one node."""

    url = "s"

    def get(self, path):
        if path != "/nodes/moved":
            raise NotFoundError("no such node")
        return {"name": "moved", "chef_environment": "stag\x1bing"}


def planned(book, nodes, **settings) -> Plan:
    return resume.planned(Server(), book.past(), nodes, [], Settings(**settings))


def test_every_node_of_the_run_stays_in_it(book):
    book.end(patched("patched"))
    book.end(ended("deleted", State.FAILED, error="it failed"))
    book.steps("moved", PLACE, ("see what it serves", {}), ("converge", CONVERGE))
    made = planned(book, [node("web1")])
    ends = {outcome.record.name: outcome.record for outcome in made.left_out}
    assert {name: record.state for name, record in ends.items()} == {
        "patched": State.PATCHED, "deleted": State.SKIPPED, "moved": State.UNREACHABLE,
    }
    assert ends["patched"].note == "not verified again: the search does not find it any more"
    assert ends["deleted"].error == "it is not on the Chef server any more; it ended failed before: it failed"
    assert ends["moved"].error == (
        "the search does not find it any more, though it is on the Chef server, in the environment stag?ing; "
        "it was cut short in converge"
    )
    assert (ends["moved"].address, ends["moved"].environment) == ("192.0.2.1", "production"), "as the run knew it"
    assert [each.name for each in made.asked] == ["web1"]


def test_who_was_cut_short_comes_first_and_who_failed_second(book):
    book.end(patched("a"))
    book.end(ended("b", State.ALREADY_PATCHED))
    book.end(ended("c", State.SKIPPED, error="not touched: a stop"))
    book.end(ended("d", State.FAILED))
    book.steps("e", PLACE, ("see what it serves", {"wave": 2}), ("converge", CONVERGE))
    made = planned(book, [node(name) for name in "abcdef"])
    assert [each.name for each in made.asked] == ["e", "d", "a", "b", "c", "f"]
    assert made.begun == Begun({"e": 2}, frozenset("a"), frozenset("b"))
    told = list(resume.told(book.past(), made))
    assert told[0].startswith("resumes      run r1 of 2026-01-02T00:00:00.000Z, which was broken off")
    assert told[1].strip() == "1 cut short are gone on with, 2 that are in order verified, 3 are left, 1 of them new"


def test_a_limit_keeps_its_nodes(book):
    book.end(patched("a"))
    book.end(Outcome(rollout.begun(node("b"), state=State.SKIPPED, error=f"{plan.LATER} 2").record))
    book.end(ended("c", State.FAILED))
    made = planned(book, [node(name) for name in "abcd"], limit=2)
    assert [each.name for each in made.asked] == ["c", "a"]
    assert {each.record.name: each.record.error for each in made.left_out} == {
        "b": "left for later by --limit 2", "d": "left for later by --limit 2",
    }


def test_a_run_that_was_killed_before_it_had_nodes_begins_anew(book):
    made = planned(book, [node(name) for name in "abcd"], limit=2)
    assert [each.name for each in made.asked] == ["a", "b"]
    assert made.begun.names == frozenset()


def test_a_run_that_came_to_nothing_leaves_the_journal_as_it_was(book):
    made = Plan((node("web1"),), (), {})
    begun = entry.begin(book.journal, Settings(env="production"), "s", [], made)
    with History(book.path) as history:
        assert [each.name for each in history.nodes(begun.run)] == ["web1"]
    begun.give_up()
    with History(book.path) as history:
        assert [run.id for run in history.runs(9)] == ["r1"]
    book.finish(3)
    book.end(patched("web1"))
    again = entry.go_on(book.journal, book.past(), Settings(env="production"), [], made, {})
    assert (again.run, list(again.earlier)) == ("r1", ["web1"])
    again.give_up()
    with History(book.path) as history:
        assert "settings" not in history.run("r1").about
    elsewhere = Plan((replace(node("web2"), environment="staging"),), (), {})
    again = entry.go_on(book.journal, book.past(), Settings(query="name:web*"), [], elsewhere, {})
    book.finish(2)
    assert book.past().environments == {"staging"}, "whose lock it takes now, and a resume gives back"
    again.give_up()
    for flags in ({"report": "/r", "sudo": False}, {"report": None, "ssh_user": "ops"}):
        said = {name: value for name, value in flags.items() if value} | {"report": "/r"}
        again = entry.go_on(book.journal, book.past(), Settings(env="production", **said), [], made, flags)
        book.finish(2)
    assert again.about["settings"]["how"] == {"report": "/r", "ssh_user": "ops"}
    again.give_up()
    assert book.past().line.exit_code == 2


def test_what_the_node_says_of_what_it_served_is_read_back_strictly():
    assert Served.of(json.loads(json.dumps(SERVES.detail))) == SERVES
    assert Served.of({"tls": ["443", True, None, 25], "services": 7, "whose": [[1], [443, 9], "x"]}) == Served(
        (25,), (), ((443, "9"),)
    )
