"""A reboot, for what nothing else mends: ordered over a connection, believed by a new boot id, and proven."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet import look, served
from fleet.converge import Result
from fleet.earlier import REBOOT
from fleet.errors import NodeError, UnreachableError
from fleet.look import Look
from fleet.node import State
from fleet.served import NOTHING, Served
from fleet.text import clean, last_lines

if TYPE_CHECKING:
    from fleet.trip import Trip

HELPED = (State.REBOOT_REQUIRED, State.STALE)
ACTION = "rebooted"
BOOT_ID = "/proc/sys/kernel/random/boot_id"  # another at every boot, and the same in between: random(4)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
LIMIT = 10_000  # bytes of an answer
SHORT = 30  # seconds for a command that only reads
DOWN = 30  # seconds in which the connection should break; then the node is asked over new ones
PAUSE = 2.0  # seconds before it is asked again: nothing tells from afar when a machine answers
SETTLE = 120  # seconds for what starts at boot

# sysvinit's shutdown(8) and systemd's take the same words, and both are done once init has been told; without systemd
# as PID 1 the latter tells init by initctl(5), as the former does. The program outlives its connection: HUP and PIPE
# are ignored. It ends with the machine, whose going down is thereby seen here; $1 is how long to wait for that.
ORDER = rf"""
LC_ALL=C PATH=$PATH:{look.PATHS}
export LC_ALL PATH
trap '' HUP PIPE
said=$(shutdown -r now 2>&1 </dev/null) || {{ code=$?; printf '%s\n' "$said"; exit "$code"; }}
exec sleep "$1" </dev/null >/dev/null 2>&1
"""
# Waits until all that starts at boot has started or failed; a systemd before 240 does not wait: systemctl(1).
BOOTED = "[ ! -d /run/systemd/system ] || systemctl is-system-running --wait >/dev/null 2>&1 </dev/null || true"


def due(trip: "Trip", found: Look) -> bool:
    """True where --reboot was given and a node owes one as it was found, so that it takes a place in a wave."""
    return wanted(trip) and bool(look.owed(found, trip.patcher.deeper))


def wanted(trip: "Trip") -> bool:
    """True where --reboot was given and nodes may be changed."""
    return trip.patcher.converge and trip.patcher.settings.reboot


async def mend(trip: "Trip", connection, result: Result | None, serves: Served) -> None:
    """Reboot a node that has been proven and that only this helps, if --reboot was given, and prove it anew.

    `result` is the converge's, None where there was none; `serves` is what the node served before and must serve again.
    The node keeps its place in the wave meanwhile, and its state is what the second proof says. One that cannot be told
    to reboot keeps the state it has; one that is not back within --reboot-timeout is `failed`. Raises StypticError
    where the second look or proof breaks off.
    """
    record = trip.outcome.record
    if not wanted(trip) or record.state not in HELPED:
        return
    why, settings = record.error, trip.patcher.settings
    try:
        boot = await boot_id(connection)
        trip.step(REBOOT, boot_id=boot, why=why)
        trip.rebooted = True
        wait = Return(trip, boot, serves)
        with trip.untimed():  # it has a limit of its own
            async with asyncio.timeout(settings.reboot_timeout) as clock:
                await order(connection, settings.sudo)
                anew = await wait.over()
    except NodeError as error:
        said = f"{why}; it could not be rebooted: {str(error).rstrip('.')}"
        trip.end(record.state, said, "reboot it from its console, then verify")
        return
    except TimeoutError:
        if not clock.expired():
            raise
        said = f"timed out in reboot: after {settings.reboot_timeout} s {wait.at}"
        trip.end(State.FAILED, said, "see its console; once it is up, verify; --reboot-timeout gives it longer")
        return
    record.actions = [*record.actions, ACTION]
    async with anew:
        now = await trip.look(anew)
        record.packages_after, record.stale_after = now.packages, list(now.stale)
        trip.outcome.todo = None
        # What the converge said to owe a reboot has had one: the node itself says what it still owes.
        await trip.prove(anew, now, result and replace(result, reboot=()), serves=serves)
    if record.state is State.ALREADY_PATCHED:
        trip.end(State.PATCHED)  # by this reboot


async def boot_id(connection) -> str:
    """Return the boot id of the node's kernel. Raises NodeError where it gives none."""
    answer = await connection.run(["cat", BOOT_ID], timeout=SHORT, limit=LIMIT)
    said = answer.stdout.decode(errors="replace").strip()
    if answer.rc or answer.truncated or not UUID.fullmatch(said):
        raise NodeError(f"{BOOT_ID} on it holds no boot id, by which a reboot would be known")
    return said


async def order(connection, sudo: bool) -> None:
    """Have the node reboot, and wait a while for its going down. Raises NodeError where it refuses.

    A connection that breaks says nothing here: whether the node reboots is seen by its boot id.
    """
    try:
        answer = await connection.run(
            ["sh", "-c", ORDER, "sh", str(DOWN)], timeout=SHORT + DOWN, limit=LIMIT, sudo=sudo
        )
    except NodeError:
        return
    if 0 < answer.rc < 128:  # from 128 on a signal ended it, init's own as a rule
        why = last_lines(answer.stdout or answer.stderr, 2) or "it gives no reason"
        raise NodeError(f"`shutdown -r now` ended with {answer.rc} on it: {why}")


@dataclass(slots=True)
class Return:
    """Waits for a node to come back; `at` says in words how far it is, `boot` is the boot id it had."""

    trip: "Trip"
    boot: str
    serves: Served
    at: str = "it has not gone down"

    async def over(self):
        """Return a connection to the node once it has booted anew and serves what it served, or had the time to.

        Has no limit of its own. A node that goes down once more, as after an SELinux relabelling, is waited for again.
        """
        while True:
            try:
                connection = await self.trip.patcher.connections.connect(self.trip.node)
            except UnreachableError as error:
                self.at = f"no connection to it comes about: {str(error).rstrip('.')}"
            else:
                async with contextlib.AsyncExitStack() as unless_back:
                    await unless_back.enter_async_context(connection)
                    if await self.is_up(connection):
                        unless_back.pop_all()
                        return connection
            await asyncio.sleep(PAUSE)

    async def is_up(self, connection) -> bool:
        """True for a node that has another boot id and has settled."""
        try:
            found = await boot_id(connection)
            if found == self.boot:
                self.at = "it answers with the boot id it had before, so it has not rebooted"
                return False
            self.trip.step("wait for what it served", boot_id=found)
            await self.settle(connection)
        except NodeError as error:
            self.at = f"it breaks off: {clean(str(error)).rstrip('.')}"
            return False
        return True

    async def settle(self, connection) -> None:
        """Wait until all has started at boot and the node serves what it served, for SETTLE seconds at most.

        What is missing then is for the proof to tell. Raises NodeError where the connection breaks.
        """
        sudo = self.trip.patcher.settings.sudo
        self.at = "it is up again and has not done with booting"
        with contextlib.suppress(TimeoutError):  # NodeTimeoutError is one
            async with asyncio.timeout(SETTLE):
                await connection.run(["sh", "-c", BOOTED], timeout=SETTLE, limit=LIMIT)
                while self.serves != NOTHING and (
                    missing := lacking(self.serves, await served.ask(connection, sudo))
                ):
                    self.at = f"it is up again and does not serve what it served: {', '.join(missing)}"
                    await asyncio.sleep(PAUSE)


def lacking(before: Served, now: Served) -> list[str]:
    """Return what a node served before and does not serve now, in words."""
    ports = [f"TLS on port {port}" for port in before.tls if port not in now.tls]
    return [*ports, *(name for name in before.services if name not in now.services)]
