"""`invoke patch --resume`: which run is meant, with which settings it goes on, and what to know before it does."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fleet.cli import complain
from fleet.errors import SettingsError
from fleet.node import Node
from fleet.plan import Plan
from fleet.settings import Settings, somebody_meant
from fleet.text import clean
from fleet.verbs import shared

if TYPE_CHECKING:
    from fleet.resume import Past


def told(context, run: str | None = None, **flags: object) -> tuple[Settings, list, "Past"]:
    """Return the settings and advisories with which a run goes on, and what it was so far; nothing is changed yet.

    `run` is its name or the beginning of it, without it the last `patch` is meant, with --env that environment's.
    Raises NothingToResumeError, SettingsError and AdvisoryError.
    """
    from fleet import kept, resume
    from fleet.history import History
    from fleet.journal import default_path

    shared.refuse_dry(context)
    with History(default_path()) as book:
        past = resume.read(book, run, flags.get("env"))
    configured = shared.plain(context.config.get("styptic", {}))
    settings = somebody_meant(kept.again(past.run, past.line.about, flags, configured))
    advisories = shared.advisories_of(settings)
    shared.make_report_directory(settings)
    return settings, advisories, past


def planned(server, past: "Past", found: Sequence[Node], advisories: Sequence, settings: Settings) -> Plan:
    """Return the plan for what is left of a run; say on stderr what is not as it was when it began.

    Raises SettingsError where the server is another than the run's.
    """
    from fleet import entry, resume

    url = past.line.about.get("server")
    if url != server.url:
        raise SettingsError(
            f"run {past.run} is about nodes of {clean(str(url), 200)}, and knife's settings lead to {server.url}: give "
            "--profile, or the settings that it was begun with."
        )
    for name in entry.changed(past, advisories):
        complain(f"{name} is another file than when run {past.run} began: every node is held against it as it is.", 0)
    if sentence := resume.unseen(past):
        complain(sentence, 0)
    made = resume.planned(server, past, found, advisories, settings)
    new = [node.name for node in made.asked if node.name not in past.nodes] if past.nodes else []
    if new:
        them = ", ".join(clean(name, 100) for name in new[:20]) + (f" and {len(new) - 20} more" if new[20:] else "")
        complain(f"new since run {past.run} began, and patched with the others: {them}.", 0)
    return made


def heading(past: "Past | None", made: Plan) -> Sequence[str]:
    """Return what a person should know of a resume before it begins, lines of fleet.verbs.shared.heading."""
    from fleet import resume

    return list(resume.told(past, made)) if past else []


def flags_of(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return a verb's arguments without those that are no settings."""
    return {name: value for name, value in arguments.items() if name not in ("context", "resume", "run")}
