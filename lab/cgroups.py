"""The lab's control groups: one leaf for the holder and one a node, see cgroups(7).

A node is put into its leaf before its cgroup namespace is made: otherwise its systemd would take the machine's root.
"""

import os
import select
from pathlib import Path

from lab.host import LabError

NAME = "styptic-lab"


def top() -> Path:
    """Return the lab's directory in the machine's cgroup2 hierarchy. Raises LabError where none is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(fields.split()[4]) / NAME
    raise LabError("the lab needs cgroup2, which is not mounted on this machine: mount it at /sys/fs/cgroup.")


def leaf(name: str) -> Path:
    """Make a leaf and return it."""
    place = top() / name
    place.mkdir(parents=True, exist_ok=True)
    return place


def within(place: Path) -> list[str]:
    """Return the words before a command that make it start in the leaf `place`."""
    return ["sh", "-c", 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"', "sh", str(place)]


def holds(name: str, pid: int) -> bool:
    """True if the process `pid` (as this process sees it) is in the leaf `name`, or in a group below it."""
    try:
        groups = Path("/proc", str(pid), "cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(f"/{NAME}/{name}/" in f"{group}/" for group in groups if group.startswith("0::"))


def remove(place: Path) -> None:
    """Kill what is left in a group and below it, wait for its end, and remove the directories. Does nothing twice."""
    if not place.is_dir():
        return
    (place / "cgroup.kill").write_text("1")
    wait_empty(place)
    for directory, _, _ in os.walk(place, topdown=False):
        Path(directory).rmdir()


def wait_empty(place: Path, limit: float = 10.0) -> None:
    """Wait until no process is in the group or below it: the kernel tells by an event on cgroup.events."""
    with (place / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            if not poll.poll(limit * 1000):
                raise LabError(f"processes in {place} do not end; look with: cat {place}/cgroup.procs")
            events.seek(0)
