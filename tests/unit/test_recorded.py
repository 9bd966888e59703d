"""What a node's record on the Chef server makes of the node: never more than it proves."""

import pytest

from fleet import recorded, rollout
from fleet.errors import NodeError
from fleet.node import Node, State
from generator import advisory
from tests.chef_nodes import NEW, OLD, VERSION, last_run

HEARTBLEED = advisory.load(["heartbleed"])
COUNTED = recorded.kinds(HEARTBLEED, strict=False)
STALE = {"pid": "7", "kind": "service", "service": "shop", "command": "shopd", "library": "/usr/lib/libssl.so.1.0.0"}


@pytest.mark.parametrize(("changes", "state", "said"), [
    ({"packages_after": OLD}, State.FAILED, "still vulnerable"),
    ({"verdict": {"kind": "vulnerable", "reasons": ["the recipe says so"]}}, State.FAILED, "the recipe says so"),
    ({"packages_after": {**NEW, "libssl1.0.0:i386": OLD["libssl1.0.0"]}}, State.FAILED, "still vulnerable"),
    ({"packages_after": {}}, State.UNKNOWN, "no OpenSSL package"),
    ({"stale_after": [STALE]}, State.STALE, "still running the old library: shop"),
    ({"stale_after": [STALE | {"kind": "session"}]}, State.PATCHED, None),
    ({"stale_after": [STALE | {"kind": "session"}] * 50}, State.UNKNOWN, "may leave out others"),
    ({"reboot": ["PID 1 is no systemd"]}, State.REBOOT_REQUIRED, "only a reboot helps"),
    ({"unread": 2}, State.UNKNOWN, "2 processes could not be looked into"),
    ({"status": "failure", "error": "apt is broken"}, State.FAILED, "its run failed: apt is broken"),
    ({"actions": ["report"]}, State.FAILED, "its run only reported"),
    ({"packages_before": NEW, "reloaded": []}, State.ALREADY_PATCHED, None),
    ({}, State.PATCHED, None),
])
def test_no_end_is_better_than_the_record(changes, state, said):
    outcome = rollout.begun(NODE)
    recorded.end(outcome, NODE, node_with(last_run(1, **changes)), VERSION, HEARTBLEED, COUNTED)
    assert outcome.record.state is state
    assert (outcome.record.error is None) if said is None else (said in outcome.record.error)
    assert (outcome.record.note == recorded.NOTE) is state.good


NODE = Node("web1", "production", None, "debian", "7.8")


def node_with(record):
    return {"name": "web1", "automatic": {}, "default": {"openssl_patch": {"last_run": record}}}


def test_another_version_of_the_cookbook_is_no_record_of_ours():
    outcome = rollout.begun(NODE)
    recorded.end(outcome, NODE, node_with(last_run(1)), "1.0.8", HEARTBLEED, COUNTED)
    assert (outcome.record.state, outcome.record.error) == (
        State.FAILED, "it converged openssl_patch 1.0.7 and not 1.0.8",
    )


@pytest.mark.parametrize("kind", ["newest", "vulnerable", "unknown", "whatever it likes"])
def test_on_day_zero_the_recipes_own_verdict_counts(kind):
    outcome = rollout.begun(NODE)
    record = last_run(1, verdict={"kind": kind, "reasons": ["the newest there is"]})
    recorded.end(outcome, NODE, node_with(record), VERSION, [advisory.latest()], COUNTED)
    expected = {"newest": State.PATCHED, "vulnerable": State.FAILED}.get(kind, State.UNKNOWN)
    assert outcome.record.state is expected
    if kind == "newest":
        assert outcome.record.note == f"the newest there is; {recorded.NOTE}"


@pytest.mark.parametrize("change", [
    {"format": 3}, {"stale_after": None}, {"stale_after": [7]}, {"packages_after": {"openssl": "1 <b>"}},
    {"packages_after": ["openssl"]}, {"unread": "many"}, {"verdict": None}, {"actions": "upgrade"},
])
def test_a_record_that_is_none_is_no_end(change):
    with pytest.raises(NodeError, match="what it recorded on the Chef server is not what the cookbook writes: "):
        recorded.of(node_with(last_run(1) | change))


@pytest.mark.parametrize("odd", [None, 7, [], {"last_run": 7}, {"last_run": []}])
def test_what_is_no_record_has_no_mark_and_no_version(odd):
    found = {"default": {"openssl_patch": odd}}
    assert (recorded.mark(found), recorded.version(found)) == ([None, None], None)
