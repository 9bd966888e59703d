"""Sends nodes their way (fleet.trip), and makes an end of whatever happens to one on it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet import change
from fleet.errors import NotYetError, StoppedError, UnreachableError
from fleet.journal import WAITING, Journal
from fleet.node import Node, State
from fleet.report.record import Check, Outcome, node_as_dict
from fleet.rollout import Gate, begun
from fleet.served import Served
from fleet.settings import Settings
from fleet.trip import Trip
from generator import probe
from generator.errors import StypticError

Prove = Callable[[Node, object, Served, bool], Awaitable[Sequence[Check]]]  # node, connection, what it served, sudo


@dataclass(slots=True)
class Patcher:
    """Takes nodes their way: `await patcher(node, gate)` returns how it ended, or raises NotYetError: its turn comes.

    `connections` are fleet.ssh's, `prove` is fleet.verify's: it runs tests/infra over a connection and returns its
    checks, `tell(name, step)` hears of every step, of "" while it waits. With `converge` false it only looks and
    proves (`verify`); `version` is the cookbook's that a node has to converge; `script` is fleet.via_shell's, run in
    chef-client's place.
    """

    connections: object
    journal: Journal
    run: str
    settings: Settings
    advisories: Sequence
    prove: Prove
    tell: Callable[[str, str], None]
    converge: bool = True
    version: str | None = None
    script: bytes | None = None

    @property
    def program(self) -> str:
        """What changes the node."""
        return change.program(self.script)

    @property
    def latest(self) -> bool:
        """True on day zero: no advisory names a version, and the newest that can be had has to do."""
        return any(each.latest for each in self.advisories)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of stale processes that keep a node from being good."""
        return probe.kinds((each.restart for each in self.advisories), self.settings.strict)

    @property
    def deeper(self) -> bool:
        """True if an advisory is about what only a reboot changes."""
        return any(each.restart == "reboot" for each in self.advisories)

    async def __call__(self, node: Node, gate: Gate) -> Outcome:
        trip = Trip(self, node, begun(node), gate)
        record = trip.outcome.record
        record.started = datetime.now(UTC)
        clock = time.monotonic()
        try:
            async with asyncio.timeout(self.settings.timeout) as trip.clock:
                await trip.go()
        except NotYetError:
            self.journal.step(self.run, node.name, WAITING)
            self.tell(node.name, "")
            raise
        except StoppedError as error:
            trip.end(State.SKIPPED, str(error))
        except UnreachableError as error:
            unreached = not trip.outcome.converged and trip.at == "connect"
            trip.end(State.UNREACHABLE if unreached else State.FAILED, trip.where(error))
        except StypticError as error:
            trip.end(State.FAILED, trip.where(error))
        except TimeoutError:
            trip.end(State.FAILED, trip.where(f"timed out in {trip.at} after {self.settings.timeout} s"))
            trip.outcome.todo = "log in and see what hangs, then patch again; --timeout gives it longer"
        except asyncio.CancelledError:
            record.error = f"interrupted in {trip.at}"
            with contextlib.suppress(StypticError):  # an interruption stays one, whatever the journal says
                self.write(trip.outcome, clock)
            raise
        self.write(trip.outcome, clock)
        return trip.outcome

    def write(self, outcome: Outcome, began: float) -> None:
        """Write down how a node ended that was begun at `began` (time.monotonic), and what a person has to do."""
        record, record.seconds = outcome.record, time.monotonic() - began
        known = node_as_dict(record) | ({"todo": outcome.todo} if outcome.todo else {})
        self.journal.node(self.run, record.name, record.wave, record.state.value, known)
