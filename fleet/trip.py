"""One node's way: connect, look, converge, connect anew, look again, prove; and a reboot, where it is asked for."""

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleet import change, converge, detached, ending, look, plan, reboot, served
from fleet.change import Change
from fleet.clock import Clock
from fleet.converge import Result
from fleet.detached import Stage
from fleet.earlier import CONVERGE, PLACE, Earlier
from fleet.errors import NodeError
from fleet.look import Look
from fleet.node import Node, State
from fleet.pool import Pool
from fleet.report.record import Outcome
from fleet.rollout import Gate
from fleet.served import NOTHING, Served
from fleet.text import clean
from generator import offers
from generator.errors import StypticError
from generator.verdict import NEWEST

if TYPE_CHECKING:
    from fleet.patch import Patcher


@dataclass(slots=True)
class Trip:
    """A node on its way; `at` is the step it is in, `clock` what ends it if it takes too long, `trouble` what keeps it
    in that step, if that is known, `ended` the exit code of what changed it, `rebooted` whether it was told to reboot.
    `patcher` is fleet.patch's: what all nodes of a rollout share. `pool` is its place in what sends it work, `earlier`
    what the run did with it before it was resumed, if it was.
    """

    patcher: "Patcher"
    node: Node
    outcome: Outcome
    gate: Gate
    at: str = "connect"
    clock: Clock | None = None
    trouble: str = ""
    ended: int | None = None
    rebooted: bool = False
    earlier: Earlier = field(default_factory=Earlier)
    pool: Pool = field(init=False)

    def __post_init__(self):
        patcher, settings = self.patcher, self.patcher.settings
        self.pool = Pool(
            settings.hooks, self.node, patcher.run, self.step, lambda: patcher.connections.connect(self.node),
            settings.sudo, self.earlier.out,
        )

    async def go(self) -> None:
        """Take the way to its end; raises StypticError where it breaks off."""
        self.step("connect")
        async with await self.patcher.connections.connect(self.node) as connection:
            before = await self.look(connection)
            if self.ends_untouched(before):
                return
            changed, serves = await self.gone_on_with(connection), self.earlier.serves
            if changed is None:
                change_it = self.needs_change(before)
                if not change_it and not reboot.due(self, before):
                    self.outcome.record.wave = self.earlier.wave
                    await self.prove(connection, before, serves=serves)
                    return
                if change_it and self.ends_unchanged(before):
                    return
                self.outcome.record.wave = self.turn()
                if not self.earlier.converge:
                    self.step("see what it serves", wave=self.outcome.record.wave)
                    serves |= await served.ask(connection, self.patcher.settings.sudo)
                with self.untimed():  # a hook has its own limit
                    if not await self.pool.take_out(self.outcome, connection):
                        return
                if not change_it:
                    await self.prove(connection, before, serves=serves)
                    await reboot.mend(self, connection, None, serves)
                    return
                changed = await self.change(connection, before, serves)
        if self.ends_after(changed):
            return
        if changed.failed:
            await self.end_failed(changed)
            return
        await self.see_it_through(changed, serves)

    async def back(self) -> None:
        """Have the node put back where it was taken out of, once its way is over."""
        with self.untimed():
            await self.pool.put_back(self.outcome)

    def step(self, name: str, **detail: object) -> None:
        """Write down a step before it is taken."""
        self.at = name
        self.patcher.journal.step(self.patcher.run, self.node.name, name, **detail)
        self.patcher.tell(self.node.name, name)
        if self.clock:
            self.clock.step(name)

    def end(self, state: State, error: str | None = None, todo: str | None = None) -> bool:
        """Give the node its end; returns True, for whoever asks whether it has one."""
        self.outcome.record.state = state
        self.outcome.record.error = error and clean(error, 1500)
        if todo:
            self.outcome.todo = todo
        return True

    def where(self, error: object) -> str:
        """Return an error's sentence with what it means for the node."""
        if not self.patcher.converge:
            return str(error)
        harm = "nothing was changed on it"
        if self.earlier.good:
            harm = f"it was {self.earlier.end.record.state} before, and is not verified again"
        if self.rebooted:
            harm = "it was told to reboot"
        elif self.ended is not None:
            harm = f"{self.patcher.program} ended on it with {self.ended}, and what came of it is not proven"
        elif self.outcome.converged:
            harm = f"{self.patcher.program} was started on it and may still run"
        return f"{str(error).rstrip('.')} ({harm})"

    def ends_untouched(self, before: Look) -> bool:
        """True for a machine that is another than the Chef server says, which has its end now."""
        record = self.outcome.record
        if before.name not in (None, self.node.name):
            return self.end(
                State.UNREACHABLE, f"the machine at {self.node.address} is {before.name} by its own client.rb",
                "correct the address that the Chef server has for this node, or delete it there if it is no more",
            )
        record.packages_before = record.packages_after = before.packages
        record.stale_before = record.stale_after = list(before.stale)
        return False

    def needs_change(self, before: Look) -> bool:
        """True for a node that is not in order as far as its packages and processes tell, and may be changed."""
        # On day zero nobody knows what is on offer until it is tried, and of this one the run has.
        fine = ("fixed", "not_affected", *([NEWEST] if self.earlier.good else []))
        return self.patcher.converge and (self.verdict(before).kind not in fine or bool(before.counted))

    def ends_unchanged(self, before: Look) -> bool:
        """True for a node that may not or cannot be changed, which has its end now."""
        verdict, patcher = self.verdict(before), self.patcher
        # What the repositories offer is known once the recipe has fetched their lists.
        tried = patcher.settings.include_unknown or (patcher.latest and before.packages)
        if verdict.kind == "unknown" and not tried:
            todo = "give --include-unknown to patch it all the same"
            return self.end(State.UNKNOWN, f"{verdict.reason.rstrip('.')}; it was left alone", todo)
        if before.client is None and not patcher.script:
            why = "there is no chef-client on it; nothing was changed on it"
            return self.end(State.FAILED, why, change.REMEDIES[127])
        return False

    def untimed(self) -> contextlib.AbstractContextManager[None]:
        """Stop the clock while this node waits for others, or is in a step with a limit of its own."""
        return self.clock.held()

    def turn(self) -> int:
        """Take a place in the wave that is going; return its number. Raises StoppedError and NotYetError."""
        self.step(PLACE)
        return self.gate.enter(self.node.name)

    async def look(self, connection) -> Look:
        """Ask the node what it is now; as root, because only root sees every process's maps."""
        self.step("look")
        patcher = self.patcher
        found = await look.take(connection, patcher.advisories, patcher.settings.sudo, patcher.kinds)
        if found.uid != 0:
            raise NodeError("the login is not root's and cannot see every process: give --sudo, or --ssh-user root")
        return found

    def verdict(self, found: Look):
        """Return what the advisories say of the packages the node has now, and on day zero what its repositories do."""
        if found.offered is not None:
            return offers.verdict(found.packages, found.offered)
        return plan.verdict(self.patcher.advisories, self.node.platform, self.node.release, found.packages)

    async def gone_on_with(self, connection) -> Change | None:
        """Wait for the converge that the run began on the node before it was resumed; return how it ended.

        None where there was none, and where it was cut off or failed, so that the node is changed anew.
        """
        if self.earlier.converge is None:
            return None
        self.step("see how its converge stands")
        found = await detached.find(connection, self.patcher.run, self.patcher.settings.sudo)
        if found.stage not in (Stage.RUNNING, Stage.ENDED):
            return None
        done = await change.attach(self, connection)
        if done.failed or done.result is None:
            return None
        self.outcome.record.wave = self.earlier.wave
        self.heard(done)
        if done.rebooted and self.earlier.rebooted:
            self.outcome.record.actions = [*self.outcome.record.actions, reboot.ACTION]
        return done

    async def change(self, connection, before: Look, serves: Served = NOTHING) -> Change:
        """Have the node changed, and keep what the recipe says of it; `serves` is what the node serves before."""
        patcher = self.patcher
        self.step(
            CONVERGE, full_run=patcher.settings.full_run, packages=before.packages, log=detached.log(patcher.run),
            version=patcher.version, wave=self.outcome.record.wave, **serves.detail,
        )
        self.outcome.converged = True
        return self.heard(await change.run(self, connection))

    def heard(self, done: Change) -> Change:
        """Keep what the recipe says of a node that was changed."""
        if done.result is not None:
            self.outcome.record.stale_before = list(done.result.stale_before)
            self.outcome.record.actions = done.result.actions
        return done

    def ends_after(self, changed: Change) -> bool:
        """True where what changed the node ended well and yet proves nothing, so that the node has its end now."""
        patcher, result = self.patcher, changed.result
        if changed.failed:
            return False
        if result is None:
            return self.end(
                State.FAILED, f"{patcher.program} ended well and left no result of this run in {converge.RESULT}",
                "its run list does not hold recipe[openssl_patch]: add it, or patch without --full-run"
                if patcher.settings.full_run else f"see how {patcher.program} ended on it, then patch again",
            )
        if patcher.version and result.cookbook_version not in (patcher.version, self.earlier.version):
            return self.end(
                State.FAILED, f"it converged openssl_patch {result.cookbook_version} and not {patcher.version}",
                "see what holds that version in its run list, then patch again",
            )
        return False

    async def end_failed(self, changed: Change) -> None:
        """Say how the converge failed; look once more, so that the report holds what the node has now."""
        with contextlib.suppress(StypticError):
            self.step("connect anew")
            async with await self.patcher.connections.connect(self.node) as connection:
                after = await self.look(connection)
                self.outcome.record.packages_after, self.outcome.record.stale_after = after.packages, list(after.stale)
        self.end(State.FAILED, changed.why(self.patcher.program), changed.remedy(self.patcher.script))

    async def see_it_through(self, changed: Change, serves: Served) -> None:
        """Prove the node over a connection made after the upgrade: one from before it is itself stale."""
        record = self.outcome.record
        self.step("connect anew")
        async with await self.patcher.connections.connect(self.node) as connection:
            if changed.rebooted:  # and may not have done with booting
                with self.untimed():
                    await reboot.Return(self, "", serves).settle(connection)
            after = await self.look(connection)
            record.packages_after, record.stale_after = after.packages, list(after.stale)
            await self.prove(connection, after, changed.result, owes=changed.owes_reboot, serves=serves)
            await reboot.mend(self, connection, changed.result, serves)

    async def prove(
        self, connection, now: Look, result: Result | None = None, owes: bool = False, serves: Served = NOTHING
    ) -> None:
        """Run tests/infra over this connection and give the node its state; `result` is the converge's, if any.

        `owes` is whether the converge ended with an exit code that says so; `serves` is what the node served before and
        must serve now.
        """
        verdict = self.verdict(now)
        self.step("prove", tls=list(serves.tls), services=list(serves.services))
        with self.untimed():  # a proof has its own limit, and waits for its turn
            checks = await self.patcher.prove(self.node, connection, serves, self.patcher.settings.sudo)
        self.outcome.checks = tuple(checks)
        owed = list(look.owed(now, self.patcher.deeper))
        if result:
            owed = list(dict.fromkeys([*owed, *result.reboot]))
        if owes and not owed:
            owed = ["chef-client says so"]
        record = self.outcome.record
        changed = record.packages_before != record.packages_after or bool(record.actions)
        self.end(*ending.of(verdict, now, self.outcome.checks, result, owed, changed))
        if verdict.kind == NEWEST and record.state.good:
            record.note = verdict.reason
