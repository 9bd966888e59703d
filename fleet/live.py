"""Asks a node's TLS services from outside, as whoever would attack them could: `verify --live`."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet import live_nmap, live_seen, live_sslyze, live_venv, look
from fleet.errors import LiveError, NodeError, NodeTimeoutError
from fleet.live_seen import Seen
from fleet.node import Node
from fleet.report.record import OUTSIDE, Check
from fleet.served import NOTHING, Served
from fleet.text import clean, last_lines
from generator import tls
from generator.errors import StypticError

SECONDS = 180  # for all ports of a node
FINDING = 60  # seconds for the node to find out who answers TLS
BOUND = 16_000_000  # bytes of a program's answer, which holds whole certificate chains
COMPLAINT = 65_536  # bytes kept of what it complains about
UNSET = ("PYTHONPATH", "PYTHONHOME", "NMAPDIR")


@dataclass(frozen=True, slots=True)
class Asker:
    """A program that asks: `words(address, ports)` calls it, `parse(output)` says who it is and what it saw."""

    words: Callable[[str, Sequence[int]], list[str]]
    parse: Callable[[bytes], tuple[str, Mapping[int, Seen]]]

    async def ask(self, address: str, ports: Sequence[int]) -> tuple[str, Mapping[int, Seen]]:
        """Ask these ports of an IP address. Raises NodeError for no whole answer, and keeps nothing else of it."""
        return self.parse(await output_of(self.words(address, ports)))


def say(line: str) -> None:
    """Tell the user what is about to be done, beside what the run prints."""
    print(f"styptic: {line}", file=sys.stderr, flush=True)


def asker(tell: Callable[[str], None] = say) -> Asker:
    """Return who asks: sslyze, installed when first used; nmap where sslyze cannot be had and nmap is installed.

    Raises LiveError where there is neither.
    """
    try:
        python = live_venv.python(tell)
    except LiveError as error:
        why = str(error).rstrip(".")
        if not shutil.which("nmap"):
            raise LiveError(f"{why}; there is no nmap either, which would do in its place.") from error
        tell(f"{why}; nmap asks in its place")
        return Asker(live_nmap.words, live_nmap.parse)
    return Asker(lambda address, ports: live_sslyze.words(python, address, ports), live_sslyze.parse)


class Live:
    """A proof (as fleet.patch takes one) that adds what is seen from outside to what `prove` says.

    As many nodes are asked at once as there are cores.
    """

    def __init__(self, prove: Callable, asker: Asker, tell: Callable[[str, str], None]):
        self.prove, self.asker, self.tell = prove, asker, tell
        self.turns = asyncio.Semaphore(os.cpu_count() or 1)

    async def __call__(self, node: Node, connection, served: Served = NOTHING, sudo: bool = False) -> list[Check]:
        """Return the checks of a node: those of `prove`, then those from outside."""
        checks = list(await self.prove(node, connection, served, sudo))
        self.tell(node.name, "ask from outside")
        try:
            return checks + await self.outside(connection, sudo)
        except StypticError as error:
            return [*checks, Check(OUTSIDE, "error", str(error))]

    async def outside(self, connection, sudo: bool) -> list[Check]:
        """Return the checks from outside: of every port that answers TLS, on the address the connection leads to."""
        answer = await connection.run(
            ["sh", "-s"], stdin=tls.command(tls.EVERY).encode(), timeout=FINDING, limit=look.BOUND, sudo=sudo
        )
        if answer.truncated:
            raise NodeError("its list of listeners is not whole; nothing is proven from outside.")
        found = tls.found(answer.stdout.decode(errors="replace"))
        if found.mute:
            return [Check(OUTSIDE, "error", "there is no openssl on it to find out who answers TLS")]
        open_to_us = sorted({each.port for each in found.listeners if not each.loopback})
        checks = [
            Check(f"{OUTSIDE}[{port}]", "skipped", f"port {port} is bound to the loopback alone and was not asked")
            for port in found.ports if port not in open_to_us
        ]
        if found.left:
            checks.append(Check(OUTSIDE, "error", f"{found.left} more of its listeners were not asked"))
        if not open_to_us:
            return checks or [Check(OUTSIDE, "skipped", "nothing on it answers TLS")]
        if connection.peer is None:
            named = ", ".join(map(str, open_to_us))
            why = f"it is reached through another host, so its ports that answer TLS ({named}) were not asked from here"
            return [*checks, Check(OUTSIDE, "error", why)]
        async with self.turns:
            by, seen = await self.asker.ask(connection.peer, open_to_us)
        nothing = f"{by} told nothing of it"
        for port in open_to_us:
            checks += live_seen.checks(seen.get(port, Seen(port, trouble=nothing)), by)
        return checks


async def output_of(words: Sequence[str]) -> bytes:
    """Run a program and return what it prints. Raises NodeError where it fails, prints too much or takes too long."""
    name = clean(next((word for word in words if word in ("sslyze", "nmap")), words[0]), 40)
    environment = {key: value for key, value in os.environ.items() if key not in UNSET}
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True, env=environment,
        )
    except OSError as error:
        raise NodeError(f"{name} could not be started: {error.strerror}.") from error
    complaining = asyncio.create_task(read(process.stderr, COMPLAINT))
    try:
        async with asyncio.timeout(SECONDS):
            output = await read(process.stdout, BOUND + 1, drain=False)
            if len(output) > BOUND:
                raise NodeError(f"{name} printed more than {BOUND} bytes; nothing is proven from outside.")
            code = await process.wait()
    except TimeoutError as error:
        raise NodeTimeoutError(f"{name} did not end within {SECONDS} s; nothing is proven from outside.") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a group of its own: start_new_session
        # A process counts as ended once its pipes are read to their end.
        _, complaint, _ = await asyncio.gather(read(process.stdout, 0), complaining, process.wait())
    if code != 0 or not output:
        said = last_lines(complaint, 2) or last_lines(output, 2) or "it says nothing"
        raise NodeError(f"{name} ended with {code}: {said.rstrip('.')}.")
    return output


async def read(stream: asyncio.StreamReader, limit: int, drain: bool = True) -> bytes:
    """Return the first `limit` bytes of a stream; with `drain` what follows is read and dropped."""
    kept = bytearray()
    while (drain or len(kept) < limit) and (said := await stream.read(65_536)):
        kept += said[: limit - len(kept)]
    return bytes(kept)
