"""A node's power and its cable, cut and given back from outside, whatever the node is at.

What a node has written stays on its disk, the overlay; its memory, its /run and its connections go with the power.
"""

import contextlib
import os
import select
from collections.abc import Iterator

from lab import cgroups, events, inside, network
from lab.host import LabError
from lab.node import LabNode


def process_of(node: LabNode) -> int:
    """Return the machine's number of the node's first process. Raises LabError for a node that is off."""
    with contextlib.suppress(FileNotFoundError):
        pid = int((node.identity / "pid").read_text())
        if cgroups.holds(node.name, pid):
            return pid
    raise LabError(f"{node.name} is off: `invoke lab.on --node {node.name}` boots it again, lab.reset makes it new.")


def is_on(node: LabNode) -> bool:
    """True for a node that runs, whether or not it answers."""
    try:
        process_of(node)
    except LabError:
        return False
    return True


def off(holder: int, node: LabNode) -> None:
    """Cut the power at once: nothing on the node is told. Does nothing to a node that is off. Raises LabError.

    `holder` is the lab's holder's process id, here and below.
    """
    network.take_away(holder, node.address)  # first, or the kernel would end its connections in good order
    cgroups.remove(cgroups.top() / node.name)
    (node.identity / "pid").unlink(missing_ok=True)


def on(holder: int, node: LabNode, repository: str) -> None:
    """Boot a node as its disk is, and wait until it answers. Raises LabError for a node that is on."""
    if is_on(node):
        raise LabError(f"{node.name} is on already.")
    off(holder, node)  # what a node leaves that went down by itself
    inside.ask(holder, "power", [node], repository=repository)


@contextlib.contextmanager
def rebooting(node: LabNode) -> Iterator[None]:
    """Have the node reboot within the block; at its end wait until it has gone down and answers. Raises LabError."""
    descriptor = os.pidfd_open(process_of(node))
    with os.fdopen(descriptor):
        yield
        if not select.select([descriptor], [], [], events.LIMIT)[0]:
            raise LabError(f"{node.name} did not go down within {events.LIMIT:.0f} s.")
    inside.booted(node)
