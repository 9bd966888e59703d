"""A run's entry in the journal: there before anything is taken or pushed for it, gone where it comes to nothing.

So whatever a run that is killed leaves behind, a lock say, belongs to a run that can be resumed.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fleet import followup, kept, resume, who
from fleet.cli import INTERRUPTED
from fleet.earlier import Earlier
from fleet.journal import Journal, new_run
from fleet.plan import Plan
from fleet.push import Pushed
from fleet.report import past, versions
from fleet.report.record import Outcome, Run, moment, outcome_as_dict
from fleet.resume import Past
from fleet.rollout import prepare
from fleet.settings import Settings
from generator.errors import StypticError


@dataclass(slots=True)
class Entry:
    """The run of this name, since when it goes, and what it is about. `earlier` is what it did before it was resumed.
    """

    journal: Journal
    run: str
    started: datetime
    about: dict
    undo: Callable[[], None]
    earlier: Mapping[str, Earlier] = field(default_factory=dict)

    def pushed(self, pushed: Pushed | None) -> None:
        """Write down which cookbook its nodes get."""
        if pushed:
            self.about["cookbook"] = {"name": pushed.name, "version": pushed.version, "sha256": pushed.sha256}
            self.journal.about(self.run, self.about)

    def done(self, settings: Settings, outcomes: tuple[Outcome, ...], code: int) -> Run:
        """Return the run as it ended now, for a report where the journal cannot be read."""
        about = self.about
        return Run(
            self.run, settings.env, about["query"], tuple(about["advisories"]), about["cookbook"], self.started,
            datetime.now(UTC), code, outcomes, about["operator"], settings.ticket, about["verb"], settings.via,
            about["server"], tuple(about["described"]), about["versions"],
            "interrupted" if code == INTERRUPTED else "ended",
        )

    def give_up(self) -> None:
        """Have the journal as it was: nothing was changed on any node."""
        with suppress(StypticError):  # the sentence of what it came to nothing by is the one to say
            self.undo()


def begin(
    journal: Journal, settings: Settings, url: str, advisories: Sequence, made: Plan,
    flags: Mapping[str, object] | None = None, verb: str = "patch",
) -> Entry:
    """Write down that a run begins, on the Chef server at `url`, with a plan's nodes; `flags` are the verb's own."""
    from fleet.chef import search

    started = datetime.now(UTC)
    run = new_run(started)
    about = {
        "verb": verb, "server": url, "environment": settings.env,
        "query": search.searched(settings.environment, settings.query), "cookbook": {}, "via": settings.via,
        "operator": who.operator(), "ticket": settings.ticket, "host": who.host(), "process": who.process(),
        "environments": sorted({node.environment for node in made.asked}), **_now(settings, advisories),
        "settings": kept.kept(settings, flags or {}),
    }
    journal.begin(run, about, started)
    journal.nodes(run, rows(prepare(made.asked, made.left_out).outcomes.values()))
    return Entry(journal, run, started, about, lambda: journal.forget(run))


def go_on(
    journal: Journal, told: Past, settings: Settings, advisories: Sequence, made: Plan, flags: Mapping[str, object]
) -> Entry:
    """Write down that a run is taken up, with nodes that it did not know. Raises SettingsError where it goes on."""
    before = told.line.about.get("settings")
    how = before.get("how") if isinstance(before, dict) else None
    given = {name: value for name, value in flags.items() if value not in (None, False, [])}
    now = _now(settings, advisories) | {
        "settings": kept.kept(settings, (how if isinstance(how, dict) else {}) | given),
        "environments": sorted(told.environments | {node.environment for node in made.asked}),
    }
    about, was = resume.enter(journal, told, now)
    going = prepare(made.asked, made.left_out).outcomes
    journal.nodes(told.run, rows(outcome for name, outcome in going.items() if name not in told.nodes))
    return Entry(
        journal, told.run, moment(told.line.started) or datetime.now(UTC), about,
        lambda: journal.finish_again(told.run, *was), told.nodes,
    )


def _now(settings: Settings, advisories: Sequence) -> dict:
    """Return what a run goes by: its advisories in words, each with its file's checksum, what is left to do after
    those that leak, and our own version.
    """
    return {
        "advisories": tuple(each.id for each in advisories), "described": past.described(advisories),
        "followup": followup.described(settings.followup, advisories), "checksums": dict(checksums(advisories)),
        "versions": versions.ours(),
    }


def checksums(advisories: Sequence) -> Iterator[tuple[str, str]]:
    """Yield (id, SHA-256 of its file) of advisories, so that one that was changed is known."""
    for each in advisories:
        with suppress(OSError):
            yield each.id, hashlib.sha256(Path(each.path).read_bytes()).hexdigest()


def changed(told: Past, advisories: Sequence) -> list[str]:
    """Return the advisories whose files are others than when the run went on last, by their ids."""
    before = told.line.about.get("checksums")
    before = before if isinstance(before, dict) else {}
    return [name for name, found in checksums(advisories) if before.get(name, found) != found]


def rows(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, int, str, dict]]:
    """Yield outcomes as the journal takes them."""
    for outcome in outcomes:
        record = outcome.record
        yield record.name, record.wave, record.state.value, outcome_as_dict(outcome)
