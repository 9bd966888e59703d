"""What a rollout through the Chef server leaves, however it ends: run lists as they were, nodes back in their pools.

And what a resume makes of it.
"""

import asyncio
import functools
import threading

import pytest

from fleet import edits, hooks, rollout
from fleet.earlier import Earlier
from fleet.node import Node, State
from tests.chef_nodes import ENTRY, NEW, OLD, last_run, roll, states


@pytest.fixture
def aside():
    return []


@pytest.fixture
def go(there, chef, journal, aside):
    """Return what takes the nodes that are there their way, and returns the rollout; `aside` has what it said besides.
    """
    return functools.partial(roll, there, chef, journal, aside)


def test_an_entry_that_a_late_run_put_back_is_taken_out_at_the_end(there, go):
    for name in "ab":
        there.add(name)

    puts = []

    def poll():
        if ENTRY in there.nodes["a"]["run_list"] and not puts:
            there.run("a")
        elif ENTRY in there.nodes["b"]["run_list"]:
            puts.append(there.asked.count(("PUT", "/nodes/a")))
            if puts[-2:] == [2, 2]:  # a's is out again, since a while: now a run saves that had begun with it
                there.run("a", 2, run_list=[ENTRY])
                there.run("b")

    there.polled = poll
    assert states(go()) == {"a": "patched", "b": "patched"}
    assert [there.nodes[name]["run_list"] for name in "ab"] == [[], []]
    assert there.asked.count(("PUT", "/nodes/a")) == 3


def test_keep_leaves_it_where_it_was_put(there, go, journal, aside):
    there.add("web1", ["recipe[base]"])
    there.polled = lambda: there.run("web1")
    going = go(keep=True)
    assert states(going) == {"web1": "patched"}
    assert there.nodes["web1"]["run_list"] == ["recipe[base]", ENTRY]
    assert (edits.left(journal.steps("r1")), aside) == ({}, [])


def test_an_interruption_takes_the_entries_out_and_says_who_was_under_way(there, go, journal):
    there.add("a", ["recipe[base]"])

    def stop(cancel):
        there.polled = cancel

    going = go(stop=stop)
    assert going.interrupted
    assert states(going) == {"a": "pending"}
    assert going.outcomes["a"].record.error == "interrupted on its way; see what it is at"
    assert there.nodes["a"]["run_list"] == ["recipe[base]"]
    assert edits.left(journal.steps("r1")) == {}


def test_an_interruption_in_the_middle_of_an_edit_leaves_no_entry(there, go, journal):
    """The request that is under way cannot be called back: what it writes comes after whatever overtakes it."""
    there.add("a", ["recipe[base]"])
    overtaken = threading.Event()

    def stop(cancel):
        def held():
            there.before["GET", "/nodes/a"] = [overtaken.set]  # the next to read it takes the entry out
            cancel()
            overtaken.wait(1)

        there.before["GET", "/nodes/a"] = [lambda: None, held]  # the second is right before the entry is written

    assert states(go(stop=stop)) == {"a": "pending"}
    assert there.nodes["a"]["run_list"] == ["recipe[base]"]
    assert edits.left(journal.steps("r1")) == {}


def test_an_entry_that_cannot_be_taken_out_is_told_and_stays_in_the_journal(there, go, journal, aside):
    there.add("web1")
    there.polled = lambda: there.run("web1")
    there.before["PUT", "/nodes/web1"] = [lambda: None, lambda: there.refused.update({("PUT", "/nodes/web1"): 403})]
    going = go()
    assert states(going) == {"web1": "patched"}
    (told,) = aside
    assert told.startswith(
        "our entry may still stand in the run list of web1: take it out with "
        "`knife node run_list remove web1 'recipe[openssl_patch@1.0.7]'` ("
    )
    assert "does not allow 'ops' to PUT /nodes/web1" in told
    assert {name: edit.entries for name, edit in edits.left(journal.steps("r1")).items()} == {"web1": (ENTRY,)}


def test_a_run_that_is_resumed_goes_on_with_the_entry_that_stands(there, go, journal):
    there.add("web1", ["recipe[base]", ENTRY])
    journal.step("r1", "web1", edits.ADD, entry=ENTRY, before=[None, None], run_list=["recipe[base]"])
    there.run("web1")  # while nobody looked
    assert states(go()) == {"web1": "patched"}
    assert there.nodes["web1"]["run_list"] == ["recipe[base]"]
    assert there.puts() == 1


def test_a_resumed_runs_older_entry_gives_way_to_the_new_one(there, go, journal):
    old = "recipe[openssl_patch@1.0.6]"
    there.add("web1", ["recipe[base]", old])
    journal.step("r1", "web1", edits.ADD, entry=old, before=[None, None], run_list=["recipe[base]"])
    seen = []

    def poll():
        seen.append(list(there.nodes["web1"]["run_list"]))
        there.run("web1")

    there.polled = poll
    assert states(go()) == {"web1": "patched"}
    assert (seen[0], there.nodes["web1"]["run_list"]) == (["recipe[base]", ENTRY], ["recipe[base]"])


def ended(state, **known):
    """Return what a run did with web1 before it was resumed: it ended, in the first wave."""
    outcome = rollout.begun(Node("web1", "production"), 1, state)
    outcome.record.packages_before, outcome.record.packages_after = OLD, NEW
    return {"web1": Earlier("web1", outcome, **known)}


@pytest.mark.parametrize("recorded_still", [True, False])
def test_a_resume_verifies_who_was_patched_by_the_record_or_leaves_the_end_as_it_was(there, go, recorded_still):
    there.add("web1", default={"openssl_patch": {"last_run": last_run(1)}} if recorded_still else {})
    going = go(earlier=ended(State.PATCHED))
    record = going.outcomes["web1"].record
    assert (record.state, record.wave, record.packages_before, there.puts()) == (State.PATCHED, 1, OLD, 0)


def test_a_resume_that_finds_an_old_library_again_says_so(there, go):
    there.add("web1", default={"openssl_patch": {"last_run": last_run(1, packages_after=OLD)}})
    assert states(go(earlier=ended(State.PATCHED))) == {"web1": "failed"}


def hooked(tmp_path, drain):
    """Return hooks that say in a file what they were called with; the first ends with `drain`."""
    programs = {}
    for step, code in {"drain": drain, "return": 0}.items():
        program = tmp_path / step
        program.write_text(f'#!/bin/sh\necho {step} "$@" >>{tmp_path}/told\nexit {code}\n')
        program.chmod(0o755)
        programs[step] = {"run": [str(program)]}
    return hooks.parse(programs, "hooks")


def test_hooks_of_the_controller_run_before_the_edit_and_after_the_end(there, go, tmp_path):
    there.add("web1")
    seen = []
    there.before["PUT", "/nodes/web1"] = [lambda: seen.append((tmp_path / "told").read_text())]
    there.polled = lambda: there.run("web1")
    assert states(go(hooks=hooked(tmp_path, 0))) == {"web1": "patched"}
    assert [word.split() for word in seen] == [["drain", "web1"]]
    assert (tmp_path / "told").read_text().split() == ["drain", "web1", "return", "web1"]


def test_a_failing_drain_leaves_the_node_as_it_is(there, go, tmp_path):
    there.add("web1")
    going = go(hooks=hooked(tmp_path, 3))
    assert (states(going), there.puts()) == ({"web1": "skipped"}, 0)
    assert "nothing was changed on it" in going.outcomes["web1"].record.error


def test_a_drained_node_that_never_ran_is_told_to_be_out(there, go, tmp_path):
    there.add("web1")
    going = go(hooks=hooked(tmp_path, 0), hasty=True)
    assert states(going) == {"web1": "failed"}
    assert "it was drained and is not returned" in going.outcomes["web1"].record.error
    assert str(tmp_path / "return") in going.outcomes["web1"].todo


def test_a_server_that_is_gone_at_the_end_is_not_waited_for_once_a_node(there, chef, journal):
    for number in range(40):
        there.add(f"n{number}", [ENTRY])
        journal.step("r1", f"n{number}", edits.ADD, entry=ENTRY, before=[None, None])
        there.refused["GET", f"/nodes/n{number}"] = 0  # no answer
    standing = edits.Edits(chef, journal, "r1", ENTRY)
    asyncio.run(standing.clear([]))
    assert len(standing.standing) == 40
    assert len(there.asked) <= 3 * (edits.AT_ONCE + edits.UNANSWERED)  # each tried three times
    assert "of n0, n1, n10, n11" in standing.told()
    assert "and 20 more: take it out with" in standing.told()
    assert "closed the connection" in standing.told()
