"""Nodes that are asked over SSH which packages they have: what they say counts, and who says nothing is unknown.

A connection is made up here; tests/lab/test_assess.py asks a real node.
"""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from fleet import assess_live, plan, rollout
from fleet.assess import assess
from fleet.errors import NodeError, UnreachableError
from fleet.node import Node, State
from fleet.settings import Settings
from generator import advisory

HEARTBLEED = advisory.load(["CVE-2014-0160"])
SETTINGS = Settings(env="production", concurrency=4)
NOW = 1_700_000_000.0
HEAD = "styptic-look 1\nuid\t1000\nname\t{}\npackage\tdpkg\topenssl\t{}\tinstall ok installed\npackages\tdpkg\n"
REST = "styptic-probe 3\nunread\t0\nend\n"
BELOW, FIXED = "1.0.1e-2+deb7u4", "1.0.1e-2+deb7u5"


def node(name, packages=None, **other):
    packages = {"openssl": BELOW} if packages is None else packages
    return Node(name, "production", "192.0.2.1", "debian", "7.11", packages, **other)


class Ways:
    """Connections to nodes that answer as `said`: an answer, or an error."""

    def __init__(self, **said):
        self.said, self.closed = said, False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.closed = True

    async def connect(self, node):
        if isinstance(answer := self.said[node.name], Exception):
            raise answer

        async def run(argv, **_):
            return SimpleNamespace(rc=0, stdout=answer.encode(), stderr=b"", truncated=False)

        @contextlib.asynccontextmanager
        async def connection():
            yield SimpleNamespace(run=run)

        return connection()


def asked(*nodes, **said):
    """Return the assessment of what these nodes answer, and how each ended."""
    made = plan.make(nodes, HEARTBLEED, SETTINGS, converge=False)
    ways, ended = Ways(**said), []
    outcomes, packages = asyncio.run(assess_live.ask(SETTINGS, ways, HEARTBLEED, made, ended.append))
    assert ways.closed
    assert len(ended) == len(made.asked)
    now, troubles = assess_live.answers(nodes, made.left_out, outcomes, packages, NOW)
    found = assess(now, HEARTBLEED, 60, NOW, troubles)
    return {finding.node.name: finding for finding in found.findings}, outcomes


def test_what_a_node_says_now_counts_whatever_it_reported_once():
    found, outcomes = asked(
        node("a"), node("b", {"openssl": FIXED}), a=HEAD.format("a", FIXED) + REST, b=HEAD.format("b", BELOW) + REST
    )
    assert {name: finding.kind for name, finding in found.items()} == {"a": "fixed", "b": "vulnerable"}
    assert not any(finding.old or finding.silent for finding in found.values())
    assert {each.record.name: each.record.state for each in outcomes} == {
        "a": State.ALREADY_PATCHED, "b": State.FAILED,
    }


@pytest.mark.parametrize(("answer", "why"), [
    (UnreachableError("no route to host."), "no route to host."), (NodeError("it hung."), "it hung."),
    ("nothing whole", "no whole answer"), (HEAD.format("other", FIXED) + REST, "is other by its own client.rb"),
    (ValueError("surprise"), "a fault in Styptic itself"),
])
def test_who_gives_no_answer_is_unknown_and_costs_no_other(answer, why):
    found, _ = asked(node("a", {"openssl": FIXED}), node("b"), a=answer, b=HEAD.format("b", FIXED) + REST)
    assert found["a"].kind == "unknown"
    assert why in found["a"].reason
    assert found["b"].kind == "fixed"


def test_who_cannot_be_asked_is_unknown_and_who_need_not_be_stays():
    nowhere = Node("a", "production", None, "debian", "7.11", {"openssl": FIXED}, NOW)
    spared = Node("b", "production", "192.0.2.1", "ubuntu", "10.04", {}, NOW)
    foreign = Node("c", "production", "192.0.2.1", "windows", "10", {}, NOW)
    found, outcomes = asked(nowhere, spared, foreign)
    assert outcomes == []
    assert {name: finding.kind for name, finding in found.items()} == {
        "a": "unknown", "b": "not_affected", "c": "skipped",
    }
    assert "no address" in found["a"].reason


def test_a_node_that_hangs_has_its_time():
    class Hanging(Ways):
        async def connect(self, node):
            await asyncio.Event().wait()

    settings = Settings(env="production", timeout=1)
    enquirer = assess_live.Enquirer(Hanging(), settings, HEARTBLEED)
    outcome = asyncio.run(enquirer(node("a"), rollout.Gate()))
    assert (outcome.record.state, outcome.record.error) == (State.UNREACHABLE, "it did not answer within 1 s")
