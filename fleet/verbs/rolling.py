"""Puts a rollout together for patch and verify: connections, journal, console, report."""

import asyncio
import contextlib
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fleet import console, interruption, rollout, who
from fleet.between import Between
from fleet.cli import INTERRUPTED, complain
from fleet.errors import SettingsError
from fleet.journal import Journal, new_run
from fleet.plan import Plan, course
from fleet.push import Pushed
from fleet.report.record import Outcome, Run, node_as_dict
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
    converge: bool = True, asker=None, script: bytes | None = None, run: str | None = None,
) -> int:
    """Take every node its way, show it, write journal and report; return the exit code.

    `ways` is what ways() returned, `journal` an open one, `url` the server's, `pushed` the cookbook the nodes will get
    (None when none is pushed), `script` what runs on them in chef-client's place (see fleet.via_shell). With `converge`
    false nothing is changed and there are no waves; with `asker` (see fleet.live) services are asked from outside too.
    `run` is the run's name, where it has one by now.

    The first interruption lets the nodes under way end and makes a 130 of the exit code; the second still says where
    each node stands and writes the report, with the nodes that were under way as `pending`, before KeyboardInterrupt
    goes on. A report or a journal that cannot be written at the end is said on stderr and makes a 1 of the exit code;
    neither costs the other.
    """
    from fleet.chef import search

    query = search.searched(settings.environment, settings.query)
    started = datetime.now(UTC)
    run = run or new_run(started)
    going = rollout.prepare(made.asked, made.left_out)
    names = tuple(each.id for each in advisories)
    cookbook = {"name": pushed.name, "version": pushed.version, "sha256": pushed.sha256} if pushed else {}
    code = StypticError.exit_code
    about = {"verb": "patch" if converge else "verify", "server": url, "environment": settings.env, "query": query,
             "advisories": names, "cookbook": cookbook, "via": settings.via, "operator": who.operator(),
             "ticket": settings.ticket, "host": who.host(), "process": who.process()}
    journal.begin(run, about, started)
    journal.nodes(run, rows(going.outcomes.values()))
    shown = console.for_stream(sys.stdout, settings.quiet)
    shown.begin(len(going.outcomes))
    try:
        for outcome in made.left_out:
            shown.ended(outcome)
        asyncio.run(
            travel(settings, ways, journal, run, going, made, advisories, shown, pushed, converge, asker, script)
        )
        code = going.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
        raise KeyboardInterrupt from None
    finally:
        outcomes = tuple(sorted(going.outcomes.values(), key=lambda each: each.record.name))
        done = Run(run, settings.env, query, names, cookbook, started, datetime.now(UTC), code, outcomes,
                   who.operator(), settings.ticket)
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
    shown: console.Lines, pushed: Pushed | None, converge: bool, asker, script: bytes | None,
) -> None:
    """Open the connections and the proof, and send the nodes, until a person interrupts it."""
    def heard(name: str, under_way: int) -> None:
        with contextlib.suppress(StypticError):  # it stops, whatever the journal says
            journal.step(run, None, "interrupt", signal=name, under_way=under_way)
        if under_way:
            them = "the node under way is" if under_way == 1 else f"the {under_way} nodes under way are"
            complain(f"{name}: {them} finished and no more are begun; once more stops now.", INTERRUPTED)

    with interruption.heeded(going, heard):
        await sent(settings, ways, journal, run, going, made, advisories, shown, pushed, converge, asker, script)


async def sent(
    settings: Settings, ways, journal: Journal, run: str, going: Rollout, made: Plan, advisories: Sequence,
    shown: console.Lines, pushed: Pushed | None, converge: bool, asker, script: bytes | None,
) -> None:
    """Send the nodes over connections that are opened now."""
    from fleet.live import Live
    from fleet.patch import Patcher
    from fleet.verify import Verifier

    async with ways as connections, Verifier(advisories, settings.strict) as verifier:
        prove = Live(verifier.prove, asker, shown.step) if asker else verifier.prove
        patcher = Patcher(
            connections, journal, run, settings, advisories, prove, shown.step, converge,
            pushed.version if pushed else None, script,
        )
        way = course(made, settings) if converge else None
        await rollout.run(
            going, made.asked, patcher, concurrency=settings.concurrency, ended=shown.ended, course=way,
            begin=Between(settings, journal, run, going, shown, len(way.waves)) if way else rollout.at_once,
        )


def written(run: Run, journal: Journal, directory: Path | None) -> list[StypticError]:
    """Write the report (None: none is wanted), then the run's end into the journal; return what went wrong."""
    troubles = []
    alone = [outcome for outcome in run.outcomes if outcome.record.started is None]  # their way wrote nothing down

    def ended() -> None:
        journal.nodes(run.run, rows(alone))
        journal.finish(run.run, run.exit_code, run.finished)

    for write in (lambda: directory and report(run, directory), ended):
        try:
            write()
        except StypticError as error:
            troubles.append(error)
    return troubles


def rows(outcomes: Iterable[Outcome]) -> Iterable[tuple[str, int, str, dict]]:
    """Yield outcomes as the journal takes them."""
    for record in (outcome.record for outcome in outcomes):
        yield record.name, record.wave, record.state.value, node_as_dict(record)


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
