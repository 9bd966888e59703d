"""Who runs this, on which machine and as which process: for the journal, the lock and the report."""

import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path

PROC = Path("/proc")


def user() -> str:
    """Return the login that runs this; where sudo made it root, the one that called sudo (sudo(8), SUDO_USER)."""
    if os.getuid() == 0 and os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a uid that no passwd file names, as containers have them
        return str(os.getuid())


def host() -> str:
    """Return this machine's own name."""
    return socket.gethostname()


def operator() -> str:
    """Return user@host."""
    return f"{user()}@{host()}"


def process() -> dict[str, object]:
    """Return what names this process and no later one: `pid`, and `born`, None where there is no /proc."""
    return {"pid": os.getpid(), "born": _born(os.getpid())}


def runs(process: Mapping[str, object], where: str) -> bool | None:
    """Say whether a process that process() described on the machine `where` still runs; None: it cannot be told here.

    A number that another process has by now, or that is of before a reboot, is no sign of life.
    """
    pid, born = process.get("pid"), process.get("born")
    ours = _born(os.getpid())
    if where != host() or type(pid) is not int or pid < 1 or not isinstance(born, str) or ours is None:
        return None
    boot, namespace, _ = (*born.split(" "), "", "", "")[:3]
    if boot == ours.split(" ")[0] and namespace != ours.split(" ")[1]:
        return None  # another container's numbers
    return _born(pid) == born


def _born(pid: int) -> str | None:
    """Return this boot, the PID namespace and the moment in it a process started; None for one that does not run.

    Source: proc(5), field 22 of /proc/PID/stat (the name, field 2, may hold anything) and random/boot_id;
    pid_namespaces(7).
    """
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(PROC / "self/ns/pid")
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else f"{boot} {namespace} {int(fields[19])}"
    except (OSError, ValueError, IndexError):
        return None
