"""Connections and commands, against a real SSH server: asyncssh's own, on 127.0.0.1, running real commands."""

import asyncio
import gc
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import asyncssh
import pytest

from fleet.errors import NodeError, NodeTimeoutError, SettingsError, UnreachableError
from fleet.node import Node
from fleet.ssh import Connections, Kept, SshSettings
from fleet.ssh_route import IDENTITIES
from fleet.ssh_settings import jumps_of

USER = "ops"


def node(address: str = "127.0.0.1") -> Node:
    return Node("web1", "production", address)


def refused(reachable, address="127.0.0.1", **how) -> str:
    """The sentence that a connection ends with."""

    async def trying():
        async with reachable(**how) as (_, connections):
            with pytest.raises(UnreachableError) as caught:
                await connections.connect(node(address))
            return str(caught.value)

    said = asyncio.run(trying(), debug=True)
    gc.collect()  # a task or a future that nobody awaited would complain now, and warnings are errors
    assert said.endswith(".")
    assert "\n" not in said
    return said


def ran(reachable, *argv, **options):
    """The answer of one command."""
    options = {"timeout": 20, "limit": 100_000} | options

    async def running():
        async with reachable() as (_, connections), await connections.connect(node()) as connection:
            return await connection.run(argv, **options)

    return asyncio.run(running())


def test_a_command_gets_its_words_and_its_input_as_they_are(reachable):
    answer = ran(reachable, "sh", "-c", 'printf "[%s]" "$@"; cat; echo oops >&2; exit 3', "sh", "$(id)", "a b", "'", "",
                 stdin=b"\x00\xff\n")
    assert answer.stdout == b"[$(id)][a b]['][]\x00\xff\n"
    assert (answer.rc, answer.stderr, answer.truncated) == (3, b"oops\n", False)


def test_a_signal_is_told_as_a_shell_tells_it(reachable):
    assert ran(reachable, "sh", "-c", "kill -9 $$").rc == 137


def test_of_a_flood_its_start_and_its_end_are_kept(reachable):
    answer = ran(reachable, "sh", "-c", "echo first; head -c 3000000 /dev/zero; echo last", limit=1000)
    assert answer.truncated
    assert len(answer.stdout) == 1000
    assert answer.stdout.startswith(b"first\n")
    assert answer.stdout.endswith(b"last\n")


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("size", [0, 1, 3, 7, 9, 40])
@pytest.mark.parametrize("piece", [1, 3, 50])
def test_what_is_kept_is_never_more_than_the_limit(limit, size, piece):
    data = bytes(range(size))
    kept = Kept(limit)
    for start in range(0, size, piece):
        kept.add(data[start : start + piece])
        assert len(kept.head) + len(kept.tail) <= 3 * limit
    expected = data if size <= limit else data[: limit // 2] + data[size - (limit - limit // 2) :]
    assert kept.bytes() == expected
    assert kept.truncated == (size > limit)


def test_a_command_that_hangs_times_out_and_the_connection_lives(reachable):
    async def trying():
        async with reachable() as (_, connections), await connections.connect(node()) as connection:
            with pytest.raises(NodeTimeoutError, match=r"`sleep 60` did not end within 0\.3 s; it may still run there"):
                await connection.run(["sleep", "60"], timeout=0.3, limit=10)
            return await connection.run(["echo", "alive"], timeout=20, limit=10)

    assert asyncio.run(trying()).stdout == b"alive\n"


def test_a_daemon_that_holds_the_output_open_is_not_waited_for(reachable, monkeypatch):
    monkeypatch.setattr("fleet.ssh.LINGER", 0.2)

    class Lingering(asyncssh.SSHServerSession):
        """Sends an exit status and never closes: what OpenSSH does while a daemon holds the pipe."""

        def connection_made(self, chan):
            self.chan = chan

        def exec_requested(self, command):
            return True

        def session_started(self):
            self.chan.write(b"started\n")
            self.chan._send_request(b"exit-status", (0).to_bytes(4, "big"))

    class Door(asyncssh.SSHServer):
        def session_requested(self):
            return Lingering()

    async def trying():
        async with reachable(server_factory=Door, process_factory=None) as (_, connections):
            connection = await connections.connect(node())
            async with connection:
                return await connection.run(["x"], timeout=20, limit=100)

    answer = asyncio.run(trying())
    assert (answer.rc, answer.stdout) == (0, b"started\n")


def test_a_connection_that_breaks_is_a_sentence(reachable):
    async def trying():
        async with reachable() as (server, connections), await connections.connect(node()) as connection:
            running = asyncio.create_task(connection.run(["sleep", "60"], timeout=20, limit=10))
            await server.started.wait()
            server.connections[0].abort()
            with pytest.raises(NodeError, match="connection broke while `sleep 60` ran, which may still run there"):
                await running
            with pytest.raises(NodeError, match="`true` was not run"):
                await connection.run(["true"], timeout=20, limit=10)

    asyncio.run(trying())


def test_an_unknown_host_key_is_refused_and_said_how_to_learn(reachable, home):
    said = refused(reachable, known=False)
    assert "is not known, it is ssh-ed25519 SHA256:" in said
    assert "ssh-keyscan -p " in said
    assert f"127.0.0.1 >> {home}/.ssh/known_hosts" in said


@pytest.mark.parametrize(("kind", "says"), [
    ("ssh-ed25519", "has changed, it is now ssh-ed25519 SHA256:"),
    ("ecdsa-sha2-nistp256", "has no host key of a kind that"),
])
def test_a_changed_host_key_is_refused(reachable, home, kind, says):
    def prepare(server):
        (home / ".ssh/known_hosts").write_text(server.line(asyncssh.generate_private_key(kind)))

    said = refused(reachable, prepare=prepare, known=False)
    assert says in said
    assert "ssh-keygen -R [127.0.0.1]:" in said


def test_a_revoked_host_key_is_refused(reachable, home):
    def prepare(server):
        (home / ".ssh/known_hosts").write_text(f"{server.line()}@revoked {server.line()}")

    assert "is marked @revoked in" in refused(reachable, prepare=prepare, known=False)


@pytest.mark.parametrize("files", ["none", "/dev/null", "~/.ssh/other"])
def test_ssh_config_cannot_switch_the_check_off(reachable, home, files):
    config = home / "config"
    config.write_text(f"Host *\nStrictHostKeyChecking no\nUserKnownHostsFile {files}\n")
    assert "is not known" in refused(reachable, settings={"config": config})


def test_hashed_names_and_unreadable_lines_in_known_hosts(reachable, home):
    def prepare(server):
        lines = home / ".ssh/known_hosts"
        lines.write_text(server.line())
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", lines], check=True, capture_output=True)
        lines.write_text(f"what is this\n@no line\n{lines.read_text()}")

    assert reached(reachable, prepare=prepare, known=False) == b"reached\n"


def reached(reachable, address="127.0.0.1", **how) -> bytes:
    """What a command printed."""

    async def trying():
        async with reachable(**how) as (_, connections), await connections.connect(node(address)) as connection:
            return (await connection.run(["echo", "reached"], timeout=20, limit=100)).stdout

    return asyncio.run(trying(), debug=True)


def test_a_login_that_is_refused_names_user_and_keys(reachable, home):
    asyncssh.generate_private_key("ssh-ed25519").write_public_key(home / "authorized_keys")
    said = refused(reachable)
    assert "refuses the login of ops" in said
    assert f"tried {home}/.ssh/id_ed25519)" in said


def test_a_key_that_wants_a_passphrase_is_not_asked_for(reachable, home):
    lock(home / ".ssh/id_ed25519")
    said = refused(reachable)
    assert f"{home}/.ssh/id_ed25519 was not tried: it wants a passphrase" in said
    assert "ssh-add" in said
    with pytest.raises(SettingsError, match=r"wants a passphrase.*ssh-add; none is running here"):
        refused(reachable, settings={"identity_file": home / ".ssh/id_ed25519"})


def lock(key: Path) -> None:
    """Put a passphrase on a private key."""
    asyncssh.read_private_key(key).write_private_key(key, "pkcs8-pem", passphrase="secret")


def test_an_agent_is_asked_for_such_a_key(reachable, home, monkeypatch):
    if not shutil.which("ssh-agent"):
        pytest.skip("OpenSSH's agent is not installed")
    key = home / ".ssh/id_ed25519"
    key.chmod(0o600)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", home / "agent"], stdout=subprocess.PIPE, text=True)
    try:
        agent.stdout.readline()  # it listens once it has said where
        monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
        subprocess.run(["ssh-add", "-q", key], check=True, stdin=subprocess.DEVNULL, capture_output=True)
        lock(key)
        assert reached(reachable, settings={"identity_file": key}) == b"reached\n"
        assert reached(reachable) == b"reached\n"
    finally:
        agent.terminate()
        agent.communicate()


def test_a_certificate_logs_in(reachable, home):
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.read_private_key(home / ".ssh/id_ed25519")
    signed = authority.generate_user_certificate(key, "ops", principals=[USER])
    signed.write_certificate(home / ".ssh/id_ed25519-cert.pub")
    (home / "authorized_keys").write_text(f"cert-authority {authority.export_public_key().decode()}")
    assert reached(reachable) == b"reached\n"


def test_ssh_config_is_honoured(reachable, home):
    config, other = home / "config", home / "other_known_hosts"
    (home / ".ssh/id_ed25519").rename(home / "elsewhere")

    def prepare(server):
        config.write_text(
            f"Host web9\n HostName 127.0.0.1\n Port {server.port}\n User {USER}\n IdentityFile {home}/elsewhere\n"
            f" UserKnownHostsFile {other}\n"
        )
        other.write_text(server.line())

    config.write_text("")
    how = {"config": config, "user": None, "port": None}
    assert reached(reachable, "web9", prepare=prepare, known=False, settings=how) == b"reached\n"


def test_a_broken_ssh_config_ends_the_command_before_any_node(reachable, home):
    (home / ".ssh/config").write_text("Host *\n Port many\n")
    with pytest.raises(SettingsError, match=r"\.ssh/config line 2: Invalid Port integer value: many; mend it"):
        refused(reachable)


def test_one_gateway_connection_serves_all_and_is_checked_too(reachable, home):
    async def trying(prepare):
        gate = home / "gate"
        gate.mkdir(exist_ok=True)
        async with reachable() as (server, _), reachable.server(gate).listening(
            authorized_client_keys=str(server.authorized)
        ) as gateway:
            prepare(server, gateway)
            through = jumps_of(f"127.0.0.1:{gateway.port}", "--ssh-gateway")
            settings = SshSettings(USER, port=server.port, gateway=through)
            async with Connections(settings) as connections:
                made = await asyncio.gather(*(connections.connect(node()) for _ in range(5)))
                for one in made:
                    async with one:
                        assert ((await one.run(["echo", "x"], timeout=20, limit=10)).stdout, one.peer) == (b"x\n", None)
                gateway.connections[0].abort()  # it dies; the next connection makes another
                await gateway.connections[0].wait_closed()
                async with await connections.connect(node()):
                    return len(gateway.connections), len(server.connections)

    def both(server, gateway):
        (home / ".ssh/known_hosts").write_text(server.line() + gateway.line())

    assert asyncio.run(trying(both), debug=True) == (2, 6)
    with pytest.raises(UnreachableError, match=r"^the gateway 127\.0\.0\.1 cannot be used: the host key .* not known"):
        asyncio.run(trying(lambda server, gateway: None))


def test_gateways_in_a_circle_are_said(reachable, home):
    config = home / "config"
    config.write_text("Host a 127.0.0.1\n ProxyJump b\nHost b\n ProxyJump a\n")
    assert "through itself" in refused(reachable, settings={"config": config})


@pytest.mark.parametrize(("first", "says"), [
    (b"HTTP/1.0 400 no\r\n\r\n" * 40, "closed during the login"), (b"", "closed during the login"),
    (None, "no SSH login within 0.5 s"),
])
def test_what_is_no_sshd_is_a_sentence(reachable, first, says):
    async def trying():
        answered = asyncio.Event()

        async def answer(reader, writer):
            if first is None:
                await reader.read()
            else:
                await reader.readline()
                writer.write(first)
            writer.close()
            await writer.wait_closed()
            answered.set()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        settings = SshSettings(port=server.sockets[0].getsockname()[1], connect_timeout=0.5)
        async with server, Connections(settings) as connections:
            with pytest.raises(UnreachableError, match=says):
                await connections.connect(node())
            await answered.wait()

    asyncio.run(trying(), debug=True)
    gc.collect()


def test_nobody_there_is_a_sentence(reachable):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        said = refused(reachable, settings={"port": unused.getsockname()[1]})
    assert "connection refused" in said
    assert "does not resolve" in refused(reachable, "no-such-host.invalid")


@pytest.mark.parametrize("address", ["-oProxyCommand=id", "$(id)", "", "a b", "fe80::1%$(id)"])
def test_an_address_that_is_none_is_refused_with_the_node_named(reachable, address):
    said = refused(reachable, address)
    assert said.startswith(f"web1 has {address!r} for an address")
    assert "nothing was connected to" in said


def test_keys_are_loaded_once_and_not_by_the_loop(reachable, monkeypatch):
    loaded = []
    real = asyncssh.load_keypairs
    monkeypatch.setattr(
        "fleet.ssh_route.asyncssh.load_keypairs", lambda *a: loaded.append(threading.current_thread()) or real(*a)
    )

    async def trying():
        async with reachable() as (_, connections):
            for connection in await asyncio.gather(*(connections.connect(node()) for _ in range(5))):
                async with connection:
                    pass

    asyncio.run(trying())
    assert len([thread for thread in loaded if thread is threading.main_thread()]) == 0
    assert len(loaded) == len(IDENTITIES)


@pytest.mark.parametrize(("script", "says"), [
    ("echo 'sudo: a password is required' >&2; exit 1", "wants a password.*NOPASSWD for ALL, or give --ssh-user root"),
    ("echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1", "wants a terminal: take requiretty out"),
    ("echo 'ops is not in the sudoers file.' >&2; exit 1", "its sudo refuses .ops is not in the sudoers file"),
    ("echo 'sudo: /etc/sudoers is world writable' >&2; exit 1", "its sudo refuses .sudo: /etc/sudoers is world"),
    (None, "there is no sudo on it"),
])
def test_a_sudo_that_refuses_is_a_sentence(reachable, tmp_path, script, says):
    """A script in sudo's place says what sudo says: this machine may have none."""
    with pytest.raises(NodeError, match=says):
        under_sudo(reachable, tmp_path / "tools", script, ["echo", "x"])


def test_a_command_that_fails_under_sudo_is_not_sudos_refusal(reachable, tmp_path):
    script = 'echo "sudo: unable to resolve host web1" >&2; shift 2; exec "$@"'
    answer = under_sudo(reachable, tmp_path / "tools", script, ["sh", "-c", "echo no such file >&2; exit 1"])
    assert (answer.rc, answer.stderr) == (1, b"sudo: unable to resolve host web1\nno such file\n")


def test_under_sudo_a_command_answers_as_ever(reachable, tmp_path):
    script = 'echo "$*" >&2; [ "$1 $2" = "-n --" ] || exit 9; shift 2; exec "$@"'
    answer = under_sudo(reachable, tmp_path / "tools", script, ["sh", "-c", "cat; echo 'sudo: not me'; exit 1"])
    assert (answer.rc, answer.stdout) == (1, b"inputsudo: not me\n")


def under_sudo(reachable, tools, script, argv):
    tools.mkdir()
    for name in ("sh", "env", "cat", "echo"):
        (tools / name).symlink_to(shutil.which(name))
    if script:
        (tools / "sudo").write_text(f"#!/bin/sh\n{script}\n")
        (tools / "sudo").chmod(0o755)

    async def trying():
        async with reachable() as (server, connections):
            server.path = str(tools)
            async with await connections.connect(node()) as connection:
                return await connection.run(argv, stdin=b"input", timeout=20, limit=1000, sudo=True)

    return asyncio.run(trying())
