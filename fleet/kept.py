"""The settings of a run as the journal keeps them, so that `patch --resume` goes on with the same."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from fleet.errors import SettingsError
from fleet.settings import REPEATED, Settings, file_of, flag_of, load, value_of
from fleet.text import clean

#: Whom a run is about and what it takes for good. A resume has the same, whatever invoke.yaml says by now.
WHAT = (
    "env", "query", "limit", "advisories", "latest", "via", "full_run", "include_unknown", "waves", "spread_by",
    "strict", "ticket",
)
#: An agreement, or a matter of one terminal: said anew each time.
NEVER_KEPT = ("yes", "quiet")
_TEXTS = {"waves": lambda said: ",".join("canary" if step is None else str(step) for step in said)}


def kept(settings: Settings, flags: Mapping[str, object]) -> dict:
    """Return what the journal keeps, as JSON takes it: what the run is about, and the `flags` that say how it goes.

    There is no secret among them: keys are named by their files.
    """
    known = {field.name for field in fields(Settings)} - set(NEVER_KEPT)
    names = {REPEATED.get(name, name) for name, value in flags.items() if value not in (None, False, [], "")}
    return {
        "what": {name: _text(name, getattr(settings, name)) for name in WHAT},
        "how": {name: _text(name, getattr(settings, name)) for name in sorted(names & known - set(WHAT))},
    }


def again(
    run: str, about: Mapping[str, object], flags: Mapping[str, object], configured: Mapping[str, object]
) -> Settings:
    """Return the settings with which a run goes on: `about` is what the journal has of it, `flags` are given now.

    Those that say how win over the run's own; those that say what the run is about have to be the same. `configured` is
    invoke.yaml's `styptic` table as it is now. Raises SettingsError.
    """
    settings = about.get("settings")
    what, how = (
        (settings.get("what"), settings.get("how")) if isinstance(settings, Mapping) else (None, None)
    )
    if not isinstance(what, Mapping) or not isinstance(how, Mapping) or not set(what) <= set(WHAT):
        raise SettingsError(
            f"run {run} was begun by another version of Styptic, and the journal does not have all it was told: start "
            "it again without --resume."
        )
    where = f"the journal, run {run}"
    meant = {name: value_of(name, what[name], f"{where}: {name}") for name in what if what[name] not in (None, [])}
    given = {
        REPEATED.get(name, name): value for name, value in flags.items() if value not in (None, False, [])
    }
    for name in WHAT:
        if name in given and not _same(name, given[name], meant.get(name)):
            raise SettingsError(
                f"{flag_of(name)}: run {run} is about {_said(name, meant.get(name))}, and a resume goes on with that: "
                "leave it out, or start a run of its own without --resume."
            )
    how = {name: value for name, value in how.items() if not (name == "confirm" and "pause" in given)}
    told = how | {name: value for name, value in given.items() if name not in WHAT}
    told |= {name: value for name, value in what.items() if name in meant}
    if meant.get("latest"):
        told.pop("advisories", None)  # what invoke.yaml had, and --latest was given in place of it
    unknown = sorted(set(told) - {field.name for field in fields(Settings)})
    if unknown:
        raise SettingsError(f"{where}: {clean(unknown[0])} is no setting of this version: start it again.")
    bare = Settings()
    return replace(
        load(told, configured), **{name: meant.get(name, getattr(bare, name)) for name in WHAT}
    )


def _text(name: str, value: object) -> object:
    """Return a value as a person writes it, files by their absolute paths."""
    if name == "advisories":
        return [_file(each) for each in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    return list(value) if isinstance(value, tuple) and name not in _TEXTS else _TEXTS.get(name, str)(value)


def _file(name: str) -> str:
    return str(file_of(name, "--advisory")) if name.lower().endswith(".toml") else name


def _same(name: str, given: object, meant: object) -> bool:
    value = value_of(name, given, flag_of(name))
    if name == "advisories":
        return {Path(_file(each)) for each in value} == {Path(each) for each in meant or ()}
    return value == meant


def _said(name: str, value: object) -> str:
    text = _text(name, value)
    if text in (None, False, []):
        return f"no {name.replace('_', ' ')}"
    return clean(", ".join(text) if isinstance(text, list) else str(text) if text is not True else f"--{name}", 300)
