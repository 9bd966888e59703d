"""Nodes patched through the Chef server: a real HTTP server holds their objects, and their chef-clients run between two
requests, when a test says so. tests/lab/test_via_server.py has real ones."""

import copy
import functools

import pytest

from fleet import edits, recorded
from fleet.journal import Journal
from fleet.node import State
from fleet.report.record import UNPROVEN
from fleet.via_server import query
from fleet.waves import Amount
from tests.chef_nodes import ALL, ENTRY, NEW, OLD, last_run, roll, states


@pytest.fixture
def aside():
    return []


@pytest.fixture
def go(there, chef, journal, aside):
    """Return what takes the nodes that are there their way, and returns the rollout; `aside` has what it said besides.
    """
    return functools.partial(roll, there, chef, journal, aside)


def steps(journal, name):
    return [step for whom, step, _ in journal.steps("r1") if whom == name]


def test_a_node_is_patched_by_its_own_run_and_has_its_run_list_back(there, go, journal, aside):
    node = there.add("web1", ["role[web]"], normal={"tags": ["a"], "owner": "ada"})
    there.polled = lambda: there.run("web1") if ENTRY in there.nodes["web1"]["run_list"] else None
    going = go()
    outcome = going.outcomes["web1"]
    record = outcome.record
    assert (record.state, record.wave, record.error) == (State.PATCHED, 1, None)
    assert (record.packages_before, record.packages_after, record.actions) == (OLD, NEW, ["reloaded nginx"])
    assert record.note == recorded.NOTE
    assert [(check.name, check.outcome) for check in outcome.checks] == [(UNPROVEN, "skipped")]
    assert there.nodes["web1"]["run_list"] == ["role[web]"]
    assert there.nodes["web1"]["normal"] == node["normal"]
    assert steps(journal, "web1") == [
        "look at its node object", "ask for a place in the wave", "add to its run list", "wait for chef-client",
        "read its record", "take off its run list", "is off its run list",
    ]
    (added,) = [detail for _, step, detail in journal.steps("r1") if step == "add to its run list"]
    assert added == {"wave": 1, "entry": ENTRY, "before": [None, None], "run_list": ["role[web]"]}
    assert (edits.left(journal.steps("r1")), aside) == ({}, [])



def test_the_journal_has_an_edit_before_it_is_made(there, go, journal):
    there.add("web1")
    seen = []
    there.before["PUT", "/nodes/web1"] = [lambda: seen.append(known(journal))]
    there.polled = lambda: there.run("web1")
    assert states(go()) == {"web1": "patched"}
    assert seen == [{"web1": (ENTRY,)}]


def known(journal):
    with Journal(journal.path) as other:  # a connection belongs to one thread
        return {name: edit.entries for name, edit in edits.left(other.steps("r1")).items()}


def test_one_search_a_poll_however_many_nodes_wait(there, go):
    names = [f"n{number}" for number in range(12)]
    for name in names:
        there.add(name)
    polls = []

    def poll():
        if all(ENTRY in node["run_list"] for node in there.nodes.values()):
            polls.append(len(there.asked))
        if len(polls) == 8:
            for name in names:
                there.run(name)

    there.polled = poll
    assert set(states(go()).values()) == {"patched"}
    assert polls[7] - polls[4] == 3  # nothing but the search between two polls that tell nothing
    assert there.asked.count(("GET", "/nodes/n0")) <= 9


def test_an_edit_that_a_run_overwrote_is_made_again(there, go, journal):
    there.add("web1", ["recipe[base]"])
    polls = []

    def poll():
        polls.append(1)
        if len(polls) == 2:
            there.run("web1", 1, run_list=["recipe[base]"])  # it had begun before the edit
        if len(polls) == 5:
            there.run("web1", 2)

    there.polled = poll
    assert states(go()) == {"web1": "patched"}
    assert steps(journal, "web1").count("add to its run list again") == 1
    assert there.nodes["web1"]["run_list"] == ["recipe[base]"]


def test_an_index_that_lags_is_believed_neither_way(there, go, journal):
    """It shows an old record of the same cookbook, which the object has no more, then an old run list."""
    node = there.add("web1", ["recipe[base]"])
    stale = copy.deepcopy(node) | {"default": {"openssl_patch": {"last_run": last_run(7)}}}
    there.index = {"web1": stale}
    polls = []

    def poll():
        polls.append(1)
        if len(polls) == 2:
            there.index = {"web1": stale | {"automatic": {"ohai_time": 1}, "run_list": []}}
        if len(polls) == 4:
            there.run("web1", 9)
            there.index = None

    there.polled = poll
    assert states(go()) == {"web1": "patched"}
    assert "add to its run list again" not in steps(journal, "web1")
    assert len(polls) >= 4


def test_a_record_that_was_there_before_the_edit_proves_nothing(there, go):
    there.add("web1", default={"openssl_patch": {"last_run": last_run(1)}})
    there.polled = lambda: None
    going = go(hasty=True)
    assert states(going) == {"web1": "failed"}
    record = going.outcomes["web1"].record
    assert record.error == (
        "timed out in wait for chef-client after 30 s (its chef-client may converge the recipe yet)"
    )
    assert there.nodes["web1"]["run_list"] == []


def test_a_node_whose_record_the_search_never_shows_is_looked_at_when_its_time_is_up(there, go):
    there.add("web1")
    there.index = {}
    there.polled = lambda: there.run("web1")
    assert states(go(hasty=True)) == {"web1": "patched"}


def test_a_server_that_fails_for_a_while_costs_no_node(there, go, journal):
    there.add("web1")
    there.refused["POST", "/search/node"] = 500
    polls = []

    def poll():
        polls.append(1)
        if len(polls) == 3:
            there.refused = {("GET", "/nodes/web1"): 500}
            there.run("web1")
        if len(polls) == 5:
            there.refused = {}

    there.polled = poll
    assert states(go()) == {"web1": "patched"}
    (told,) = [detail["error"] for _, step, detail in journal.steps("r1") if step == "poll failed"]
    assert "failed at POST /search/node with 500" in told


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_write_that_a_busy_server_refuses_is_made_again(there, go, status):
    """Both that which adds the entry and that which takes it out."""
    there.add("web1", ["role[web]"])
    path, told = "/nodes/web1", []

    def busy():
        there.refused["PUT", path] = status
        told.append(there.nodes["web1"]["run_list"])
        there.before["GET", path] = [free]

    def free():
        there.refused.clear()

    there.before["PUT", path] = [busy, lambda: None, busy]
    there.polled = lambda: there.run("web1") if ENTRY in there.nodes["web1"]["run_list"] else None
    assert states(go()) == {"web1": "patched"}
    assert (told, there.puts()) == ([["role[web]"], ["role[web]", ENTRY]], 4)
    assert there.nodes["web1"]["run_list"] == ["role[web]"]


def test_what_the_server_said_last_is_told_of_a_node_that_timed_out(there, go):
    there.add("web1")
    there.refused["POST", "/search/node"] = 500
    error = go(hasty=True).outcomes["web1"].record.error
    assert error.startswith("timed out in wait for chef-client after 30 s: http")
    assert "with 500: not now (its chef-client may converge the recipe yet)" in error


@pytest.mark.parametrize(("run_list", "state", "said"), [
    (["recipe[openssl_patch]"], "patched", None), (["role[shop]"], "patched", None), ([ENTRY], "patched", None),
    (["recipe[openssl_patch@1.0.6]"], "failed", "its run list holds openssl_patch at 1.0.6 and would never get 1.0.7"),
])
def test_a_node_that_has_the_recipe_by_itself_is_waited_for_and_not_edited(there, go, run_list, state, said):
    there.roles["shop"] = {"run_list": ["recipe[openssl_patch]"]}
    there.add("web1", run_list)

    def poll():
        there.run("web1", run_list=["recipe[openssl_patch]"])
        there.nodes["web1"]["run_list"] = run_list

    there.polled = poll
    going = go()
    assert states(going) == {"web1": state}
    assert there.puts() == 0
    assert there.nodes["web1"]["run_list"] == run_list
    if said:
        assert going.outcomes["web1"].record.error.startswith(said)


@pytest.mark.parametrize(("keys", "settings", "state", "said"), [
    ({"policy_name": "web", "policy_group": "prod"}, {}, "skipped", "under the policy web and takes cookbooks only"),
    ({"chef_environment": "staging"}, {}, "skipped", "it is in the environment staging by now"),
    ({"automatic": {"ohai_time": None}}, {}, "unreachable", "its chef-client never reported, and nobody connects"),
    ({"automatic": {"ohai_time": 10**400}}, {}, "unreachable", "its chef-client never reported, and nobody connects"),
    ({"automatic": {"ohai_time": 1e9}}, {}, "unreachable", "by its own clock, and nobody connects to it"),
    ({}, {"packages": {"openssl": "9"}}, "unknown", "by what it reported; it was left alone"),
])
def test_who_cannot_be_patched_this_way_is_left_as_it_is(there, go, keys, settings, state, said):
    before = copy.deepcopy(there.add("web1", ["recipe[base]"], **keys))
    going = go(**settings)
    assert states(going) == {"web1": state}
    assert said in going.outcomes["web1"].record.error
    assert (going.outcomes["web1"].record.wave, there.puts()) == (0, 0)
    assert there.nodes["web1"] == before


def test_a_silent_canary_is_replaced(there, go):
    there.add("a", automatic={"ohai_time": 1e9})
    for name in ("b", "c"):
        there.add(name)
    there.polled = lambda: [there.run(name) for name in "bc" if ENTRY in there.nodes[name]["run_list"]]
    going = go((None, *ALL), max_unreachable=Amount(1))
    assert states(going) == {"a": "unreachable", "b": "patched", "c": "patched"}
    assert [going.outcomes[name].record.wave for name in "bc"] == [1, 2]


def test_a_failure_before_the_last_wave_spares_the_rest_and_leaves_no_entry(there, go):
    for name in "abc":
        there.add(name)
    there.polled = lambda: there.run("a", stale_after=[], packages_after=OLD)
    going = go((Amount(1), *ALL))
    assert states(going) == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert going.exit_code == 3
    assert "still vulnerable" in going.outcomes["a"].record.error
    assert {name: node["run_list"] for name, node in there.nodes.items()} == {"a": [], "b": [], "c": []}
    assert {path for method, path in there.asked if method == "PUT"} == {"/nodes/a"}


def test_the_query_names_nodes_as_long_as_a_url_holds_them():
    assert query(["web1", "a:b"], {"production"}) == r"name:web1 OR name:a\:b"
    assert query(["OR"], {"p", "a"}) == "chef_environment:a OR chef_environment:p"
    assert query(["web1", "x y"], {"production"}) == "chef_environment:production"
    assert query([f"node{number}" for number in range(1000)], {"production"}) == "chef_environment:production"
    assert query(["web1", "web2"], {"production"}, 2) == "name:web1 OR name:web2"
    assert query(["web1", "web2", "web3"], {"production"}, 2) == "chef_environment:production"
