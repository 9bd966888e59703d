"""One node's way without a connection: look at its object, put the recipe into its run list, wait for its chef-client,
read what that recorded."""

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleet import plan, recorded
from fleet.chef import run_list
from fleet.clock import Clock
from fleet.earlier import PLACE, Earlier
from fleet.edits import ADD, AGAIN, TRIES
from fleet.errors import ChefServerError, NodeError, NotFoundError, UnreachableError
from fleet.node import Node, State
from fleet.pool import Pool
from fleet.push import COOKBOOK
from fleet.report.record import Outcome
from fleet.rollout import Gate
from fleet.text import aged, clean

if TYPE_CHECKING:
    from fleet.via_server import ViaServer

LOOK, WAIT, READ = "look at its node object", "wait for chef-client", "read its record"
LAST = 60  # seconds for the last look at a node whose time is up, and for taking our entry out of its run list
SILENT = (
    "see whether its chef-client runs (it may be stopped, or its runs fail, which saves nothing), then patch again; "
    "--timeout waits for longer"
)


@dataclass(slots=True)
class Errand:
    """A node on its way; `at` is the step it is in, `way` fleet.via_server's: what all nodes of a rollout share.

    `earlier` is what the run did with it before it was resumed, `clock` what ends it if it takes too long, `pool` its
    place in what sends it work. `before` is the mark of its record before the edit, `mine` says that the entry in its
    run list is ours, `trouble` holds what the Chef server said last while it failed.
    """

    way: "ViaServer"
    node: Node
    outcome: Outcome
    gate: Gate
    earlier: Earlier
    at: str = LOOK
    clock: Clock | None = None
    before: list = field(default_factory=list)
    mine: bool = False
    trouble: str | None = None
    pool: Pool = field(init=False)

    def __post_init__(self):
        settings = self.way.settings
        self.pool = Pool(settings.hooks, self.node, self.way.run, self.step, unconnected, out=self.earlier.out)

    async def go(self) -> None:
        """Take the way to its end; raises StypticError where it breaks off."""
        self.step(LOOK)
        found = await self.way.edits.read(self.node.name)
        if self.ends_as_before(found) or self.ends_untouched(found, await self.held(found)):
            return
        self.step(PLACE)
        self.outcome.record.wave = self.gate.enter(self.node.name)
        with self.clock.held():  # a hook has its own limit
            async with self.way.hooking:
                if not await self.pool.take_out(self.outcome):
                    return
        await self.edit(found)
        self.read(await self.wait())

    def step(self, name: str, **detail: object) -> None:
        """Write down a step before it is taken."""
        self.at = name
        self.way.edits.note(self.node.name, name, **detail)

    def end(self, state: State, error: str | None = None, todo: str | None = None) -> bool:
        """Give the node its end; returns True, for whoever asks whether it has one."""
        self.outcome.record.state = state
        self.outcome.record.error = error and clean(error, 1500)
        self.outcome.todo = todo or self.outcome.todo
        return True

    def where(self, error: object) -> str:
        """Return an error's sentence with what it means for the node."""
        harm = "its chef-client may converge the recipe yet" if self.outcome.converged else "nothing was changed on it"
        return f"{str(error).rstrip('.')} ({harm})"

    async def held(self, found: dict) -> object:
        """Return at which version a node's run list brings the recipe, as run_list.version has it, roles included."""
        role = self.way.roles.of(self.node.environment)
        return await self.way.edits.ask(lambda: run_list.version(run_list.items(found), COOKBOOK, role))

    def ends_as_before(self, found: dict) -> bool:
        """True for a node that was in order before the run was resumed: it ends by its record, or as it did then."""
        if not self.earlier.good:
            return False
        if recorded.version(found) == self.way.version:
            self.read(found)
        else:  # a run without the recipe has taken the record away
            self.outcome = self.earlier.end
        return True

    def ends_untouched(self, found: dict, held: object) -> bool:
        """True for a node that this way cannot patch, which has its end now. Raises UnreachableError for a silent one.
        """
        if found.get("policy_name"):
            return self.end(State.SKIPPED, *plan.out_of_the_servers_reach(found["policy_name"]))
        environment = found.get("chef_environment")
        if environment != self.node.environment:
            where = clean(str(environment), 100)
            return self.end(State.SKIPPED, f"it is in the environment {where} by now; not touched")
        if held not in (run_list.ABSENT, None, self.way.version) and self.node.name not in self.way.edits.standing:
            return self.end(
                State.FAILED, f"its run list holds {COOKBOOK} at {clean(str(held), 40)} and would never get "
                f"{self.way.version}; nothing was changed on it", "take that version out of it, then patch again",
            )
        said = plan.verdict(self.way.advisories, self.node.platform, self.node.release, self.node.packages)
        if said.kind == "unknown" and not (self.way.settings.include_unknown or self.way.latest):
            todo = "give --include-unknown to patch it all the same"
            return self.end(State.UNKNOWN, f"{said.reason.rstrip('.')}, by what it reported; it was left alone", todo)
        automatic = found.get("automatic") if isinstance(found.get("automatic"), Mapping) else {}
        if why := silent(automatic.get("ohai_time"), time.time(), self.way.settings.max_age):
            self.outcome.todo = "start its chef-client, or raise max_age in invoke.yaml if it runs more rarely"
            raise UnreachableError(f"{why}, and nobody connects to it; nothing was changed on it")
        return False

    async def edit(self, found: dict) -> None:
        """See that the run list brings the recipe, by an entry of ours where it does not by itself."""
        edits, name = self.way.edits, self.node.name
        resumed = edits.standing.get(name)
        for attempt in range(1, TRIES + 1):
            self.before = resumed.before if resumed else recorded.mark(found)
            if name not in edits.standing and await self.held(found) is not run_list.ABSENT:
                self.outcome.converged = True
                return
            self.at, self.outcome.converged, self.mine = ADD, True, True
            if resumed and [each for each in run_list.items(found) if each in resumed.entries] == [edits.entry]:
                return
            try:
                await edits.add(found, self.before, self.outcome.record.wave)
            except ChefServerError as error:
                if attempt == TRIES or not error.again:
                    raise
                found = await edits.read(name)
            else:
                return

    async def wait(self) -> dict:
        """Return the node's object once it holds the record of a run that came after the edit.

        The search says when to look, and the object itself says what is so: the index may lag behind either way. A run
        that was under way at the edit saves the run list it began with: then the entry is added again. A Chef server
        that fails meanwhile is asked again with the next poll. Raises NotFoundError for a node that is no more.
        """
        self.step(WAIT, wave=self.outcome.record.wave)
        row = None
        while True:
            row = await self.way.poll.changed(self.node.name, row)
            ran = row["cookbook_version"] == self.way.version and [row["started"], row["finished"]] != self.before
            if not ran and not (self.mine and self.way.edits.entry not in listed(row)):
                continue
            try:
                found = await self.way.edits.read(self.node.name)
                if self.has_run(found):
                    return found
                if self.mine and self.way.edits.entry not in run_list.items(found):
                    await self.way.edits.add(found, self.before, self.outcome.record.wave, AGAIN)
            except NotFoundError:
                raise
            except ChefServerError as error:
                row, self.trouble = None, str(error)

    def has_run(self, found: dict) -> bool:
        """True if the record in a node's object is another than before the edit, and of our cookbook."""
        return recorded.version(found) == self.way.version and recorded.mark(found) != self.before

    def read(self, found: dict) -> None:
        """Give the node its end by its record."""
        self.step(READ, record=recorded.mark(found))
        recorded.end(self.outcome, self.node, found, self.way.version, self.way.advisories, self.way.kinds)

    async def end_late(self) -> None:
        """Give a node whose time is up its end: by its record after all, where the search only missed it."""
        at = self.at
        if at == WAIT:
            try:
                async with asyncio.timeout(LAST):
                    found = await self.way.edits.read(self.node.name)
            except (ChefServerError, TimeoutError) as error:
                self.trouble = str(error) or self.trouble
            else:
                if self.has_run(found):
                    self.read(found)
                    return
        trouble = self.way.poll.trouble or self.trouble
        why = f": {trouble.rstrip('.')}" if trouble else ""
        self.end(State.FAILED, self.where(f"timed out in {at} after {self.way.settings.timeout} s{why}"), SILENT)

    async def tidy(self) -> None:
        """Take our entry out of the node's run list; where that fails it is tried once more at the end of all."""
        with contextlib.suppress(ChefServerError, TimeoutError):
            async with asyncio.timeout(LAST):
                await self.way.edits.remove(self.node.name, self.way.settings.keep)


async def unconnected() -> None:
    """What connects to a node here. Raises NodeError: fleet.hooks.check refuses hooks that run on nodes."""
    raise NodeError("nobody connects to nodes with --via chef-server")


def silent(reported: object, now: float, most: int) -> str | None:
    """Return why a chef-client that `reported` then (ohai_time) is taken to run no more, None where it was in time."""
    try:
        moment = float(reported) if isinstance(reported, (int, float)) and not isinstance(reported, bool) else math.nan
    except OverflowError:  # a whole number beyond every float
        moment = math.nan
    if not math.isfinite(moment):
        return "its chef-client never reported"
    return f"its chef-client last reported {aged(moment, now)}, by its own clock" if now - moment > most else None


def listed(row: Mapping) -> list:
    """Return the run list in a search's row, which a node may have written anything into."""
    return row["run_list"] if isinstance(row["run_list"], list) else []
