"""One run of `exposure`: the nodes are asked, then judged together, because one node's key may be another's."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet import exposure, exposure_judge, exposure_record, who
from fleet.cli import INTERRUPTED
from fleet.exposure_item import EXPOSED, REISSUED, UNKNOWN, Item
from fleet.history import History
from fleet.journal import Journal, new_run
from fleet.node import State
from fleet.plan import Plan
from fleet.report import past
from fleet.report.record import Outcome, outcome_as_dict
from fleet.rollout import Rollout, begun
from fleet.settings import Settings
from fleet.window import NEVER, OPEN, UNPROVEN, UNSEEN, Window
from fleet.window import UNKNOWN as UNJUDGED
from generator.errors import StypticError


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to: how each node ended, its window, and what is to be said of its certificates and keys."""

    run: str
    advisories: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    windows: dict[str, Window]
    items: tuple[Item, ...]

    @property
    def exit_code(self) -> int:
        """10 where no node could be asked at all; 2 where a key is exposed, or something is unknown; else 0."""
        return Rollout({outcome.record.name: outcome for outcome in self.outcomes}).exit_code


def carry_out(
    settings: Settings, ways, journal: Journal, url: str, query: str, advisories: Sequence, made: Plan,
    tell: Callable[[Outcome], None],
) -> Result:
    """Ask the nodes of a plan, judge what they have, and write it down.

    `ways` is what fleet.verbs.rolling.ways returned, `url` the server's, `advisories` are those that leak, `tell` hears
    of every node that answered.
    """
    started = datetime.now(UTC)
    run = new_run(started)
    names = tuple(each.id for each in advisories)
    journal.begin(run, {
        "verb": "exposure", "server": url, "environment": settings.env, "query": query, "advisories": names,
        "via": "ssh", "operator": who.operator(), "ticket": settings.ticket, "host": who.host(),
        "process": who.process(), "described": past.described(advisories),
    }, started)
    journal.nodes(run, map(row, [*map(begun, made.asked), *made.left_out]))
    code = StypticError.exit_code
    try:
        with History(journal.path) as history:
            proofs = exposure_record.proofs(history, advisories, {node.name: node for node in made.asked})
            leaked, before = exposure_record.earlier(history, names)
        asking = exposure.ask(settings, ways, journal, run, advisories, made.asked, proofs, tell)
        outcomes, facts = asyncio.run(asking)
        leaked = exposure_judge.leaked(facts.values(), leaked)
        found = {name: exposure_judge.items(each, leaked, before.get(name, {})) for name, each in facts.items()}
        for outcome in outcomes:
            name = outcome.record.name
            if name in facts:
                end(outcome, facts[name].window, found[name])
                journal.exposure(run, name, exposure_record.found(facts[name], found[name]))
        every = sorted([*outcomes, *made.left_out], key=lambda outcome: outcome.record.name)
        journal.nodes(run, map(row, every))
        result = Result(
            run, names, tuple(every), {name: each.window for name, each in sorted(facts.items())},
            tuple(item for name in sorted(found) for item in found[name]),
        )
        code = result.exit_code
        return result
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
        raise KeyboardInterrupt from None
    finally:
        journal.finish(run, code, datetime.now(UTC))


def end(outcome: Outcome, window: Window, items: Sequence[Item]) -> None:
    """Give a node that answered its end."""
    record = outcome.record
    exposed = [item for item in items if item.verdict in (EXPOSED, REISSUED)]
    unknown = [item for item in items if item.verdict == UNKNOWN]
    record.note = record.error = None
    if exposed:
        record.state = State.FAILED
        record.error = f"{len(exposed)} of {len(items)} certificates and keys are exposed"
        outcome.todo = "replace these keys and certificates and revoke the old ones: `invoke exposure` lists them"
    elif window.state == OPEN:
        record.state, record.error, outcome.todo = State.FAILED, window.why, TODO[OPEN]
    elif window.state == UNPROVEN or window.state == UNJUDGED or (window.state == UNSEEN and not window.until):
        record.state = State.UNKNOWN
        record.error = window.why or "nothing shows when the last process stopped to run the vulnerable version"
        outcome.todo = TODO[window.state]
    elif unknown:
        record.state, record.error = State.UNKNOWN, f"of {len(unknown)} certificates or keys it is not known"
        outcome.todo = "see why: `invoke exposure` lists them"
    else:
        record.state = State.NOT_AFFECTED if window.state == NEVER else State.ALREADY_PATCHED
        record.note = f"{len(items)} certificates and keys, none exposed"


TODO = {
    OPEN: "patch it, then ask again",
    UNPROVEN: "run `invoke verify` on it: what was issued before that counts as exposed, what comes after does not",
    UNSEEN: "take every certificate on it that is older than its patch for exposed",
    UNJUDGED: "find out by hand which version it had",
}


def row(outcome: Outcome) -> tuple[str, int, str, dict]:
    """Return an outcome as the journal takes it."""
    return outcome.record.name, 0, outcome.record.state.value, outcome_as_dict(outcome)
