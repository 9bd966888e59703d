"""Waiting for what is meant: a port that answers, a banner; never for a time to pass."""

import socket
import time

from lab.host import LabError

LIMIT = 60.0  # seconds after which what does not come is not coming
RETRY = 0.02  # a refused connection tells at once, and nothing tells when it would no longer be refused


def wait_port(address: str, port: int, greeting: bytes = b"") -> None:
    """Return once `address` takes a connection on `port` and, if asked, its first bytes are the greeting.

    Raises LabError after LIMIT seconds.
    """
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            with socket.create_connection((address, port), timeout=5) as connection:
                if not greeting or connection.recv(len(greeting)) == greeting:
                    return
        except OSError:
            pass
        time.sleep(RETRY)
    raise LabError(f"nothing answers on {address} port {port} after {LIMIT:.0f} s; the lab's logs may say why.")
