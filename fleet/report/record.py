"""What a run was and how it ended, as the writers of reports take it."""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fleet.journal import utc
from fleet.node import NodeRecord

NODE_KEYS = (
    "name", "address", "environment", "platform", "release", "wave", "state", "packages_before", "packages_after",
    "stale_before", "stale_after", "actions", "seconds", "error",
)
OUTSIDE = "from_outside"  # how the name of a check begins that asked a service from the controller
STALE_KEYS = ("pid", "kind", "command", "service", "library")


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a node's proof: its name, "passed", "failed", "skipped" or "error", and what it said.

    An "error" could not be made, and proves nothing.
    """

    name: str
    outcome: str
    message: str = ""


@dataclass(slots=True)
class Outcome:
    """How a node ended: its line in the report, the checks of its proof, and what a person has to do, if anything.

    `converged` is whether chef-client was started on it, and may therefore still run there.
    """

    record: NodeRecord
    checks: tuple[Check, ...] = ()
    todo: str | None = None
    converged: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: `cookbook` has name, version and sha256, `exit_code` is what the command ends with.

    `operator` is who ran it, user@host, `ticket` what they said it is for.
    """

    run: str
    environment: str | None
    query: str | None
    advisories: tuple[str, ...]
    cookbook: Mapping[str, str]
    started: datetime
    finished: datetime
    exit_code: int
    outcomes: tuple[Outcome, ...] = field(default=())
    operator: str | None = None
    ticket: str | None = None


def node_as_dict(record: NodeRecord) -> dict:
    """Return a node's line of report.json: these keys, in this order, and no others but, where there is one, `note`."""
    values = dataclasses.asdict(record)
    found = {key: values[key] for key in NODE_KEYS}
    found["state"] = record.state.value
    found["seconds"] = round(record.seconds, 3)
    found |= {"note": record.note} if record.note else {}
    for key in ("stale_before", "stale_after"):
        found[key] = [{name: process.get(name) for name in STALE_KEYS} for process in values[key]]
    return found


def run_as_dict(run: Run) -> dict:
    """Return the whole of report.json; times are UTC in ISO 8601, seconds are seconds."""
    return {
        "run": run.run, "operator": run.operator, "ticket": run.ticket, "environment": run.environment,
        "query": run.query, "advisories": list(run.advisories),
        "cookbook": {key: run.cookbook.get(key) for key in ("name", "version", "sha256")},
        "started": utc(run.started), "finished": utc(run.finished), "exit_code": run.exit_code,
        "nodes": [node_as_dict(outcome.record) for outcome in run.outcomes],
    }


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, readable by its owner alone: all of it or, on any error, none (rename(2) is atomic)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
