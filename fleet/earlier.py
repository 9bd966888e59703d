"""What an earlier part of a run did with a node, read from the journal, and what it means for how it ends now."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from fleet import hooks
from fleet.history import NodeLine, Step
from fleet.journal import WAITING, Journal
from fleet.node import Node, State
from fleet.report.record import Outcome, outcome_as_dict, outcome_of
from fleet.rollout import begun, spared
from fleet.served import NOTHING, Served

#: Steps of a node: its earlier end, which a resume is about to look at anew; its asking for a place; what changes it.
TAKE_UP, PLACE, CONVERGE, REBOOT = "take up again", "ask for a place in the wave", "converge", "reboot"


@dataclass(slots=True)
class Earlier:
    """What an earlier part of a run did with a node: nothing, where there was none.

    `end` is how it ended, None where it never did; `steps` are those that were taken since. `out` is whether a hook
    took it out and it is not back; `tried` is the step by which the run first had it changed, whatever came of that.
    `row` is its line in the journal. `taken_up` is whether it is looked at again since its end, `wanting` whether it
    turned out then to need a change, in this part or in one before.
    """

    name: str = ""
    end: Outcome | None = None
    steps: tuple[Step, ...] = ()
    out: bool = False
    tried: Step | None = None
    row: Outcome | None = None
    taken_up: bool = False
    wanting: bool = False

    @property
    def good(self) -> bool:
        """True for a node that was in order, which is verified and not patched again."""
        return self.end is not None and self.end.record.state.good

    @property
    def holds(self) -> bool:
        """True for a node that has an end, and did not turn out to need a change since."""
        return self.end is not None and not self.wanting

    @property
    def changed(self) -> bool:
        """True where the run changed it, as far as its end tells."""
        record = self.end and self.end.record
        if not record:
            return False
        return bool(record.actions) or record.packages_before != record.packages_after != {}

    @property
    def wave(self) -> int:
        """The wave in which it had its place when it was cut short; 0 where it had none."""
        asked, found = False, 0
        for step in self.steps:
            if step.name in (PLACE, WAITING):
                asked, found = step.name == PLACE, 0
            elif asked:
                told = step.detail.get("wave")
                found = told if type(told) is int and told > 0 else found or 1
        return found

    @property
    def converge(self) -> Step | None:
        """The step by which the run first had it changed since its last end, None where it had not."""
        return next((step for step in self.steps if step.name == CONVERGE), None)

    @property
    def version(self) -> str | None:
        """The version of the cookbook with which the run had it changed."""
        return self.converge and str(self.converge.detail.get("version"))

    @property
    def rebooted(self) -> bool:
        """True where the run told it to reboot since its last end."""
        return any(step.name == REBOOT for step in self.steps)

    @property
    def serves(self) -> Served:
        """What it served before the run changed it, where it did: what that broke is no less missing afterwards."""
        step = self.converge or self.tried
        return Served.of(step.detail) if step else NOTHING

    def begun(self, node: Node) -> Outcome:
        """Return the outcome with which the node is sent its way."""
        outcome = begun(node)
        outcome.converged = self.converge is not None  # and may still go on
        return outcome

    def take_up(self, journal: Journal, run: str) -> None:
        """Write down that the node is looked at anew: its earlier end first, which its row has no more from then on."""
        if self.end is None or self.taken_up:
            return
        record, line = self.end.record, outcome_as_dict(self.end)
        journal.step(run, self.name, TAKE_UP, was=record.state.value, record=line)
        journal.node(run, self.name, record.wave, State.PENDING.value, line)
        self.taken_up = True

    def spared(self, node: Node, why: str) -> Outcome:
        """Return how the node ends where it was left alone for a reason: as it did before, if it had an end."""
        if self.wave:  # an end from before that is none any more
            at = self.steps[-1].name
            return begun(node, self.wave, error=f"cut short in {at}, and not gone on with: {why}")
        if self.end and self.end.record.state is not State.SKIPPED and (self.holds or not self.good):
            return self.end
        return spared(node, why)

    def join(self, outcome: Outcome) -> None:
        """Put what the run did to the node before into how it ended now: the report tells of the run as a whole."""
        record, tried = outcome.record, self.tried or self.converge
        if self.changed:
            before = self.end.record
            record.packages_before, record.stale_before = before.packages_before, before.stale_before
            record.actions = list(dict.fromkeys([*before.actions, *record.actions]))
            record.wave = record.wave or before.wave
            if not record.packages_after:  # it was not looked at
                record.packages_after, record.stale_after = before.packages_after, before.stale_after
        elif tried and (packages := tried.detail.get("packages")):
            record.packages_before = dict(packages)
        was_changed = record.packages_before != record.packages_after or bool(record.actions)
        if record.state is State.ALREADY_PATCHED and was_changed and (self.changed or tried):
            record.state = State.PATCHED  # by this run
        if self.good and record.state.good and not outcome.converged:  # it was only verified
            record.started, record.seconds = self.end.record.started, self.end.record.seconds

    def write_end(self, journal: Journal, run: str, outcome: Outcome, began: float) -> None:
        """Write down how the node ended now that was begun at `began` (time.monotonic), with what it was before."""
        record = outcome.record
        if outcome is not self.end:
            record.seconds = time.monotonic() - began
            self.join(outcome)
        journal.node(run, record.name, record.wave, record.state.value, outcome_as_dict(outcome))


def of(node: NodeLine) -> Earlier:
    """Return what a node's line in the journal tells."""
    out = hooks.drained(step.name for step in node.steps)
    tried = next((step for step in node.steps if step.name == CONVERGE), None)
    row = node.outcome
    if node.state != State.PENDING:
        return Earlier(node.name, row, out=out, tried=tried, row=row)
    end, since = None, 0
    for number, step in enumerate(node.steps, 1):
        if step.name == TAKE_UP:
            end, since = _end(node.name, step.detail), number
    steps = tuple(node.steps[since:])
    wanting = any(step.name == PLACE for step in steps)
    return Earlier(node.name, end, steps, out, tried, row, taken_up=end is not None, wanting=wanting)


def _end(name: str, detail: Mapping[str, object]) -> Outcome | None:
    was, line = detail.get("was"), detail.get("record")
    known = isinstance(line, dict) and was in list(State)
    return outcome_of(name, str(was), line) if known else None  # else somebody spoilt it, and it begins anew
