"""What a run was and how it ended, as the writers of reports take it."""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fleet.journal import utc
from fleet.node import NodeRecord, State

NODE_KEYS = (
    "name", "address", "environment", "platform", "release", "wave", "state", "packages_before", "packages_after",
    "stale_before", "stale_after", "actions", "started", "seconds", "error",
)
FORMAT = 1  # of report.json: docs/report.schema.json
NOT_TOUCHED = "not touched: "  # how the error of a node begins that a stop spared; why follows
OUTSIDE = "from_outside"  # how the name of a check begins that asked a service from the controller
UNPROVEN = "proof_over_ssh"  # the name of the check that stands in the place of those that nobody made over SSH
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
    """A run as reports tell of it: `cookbook` has name, version and sha256, `exit_code` is what the command ends with.

    `operator` is who ran it, user@host, `ticket` what they said it is for; `described` are the advisories in words (id,
    title, severity, follow_up), `versions` what it ran with, name to version. `stage` is as fleet.history's: of a run
    that has not `ended`, `finished` and `exit_code` are None. `exposure` has a dictionary a certificate, `followup` one
    an item of the list of what is left to do; both are empty where nobody asked.
    """

    run: str
    environment: str | None
    query: str | None
    advisories: tuple[str, ...]
    cookbook: Mapping[str, str]
    started: datetime
    finished: datetime | None
    exit_code: int | None
    outcomes: tuple[Outcome, ...] = field(default=())
    operator: str | None = None
    ticket: str | None = None
    verb: str = "patch"
    via: str = "chef"
    server: str | None = None
    described: tuple[Mapping[str, str | None], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    stage: str = "ended"
    exposure: tuple[Mapping[str, object], ...] = ()
    followup: tuple[Mapping[str, object], ...] = ()

    @property
    def whom(self) -> str:
        """Whom it was about, in words."""
        return "every environment" if self.environment == "*" else self.environment or f"the query {self.query}"

    @property
    def stopped(self) -> str | None:
        """Why nodes were spared, None where nothing stopped it: each of them says it."""
        errors = (outcome.record.error or "" for outcome in self.outcomes if outcome.record.state is State.SKIPPED)
        return next((error.removeprefix(NOT_TOUCHED) for error in errors if error.startswith(NOT_TOUCHED)), None)


def node_as_dict(record: NodeRecord) -> dict:
    """Return a node's line of report.json: these keys, in this order, and no others but, where there is one, `note`."""
    values = dataclasses.asdict(record)
    found = {key: values[key] for key in NODE_KEYS}
    found["state"] = record.state.value
    found["started"] = record.started and utc(record.started)
    found["seconds"] = round(record.seconds, 3)
    found |= {"note": record.note} if record.note else {}
    for key in ("stale_before", "stale_after"):
        found[key] = [{name: process.get(name) for name in STALE_KEYS} for process in values[key]]
    return found


def outcome_as_dict(outcome: Outcome) -> dict:
    """Return how a node ended as report.json and the journal have it: its line, what to do, if anything, its checks."""
    checks = [dataclasses.asdict(check) for check in outcome.checks]
    return node_as_dict(outcome.record) | ({"todo": outcome.todo} if outcome.todo else {}) | {"checks": checks}


def outcome_of(name: str, state: str, line: Mapping[str, object]) -> Outcome:
    """Return what outcome_as_dict made `line` of; what it lacks, or has of another type, is as nobody said it."""
    def known(key: str, kind: type | tuple[type, ...], otherwise=None):
        return value if isinstance(value := line.get(key), kind) else otherwise

    where = [known(key, str) for key in ("address", "environment", "platform", "release")]
    record = NodeRecord(name, where[0], where[1] or "", *where[2:], known("wave", int, 0), State(state))
    for key in ("packages_before", "packages_after"):
        setattr(record, key, {str(each): str(version) for each, version in known(key, dict, {}).items()})
    for key in ("stale_before", "stale_after"):
        setattr(record, key, [each for each in known(key, list, []) if isinstance(each, dict)])
    record.actions = [str(each) for each in known("actions", list, [])]
    record.seconds = float(known("seconds", (int, float), 0.0))
    record.error, record.note, record.started = known("error", str), known("note", str), moment(line.get("started"))
    checks = (each for each in known("checks", list, []) if isinstance(each, dict))
    said = (Check(*(str(each.get(key, "")) for key in ("name", "outcome", "message"))) for each in checks)
    return Outcome(record, tuple(said), known("todo", str))


def moment(text: object) -> datetime | None:
    """Return the moment that fleet.journal.utc wrote as `text`; None for whatever else."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


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
