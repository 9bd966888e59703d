"""chef-client on a node: how it is started, and what the recipe leaves of the run."""

import json
from dataclasses import dataclass

from fleet import look
from fleet.errors import NodeError
from fleet.text import clean

STATE = "/var/lib/openssl_patch"  # for root alone
RESULT = f"{STATE}/result.json"  # written by the recipe

# Chef lets one run at a time into a node and waits for the lock (chef-client --run-lock-timeout). An override run list
# (-o) converges that recipe alone and saves no node. $1 is the lock's limit in seconds, $2 "full" for the run list.
# What an earlier run left goes first: what is there afterwards is this run's, whatever the node's clock says.
SCRIPT = rf"""
LC_ALL=C.UTF-8 PATH=$PATH:{look.PATHS}
export LC_ALL PATH
client=$(command -v chef-client || command -v cinc-client) || exit 127
rm -f {RESULT}
if [ "$2" = full ]; then
    exec "$client" --once --no-color --run-lock-timeout "$1" </dev/null 2>&1
fi
exec "$client" --once --no-color --run-lock-timeout "$1" -o 'recipe[openssl_patch]' </dev/null 2>&1
"""


def command(lock_seconds: int, full_run: bool) -> list[str]:
    """Return the command that has chef-client converge the recipe alone, or the whole run list."""
    return ["sh", "-c", SCRIPT, "sh", str(lock_seconds), "full" if full_run else "only"]


@dataclass(frozen=True, slots=True)
class Result:
    """What the recipe wrote down of one converge: see the cookbook's README for each field."""

    node: str
    status: str
    error: str | None
    cookbook_version: str
    stale_before: tuple[dict, ...]
    reloaded: tuple[str, ...]
    upgraded: tuple[str, ...]
    ended: tuple[str, ...]
    restarted: tuple[str, ...]
    reexecuted: bool
    not_touched: tuple[dict, ...]
    reboot: tuple[str, ...] = ()

    @property
    def actions(self) -> list[str]:
        """What the recipe did to services, in words."""
        return [
            *(f"reloaded {name}" for name in self.reloaded), *(f"upgraded {name} in place" for name in self.upgraded),
            *(f"ended old processes of {name}" for name in self.ended),
            *(f"restarted {name}" for name in self.restarted),
            *(["re-executed init"] if self.reexecuted else []),
        ]


def result_of(answer: bytes) -> Result:
    """Return the recipe's result, checked as what it is: something a node says. Raises NodeError."""
    try:
        found = json.loads(answer.decode(errors="replace"))
        if found["format"] != 2:
            raise ValueError(f"its format is {found['format']!r}")
        return Result(
            node=clean(str(found["node"]), 200),
            status=clean(str(found["status"]), 40),
            error=clean(str(found["error"]), 600) if found.get("error") else None,
            cookbook_version=clean(str(found["cookbook_version"]), 40),
            stale_before=tuple(process(each) for each in found["stale_before"][:10_000] if each["kind"] != look.OWN),
            reloaded=words(found["reloaded"]),
            upgraded=words(found["upgraded"]),
            ended=words(found["ended"]),
            restarted=words(found["restarted"]),
            reexecuted=found["reexecuted"] is True,
            not_touched=tuple(
                {"service": service_of(each), "command": clean(str(each["command"]))}
                for each in found["not_touched"][:1000]
            ),
            reboot=sentences(found["reboot"]),
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
    names = tuple(clean(str(each), 100) for each in found[:1000])
    if not all(names):
        raise ValueError("a service has no name")
    return names


def sentences(found: list) -> tuple[str, ...]:
    """Return a list of sentences."""
    if not isinstance(found, list):
        raise TypeError("a list of sentences is missing")
    return tuple(clean(str(each), 300) for each in found[:20])
