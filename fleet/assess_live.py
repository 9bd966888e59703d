"""Asks the nodes themselves over SSH which packages they have: `assess --live`."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fleet import look, plan, rollout
from fleet.node import Node, State
from fleet.report.record import Outcome
from fleet.rollout import Gate, begun
from fleet.settings import Settings
from fleet.text import clean
from generator.errors import StypticError

# How a node whose packages were seen is shown while the others are still under way.
STATES = {
    "vulnerable": State.FAILED, "unknown": State.UNKNOWN, "fixed": State.ALREADY_PATCHED,
    "not_affected": State.NOT_AFFECTED,
}


@dataclass(slots=True)
class Enquirer:
    """Takes nodes their way, as fleet.rollout sends them: connect, look, nothing else; it changes nothing.

    `connections` are fleet.ssh's, open. `packages` are those of the nodes that answered, by name.
    """

    connections: object
    settings: Settings
    advisories: Sequence
    packages: dict[str, dict[str, str]] = field(default_factory=dict)

    async def __call__(self, node: Node, gate: Gate) -> Outcome:
        """Ask one node; how it ended says why where it gave no answer."""
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await self.ask(node)
        except StypticError as error:
            return begun(node, state=State.UNREACHABLE, error=clean(str(error), 600))
        except TimeoutError:
            return begun(node, state=State.UNREACHABLE, error=f"it did not answer within {self.settings.timeout} s")

    async def ask(self, node: Node) -> Outcome:
        """Ask one node; raises StypticError where it gives no answer."""
        async with await self.connections.connect(node) as connection:
            found = await look.take(connection, self.advisories, self.settings.sudo)
        if found.name not in (None, node.name):
            why = f"the machine at {node.address} is {found.name} by its own client.rb"
            return begun(node, state=State.UNREACHABLE, error=clean(why, 600))
        self.packages[node.name] = found.packages
        verdict = plan.verdict(self.advisories, node.platform, node.release, found.packages)
        bad = verdict.kind in ("vulnerable", "unknown")
        return begun(node, state=STATES[verdict.kind], error=clean(verdict.reason, 600) if bad else None)


def answers(
    nodes: Iterable[Node], left_out: Iterable[Outcome], outcomes: Iterable[Outcome], packages: dict, now: float
) -> tuple[list[Node], dict[str, str]]:
    """Return the nodes with what they said in place of what the search says, and why the others said nothing.

    `left_out` are those that a plan ended without asking: who is not affected on any account, or of a platform that
    nobody patches, stays as the search has it; `now` is the time of the answers.
    """
    asked = {outcome.record.name: outcome.record for outcome in outcomes}
    troubles = {name: record.error or "it was not reached" for name, record in asked.items() if name not in packages}
    for outcome in left_out:
        if outcome.record.state not in (State.NOT_AFFECTED, State.SKIPPED):
            troubles[outcome.record.name] = outcome.record.error or "it was not asked"
    return [now_of(node, packages[node.name], now) if node.name in packages else node for node in nodes], troubles


def now_of(node: Node, packages: dict[str, str], now: float) -> Node:
    """Return a node with the packages it has at this moment."""
    from dataclasses import replace

    return replace(node, packages=packages, ohai_time=now, reports_packages=True)


async def ask(settings: Settings, ways, advisories: Sequence, made: plan.Plan, tell: Callable[[Outcome], None]):
    """Ask every node of a plan (fleet.plan.make without converge); return the outcomes and the packages, by name.

    `ways` are connections that are not yet open (fleet.verbs.rolling.ways).
    """
    going = rollout.prepare(made.asked)
    async with ways as connections:
        enquirer = Enquirer(connections, settings, advisories)
        await rollout.run(
            going, made.asked, enquirer, concurrency=settings.concurrency, ended=tell,
        )
    return list(going.outcomes.values()), enquirer.packages
