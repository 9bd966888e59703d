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
    """How a program ended: `rc` is its exit code, 128 + N where signal N ended it; `output` is the first and the last
    of what it printed on either stream; `ended` says that its time was up and it was ended for it."""

    rc: int
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
    (KILL); so they are at once where whoever waits is cancelled. `limit` is in bytes. Raises OSError for a program
    that cannot be started.
    """
    loop = asyncio.get_running_loop()
    transport, heard = await loop.subprocess_exec(
        lambda: Heard(limit), *argv, env=dict(environment), cwd=directory, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    ended = False
    try:
        if not await _set_within(heard.exited, timeout):
            ended = True
            _signal(transport, signal.SIGTERM)
            await _set_within(heard.exited, GRACE)
            _signal(transport, signal.SIGKILL)  # the group: also what its first process left in it
            await heard.exited.wait()
        await _set_within(heard.closed, LINGER)
    finally:
        if not heard.exited.is_set():  # whoever waited is cancelled
            _signal(transport, signal.SIGKILL)
            await _set_within(heard.exited, GRACE)
        transport.close()
    code = transport.get_returncode()
    return Done(128 - code if code < 0 else code, heard.output.bytes(), ended)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _signal(transport: asyncio.SubprocessTransport, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(transport.get_pid(), number)
