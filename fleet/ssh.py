"""Connections to nodes over SSH, and commands on them: bounded in time and in what is kept of their output."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import asyncssh

from fleet.errors import LostError, NodeError, NodeTimeoutError, UnreachableError
from fleet.host_keys import Vouched
from fleet.node import Node
from fleet.ssh_refusal import Client, reason, sentence
from fleet.ssh_route import Router
from fleet.ssh_settings import Jump, SshSettings, is_address, settings_for
from fleet.text import clean, last_lines
from generator.errors import StypticError
from generator.shell import join

__all__ = ["Answer", "Connection", "Connections", "SshSettings", "settings_for"]

THREADS = 64  # reading key files, and names that a dead name server lets hang: one must not wait for the other
LINGER = 5  # seconds of silence after a command ended while a daemon it started still holds its output open
GOODBYE = 2  # seconds for a peer to take the end of a connection


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended: `rc` is its exit code, 128 + N where signal N ended it, as a shell has it.

    Of `stdout` and of `stderr` at most the limit is kept, its first half and its last half; `truncated` is True where
    anything between was dropped: such an answer is not whole, and a parser must refuse it.
    """

    rc: int
    stdout: bytes
    stderr: bytes
    truncated: bool


class Kept:
    """The first and the last bytes of a stream, whatever comes: a start to read, and the end where errors stand."""

    def __init__(self, limit: int):
        self.room = limit // 2
        self.tail_room = limit - self.room
        self.head, self.tail = bytearray(), bytearray()
        self.seen = 0

    def add(self, data: bytes) -> None:
        """Take what came; holds three times the limit at most."""
        self.seen += len(data)
        if free := self.room - len(self.head):
            self.head += data[:free]
            data = data[free:]
        self.tail += data[-self.tail_room :] if self.tail_room else b""
        if len(self.tail) > 2 * self.tail_room:
            del self.tail[: -self.tail_room]

    @property
    def truncated(self) -> bool:
        """True if something was dropped."""
        return self.seen > self.room + self.tail_room

    def bytes(self) -> bytes:
        """Return what was kept."""
        return bytes(self.head) + (bytes(self.tail[-self.tail_room :]) if self.tail_room else b"")


class Session(asyncssh.SSHClientSession):
    """One command's ends of its streams. Never pauses the peer: what is too much is read and dropped."""

    def __init__(self, limit: int):
        self.stdout, self.stderr = Kept(limit), Kept(limit)
        self.rc: int | None = None
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self.lost: Exception | None = None

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.stderr if datatype == asyncssh.EXTENDED_DATA_STDERR else self.stdout).add(data)

    def exit_status_received(self, status: int) -> None:
        self.rc = status
        self.exited.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.rc = 128 + number_of(signal)
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.exited.set()
        self.closed.set()

    async def ended(self) -> None:
        """Wait for the command's end, and then for its output's."""
        await self.exited.wait()
        while not self.closed.is_set():
            seen = self.stdout.seen + self.stderr.seen
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.closed.wait(), LINGER)
            if seen == self.stdout.seen + self.stderr.seen:
                break


def number_of(name: str) -> int:
    """Return a signal's number by its name without SIG (RFC 4254, 6.10); 127 for one this machine does not know."""
    try:
        return signal.Signals["SIG" + name]
    except KeyError:
        return 127


class Connection:
    """A connection that stands. An async context manager: it is closed at the end, whatever happened."""

    def __init__(self, ssh: asyncssh.SSHClientConnection):
        self.ssh = ssh

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(self, *_) -> None:
        await hang_up(self.ssh)

    @property
    def peer(self) -> str | None:
        """The IP address that is connected to; None where another host or a command leads there."""
        socket = None if self.ssh.get_extra_info("through") else self.ssh.get_extra_info("socket")
        return socket.getpeername()[0] if socket is not None else None

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", limit: int, sudo: bool = False,
        timeout: float,  # noqa: ASYNC109 - running out of it is a sentence of its own here
    ) -> Answer:
        """Run a command with these words and this input; return how it ended.

        `timeout` is in seconds, `limit` the bytes kept of stdout and of stderr each (see Answer); the rest is read and
        dropped, so that the command does not block. With `sudo` it runs as root by sudo(8) -n. Raises NodeTimeoutError
        where it did not end in time and LostError where the connection broke (it may run on), NodeError where sudo
        refused.
        """
        words = ["env", "LC_ALL=C", "sudo", "-n", "--", *argv] if sudo else argv
        what = clean(" ".join(word if len(word) <= 40 and "\n" not in word else "…" for word in argv), 80)
        session = Session(limit)
        channel = None
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                channel, _ = await self.ssh.create_session(
                    lambda: session, join(words), encoding=None, request_pty=False, x11_forwarding=False
                )
                with contextlib.suppress(BrokenPipeError):  # it may end before it took all of its input
                    channel.write(stdin)
                    channel.write_eof()
                await session.ended()
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise NodeTimeoutError(f"`{what}` did not end within {timeout:g} s; it may still run there.") from error
        except (OSError, asyncssh.Error) as error:
            raise LostError(f"`{what}` was not run: {reason(error, timeout)}.") from error
        finally:
            if channel is not None and not session.closed.is_set():
                channel.abort()
        if session.rc is None:
            why = clean(str(session.lost or "it gives no reason"), 200)
            raise LostError(f"the connection broke while `{what}` ran, which may still run there: {why}.")
        answer = Answer(
            session.rc, session.stdout.bytes(), session.stderr.bytes(),
            session.stdout.truncated or session.stderr.truncated,
        )
        if sudo:
            refuse_sudo(answer, self.ssh.get_extra_info("username"))
        return answer


def refuse_sudo(answer: Answer, user: str) -> None:
    """Raise NodeError where sudo(8) itself, or the lack of it, is why nothing ran."""
    if answer.rc == 0 or answer.stdout:
        return
    said = last_lines(answer.stderr, 1)  # sudo's warnings come first, a command's own words after them
    low = said.lower()
    if answer.rc == 127 and "sudo" in low:
        raise NodeError("there is no sudo on it: log in as root with --ssh-user root, or install sudo.")
    refused = low.startswith("sudo: ") or "sudoers" in low or "is not allowed to execute" in low
    if answer.rc != 1 or not refused or "command not found" in low or "unable to resolve host" in low:
        return
    instead = f"let sudoers give {clean(user, 60)} NOPASSWD for ALL, or give --ssh-user root"
    if "tty" in low:
        raise NodeError(f"its sudo wants a terminal: take requiretty out of its sudoers for {clean(user, 60)}.")
    if "password" in low:
        raise NodeError(f"its sudo wants a password, and nobody is asked for one: {instead}.")
    raise NodeError(f"its sudo refuses ({said.rstrip('.')}): {instead}.")


async def hang_up(ssh: asyncssh.SSHClientConnection) -> None:
    """End a connection without waiting for a peer that is gone."""
    ssh.close()
    try:
        async with asyncio.timeout(GOODBYE):
            await ssh.wait_closed()
    except TimeoutError:
        ssh.abort()
    except BaseException:
        ssh.abort()
        raise


class Connections:
    """Makes connections: an async context manager that holds what they share, the keys and the gateways."""

    def __init__(self, settings: SshSettings):
        self.settings = settings
        self.router = Router(settings)
        self.gateways: dict[tuple[Jump, ...], asyncio.Task] = {}

    async def __aenter__(self) -> "Connections":
        """Read keys, ssh_config and known_hosts. Raises SettingsError for what would fail every node."""
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL + 1)  # every failure becomes a sentence
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS, "styptic"))
        await asyncio.to_thread(self.router.check)
        return self

    async def __aexit__(self, *_) -> None:
        gateways, self.gateways = list(self.gateways.values()), {}
        for gateway in reversed(gateways):
            gateway.cancel()
            with contextlib.suppress(asyncio.CancelledError, StypticError):
                await hang_up(await gateway)

    async def connect(self, node: Node) -> Connection:
        """Connect and log in to a node; raises UnreachableError, and then nothing was changed on it."""
        address = (node.address or "").strip()
        if not is_address(address):
            raise UnreachableError(
                f"{clean(node.name, 100)} has {clean(address, 100)!r} for an address, which is neither an IP address "
                "nor a host name; nothing was connected to: correct that attribute of the node, or name another with "
                "--address-attribute."
            )
        settings = self.settings
        return Connection(await self.reach(Jump(address, settings.user, settings.port), settings.gateway, node=node))

    async def reach(
        self, to: Jump, through: tuple[Jump, ...] = (), way: tuple[tuple[Jump, ...], ...] = (), node: Node | None = None
    ) -> asyncssh.SSHClientConnection:
        """Return a connection to a host through these gateways, or those ssh_config names where none is given.

        `way` are the gateways that are being made for which this host is one itself; `node` is who it is said to be,
        whose word may count for its host key.
        """
        try:
            route = await asyncio.to_thread(self.router.route, to.host, to.user, to.port, bool(way))
        except StypticError as error:
            raise UnreachableError(str(error)) from error
        jumps = through or route.jumps
        client = Client(Vouched(node, route.known) if node and self.settings.host_keys else None)
        seconds = self.settings.connect_timeout
        for again in (True, False):
            tunnel = await self.gateway(jumps, way) if jumps else None
            try:
                async with asyncio.timeout(seconds):
                    ssh = await asyncssh.connect(
                        to.host, tunnel=tunnel, client_factory=lambda: client,
                        **route.arguments(client.vouched and client.vouched.trusted),
                    )
                ssh.set_extra_info(through=tunnel is not None)  # asyncssh would tell the gateway's own socket
                if client.vouched:
                    await client.vouched.keep(ssh)
                return ssh
            except Exception as error:  # a peer can make asyncssh stumble in more ways than it has errors for
                if again and tunnel is not None and tunnel.is_closed():
                    continue  # the gateway had gone, and took nothing but this connection with it
                raise UnreachableError(sentence(error, route, client, seconds).rstrip(".") + ".") from error
        raise AssertionError("a second try returns or raises")

    async def gateway(
        self, jumps: tuple[Jump, ...], way: tuple[tuple[Jump, ...], ...] = ()
    ) -> asyncssh.SSHClientConnection:
        """Return the one connection to the last of these hosts, made now if there is none; all who ask share it."""
        last = jumps[-1]
        if jumps in way:
            raise UnreachableError(f"ssh_config leads to the gateway {clean(str(last), 100)} through itself.")
        held = self.gateways.get(jumps)
        if held is None or (held.done() and (held.cancelled() or held.exception() or held.result().is_closed())):
            held = asyncio.create_task(self.reach(last, jumps[:-1], (*way, jumps)))
            self.gateways[jumps] = held
        try:
            return await asyncio.shield(held)
        except UnreachableError as error:
            raise UnreachableError(f"the gateway {clean(str(last), 100)} cannot be used: {error}") from error
