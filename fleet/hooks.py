"""Hooks: the operator's own programs that take a node out of what sends it work before it is changed, and put it back.

What they are, as invoke.yaml has them. fleet.hook_run runs one, fleet.pool says when.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import SettingsError
from fleet.text import clean
from fleet.values import WEEK, duration
from generator.shell import join

#: Steps in the journal: each of the first two before its hook is started, the last once the node is back for sure.
DRAIN, RETURN, RETURNED = "drain", "return", "returned"
CONTROLLER, NODE = "controller", "node"
KEYS = ("run", "where", "timeout")
SECONDS = 60
CHECKOUT = Path(__file__).resolve().parents[1]  # where invoke.yaml stands


@dataclass(frozen=True, slots=True)
class Hook:
    """A program with its first words, `where` it runs (CONTROLLER or NODE), and how many seconds it may take."""

    step: str
    run: tuple[str, ...]
    where: str = CONTROLLER
    timeout: int = SECONDS

    @property
    def said(self) -> str:
        """What it runs, where and how long at most, for the plan and the question before a patch."""
        command = join([*self.run, "NAME", "ADDRESS"])
        return f"on the {self.where}, {self.timeout} s at most: {clean(command, 200)}"


@dataclass(frozen=True, slots=True)
class Hooks:
    """The two of them: both, or none."""

    drain: Hook | None = None
    back: Hook | None = None

    def __bool__(self) -> bool:
        return self.drain is not None

    def __iter__(self) -> Iterator[Hook]:
        return iter([self.drain, self.back] if self else [])


NONE = Hooks()


def parse(value: object, where: str) -> Hooks:
    """Return the hooks that invoke.yaml has as `value`; an empty table is none. Raises SettingsError, naming `where`.

    hooks:
      drain:  {run: [examples/haproxy/drain.sh, lb1:9999, web], timeout: 90}
      return: {run: [examples/haproxy/return.sh, lb1:9999, web]}
    """
    if not isinstance(value, Mapping) or not set(map(str, value)) <= {DRAIN, RETURN}:
        raise SettingsError(f"{where} must be a table with {DRAIN} and {RETURN}, or an empty one.")
    if not value:
        return NONE
    for step, other in ((DRAIN, RETURN), (RETURN, DRAIN)):
        if value.get(step) is None:
            raise SettingsError(
                f"{where} has {other} without {step}: a node that is taken out has to come back; `{step}: {{run: "
                "[\"true\"]}` says that something else does it."
            )
    return Hooks(_hook(DRAIN, value[DRAIN], f"{where}.{DRAIN}"), _hook(RETURN, value[RETURN], f"{where}.{RETURN}"))


def _hook(step: str, value: object, where: str) -> Hook:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where} must be a table with run, and where and timeout if they are not {CONTROLLER} "
                            f"and {SECONDS} s.")
    if unknown := sorted(set(map(str, value)) - set(KEYS)):
        raise SettingsError(f"{where}.{clean(unknown[0])} is no setting; known are {', '.join(KEYS)}.")
    place = value.get("where", CONTROLLER)
    if place not in (CONTROLLER, NODE):
        raise SettingsError(f"{where}.where is {CONTROLLER} or {NODE}, not {clean(str(place))!r}.")
    seconds = duration(value.get("timeout", SECONDS), f"{where}.timeout")
    if seconds > WEEK:
        raise SettingsError(f"{where}.timeout is longer than a week, {WEEK} s, which no node is out for.")
    return Hook(step, _words(value.get("run"), place, f"{where}.run"), place, seconds)


def _words(value: object, place: str, where: str) -> tuple[str, ...]:
    """Return a program and its words. One that stands in a directory is taken from the checkout, on the controller."""
    listed = value if isinstance(value, (list, tuple)) else []
    if not listed or not all(isinstance(each, (str, int)) and not isinstance(each, bool) for each in listed):
        raise SettingsError(f"{where} must be a list of words, a program first: [./drain.sh, web]; no shell reads it.")
    words = [str(each) for each in listed]
    program = words[0]
    if not program or program.startswith("-"):
        raise SettingsError(f"{where} must begin with a program, not {clean(program)!r}.")
    for word in words:
        if "\0" in word or word != word.encode(errors="ignore").decode():  # half a surrogate pair, which YAML can spell
            raise SettingsError(f"{where} has {clean(word)!r}, which no program can be given.")
    if "/" in program and not program.startswith("/"):
        if place == NODE:
            raise SettingsError(f"{where}: on a node a program is absolute or found in its PATH, not {clean(program)}.")
        program = os.path.normpath(CHECKOUT / program)
    return (program, *words[1:])


def check(hooks: Hooks, connected: bool = True) -> None:
    """Raise SettingsError for hooks that cannot run, before anything is changed anywhere.

    That is a program that is not on this machine, and, where nobody connects to nodes (`connected` false), a hook that
    runs on one.
    """
    for hook in hooks:
        if hook.where == NODE:
            if not connected:
                raise SettingsError(
                    f"the {hook.step} hook runs on the node, and --via chef-server connects to none: have it run on "
                    f"the {CONTROLLER}, or say `hooks: {{}}` for that environment."
                )
        elif shutil.which(hook.run[0]) is None:
            raise SettingsError(
                f"the {hook.step} hook's program {clean(hook.run[0])} is not there or may not be run: correct hooks in "
                "invoke.yaml, or chmod +x it."
            )


def check_environments(elsewhere: Iterable[str], environments: Iterable[str]) -> None:
    """Raise SettingsError where nodes of several environments are meant, and one of these has hooks of its own.

    `elsewhere` are the environments that have, but for the one whose settings hold; `environments` are the nodes'.
    """
    if missed := sorted({*elsewhere} & {*environments}):
        raise SettingsError(
            f"invoke.yaml has hooks for {', '.join(missed)} alone, which are not run where several environments are "
            f"meant: patch it by itself, --env {missed[0]}, or have its hooks stand under styptic."
        )


def drained(steps: Iterable[str]) -> bool:
    """True if a node is out by the names of its steps so far, in their order: its drain was begun, and since then
    nothing told that it is back."""
    out = False
    for step in steps:
        out = step == DRAIN or (out and step != RETURNED)
    return out
