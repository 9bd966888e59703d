"""`invoke status`, `history` and `show`: what the journal tells; they ask neither server nor node."""

import json as jsons
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fleet.cli import verb
from fleet.text import clean
from fleet.verbs import shared

if TYPE_CHECKING:
    from fleet.history import NodeLine, RunLine, Step

RUN = {"run": "The run, or the beginning of its name (default: the latest)"}
JSON = {"json": "As JSON, for programs"}


@verb(help=RUN | JSON)
def status(context, run=None, json=False):
    """
    Say how a rollout stands, also while it goes on, from another terminal.

    invoke status
    invoke status --run 20260102T030405Z-1a2b --json

    Reads the journal ($STYPTIC_STATE, or ~/.local/state/styptic/journal.db) without disturbing who writes it: the
    counts, the nodes at work with the step each is in, those that need a person, what is waited for between two waves,
    and how to go on with what did not end well. A run that was killed is told from one that goes on.
    """
    shared.settings_of(context, {}, whom=False)
    with journal() as book:
        line = book.run(run)
        at_work, nodes, last = book.at_work(line.id), book.nodes(line.id, steps=False), book.last(line.id)
    from fleet.report import history_text

    if json:
        working = [
            {"name": node.name, "wave": node.wave, "step": step.name, "since": step.at} for node, step in at_work
        ]
        return print(jsons.dumps(run_as_dict(line) | {"at_work": working}, indent=2))
    return say(history_text.status(line, at_work, nodes, last))


@verb(help={"env": "Only the runs of this Chef environment", "limit": "At most this many, the latest first "
            "(default 20)"} | JSON)
def history(context, env=None, limit=None, json=False):
    """
    List the runs that the journal knows: who patched what, when, for which ticket, and how it ended.

    invoke history
    invoke history --env production --limit 100 --json
    """
    settings = shared.settings_of(context, {"env": env, "limit": limit}, whom=False)
    with journal() as book:
        lines = book.runs(settings.limit or 20, settings.env)
    from fleet.report import history_text

    if json:
        return print(jsons.dumps([run_as_dict(line) for line in lines], indent=2))
    return say(history_text.history(lines) if lines else [none(settings.env)])


@verb(help=RUN | {"node": "Only this node"} | JSON)
def show(context, run=None, node=None, json=False):
    """
    Show what happened in a run: each node's end, its steps with their times, and what a converge that failed said.

    invoke show
    invoke show --run 20260102T030405Z-1a2b --node web1
    """
    shared.settings_of(context, {}, whom=False)
    with journal() as book:
        line = book.run(run)
        nodes = book.nodes(line.id, node)
        steps = [step for step in book.steps(line.id) if step.node is None]
    from fleet.report import history_text

    if json:
        told = {"steps": [step_as_dict(step) for step in steps], "nodes": [node_as_dict(each) for each in nodes]}
        return print(jsons.dumps(run_as_dict(line) | told, indent=2))
    return say(history_text.show(line, nodes, steps))


def none(env: str | None) -> str:
    """Return that there is no run, or none of an environment."""
    from fleet.journal import default_path

    return f"The journal {default_path()} holds no run{f' of {clean(env, 100)}' if env else ''} yet."


def journal():
    """Return the journal, open for reading."""
    from fleet.history import History
    from fleet.journal import default_path

    return History(default_path())


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        print(line)


def run_as_dict(run: "RunLine") -> dict:
    """Return a run with `stage` as fleet.history has it, all that was written when it began, and its nodes' counts."""
    return {
        "run": run.id, "stage": run.stage, "started": run.started, "finished": run.finished,
        "exit_code": run.exit_code, **run.about, "counts": dict(run.counts),
    }


def node_as_dict(node: "NodeLine") -> dict:
    """Return a node's line of the report, as far as it is known, with its steps."""
    steps = [step_as_dict(step) for step in node.steps]
    return {**node.record, "name": node.name, "wave": node.wave, "state": node.state, "steps": steps}


def step_as_dict(step: "Step") -> dict:
    """Return a step: `at` is UTC, ISO 8601."""
    return {"at": step.at, "step": step.name, "detail": dict(step.detail)}
