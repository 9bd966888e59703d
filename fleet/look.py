"""One look at a node: who we are there, who it is, its chef-client, the packages that the advisories are about, and its
stale processes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fleet.errors import NodeError
from fleet.text import clean, last_lines
from generator import offers, packages, services
from generator.errors import ProbeError
from generator.offers import Offers

OWN = "own"  # the kind of who asks, and of chef-client itself: no finding
BOUND = 1_000_000  # bytes read of any one answer
SECONDS = 60  # for one look
SAID = ("uid\t", "name\t", "client\t", "systemd\t", "graphical\t")
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/chef/bin:/opt/cinc/bin"

# Everything in one round trip. The probe comes last and ends with a line of its own: an answer cut short has none. The
# recipe's libraries/systemd.rb, too, asks which systemd it is and whether somebody has a graphical session.
HEAD = rf"""
LC_ALL=C PATH=$PATH:{PATHS}
export LC_ALL PATH
printf 'styptic-look 1\n'
printf 'uid\t%s\n' "$(id -u)"
printf 'name\t%s\n' "$(sed -n "s/^[[:space:]]*node_name[[:space:](]*[\"']\([^\"']*\)[\"'].*/\1/p" \
    /etc/chef/client.rb /etc/cinc/client.rb 2>/dev/null | head -n 1)"
client=$(command -v chef-client || command -v cinc-client) && printf 'client\t%s\n' "$client"
if [ -d /run/systemd/system ]; then
    printf 'systemd\t%s\n' "$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]\{{1,6\}}\).*/\1/p')"
    for session in /run/systemd/sessions/*; do
        [ -f "$session" ] || continue # beside each logind has a FIFO, which nobody has read before that session ends
        grep -qsE '^TYPE=(x11|wayland|mir)$' "$session" && printf 'graphical\t\n' && break
    done
fi
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a node said at one moment.

    `name` is what its chef-client calls it on the Chef server, None where its client.rb does not say; `unread` is how
    many processes could not be looked into; `reboots` are generator.probe's, what only a reboot mends, and what of
    systemd's own is stale and may not be restarted there. `kinds` are the kinds of stale processes that keep a node
    from being good. `offered` is what its repositories offer, None where nobody asked.
    """

    uid: int
    name: str | None
    client: str | None
    packages: dict[str, str]
    stale: tuple[dict, ...]
    unread: int
    kinds: frozenset[str]
    reboots: tuple = ()
    offered: Offers | None = None

    @property
    def counted(self) -> tuple[dict, ...]:
        """The stale processes that keep a node from being good."""
        return tuple(process for process in self.stale if process["kind"] in self.kinds)


def script(advisories: Sequence = ()) -> bytes:
    """Return the program for `sh -s` on the node; it changes nothing there.

    It asks for the packages and the libraries that the advisories are about (none: OpenSSL's), and on day zero for what
    the repositories offer.
    """
    from generator import probe

    names = packages.names(advisories)
    asked = packages.script(names) + (offers.script(names) if any(each.latest for each in advisories) else "")
    libraries = sorted({stem for each in advisories for stem in each.libraries})
    return (HEAD + asked + probe.command(libraries)).encode()


async def take(
    connection, advisories: Sequence = (), sudo: bool = False, kinds: frozenset[str] | None = None
) -> Look:
    """Ask a node over a connection (fleet.ssh's) what it is now; the arguments are those of script() and parse().

    Raises NodeError for no answer or one too long, ProbeError for one that is not whole.
    """
    answer = await connection.run(["sh", "-s"], stdin=script(advisories), timeout=SECONDS, limit=BOUND, sudo=sudo)
    if answer.truncated:
        raise NodeError(f"it answered with more than {BOUND} bytes, which is no whole answer")
    return parse(answer.stdout or answer.stderr, advisories, kinds)


def parse(answer: bytes, advisories: Sequence = (), kinds: frozenset[str] | None = None) -> Look:
    """Return what the node said; `kinds` are the kinds of stale processes that count, generator.probe's own if None.

    `advisories` are those of script(). What stands before the answer (a banner, say) is passed over. Raises ProbeError
    for an answer that is not whole.
    """
    from generator import probe

    head, mark, rest = answer.decode(errors="replace").partition(probe.FIRST)
    lines = head.splitlines()
    if "styptic-look 1" not in lines or not mark:
        raise ProbeError(f"the node gave no whole answer: {last_lines(answer, 2) or 'nothing'}.")
    lines = lines[lines.index("styptic-look 1"):]
    said = dict(line.split("\t", 1) for line in lines if line.startswith(SAID))
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
    kinds = probe.COUNTED if kinds is None else kinds
    reboots = tuple(replace(each, sentence=clean(each.sentence)) for each in found.reboots)
    reboots += tuple(probe.Reboot(probe.INIT, why) for why in spared(stale, kinds, said))
    installed = packages.parse(lines, packages.concern(advisories))
    offered = offers.parse(lines, installed) if any(each.latest for each in advisories) else None
    return Look(
        int(said["uid"]), name, said.get("client"), installed, stale, found.unread, kinds, reboots, offered
    )


def spared(stale: Iterable[dict], kinds: frozenset[str], said: Mapping[str, str]) -> list[str]:
    """Return why what is stale of systemd's own may not be restarted on this node; `said` has its `systemd`."""
    if "systemd" not in said:
        return []
    version = int(said["systemd"]) if re.fullmatch(r"[0-9]{1,6}", said["systemd"]) else None
    rows = {name: row for row in services.load().values() if row.systemd for name in row.names}
    names = dict.fromkeys(each["service"] for each in stale if each["kind"] in kinds and each["kind"] != "container")
    return [why for name in names if name in rows and (why := rows[name].why_reboot(version, "graphical" in said))]


def owed(now: Look, deeper: bool) -> tuple[str, ...]:
    """Return why the node owes a reboot, in sentences; `deeper` where an advisory is about a kernel or libc."""
    return tuple(each.sentence for each in now.reboots if deeper or each.why == "init")


def named(stale: Sequence[dict]) -> str:
    """Return stale processes in a few words."""
    said = list(dict.fromkeys(
        ("container " if each["kind"] == "container" else "")
        + (each["service"] or f"{each['command']} (pid {each['pid']})") for each in stale
    ))
    return ", ".join(said[:5]) + (f" and {len(said) - 5} more" if len(said) > 5 else "")
