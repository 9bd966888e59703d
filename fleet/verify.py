"""Proves a node with tests/infra: pytest runs in processes of its own, their commands on the connection we hold."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet.errors import NodeError, NodeTimeoutError
from fleet.node import Node
from fleet.redact import redacted
from fleet.report.record import Check
from fleet.served import NOTHING, Served
from fleet.text import clean, last_lines
from generator.errors import StypticError

WORKERS = 8  # at most; two a core, because they mostly wait for their node
SECONDS = 90  # for all checks of a node
COMMAND = 30  # seconds for one command of theirs
BOUND = 1_000_000  # bytes of a command's stdout and stderr each
LINE = 16_000_000  # bytes of a message between a worker and us
ROOT = Path(__file__).parents[1]
# What a user has set for pytest is meant for other tests than these.
UNSET = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")


class Verifier:
    """Runs the checks of nodes, as many at once as there are cores: an async context manager.

    Its processes start when the first node is to be proven and serve one node after the other. The socket to each is
    a pair that nobody else can connect to. With `strict` logins that run the old library fail their node, too.
    """

    def __init__(self, advisories: Sequence, strict: bool = False):
        self.strict = strict
        self.latest = any(each.latest for each in advisories)
        self.advisories = [str(Path(each.path).absolute()) for each in advisories if not each.latest]
        self.turns = asyncio.Semaphore(min(WORKERS, 2 * (os.cpu_count() or 1)))
        self.idle: list[Worker] = []

    async def __aenter__(self) -> "Verifier":
        return self

    async def __aexit__(self, *_) -> None:
        while self.idle:
            await self.idle.pop().end()

    async def prove(self, node: Node, connection, served: Served = NOTHING, sudo: bool = False) -> list[Check]:
        """Return what each check of tests/infra says of a node, over this connection.

        `served` is what it must serve; with `sudo` the commands run by sudo. Raises
        NodeError where not one check ran: that proves nothing.
        """
        async with self.turns:
            try:
                worker = self.idle.pop() if self.idle else await Worker.start()
            except OSError as error:
                raise NodeError(f"no process could be started to check it: {error.strerror}.") from error
            try:
                async with asyncio.timeout(SECONDS) as clock:
                    job = {
                        "advisories": self.advisories, "latest": self.latest, "strict": self.strict,
                        "tls": served.listeners, "services": served.services,
                    }
                    checks = await worker.prove(job, connection, sudo)
            except BaseException as error:
                await worker.end()
                if isinstance(error, TimeoutError) and clock.expired():
                    raise NodeTimeoutError(f"its checks did not end within {SECONDS} s; nothing is proven.") from error
                raise
            self.idle.append(worker)
        if not any(check.outcome in ("passed", "failed") for check in checks):
            raise NodeError("not one check ran on it, which proves nothing: run tests/infra by hand to see why.")
        return checks


class Worker:
    """A process that runs pytest, and the loop's end of the socket to it."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.process, self.reader, self.writer = process, reader, writer
        self.complaint = b""
        self.listening = asyncio.create_task(self.listen())

    @classmethod
    async def start(cls) -> "Worker":
        """Start one. Its output goes nowhere, its errors to us, a Ctrl-C of the terminal's to us alone."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as unless_started:
            unless_started.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "fleet.proof_worker", str(theirs.fileno()),
                pass_fds=[theirs.fileno()], cwd=ROOT, start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
                env={name: value for name, value in os.environ.items() if name not in UNSET}
                | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            )
            unless_started.pop_all()
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE)
        return cls(process, reader, writer)

    async def listen(self) -> None:
        """Keep the end of what it says on stderr: the reason, should it die."""
        while said := await self.process.stderr.read(65536):
            self.complaint = (self.complaint + said)[-4096:]

    async def send(self, message: dict) -> None:
        """Send it one message."""
        self.writer.write(json.dumps(message).encode() + b"\n")
        await self.writer.drain()

    async def prove(self, job: dict, connection, sudo: bool) -> list[Check]:
        """Have it do a job, running its commands on `connection`; return the checks."""
        broken: StypticError | None = None
        try:
            await self.send(job)
            while line := await self.reader.readline():
                message = json.loads(line)
                if "run" not in message:
                    break
                try:
                    await self.send(await answer_to(message["run"], connection, sudo))
                except StypticError as error:
                    broken = error
                    await self.send({"error": str(error)})
            else:
                await asyncio.wait([self.listening], timeout=1)
                why = last_lines(self.complaint, 2) or "it left no word"
                raise NodeError(f"the process that ran its checks died: {why.rstrip('.')}.")
        except (OSError, ValueError) as error:
            raise NodeError(f"the process that ran its checks failed: {clean(str(error), 200)}.") from error
        if broken:
            raise broken
        if "error" in message:
            raise NodeError(f"its checks could not run: {clean(message['error'])}.")
        return [Check(name, outcome, redacted(said)) for name, outcome, said in message["checks"]]

    async def end(self) -> None:
        """End it at once; it keeps nothing that would have to be written."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.writer.close()
        await self.process.wait()
        await self.listening
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def answer_to(command: str, connection, sudo: bool) -> dict:
    """Run one shell command of a check on the node and return the message for the worker. Raises NodeError."""
    answer = await connection.run(["sh", "-c", command], timeout=COMMAND, limit=BOUND, sudo=sudo)
    if answer.truncated:
        raise NodeError(f"a check's command printed more than {BOUND} bytes, so its output is not whole.")
    return {
        "rc": answer.rc, "stdout": base64.b64encode(answer.stdout).decode(),
        "stderr": base64.b64encode(answer.stderr).decode(),
    }
