"""One question for all who wait: a search, asked every so often, in which each node finds its own row."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from fleet.apart import apart
from generator.errors import StypticError

Ask = Callable[[Sequence[str]], Iterable[Mapping]]  # the names of who waits: their rows, and perhaps others'


class Poll:
    """While it is open (an async context manager), asks `ask(names)` every `seconds` as long as somebody waits.

    Rows have at least a `name`. A question that fails is one that told nothing: `trouble` holds its sentence until one
    succeeds, and `heard` hears of the first of a row. How long somebody waits is theirs to limit.
    """

    def __init__(self, ask: Ask, seconds: float, heard: Callable[[str], None] = lambda _: None):
        self.ask, self.seconds, self.heard = ask, seconds, heard
        self.trouble: str | None = None
        self.waiting: dict[str, tuple[Mapping | None, asyncio.Future]] = {}
        self.somebody = asyncio.Event()

    async def changed(self, name: str, known: Mapping | None) -> Mapping:
        """Return the row of a node once there is one that is another than `known`."""
        if self.going.done():
            self.going.result()  # a fault of ours is not waited out
        answer = asyncio.get_running_loop().create_future()
        self.waiting[name] = (known, answer)
        self.somebody.set()
        try:
            return await answer
        finally:
            del self.waiting[name]

    async def go(self) -> None:
        """Ask for ever."""
        try:
            await self.ask_for_ever()
        except Exception as error:
            for _, answer in self.waiting.values():
                if not answer.done():
                    answer.set_exception(error)
            raise

    async def ask_for_ever(self) -> None:
        """Ask as long as somebody waits, then wait for somebody."""
        while True:
            await self.somebody.wait()
            await asyncio.sleep(self.seconds)
            if not self.waiting:
                self.somebody.clear()
                continue
            names = sorted(self.waiting)
            try:
                rows = await apart(lambda names=names: list(self.ask(names)))
            except StypticError as error:
                if self.trouble is None:
                    self.heard(str(error))
                self.trouble = str(error)
                continue
            self.trouble = None
            for row in rows:
                known, answer = self.waiting.get(row["name"], (None, None))
                if answer is not None and not answer.done() and row != known:
                    answer.set_result(row)

    async def __aenter__(self):
        self.going = asyncio.create_task(self.go())
        return self

    async def __aexit__(self, *_):
        self.going.cancel()
        await asyncio.wait([self.going])
        if not self.going.cancelled():
            self.going.exception()  # who waited has heard of it
