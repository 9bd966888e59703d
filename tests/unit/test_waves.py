"""Waves as a person writes them, whom they hold, and what stops a rollout: planning and counting, no time in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import waves
from fleet.errors import SettingsError
from fleet.node import Node, NodeRecord, State
from fleet.waves import MOST_CANARIES, Amount, Course, Tally

AMOUNTS = st.builds(Amount, st.integers(0, 100), st.booleans())
RELEASES = [("debian", "12.5"), ("debian", "7.11"), ("ubuntu", "14.04"), ("centos", "6.5"), (None, None)]


def fleet(count, platform="debian", release="12.5"):
    return [Node(f"n{number}", "production", "192.0.2.1", platform, release) for number in range(1, count + 1)]


def names(wave):
    return [node.name for node in wave.nodes]


def cut(said, nodes, **how):
    return waves.cut(nodes, waves.steps(said, "--waves"), **how)


@pytest.mark.parametrize(
    ("said", "count", "sizes"),
    [
        ("1,10%,50%,100%", 100, [1, 9, 40, 50]), ("1,10%,50%,100%", 3, [1, 2]), ("2,5", 9, [2, 3, 4]),
        ("100%", 7, [7]), ("1", 1, [1]), ("50", 7, [7]), ("10%", 7, [1, 6]), ("canary,10%,100%", 40, [1, 3, 36]),
        ("canary", 5, [1, 4]), (" 1 , 50% ", 4, [1, 1, 2]), (["canary", 2, "50%"], 8, [1, 1, 2, 4]), (3, 4, [3, 1]),
        ("1,10%", 0, []),
    ],
)
def test_each_step_says_how_many_are_changed_when_its_wave_ends(said, count, sizes):
    found = cut(said, fleet(count))
    assert [len(wave.nodes) for wave in found] == sizes
    assert [wave.number for wave in found] == list(range(1, len(sizes) + 1))
    assert [wave.last for wave in found] == [False] * (len(sizes) - 1) + [True] * bool(sizes)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "number of nodes or a share"), ("10%,5%", "must grow"), ("5,5", "must grow"), ("0,5", "must grow"),
        ("0%", "must grow"), ("101%", "number of nodes or a share"), ("-1", "number of nodes or a share"),
        ("1,canary", "number of nodes or a share"), ("ten", "'ten'"), ("1.5", "'1.5'"), (True, "'True'"),
        ([], "at least one wave"), (["1", None], "'None'"), ("\x1b[2J", "?[2J"), ("٣", "number of nodes or a share"),
    ],
)
def test_waves_that_make_no_sense_are_refused_in_a_sentence(said, why):
    with pytest.raises(SettingsError) as caught:
        waves.steps(said, "--waves")
    assert str(caught.value).startswith("--waves")
    assert why in str(caught.value)
    assert str(caught.value).isprintable()


def test_there_is_one_canary_of_each_platform_release():
    nodes = [*fleet(3), *(Node(f"w{n}", "production", None, "debian", "7.11") for n in (1, 2)),
             Node("x1", "production", None, "debian", "12.9"), Node("y1", "production")]
    first, *others = waves.cut(nodes, waves.DEFAULT)
    assert names(first) == ["n1", "w1", "y1"], "debian 12.5 and 12.9 are one release"
    assert first.title == "3 canaries, one of each platform release"
    assert [name for wave in others for name in names(wave)] == ["n2", "n3", "w2", "x1"]


def test_a_release_in_which_nothing_is_likely_to_be_patched_has_no_canary():
    nodes = [*fleet(3), Node("w1", "production", None, "debian", "7.11")]
    assert names(waves.cut(nodes, waves.DEFAULT, lambda node: node.name != "w1")[0]) == ["n1"]
    first = waves.cut(nodes, waves.DEFAULT, lambda _: False)[0]
    assert (names(first), first.releases) == (["n1"], frozenset()), "then the first that needs something is it"


def test_nodes_that_each_name_a_release_of_their_own_do_not_all_go_first():
    nodes = [Node(f"n{number}", "production", None, "debian", f"x{number}") for number in range(200)]
    assert len(waves.cut(nodes, waves.DEFAULT)[0].nodes) == MOST_CANARIES


@given(
    st.lists(st.sampled_from(RELEASES), max_size=60), st.booleans(),
    st.lists(st.integers(1, 80), unique=True, max_size=4).map(sorted),
    st.lists(st.integers(1, 100), unique=True, max_size=4).map(sorted), st.randoms(use_true_random=False),
)
def test_every_node_is_in_one_wave_and_no_wave_ends_beyond_its_step(releases, canary, numbers, shares, order):
    nodes = [Node(f"n{number}", "production", None, *release) for number, release in enumerate(releases)]
    amounts = [Amount(number) for number in numbers] + [Amount(share, True) for share in shares]
    order.shuffle(amounts)
    said = ((None,) if canary else ()) + tuple(amounts)
    found = waves.cut(nodes, said)
    placed = [name for wave in found for name in names(wave)]
    assert sorted(placed) == sorted(node.name for node in nodes)
    assert len(set(placed)) == len(placed)
    for wave in found:
        assert names(wave) == sorted(names(wave), key=lambda name: int(name[1:])), "their order stays"
        assert wave.nodes
        before = sum(len(each.nodes) for each in found[: wave.number])
        assert before == wave.until
    allowed = {each.of(len(nodes)) for each in amounts} | {len(nodes), len({waves.release_of(node) for node in nodes})}
    assert {wave.until for wave in found} <= allowed


@given(AMOUNTS, st.integers(0, 10_000))
def test_an_amount_is_never_more_than_was_said_but_for_the_one_of_a_small_fleet(amount, total):
    found = amount.of(total)
    assert found == amount.number if not amount.share else found * 100 <= max(amount.number * total, 100)
    assert (found == 0) == (amount.number == 0)
    assert waves.amount(str(amount), "--max-failures") == amount


def tally(count=100, **limits):
    return Tally(Course(waves.cut(fleet(count), waves.DEFAULT), count, **limits))


def ended(counted, wave, *states):
    """Return what the tally says of nodes that end so, one after the other, in this wave; the first reason ends it."""
    for number, state in enumerate(states, 1):
        record = NodeRecord(f"n{number}", None, "production", None, None, state=state)
        if why := counted.add(record, counted.course.waves[wave - 1]):
            return number, why
    return None


def test_before_the_last_wave_no_failure_is_allowed():
    assert ended(tally(), 1, State.FAILED) == (1, "the canary n1 failed")
    assert ended(tally(), 2, State.PATCHED, State.FAILED) == (
        2, "n2 failed in wave 2, and none may before the last"
    )


def test_in_the_last_wave_five_percent_are_allowed():
    assert ended(tally(), 3, *[State.FAILED] * 5) is None
    assert ended(tally(), 3, *[State.FAILED] * 6) == (6, "6 nodes failed, and --max-failures allows 5% (5)")
    assert ended(tally(5), 2, State.FAILED) is None, "one is always allowed"
    assert ended(tally(5), 2, State.FAILED, State.FAILED)[0] == 2


def test_a_number_of_failures_is_counted_across_all_waves():
    counted = tally(max_failures=Amount(2))
    assert ended(counted, 1, State.FAILED) is None, "who gives a number means it from the first node on"
    assert ended(counted, 2, State.FAILED) is None
    assert ended(counted, 3, State.PATCHED, State.FAILED) == (2, "3 nodes failed, and --max-failures allows 2")
    assert ended(tally(max_failures=Amount(0)), 3, State.FAILED) == (1, "1 node failed, and --max-failures allows 0")


@pytest.mark.parametrize("state", [State.STALE, State.REBOOT_REQUIRED, State.UNKNOWN, State.ALREADY_PATCHED])
def test_what_is_not_failed_stops_nobody(state):
    assert ended(tally(max_failures=Amount(0), max_unreachable=Amount(0)), 1, *[state] * 50) is None


def test_nodes_out_of_reach_are_counted_apart():
    assert ended(tally(), 3, State.PATCHED, *[State.UNREACHABLE] * 5) is None
    assert ended(tally(), 3, State.PATCHED, *[State.UNREACHABLE] * 6) == (
        7, "6 nodes could not be reached, and --max-unreachable allows 5% (5)"
    )
    assert ended(tally(), 1, *[State.UNREACHABLE] * 3) == (
        3, "none of the first 3 nodes could be reached, and no --max-unreachable is given"
    )
    met = tally()
    unreachable = NodeRecord("n", None, "production", None, None, state=State.UNREACHABLE)
    assert not any(met.add(unreachable, met.course.waves[0], others=True) for _ in range(4)), "somebody is at work"
    assert ended(tally(max_unreachable=Amount(4)), 1, *[State.UNREACHABLE] * 4) is None, "somebody said that"
    assert ended(tally(max_unreachable=Amount(0)), 1, State.UNREACHABLE) == (
        1, "1 node could not be reached, and --max-unreachable allows 0"
    )


def test_a_hostile_name_is_cleaned():
    record = NodeRecord("\x1b[2J" + "x" * 1000, None, "production", None, None, state=State.FAILED)
    counted = tally()
    why = counted.add(record, counted.course.waves[0])
    assert why.startswith("the canary ?[2Jxxx")
    assert len(why) < 130


def test_a_course_is_said_before_it_begins():
    course = Course(waves.cut(fleet(90), waves.DEFAULT), 90, max_per_group=2)
    assert list(course.said()) == [
        ("waves", "1: a canary: n1"), ("", "2: until 10%, 9 of 90 nodes are changed"), ("", "3: the rest"),
        ("stopped by", "one failure before the last wave, more than 5% (4) in the whole rollout, or more than 5% (4) "
                       "nodes out of reach"),
        ("spread", "at most 2 of one group at once; nodes that have none are one group"),
    ]
    course = Course(waves.cut(fleet(9), (Amount(2),)), 9, Amount(3), Amount(0))
    assert list(course.said()) == [
        ("waves", "1: until 2 of 9 nodes are changed"), ("", "2: the rest"),
        ("stopped by", "more than 3 failures in the whole rollout, or more than 0 nodes out of reach"),
    ]


def test_many_canaries_are_not_all_named():
    nodes = [Node(f"\x1b{number}", "production", None, "debian", f"x{number}") for number in range(7)]
    course = Course(waves.cut(nodes, waves.DEFAULT), 7)
    assert next(iter(course.said()))[1] == (
        "1: 7 canaries, one of each platform release: ?0, ?1, ?2, ?3, ?4 and 2 more"
    )
