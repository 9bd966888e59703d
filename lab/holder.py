"""The process the lab lives and dies with: `python -m lab.holder`, PID 1 of a PID namespace.

It owns the mount and the network namespace: when it ends, by whatever signal, the kernel ends every node, the Chef
server, every mount and every link. It comes up under the eyes of who starts it and ends with them, until they say
that the lab is up. See pid_namespaces(7).
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from lab import cgroups, goiardi, host, network
from lab.host import NODES, ROOT, LabError

UP = b"up\n"


def start(lock: int) -> tuple[int, BinaryIO]:
    """Start the holder; return its process id, and the stream on which to write UP once the lab is up.

    `lock` is the descriptor of the lab's lock, which the holder keeps. Closing the stream without UP ends the holder.
    Raises LabError with the end of its log if it could not start.
    """
    # setsid(1) forks, so that the holder is nobody's child, and a Ctrl-C is not for it.
    alone = ["setsid", "--fork", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL",
             "--propagation", "private"]
    with host.log("holder").open("w") as output:
        process = subprocess.Popen(
            [*cgroups.within(cgroups.leaf("holder")), *alone, sys.executable, "-m", "lab.holder"],
            cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT)}, pass_fds=[lock],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
        )
    process.wait()
    with process.stdout as told:
        pid = told.readline()
    if not pid:
        process.stdin.close()
        said = " / ".join(host.log("holder").read_text().splitlines()[-3:])
        raise LabError(f"the lab's holder could not start: {said}")
    return int(pid), process.stdin


def end(pid: int) -> None:
    """Kill the holder, if this is its process id; whoever waits for the lab's lock then waits for its end."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)  # from here on the number is this process's and no later one's
        try:
            if cgroups.holds("holder", pid):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def hold() -> None:
    """Be the holder: make what the lab stands on, tell the process id, and live until killed."""
    host.run("mount", "-t", "tmpfs", "-o", "mode=755", "styptic-lab", NODES)
    network.build_bridge()
    goiardi.start()
    # /proc is still the machine's, and so is the process id in it.
    print(Path("/proc/self/stat").read_text().split()[0], flush=True)
    sys.stdout.close()
    if sys.stdin.buffer.readline() != UP:
        return
    while True:
        os.wait()  # PID 1 inherits every orphan, and there is always one child: without, the Chef server is gone


if __name__ == "__main__":
    hold()
    os._exit(0)
