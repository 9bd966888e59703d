"""A node without a working chef-client: the shell target (generator/targets.py) over SSH, in chef-client's place."""

from collections.abc import Sequence

from fleet import look
from fleet.converge import RESULT, Result
from generator import targets
from generator.targets import SCRIPT as NAME

#: What the script ends with where it did all it may and a person or an advisory is needed: its result tells which.
LEFT = frozenset({2, 4})
TODO = "see what it names, mend that, then patch again"

# The program comes by standard input and is read whole before any of it runs. What an earlier run left goes first, as
# with chef-client: what is there afterwards is this run's. $1 is the limit for locks in seconds.
START = rf"""
PATH=$PATH:{look.PATHS} OPENSSL_PATCH_LOCK_SECONDS=$1
export PATH OPENSSL_PATCH_LOCK_SECONDS
shift
rm -f {RESULT}
exec sh -s -- "$@" 2>&1
"""


def script(advisories: Sequence) -> bytes:
    """Return the program for these advisories. Raises RenderError."""
    return targets.shell(advisories)[NAME].encode()


def words(node: str, lock_seconds: int) -> list[str]:
    """Return the command that runs the program of its standard input on a node of this name, as root."""
    return ["sh", "-c", START, "sh", str(lock_seconds), "--node", node]


def code(ended: int, result: Result | None) -> int:
    """Return the script's exit code as chef-client has it: 0 for a run that left only what it may not touch."""
    return 0 if ended in LEFT and result is not None and result.status == "success" else ended
