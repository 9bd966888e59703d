"""The exposure curve as lines and labels on a sheet of some width: what the page draws as SVG."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from fleet.report.curve import Curve

HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 230, 46, 14, 24, 34  # of the sheet and its margins, in SVG's units
ROOM = 56  # units that a label beside another wants
UNITS = (("s", 1), ("min", 60), ("h", 3600))
ROUND = (1, 2, 5, 10, 15, 20, 30, 60)


@dataclass(frozen=True, slots=True)
class Mark:
    """A label at a place of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve drawn: `line` and the areas are SVG paths, `across`, `up` and `waves` the labels of both axes and above.

    Source of the paths' letters: https://www.w3.org/TR/SVG2/paths.html#PathData
    """

    width: int
    line: Markup
    at_risk: Markup
    not_known: Markup
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    waves: tuple[Mark, ...]
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    right: int = 0
    bottom: int = HEIGHT - BOTTOM


def draw(curve: Curve, width: int) -> Chart:
    """Return the curve on a sheet of this width; what falls on one tenth of a unit is drawn once."""
    right, bottom = width - RIGHT, HEIGHT - BOTTOM
    length, total = curve.length or 1.0, curve.total or 1

    def x(second: float) -> float:
        return round(LEFT + second / length * (right - LEFT), 1)

    def y(count: float) -> float:
        return round(bottom - count / total * (bottom - TOP), 1)

    def stairs(beside: int) -> str:
        """The steps as a path, `beside` nodes higher."""
        path, last = f"M{x(0)} {y(curve.steps[0][1] + beside)}", x(0)
        for number, (second, count) in enumerate(curve.steps[1:], 1):
            ahead = curve.steps[number + 1][0] if number + 1 < len(curve.steps) else None
            if ahead is not None and x(ahead) == x(second):
                continue
            path += (f"H{x(second)}" if x(second) != last else "") + f"V{y(count + beside)}"
            last = x(second)
        return f"{path}H{right}"

    floor = f"V{bottom}H{LEFT}Z"
    unknown = f"{stairs(curve.not_known)}{floor}" if curve.not_known else ""
    paths = map(Markup, (stairs(0), stairs(0) + floor, unknown))  # of letters and numbers alone, and of any length
    return Chart(
        width, *paths, tuple(Mark(x(at), text) for at, text in times(curve, width)),
        tuple(Mark(y(count), f"{count:,}") for count in sorted({0, total // 2, total})),
        tuple(_apart([Mark(x(wave.begins), f"wave {wave.number}") for wave in curve.waves])), right=right,
    )


def times(curve: Curve, width: int) -> Iterator[tuple[float, str]]:
    """Yield the moments to name on the axis of time, in seconds, with their names."""
    unit, size = [each for each in UNITS if each[1] * 2 <= curve.length or each[1] == 1][-1]
    length = curve.length / size
    most = max(2, (width - LEFT - RIGHT) // ROOM)
    pace = next((each for each in ROUND if length / each <= most), math.ceil(length / most))
    for number in range(int(length / pace) + 1):
        yield number * pace * size, f"{number * pace} {unit}"


def _apart(marks: list[Mark]) -> Iterator[Mark]:
    """Yield the marks whose labels have room behind the one before."""
    free = 0.0
    for mark in marks:
        if mark.at >= free:
            yield mark
            free = mark.at + ROOM
