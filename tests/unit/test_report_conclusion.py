"""The last words of a run: what matters first, then who needs a person, those together of whom the same is to say."""

from datetime import UTC, datetime
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from fleet import rollout
from fleet.node import Node, State
from fleet.report import conclusion
from fleet.report.record import Outcome
from fleet.rollout import Rollout, begun


def ended(name="web1", state=State.PATCHED, error=None, todo=None, seconds=1.23, **values) -> Outcome:
    outcome = begun(Node(name, "production", "192.0.2.1"), int(state is not State.SKIPPED), state, error)
    outcome.todo, outcome.record.seconds = todo, seconds
    outcome.record.started = None if state in (State.NOT_AFFECTED, State.SKIPPED) else datetime(2026, 1, 2, tzinfo=UTC)
    for key, value in values.items():
        setattr(outcome.record, key, value)
    return outcome


def said(*outcomes, stopped=None, whom="production") -> list[str]:
    going = Rollout({outcome.record.name: outcome for outcome in outcomes}, stopped)
    return list(conclusion.conclusion(going, whom))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.sampled_from(State))
def test_whatever_a_node_says_is_one_line(text, state):
    outcome = ended(
        text, state, text or None, text, packages_before={text: "1"}, packages_after={text: text}, actions=[text]
    )
    for line in said(outcome, whom=text, stopped=text or None):
        assert line.isprintable()


def test_the_conclusion_says_that_all_is_well():
    assert said(ended("web1"), ended("web2", State.ALREADY_PATCHED)) == [
        "production: 2 of 2 nodes are good and verified (1 patched, 1 already patched)."
    ]
    assert said(ended("web1"), ended("web3", State.NOT_AFFECTED)) == [
        "production: 2 of 2 nodes are good and 1 of them verified, the others not affected (1 patched, 1 not affected)."
    ]


def test_the_conclusion_names_who_needs_a_person_the_worst_first():
    outcomes = [
        ended("web4", State.UNREACHABLE, "no route"), ended("web3", State.STALE, "mysqld", "restart mysqld"),
        ended("web2", State.FAILED, "no mirror", "mend it"), ended("web1"),
    ]
    assert said(*outcomes) == [
        "production: 3 of 4 nodes are not good (1 failed, 1 stale, 1 unreachable, 1 patched).",
        "  web2 (failed): no mirror",
        "    to do: mend it",
        "  web3 (stale): mysqld",
        "    to do: restart mysqld",
        "  web4 (unreachable): no route",
    ]


def test_nodes_left_alone_are_told_together():
    later = [ended(f"n{number}", State.SKIPPED, "left for later by --limit 1") for number in range(1, 10)]
    assert said(ended("web1"), *later, ended("win1", State.SKIPPED, "windows 10 is not a platform")) == [
        "production: 1 of 11 nodes are good and verified (10 skipped, 1 patched).",
        "  n1, n2, n3, n4, n5 and 4 more (skipped): left for later by --limit 1",
        "  win1 (skipped): windows 10 is not a platform",
    ]


def test_a_stop_is_said_first():
    stopped = "the canary n1 failed"
    spared = [ended(name, State.SKIPPED, f"not touched: {stopped}") for name in ("n2", "n3")]
    assert said(ended("n1", State.FAILED, "no mirror"), *spared, stopped=stopped) == [
        "Stopped: the canary n1 failed; 2 of 3 nodes of production left alone (1 failed, 2 skipped).",
        "  n1 (failed): no mirror",
        "  n2, n3 (skipped): not touched: the canary n1 failed",
    ]


def test_an_interruption_says_who_was_under_way():
    under_way = ended("n2", State.PENDING, "interrupted on its way")
    assert said(ended("n1"), under_way, ended("n3", State.PENDING), ended("n4", State.PENDING)) == [
        "production: 3 of 4 nodes are not good (3 pending, 1 patched).",
        "  n2 (pending): interrupted on its way",
        "  n3, n4 (pending): not reached",
    ]


def test_nobody_asked_is_said():
    assert said(ended("win1", State.SKIPPED, "windows"))[0] == "production: none of 1 nodes was asked."
    assert said() == ["production: none of 0 nodes was asked."]


def test_what_may_have_leaked_is_told_where_a_node_was_patched():
    leaks, tight = SimpleNamespace(id="A-1", follow_up="reissue keys"), SimpleNamespace(id="A-2", follow_up=None)
    said, where = conclusion.follow_up([ended()], [leaks, tight])
    assert said == "A-1 may have leaked before: reissue keys."
    assert where.startswith("`invoke exposure --advisory A-1` says which keys")
    for whom, asked, listed in (
        (("a b", "name:x"), "--env 'a b'", "--env 'a b' "), ((None, "roles:web AND name:x"),
        "--query 'roles:web AND name:x'", ""), (("*", None), "--env '*'", "--env '*' "),
    ):
        where = list(conclusion.follow_up([ended()], [leaks, tight], *whom))[1]
        assert where == (
            f"`invoke exposure {asked} --advisory A-1` says which keys were within reach, "
            f"`invoke followup.list {listed}--advisory A-1` what else to change."
        )
    assert list(conclusion.follow_up([ended()], [tight])) == []
    assert list(conclusion.follow_up([ended(state=State.ALREADY_PATCHED)], [leaks])) == []


def test_what_has_to_be_known_of_a_good_node_is_told_with_it_and_at_the_end():
    note = "no advisory says yet that it has the fix"
    outcomes = [ended("web1", note=note), ended("web2", State.ALREADY_PATCHED, note=note), ended("web3")]
    assert conclusion.told(outcomes[1]) == note
    assert list(conclusion.follow_up(outcomes, [])) == [f"2 of 3 nodes: {note}."]


def test_every_state_has_its_place():
    assert sorted(conclusion.ORDER) == sorted(State)
    for state in State:
        outcome = ended(state=state)
        lines = said(outcome)
        assert (len(lines) == 1) is (state.good)
        assert rollout.prepare([], [outcome]).outcomes == {"web1": outcome}


def test_nodes_of_which_the_same_is_to_say_share_a_line():
    alike = [ended(f"n{number:02}", State.FAILED, "no mirror", "mend it") for number in range(25)]
    other = ended("m1", State.FAILED, "no mirror", "mend another")
    names = ", ".join(f"n{number:02}" for number in range(20))
    assert said(*alike, other)[1:] == [
        "  m1 (failed): no mirror", "    to do: mend another",
        f"  {names} and 5 more (failed): no mirror", "    to do: mend it",
    ]


def test_a_fleet_of_which_every_node_fails_in_its_own_way_leaves_the_sentence_in_sight():
    lines = said(*(ended(f"n{number:03}", State.FAILED, f"why {number}") for number in range(200)))
    assert len(lines) == 1 + conclusion.MOST + 1
    assert lines[-1] == "  and 150 more nodes: see the report, or `invoke show`"


def test_a_run_that_has_not_ended_says_so():
    outcomes = [ended("web1"), ended("web2", State.PENDING)]
    said = conclusion.verdict(outcomes, "production", None)
    assert said == "production: not ended; 1 of 2 nodes are good so far (1 pending, 1 patched)."
