"""A node's place in what sends it work: a hook takes it out before it is changed, another puts it back once proven."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fleet import hook_run
from fleet.errors import HookError, UnreachableError
from fleet.hooks import DRAIN, NODE, RETURN, RETURNED, Hook, Hooks, drained
from fleet.journal import Journal
from fleet.node import Node, State
from fleet.report.record import Outcome
from fleet.text import clean
from generator.errors import StypticError

#: Who goes back after its proof: a node that serves as it did before, and was patched as far as could be. Who failed
#: does not, nor whose way broke off.
BACK = (State.PATCHED, State.ALREADY_PATCHED, State.NOT_AFFECTED, State.STALE, State.REBOOT_REQUIRED, State.UNKNOWN)
LONGEST = 1500  # characters of a sentence in the report


@dataclass(slots=True)
class Pool:
    """One node's place, for a way that fleet.rollout sends it.

    `run` is the run's name, `step(name, **detail)` writes down a step before it is taken, `connect()` returns a
    connection to the node for hooks that run there, which have root by sudo with `sudo`. `out` is whether the node was
    taken out and is not back for sure; who resumes a run sets it by fleet.hooks.drained.
    """

    hooks: Hooks
    node: Node
    run: str
    step: Callable[..., None]
    connect: Callable[[], Awaitable]
    sudo: bool = False
    out: bool = False
    told: bool = False  # the outcome says that it is out

    async def take_out(self, outcome: Outcome, connection=None) -> bool:
        """Have the drain hook take the node out, over this connection where it runs there; True where it is out.

        Without hooks that is so by itself. Where it fails the node is put back, because nothing was changed on it and
        it may be half out, and its outcome is SKIPPED.
        """
        hook = self.hooks.drain
        if hook is None:
            return True
        try:
            hook_run.by_hand(hook, self.node, self.run)  # nothing is begun for a name that no hook is given
            self.out = True
            self.step(DRAIN, where=hook.where)
            await self.have_run(hook, connection)
        except HookError as error:
            await self.spare(outcome, error)
            return False
        return True

    async def put_back(self, outcome: Outcome) -> None:
        """Have the return hook put back a node that was taken out and whose end allows it; one that fails is FAILED."""
        record = outcome.record
        if not self.out or record.state not in BACK:
            return
        if trouble := await self.back():
            said = f"{record.state.replace('_', ' ')}, but not returned: {trouble}"
            record.error = clean(f"{said}; {record.error}" if record.error else said, LONGEST)
            record.state, self.told = State.FAILED, True

    def remind(self, outcome: Outcome) -> None:
        """Say of a node that is still out that it is, and by which command a person puts it back."""
        if not self.out:
            return
        record, command = outcome.record, self.by_hand()
        if not self.told:
            said = (record.error or f"{record.state}").rstrip(".")
            record.error = clean(f"{said}; it was drained and is not returned", LONGEST)
        outcome.todo = f"{outcome.todo}; then return it: {command}" if outcome.todo else f"return it: {command}"

    async def spare(self, outcome: Outcome, error: HookError) -> None:
        """Skip a node whose drain failed. It has its place in the wave, which tells it from one whose turn never came.
        """
        said = f"{error}; nothing was changed on it"
        if self.out:
            trouble = await self.back()
            said += f", and it may be out: {trouble}" if trouble else ", and it was returned"
            self.told = True
        outcome.record.state, outcome.record.error = State.SKIPPED, clean(said, LONGEST)
        outcome.todo = "see why its drain fails, then patch again"

    async def back(self) -> str | None:
        """Have the return hook put the node back; return why it did not, None where it did."""
        if not self.hooks:  # it was taken out before the run was resumed
            return "invoke.yaml has no hooks for it any more"
        self.step(RETURN, where=self.hooks.back.where)
        try:
            await self.have_run(self.hooks.back)
        except (HookError, UnreachableError) as error:
            return str(error).rstrip(".")
        self.out = False
        self.step(RETURNED)
        return None

    def by_hand(self) -> str:
        """Return the command by which a person puts the node back."""
        with contextlib.suppress(HookError):  # a resume may find another address, which no hook is given
            if self.hooks:
                return hook_run.by_hand(self.hooks.back, self.node, self.run)
        return "as it was taken out, by hand"

    async def have_run(self, hook: Hook, connection=None) -> None:
        """Run a hook to its end, over a connection of its own where it runs on the node and none is given."""
        if hook.where != NODE or connection is not None:
            await hook_run.run(hook, self.node, self.run, connection, self.sudo)
            return
        async with await self.connect() as made:
            await hook_run.run(hook, self.node, self.run, made, self.sudo)


def remind_all(hooks: Hooks, outcomes: Mapping[str, Outcome], journal: Journal, run: str) -> None:
    """Say of every node that is still out by the journal that it is, once a run has ended, whatever ended it.

    A node whose way was interrupted could not say so by itself, nor one that a resume never came to or found no more.
    """
    taken: dict[str | None, list[str]] = {}
    with contextlib.suppress(StypticError), journal.understandably():
        for whom, step, _ in journal.steps(run):
            taken.setdefault(whom, []).append(step)
    for name, outcome in outcomes.items():
        if drained(taken.get(name, ())):
            record = outcome.record
            node = Node(name, record.environment, record.address, record.platform, record.release)
            pool = Pool(hooks, node, run, lambda *_: None, lambda: None, out=True)
            if pool.by_hand() not in (outcome.todo or ""):
                pool.remind(outcome)
