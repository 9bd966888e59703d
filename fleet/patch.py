"""One node's way: connect, look, converge, connect anew, look again, prove."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet import converge, ending, look, plan, via_shell
from fleet.converge import Result
from fleet.errors import NodeError, NotYetError, StoppedError, UnreachableError
from fleet.journal import WAITING, Journal
from fleet.look import NOTHING, Look, Served
from fleet.node import Node, State
from fleet.report.record import Check, Outcome, node_as_dict
from fleet.rollout import Gate, begun
from fleet.settings import Settings
from fleet.text import clean, last_lines
from generator import offers, probe
from generator.errors import StypticError
from generator.verdict import NEWEST

REBOOT_OWED = frozenset({35, 37})  # Chef RFC 62: a reboot is scheduled, or needed; the run itself succeeded
# Chef RFC 62 and chef/application/exit_code.rb; what each asks of a person.
REMEDIES = {
    41: "the reboot it wanted did not come about: reboot it, then patch again",
    43: "correct its client.rb, then patch again",
    127: "install chef-client on it (knife bootstrap), then patch again",
    172: "accept Chef's licence on it (chef-client --chef-license accept), then patch again",
    173: "Chef's licence could not be stored on it: accept it there, then patch again",
    174: "enter Chef's licence key on it, then patch again",
    213: "chef-client upgraded itself: patch again",
}
SHORT = 60  # seconds for a command that only reads

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
        return via_shell.NAME if self.script else "chef-client"

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


@dataclass(slots=True)
class Trip:
    """A node on its way; `at` is the step it is in, `clock` what ends it if it takes too long."""

    patcher: Patcher
    node: Node
    outcome: Outcome
    gate: Gate
    at: str = "connect"
    clock: asyncio.Timeout | None = None

    def step(self, name: str, **detail: object) -> None:
        """Write down a step before it is taken."""
        self.at = name
        self.patcher.journal.step(self.patcher.run, self.node.name, name, **detail)
        self.patcher.tell(self.node.name, name)

    def end(self, state: State, error: str | None = None, todo: str | None = None) -> None:
        """Give the node its end."""
        self.outcome.record.state = state
        self.outcome.record.error = error and clean(error, 1500)
        if todo:
            self.outcome.todo = todo

    def where(self, error: object) -> str:
        """Return an error's sentence with what it means for the node."""
        if not self.patcher.converge:
            return str(error)
        started = self.outcome.converged
        harm = f"{self.patcher.program} was started on it and may still run" if started else "nothing was changed on it"
        return f"{str(error).rstrip('.')} ({harm})"

    async def go(self) -> None:
        """Take the way to its end; raises StypticError where it breaks off."""
        record = self.outcome.record
        self.step("connect")
        async with await self.patcher.connections.connect(self.node) as connection:
            before = await self.look(connection)
            if before.name not in (None, self.node.name):
                return self.end(
                    State.UNREACHABLE, f"the machine at {self.node.address} is {before.name} by its own client.rb",
                    "correct the address that the Chef server has for this node, or delete it there if it is no more",
                )
            record.packages_before = record.packages_after = before.packages
            record.stale_before = record.stale_after = list(before.stale)
            verdict = self.verdict(before)
            if not self.patcher.converge or (verdict.kind in ("fixed", "not_affected") and not before.counted):
                return await self.prove(connection, before)
            # What the repositories offer is known once the recipe has fetched their lists.
            tried = self.patcher.settings.include_unknown or (self.patcher.latest and before.packages)
            if verdict.kind == "unknown" and not tried:
                todo = "give --include-unknown to patch it all the same"
                return self.end(State.UNKNOWN, f"{verdict.reason.rstrip('.')}; it was left alone", todo)
            if before.client is None and not self.patcher.script:
                return self.end(State.FAILED, "there is no chef-client on it; nothing was changed on it", REMEDIES[127])
            record.wave = self.turn()
            served = await self.served(connection)
            code, output, result = await self.converged(connection, before)
        if result is not None:
            record.stale_before = list(result.stale_before)
            record.actions = result.actions
        if code not in {0} | REBOOT_OWED:
            return await self.failed_converge(code, output, result)
        if result is None:
            return self.end(
                State.FAILED, f"{self.patcher.program} ended well and left no result of this run in {converge.RESULT}",
                "its run list does not hold recipe[openssl_patch]: add it, or patch without --full-run"
                if self.patcher.settings.full_run else f"see how {self.patcher.program} ended on it, then patch again",
            )
        if self.patcher.version not in (None, result.cookbook_version):
            return self.end(
                State.FAILED, f"it converged openssl_patch {result.cookbook_version} and not {self.patcher.version}",
                "see what holds that version in its run list, then patch again",
            )
        self.step("connect anew")  # the connection of before the upgrade is itself stale
        async with await self.patcher.connections.connect(self.node) as connection:
            after = await self.look(connection)
            record.packages_after, record.stale_after = after.packages, list(after.stale)
            await self.prove(connection, after, result, reboot=code in REBOOT_OWED, served=served)
        return None

    @contextlib.contextmanager
    def untimed(self) -> Iterator[None]:
        """Stop the clock while this node waits for others."""
        left = self.clock.when()
        self.clock.reschedule(None)
        waiting = time.monotonic()
        try:
            yield
        finally:
            self.clock.reschedule(left + time.monotonic() - waiting)

    def turn(self) -> int:
        """Take a place in the wave that is going; return its number. Raises StoppedError and NotYetError."""
        self.step("ask for a place in the wave")
        return self.gate.enter(self.node.name)

    async def look(self, connection) -> Look:
        """Ask the node what it is now; as root, because only root sees every process's maps."""
        self.step("look")
        patcher = self.patcher
        found = await look.take(connection, patcher.advisories, patcher.settings.sudo, patcher.kinds)
        if found.uid != 0:
            raise NodeError("the login is not root's and cannot see every process: give --sudo, or --ssh-user root")
        return found

    async def served(self, connection) -> Served:
        """Ask the node what it serves now, before anything is changed on it."""
        from generator import running, services, tls

        self.step("see what it serves")
        names = [name for service in services.load().values() for name in service.names]
        said = []
        for script in (tls.command(), running.command(names)):
            answer = await connection.run(
                ["sh", "-s"], stdin=script.encode(), timeout=SHORT, limit=look.BOUND, sudo=self.patcher.settings.sudo
            )
            said.append(answer.stdout.decode(errors="replace"))
        answered = tls.found(said[0])
        return Served(answered.ports, running.parse(said[1]), tuple(answered.whose.items()))

    def verdict(self, found: Look):
        """Return what the advisories say of the packages the node has now, and on day zero what its repositories do."""
        if found.offered is not None:
            return offers.verdict(found.packages, found.offered)
        return plan.verdict(self.patcher.advisories, self.node.platform, self.node.release, found.packages)

    async def converged(self, connection, before: Look) -> tuple[int, bytes, Result | None]:
        """Run chef-client or the script; return its exit code, the end of its output, and the result of this run."""
        settings = self.patcher.settings
        self.step("converge", full_run=settings.full_run, packages=before.packages)
        self.outcome.converged = True
        given = self.patcher.script or b""
        if given:
            arguments = via_shell.words(self.node.name, settings.run_lock_timeout)
        else:
            arguments = converge.command(settings.run_lock_timeout, settings.full_run)
        done = await connection.run(
            arguments, stdin=given, timeout=settings.timeout, limit=look.BOUND, sudo=settings.sudo
        )
        failed = done.rc not in {0} | REBOOT_OWED  # only then is its output kept: it can show what others configure
        self.step("read the result", exit_code=done.rc, output=last_lines(done.stdout, 20) if failed else None)
        answer = await connection.run(["cat", converge.RESULT], timeout=SHORT, limit=look.BOUND, sudo=settings.sudo)
        if answer.rc != 0 or answer.truncated:
            return done.rc, done.stdout, None
        result = converge.result_of(answer.stdout)
        code = via_shell.code(done.rc, result) if given else done.rc
        return code, done.stdout, result if result.node == self.node.name else None

    async def failed_converge(self, code: int, output: bytes, result: Result | None) -> None:
        """Say how it failed; look once more, so that the report holds what the node has now."""
        why = (result.error if result else None) or last_lines(output) or "it said nothing"
        with contextlib.suppress(StypticError):
            self.step("connect anew")
            async with await self.patcher.connections.connect(self.node) as connection:
                after = await self.look(connection)
                self.outcome.record.packages_after, self.outcome.record.stale_after = after.packages, list(after.stale)
        todo = REMEDIES.get(code, "read chef-client's log on it, mend what it names, then patch again")
        todo = via_shell.TODO if self.patcher.script else todo
        self.end(State.FAILED, f"{self.patcher.program} ended with {code}: {why}", todo)

    async def prove(
        self, connection, now: Look, result: Result | None = None, reboot: bool = False, served: Served = NOTHING
    ) -> None:
        """Run tests/infra over this connection and give the node its state; `result` is the converge's, if any.

        `served` is what it served before the converge and must serve now.
        """
        verdict = self.verdict(now)
        self.step("prove", tls=list(served.tls), services=list(served.services))
        with self.untimed():  # a proof has its own limit, and waits for its turn
            checks = await self.patcher.prove(self.node, connection, served, self.patcher.settings.sudo)
        self.outcome.checks = tuple(checks)
        owed = list(look.owed(now, self.patcher.deeper))
        if result:
            owed = list(dict.fromkeys([*owed, *result.reboot]))
        if reboot and not owed:
            owed = ["chef-client says so"]
        record = self.outcome.record
        changed = record.packages_before != record.packages_after or bool(record.actions)
        self.end(*ending.of(verdict, now, self.outcome.checks, result, owed, changed))
        if verdict.kind == NEWEST and record.state.good:
            record.note = verdict.reason
