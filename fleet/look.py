"""One look at a node: who we are there, who it is, its chef-client, its OpenSSL packages and its stale processes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet.text import clean, last_lines
from generator import packages
from generator.errors import ProbeError

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
printf 'name\t%s\n' "$(sed -n "s/^[[:space:]]*node_name[[:space:](]*[\"']\([^\"']*\)[\"'].*/\1/p" \
    /etc/chef/client.rb /etc/cinc/client.rb 2>/dev/null | head -n 1)"
client=$(command -v chef-client || command -v cinc-client) && printf 'client\t%s\n' "$client"
"""
    + packages.SCRIPT
)

@dataclass(frozen=True, slots=True)
class Look:
    """What a node said at one moment.

    `name` is what its chef-client calls it on the Chef server, None where its client.rb does not say; `unread` is how
    many processes could not be looked into.
    """

    uid: int
    name: str | None
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


def parse(answer: bytes) -> Look:
    """Return what the node said.

    What stands before the answer (a banner, say) is passed over. Raises ProbeError for an answer that is not whole.
    """
    from generator import probe

    head, mark, rest = answer.decode(errors="replace").partition(probe.FIRST)
    lines = head.splitlines()
    if "styptic-look 1" not in lines or not mark:
        raise ProbeError(f"the node gave no whole answer: {last_lines(answer, 2) or 'nothing'}.")
    lines = lines[lines.index("styptic-look 1"):]
    said = dict(line.split("\t", 1) for line in lines if line.startswith(("uid\t", "name\t", "client\t")))
    if not re.fullmatch(r"\d{1,10}", said.get("uid", ""), re.ASCII):
        raise ProbeError("the node did not say who we are there.")
    found = probe.parse(mark + rest)
    stale = tuple(
        {
            "pid": each.pid, "kind": each.kind, "command": clean(each.command),
            "service": each.service and clean(each.service), "library": clean(each.library),
        }
        for each in found.stale if each.kind != OWN
    )
    name = clean(said.get("name", ""), 200) or None
    return Look(int(said["uid"]), name, said.get("client"), packages.parse(lines), stale, found.unread)


def named(stale: Sequence[dict]) -> str:
    """Return stale processes in a few words."""
    said = list(dict.fromkeys(
        ("container " if each["kind"] == "container" else "")
        + (each["service"] or f"{each['command']} (pid {each['pid']})") for each in stale
    ))
    return ", ".join(said[:5]) + (f" and {len(said) - 5} more" if len(said) > 5 else "")


@dataclass(frozen=True, slots=True)
class Served:
    """What a node served before the converge, and must serve after it: ports that answered TLS, services that ran."""

    tls: tuple[int, ...] = ()
    services: tuple[str, ...] = ()


NOTHING = Served()
