"""A front before the Chef server, on the controller's side: it relays what it is asked, until a test says otherwise.

What it relays is a real server's answer to a real request; a rule may keep one back, make another of it, or give an
earlier one again. It signs nothing and checks nothing: the server behind it does.
"""

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab import goiardi, network

OURS = ("content-length", "transfer-encoding", "connection", "keep-alive")  # headers that are about one connection
LIMIT = 60  # seconds for the server behind


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its headers by name, its body."""

    status: int
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    body: bytes = b""


#: What is done with a request ("GET /search/node?q=..."): gets it, and what asks the server behind; returns the answer,
#: None to hang up without one. It runs in a thread of its own and may wait.
Rule = Callable[[str, Callable[[], Reply]], Reply | None]


def relay(_: str, ask: Callable[[], Reply]) -> Reply:
    """The rule that there is at first: the server's own answer."""
    return ask()


class Front:
    """A context manager: listens in its block, on the lab's cable, where the nodes reach it too.

    `url` is its address, `asked` has every request, `rule` what becomes of each from now on. `behind` is the server's
    URL. Raises OSError where it cannot listen.
    """

    def __init__(self, behind: str = goiardi.URL, address: str = network.MACHINE):
        self.behind = behind.partition("//")[2]
        self.place = (address, 0)
        self.asked: list[str] = []
        self.rule: Rule = relay
        self.server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its address, also while it is down."""
        return "http://{}:{}".format(*self.place)

    def __enter__(self) -> "Front":
        self.up()
        return self

    def __exit__(self, *_) -> None:
        self.down()

    def up(self) -> None:
        """Listen, after down() again at the same port; relay all."""
        self.rule = relay
        self.server = _Server(self.place, self._handler())
        self.place = self.server.server_address
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse every connection from now on, and hang up on those that stand once they ask for something."""
        server, self.server = self.server, None
        self.rule = lambda *_: None
        if server:
            server.shutdown()
            server.server_close()

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply | None:
        """Return what the server behind answers, None where it does not."""
        connection = http.client.HTTPConnection(self.behind, timeout=LIMIT)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            named = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in OURS)
            return Reply(answer.status, named, answer.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                asked = f"{self.command} {self.path}"
                front.asked.append(asked)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in OURS}
                reply = front.rule(asked, lambda: front.ask(self.command, self.path, headers, body))
                if reply is None:
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, *_) -> None:
                """Stay silent: `asked` tells."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a rule may be what waits for it

    def handle_error(self, request, client_address) -> None:
        """Say nothing of a caller that went first, which is a test's own doing."""
