"""A program of this machine, run beside everything else: no shell, bounded output, ended with all it started."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.ssh import Kept

GRACE = 5  # seconds between TERM and KILL, to tidy up in
LINGER = 1  # seconds for what is still in the pipe once a program ended: a daemon it left may hold that open for ever


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended: `rc` is its exit code, 128 + N where signal N ended it, None where nothing did and it may
    still run; `output` is the first and the last of what it printed on either stream; `ended` says that its time was up
    and it was ended for it."""

    rc: int | None
    output: bytes
    ended: bool


class Heard(asyncio.SubprocessProtocol):
    """A program's ends. Never makes it wait: what is too much is read and dropped."""

    def __init__(self, limit: int):
        self.output = Kept(limit)
        self.exited, self.closed = asyncio.Event(), asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output.add(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()


async def run(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path,
    timeout: float,  # noqa: ASYNC109 - running out of it is an end of its own here
    limit: int,
) -> Done:
    """Run a program in a session of its own, which a terminal's Ctrl-C does not reach, with nothing on its input.

    After `timeout` seconds it and its process group are told to end (TERM), and GRACE seconds later they are ended
    (KILL); so they are at once where whoever waits is cancelled. One that is another user's (sudo's, say), or that
    waits for a disk, may outlast that too, and is not waited for. `limit` is in bytes. Raises OSError for a program
    that cannot be started.
    """
    transport, heard = await _started(argv, dict(environment), directory, limit)
    ended = False
    try:
        if not await _set_within(heard.exited, timeout):
            ended = True
            _signal(transport, signal.SIGTERM)
            await _set_within(heard.exited, GRACE)
            _signal(transport, signal.SIGKILL)  # the group: also what its first process left in it
            await _set_within(heard.exited, GRACE)
        await _set_within(heard.closed, LINGER)
    finally:
        await _over(transport, heard)
    code = transport.get_returncode()
    return Done(128 - code if code is not None and code < 0 else code, heard.output.bytes(), ended)


async def _started(
    argv: Sequence[str], environment: dict[str, str], directory: Path, limit: int
) -> tuple[asyncio.SubprocessTransport, Heard]:
    """Start a program. A cancelled start is waited for and ended: cut short, asyncio would end its first process alone.
    """
    starting = asyncio.ensure_future(asyncio.get_running_loop().subprocess_exec(
        lambda: Heard(limit), *argv, env=environment, cwd=directory, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _over(*await starting)
        raise


async def _over(transport: asyncio.SubprocessTransport, heard: Heard) -> None:
    """Leave nothing of a program that nobody waits for any more."""
    if not heard.exited.is_set():  # whoever waited is cancelled
        _signal(transport, signal.SIGKILL)
        await _set_within(heard.exited, GRACE)
    with contextlib.suppress(PermissionError):  # as in _signal; asyncio of Python 3.11 does not pass it over
        transport.close()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _signal(transport: asyncio.SubprocessTransport, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # kill(2): all of them are another user's
        os.killpg(transport.get_pid(), number)
