"""What changes a node: chef-client, on its own or in local mode, or the script in its place; started on it, or found
there, and waited for, and its result read."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet import converge, detached, local_mode, via_shell
from fleet.converge import Result
from fleet.detached import Stage, Standing
from fleet.errors import NodeError
from fleet.standby import Standby
from fleet.text import last_lines

if TYPE_CHECKING:
    from fleet.trip import Trip

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
CUT_OFF = {
    Stage.CUT: "the machine went down while {program} ran on it",
    Stage.KILLED: "{program} was started on it and ended without an exit code: it was killed, or its disk is full",
    Stage.NOTHING: "{program} was started on it, and it knows nothing of that any more",
}


@dataclass(frozen=True, slots=True)
class Change:
    """How what changed a node ended: its exit code, the end of its output, and the result of this run, if it left one.

    `code` is None where it was cut off, and `cut` then says how, in words. `rebooted` is whether the node was since it
    ended: what it said to owe a reboot has had one, and the node itself says what it still owes.
    """

    code: int | None
    output: bytes
    result: Result | None
    cut: str | None = None
    rebooted: bool = False

    @property
    def failed(self) -> bool:
        """True where it says itself that it did not do its work, or did not come to its end."""
        return self.code not in {0} | REBOOT_OWED

    @property
    def owes_reboot(self) -> bool:
        """True where chef-client says that a reboot is owed."""
        return self.code in REBOOT_OWED and not self.rebooted

    def why(self, program: str) -> str:
        """Why it failed, in its own words as far as it has any."""
        if self.cut:
            return self.cut
        said = (self.result.error if self.result else None) or last_lines(self.output) or "it said nothing"
        return f"{program} ended with {self.code}: {said}"

    def remedy(self, script: bytes | None) -> str:
        """What a person does about it where it failed."""
        if self.cut:
            return "see that it is up and its package database is in order, then patch again"
        return via_shell.TODO if script else REMEDIES.get(
            self.code, "read chef-client's log on it, mend what it names, then patch again"
        )


def program(script: bytes | None) -> str:
    """Return what is told of as the one that changes a node; `script` is fleet.via_shell's, None for chef-client."""
    return via_shell.NAME if script else "chef-client"


def words(trip: "Trip") -> tuple[list[str], bytes]:
    """Return the command that changes a trip's node, and what it reads.

    That is never nothing: a connection that broke before it came whole would look as one that brought it, and a start
    that a node notices the end of later would begin a second time.
    """
    patcher, settings, node = trip.patcher, trip.patcher.settings, trip.node
    if patcher.script:
        return via_shell.words(node.name, settings.run_lock_timeout), patcher.script
    if local_mode.wanted(node, settings):
        return local_mode.command(node.name, settings.run_lock_timeout), patcher.cookbook
    return converge.command(settings.run_lock_timeout, settings.full_run), b"\n"


def hung(trip: "Trip") -> str:
    """Return what a person does about a node whose time was over in the step it is in."""
    longer = "--timeout gives it longer" if trip.patcher.settings.step_timeout is None else (
        "--timeout and --step-timeout give it longer"
    )
    if not trip.outcome.converged:
        return f"log in and see what hangs, then patch again; {longer}"
    return f"see its log, {detached.log(trip.patcher.run)} on it; `invoke patch --resume` finds it again; {longer}"


async def run(trip: "Trip", connection) -> Change:
    """Have a trip's node changed, and return how that ended.

    It goes on by itself: a connection that breaks meanwhile is made anew until the trip's time is over. Raises
    NodeError where nothing was started, and says so in the trip's outcome, or where the node's answers make no sense.
    """
    trip.ended = None
    async with Standby(trip, connection) as standby:
        found = await standby.start(*words(trip))
        if found.stage is Stage.BUSY:
            trip.outcome.converged = False
            trip.outcome.todo = "wait until that has ended (its log is on the node), then patch again"
            whose = f"the run {found.said}" if found.said else "another run"
            raise NodeError(
                f"{whose} still has its converge going on there, after {trip.patcher.settings.run_lock_timeout} s"
            )
        if found.stage is Stage.REFUSED:
            trip.outcome.converged = False
            trip.outcome.todo = "mend that on it, then patch again"
            raise NodeError(f"{trip.patcher.program} could not be started: {found.said}")
        return await read(trip, standby, found)


async def attach(trip: "Trip", connection) -> Change:
    """Wait for the converge that this run began on a trip's node earlier, and return how it ended, as run() does.

    Whether there is one is for fleet.detached.find to tell.
    """
    trip.outcome.converged = True
    trip.step("wait for its converge", log=detached.log(trip.patcher.run))
    async with Standby(trip, connection) as standby:
        return await read(trip, standby, await standby.over())


async def read(trip: "Trip", standby: Standby, found: Standing) -> Change:
    """Return how a converge ended, with the result that it left."""
    script, name = trip.patcher.script, trip.node.name
    trip.ended = found.code
    failed = found.code not in {0} | REBOOT_OWED  # only then is its output kept: it can show what others configure
    trip.step("read the result", exit_code=found.code, output=last_lines(found.log, 20) if failed else None)
    if found.stage is not Stage.ENDED:
        cut = CUT_OFF[found.stage].format(program=trip.patcher.program)
        return Change(None, found.log, None, f"{cut} (its log: {detached.log(trip.patcher.run)})")
    answer = await standby.read(["cat", converge.RESULT])
    if answer.rc != 0 or answer.truncated:
        return Change(found.code, found.log, None)
    result = converge.result_of(answer.stdout)
    code = via_shell.code(found.code, result) if script else found.code
    if found.rebooted:
        result = replace(result, reboot=())
    return Change(code, found.log, result if result.node == name else None, rebooted=found.rebooted)
