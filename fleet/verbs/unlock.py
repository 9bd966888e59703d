"""`invoke unlock`: breaks the lock on an environment that a dead run left; and the lock as `patch` takes it."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from fleet import who
from fleet.cli import complain, verb
from fleet.errors import SettingsError
from fleet.settings import EVERYWHERE, Settings
from fleet.text import clean
from fleet.verbs import shared

HELP = {
    "env": "Chef environment whose lock to break",
    "yes": "Do not ask; without a terminal nothing is broken unless this is given",
    "profile": shared.WHOM["profile"],
}


@verb(help=HELP)
def unlock(context, env=None, yes=False, profile=None):
    """
    Break the lock that a dead run left on an environment; says whose it is and asks first.

    invoke unlock --env production

    A patch gives its lock back however it ends, unless it was killed or lost its machine or the Chef server. See first
    that it is dead (`invoke status` there): two runs at once restart the same services. The lock of a run that is alive
    on this machine is not broken.
    """
    settings = shared.settings_of(context, {"env": env, "yes": yes, "profile": profile}, whom=False)
    if settings.env in (None, EVERYWHERE):
        raise SettingsError("say which environment: --env NAME; each has a lock of its own.")
    from fleet.chef import lock
    from fleet.chef.search import check_environment

    with shared.shop(settings) as shop:
        holder = lock.read(shop.server, settings.env)
        if holder is None:
            check_environment(shop.server, settings.env)  # a name that was misspelt is not locked either
            print(f"{settings.env} is not locked.")
            return
        print(f"{settings.env} is locked by {holder.told}.")
        refuse_the_living(holder)
        ask(settings)
        if not lock.release(shop.server, holder):
            raise SettingsError("the lock is no longer that run's: nothing was broken; look again.")
    print(f"{settings.env} is not locked any more; run {clean(holder.run, 60)} must not go on.")


def refuse_the_living(holder) -> None:
    """Raise SettingsError if the run that holds the lock is alive on this machine; elsewhere nobody can tell."""
    if who.runs(holder.process, holder.host):
        pid = holder.process["pid"]
        raise SettingsError(
            f"that run is alive on this machine, as process {pid}: interrupt it (Ctrl-C there, or kill -INT {pid}), "
            "and it gives its lock back."
        )


def ask(settings: Settings) -> None:
    """Have a person agree; raises SettingsError where nobody does or nobody can be asked."""
    if settings.yes:
        return
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise SettingsError("there is no terminal to ask at, so the lock stands; give --yes to break it without.")
    try:
        answer = input("Break it? Type yes to go on: ")
    except (EOFError, KeyboardInterrupt, UnicodeDecodeError):
        print()  # the prompt's line has no end yet
        answer = ""
    if answer.strip().lower() not in ("yes", "y"):
        raise SettingsError("not confirmed; the lock stands.")


@contextmanager
def locked(
    shop: shared.Shop, settings: Settings, environments: Iterable[str], run: str
) -> Iterator[Callable[[], str | None]]:
    """Hold the locks on these environments for a run until the block has ended; none with --no-lock.

    Gives what asks the server whether they still are this run's, and returns in a sentence which is not, None as long
    as all are; it raises ChefServerError.
    Raises LockedError where another run has one, LockError where the server keeps none for us, ChefServerError.
    """
    from fleet.chef import lock

    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    holders = [
        lock.Holder(
            environment, who.user(), who.host(), shop.config.client_name, since, run, settings.ticket, who.process(),
        )
        for environment in ([] if settings.no_lock else sorted(environments))
    ]
    with lock.held(shop.server, holders, lambda sentence: complain(sentence, 0)) as lost:
        yield lost
