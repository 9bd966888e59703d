"""What changes a node: chef-client, or the script in its place; started over a connection, its result read."""

from collections.abc import Callable
from dataclasses import dataclass

from fleet import converge, look, via_shell
from fleet.converge import Result
from fleet.node import Node
from fleet.settings import Settings
from fleet.text import last_lines

REBOOT_OWED = frozenset({35, 37})  # Chef RFC 62: a reboot is scheduled, or needed; the run itself succeeded
# Chef RFC 62 and chef/application/exit_code.rb; what each asks of a person.
REMEDIES = {
    41: "the reboot it wanted did not come about: reboot it, then patch again",
    43: "correct its client.rb, then patch again",
    127: "install chef-client on it (knife bootstrap), then patch again",
    172: "accept Chef's licence on it (chef-client --chef-license accept), then patch again",
    173: "Chef's licence could not be stored on it: accept it there, then patch again",
    174: "enter Chef's licence key on it, then patch again",
    213: "chef-client upgraded itself: patch again",
}
SHORT = 60  # seconds for a command that only reads


@dataclass(frozen=True, slots=True)
class Change:
    """How what changed a node ended: its exit code, the end of its output, and the result of this run, if it left one.
    """

    code: int
    output: bytes
    result: Result | None

    @property
    def failed(self) -> bool:
        """True where it says itself that it did not do its work."""
        return self.code not in {0} | REBOOT_OWED

    @property
    def owes_reboot(self) -> bool:
        """True where chef-client says that a reboot is owed."""
        return self.code in REBOOT_OWED

    @property
    def why(self) -> str:
        """Why it failed, in its own words."""
        return (self.result.error if self.result else None) or last_lines(self.output) or "it said nothing"

    def remedy(self, script: bytes | None) -> str:
        """What a person does about it where it failed."""
        return via_shell.TODO if script else REMEDIES.get(
            self.code, "read chef-client's log on it, mend what it names, then patch again"
        )


def program(script: bytes | None) -> str:
    """Return what is told of as the one that changes a node; `script` is fleet.via_shell's, None for chef-client."""
    return via_shell.NAME if script else "chef-client"


async def run(connection, node: Node, settings: Settings, script: bytes | None, step: Callable[..., None]) -> Change:
    """Run chef-client or the script on a node and return how it ended; `step` writes down a step before it is taken.

    Raises NodeError where it did not end in time, or the connection broke: it may run on there.
    """
    if script:
        arguments = via_shell.words(node.name, settings.run_lock_timeout)
    else:
        arguments = converge.command(settings.run_lock_timeout, settings.full_run)
    done = await connection.run(
        arguments, stdin=script or b"", timeout=settings.timeout, limit=look.BOUND, sudo=settings.sudo
    )
    failed = done.rc not in {0} | REBOOT_OWED  # only then is its output kept: it can show what others configure
    step("read the result", exit_code=done.rc, output=last_lines(done.stdout, 20) if failed else None)
    answer = await connection.run(["cat", converge.RESULT], timeout=SHORT, limit=look.BOUND, sudo=settings.sudo)
    if answer.rc != 0 or answer.truncated:
        return Change(done.rc, done.stdout, None)
    result = converge.result_of(answer.stdout)
    code = via_shell.code(done.rc, result) if script else done.rc
    return Change(code, done.stdout, result if result.node == node.name else None)
