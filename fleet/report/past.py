"""A run as the journal has it, for the writers of reports: they know no other, so that a report can be made anew."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from fleet import exposure_record, followup
from fleet.errors import SettingsError
from fleet.history import History, RunLine
from fleet.report.record import Run, moment
from fleet.settings import EVERYWHERE

VERBS = ("patch", "verify")  # those that leave a report
SEARCHED = 1000  # runs that are looked through for the last one of these
SAID = ("id", "title", "severity", "follow_up")  # of an advisory


def described(advisories) -> list[dict[str, str | None]]:
    """Return advisories in words, as the journal keeps them: a file of a user's own may be gone when they are read."""
    return [{key: getattr(each, key) for key in SAID} for each in advisories]


def run_of(book: History, name: str | None = None) -> Run:
    """Return a run by its name or the beginning of it, without a name the last that patched or verified.

    Raises SettingsError where there is none, or where it did neither.
    """
    line = book.run(name) if name else _last(book)
    about = line.about
    if about.get("verb") not in VERBS:
        raise SettingsError(f"run {line.id} patched and verified nothing: `invoke history` lists those that did.")
    began, finished = moment(line.started), moment(line.finished)
    environment, advisories = _text(about, "environment"), tuple(map(str, _list(about, "advisories")))
    return Run(
        line.id, environment, _text(about, "query"), advisories,
        _strings(about.get("cookbook")), began or datetime.fromtimestamp(0, UTC), finished,
        line.exit_code if finished else None, tuple(node.outcome for node in book.nodes(line.id, steps=False)),
        operator=_text(about, "operator"), ticket=_text(about, "ticket"), verb=str(about["verb"]),
        via=_text(about, "via") or "chef", server=_text(about, "server"),
        described=tuple(
            {key: _text(each, key) for key in SAID} for each in _list(about, "described") if isinstance(each, dict)
        ),
        versions=_strings(about.get("versions")), stage=line.stage,
        exposure=exposure_record.for_report(book, line.id, advisories),
        followup=followup.for_report(book, about, None if environment == EVERYWHERE else environment),
    )


def read(path: Path, name: str | None = None) -> Run:
    """Return a run of the journal at `path`, see run_of. Raises SettingsError for a journal that cannot be read."""
    with History(path) as book:
        return run_of(book, name)


def _last(book: History) -> RunLine:
    for line in book.runs(SEARCHED):
        if line.about.get("verb") in VERBS:
            return line
    raise SettingsError(f"the journal {book.path} holds no run of `invoke patch` or `invoke verify` yet.")


def _text(about: Mapping[str, object], key: str) -> str | None:
    return value if isinstance(value := about.get(key), str) else None


def _list(about: Mapping[str, object], key: str) -> list:
    return value if isinstance(value := about.get(key), list) else []


def _strings(found: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
