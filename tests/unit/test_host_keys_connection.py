"""--host-keys chef on connections to a real SSH server: who is believed, who is not, and what is written down."""

import asyncio

import asyncssh
import pytest

from fleet.errors import UnreachableError
from fleet.node import Node
from fleet.ssh import Connections, SshSettings
from fleet.ssh_settings import jumps_of

OTHER = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def ours(home, monkeypatch):
    """Where our known_hosts stands."""
    monkeypatch.setenv("STYPTIC_STATE", str(home / "state" / "journal.db"))
    return home / "state" / "known_hosts"


def said_by(*keys, **more) -> Node:
    """A node on the loopback that reported these keys."""
    reported = {f"host_{kind(key)}_public": base(key) for key in keys}
    return Node("web1", "production", "127.0.0.1", host_keys=reported, **more)


def kind(key) -> str:
    return {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key.get_algorithm(), "ecdsa")


def base(key) -> str:
    return key.export_public_key().decode().split()[1]


def print_of(key) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def connected(reachable, node_of, known=False, host_keys=True, **how) -> str | None:
    """Connect to the node that `node_of` makes of the server; return the sentence it ends with, None where it stands.
    """

    async def trying():
        async with reachable(known=known, settings={"host_keys": host_keys}, **how) as (server, connections):
            try:
                async with await connections.connect(node_of(server)):
                    return None
            except UnreachableError as error:
                return str(error)

    return asyncio.run(trying(), debug=True)


def honest(server) -> Node:
    return said_by(server.host_key)


def test_a_host_that_nobody_knows_is_known_by_what_its_node_reported(reachable, ours):
    lines = []
    assert connected(reachable, honest, prepare=lambda server: lines.append(server.line())) is None
    assert ours.read_text() == lines[0].strip() + " web1\n"


@pytest.mark.parametrize("how", [{"algorithm": "ssh-rsa", "key_size": 2048}, {"algorithm": "ecdsa-sha2-nistp521"}])
def test_so_is_one_with_a_key_of_another_kind(reachable, ours, how):
    key = asyncssh.generate_private_key(how.pop("algorithm"), **how)
    assert connected(reachable, lambda server: said_by(OTHER, key), server_host_keys=[OTHER, key]) is None
    assert connected(reachable, lambda server: said_by(key), server_host_keys=[key]) is None
    assert connected(reachable, lambda server: said_by(key), server_host_keys=[OTHER, key]) is None
    assert [line.split()[1] for line in ours.read_text().splitlines()].count(key.get_algorithm()) == 3


def test_without_the_flag_nobodys_word_counts_and_our_file_is_not_read(reachable, ours):
    assert "is not known, it is ssh-ed25519 SHA256:" in connected(reachable, honest, host_keys=False)
    assert not ours.exists()

    def prepare(server):
        ours.parent.mkdir()
        ours.write_text(server.line())

    said = connected(reachable, honest, host_keys=False, prepare=prepare)
    assert "is not known" in said
    assert "reported" not in said
    assert connected(reachable, lambda server: said_by(), prepare=lambda server: ours.write_text(server.line())) is None


def test_the_key_in_our_file_stays_whatever_is_reported_now(reachable, ours):
    lines = []

    def prepare(server):
        ours.parent.mkdir()
        ours.write_text(server.line(OTHER))
        lines.append((server.line(OTHER), server.port, print_of(server.host_key)))

    said = connected(reachable, honest, prepare=prepare)
    line, port, shown = lines[0]
    assert said == (
        f"the host key of 127.0.0.1 has changed, it is now {shown} (as web1 reported it too), and {ours} holds "
        f"{print_of(OTHER)}: find out on the host whether that is its key, then ssh-keygen -f {ours} -R "
        f"[127.0.0.1]:{port}, and the next run takes the one that is reported."
    )
    assert ours.read_text() == line


@pytest.mark.parametrize(("marker", "says"), [
    ("", f"(as web1 reported it too), and {{}} holds {print_of(OTHER)}: find out"),
    ("@cert-authority ", "has no host key of a kind that {} holds for it"),
])
def test_what_the_users_own_file_says_of_a_host_stays(reachable, ours, home, marker, says):
    file = home / ".ssh/known_hosts"
    said = connected(reachable, honest, prepare=lambda server: file.write_text(marker + server.line(OTHER)))
    assert says.format(file) in said
    assert "ssh-keygen -R [127.0.0.1]:" in said
    assert not ours.exists()


def test_the_users_own_file_is_enough_whatever_is_reported(reachable, ours):
    assert connected(reachable, lambda server: said_by(OTHER), known=True) is None
    assert not ours.exists()


@pytest.mark.parametrize(("node_of", "says"), [
    (lambda server: said_by(OTHER), f"and web1 reported {print_of(OTHER)} to the Chef server: compare it with"),
    (lambda server: said_by(), "and web1 reported none to the Chef server (keys.ssh, which ohai finds out when chef-"),
    (lambda server: said_by(server.host_key, rivals=("web\x1b2",)),
     "and what web1 reported is not taken, because web?2 has the same address on the Chef server: compare it with"),
])
def test_nothing_else_is_taken_for_the_hosts_key(reachable, ours, node_of, says):
    said = connected(reachable, node_of)
    assert says in said
    assert "is not known, it is ssh-ed25519 SHA256:" in said
    assert "ssh-keyscan -p " in said
    assert not ours.exists()


def test_a_host_without_a_key_of_a_reported_kind(reachable, ours):
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    said = connected(reachable, lambda server: said_by(key))
    assert f"no host key of a kind that it should have, web1 reported {print_of(key)} to the Chef server: see" in said
    assert not ours.exists()


@pytest.mark.parametrize("whole", [False, True])
def test_a_key_that_is_revoked_is_not_taken(reachable, ours, home, whole):
    file = home / ".ssh/known_hosts"

    def prepare(server):
        host, key = server.line().split(" ", 1)
        file.write_text(f"@revoked {host if whole else '*'} {key}")

    assert "is marked @revoked in" in connected(reachable, honest, prepare=prepare)
    assert not ours.exists()


def test_what_cannot_be_written_down_is_not_believed(reachable, ours, home):
    (home / "state").symlink_to(home / "nowhere" / "at" / "all")  # no right stands in root's way, who may run this
    assert f"the host keys in {ours} cannot be written" in connected(reachable, honest)


def test_a_key_that_another_run_wrote_down_meanwhile_wins(reachable, ours, monkeypatch):
    def prepare(server):
        line, mkdir = server.line(OTHER), ours.parent.mkdir
        mkdir()

        async def add(self, entry):
            self.path.write_text(line)
            self.write([entry])

        monkeypatch.setattr("fleet.known_hosts.OurHosts.add", add)

    said = connected(reachable, honest, prepare=prepare)
    assert f"and {ours} has another since a moment ago, {print_of(OTHER)}" in said


def test_through_a_gateway_it_is_the_nodes_own_key(reachable, home, ours):
    async def trying():
        (home / "gate").mkdir()
        async with reachable(known=False) as (server, _), reachable.server(home / "gate").listening(
            authorized_client_keys=str(server.authorized)
        ) as gateway:
            (home / ".ssh/known_hosts").write_text(gateway.line())
            through = jumps_of(f"127.0.0.1:{gateway.port}", "--ssh-gateway")
            settings = SshSettings("ops", port=server.port, gateway=through, host_keys=True)
            async with Connections(settings) as connections, await connections.connect(honest(server)) as connection:
                assert connection.peer is None
            (home / ".ssh/known_hosts").unlink()
            async with Connections(settings) as connections:
                with pytest.raises(UnreachableError, match=r"^the gateway .* the host key of .* is not known"):
                    await connections.connect(honest(server))
            return server.line()

    line = asyncio.run(trying(), debug=True)
    assert ours.read_text() == line.strip() + " web1\n"
