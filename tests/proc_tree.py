"""Nodes for probe.sh to look at, made up or as tests/record_proc.sh recorded them, and the shells to do it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from generator import probe

LIBSSL = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
LIBCRYPTO = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
RECORDED = Path(__file__).with_name("data") / "proc"
#: "busybox alone" finds no program but BusyBox's own, as on a node that has nothing else.
SHELLS = [
    pytest.param(words, id=name, marks=pytest.mark.skipif(not shutil.which(words[0]), reason=f"no {words[0]} here"))
    for name, words in {
        "dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh"),
        "busybox alone": ("busybox", "ash"),
    }.items()
]


class Tree:
    """A node's /proc, /etc and /run as the probe reads them, with the lines that the kernel writes there."""

    def __init__(self, root: Path):
        self.root, self.proc = root, root / "proc"
        for place in ("proc", "etc/init.d", "run", "sys/fs/cgroup"):
            (root / place).mkdir(parents=True)
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n")

    def systemd(self) -> None:
        """Let systemd run the node."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.root / "sys/fs/cgroup/cgroup.controllers").touch()

    def script(self, name: str, text: str = "#!/bin/sh\n") -> None:
        """Write an init script."""
        (self.root / "etc/init.d" / name).write_text(text)

    def booted(self, seconds: int) -> None:
        """Say when the node started, in seconds since 1970."""
        (self.proc / "stat").write_text(f"cpu  1 2 3\nintr {'0 ' * 500}\nbtime {seconds}\nprocesses 1\n")

    def process(
        self, pid, *mapped, parent=1, name="nginx", command=("nginx",), group="/", uid=0, ticks=0, spaces=None,
        held=None, inode=4711,
    ) -> None:
        """Start a process; `held` is what map_files shows of every mapped file, `spaces` its namespaces by name."""
        place = self.proc / str(pid)
        place.mkdir()
        row = f"007f00001000-007f00002000 r-xp 00000000 fe:01 {inode}"
        lines = [f"{row}                    {path}" for path in ("/usr/sbin/x", *mapped)]
        (place / "maps").write_text("".join(f"{line}\n" for line in [*lines, f"{row} ", f"{row}   [heap]"]))
        (place / "stat").write_text(f"{pid} ({name}) S {parent} {pid} {pid} 0 -1 4194560 {'0 ' * 12}{ticks} 0 0\n")
        (place / "comm").write_text(f"{name}\n")
        (place / "cmdline").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in command))
        (place / "cgroup").write_text(f"12:cpuset:/elsewhere\n1:name=systemd:/machine.slice/x.scope\n0::{group}\n")
        (place / "status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        (place / "ns").mkdir()
        for space, number in (spaces or {}).items():
            (place / "ns" / space).symlink_to(f"{space}:[{number}]")
        if held is not None:
            (place / "map_files").mkdir()
            (place / "map_files/7f00001000-7f00002000").symlink_to(held)

    def file(self, path: str, content: bytes) -> Path:
        """Put a file on the node, in directories that only root may write to."""
        there = self.root / path.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(content)
        return there

    def answer(self, shell=("sh",), **environment) -> str:
        """Run the probe on this node and return what it prints; it may say nothing else."""
        path = os.environ["PATH"]
        if tuple(shell) == ("busybox", "ash"):
            path = str(self.busybox())
            shell = (f"{path}/ash",)
        setting = {"PROC_ROOT": str(self.proc), "PROBE_ROOT": str(self.root), **environment}
        done = subprocess.run(
            [*shell, "-s"], input=probe.command(), text=True, capture_output=True, check=True,
            env={"PATH": path, **setting},
        )
        assert done.stderr == ""
        return done.stdout

    def found(self, shell=("sh",), **environment) -> probe.Findings:
        """Run the probe on this node and return what it found."""
        return probe.parse(self.answer(shell, **environment))

    def kinds(self, **environment) -> dict:
        """Return the kind and the service of every stale process, by PID."""
        return {each.pid: (each.kind, each.service) for each in self.found(**environment).stale}

    def busybox(self) -> Path:
        """Return a directory with BusyBox's programs alone."""
        place = self.root / "busybox"
        if not place.exists():
            place.mkdir()
            listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True)
            for name in listed.stdout.split():
                (place / name).symlink_to(shutil.which("busybox"))
        return place


def unpack(name: str, root: Path) -> Tree:
    """Return the node that was recorded as `name`, unpacked at `root`."""
    tree, file = Tree(root), None
    (root / "etc/passwd").unlink()
    for line in (RECORDED / f"{name}.txt").read_text().splitlines():
        path, _, target = line.removeprefix("@ ").partition(" -> ")
        if not line.startswith("@ "):
            if file is not None:
                end = "\0" if file.name == "cmdline" else "\n"
                with file.open("a") as writing:
                    writing.write(line + end)
            continue
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if target:
            file.symlink_to(target)
        elif path.endswith("/"):
            file.mkdir()
        else:
            file.touch()
    return tree
