"""One look at a node: who we are there, its clock, its chef-client, its OpenSSL packages and its stale processes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.errors import NodeError
from fleet.text import clean, last_lines
from generator import packages
from generator.errors import ProbeError

RESULT = "/var/lib/openssl_patch/result.json"  # written by the recipe, for root alone
OWN = "own"  # the kind of who asks, and of chef-client itself: no finding
BOUND = 1_000_000  # bytes read of any one answer
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/chef/bin:/opt/cinc/bin"

# Everything in one round trip. The probe comes last and ends with a line of its own: an answer cut short has none.
HEAD = (
    rf"""
LC_ALL=C PATH=$PATH:{PATHS}
export LC_ALL PATH
printf 'styptic-look 1\n'
printf 'uid\t%s\n' "$(id -u)"
printf 'clock\t%s\n' "$(date +%s)"
client=$(command -v chef-client || command -v cinc-client) && printf 'client\t%s\n' "$client"
"""
    + packages.SCRIPT
)

# Chef lets one run at a time into a node and waits for the lock (chef-client --run-lock-timeout). An override run list
# (-o) converges that recipe alone and saves no node. $1 is the lock's limit in seconds, $2 "full" for the run list.
CONVERGE = rf"""
LC_ALL=C.UTF-8 PATH=$PATH:{PATHS}
export LC_ALL PATH
client=$(command -v chef-client || command -v cinc-client) || exit 127
if [ "$2" = full ]; then
    exec "$client" --once --no-color --run-lock-timeout "$1" </dev/null 2>&1
fi
exec "$client" --once --no-color --run-lock-timeout "$1" -o 'recipe[openssl_patch]' </dev/null 2>&1
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a node said at one moment.

    `clock` is its own time in seconds since the epoch, `unread` how many processes could not be looked into.
    """

    uid: int
    clock: int
    client: str | None
    packages: dict[str, str]
    stale: tuple[dict, ...]
    unread: int

    @property
    def counted(self) -> tuple[dict, ...]:
        """The stale processes that keep a node from being good."""
        from generator.probe import COUNTED

        return tuple(process for process in self.stale if process["kind"] in COUNTED)


def script(libraries: Iterable[str] = ()) -> bytes:
    """Return the program for `sh -s` on the node; it changes nothing there. `libraries` are the advisories' own."""
    from generator import probe

    return HEAD.encode() + probe.command(libraries).encode()


def parse(answer: bytes, names: Iterable[str] = ()) -> Look:
    """Return what the node said; `names` are the only packages wanted (empty: every one that is OpenSSL).

    What stands before the answer (a banner, say) is passed over. Raises ProbeError for an answer that is not whole.
    """
    from generator import probe

    head, mark, rest = answer.decode(errors="replace").partition(probe.FIRST)
    lines = head.splitlines()
    if "styptic-look 1" not in lines or not mark:
        raise ProbeError(f"the node gave no whole answer: {last_lines(answer, 2) or 'nothing'}.")
    lines = lines[lines.index("styptic-look 1"):]
    said = dict(line.split("\t", 1) for line in lines if line.startswith(("uid\t", "clock\t", "client\t")))
    try:
        uid, clock = int(said["uid"]), int(said["clock"])
    except (KeyError, ValueError) as error:
        raise ProbeError("the node did not say its user and its clock.") from error
    found = probe.parse(mark + rest)
    stale = tuple(
        {
            "pid": each.pid, "kind": each.kind, "command": clean(each.command),
            "service": each.service and clean(each.service), "library": clean(each.library),
        }
        for each in found.stale if each.kind != OWN
    )
    return Look(uid, clock, said.get("client"), packages.parse(lines, names), stale, found.unread)


@dataclass(frozen=True, slots=True)
class Served:
    """What a node served before the converge, and must serve after it: ports that answered TLS, services that ran."""

    tls: tuple[int, ...] = ()
    services: tuple[str, ...] = ()


NOTHING = Served()


@dataclass(frozen=True, slots=True)
class Result:
    """What the recipe wrote down of one converge: see the cookbook's README for each field."""

    status: str
    error: str | None
    cookbook_version: str
    started: str
    stale_before: tuple[dict, ...]
    reloaded: tuple[str, ...]
    restarted: tuple[str, ...]
    reexecuted: bool
    not_touched: tuple[dict, ...]

    @property
    def actions(self) -> list[str]:
        """What the recipe did to services, in words."""
        return [
            *(f"reloaded {name}" for name in self.reloaded), *(f"restarted {name}" for name in self.restarted),
            *(["re-executed init"] if self.reexecuted else []),
        ]


def result_of(answer: bytes) -> Result:
    """Return the recipe's result, checked as what it is: something a node says. Raises NodeError."""
    try:
        found = json.loads(answer.decode(errors="replace"))
        if found["format"] != 1:
            raise ValueError(f"its format is {found['format']!r}")
        return Result(
            status=clean(str(found["status"]), 40),
            error=clean(str(found["error"]), 600) if found.get("error") else None,
            cookbook_version=clean(str(found["cookbook_version"]), 40),
            started=clean(str(found["started"]), 40),
            stale_before=tuple(process(each) for each in found["stale_before"][:10_000] if each["kind"] != OWN),
            reloaded=words(found["reloaded"]),
            restarted=words(found["restarted"]),
            reexecuted=found["reexecuted"] is True,
            not_touched=tuple(
                {"service": service_of(each), "command": clean(str(each["command"]))}
                for each in found["not_touched"][:1000]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise NodeError(f"{RESULT} on the node is not what the recipe writes: {clean(str(error))}.") from error


def process(found: dict) -> dict:
    """Return one stale process of the recipe's result with the keys of the report."""
    return {
        "pid": int(found["pid"]), "kind": clean(str(found["kind"]), 20), "command": clean(str(found["command"])),
        "service": service_of(found), "library": clean(str(found["library"])),
    }


def service_of(found: dict) -> str | None:
    """Return the service an entry of the result names, None where it names none."""
    return clean(str(found["service"]), 100) if found.get("service") else None


def words(found: list) -> tuple[str, ...]:
    """Return a list of service names."""
    if not isinstance(found, list):
        raise TypeError("a list of services is missing")
    return tuple(clean(str(each), 100) for each in found[:1000])
