"""The lock on an environment: an item of a data bag, which the Chef server lets only one operator create.

POST /data/NAME answers 409 where the item is there (https://docs.chef.io/server/api_chef_server/#dataname). goiardi
with its data in memory looks first and stores then: two at the same moment both hear 201 (seen), the last one stays.
So what was created is read back, there after a moment, and is ours if it says so.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from urllib.parse import quote

from fleet.chef.answers import ODD
from fleet.errors import (
    AuthenticationError,
    ChefServerError,
    ConflictError,
    LockedError,
    LockError,
    NotFoundError,
    ServerUnreachableError,
)
from fleet.text import aged, clean
from generator import shell

BAG = "styptic_locks"
SETTLE = 0.3  # seconds after which goiardi has stored what came at the same moment
TRIES = 3  # creations where the item that stood in the way was gone when it was looked at
ADVICE = (
    f"the lock that keeps two operators from patching one environment at once is an item of the data bag {BAG}: have "
    "the right to it given to you, or go on without one by --no-lock, if you know that nobody else patches"
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an environment: their names, since when (UTC, ISO 8601), which run, and `process` of fleet.who there.

    What is read from a server is anybody's word: `told` makes it fit for a terminal.
    """

    environment: str
    owner: str
    host: str
    client: str
    since: str
    run: str
    ticket: str | None = None
    process: Mapping[str, object] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """Who, with what, since when and in which run, in words."""
        ticket = f", ticket {clean(self.ticket, 100)}" if self.ticket else ""
        try:
            ago = f" ({aged(datetime.fromisoformat(self.since).timestamp(), time.time())})"
        except ODD:
            ago = ""
        who = f"{clean(self.owner, 60)}@{clean(self.host, 60)} (Chef client {clean(self.client, 60)}{ticket})"
        return f"{who} since {clean(self.since, 40)}{ago}, run {clean(self.run, 60)}"


def read(server, environment: str) -> Holder | None:
    """Return who holds an environment, None when nobody does. Raises ChefServerError."""
    try:
        item = server.get(_path(environment))
    except NotFoundError:
        return None
    # Whatever it holds, it is a lock: somebody may have made one by hand.
    said = item if isinstance(item, dict) else {}
    words = {key: str(said.get(key) or "unknown")[:500] for key in ("owner", "host", "client", "since", "run")}
    process = said.get("process")
    ticket = said.get("ticket")
    return Holder(
        environment, **words, ticket=None if ticket is None else str(ticket)[:500],
        process=process if isinstance(process, dict) else {},
    )


def take(server, holder: Holder) -> None:
    """Take the lock that `holder` describes; where the same run left it, as when it is resumed, it is the holder's now.

    Raises LockedError when another run holds it, LockError where the server keeps no locks for us, ChefServerError.
    """
    found = _taken(server, holder)
    whom = clean(holder.environment, 100)
    if found is None:
        raise LockError(f"the lock on {whom} comes and goes; nothing was changed: try again.")
    if found.run != holder.run:
        raise LockedError(
            f"{whom} is being patched by {found.told}; nothing was changed: wait until that run has ended "
            f"(`invoke status` on {clean(found.host, 60)}), or, if it is dead, go on with it there (`invoke patch "
            f"--resume`) or break its lock with `{unlocking(whom)}`."
        )
    if not _is(found, holder):
        server.put(_path(holder.environment), _item(holder))


def lost(server, holders: Iterable[Holder]) -> str | None:
    """Return in a sentence which of these locks is not its holder's any more, None while all are: a request each.

    Raises ChefServerError where the server does not say.
    """
    for holder in holders:
        found = read(server, holder.environment)
        if found is None or not _is(found, holder):
            by = f", and it is held by {found.told}" if found else ""
            return f"the lock on {clean(holder.environment, 100)} was broken{by}"
    return None


def unlocking(environment: str) -> str:
    """Return the command that breaks the lock on an environment."""
    return f"invoke unlock --env {shell.quote(clean(environment, 100))}"


def release(server, holder: Holder) -> bool:
    """Give a lock back; False when it is not this holder's any more. Raises ChefServerError."""
    found = read(server, holder.environment)
    if found is None or not _is(found, holder):
        return False
    try:
        server.delete(_path(holder.environment))
    except NotFoundError:
        return False
    return True


@contextmanager
def held(server, holders: Sequence[Holder], tell: Callable[[str], None]) -> Iterator[Callable[[], str | None]]:
    """Hold these locks, all or none, until the block has ended, however it ends. Gives what says `lost` of them.

    `tell` hears in a sentence of a lock that could not be given back, was no longer ours, or may yet come about,
    because nobody waited for the server's answer. Raises as `take`.
    """
    tried: list[Holder] = []
    taken: set[str] = set()
    unanswered: set[str] = set()
    try:
        for holder in holders:
            tried.append(holder)  # before it is taken: an interruption may come right after
            try:
                take(server, holder)
            except LockError:  # which says that it is not ours
                tried.pop()
                raise
            except (KeyboardInterrupt, ServerUnreachableError):
                unanswered.add(holder.environment)
                raise
            taken.add(holder.environment)
        yield lambda: lost(server, holders)
    finally:
        for holder in reversed(tried):
            whom = clean(holder.environment, 100)
            try:
                ours = release(server, holder)
            except ChefServerError as error:
                tell(f"the lock on {whom} may still stand, break it with `{unlocking(whom)}`: {error}")
                continue
            except KeyboardInterrupt:  # of who waits for a Chef server that does not answer
                left = [clean(each.environment, 100) for each in tried[:tried.index(holder) + 1]]
                how = ", ".join(f"`{unlocking(each)}`" for each in left)
                tell(f"interrupted: the lock on {', '.join(left)} may still stand, break it with {how}.")
                raise
            if holder.environment in taken and not ours:
                tell(f"the lock on {whom} was broken while this run held it: see that nobody patched it meanwhile.")
            if holder.environment in unanswered and not ours:
                tell(f"the server may yet make the lock on {whom} that it was asked for: `{unlocking(whom)}` says.")


def _taken(server, holder: Holder) -> Holder | None:
    """Create the item; return who holds it then, None where it was gone each time that it was looked at."""
    for _ in range(TRIES):
        try:
            _create(server, holder)
        except ServerUnreachableError:
            found = read(server, holder.environment)
            if found is None or found.run != holder.run:
                raise  # else only the answer was lost
        if server.is_goiardi:
            time.sleep(SETTLE)
        if (found := read(server, holder.environment)) is not None:
            return found
    return None


def _create(server, holder: Holder) -> None:
    """Create the item, and the bag if there is none; an item that is there already is no error here."""
    body = _item(holder)
    try:
        try:
            server.post(f"/data/{BAG}", body)
        except NotFoundError:
            with suppress(ConflictError):  # another run has just made it
                server.post("/data", {"name": BAG})
            server.post(f"/data/{BAG}", body)
    except ConflictError:
        return
    except (AuthenticationError, ServerUnreachableError):
        raise
    except ChefServerError as error:
        raise LockError(f"{str(error).rstrip('. ')}; {ADVICE}.") from error


def _item(holder: Holder) -> dict:
    return {"id": holder.environment, **asdict(holder)}


def _is(found: Holder, holder: Holder) -> bool:
    """True for the lock of the same run and of the same process: a run that was resumed has another."""
    return (found.run, found.process) == (holder.run, holder.process)


def _path(environment: str) -> str:
    return f"/data/{BAG}/{quote(environment, safe='')}"
