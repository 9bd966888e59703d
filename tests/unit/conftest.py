"""What the unit tests share: a key, and real servers on the loopback: one for HTTP that answers as a test tells it to,
and asyncssh's own for SSH, which runs real commands.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import asyncssh
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fleet.chef.config import ChefConfig
from fleet.chef.server import ChefServer
from fleet.journal import Journal
from fleet.ssh import Connections, SshSettings
from tests.chef_nodes import ChefNodes


@pytest.fixture(autouse=True, scope="session")
def umask():
    """Files of the tests are nobody else's to write, whatever the umask of who runs them: settings must not be."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True, scope="session")
def authorities():
    """Trust no authority but those that a test names: this machine's are not the tests', and take 40 ms to be read."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", os.devnull)
        patched.setenv("SSL_CERT_DIR", os.devnull)
        yield


@dataclass(frozen=True)
class Answer:
    """One answer; `status` 0 closes the connection without one, -1 sends nothing until the server goes down."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict = field(default_factory=lambda: {"Content-Type": "application/json"})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart, and the client would wait 40 ms with its ACK

    def handle_one_request(self):
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(Request(self.command, self.path, dict(self.headers), body))
        answer = self.server.answer(self.server.requests[-1])
        if answer.status <= 0:
            if answer.status < 0:
                self.server.over.wait()
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in {"Date": formatdate(usegmt=True), **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


@dataclass(frozen=True)
class Request:
    """One request as it came in; `headers` as they were sent."""

    method: str
    path: str
    headers: dict
    body: bytes


class Server(ThreadingHTTPServer):
    """Answers by `answer(request)`; `requests` are those that came, `url` is where it listens."""

    daemon_threads = True
    block_on_close = True
    address_family = socket.AF_INET

    def __init__(self, answer: Callable[[Request], Answer]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.requests, self.over = answer, [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A client that went away is what some tests are about."""


@pytest.fixture
def serve():
    """Return a function that starts a Server: of the answers given, in turn, the last for ever, or of a function."""
    with ExitStack() as running:

        def start(*answers, context=None) -> Server:
            left = list(answers)
            one = answers[0] if callable(answers[0]) else lambda _: left.pop(0) if len(left) > 1 else left[0]
            server = running.enter_context(Server(one))
            if context is not None:
                server.socket = context.wrap_socket(server.socket, server_side=True)
                server.url = server.url.replace("http:", "https:")
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            running.callback(thread.join)
            running.callback(server.shutdown)
            running.callback(server.over.set)
            return server

        yield start


@pytest.fixture(scope="session")
def pem() -> str:
    """Return an RSA key as PEM; a short one, because one of 2048 bits is checked for 40 ms each time it is loaded."""
    return rsa_pem(1024)


@pytest.fixture(scope="session")
def long_pem() -> str:
    """Return an RSA key of a Chef key's usual length as PEM: the older protocols encrypt more than `pem` could."""
    return rsa_pem(2048)


def rsa_pem(bits: int) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def journal(tmp_path):
    """Return a new journal in which the run r1 has begun."""
    with Journal(tmp_path / "journal.db") as journal:
        journal.begin("r1", {}, datetime.now(UTC))
        yield journal


@pytest.fixture
def there(answer):
    """Return what a Chef server holds of its nodes: none yet."""
    return ChefNodes(answer)


@pytest.fixture
def chef(serve, there, pem):
    """Return a connection to that server."""
    with ChefServer(ChefConfig(serve(there).url, "ops", pem), pause=lambda _: None) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return a self-signed certificate for 127.0.0.1, which is no authority and has few extensions."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "127_0_0_1.crt"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    path.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def answer():
    """Return the class of answers, which test modules cannot import from here."""
    return Answer


class SshServer:
    """An SSH server with one host key, that lets the keys in `authorized` in and runs what it is told by sh."""

    def __init__(self, home: Path):
        self.home = home
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.authorized = home / "authorized_keys"
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.path = os.environ["PATH"]
        self.started = asyncio.Event()  # a command was

    @contextlib.asynccontextmanager
    async def listening(self, **options):
        server = self

        class Door(asyncssh.SSHServer):
            def connection_made(self, conn):
                server.connections.append(conn)

            def connection_requested(self, *_):
                return True  # a gateway too

        usual = {
            "server_factory": Door, "process_factory": self.serve, "server_host_keys": [self.host_key],
            "authorized_client_keys": str(self.authorized), "encoding": None,
        }
        listener = await asyncssh.listen("127.0.0.1", 0, **usual | options)
        self.port = listener.get_port()
        try:
            yield self
        finally:
            listener.close()
            for connection in self.connections:
                connection.abort()
            await listener.wait_closed()

    async def serve(self, process):
        child = await asyncio.create_subprocess_exec(
            "sh", "-c", process.command, env=os.environ | {"PATH": self.path}, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )

        self.started.set()

        async def pump(source, sink):
            with contextlib.suppress(OSError, asyncssh.Error):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()

        feeding = asyncio.create_task(pump(process.stdin, child.stdin))
        feeding.add_done_callback(lambda _: child.stdin.close())
        try:
            await asyncio.gather(pump(child.stdout, process.stdout), pump(child.stderr, process.stderr))
            code = await child.wait()
            if code < 0:
                process.exit_with_signal({9: "KILL", 15: "TERM"}[-code])
            else:
                process.exit(code)
        finally:
            feeding.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 9)
            await child.wait()

    def line(self, key=None, host="127.0.0.1") -> str:
        key = (key or self.host_key).export_public_key().decode()
        return f"[{host}]:{self.port} {key}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="the key of these tests")
    key.write_private_key(tmp_path / ".ssh/id_ed25519")
    key.write_public_key(tmp_path / ".ssh/id_ed25519.pub")
    key.write_public_key(tmp_path / "authorized_keys")
    return tmp_path


@pytest.fixture
def reachable(home):
    """Return an async context manager that gives a running SshServer and the Connections that reach it."""

    @contextlib.asynccontextmanager
    async def reaching(known=True, settings=None, prepare=lambda server: None, **options):
        """A server, and connections whose known_hosts holds its key; `prepare` is called in between."""
        async with SshServer(home).listening(**options) as server:
            if known:
                (home / ".ssh/known_hosts").write_text(server.line())
            prepare(server)
            settings = {"user": "ops", "port": server.port, "connect_timeout": 10} | (settings or {})
            async with Connections(SshSettings(**settings)) as connections:
                yield server, connections

    reaching.server = SshServer
    return reaching
