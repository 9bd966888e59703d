"""The exposure curve: how many nodes were at risk, and of how many it was not known, at each moment of a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.node import State
from fleet.report.record import NOT_TOUCHED, Outcome, Run

#: At risk to the end: vulnerable, running the old library, or not proven to be neither.
AT_RISK = (State.FAILED, State.STALE, State.REBOOT_REQUIRED)
#: Nobody looked, or could tell.
NOT_KNOWN = (State.UNREACHABLE, State.UNKNOWN, State.PENDING)


@dataclass(frozen=True, slots=True)
class Wave:
    """A wave as it went: seconds into the run of its first and its last node, its nodes by how they ended.

    `at_risk` are the nodes of the whole run that were so when it had ended.
    """

    number: int
    begins: float
    ends: float
    nodes: int
    patched: int
    at_risk: int


@dataclass(frozen=True, slots=True)
class Curve:
    """`steps` are (seconds into the run, nodes at risk from then on), the first at 0; `length` is the run's, seconds.

    `not_known` nodes nobody could tell of, all the time; `left_out` were not meant and are in neither number.
    """

    steps: tuple[tuple[float, int], ...]
    length: float
    not_known: int
    left_out: int
    waves: tuple[Wave, ...]

    @property
    def total(self) -> int:
        """The most that the curve reaches."""
        return self.steps[0][1] + self.not_known

    def at(self, second: float) -> int:
        """Return how many nodes were at risk at a moment."""
        return [count for begins, count in self.steps if begins <= second][-1]


def of(run: Run) -> Curve | None:
    """Return a run's curve, None for one that patched no node or whose times nobody wrote down.

    A node that was patched was at risk until it was proven; one that was found in order never was.
    """
    ends = (_end(run, each) for each in run.outcomes if each.record.state is State.PATCHED)
    patched = sorted(end for end in ends if end is not None)
    if not patched:
        return None
    counted = sum(each.record.state in AT_RISK or each.record.kept_in for each in run.outcomes) + len(patched)
    steps = [(0.0, counted)]
    for number, second in enumerate(patched, 1):
        steps.append((second, counted - number))
    length = (run.finished - run.started).total_seconds() if run.finished else 0.0
    not_known = sum(_not_known(each) for each in run.outcomes)
    left_out = sum(each.record.left_alone and not _not_known(each) for each in run.outcomes)
    bare = Curve(tuple(steps), max(length, patched[-1]), not_known, left_out, ())
    return Curve(bare.steps, bare.length, not_known, left_out, tuple(_waves(run, bare)))


def _not_known(outcome: Outcome) -> bool:
    record = outcome.record
    spared = record.state is State.SKIPPED and (record.error or "").startswith(NOT_TOUCHED)
    return spared or record.state in NOT_KNOWN


def _waves(run: Run, curve: Curve) -> Iterator[Wave]:
    by_number: dict[int, list[Outcome]] = {}
    for outcome in run.outcomes:
        if outcome.record.wave and outcome.record.started:
            by_number.setdefault(outcome.record.wave, []).append(outcome)
    for number, outcomes in sorted(by_number.items()):
        ends = max(_end(run, each) for each in outcomes)
        begins = min(_since(run, each.record.started) for each in outcomes)
        patched = sum(each.record.state is State.PATCHED for each in outcomes)
        yield Wave(number, begins, ends, len(outcomes), patched, curve.at(ends))


def _end(run: Run, outcome: Outcome) -> float | None:
    record = outcome.record
    return _since(run, record.started + timedelta(seconds=record.seconds)) if record.started else None


def _since(run: Run, moment: datetime) -> float:
    return max(0.0, (moment - run.started).total_seconds())
