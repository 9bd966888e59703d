"""Sends nodes their way (fleet.trip), and makes an end of whatever happens to one on it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleet import change
from fleet.clock import Clock
from fleet.earlier import Earlier
from fleet.errors import NodeTimeoutError, NotYetError, StoppedError, UnreachableError
from fleet.journal import WAITING, Journal
from fleet.node import Node, State
from fleet.report.record import NOT_TOUCHED, Check, Outcome
from fleet.rollout import Gate
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
    chef-client's place, `cookbook` fleet.local_mode's archive for nodes under a policy. `earlier` is what the run did
    with its nodes before it was resumed, by name.
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
    cookbook: bytes = b""
    earlier: Mapping[str, Earlier] = field(default_factory=dict)

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
        earlier = self.earlier.get(node.name) or Earlier(node.name)
        trip = Trip(self, node, earlier.begun(node), gate, earlier=earlier)
        record = trip.outcome.record
        record.started = datetime.now(UTC)
        clock = time.monotonic()
        try:
            earlier.take_up(self.journal, self.run)
            async with Clock(self.settings.timeout, self.settings.step_timeout) as trip.clock:
                await trip.go()
                await trip.back()
        except NotYetError:
            earlier.wanting = True
            self.journal.step(self.run, node.name, WAITING)
            self.tell(node.name, "")
            raise
        except StoppedError as error:
            earlier.wanting = True
            trip.outcome = earlier.spared(node, str(error).removeprefix(NOT_TOUCHED))
            trip.pool.out = trip.pool.out and trip.outcome is not earlier.end  # which has said so
        except UnreachableError as error:
            unreached = not trip.outcome.converged and trip.at == "connect"
            trip.end(State.UNREACHABLE if unreached else State.FAILED, trip.where(error))
        except NodeTimeoutError as error:
            trip.end(State.FAILED, trip.where(f"timed out in {trip.at}: {error}"), change.hung(trip))
        except StypticError as error:
            trip.end(State.FAILED, trip.where(error))
        except TimeoutError:
            said = f"timed out in {trip.at} after {trip.clock.ran_out:g} s" + (trip.trouble and f": {trip.trouble}")
            trip.end(State.FAILED, trip.where(said), change.hung(trip))
        except asyncio.CancelledError:
            record.error = f"interrupted in {trip.at}"
            trip.pool.remind(trip.outcome)
            with contextlib.suppress(StypticError):  # an interruption stays one, whatever the journal says
                earlier.write_end(self.journal, self.run, trip.outcome, clock)
            raise
        trip.pool.remind(trip.outcome)
        earlier.write_end(self.journal, self.run, trip.outcome, clock)
        return trip.outcome
