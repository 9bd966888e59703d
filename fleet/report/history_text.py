"""Runs of the journal for a person: how one stands, which there were, what happened on a node."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from fleet.history import NodeLine, RunLine, Step
from fleet.node import State
from fleet.report import conclusion
from fleet.text import aged, aligned, clean

AT_WORK = 50  # nodes at work that are named; programs get all of them
VALUE = 300  # characters of one value of a step
STAGES = {
    "running": "is running", "ended": "ended", "interrupted": "was interrupted",
    "broken off": "was broken off: no end was written and its process is gone",
    "unknown": "has no end yet: whether its process lives cannot be told from here",
}
BROKEN_OFF = "Go on with it by `invoke patch --resume{run}`: it looks first at those that were cut short."
AGAIN = "It changed nothing: start it again."
WAITS = {"pause": "{seconds} s before wave {wave}", "confirm": "for a yes at its terminal before wave {wave}"}
HIDDEN = "record"  # a node's earlier end, which the step that takes it up again keeps for a resume


def heading(run: RunLine) -> Iterator[str]:
    """Yield what a run is: whose, of what, for whom, since when, how it stands."""
    about = run.about
    ended = f" with exit code {run.exit_code}, {_ago(run.finished)}" if run.finished else ""
    yield f"run          {run.id} {STAGES[run.stage]}{ended}"
    yield f"what         {_word(about, 'verb')} of {_whom(run)}, by {_word(about, 'via')}"
    ticket = f", ticket {_word(about, 'ticket')}" if about.get("ticket") else ""
    yield f"who          {_word(about, 'operator')}{ticket}"
    took = f", took {_length(run)}" if run.finished else ""
    yield f"began        {clean(run.started, 40)}, {_ago(run.started)}{took}"
    if isinstance(resumed := about.get("resumed"), dict):
        times = resumed.get("times")
        often = f"{times} times, last " if isinstance(times, int) and times > 1 else ""
        yield f"resumed      {often}{_ago(resumed.get('at'))}, by {_word(resumed, 'operator')}"
    yield f"Chef server  {_word(about, 'server')}"
    yield f"advisories   {_shown(about.get('advisories') or [])}"
    if isinstance(cookbook := about.get("cookbook"), dict) and cookbook:
        yield f"cookbook     {_word(cookbook, 'name')} {_word(cookbook, 'version')}"


def status(
    run: RunLine, at_work: Sequence[tuple[NodeLine, Step]], nodes: Sequence[NodeLine], last: Step | None = None
) -> Iterator[str]:
    """Yield how a run stands: its counts, who is at work and in what, who needs a person, how to go on.

    `last` is the last step of the run as a whole.
    """
    yield from heading(run)
    yield f"nodes        {counts(run, len(at_work))}"
    label = at_work_then(run)
    for number, (node, step) in enumerate(at_work[:AT_WORK]):
        wave = f", wave {node.wave}" if node.wave else ""
        yield f"{'' if number else label:12} {clean(node.name, 100)}  {clean(step.name, 60)}, {_ago(step.at)}{wave}"
    if len(at_work) > AT_WORK:
        yield f"{'':12} and {len(at_work) - AT_WORK} more"
    if last and last.name in WAITS and run.stage in ("running", "unknown"):
        said = {name: _shown(last.detail.get(name)) for name in ("seconds", "wave")}
        yield f"waits        {WAITS[last.name].format(**said)}, since {_ago(last.at)}"
    yield from conclusion.needing_a_person(
        node.outcome for node in nodes if node.state != State.PENDING or node.record.get("error")
    )
    if run.stage == "broken off":
        yield BROKEN_OFF.format(run=f" --run {run.id}") if run.about.get("verb") == "patch" else AGAIN
    yield from conclusion.going_on(run.id, run.about.get("verb"), run.exit_code)


def history(runs: Sequence[RunLine]) -> Iterator[str]:
    """Yield a table of runs."""
    rows = [("RUN", "BEGAN", "TOOK", "WHAT", "WHOM", "BY", "TICKET", "NODES", "END")]
    for run in runs:
        about = run.about
        end = f"exit {run.exit_code}" if run.finished else run.stage
        rows.append((
            run.id, _ago(run.started), _length(run) if run.finished else "-", _word(about, "verb"), _whom(run),
            _word(about, "operator"), _word(about, "ticket"), counts(run), end,
        ))
    yield from aligned(rows, limit=80)


def show(run: RunLine, nodes: Sequence[NodeLine], steps: Sequence[Step]) -> Iterator[str]:
    """Yield a run, the run's own steps, and each node with its steps and what they said."""
    yield from heading(run)
    yield f"nodes        {counts(run)}"
    yield from _steps([step for step in steps if step.node is None])
    for node in nodes:
        outcome = node.outcome
        wave = f"wave {node.wave}  " if node.wave else ""
        seconds = f"{outcome.record.seconds:.1f} s  " if outcome.record.seconds else ""
        yield ""
        yield f"{clean(node.name, 100)}  {node.state}  {wave}{seconds}{conclusion.told(outcome)}".rstrip()
        if outcome.todo:
            yield f"  to do: {clean(outcome.todo, 600)}"
        yield from _steps(node.steps)


def counts(run: RunLine, at_work: int | None = None) -> str:
    """Return a run's nodes by state, what needs a person first; `at_work` of the pending ones have begun."""
    left = dict(run.counts)
    said = [f"{left[state]} {state.replace('_', ' ')}" for state in conclusion.ORDER if left.get(state)]
    if at_work is not None and (pending := left.get(State.PENDING)):
        begun = [f"{at_work} {at_work_then(run)}"] if at_work else []
        begun += [f"{pending - at_work} not begun"] if pending > at_work else []
        said = [each for each in said if each != f"{pending} pending"] + begun
    return f"{sum(left.values())}: {', '.join(said)}" if said else "none"


def at_work_then(run: RunLine) -> str:
    """Return what to call nodes that began and did not end: a run that is no more left them so."""
    return "at work" if run.stage in ("running", "unknown") else "cut short"


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        yield f"  {clean(step.at, 40)}  {clean(step.name, 60)}"
        for name, value in step.detail.items():
            if name == "output" and isinstance(value, str):
                yield from (f"      | {clean(line, VALUE)}" for line in value.split(" | "))
            elif name != HIDDEN and value not in (None, "", [], {}):
                yield f"      {clean(str(name), 60)}: {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        value = [f"{name} {each}" for name, each in value.items()]
    if isinstance(value, (list, tuple)):
        return clean(", ".join("none" if each is None else str(each) for each in value), VALUE)
    return clean({True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value), VALUE)


def _word(about: Mapping[str, object], key: str) -> str:
    return clean(str(about.get(key) or "-"), 120)


def _whom(run: RunLine) -> str:
    return _word(run.about, "environment" if run.about.get("environment") else "query")


def _ago(moment: str | None) -> str:
    try:
        return aged(datetime.fromisoformat(moment).timestamp(), time.time())
    except (TypeError, ValueError):
        return "at a time that cannot be read"


def _length(run: RunLine) -> str:
    try:
        took = datetime.fromisoformat(run.finished) - datetime.fromisoformat(run.started)
    except (TypeError, ValueError):
        return "-"
    minutes, seconds = divmod(int(took.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{took.total_seconds():.1f} s"
