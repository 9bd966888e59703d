"""The exposure curve: who is at risk, from when until when, and its drawing."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.node import NodeRecord, State
from fleet.report import chart, curve
from fleet.report.record import NOT_TOUCHED, Outcome
from lab import example

RUN = replace(example.run(0), finished=example.BEGAN + timedelta(seconds=100))


def ended(state, wave=0, starts=0.0, seconds=0.0, error=None) -> Outcome:
    record = NodeRecord("n", None, "production", None, None, wave, state, seconds=seconds, error=error)
    record.started = example.BEGAN + timedelta(seconds=starts)
    return Outcome(record)


def of(*outcomes):
    return curve.of(replace(RUN, outcomes=outcomes))


def test_a_patched_node_was_at_risk_until_it_was_proven():
    found = of(
        ended(State.PATCHED, 1, 2, 8), ended(State.PATCHED, 2, 20, 5), ended(State.STALE, 2, 20, 30),
        ended(State.ALREADY_PATCHED), ended(State.NOT_AFFECTED),
    )
    assert found.steps == ((0.0, 3), (10.0, 2), (25.0, 1))
    assert (found.length, found.not_known, found.left_out, found.total) == (100.0, 0, 0, 3)
    assert [found.at(second) for second in (0, 9.9, 10, 24, 25, 100)] == [3, 3, 2, 2, 1, 1]
    assert found.waves == (curve.Wave(1, 2.0, 10.0, 1, 1, 2), curve.Wave(2, 20.0, 50.0, 2, 1, 1))


@pytest.mark.parametrize(("outcome", "counts"), [
    (ended(State.FAILED), (2, 0, 0)), (ended(State.STALE), (2, 0, 0)), (ended(State.REBOOT_REQUIRED), (2, 0, 0)),
    (ended(State.UNREACHABLE), (1, 1, 0)), (ended(State.UNKNOWN), (1, 1, 0)), (ended(State.PENDING), (1, 1, 0)),
    (ended(State.SKIPPED, error=f"{NOT_TOUCHED}the canary failed"), (1, 1, 0)),
    (ended(State.SKIPPED, error="windows 10 is not a platform"), (1, 0, 1)),
    (ended(State.ALREADY_PATCHED), (1, 0, 0)), (ended(State.NOT_AFFECTED), (1, 0, 0)),
    (ended(State.PATCHED), (2, 0, 0)),
])
def test_every_state_is_counted_once_or_left_out(outcome, counts):
    found = of(ended(State.PATCHED, 1, 0, 5), outcome)
    assert (found.steps[0][1], found.not_known, found.left_out) == counts


def test_no_node_patched_is_no_curve():
    assert of(ended(State.ALREADY_PATCHED), ended(State.FAILED)) is None
    timeless = ended(State.PATCHED)
    timeless.record.started = None
    assert of(timeless) is None


def test_a_run_that_has_not_ended_has_a_curve_as_far_as_it_came():
    found = curve.of(replace(RUN, finished=None, outcomes=(ended(State.PATCHED, 1, 0, 30), ended(State.PENDING))))
    assert found.length == 30.0


def points(path: str) -> list[tuple[float, float]]:
    """Return the corners of a path of M, H and V."""
    start, *rest = re.findall(r"[MHV][\d. ]+", path)
    x, y = map(float, start[1:].split())
    found = [(x, y)]
    for each in rest:
        x, y = (float(each[1:]), y) if each[0] == "H" else (x, float(each[1:]))
        found.append((x, y))
    return found


@pytest.mark.parametrize("nodes", [1, 60, 5000])
@pytest.mark.parametrize("width", [340, 720])
def test_the_line_goes_down_within_the_sheet(nodes, width):
    run = replace(RUN, outcomes=tuple(ended(State.PATCHED, 1, number * 100 / nodes) for number in range(nodes)))
    drawn = chart.draw(curve.of(run), width)
    corners = points(drawn.line)
    assert corners[0] == (drawn.left, drawn.top)
    assert corners[-1] == (drawn.right, drawn.bottom)
    assert corners == sorted(corners), "time goes on, and nodes become fewer: y grows downwards"
    assert len(corners) <= 2 * 10 * (width + 1)
    for marks, least, most in ((drawn.across, drawn.left, drawn.right), (drawn.up, drawn.top, drawn.bottom)):
        assert all(least <= mark.at <= most for mark in marks)
    assert drawn.up[0].text == "0"
    assert drawn.up[-1].text == f"{nodes:,}"


def test_what_is_not_known_lies_above_the_rest():
    run = replace(RUN, outcomes=(ended(State.PATCHED, 1, 0, 50), ended(State.UNREACHABLE)))
    drawn = chart.draw(curve.of(run), 340)
    middle = (drawn.top + drawn.bottom) / 2
    assert points(drawn.line)[0] == (drawn.left, middle)
    assert points(drawn.not_known)[0] == (drawn.left, drawn.top)
    assert drawn.not_known.endswith(f"V{drawn.bottom}H{drawn.left}Z")


@pytest.mark.parametrize(("length", "texts"), [
    (0.5, ["0 s"]), (9, ["0 s", "2 s", "4 s", "6 s", "8 s"]), (90, ["0 s", "20 s", "40 s", "60 s", "80 s"]),
    (600, ["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"]), (7200 * 4, ["0 h", "2 h", "4 h", "6 h", "8 h"]),
    (500 * 3600, ["0 h", "100 h", "200 h", "300 h", "400 h", "500 h"]),
])
def test_the_axis_of_time_has_round_moments(length, texts):
    steps = curve.Curve(((0.0, 1),), length, 0, 0, ())
    assert [text for _, text in chart.times(steps, 340)] == texts


def test_labels_of_waves_do_not_lie_on_each_other():
    waves = tuple(curve.Wave(number, number * 0.1, 90, 1, 1, 0) for number in range(1, 9))
    waves += (curve.Wave(9, 90.0, 95.0, 1, 1, 0),)
    drawn = chart.draw(curve.Curve(((0.0, 9),), 100.0, 0, 0, waves), 720)
    assert [mark.text for mark in drawn.waves] == ["wave 1", "wave 9"]
