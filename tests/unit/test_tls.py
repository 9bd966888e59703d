"""Who answers TLS: tls.sh in every shell there is here, on a recorded /proc, with real servers to ask."""

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from generator import tls
from generator.errors import ProbeError

SHELLS = [shell for shell in (["dash"], ["bash"], ["busybox", "sh"], ["bash", "--posix"]) if shutil.which(shell[0])]
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here to ask with")


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request):
    return request.param


def listening(family=socket.AF_INET, address="127.0.0.1"):
    door = socket.socket(family)
    door.bind((address, 0))
    door.listen(16)
    return door, door.getsockname()[1]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    return path


@pytest.fixture
def answering(certificate):
    """Start TLS servers; give it a socket that listens."""
    doors = []

    def start(door, client_certificate=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if client_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.load_verify_locations(certificate)

        def serve():
            while True:
                try:
                    caller, _ = door.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(caller, server_side=True) as wrapped:
                        wrapped.recv(1)
                except OSError:
                    pass
                finally:
                    caller.close()

        thread = threading.Thread(target=serve)
        thread.start()
        doors.append((door, thread))

    yield start
    for door, thread in doors:
        door.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        door.close()


class Tree:
    """A recorded /proc: tables of listeners, and processes with their maps and sockets."""

    HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

    def __init__(self, root: Path):
        self.root = root
        (root / "net").mkdir()
        self.tables = {"tcp": [], "tcp6": []}
        self.inode = 1000

    def listener(self, address: str, port: int, pid: int | None = None, table="tcp", state="0A", uid=0):
        self.inode += 1
        self.tables[table].append(
            f"   0: {address}:{port:04X} {'0' * len(address)}:0000 {state} 00000000:00000000 00:00000000 00000000"
            f" {uid:5}        0 {self.inode} 1 0000000000000000 100 0 0 10 0\n"
        )
        for name, rows in self.tables.items():
            (self.root / "net" / name).write_text(self.HEAD + "".join(rows))
        if pid is not None:
            (self.root / str(pid) / "fd" / str(self.inode)).symlink_to(f"socket:[{self.inode}]")

    def process(self, pid: int, library: str):
        (self.root / str(pid) / "fd").mkdir(parents=True)
        (self.root / str(pid) / "maps").write_text(f"7f00-7f01 r-xp 00000000 08:01 42    {library}\n")
        (self.root / str(pid) / "fd/0").symlink_to("/dev/null")


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


LOOPBACK = "0100007F" if sys.byteorder == "little" else "7F000001"
LIBRARY = "/usr/lib/x86_64-linux-gnu/libssl.so.3"


def asked(shell, tree=None, ports=(), **environment):
    """What tls.sh prints."""
    environment = os.environ | environment | ({"PROC_ROOT": str(tree.root)} if tree else {})
    done = subprocess.run(
        [*shell, "-s"], input=tls.command(ports), capture_output=True, text=True, env=environment, timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@needs_openssl
def test_only_who_holds_libssl_and_answers_is_told(shell, tree, answering):
    door, port = listening()
    answering(door)
    other, other_port = listening()
    answering(other)
    dead, dead_port = listening()
    dead.close()
    tree.process(1, LIBRARY)
    tree.process(2, "/usr/lib/libc.so.6")
    tree.process(3, "/usr/lib/libssl.so.1.0.0 (deleted)")
    tree.listener(LOOPBACK, port, 1)
    tree.listener(LOOPBACK, port, 3)
    tree.listener(LOOPBACK, other_port, 2)
    tree.listener(LOOPBACK, dead_port, 3)
    tree.listener(LOOPBACK, other_port, 1, state="01")  # a connection, not a listener
    for pid in (1, 3):
        (tree.root / str(pid) / "comm").write_text("nginx\n")
    assert asked(shell, tree) == f"styptic-tls 3\ntls\t127.0.0.1\t{port}\t127.0.0.1\tnginx\nend\n"


@needs_openssl
def test_a_users_own_listeners_are_left_out(shell, tree, answering):
    """They come and go, and a crowd of them must not hide a service."""
    door, port = listening()
    answering(door)
    other, other_port = listening()
    answering(other)
    tree.process(1, LIBRARY)
    tree.listener(LOOPBACK, port, 1, uid=110)
    tree.listener(LOOPBACK, other_port, 1, uid=1000)
    assert tls.parse(asked(shell, tree)) == (port,)


@needs_openssl
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_asks_as_nobody(shell, tree):
    door, port = listening()
    askers = []

    def look():
        caller, (_, theirs) = door.accept()
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        pair = (f":{theirs:04X}", f":{port:04X}")
        askers.extend(row[7] for row in rows if (row[1][-5:], row[2][-5:]) == pair)
        caller.close()

    thread = threading.Thread(target=look)
    thread.start()
    tree.process(1, LIBRARY)
    tree.listener(LOOPBACK, port, 1)
    assert tls.parse(asked(shell, tree)) == ()
    thread.join(10)
    door.close()
    assert askers == [str(pwd.getpwnam("nobody").pw_uid)]


@needs_openssl
def test_ports_are_asked_whoever_listens(shell, tree, answering):
    door, port = listening()
    answering(door)
    tree.listener("00000000", port)
    tree.listener("00000000", 9)
    assert tls.parse(asked(shell, tree, [port, 9])) == (port,)
    assert tls.parse(asked(shell, tree, [9])) == ()


@needs_openssl
def test_a_server_that_wants_a_clients_certificate_answers(shell, tree, answering):
    door, port = listening()
    answering(door, client_certificate=True)
    tree.listener(LOOPBACK, port)
    assert tls.parse(asked(shell, tree, [port])) == (port,)


@needs_openssl
@pytest.mark.parametrize("address", ["0" * 32, "0" * 24 + "01000000"])
def test_ipv6_is_asked(shell, tree, answering, address):
    try:
        door, port = listening(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    answering(door)
    tree.listener(address, port, table="tcp6")
    assert tls.parse(asked(shell, tree, [port])) == (port,)


@needs_openssl
def test_an_ipv4_listener_in_the_table_of_ipv6_is_asked(shell, tree, answering):
    door, port = listening()
    answering(door)
    tree.listener("0000000000000000FFFF00000100007F", port, table="tcp6")
    assert asked(shell, tree, [port]) == f"styptic-tls 3\ntls\t127.0.0.1\t{port}\t127.0.0.1\t\nend\n"


@needs_openssl
def test_who_says_nothing_is_not_waited_for(shell, tree):
    doors = [listening() for _ in range(3)]
    for _, port in doors:
        tree.listener(LOOPBACK, port)
    clock = time.monotonic()
    assert tls.parse(asked(shell, tree, [port for _, port in doors], TLS_LIMIT="1")) == ()
    assert time.monotonic() - clock < 3, "they are asked at once"
    for door, _ in doors:
        door.close()


@needs_openssl
def test_no_more_than_fifty_are_asked(shell, tree):
    for port in range(2000, 2060):
        tree.listener(LOOPBACK, port)
    counted = tls.command(range(2000, 2060)).replace("openssl s_client", "echo asked >&2; false")
    done = subprocess.run(
        [*shell, "-s"], input=counted.replace("2>/dev/null", ""), capture_output=True, text=True, check=True,
        env=os.environ | {"PROC_ROOT": str(tree.root)}, timeout=60,
    )
    assert done.stderr.count("asked") == 50
    assert tls.found(done.stdout) == tls.Found(left=10)


@needs_openssl
def test_every_port_is_asked_whoever_listens_and_whether_on_the_loopback_alone(shell, tree, answering):
    """Who holds an OpenSSL within themselves maps no libssl."""
    door, port = listening()
    answering(door)
    wide, wide_port = listening()
    answering(wide)
    tree.process(1, "/usr/bin/node")
    tree.listener(LOOPBACK, port, 1, uid=1000)
    tree.listener("00000000", wide_port)
    assert tls.parse(asked(shell, tree)) == ()
    found = tls.found(asked(shell, tree, tls.EVERY))
    assert set(found.listeners) == {tls.Listener(port, True), tls.Listener(wide_port, False)}


def test_without_openssl_nothing_answers(shell, tree, tmp_path_factory):
    tree.listener(LOOPBACK, 443)
    program = tls.command([443]).replace("command -v openssl", "command -v no-such-openssl")
    done = subprocess.run(
        [*shell, "-s"], input=program, capture_output=True, text=True, check=True, timeout=60,
        env=os.environ | {"PROC_ROOT": str(tree.root)},
    )
    assert done.stdout == "styptic-tls 3\nmute\nend\n"
    assert tls.found(done.stdout) == tls.Found(mute=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees every process")
def test_this_machine_gives_a_whole_answer(shell):
    assert isinstance(tls.parse(asked(shell)), tuple)


def test_the_linter_is_content():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    for script in (tls.SCRIPT, tls.SCRIPT.parents[1] / "tests/infra/run"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("answer", [
    "", "end\n", "styptic-tls 3\n", "styptic-tls 3\ntls\t127.0.0.1\t443\t*\t\n",
    "styptic-tls 3\ntls\t::1\t0\t*\t\nend\n",
    "styptic-tls 3\ntls\t443\nend\n", "styptic-tls 3\nsorry\nend\n", "styptic-tls 3\ntls\tx\t65536\t*\t\nend",
    "styptic-tls 3\ntls\tx\t4²\t*\t\nend", "styptic-tls 3\ntls\t127.0.0.1\t443\t*\nend", "styptic-tls 3\nleft\tx\nend",
    f"styptic-tls 3\ntls\tx\t{'4' * 5000}\t*\t\nend", f"styptic-tls 3\nleft\t{'4' * 5000}\nend",
    "styptic-tls 3\ntls\tx\t443\tthe door\t\nend", "styptic-tls 2\ntls\t127.0.0.1\t443\t*\t\nend",
    "styptic-tls 3\ntls\tx\t443\t*\tits name\nend",
])
def test_an_answer_that_is_not_whole_is_refused(answer):
    with pytest.raises(ProbeError):
        tls.parse(answer)


def test_what_a_login_prints_first_is_passed_over():
    said = ["[::1]\t8443\t[::1]\tnginx", "10.0.0.1\t443\t10.0.0.1\t", "[::1]\t443\t*\t"]
    answer = "\n".join(["Welcome", tls.FIRST, *(f"tls\t{each}" for each in said), tls.LAST])
    assert tls.parse(answer) == (443, 8443)
    assert tls.found(answer).listeners == (tls.Listener(443, False), tls.Listener(8443, True))
    assert tls.found(answer).whose == {8443: "nginx"}


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_no_port_is_made_up(port):
    with pytest.raises(ValueError, match="no TCP port"):
        tls.command([443, port])
