"""What the journal tells of runs that go on or ended, read without disturbing whoever writes it."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fleet import who
from fleet.cli import INTERRUPTED
from fleet.errors import SettingsError
from fleet.journal import VERSION, WAITING
from fleet.report.record import Outcome, outcome_of
from fleet.text import clean

EXPOSURE_SINCE = 2  # the format of the journal from which on it has that table


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run: `about` is what was written when it began, `counts` its nodes by state; times are UTC, ISO 8601."""

    id: str
    started: str
    finished: str | None
    exit_code: int | None
    about: Mapping[str, object]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """`ended`, `interrupted`, `running`, `broken off` (no end was written and its process is gone), or `unknown`.

        `unknown` is a run without an end whose process is another machine's or another container's.
        """
        if self.finished:
            return "interrupted" if self.exit_code == INTERRUPTED else "ended"
        process = self.about.get("process")
        alive = who.runs(process, str(self.about.get("host"))) if isinstance(process, dict) else None
        return {True: "running", False: "broken off", None: "unknown"}[alive]


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was about to be taken at a moment, on a node or (None) by the run as a whole."""

    node: str | None
    at: str
    name: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class NodeLine:
    """A node of a run; `record` is its line in the report as far as it is known, `steps` are in their order."""

    name: str
    wave: int
    state: str
    record: Mapping[str, object]
    steps: Sequence[Step] = ()

    @property
    def outcome(self) -> Outcome:
        """The node as the rollout had it."""
        return outcome_of(self.name, self.state, self.record)


class History:
    """A journal as it was at one moment: a context manager whose methods all tell of that moment.

    Close it before anything is shown: while it is open the writer's log can only grow. Raises SettingsError for a file
    that is not there, is of another version or no journal.
    """

    def __init__(self, path: Path):
        self.path = path
        none = SettingsError(
            f"there is no journal {path}: nothing was patched or verified from here yet, or STYPTIC_STATE names "
            "another."
        )
        if not path.exists():
            raise none
        with self.understandably():
            # Source: https://www.sqlite.org/wal.html#read_only_databases. as_uri escapes what a URI has reserved.
            self.database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            self.database.execute("BEGIN")
            (version,) = self.database.execute("PRAGMA user_version").fetchone()
        self.version = version
        if version == 0 and not self.rows("SELECT 1 FROM sqlite_schema"):  # its writer was killed before it made any
            self.close()
            raise none
        if not 1 <= version <= VERSION:
            self.close()
            raise SettingsError(
                f"the journal {path} has format {version} and this Styptic reads up to {VERSION}: "
                "read it with the Styptic that wrote it."
            )

    def runs(self, most: int, environment: str | None = None) -> list[RunLine]:
        """Return the last runs, the latest first; `environment` as it was given by --env."""
        return self.lines(
            "SELECT id, started, finished, exit_code, about FROM run "
            "WHERE ? IS NULL OR json_extract(about, '$.environment') = ? "
            "ORDER BY COALESCE(json_extract(about, '$.resumed.at'), started) DESC, rowid DESC LIMIT ?",
            environment, environment, most,
        )

    def run(self, name: str | None = None) -> RunLine:
        """Return a run by its name or the beginning of it, without a name the latest.

        Raises SettingsError where there is none, or several.
        """
        if name is None:
            found = self.runs(1)
            if not found:
                raise SettingsError(f"the journal {self.path} holds no run yet.")
            return found[0]
        found = self.lines(
            "SELECT id, started, finished, exit_code, about FROM run "
            "WHERE substr(id, 1, length(?)) = ? ORDER BY id LIMIT 2", name, name,
        )
        if len(found) != 1 and name not in [run.id for run in found]:
            said = "no run begins so" if not found else "more than one run begins so"
            raise SettingsError(f"--run {clean(name, 60)}: {said}; `invoke history` lists them.")
        return found[0]

    def nodes(self, run: str, name: str | None = None, steps: bool = True) -> list[NodeLine]:
        """Return the nodes of a run by name, or one of them, each with its steps unless those are not wanted.

        Raises SettingsError where the run has no node of that name.
        """
        taken: dict[str | None, list[Step]] = {}
        for step in self.steps(run, name) if steps else ():
            taken.setdefault(step.node, []).append(step)
        rows = self.rows("SELECT name, wave, state, record FROM node WHERE run = ? AND (? IS NULL OR name = ?) "
                         "ORDER BY name", run, name, name)
        found = [NodeLine(row[0], row[1], row[2], loaded(row[3]), taken.get(row[0], ())) for row in rows]
        if name is not None and not found:
            raise SettingsError(f"--node {clean(name, 100)}: run {run} has no such node; `invoke show` lists them.")
        return found

    def steps(self, run: str, node: str | None = None) -> list[Step]:
        """Return the steps of a run in the order they were taken, of one node or of all and of the run itself."""
        rows = self.rows("SELECT node, at, name, detail FROM step WHERE run = ? AND (? IS NULL OR node = ?) "
                         "ORDER BY id", run, node, node)
        return [Step(whom, at, name, loaded(detail)) for whom, at, name, detail in rows]

    def last(self, run: str) -> Step | None:
        """Return the last step of a run as a whole, None before its first."""
        rows = self.rows("SELECT node, at, name, detail FROM step WHERE run = ? AND node IS NULL "
                         "ORDER BY id DESC LIMIT 1", run)
        return Step(*rows[0][:3], loaded(rows[0][3])) if rows else None

    def at_work(self, run: str) -> list[tuple[NodeLine, Step]]:
        """Return the nodes that began and did not end, each with its last step; who is in it longest comes first."""
        rows = self.rows(
            "SELECT node.name, wave, state, record, at, step.name, detail FROM node JOIN step ON step.id = "
            "(SELECT MAX(id) FROM step WHERE step.run = node.run AND step.node = node.name) "
            "WHERE node.run = ? AND state = 'pending' AND step.name != ? ORDER BY at, step.id", run, WAITING,
        )
        return [
            (NodeLine(name, wave, state, loaded(record)), Step(name, at, step, loaded(detail)))
            for name, wave, state, record, at, step, detail in rows
        ]

    def ends(self, verbs: Sequence[str]) -> Iterator[tuple[str, str, dict, str]]:
        """Yield (node, state, record, when its last step was begun) of every node that a run of these verbs asked."""
        rows = self.rows(
            "SELECT node.name, state, record, (SELECT MAX(at) FROM step WHERE step.run = node.run AND step.node = "
            "node.name) AS last FROM node JOIN run ON run.id = node.run WHERE last IS NOT NULL AND "
            "json_extract(about, '$.verb') IN (SELECT value FROM json_each(?)) ORDER BY last", json.dumps(list(verbs)),
        )
        return ((name, state, loaded(record), at) for name, state, record, at in rows)

    def exposures(self, advisories: Sequence[str]) -> Iterator[tuple[str, str, dict, bool]]:
        """Yield (node, when its run began, what was found, whether it was about one of these advisories) of every run
        of `exposure`, by node and time. A journal of format 1 has none.
        """
        if self.version < EXPOSURE_SINCE:
            return
        rows = self.rows("SELECT node, started, found, about FROM exposure JOIN run ON run.id = exposure.run "
                         "ORDER BY node, started")
        for node, started, found, about in rows:
            named = loaded(about).get("advisories")
            about_these = isinstance(named, list) and any(each in named for each in advisories)
            yield node, started, loaded(found), about_these

    def lines(self, statement: str, *values: object) -> list[RunLine]:
        """Return the runs that a statement selects with their nodes' counts."""
        found = []
        for row in self.rows(statement, *values):
            counts = self.rows("SELECT state, COUNT(*) FROM node WHERE run = ? GROUP BY state", row[0])
            found.append(RunLine(*row[:4], loaded(row[4]), dict(counts)))
        return found

    def rows(self, statement: str, *values: object) -> list[tuple]:
        """Return what a statement selects."""
        with self.understandably():
            return self.database.execute(statement, values).fetchall()

    @contextmanager
    def understandably(self) -> Iterator[None]:
        """Turn what SQLite says into one sentence that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise SettingsError(f"the journal {self.path} cannot be read: {error}.") from error

    def close(self) -> None:
        """Let go of the moment and of the file."""
        self.database.close()

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def loaded(text: str) -> dict:
    """Return a column's JSON object; one that somebody spoilt is empty, so that the rest can still be read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
