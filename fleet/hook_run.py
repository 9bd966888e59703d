"""One hook, run for one node: on this machine without a shell, or on the node over a connection."""

import os
import re

from fleet import look, program
from fleet.errors import HookError, NodeError
from fleet.hooks import CHECKOUT, NODE, Hook
from fleet.node import Node
from fleet.redact import redacted
from fleet.ssh_settings import is_address
from fleet.text import clean, last_lines
from generator.shell import join

LIMIT = 20_000  # bytes kept of what one prints
GRACE = 15  # seconds on top for timeout(1), which is to end it on the node
ENDED = 124  # timeout(1): the time was up
# Chef's own rules for a node's and an environment's name (Chef::Node, Chef::Environment), but no hyphen to begin with:
# a hook must not take a name for an option.
NODE_NAME = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:-]*", re.ASCII)
ENVIRONMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)

# $1 is its time in seconds, the rest its words. timeout(1) is in coreutils since 7.0, and ends what it started, too.
ON_NODE = f"""
PATH=$PATH:{look.PATHS}
export PATH
seconds=$1
shift
exec timeout "$seconds" "$@" 2>&1 </dev/null
"""


def words(hook: Hook, node: Node) -> list[str]:
    """Return a hook's command line for a node: the configured words, then the node's name and its address.

    Raises HookError for a name or an address that a program could take for something else; without an address the word
    is empty.
    """
    address = (node.address or "").strip()
    if not NODE_NAME.fullmatch(node.name) or (address and not is_address(address)):
        said = f"{clean(node.name, 100)!r} at {clean(address, 100)!r}"
        raise HookError(f"the {hook.step} hook is not given {said}: that is no name and address of a node")
    return [*hook.run, node.name, address]


def variables(hook: Hook, node: Node, run: str) -> dict[str, str]:
    """Return what a hook finds in its environment. Raises HookError for a Chef environment that cannot be one's name.
    """
    if not ENVIRONMENT.fullmatch(node.environment):
        raise HookError(f"the {hook.step} hook is not given {clean(node.environment, 100)!r} for an environment")
    return {
        "STYPTIC_NODE": node.name, "STYPTIC_ADDRESS": (node.address or "").strip(),
        "STYPTIC_ENVIRONMENT": node.environment, "STYPTIC_RUN": run, "STYPTIC_STEP": hook.step,
    }


def by_hand(hook: Hook, node: Node, run: str) -> str:
    """Return the command by which a person has a hook do its work: for a shell, with every word quoted."""
    settings = " ".join(f"{name}={join([value])}" for name, value in variables(hook, node, run).items())
    place = f"on {node.name}: " if hook.where == NODE else ""
    return f"{place}{settings} {join(words(hook, node))}"


async def run(hook: Hook, node: Node, run: str, connection=None, sudo: bool = False) -> None:
    """Run a hook for a node to its end; `connection` is to the node, for a hook that runs there, as root with `sudo`.

    Raises HookError where it did not start, ended with another code than 0, or had to be ended.
    """
    line, found = words(hook, node), variables(hook, node, run)
    if hook.where == NODE:
        await _there(hook, line, found, connection, sudo)
        return
    try:
        done = await program.run(line, {**os.environ, **found}, CHECKOUT, hook.timeout, LIMIT)
    except OSError as error:
        raise HookError(f"the {hook.step} hook {clean(line[0])} did not start: {error.strerror}") from error
    _judge(hook, done.rc, done.output, done.ended)


async def _there(hook: Hook, line: list[str], found: dict[str, str], connection, sudo: bool) -> None:
    argv = ["env", *(f"{name}={value}" for name, value in found.items()),
            "sh", "-c", ON_NODE, "sh", str(hook.timeout), *line]
    try:
        answer = await connection.run(argv, timeout=hook.timeout + GRACE, limit=LIMIT, sudo=sudo)
    except NodeError as error:
        raise HookError(f"the {hook.step} hook on the node: {str(error).rstrip('.')}") from error
    _judge(hook, answer.rc, answer.stdout or answer.stderr, answer.rc == ENDED)


def _judge(hook: Hook, code: int | None, output: bytes, ended: bool) -> None:
    if code == 0 and not ended:
        return
    late = "was ended" if code is not None else "could not be ended and may still run"
    how = f"did not end within {hook.timeout} s and {late}" if ended else f"ended with {code}"
    said = redacted(last_lines(output, 3)) or "it said nothing"
    raise HookError(f"the {hook.step} hook {how}: {said}")
