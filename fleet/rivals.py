"""Nodes that claim one address, of which at most one tells the truth."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from fleet.node import Node


def one_spelling(address: str) -> str:
    """Return an address as every other spelling of it is returned too: names in lower case, IPv6 in RFC 5952's form.

    An IPv4 address that is written as one of IPv6 (RFC 4291, 2.5.5.2) is connected to as IPv4, and so it is one.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address.lower()
    return str(getattr(found, "ipv4_mapped", None) or found)


def named(nodes: Iterable[Node]) -> list[Node]:
    """Return these nodes, each with the others that claim its address as Node.rivals."""
    nodes = list(nodes)
    claims = defaultdict(list)
    for node in nodes:
        if node.address:
            claims[one_spelling(node.address.strip())].append(node.name)
    return [
        replace(node, rivals=tuple(name for name in claimed if name != node.name))
        if node.address and len(claimed := claims[one_spelling(node.address.strip())]) > 1 else node
        for node in nodes
    ]
