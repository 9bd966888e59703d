"""What a run came to, in words: the one thing that matters first, then what needs a person, and what to do."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet import live_seen
from fleet.errors import NoNodesError
from fleet.node import State
from fleet.report.record import UNPROVEN, Outcome
from fleet.text import clean
from generator.shell import join

if TYPE_CHECKING:
    from fleet.rollout import Rollout

# The order in which states are counted and listed: what needs a person comes first.
ORDER = (
    State.FAILED, State.STALE, State.REBOOT_REQUIRED, State.UNREACHABLE, State.UNKNOWN, State.PENDING, State.SKIPPED,
    State.PATCHED, State.ALREADY_PATCHED, State.NOT_AFFECTED,
)
LEFT_ALONE = (State.PENDING, State.SKIPPED)
NAMED, NAMED_ALONE = 20, 5  # names told of nodes of which the same is to say; of those that were left alone
MOST = 50  # lines about nodes that are not good: more are read in the report


def told(outcome: Outcome) -> str:
    """Return what there is to say of a node that ended, in one line."""
    record = outcome.record
    if record.error:
        return clean(record.error, 600)
    said = [
        f"{clean(name, 60)} {clean(before or 'absent', 60)} -> {clean(after, 60)}"
        for name, after in sorted(record.packages_after.items())
        if (before := record.packages_before.get(name)) != after and record.packages_before
    ]
    said += [clean(action, 120) for action in record.actions]
    said += [clean(record.note, 300)] if record.note else []
    return "; ".join(said + [clean(each, 300) for each in live_seen.said(outcome.checks)])


def counts(outcomes: Iterable[Outcome]) -> str:
    """Return how many nodes are in which state, in words."""
    counted = Counter(outcome.record.state for outcome in outcomes)
    return ", ".join(f"{counted[state]} {state.replace('_', ' ')}" for state in ORDER if counted[state])


def verdict(outcomes: Sequence[Outcome], whom: str, exit_code: int | None, stopped: str | None = None) -> str:
    """Return what a run came to, in one sentence that says first what matters.

    `whom` it was about, `stopped` why it was stopped early; without an exit code it has not ended.
    """
    total, counted = len(outcomes), counts(outcomes)
    good = sum(outcome.record.state.good for outcome in outcomes)
    skipped = sum(outcome.record.left_alone for outcome in outcomes)
    whom = clean(whom, 200)
    if exit_code is None:
        return f"{whom}: not ended; {good} of {total} nodes are good so far ({counted})."
    if stopped:
        return f"Stopped: {clean(stopped)}; {skipped} of {total} nodes of {whom} left alone ({counted})."
    if exit_code == 0:
        asked = sum(outcome.record.started is not None for outcome in outcomes if outcome.record.state.good)
        verified = "and verified" if asked == good else f"and {asked} of them verified, the others not affected"
        if recorded := sum(any(check.name == UNPROVEN for check in outcome.checks) for outcome in outcomes):
            verified = f"by what {recorded} of them recorded on the Chef server, where nobody connected to them"
        return f"{whom}: {good} of {total} nodes are good {verified} ({counted})."
    if skipped == total:
        return f"{whom}: none of {total} nodes was asked."
    return f"{whom}: {total - good} of {total} nodes are not good ({counted})."


def conclusion(rollout: "Rollout", whom: str) -> Iterator[str]:
    """Yield the last words: one sentence with what matters, then who needs a person, why and what to do."""
    outcomes = list(rollout.outcomes.values())
    yield verdict(outcomes, whom, rollout.exit_code, rollout.stopped)
    yield from needing_a_person(outcomes)


def follow_up(
    outcomes: Collection[Outcome], advisories: Iterable, environment: str | None = None, query: str | None = None
) -> Iterator[str]:
    """Yield what is left to do about what may have leaked before, if a node was patched: no package changes that. And
    what has to be known of nodes that are good.

    An advisory has `id` and `follow_up`. The environment, or else the query, is whom the run was about.
    """
    noted = Counter(outcome.record.note for outcome in outcomes if outcome.record.note)
    for note, count in noted.items():
        yield f"{count} of {len(outcomes)} nodes: {clean(note, 600)}."
    if any(outcome.record.state is State.PATCHED for outcome in outcomes):
        leaked = [advisory for advisory in advisories if advisory.follow_up]
        for advisory in leaked:
            yield f"{clean(advisory.id)} may have leaked before: {clean(advisory.follow_up, 600)}."
        if leaked:
            where = ["--env", environment] if environment else []
            whom = where or (["--query", query] if query else [])
            about = [word for advisory in leaked for word in ("--advisory", advisory.id)]
            yield (
                f"`{clean(join(['invoke', 'exposure', *whom, *about]), 600)}` says which keys were within reach, "
                f"`{clean(join(['invoke', 'followup.list', *where, *about]), 600)}` what else to change."
            )


def going_on(run: str, verb: object, exit_code: int | None) -> Iterator[str]:
    """Yield how to go on with a patch that ended: nothing where all is in order or nobody was asked."""
    if verb == "patch" and exit_code not in (None, 0, NoNodesError.exit_code):
        yield f"`invoke patch --resume --run {run}` goes on with it, `invoke show --run {run}` has each node's steps."


@dataclass(frozen=True, slots=True)
class Alike:
    """Nodes that are not good in the same way: their state, why, what to do, and their names."""

    state: State
    why: str
    todo: str | None
    names: list[str]


def alike(outcomes: Iterable[Outcome]) -> list[Alike]:
    """Return the nodes that are not good, worst state first, those together of which the same is to say.

    Nodes not reached when the rollout was interrupted, and those that were left alone, come last.
    """
    found: dict[tuple, Alike] = {}
    for outcome in sorted(outcomes, key=lambda each: (ORDER.index(each.record.state), each.record.name)):
        record = outcome.record
        if record.state.good:
            continue
        why = told(outcome) or ("not reached" if record.state in LEFT_ALONE else "`invoke show` has its steps")
        todo = clean(outcome.todo, 600) if outcome.todo else None
        them = found.setdefault((record.state, why, todo), Alike(record.state, why, todo, []))
        them.names.append(clean(record.name, 100))
    return list(found.values())


def needing_a_person(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield a line for all nodes that are not good in the same way, worst state first, and one that says what to do."""
    them = alike(outcomes)
    for each in them[:MOST]:
        most = NAMED_ALONE if each.state in LEFT_ALONE else NAMED
        more = f" and {len(each.names) - most} more" if len(each.names) > most else ""
        yield f"  {', '.join(each.names[:most])}{more} ({each.state}): {each.why}"
        if each.todo:
            yield f"    to do: {each.todo}"
    if left := sum(len(each.names) for each in them[MOST:]):
        yield f"  and {left} more nodes: see the report, or `invoke show`"
