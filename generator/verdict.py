"""A verdict, its kinds, and the one verdict of several."""

from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("vulnerable", "unknown", "fixed", "not_affected")  # what an advisory can say; the earlier decides for several
NEWEST = "newest"  # what can be said without one; it decides after unknown, and before fixed


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is one of KINDS, or NEWEST; `reason` says why in one sentence without a full stop.

    NEWEST is day zero's: nothing newer can be had, and no advisory says yet that it has the fix
    (generator.versions.newest).
    Reasons quote what a node said of itself: whoever prints one cleans it.
    """

    kind: str
    reason: str


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the one verdict of several, in whatever order they come, with the reasons of those that decide.

    Vulnerable by any is vulnerable; else unknown to any is unknown; else newest, else fixed by any is that; else not
    affected.
    """
    verdicts = set(verdicts)
    for kind in (*KINDS[:2], NEWEST, *KINDS[2:]):
        if deciding := sorted(each.reason for each in verdicts if each.kind == kind):
            return Verdict(kind, "; ".join(deciding))
    return Verdict("unknown", "no advisory was asked: name one")
