"""A client that asks a TLS service over kept-alive connections at a steady rate, and counts what it did not get."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

PATIENCE = 10  # seconds that an answer may take


@dataclass
class Count:
    """What came of the requests so far.

    `asked` requests were made and `answered` of them with a status below 500; `again` is how many of these were asked
    a second time, over a new connection, because the service had closed the idle one (RFC 9112, 9.3.1 lets a client do
    that); `failed` says why each of the others was not answered; `slowest` is the longest answer in seconds.
    """

    asked: int = 0
    answered: int = 0
    again: int = 0
    slowest: float = 0.0
    failed: list[str] = field(default_factory=list)


class Steady:
    """Asks `connections` connections for / on a port of an address, each `rate` times a second; a context manager.

    Whoever enters it has an answer on every connection; whoever leaves it has the whole `count`. The certificate is
    not looked at: the lab's are self-signed. Raises OSError where a connection cannot be had to begin with.
    """

    def __init__(self, address: str, port: int, connections: int = 5, rate: float = 10) -> None:
        self.count = Count()
        self._address, self._port, self._pause = address, port, 1 / rate
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._over = threading.Event()
        self._counted = threading.Condition()
        self._threads = [threading.Thread(target=self._ask_on, args=(number / connections,), daemon=True)
                         for number in range(connections)]
        self._begun = threading.Barrier(connections + 1)

    def __enter__(self) -> "Steady":
        with contextlib.closing(self._connection()) as first:
            first.connect()
        for thread in self._threads:
            thread.start()
        self._begun.wait(PATIENCE)
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait(self, requests: int, timeout: float = 30) -> bool:
        """Wait until so many requests were made; False if that took longer than `timeout` seconds."""
        with self._counted:
            return self._counted.wait_for(lambda: self.count.asked >= requests, timeout)

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, self._port, timeout=PATIENCE, context=self._context)

    def _ask_on(self, share: float) -> None:
        """Ask over one connection, or the next one after it, until it is over; `share` of a pause later than others."""
        connection = self._connection()
        connection, count = self._ask(connection)
        self._add(count)
        self._begun.wait(PATIENCE)
        due = time.monotonic() + share * self._pause
        while not self._over.wait(max(0, due - time.monotonic())):
            connection, count = self._ask(connection)
            self._add(count)
            due += self._pause
        connection.close()

    def _ask(self, connection: http.client.HTTPSConnection) -> tuple[http.client.HTTPSConnection, Count]:
        """Ask once, over this connection or a new one in its place; return the one to go on with, and the count."""
        began, kept = time.monotonic(), connection.sock is not None
        count = Count(asked=1)
        try:
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                if not kept:
                    raise
                count.again = 1
                connection.close()
                connection = self._connection()
                connection.request("GET", "/")
                answer = connection.getresponse()
            answer.read()
            if answer.status >= 500:
                raise http.client.HTTPException(f"status {answer.status}")
            count.answered = 1
        except (OSError, http.client.HTTPException) as error:
            count.failed.append(f"{type(error).__name__}: {error}")
            count.again = 0
            connection.close()
            connection = self._connection()
        count.slowest = time.monotonic() - began
        return connection, count

    def _add(self, more: Count) -> None:
        with self._counted:
            self.count.asked += more.asked
            self.count.answered += more.answered
            self.count.again += more.again
            self.count.failed += more.failed
            self.count.slowest = max(self.count.slowest, more.slowest)
            self._counted.notify_all()


@contextlib.contextmanager
def half_asked(address: str, port: int):
    """Hold a TLS connection with a request that has no end."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (socket.create_connection((address, port), timeout=10) as plain,
          context.wrap_socket(plain, server_hostname=address) as held):
        held.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n")
        yield
