"""What is left to do after a patch, and who did what of it when: generator.followup's list, crossed off in the journal.

An item is done for an advisory and an environment, or for every environment; of what was said last the last counts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet import who
from fleet.errors import SettingsError
from fleet.history import EXPOSURE_SINCE, History
from fleet.journal import Journal, utc
from fleet.text import clean
from generator import followup
from generator.followup import Item

NOTE = 500  # characters


@dataclass(frozen=True, slots=True)
class Entry:
    """An item for an advisory: `done_at` (UTC, ISO 8601) and `by` say when and by whom it was done, None: it is open.

    `note` is what they said of it, or, where it was opened again, why.
    """

    advisory: str
    item: str
    title: str
    why: str
    how: str | None = None
    done_at: str | None = None
    by: str | None = None
    note: str | None = None


def items(own: str | None) -> tuple[Item, ...]:
    """Return the list with a shop's own items, whose file is `own`. Raises AdvisoryError for mistakes in it."""
    return followup.load(Path(own) if own else None)


def leaking(advisories: Iterable) -> list[str]:
    """Return the ids of the advisories by which memory leaked; the others leave nothing to do."""
    return [each.id for each in advisories if each.leaks]


def described(own: str | None, advisories: Iterable) -> dict[str, list]:
    """Return the list as a run keeps it in the journal, so that its report is made of that alone: {} for no leak."""
    ids = leaking(advisories)
    if not ids:
        return {}
    return {
        "advisories": ids,
        "items": [{"item": item.id, "title": item.title, "why": item.why} for item in items(own)],
    }


def entries(
    listed: Sequence[Item], advisories: Sequence[str], environment: str | None, history: History | None
) -> list[Entry]:
    """Return the items for each advisory as they stand in an environment (None: in every one, crossed off for all)."""
    said = last(history, environment)
    return [
        Entry(advisory, item.id, item.title, item.why, item.how, *said.get((advisory, item.id), ()))
        for advisory in advisories for item in listed
    ]


def last(history: History | None, environment: str | None) -> dict[tuple[str, str], tuple]:
    """Return what was last said of each (advisory, item): (done_at, by, note), done_at and by None where it is open."""
    if history is None or history.version < EXPOSURE_SINCE:
        return {}
    rows = history.rows(
        "SELECT advisory, item, done, at, operator, note FROM followup "
        "WHERE environment IS NULL OR environment = ? ORDER BY id", environment,
    )
    return {
        (advisory, item): (at, operator, note) if done else (None, None, note)
        for advisory, item, done, at, operator, note in rows
    }


def say(
    journal: Journal, listed: Sequence[Item], advisories: Sequence[str], environment: str | None, name: str | None,
    note: str | None, done: bool,
) -> Item:
    """Cross an item off for these advisories (or, not `done`, open it again) in an environment (None: in every one).

    Raises SettingsError for an item that is not on the list, or without a note.
    """
    found = next((item for item in listed if item.id == name), None)
    if found is None:
        known = ", ".join(item.id for item in listed)
        said = f"{clean(name, 60)!r} is not on the list" if name else "say which"
        raise SettingsError(f"--item: {said}; there is {known}.")
    if not note or not note.strip():
        what = "what was done" if done else "why it is open again"
        raise SettingsError(f"--note: say {what}, or the ticket it is in; an auditor will ask.")
    if len(note) > NOTE:
        raise SettingsError(f"--note is longer than {NOTE} characters: name the ticket that has the rest.")
    at = utc(datetime.now(UTC))
    with journal.understandably(), journal.at_once():
        for advisory in advisories:
            journal.database.execute(
                "INSERT INTO followup (item, advisory, environment, done, at, operator, note) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (found.id, advisory, environment, int(done), at, who.operator(), clean(note, NOTE)),
            )
    return found


def for_report(history: History, about: Mapping[str, object], environment: str | None) -> tuple[dict, ...]:
    """Return what a run's report says is left to do: one dictionary an item; () where nothing leaked.

    `about` is what the journal has of the run (see described), `environment` its own, None for several.
    """
    kept = about.get("followup")
    kept = kept if isinstance(kept, dict) else {}
    ids, listed = kept.get("advisories"), kept.get("items")
    if not isinstance(ids, list) or not isinstance(listed, list):
        return ()
    said = last(history, environment)
    found = []
    for advisory in map(str, ids):
        for each in (each for each in listed if isinstance(each, dict) and isinstance(each.get("item"), str)):
            done_at, by, note = said.get((advisory, each["item"]), (None, None, None))
            title = str(each.get("title") or each["item"]) + (f" ({advisory})" if len(ids) > 1 else "")
            why = each.get("why")
            found.append({
                "item": each["item"], "title": title, "why": why if isinstance(why, str) else None,
                "done_at": done_at, "by": by, "note": note, "advisory": advisory,
            })
    return tuple(found)


def lines(found: Sequence[Entry], whom: str) -> Iterator[str]:
    """Yield the list for a person: how much is open, what is open with why and how, then what is done and by whom."""
    open_ones = [each for each in found if not each.done_at]
    about = ", ".join(dict.fromkeys(each.advisory for each in found))
    count = f"{len(open_ones)} of {len(found)} things are left to do" if open_ones else f"all {len(found)} are done"
    yield clean(f"{whom}, {about}: {count}.", 400)
    several = len({each.advisory for each in found}) > 1
    for each in sorted(found, key=lambda each: bool(each.done_at)):
        where = f" ({clean(each.advisory, 80)})" if several else ""
        yield f"  {'done' if each.done_at else 'open'}  {clean(each.item, 60)}{where}: {clean(each.title, 200)}"
        if each.done_at:
            by = clean(each.by or "nobody", 100)
            yield f"        {clean(each.done_at[:19], 30)}Z, {by}: {clean(each.note or '', NOTE)}"
            continue
        yield f"        why: {clean(each.why, 400)}"
        yield f"        how: {clean(each.how or '', 400)}"
        if each.note:
            yield f"        opened again: {clean(each.note, NOTE)}"


def as_json(found: Sequence[Entry], environment: str | None) -> str:
    """Return the list as JSON, in ASCII; `environment` is None for every one."""
    keys = ("advisory", "item", "title", "why", "how", "done_at", "by", "note")
    return json.dumps(
        {"environment": environment, "items": [{key: getattr(each, key) for key in keys} for each in found]}, indent=2
    )
