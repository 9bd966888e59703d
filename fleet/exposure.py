"""Asks nodes over SSH which certificates and keys they have, and since when they run what: `invoke exposure`."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fleet import converge, look, plan, recorded, rollout, window
from fleet.errors import NodeError
from fleet.exposure_certificate import Certificate, read
from fleet.journal import Journal
from fleet.node import Node, State
from fleet.report.record import Outcome, outcome_as_dict
from fleet.rollout import Gate, begun
from fleet.settings import Settings
from fleet.text import clean, last_lines
from fleet.window import Moment, Proof, Window
from generator import exposure, packages, platforms, probe
from generator.errors import ProbeError, StypticError
from generator.exposure import Found

SECONDS = 180  # for the program that lists files: a node may have hundreds
BOUND = 8_000_000  # bytes of its answer
UNJUDGED = "what it has was read and not judged yet: run `invoke exposure` again if that run was cut off"
# How a node that answered stands while the others are under way, whose keys may be its own: fleet.exposure_run ends it.
STATES = {
    window.OPEN: State.FAILED, window.CLOSED: State.ALREADY_PATCHED, window.NEVER: State.NOT_AFFECTED,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node said, and what follows of it for the time in which it could be bled.

    `certificates` are by the SHA-256 of their DER; what could not be read is in `unread`, a sentence each.
    """

    node: Node
    found: Found
    window: Window
    certificates: dict[str, Certificate]
    by_file: dict[str, tuple[str, ...]]
    unread: tuple[str, ...] = ()


@dataclass(slots=True)
class Enquirer:
    """Takes nodes their way, as fleet.rollout sends them: connect, look, list; it changes nothing there.

    `connections` are fleet.ssh's, open; `proofs` are what earlier runs found, by node. `facts` are of the nodes that
    answered, by name.
    """

    connections: object
    journal: Journal
    run: str
    settings: Settings
    advisories: Sequence
    proofs: dict[str, list[Proof]]
    facts: dict[str, Facts] = field(default_factory=dict)

    async def __call__(self, node: Node, gate: Gate) -> Outcome:
        """Ask one node; how it ended says why where it gave no answer."""
        began = time.monotonic()
        outcome = begun(node)
        outcome.record.started = datetime.now(UTC)
        try:
            async with asyncio.timeout(self.settings.timeout):
                await self.ask(node)
            facts = self.facts[node.name]
            outcome.record.state = STATES.get(facts.window.state, State.UNKNOWN)
            outcome.record.note = f"certificates read: {len(facts.certificates)}"
        except StypticError as error:
            outcome.record.state, outcome.record.error = State.UNREACHABLE, clean(str(error), 600)
        except TimeoutError:
            outcome.record.state = State.UNREACHABLE
            outcome.record.error = f"it did not answer within {self.settings.timeout} s"
        outcome.record.seconds = time.monotonic() - began
        kept = outcome
        if node.name in self.facts:  # for whoever reads of a run that is cut off before its nodes are judged
            kept = replace(outcome, record=replace(outcome.record, state=State.UNKNOWN, note=None, error=UNJUDGED))
        self.journal.node(self.run, node.name, 0, kept.record.state.value, outcome_as_dict(kept))
        return outcome

    async def ask(self, node: Node) -> None:
        """Ask one node; raises StypticError where it gives no answer."""
        kinds = probe.kinds(each.restart for each in self.advisories)
        self.step(node, "connect")
        async with await self.connections.connect(node) as connection:
            self.step(node, "look")
            now = await look.take(connection, self.advisories, self.settings.sudo, kinds)
            if now.name not in (None, node.name):
                raise NodeError(f"the machine at {node.address} is {now.name} by its own client.rb")
            if now.uid != 0:
                raise NodeError("the login is not root's and cannot read keys: give --sudo, or --ssh-user root")
            self.step(node, "list certificates and keys")
            found, offset = await self.listed(connection)
            recipe = await self.recipe(connection, node, offset)
        proofs = [*self.proofs.get(node.name, ()), *([recipe] if recipe else [])]
        old = f"processes still run the old library: {look.named(now.counted)}" if now.counted else None
        when = window.of(found, now.packages, self.judge(node), old, proofs, offset)
        self.facts[node.name] = facts_of(node, found, when)

    def step(self, node: Node, name: str) -> None:
        """Write down a step before it is taken."""
        self.journal.step(self.run, node.name, name)

    def judge(self, node: Node) -> window.Judge:
        """Return what says what the advisories make of packages of this node."""
        return lambda found: plan.verdict(self.advisories, node.platform, node.release, found)

    async def listed(self, connection) -> tuple[Found, int]:
        """Have the node list its files; return that, and how many seconds its clock is ahead of ours."""
        program = exposure.command(
            {name for each in self.advisories for name in each.leaks.libraries},
            self.settings.certificate_directories, packages.names(self.advisories),
        )
        before = time.time()
        answer = await connection.run(
            ["sh", "-s"], stdin=program.encode(), timeout=SECONDS, limit=BOUND, sudo=self.settings.sudo
        )
        if answer.truncated:
            raise NodeError(f"it answered with more than {BOUND} bytes, which is no whole answer")
        if not answer.stdout:
            raise ProbeError(f"the node listed nothing: {last_lines(answer.stderr, 2) or 'and does not say why'}.")
        found = exposure.parse(answer.stdout.decode(errors="replace"))
        return found, ahead(found.now, before, time.time())

    async def recipe(self, connection, node: Node, offset: int) -> Proof | None:
        """Return what the recipe's last result proves, if there is one: that at its end the packages were in order by
        these advisories, whichever it ran for, and nothing stale was left.
        """
        answer = await connection.run(
            ["cat", converge.RESULT], timeout=look.SECONDS, limit=look.BOUND, sudo=self.settings.sudo
        )
        if answer.rc or answer.truncated:
            return None
        known = node.platform in platforms.FAMILY
        manager = platforms.SCHEME[platforms.distro_of(node.platform)] if known else "dpkg"
        concerns = packages.concern(self.advisories)
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            said = json.loads(answer.stdout.decode(errors="replace"))
            left = [each for each in said["stale_after"] if each["kind"] in probe.COUNTED]
            when = datetime.fromisoformat(str(said["finished"]))
            named = recorded.named(said["packages_after"], manager)
            there = {name: version for name, version in named.items() if concerns(name)}
            good = there and self.judge(node)(there).kind in ("fixed", "not_affected")
            if good and said["status"] == "success" and not left and not said["unread"] and when.tzinfo:
                moment = Moment(when.timestamp() - offset, "the recipe's result on the node")
                return Proof(moment.time.timestamp(), True, moment.by)  # a time that a calendar has, or ValueError
        return None


def ahead(theirs: int, before: float, after: float) -> int:
    """Return how many seconds a clock is ahead that showed `theirs` at some moment between two of ours."""
    if int(before) - 1 <= theirs <= after + 1:
        return 0
    return round(theirs - (before if theirs < before else after))


def facts_of(node: Node, found: Found, when: Window) -> Facts:
    """Return the facts of a node, its certificates read."""
    certificates, by_file, unread = {}, {}, []
    for file in found.files.values():
        in_it = []
        for der in file.certificates:
            try:
                certificate = read(der)
            except ValueError as error:
                unread.append(f"{clean(file.path, 200)} holds {error}")
                continue
            certificates[certificate.sha256] = certificate
            in_it.append(certificate.sha256)
        by_file[file.path] = tuple(in_it)
    return Facts(node, found, when, certificates, by_file, tuple(unread))


async def ask(
    settings: Settings, ways, journal: Journal, run: str, advisories: Sequence, nodes: Sequence[Node],
    proofs: dict[str, list[Proof]], tell: Callable[[Outcome], None],
) -> tuple[list[Outcome], dict[str, Facts]]:
    """Ask nodes; return how each ended, and the facts of those that answered.

    `ways` are connections that are not yet open (fleet.verbs.rolling.ways); `advisories` are those that leak.
    """
    going = rollout.prepare(nodes)
    async with ways as connections:
        enquirer = Enquirer(connections, journal, run, settings, advisories, proofs)
        await rollout.run(going, nodes, enquirer, concurrency=settings.concurrency, ended=tell)
    return list(going.outcomes.values()), enquirer.facts
