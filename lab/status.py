"""What a person wants to know of a lab that is up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from fleet.text import clean
from lab.host import LabError
from lab.lab import Lab
from lab.node import LabNode

HEAD = ("NODE", "ADDRESS", "ENVIRONMENT", "BASE", "INIT", "OPENSSL")
QUERY = r"""
if command -v dpkg-query >/dev/null; then
    dpkg-query --show --showformat '${Package}=${Version} ' openssl 'libssl1.*' 'libssl3*' 2>/dev/null
else
    rpm -q --qf '%{NAME}=%{VERSION}-%{RELEASE} ' openssl
fi
"""


def table(lab: Lab) -> Iterator[str]:
    """Yield aligned lines: a head, then one a node with the OpenSSL packages it has, or that it is off."""
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda node: openssl(lab, node), lab.nodes.values())
    rows = [HEAD, *((node.name, node.address, node.environment, node.base, node.init, said)
                    for node, said in zip(lab.nodes.values(), found, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def openssl(lab: Lab, node: LabNode) -> str:
    """Return a node's OpenSSL packages in a line, asked past SSH; or that it is off."""
    try:
        return clean(lab.exec(node.name, ["sh", "-c", QUERY], capture_output=True, text=True).stdout.strip(), 200)
    except LabError:
        return "(off)"
