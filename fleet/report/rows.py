"""What the page tells of nodes: a row each, and what they have in common."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from fleet.node import State
from fleet.report.conclusion import LEFT_ALONE, ORDER, Alike, alike, told
from fleet.report.record import Check, Outcome, Run

MOST = 100  # things of one kind that are told of a node
NAMED = 30  # nodes that are named at once; the others are folded away
TONES = {state: "good" if state.good else "bad" for state in State} | {
    State.UNKNOWN: "warn", State.REBOOT_REQUIRED: "warn", State.PENDING: "warn", State.SKIPPED: "quiet",
}
SILENT = {True: "nothing had to be done", False: "no more is known"}  # of a node of which nothing is to say


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the table: `rank` sorts its state, `said` is the one line about it, `facts` what unfolds."""

    outcome: Outcome
    state: str
    tone: str
    rank: int
    said: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Nodes that are not good in the same way; `first` are named at once, `others` folded away."""

    state: str
    tone: str
    why: str
    todo: str | None
    first: Sequence[str]
    others: Sequence[str]


class Described:
    """An advisory as the journal described it, for fleet.report.conclusion."""

    def __init__(self, said: Mapping[str, str | None]):
        self.id, self.follow_up = said.get("id") or "", said.get("follow_up")


def word(state: State) -> str:
    """Return a state as people write it."""
    return state.replace("_", " ")


def tone_of(run: Run) -> str:
    """Return how a run went, as a class of the page's style."""
    return {0: "good", None: "warn", 10: "warn"}.get(run.exit_code, "bad")


def took(run: Run) -> str:
    """Return how long a run took; "" for one that has not ended."""
    return str(timedelta(seconds=round((run.finished - run.started).total_seconds()))) if run.finished else ""


def counts(outcomes: Iterable[Outcome]) -> list[tuple[str, str, int]]:
    """Return state, tone and number of nodes, for each state that there is, the worst first."""
    counted = Counter(outcome.record.state for outcome in outcomes)
    return [(word(state), TONES[state], counted[state]) for state in ORDER if counted[state]]


def troubles(outcomes: Iterable[Outcome]) -> list[Trouble]:
    """Return what needs a person, the worst first, and then who was left alone."""
    return [_trouble(each) for each in alike(outcomes)]


def services(outcomes: Sequence[Outcome]) -> list[tuple[str, int, int]]:
    """Return each service that ran the old library: its name, on how many nodes after the upgrade, and at the end."""
    before, after = (
        Counter(name for outcome in outcomes for name in {_who(each) for each in getattr(outcome.record, key)})
        for key in ("stale_before", "stale_after")
    )
    names = sorted(before.keys() | after.keys(), key=lambda name: (-after[name], -before[name], name))
    return [(name, before[name], after[name]) for name in names]


def actions(outcomes: Sequence[Outcome]) -> list[tuple[str, int]]:
    """Return what was done to how many nodes, the most frequent first."""
    counted = Counter(action for outcome in outcomes for action in set(outcome.record.actions))
    return sorted(counted.items(), key=lambda each: (-each[1], each[0]))


def certificates(run: Run) -> tuple[list[tuple[str, Mapping]], int]:
    """Return the certificates that are at risk, or of which it is not known, each with its tone, the worst first; and
    how many others there are.
    """
    toned = [(_tone(each), each) for each in run.exposure]
    listed = sorted((each for each in toned if each[0] != "good"), key=lambda each: (each[0], str(each[1].get("node"))))
    return listed, len(toned) - len(listed)


def rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """Return the table: the worst state first, by name within it."""
    ordered = sorted(outcomes, key=lambda each: (ORDER.index(each.record.state), each.record.name))
    return [_row(each) for each in ordered]


def _row(outcome: Outcome) -> Row:
    state = outcome.record.state
    facts = tuple((name, tuple(_some(values))) for name, values in _facts(outcome) if values)
    return Row(outcome, word(state), TONES[state], ORDER.index(state), told(outcome) or SILENT[state.good], facts)


def _tone(certificate: Mapping) -> str:
    if certificate.get("exposed") or certificate.get("key_reused"):
        return "bad"
    return "warn" if certificate.get("exposed") is None else "good"


def _facts(outcome: Outcome) -> Iterator[tuple[str, list[str]]]:
    record = outcome.record
    names = sorted(record.packages_before.keys() | record.packages_after.keys())
    versions = [(name, record.packages_before.get(name), record.packages_after.get(name)) for name in names]
    yield "To do", [outcome.todo] if outcome.todo else []
    yield "Packages", [
        f"{name} {before or 'absent'}" + (f" → {after or 'absent'}" if before != after else "")
        for name, before, after in versions
    ]
    yield "Stale after the upgrade", _processes(record.stale_before)
    yield "Refreshed", record.actions
    yield "Stale at the end", _processes(record.stale_after) or (["nothing"] if outcome.checks else [])
    yield "Checks", list(_checks(outcome.checks))
    yield "To know", [record.note] if record.note else []
    where = [record.address, f"{record.platform or 'platform unknown'} {record.release or ''}".strip()]
    yield "Where", [*filter(None, where), *([f"wave {record.wave}"] if record.wave else [])]


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    counted = Counter(check.outcome for check in checks)
    if counted:
        yield ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items()))
    for check in checks:
        if check.outcome in ("failed", "error"):
            yield f"{check.name} {check.outcome}: {check.message}"


def _processes(processes: Sequence[Mapping]) -> list[str]:
    """Return processes by whose they are, `nginx (3)`: where there are several, how many."""
    counted = Counter(map(_who, processes))
    return [f"{name} ({count})" if count > 1 else name for name, count in counted.items()]


def _who(process: Mapping) -> str:
    return str(process.get("service") or process.get("command") or process.get("kind"))


def _some(values: Sequence[str]) -> list[str]:
    more = [f"and {len(values) - MOST} more"] if len(values) > MOST else []
    return [*values[:MOST], *more]


def _trouble(them: Alike) -> Trouble:
    left = them.state in LEFT_ALONE
    tone = ("warn" if them.todo else "quiet") if left else TONES[them.state]
    return Trouble(word(them.state), tone, them.why, them.todo, them.names[:NAMED], them.names[NAMED:])
