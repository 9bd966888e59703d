"""Who answers TLS on a node: the text of tls.sh for its shell, and what its answer means."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import ProbeError
from generator.shell import quote

SCRIPT = Path(__file__).with_name("tls.sh")
FIRST, LAST = "styptic-tls 3", "end"
EVERY = "*"
WHO = re.compile(r"[A-Za-z0-9_.@-]{0,64}")


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener that answered a TLS handshake: its port, and whether it is bound to the loopback alone.

    `who` is what its process calls itself, empty where that is not known.
    """

    port: int
    loopback: bool
    who: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """Who answered on a node, sorted; how many listeners were not asked; whether none could be, for want of openssl."""

    listeners: tuple[Listener, ...] = ()
    left: int = 0
    mute: bool = False

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that answered, sorted."""
        return tuple(sorted({listener.port for listener in self.listeners}))

    @property
    def whose(self) -> dict[int, str]:
        """Port to what its process calls itself, for those of which that is known."""
        return {listener.port: listener.who for listener in self.listeners if listener.who}


def command(ports: Sequence[int] | str = ()) -> str:
    """Return a program for `sh -s` or `sh -c`, for root, that tries a TLS handshake and changes nothing.

    With `ports` on what listens there (EVERY: on whatever listens, whoever it is), otherwise on whatever a process
    that holds libssl listens on; at most 50. Raises ValueError for what is no TCP port.
    """
    if ports != EVERY and (wrong := [port for port in ports if not 0 < int(port) < 65536]):
        raise ValueError(f"{wrong[0]} is no TCP port")
    chosen = EVERY if ports == EVERY else " ".join(str(int(port)) for port in ports)
    return (f"TLS_PORTS={quote(chosen)}\n" if ports else "") + SCRIPT.read_text()


def parse(text: str) -> tuple[int, ...]:
    """Return the ports that answered a TLS handshake, sorted. Raises ProbeError for an answer that is not whole."""
    return found(text).ports


def found(text: str) -> Found:
    """Return all that an answer says. Raises ProbeError for one that is not whole."""
    lines = text.splitlines()
    if FIRST not in lines or lines[-1] != LAST:
        raise ProbeError("the node did not say which of its ports answer TLS.")
    listeners, left, mute = set(), 0, False
    for line in lines[lines.index(FIRST) + 1 : -1]:
        match line.split("\t"):
            case ["tls", _, port, bound, who] if is_number(port) and 0 < int(port) < 65536 and WHO.fullmatch(who):
                listeners.add(Listener(int(port), loopback(bound), who))
            case ["left", number] if is_number(number):
                left = int(number)
            case ["mute"]:
                mute = True
            case _:
                raise ProbeError(f"the node answered with a line of no known form: {line[:100]!r}")
    return Found(tuple(sorted(listeners, key=lambda each: (each.port, each.loopback))), left, mute)


def is_number(text: str) -> bool:
    """Return whether this is a number of at most nine digits."""
    return text.isascii() and text.isdecimal() and len(text) < 10


def loopback(bound: str) -> bool:
    """Return whether an address of tls.sh's is the loopback's; raises ProbeError for what is no address."""
    if bound == "*":
        return False
    try:
        return ipaddress.ip_address(bound.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        raise ProbeError(f"the node bound a listener to {bound[:100]!r}, which is no address.") from None
