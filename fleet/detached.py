"""The converge on a node in a session of its own: it survives the connection that started it, and is found again.

A run keeps three things under STATE, which only root may enter: its log, how its converge ended, and for as long as
that goes on a lock. So whether it runs is whether the lock is held, and to wait for it is to wait for the lock: nothing
polls, and nothing here ever ends what was started, because that may be in the middle of a package transaction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleet import look
from fleet.converge import STATE
from fleet.errors import NodeError
from fleet.text import clean, last_lines

TAIL = 65_536  # bytes of the log's end that are told; look.BOUND has room for them
SHORT = 60  # seconds for a question that waits for nothing

# $1 is the directory, $2 the run's name, $3 how many seconds to wait for the converge's end.
HEAD = rf"""
LC_ALL=C PATH=$PATH:{look.PATHS}
export LC_ALL PATH
state=$1 run=$2 seconds=$3
say() {{ printf 'styptic-converge 1 %s\n' "$*"; }}
boot_id() {{ cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo -; }}

# How this run's converge stands, in $stands. Whose the lock is comes first: whoever has just ended wrote down how.
see() {{
    holder='' code='' boot=''
    flock -n -s "$state/converge.lock" true 2>/dev/null || holder=$(head -n 1 "$state/converge.lock" 2>/dev/null)
    stands=nothing
    [ -e "$state/$run.end" ] || return 0
    read -r code boot <"$state/$run.end"
    case $code in
        [0-9][0-9][0-9])
            stands="ended $code"
            [ "${{boot:--}}" = - ] || [ "$boot" = "$(boot_id)" ] || stands="$stands rebooted"
            ;;
        *)
            stands=killed
            [ "$boot" = "$(boot_id)" ] || stands='cut'
            [ "$holder" != "$run" ] || stands=running
            ;;
    esac
}}
await() {{ flock -s -w "$seconds" "$state/converge.lock" true; }}
tell() {{
    see
    # shellcheck disable=SC2086 # words
    say $stands
    [ "$stands" = nothing ] || tail -c {TAIL} "$state/$run.log"
}}
"""

# $4 is whom to wait for: "own", this run's converge; "any", whichever goes on.
ASK = HEAD + r"""
see
if [ "$seconds" -gt 0 ] && { [ "$4" = any ] || [ "$stands" = running ]; }; then await; fi
tell
exit 0
"""

# $4 is how many bytes come by standard input, $5 ENTER, $6 SUPERVISE; then the words of the program. What comes is kept
# in a file, so that a program which reads it does not need the connection. The file that will hold the exit code is
# full-sized before anything runs: it takes no room on a disk that is full by then.
START = HEAD + r"""
bytes=$4 enter=$5 supervise=$6
shift 6
mask=$(umask)
umask 077
refuse() {
    rm -f "$input"
    say "refused $*"
    exit 0
}
input=$state/$run.in.$$
for tool in flock setsid; do
    command -v $tool >/dev/null || refuse "there is no $tool on it, which is util-linux's"
done
if ! { mkdir -p "$state" && chmod 700 "$state" && cat >"$input"; }; then refuse "$state on it cannot be written"; fi
[ "$(wc -c <"$input")" -eq "$bytes" ] || refuse 'what is to run there did not arrive whole'
exec 9>>"$state/converge.lock"
if ! flock -w 1 9; then
    rm -f "$input"
    say busy "$(head -n 1 "$state/converge.lock")"
    exit 0
fi
printf '%s\n' "$run" >"$state/converge.lock"
[ ! -e "$state/$run.log" ] || mv -f "$state/$run.log" "$state/$run.log.before"
: >"$state/$run.log"
if ! printf '... %s\n' "$(boot_id)" >"$state/$run.end"; then
    rm -f "$state/$run.end"
    refuse "$state on it cannot be written"
fi
# shellcheck disable=SC2012 # the names are ours
ls -t "$state"/*.end 2>/dev/null | sed 1,10d | while read -r old; do
    [ "$old" != "$state/$run.end" ] || continue # others may be of tomorrow, where the clock was set back
    rm -f "$old" "${old%.end}.log" "${old%.end}.log.before"
done
umask "$mask"
setsid sh -c "$enter" enter "$run" "$input" \
    sh -c "$supervise" supervise "$state/$run" "$input" "$@" </dev/null >/dev/null 2>&1 &
exec 9>&-
await
tell
exit 0
"""

# logind may be told to end what a login leaves (logind.conf(5), KillUserProcesses=), and a service manager ends what is
# left of a connection that is a unit of its own (sshd@.service). So where systemd runs, this leaves the login's control
# group for a scope, systemd-run(1). Whoever reads the input begins by removing it: where it still is, nothing began.
ENTER = r"""
run=$1 input=$2
shift 2
if [ -d /run/systemd/system ] && command -v systemd-run; then
    systemd-run --scope --description="Styptic $run" "$@"
    [ -e "$input" ] || exit 0
fi
exec "$@"
"""

# Holds the lock until its end; the program does not, nor do daemons that it starts. The log is a file and no pipe: a
# reader that ends, or a limit, would end a package transaction by SIGPIPE or SIGXFSZ. So it is cut once all is over.
SUPERVISE = r"""
place=$1 input=$2
shift 2
exec <"$input" >>"$place.log" 2>&1
rm -f "$input"
"$@" 9>&-
code=$?
if [ "$(wc -c <"$place.log")" -gt 1000000 ]; then
    (umask 077 && tail -c 1000000 "$place.log" >"$place.cut" && mv -f "$place.cut" "$place.log") || rm -f "$place.cut"
fi
printf %03d "$code" 1<>"$place.end"
"""


class Stage(StrEnum):
    """How a run's converge stands on a node.

    NOTHING: it never began one. RUNNING. ENDED: with an exit code. CUT: the machine went down in it. KILLED: what
    waited for its exit code there is no more. BUSY, REFUSED: the answers to a start that began nothing.
    """

    NOTHING = "nothing"
    RUNNING = "running"
    ENDED = "ended"
    CUT = "cut"
    KILLED = "killed"
    BUSY = "busy"
    REFUSED = "refused"


SAID = re.compile(
    rb"^styptic-converge 1 (?:(nothing|running|cut|killed)|(ended) ([0-9]{3})( rebooted)?"
    rb"|(busy) ?([A-Za-z0-9-]{0,60})|(refused) ([^\n]{1,300}))\n", re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a node says of a run's converge: `code` is its exit code where it ENDED, `log` the end of its output.

    `rebooted` is whether the node was since it ENDED.
    `said` is whose converge goes on where it is BUSY ("" where that is not known), and why not where it is REFUSED.
    """

    stage: Stage
    code: int | None = None
    said: str = ""
    log: bytes = b""
    rebooted: bool = False


def log(run: str) -> str:
    """Return where a run's log stands on a node."""
    return f"{STATE}/{run}.log"


def start(run: str, argv: Sequence[str], size: int, seconds: int) -> list[str]:
    """Return the command that starts a program of these words for a run, as root, and waits for its end.

    `size` is how many bytes come by standard input, which the program finds in its own; `seconds` is how long it waits.
    """
    return ["sh", "-c", START, "sh", STATE, run, str(seconds), str(size), ENTER, SUPERVISE, *argv]


def ask(run: str, seconds: int = 0, anybodys: bool = False) -> list[str]:
    """Return the command that tells how a run's converge stands, once it has ended or `seconds` are over.

    With `anybodys` it waits for whichever converge goes on.
    """
    return ["sh", "-c", ASK, "sh", STATE, run, str(seconds), "any" if anybodys else "own"]


def parse(answer) -> Standing:
    """Return what a node answered (fleet.ssh.Answer) to start() or ask(). Raises NodeError where that is no answer."""
    found = SAID.search(answer.stdout)
    if answer.truncated or not found:
        why = last_lines(answer.stderr or answer.stdout, 2) or "nothing"
        raise NodeError(f"it does not tell how its converge stands: {why}")
    stage = Stage((found[1] or found[2] or found[5] or found[7]).decode())
    said = clean((found[6] or found[8] or b"").decode(errors="replace"))
    if stage is Stage.REFUSED and (why := last_lines(answer.stderr, 1)):
        said = f"{said} ({why})"
    code = int(found[3]) if found[3] else None
    return Standing(stage, code, said, answer.stdout[found.end():], rebooted=bool(found[4]))


async def find(connection, run: str, sudo: bool) -> Standing:
    """Ask a node over a connection (fleet.ssh's) how a run's converge stands there. Raises NodeError."""
    return parse(await connection.run(ask(run), timeout=SHORT, limit=look.BOUND, sudo=sudo))
