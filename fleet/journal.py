"""What happened, in SQLite, written down before it is acted on or believed."""

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fleet.errors import SettingsError
from fleet.settings import file_of

VERSION = 2
WAIT = 2  # seconds for another writer: the event loop stands still for as long
FIRST_SCHEMA = """
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    started TEXT NOT NULL,          -- UTC, ISO 8601, as every time here
    finished TEXT,
    exit_code INTEGER,
    about TEXT NOT NULL             -- JSON: verb, server, environment, query, advisories, cookbook, via, who runs it
);
CREATE TABLE node (
    run TEXT NOT NULL REFERENCES run (id),
    name TEXT NOT NULL,
    wave INTEGER NOT NULL,
    state TEXT NOT NULL,
    record TEXT NOT NULL,           -- JSON: the node's line in the report, as far as it is known
    PRIMARY KEY (run, name)
);
CREATE TABLE step (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES run (id),
    node TEXT,                      -- NULL: a step of the whole run
    at TEXT NOT NULL,
    name TEXT NOT NULL,             -- "converge" is written before chef-client is started, and so on
    detail TEXT NOT NULL            -- JSON
);
CREATE INDEX step_of_node ON step (run, node);
"""
SECOND_SCHEMA = """
CREATE TABLE exposure (
    run TEXT NOT NULL REFERENCES run (id),
    node TEXT NOT NULL,
    found TEXT NOT NULL,            -- JSON: what fleet.exposure_record keeps of a node's certificates; no key material
    PRIMARY KEY (run, node)
);
CREATE TABLE followup (
    id INTEGER PRIMARY KEY,
    item TEXT NOT NULL,             -- of the follow-up list
    advisory TEXT NOT NULL,
    environment TEXT,               -- NULL: of every one
    done INTEGER NOT NULL,          -- 0 where it is open again; the last word counts
    at TEXT NOT NULL,
    operator TEXT NOT NULL,
    note TEXT NOT NULL
);
"""
#: What each format added to the one before it; a file is brought up step by step, and nothing in it is rewritten.
SCHEMAS = (FIRST_SCHEMA, SECOND_SCHEMA)
WAITING = "wait for its wave"  # the step of a node that was looked at and goes on later, so that it is not at work
NODE = (
    "INSERT INTO node (run, name, wave, state, record) VALUES (?, ?, ?, ?, ?) ON CONFLICT (run, name) "
    "DO UPDATE SET wave = excluded.wave, state = excluded.state, record = excluded.record"
)

STEP = "INSERT INTO step (run, node, at, name, detail) VALUES (?, ?, ?, ?, ?)"


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the journal stands: $STYPTIC_STATE, else styptic/journal.db in the user's state directory.

    Source of the default: XDG Base Directory Specification 0.8, XDG_STATE_HOME (~/.local/state when unset). Raises
    SettingsError for the home of a user there is not.
    """
    if chosen := environment.get("STYPTIC_STATE"):
        return file_of(chosen, "STYPTIC_STATE")
    state = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return file_of(state, "XDG_STATE_HOME") / "styptic" / "journal.db"


class Journal:
    """An open journal. Every method has committed, and SQLite has synced, when it returns.

    Raises SettingsError where the file is of another version, is no database or cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        with self.understandably():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self.database = sqlite3.connect(path, isolation_level=None, timeout=WAIT)
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = FULL")
            self.database.execute("PRAGMA foreign_keys = ON")
            self.create()

    def create(self) -> None:
        """Make the tables that the file has not; refuse a file of a later version."""
        with self.at_once():
            (version,) = self.database.execute("PRAGMA user_version").fetchone()
            if not 0 <= version <= VERSION:
                raise SettingsError(
                    f"the journal {self.path} has format {version} and this Styptic writes {VERSION}: "
                    "move it away, or name another file in STYPTIC_STATE."
                )
            if version < VERSION:
                for statement in "".join(SCHEMAS[version:]).split(";\n"):
                    self.database.execute(statement)
                self.database.execute(f"PRAGMA user_version = {VERSION}")

    def begin(self, run: str, about: Mapping[str, object], started: datetime) -> None:
        """Write down that a run starts."""
        self.write("INSERT INTO run (id, started, about) VALUES (?, ?, ?)", run, utc(started), json.dumps(about))

    def finish(self, run: str, exit_code: int, finished: datetime) -> None:
        """Write down how a run ended."""
        self.write("UPDATE run SET finished = ?, exit_code = ? WHERE id = ?", utc(finished), exit_code, run)

    def about(self, run: str, about: Mapping[str, object]) -> None:
        """Write down anew what a run is about."""
        self.write("UPDATE run SET about = ? WHERE id = ?", json.dumps(about), run)

    def forget(self, run: str) -> None:
        """Take out a run that came to nothing, because somebody else holds the lock, say."""
        with self.understandably(), self.at_once():
            for statement in ("DELETE FROM step WHERE run = ?", "DELETE FROM node WHERE run = ?",
                              "DELETE FROM run WHERE id = ?"):
                self.database.execute(statement, (run,))

    def resume(
        self, run: str, again: Callable[[dict, str | None], dict], step: str, **detail: object
    ) -> tuple[dict, tuple]:
        """Take up a run, which has no end from now on, and write down the step; of two at once one has it.

        `again(about, finished)` returns what the run is about from now on, or raises. Returns that, and for
        `finish_again` what it was about, when it had ended and with what.
        """
        with self.understandably(), self.at_once():
            (text, finished, code), = self.database.execute(
                "SELECT about, finished, exit_code FROM run WHERE id = ?", (run,)
            )
            about = again(json.loads(text), finished)
            self.database.execute(
                "UPDATE run SET about = ?, finished = NULL, exit_code = NULL WHERE id = ?", (json.dumps(about), run)
            )
            self.database.execute(STEP, (run, None, utc(datetime.now(UTC)), step, json.dumps(detail)))
        return about, (json.loads(text), finished, code)

    def finish_again(self, run: str, about: Mapping[str, object], finished: str | None, code: int | None) -> None:
        """Give a run that was taken up for nothing the end it had."""
        self.write(
            "UPDATE run SET about = ?, finished = ?, exit_code = ? WHERE id = ?", json.dumps(about), finished, code, run
        )

    def node(self, run: str, name: str, wave: int, state: str, record: Mapping[str, object]) -> None:
        """Write down where a node stands."""
        self.write(NODE, run, name, wave, state, json.dumps(record))

    def nodes(self, run: str, rows: Iterable[tuple[str, int, str, Mapping[str, object]]]) -> None:
        """Write down where many nodes stand, (name, wave, state, record) each: all of them or, on any error, none."""
        with self.understandably(), self.at_once():
            for name, wave, state, record in rows:
                self.database.execute(NODE, (run, name, wave, state, json.dumps(record)))

    def step(self, run: str, node: str | None, name: str, **detail: object) -> None:
        """Write down that a step is about to be taken on a node, or (node None) by the run as a whole."""
        self.write(STEP, run, node, utc(datetime.now(UTC)), name, json.dumps(detail))

    def exposure(self, run: str, node: str, found: Mapping[str, object]) -> None:
        """Write down what certificates and keys a node has (fleet.exposure_record has its form)."""
        self.write("INSERT OR REPLACE INTO exposure (run, node, found) VALUES (?, ?, ?)", run, node, json.dumps(found))

    def steps(self, run: str, node: str | None = None) -> list[tuple[str | None, str, dict]]:
        """Return (node, step, detail) of a run in the order they were taken, of one node or of all."""
        rows = self.database.execute(
            "SELECT node, name, detail FROM step WHERE run = ? AND (? IS NULL OR node = ?) ORDER BY id",
            (run, node, node),
        )
        return [(whom, name, json.loads(detail)) for whom, name, detail in rows]

    def write(self, statement: str, *values: object) -> None:
        """Run one statement; it is on the disk when this returns."""
        with self.understandably():
            self.database.execute(statement, values)

    @contextmanager
    def at_once(self):
        """A transaction that nobody else writes into."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.database.execute("COMMIT")
        except BaseException:
            if self.database.in_transaction:  # SQLite itself has undone one that a full disk cut short
                self.database.execute("ROLLBACK")
            raise

    @contextmanager
    def understandably(self):
        """Turn what SQLite and the file system say into one sentence that names the file."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            # The low byte is the code, those above it say more of it: https://www.sqlite.org/rescode.html
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise SettingsError(
                    f"the journal {self.path} cannot be written: another Styptic is writing, and was for {WAIT} s; "
                    "wait for it, or name another file in STYPTIC_STATE."
                ) from error
            raise SettingsError(
                f"the journal {self.path} cannot be written: {error}; "
                "make room or rights, or name another file in STYPTIC_STATE."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def new_run(started: datetime) -> str:
    """Return the name of a run that starts: sorted by time, and no other's, on whatever machine."""
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def utc(moment: datetime) -> str:
    """Return a moment in UTC as ISO 8601 with milliseconds, `2026-01-02T03:04:05.678Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
