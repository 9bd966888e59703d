"""Puts a rollout together for patch and verify: connections, journal, console, report."""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fleet import console, rollout
from fleet.cli import INTERRUPTED, complain
from fleet.errors import SettingsError
from fleet.journal import Journal
from fleet.plan import Plan
from fleet.push import Pushed
from fleet.report.record import Run, node_as_dict
from fleet.rollout import Rollout
from fleet.settings import Settings
from generator.errors import StypticError


def ways(settings: Settings, config):
    """Return how the nodes are reached (fleet.ssh.Connections, not yet open); raises SettingsError for what is wrong.

    `config` is fleet.chef's. Before anything is changed: what SSH was told is checked here, and so are the ssh_config,
    known_hosts and keys that every node needs.
    """
    from fleet import ssh

    connections = ssh.Connections(ssh.settings_for(settings, config.knife))
    connections.router.check()
    return connections


def roll(
    settings: Settings, ways, journal: Journal, url: str, advisories: Sequence, made: Plan, pushed: Pushed | None,
    converge: bool = True, asker=None,
) -> int:
    """Take every node its way, show it, write journal and report; return the exit code.

    `ways` is what ways() returned, `journal` an open one, `url` the server's, `pushed` the cookbook the nodes will get
    (None when none is pushed). With `converge` false nothing is changed and there is no canary; with `asker` (see
    fleet.live) services are asked from outside too. An interruption still says where each node stands and writes the
    report, with the nodes that were under way as `pending`, before KeyboardInterrupt goes on. A report or a journal
    that cannot be written at the end is said on stderr and makes a 1 of the exit code; neither costs the other.
    """
    from fleet.chef import search

    query = search.searched(settings.environment, settings.query)
    started = datetime.now(UTC)
    run = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    going = rollout.prepare(made.asked, made.left_out)
    names = tuple(each.id for each in advisories)
    cookbook = {"name": pushed.name, "version": pushed.version, "sha256": pushed.sha256} if pushed else {}
    code = StypticError.exit_code
    about = {"verb": "patch" if converge else "verify", "server": url, "environment": settings.env, "query": query,
             "advisories": names, "cookbook": cookbook}
    journal.begin(run, about, started)
    for outcome in going.outcomes.values():
        journal.node(run, outcome.record.name, 0, outcome.record.state.value, node_as_dict(outcome.record))
    shown = console.for_stream(sys.stdout, settings.quiet)
    shown.begin(len(going.outcomes))
    try:
        for outcome in made.left_out:
            shown.ended(outcome)
        asyncio.run(travel(settings, ways, journal, run, going, made, advisories, shown, pushed, converge, asker))
        code = going.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    finally:
        outcomes = tuple(sorted(going.outcomes.values(), key=lambda each: each.record.name))
        done = Run(run, settings.env, query, names, cookbook, started, datetime.now(UTC), code, outcomes)
        troubles = written(done, journal, settings.report and Path(settings.report))
        shown.close()
        lines = console.Lines()
        for line in (*console.conclusion(going, settings.whom), *console.follow_up(going, advisories)):
            lines.say(line)
        for trouble in troubles:  # said and not raised, because an interruption stays one
            complain(str(trouble), trouble.exit_code)
    return troubles[0].exit_code if troubles else code


async def travel(
    settings: Settings, ways, journal: Journal, run: str, going: Rollout, made: Plan, advisories: Sequence,
    shown: console.Lines, pushed: Pushed | None, converge: bool, asker,
) -> None:
    """Open the connections and the proof, and send the nodes."""
    from fleet.live import Live
    from fleet.patch import Patcher
    from fleet.verify import Verifier

    async with ways as connections, Verifier(advisories) as verifier:
        prove = Live(verifier.prove, asker, shown.step) if asker else verifier.prove
        patcher = Patcher(
            connections, journal, run, settings, advisories, prove, shown.step, converge,
            pushed.version if pushed else None,
        )
        await rollout.run(
            going, made.asked, patcher, concurrency=settings.concurrency, ended=shown.ended, canary=converge,
        )


def written(run: Run, journal: Journal, directory: Path | None) -> list[StypticError]:
    """Write the report (None: none is wanted), then the run's end into the journal; return what went wrong."""
    troubles = []
    for write in (
        lambda: directory and report(run, directory), lambda: journal.finish(run.run, run.exit_code, run.finished),
    ):
        try:
            write()
        except StypticError as error:
            troubles.append(error)
    return troubles


def report(run: Run, directory: Path) -> None:
    """Write report.json and junit.xml; raises SettingsError where they cannot be written."""
    from fleet.report import json, junit

    try:
        json.write(run, directory)
        junit.write(run, directory)
    except OSError as error:
        raise SettingsError(
            f"the report cannot be written to {directory}: {error.strerror}; the journal holds how each node ended."
        ) from error
