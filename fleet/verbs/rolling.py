"""Puts a rollout together for patch and verify: connections, journal, console, report."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet import console, interruption, pool, rollout
from fleet import entry as entries
from fleet.between import Between
from fleet.cli import INTERRUPTED, complain
from fleet.earlier import Earlier
from fleet.entry import Entry
from fleet.errors import SettingsError
from fleet.journal import Journal
from fleet.plan import Plan, course
from fleet.push import Pushed
from fleet.report import conclusion, past
from fleet.report.record import Run
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


@dataclass(frozen=True, slots=True)
class Order:
    """What a rollout is made of, for those who send it: see roll(). `going` is how its nodes stand."""

    settings: Settings
    ways: object
    entry: Entry
    advisories: Sequence
    made: Plan
    pushed: Pushed | None
    converge: bool
    asker: object
    script: bytes | None
    lost: Callable[[], str | None] | None
    going: Rollout
    shown: console.Lines

    @property
    def journal(self) -> Journal:
        """Where its steps are written down."""
        return self.entry.journal

    @property
    def run(self) -> str:
        """Its name."""
        return self.entry.run


def roll(
    settings: Settings, ways, journal: Journal, url: str, advisories: Sequence, made: Plan, pushed: Pushed | None,
    converge: bool = True, asker=None, script: bytes | None = None, entry: Entry | None = None,
    lost: Callable[[], str | None] | None = None, release: Callable[[], None] = lambda: None,
) -> int:
    """Take every node its way, show it, write journal and report; return the exit code.

    `ways` is what ways() returned, with --via chef-server the server itself; `journal` is an open one, `url` the
    server's, `pushed` the cookbook the nodes will get (None when none is pushed), `script` what runs on them in
    chef-client's place (see fleet.via_shell). With `converge` false nothing is changed and there are no waves; with
    `asker` (see fleet.live) services are asked from outside too. `entry` is the run's in the journal, where it has one
    by now, also one that is resumed; `lost` says whether its lock was broken (fleet.verbs.unlock), and `release` gives
    the lock back, before the journal has the run's end: so whoever is killed in between leaves a run to resume.

    The first interruption lets the nodes under way end and makes a 130 of the exit code; the second still says where
    each node stands and writes the report, with the nodes that were under way as `pending`, before KeyboardInterrupt
    goes on. A report or a journal that cannot be written at the end is said on stderr and makes a 1 of the exit code;
    neither costs the other.
    """
    verb = "patch" if converge else "verify"
    entry = entry or entries.begin(journal, settings, url, advisories, made, verb=verb)
    entry.pushed(pushed)
    going = rollout.prepare(made.asked, made.left_out)
    for node in made.asked:
        if (before := entry.earlier.get(node.name)) and before.holds:
            going.outcomes[node.name] = before.end
    if entry.earlier:
        going.spare = lambda node, why: (entry.earlier.get(node.name) or Earlier()).spared(node, why)
    shown = console.for_stream(sys.stdout, settings.quiet)
    shown.begin(len(going.outcomes))
    order = Order(settings, ways, entry, advisories, made, pushed, converge, asker, script, lost, going, shown)
    code = StypticError.exit_code
    try:
        for outcome in made.left_out:
            shown.ended(outcome)
        asyncio.run(travel(order))
        code = going.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
        raise KeyboardInterrupt from None
    finally:
        try:
            release()
        finally:
            troubles = ending(order, code)
    return troubles[0].exit_code if troubles else code


def ending(order: Order, code: int) -> list[StypticError]:
    """Write journal and report of a rollout that is over, and say what it came to; return what went wrong with them."""
    going, settings, entry = order.going, order.settings, order.entry
    pool.remind_all(settings.hooks, going.outcomes, order.journal, order.run)
    outcomes = tuple(sorted(going.outcomes.values(), key=lambda each: each.record.name))
    done, report_to = entry.done(settings, outcomes, code), settings.report and Path(settings.report)
    troubles = written(done, order.journal, report_to, entry.earlier)
    order.shown.close()
    lines = console.Lines()
    for line in (
        *conclusion.conclusion(going, settings.whom),
        *conclusion.follow_up(outcomes, order.advisories, done.environment, done.query),
        *conclusion.going_on(done.run, "patch" if order.converge else "verify", code),
    ):
        lines.say(line)
    for trouble in troubles:  # said and not raised, because an interruption stays one
        complain(str(trouble), trouble.exit_code)
    return troubles


async def travel(order: Order) -> None:
    """Open the connections and the proof, and send the nodes, until a person interrupts it."""
    def heard(name: str, under_way: int) -> None:
        with contextlib.suppress(StypticError):  # it stops, whatever the journal says
            order.journal.step(order.run, None, "interrupt", signal=name, under_way=under_way)
        if under_way:
            them = "the node under way is" if under_way == 1 else f"the {under_way} nodes under way are"
            complain(f"{name}: {them} finished and no more are begun; once more stops now.", INTERRUPTED)

    with interruption.heeded(order.going, heard):
        await sent(order)


async def sent(order: Order) -> None:
    """Send the nodes over connections that are opened now, or have the Chef server's word reach them."""
    settings, made, journal, run = order.settings, order.made, order.journal, order.run
    unconnected = order.converge and settings.via == "chef-server"
    if unconnected:
        from fleet.via_server import ViaServer

        version = order.pushed.version if order.pushed else ""
        opened = ViaServer(
            order.ways, settings, journal, run, order.advisories, version, order.shown.step, aside, order.entry.earlier,
        )
    else:
        opened = over_ssh(order)
    async with opened as way:
        going = course(made, settings) if order.converge else None
        begin = Between(settings, journal, run, order.going, order.shown, going.waves, order.lost) if going else None
        await rollout.run(
            order.going, made.asked, way, ended=order.shown.ended, course=going, begin=begin or rollout.at_once,
            concurrency=max(1, len(made.asked)) if unconnected else settings.concurrency,
        )


def aside(sentence: str) -> None:
    """Say what the operator has to see to, whatever the nodes come to."""
    complain(f"{sentence.rstrip('.')}.", 0)


@contextlib.asynccontextmanager
async def over_ssh(order: Order):
    """Open the connections and the proof; give what takes nodes their way over them."""
    from fleet.live import Live
    from fleet.patch import Patcher
    from fleet.verify import Verifier

    pushed, settings = order.pushed, order.settings
    async with order.ways as connections, Verifier(order.advisories, settings.strict) as verifier:
        prove = Live(verifier.prove, order.asker, order.shown.step) if order.asker else verifier.prove
        yield Patcher(
            connections, order.journal, order.run, settings, order.advisories, prove, order.shown.step, order.converge,
            pushed.version if pushed else None, order.script, pushed.archive if pushed else b"", order.entry.earlier,
        )


def written(
    run: Run, journal: Journal, directory: Path | None, earlier: Container[str] = ()
) -> list[StypticError]:
    """Write the run's end into the journal, then the report (None: none is wanted); return what went wrong.

    The report is made of what the journal holds, as `invoke report` makes it anew; of `run` where the journal failed.
    `earlier` are the nodes that it knew before it was resumed.
    """
    troubles = []
    # Those whose way wrote nothing down, and those of a run that was resumed, who may have kept an earlier end.
    alone = [each for each in run.outcomes if each.record.started is None or each.record.name in earlier]

    def ended() -> None:
        journal.nodes(run.run, entries.rows(alone))
        journal.finish(run.run, run.exit_code, run.finished)

    def reported() -> None:
        if directory:
            report(run if troubles else past.read(journal.path, run.run), directory)

    for write in (ended, reported):
        try:
            write()
        except StypticError as error:
            troubles.append(error)
    return troubles


def report(run: Run, directory: Path) -> None:
    """Write the reports (fleet.report.formats); raises SettingsError where they cannot be written."""
    from fleet.report import formats

    try:
        formats.write(run, directory)
    except OSError as error:
        raise SettingsError(
            f"the report cannot be written to {directory}: {error.strerror}; the journal holds how each node ended."
        ) from error
