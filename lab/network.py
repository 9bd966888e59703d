"""The lab's network: a bridge in the holder's namespace, an address a node, and one cable to the machine.

The cable is a veth(4) pair. One end lies in the holder's network namespace, so the kernel takes the pair away when the
holder ends, and the machine's network is what it was.
"""

import ipaddress
import itertools
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from lab import host
from lab.host import LabError

NETWORK = ipaddress.ip_network("10.77.0.0/16")
CHEF = "10.77.0.1"  # the bridge itself, where the Chef server listens
MACHINE = "10.77.255.254"
CABLE = "styptic0"
BRIDGE = "br0"


def check_free() -> None:
    """Raise LabError, naming the route, if the machine reaches anything in the lab's network already."""
    for route in json.loads(host.run("ip", "-json", "-4", "route", "show", "table", "all") or "[]"):
        if route["dst"] == "default":
            continue
        network = ipaddress.ip_network(route["dst"], strict=False)
        if network.prefixlen > 1 and network.overlaps(NETWORK):  # /0 and /1 are default routes, whole or in halves
            where = f"{route['dst']} on {route.get('dev', 'no device')}"
            raise LabError(f"the lab's network {NETWORK} is in use on this machine ({where}): take that down first.")


def build_bridge() -> None:
    """Make the bridge, called in the holder's own network namespace. Raises LabError."""
    batch(
        "link set lo up",
        # Without an address of its own a bridge takes one of its ports', and another when that node goes.
        f"link add {BRIDGE} address {hardware_address(CHEF)} type bridge",
        f"addr add {CHEF}/{NETWORK.prefixlen} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    )


def lay_cable(holder: int) -> None:
    """Join the machine to the bridge in the network namespace of the process `holder`. Raises LabError."""
    batch(
        f"link add {CABLE} address {hardware_address(MACHINE)} type veth peer name machine netns /proc/{holder}/ns/net",
        f"link set {CABLE} addrgenmode none",
        f"addr add {MACHINE}/{NETWORK.prefixlen} dev {CABLE}",
        f"link set {CABLE} up",
    )
    host.run("nsenter", f"--net=/proc/{holder}/ns/net", "ip", "link", "set", "machine", "master", BRIDGE, "up")


def cut_cable() -> None:
    """Take the cable away now: the kernel would do it by itself, a moment after the holder's end."""
    if Path("/sys/class/net", CABLE).exists():
        subprocess.run(["ip", "link", "delete", CABLE], capture_output=True, check=False)


def take_away(holder: int, address: str) -> None:
    """Take a node's link away now, as the kernel would a moment after the node's end; does nothing twice."""
    on_bridge = ["nsenter", f"--net=/proc/{holder}/ns/net", "ip", "link", "delete", port_of(address)]
    subprocess.run(on_bridge, capture_output=True, check=False)


def plug(holder: int, address: str, up: bool) -> None:
    """Plug a node's cable into the bridge, or pull it: the node keeps its address and loses its carrier."""
    how = "up" if up else "down"
    host.run("nsenter", f"--net=/proc/{holder}/ns/net", "ip", "link", "set", port_of(address), how)


def port_of(address: str) -> str:
    """Return the name of the bridge's end of a node's link, see boot.sh."""
    return f"n{address}"


def free_address(taken: Iterable[str]) -> str:
    """Return the lowest address of the lab's network that no node has. Raises LabError when there is none."""
    reserved = {MACHINE, *taken}
    for address in map(str, itertools.islice(NETWORK.hosts(), 256, None)):  # from 10.77.1.1 on
        if address not in reserved:
            return address
    raise LabError("the lab's network has no address left.")


def hardware_address(address: str) -> str:
    """Return the Ethernet address that belongs to a node's address: it stays when the node is made anew."""
    return "02:4c:" + ":".join(f"{part:02x}" for part in ipaddress.ip_address(address).packed)


def batch(*lines: str) -> None:
    """Run several ip(8) commands as one. Raises LabError."""
    host.run("ip", "-batch", "-", given="\n".join(lines))
