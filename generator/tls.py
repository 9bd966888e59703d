"""Who answers TLS on a node: the text of tls.sh for its shell, and what its answer means."""

from collections.abc import Sequence
from pathlib import Path

from generator.errors import ProbeError
from generator.shell import quote

SCRIPT = Path(__file__).with_name("tls.sh")
FIRST, LAST = "styptic-tls 1", "end"


def command(ports: Sequence[int] = ()) -> str:
    """Return a program for `sh -s` or `sh -c`, for root, that tries a TLS handshake and changes nothing.

    With `ports` on what listens there, otherwise on whatever a process that holds libssl listens on (at most 50).
    Raises ValueError for what is no TCP port.
    """
    if wrong := [port for port in ports if not 0 < int(port) < 65536]:
        raise ValueError(f"{wrong[0]} is no TCP port")
    chosen = " ".join(str(int(port)) for port in ports)
    return (f"TLS_PORTS={quote(chosen)}\n" if ports else "") + SCRIPT.read_text()


def parse(text: str) -> tuple[int, ...]:
    """Return the ports that answered a TLS handshake, sorted. Raises ProbeError for an answer that is not whole."""
    lines = text.splitlines()
    if FIRST not in lines or lines[-1] != LAST:
        raise ProbeError("the node did not say which of its ports answer TLS.")
    found = set()
    for line in lines[lines.index(FIRST) + 1 : -1]:
        word, *fields = line.split("\t")
        if word != "tls" or len(fields) != 2 or not fields[1].isdecimal() or not 0 < int(fields[1]) < 65536:
            raise ProbeError(f"the node answered with a line of no known form: {line[:100]!r}")
        found.add(int(fields[1]))
    return tuple(sorted(found))
