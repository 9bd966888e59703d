"""`--via chef-server`: nodes patched by their own chef-client, which finds the recipe in its run list; nobody connects.

Wave by wave an entry is put into the nodes' run lists on the Chef server, one search a poll tells who has run, and what
the cookbook recorded on a node's object gives the node its end (fleet.errand); then the entry is taken out again.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from fleet import recorded
from fleet.chef import run_list, search
from fleet.clock import Clock
from fleet.earlier import Earlier
from fleet.edits import Edits
from fleet.errand import Errand, listed
from fleet.errors import ChefServerError, IncompleteSearchError, NotYetError, StoppedError, UnreachableError
from fleet.journal import WAITING, Journal
from fleet.node import Node, State
from fleet.poll import Poll
from fleet.push import COOKBOOK
from fleet.report.record import NOT_TOUCHED, Outcome
from fleet.rollout import Gate
from fleet.settings import Settings
from generator.errors import StypticError

NAME = "chef-server"  # what --via says
FEW = 5  # names in a query of goiardi's, which takes 0.2 s for each, and no longer for 120 nodes of one environment
LONGEST = 3000  # characters of a query as it stands in the URL, of which web servers take 8 KB
# Chef's own rule for a node's name (Chef::Node): nothing in it but : means anything to a search.
_NODE = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:-]*", re.ASCII)
_WORDS = {"AND", "OR", "NOT", "TO"}


class ViaServer:
    """Takes nodes their way while it is open (an async context manager): `await way(node, gate)` is fleet.rollout's.

    `version` is the cookbook's, which the server has; `tell(name, step)` hears of every step; `say` hears at the end,
    in a sentence, of entries that could not be taken out of run lists. `earlier` is what the run did with its nodes
    before it was resumed, by name.
    """

    def __init__(
        self, server, settings: Settings, journal: Journal, run: str, advisories: Sequence, version: str,
        tell: Callable[[str, str], None], say: Callable[[str], None],
        earlier: Mapping[str, Earlier] | None = None,
    ):
        self.server, self.settings, self.journal, self.run = server, settings, journal, run
        self.advisories, self.version, self.tell, self.say = advisories, version, tell, say
        self.earlier = earlier or {}
        self.kinds = recorded.kinds(advisories, settings.strict)
        self.edits = Edits(server, journal, run, run_list.entry(COOKBOOK, version), tell)
        self.roles = run_list.Roles(server)
        self.environments: set[str] = set()
        self.hooking = asyncio.Semaphore(settings.concurrency)  # all nodes of a wave wait at once, hooks do not run so
        self.poll = Poll(self.rows, settings.poll, self.failed)

    @property
    def latest(self) -> bool:
        """True on day zero: no advisory names a version, and what a node can have nothing says before its run."""
        return any(each.latest for each in self.advisories)

    async def __call__(self, node: Node, gate: Gate) -> Outcome:
        self.environments.add(node.environment)
        earlier = self.earlier.get(node.name) or Earlier(node.name)
        errand = Errand(self, node, earlier.begun(node), gate, earlier)
        record, clock = errand.outcome.record, time.monotonic()
        record.started = datetime.now(UTC)
        try:
            earlier.take_up(self.journal, self.run)
            try:
                async with Clock(self.settings.timeout) as errand.clock:
                    await errand.go()
            except TimeoutError:
                await errand.end_late()
            async with self.hooking:
                await errand.pool.put_back(errand.outcome)  # a hook has its own limit
        except NotYetError:
            earlier.wanting = True
            self.journal.step(self.run, node.name, WAITING)
            self.tell(node.name, "")
            raise
        except StoppedError as error:
            earlier.wanting = True
            errand.outcome = earlier.spared(node, str(error).removeprefix(NOT_TOUCHED))
        except UnreachableError as error:
            errand.end(State.UNREACHABLE, str(error))
        except StypticError as error:
            errand.end(State.FAILED, errand.where(error))
        except asyncio.CancelledError:
            record.error = f"interrupted in {errand.at}"
            errand.pool.remind(errand.outcome)
            with contextlib.suppress(StypticError):  # an interruption stays one, whatever the journal says
                earlier.write_end(self.journal, self.run, errand.outcome, clock)
            raise
        await errand.tidy()
        if errand.outcome is not earlier.end:  # which has said so
            errand.pool.remind(errand.outcome)
        earlier.write_end(self.journal, self.run, errand.outcome, clock)
        return errand.outcome

    def rows(self, names: Sequence[str]) -> list[Mapping]:
        """Return what one partial search says of these nodes, and perhaps of others. Raises ChefServerError."""
        keys = {
            "name": ("name",), "run_list": ("run_list",), "ohai_time": ("ohai_time",),
            **{key: (*recorded.PATH, key) for key in ("started", "finished", "cookbook_version")},
        }
        most = FEW if self.server.is_goiardi else None
        try:
            found = search.partial(self.server, "node", query(names, self.environments, most), keys)
        except IncompleteSearchError as error:  # whoever it leaves out is looked at when their time is up
            found = error.rows
        return [row for row in found if isinstance(row["name"], str)]

    def failed(self, why: str) -> None:
        """Write down that a poll failed."""
        with contextlib.suppress(StypticError):  # the next step of a node tells of a journal that cannot be written
            self.journal.step(self.run, None, "poll failed", error=why)

    async def __aenter__(self):
        await self.poll.__aenter__()
        return self

    async def __aexit__(self, *_):
        await self.poll.__aexit__()
        try:
            await self.edits.clear(await self.put_back(), self.settings.keep)
        finally:
            if said := self.edits.told():
                self.say(said)

    async def put_back(self) -> list[str]:
        """Return the nodes that have our entry in their run list again, because a run that began with it has ended."""
        gone = sorted(self.edits.made.keys() - self.edits.standing.keys())
        if not gone or self.settings.keep:
            return []
        try:
            rows = await self.edits.ask(lambda: self.rows(gone))
        except ChefServerError:
            return []
        return [row["name"] for row in rows if self.edits.entry in listed(row)]


def query(names: Iterable[str], environments: Iterable[str], most: int | None = None) -> str:
    """Return the search for these nodes: by their names, or where those are too many for a URL all of the environments.

    What a rollout was asked for may not match any more once a node is patched. `most` is how many names the server can
    be asked for, where there is such a number.
    """
    names = list(names)
    said = " OR ".join("name:" + name.replace(":", r"\:") for name in names)
    by_name = all(_NODE.fullmatch(name) and name not in _WORDS for name in names)
    if by_name and len(quote(said, safe="")) <= LONGEST and len(names) <= (most or len(names)):
        return said
    return " OR ".join(f"chef_environment:{each}" for each in sorted(environments))
