"""What is done in the holder's namespaces: `python -m lab.inside`, entered by nsenter, mounts, starts and ends nodes.

Reads one request as JSON from standard input; what fails ends it with a sentence on standard error.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from generator.errors import StypticError
from lab import bases, cgroups, client, events, goiardi, host, network
from lab.host import ROOT, RUN, LabError
from lab.keys import HOST as HOST_KEY
from lab.node import LabNode

WAVE = 16  # nodes started at once: two hundred at once hung
POWER, BOOT, RC = (Path(__file__).with_name(name) for name in ("power.sh", "boot.sh", "rc.sh"))


def ask(holder: int, verb: str, nodes: Iterable[LabNode], **more: object) -> None:
    """Have `verb` (start, power or stop) done with nodes in the namespaces of the process `holder`.

    `more` is what the first two need: `repository`, and `start` `roots` (base name to root file system) beside it.
    Raises LabError with what went wrong.
    """
    request = {"verb": verb, "holder": holder, "nodes": [asdict(node) for node in nodes], **more}
    done = subprocess.run(
        ["nsenter", "--target", str(holder), "--mount", "--net", "--pid", sys.executable, "-m", "lab.inside"],
        input=json.dumps(request), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        raise LabError((done.stderr.strip().splitlines() or [f"the lab could not {verb} its nodes."])[-1])


def main() -> int:
    """Do what standard input asks for."""
    request = json.load(sys.stdin)
    nodes = [LabNode(**node) for node in request["nodes"]]
    try:
        if request["verb"] == "stop":
            stop(nodes)
        else:
            begin = {"start": start, "power": power}[request["verb"]]
            for first in range(0, len(nodes), WAVE):
                begin(nodes[first : first + WAVE], request)
    except (StypticError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def start(nodes: Sequence[LabNode], request: dict) -> None:
    """Make nodes and boot them together; wait until each answers on every port of its base and has read its mirror."""
    for node in nodes:
        prepare(node, Path(request["roots"][node.base]))
    power(nodes, request, read_mirror)


def power(
    nodes: Sequence[LabNode], request: dict, then: Callable[[LabNode], None] = lambda _: None
) -> None:
    """Boot nodes together, as their disks are; wait until each answers on every port of its base, `then` go on."""
    def come_up(node: LabNode, told: TextIO) -> None:
        answers(node, told)
        then(node)

    booting = [boot(node, request) for node in nodes]
    with ThreadPoolExecutor(max_workers=WAVE) as pool:
        list(pool.map(come_up, nodes, booting))


def prepare(node: LabNode, base: Path) -> None:
    """Mount the node's overlay and write into it what makes it this node."""
    upper, work, root = (node.place / name for name in ("upper", "work", "root"))
    for directory in (upper, work, root):
        directory.mkdir(parents=True)
    host.log(node.name).unlink(missing_ok=True)
    layers = f"lowerdir={base},upperdir={upper},workdir={work}"
    host.run("mount", "-t", "overlay", "overlay", "-o", layers, root)
    put(root, "etc/hostname", f"{node.name}\n")
    put(root, "etc/hosts", f"127.0.0.1 localhost\n{node.address} {node.name}\n")
    put(root, "etc/resolv.conf", "")
    put(root, "etc/lab-services", "".join(f"{name}\n" for name in node.services))
    for name in (HOST_KEY, f"{HOST_KEY}.pub"):
        put(root, f"etc/ssh/{name}", (node.identity / name).read_text(), 0o600)
    key = (RUN / "key.pub").read_text()
    for home in (root / "root", *sorted((root / "home").iterdir())):
        owner = home.stat()
        put(home, ".ssh/authorized_keys", key, 0o600)
        for path in (home / ".ssh", home / ".ssh/authorized_keys"):
            os.chown(path, owner.st_uid, owner.st_gid)
    put(root, "etc/chef/client.pem", (node.identity / "client.pem").read_text(), 0o600)
    put(root, "etc/chef/client.rb",
        f'chef_server_url "{goiardi.URL}"\nnode_name "{node.name}"\nchef_license "accept-no-persist"\n')


def put(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    """Write a file below `root`, in the place of whatever stood there."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode)
    path.write_text(text)


def boot(node: LabNode, request: dict) -> TextIO:
    """Start the node's power supply, and by it its first process in namespaces of its own, both in its control group.

    Returns where the first process tells its id.
    """
    unshare = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--kill-child=KILL",
               "--propagation", "private"]
    leaf = cgroups.leaf(node.name)
    settings = {
        "LEAF": leaf, "ROOT": node.place / "root", "INIT": node.init, "NAME": node.name, "ADDRESS": node.address,
        "WIDTH": network.NETWORK.prefixlen, "HARDWARE": network.hardware_address(node.address),
        "HOLDER": request["holder"], "IDENTITY": node.identity, "REPOSITORY": request["repository"],
        "CLIENT": client.STANDIN, "RC": RC, "TINI": host.tools() / "usr/bin/tini-static",
    }
    with host.log(node.name).open("a") as output:
        process = subprocess.Popen(
            [*cgroups.within(leaf), "sh", POWER, *unshare, "sh", BOOT],
            env=os.environ | {name: str(value) for name, value in settings.items()}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True,
        )
    return process.stdout


def answers(node: LabNode, told: TextIO) -> None:
    """Wait until the node's network is up, and then until it answers. Raises LabError with the log's end."""
    with told:
        pid = told.readline().strip()
    if not pid:
        said = " / ".join(host.log(node.name).read_text(errors="replace").splitlines()[-3:])
        raise LabError(f"{node.name} could not start: {said}")
    booted(node)


def booted(node: LabNode) -> None:
    """Wait until a node whose network is up, or comes up, answers on every port of its base. Raises LabError."""
    events.wait_port(node.address, 22, greeting=b"SSH-")
    for port in bases.BASES[node.base].ports:
        events.wait_port(node.address, port)
    if node.init == "systemd":
        # Until systemd has booted, PAM refuses every login but root's. It is "degraded" where a unit needs hardware.
        words = ["timeout", str(events.LIMIT), "systemctl", "is-system-running", "--wait"]
        subprocess.run([*within(node), *words], stdout=subprocess.DEVNULL, check=False)


def read_mirror(node: LabNode) -> None:
    """Have a new node read what its mirror has. Raises LabError."""
    if update := bases.BASES[node.base].update:
        host.run(*within(node), *update)


def within(node: LabNode) -> list[str]:
    """Return the words before a command that make it run in a node."""
    pid = (node.identity / "pid").read_text().strip()
    return ["nsenter", "--target", pid, "--mount", "--uts", "--ipc", "--net", "--pid"]


def stop(nodes: Sequence[LabNode]) -> None:
    """End nodes and drop all that they wrote."""
    for node in nodes:
        cgroups.remove(cgroups.top() / node.name)
        # The kernel would do it, a moment after the node's end: too late for a node that comes again.
        subprocess.run(["ip", "link", "delete", network.port_of(node.address)], capture_output=True, check=False)
        if (node.place / "root").is_mount():
            host.run("umount", node.place / "root")
        shutil.rmtree(node.place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
