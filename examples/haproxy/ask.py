"""Ask HAProxy's runtime API one thing and print its answer: ask.py /run/haproxy/admin.sock|HOST:PORT QUESTION"""

import socket
import sys

SECONDS = 5


def talk(place: str) -> socket.socket:
    """Return a connection to a UNIX socket by its path, or to a TCP one."""
    if place.startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(SECONDS)
        made.connect(place)
        return made
    host, _, port = place.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), SECONDS)


try:
    with talk(sys.argv[1]) as connection, connection.makefile(errors="replace") as answer:
        connection.sendall(sys.argv[2].encode() + b"\n")
        sys.stdout.write(answer.read(1_000_000))
except (OSError, ValueError, IndexError) as error:
    sys.exit(f"{sys.argv[1] if sys.argv[1:] else __doc__}: {error}")
