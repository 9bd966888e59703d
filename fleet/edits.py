"""The entries that a rollout put into nodes' run lists: each in the journal before it is made, each taken out again."""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from fleet.apart import apart
from fleet.chef import run_list
from fleet.errors import ChefServerError, NotFoundError, ServerUnreachableError
from fleet.journal import Journal
from fleet.text import clean
from generator import shell
from generator.errors import StypticError

ADD, AGAIN = "add to its run list", "add to its run list again"
REMOVE, REMOVED, KEPT = "take off its run list", "is off its run list", "left in its run list"
AT_ONCE = 8  # nodes whose objects are read or written at once: the server has its clients to serve, too
TRIES = 5  # of one edit, where somebody else changes the same node or the server is busy
UNANSWERED = 3  # nodes at the end of all, after which a server that does not answer is not waited for any more
NAMED = 20  # nodes in a sentence

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Edit:
    """What stands in a node's run list because of us.

    `entries` may be two where a run was resumed with another version of the cookbook; `before` is the mark of the
    node's record then (fleet.recorded).
    """

    entries: tuple[str, ...]
    before: list

    def joined(self, entry: str, before: list) -> "Edit":
        """Return this with an entry added."""
        return Edit(tuple(dict.fromkeys((*self.entries, entry))), before)


NOTHING = Edit((), [])


def left(steps: Iterable[tuple[str | None, str, Mapping]]) -> dict[str, Edit]:
    """Return by node what the steps of a run (Journal.steps) say still stands, or may: each was written before it was
    acted on."""
    found: dict[str, Edit] = {}
    for name, step, detail in steps:
        if step in (ADD, AGAIN):
            found[name] = found.get(name, NOTHING).joined(detail["entry"], detail["before"])
        elif step in (REMOVED, KEPT):
            found.pop(name, None)
    return found


@dataclass(slots=True)
class Edits:
    """Puts the entry of one rollout into run lists, and takes it out; `standing` are those that stand, by node.

    `left_in` has a sentence for each node where one could not be taken out.
    """

    server: object
    journal: Journal
    run: str
    entry: str
    tell: Callable[[str, str], None] = lambda *_: None
    standing: dict[str, Edit] = field(default_factory=dict)
    made: dict[str, Edit] = field(default_factory=dict)
    left_in: dict[str, str] = field(default_factory=dict)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    writing: dict[str, asyncio.Task] = field(default_factory=dict)

    def __post_init__(self):
        with self.journal.understandably():
            self.standing |= left(self.journal.steps(self.run))  # a run that is resumed
        self.made |= self.standing

    async def ask(self, work: Callable[[], Result]) -> Result:
        """Return what `work()` says, which talks to the server, a few at a time. Raises what it raises."""
        async with self.slots:
            return await apart(work)

    async def read(self, name: str) -> dict:
        """Return a node's object as it is now. Raises ChefServerError."""
        return await self.ask(lambda: run_list.read(self.server, name))

    async def add(self, found: dict, before: list, wave: int, step: str = ADD) -> None:
        """Put the entry at the end of the run list of a node, read as `found`; in place of ours of an earlier version.

        `before` is the mark of its record, `wave` the one in which it has its place. Raises ChangedError where the node
        is another by now, and what `found` told has to be looked at anew.
        """
        name, listed = found["name"], run_list.items(found)
        old = self.standing.get(name, NOTHING)
        self.note(name, step, wave=wave, entry=self.entry, before=before, run_list=listed)
        self.standing[name] = self.made[name] = old.joined(self.entry, before)
        wanted = [*(each for each in listed if each not in old.entries), self.entry]
        await self.write(found, wanted)

    async def write(self, found: dict, wanted: list[str]) -> None:
        """Write a node's run list, as run_list.write does. Once begun it goes on, also where who asked is cancelled: no
        request can be called back, and what is taken out before it has ended would come again."""
        name = found["name"]
        task = asyncio.create_task(self.ask(lambda: run_list.write(self.server, found, wanted)))
        self.writing[name] = task

        def over(done: asyncio.Task) -> None:
            del self.writing[name]
            _ = done.cancelled() or done.exception()  # who asked may be gone, and asyncio would complain

        task.add_done_callback(over)
        await asyncio.shield(task)

    async def remove(self, name: str, keep: bool = False) -> None:
        """Take our entry out of a node's run list, and nothing else; with `keep` only say that it stays.

        Does nothing where none of ours stands. Raises ChefServerError where it cannot be taken out.
        """
        edit = self.standing.get(name)
        if edit is None:
            return
        if keep:
            self.note(name, KEPT)
            del self.standing[name]
            return
        self.note(name, REMOVE, entries=edit.entries)
        with suppress(NotFoundError):  # a node that was deleted has no run list
            await self.without(name, edit.entries)
        self.note(name, REMOVED)
        self.tell(name, "")
        self.standing.pop(name, None)
        self.left_in.pop(name, None)

    async def without(self, name: str, entries: Container[str]) -> None:
        """Write a node's run list without these entries, on top of whatever somebody else makes of it meanwhile."""
        if name in self.writing:
            await asyncio.wait([self.writing[name]])
        for attempt in range(1, TRIES + 1):
            found = await self.read(name)
            rest = [each for each in run_list.items(found) if each not in entries]
            if rest == run_list.items(found):
                return
            try:
                await self.write(found, rest)
            except ChefServerError as error:
                if attempt == TRIES or not error.again:
                    raise
            else:
                return

    async def clear(self, again: Iterable[str], keep: bool = False) -> None:
        """Take out what still stands, and once more of the nodes in `again`, which a run that ended late put back.

        Raises nothing for a node where that fails: `left_in` says which, and why.
        """
        for name in again:
            if name in self.made and not keep:
                self.standing.setdefault(name, self.made[name])
        silent: list[str] = []
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with turns:
                if len(silent) >= UNANSWERED:
                    self.left_in[name] = silent[0]
                    return
                try:
                    await self.remove(name, keep)
                except StypticError as error:
                    self.left_in[name] = str(error)
                    silent.extend([str(error)] if isinstance(error, ServerUnreachableError) else [])

        async with asyncio.TaskGroup() as group:
            for name in sorted(self.standing):
                group.create_task(one(name))

    def told(self) -> str | None:
        """Return in a sentence where an entry of ours stands although it should not, None where none does."""
        if not self.standing:
            return None
        names = sorted(self.standing)
        shown = ", ".join(clean(name, 100) for name in names[:NAMED])
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        words = ["knife", "node", "run_list", "remove", clean(names[0], 100), self.standing[names[0]].entries[-1]]
        why = f" ({clean(self.left_in[names[0]], 400)})" if names[0] in self.left_in else ""
        by = shell.join(words)
        return f"our entry may still stand in the run list of {shown}{more}: take it out with `{by}`{why}"

    def note(self, name: str, step: str, **detail: object) -> None:
        """Write down a step before it is taken."""
        self.journal.step(self.run, name, step, **detail)
        self.tell(name, step)
