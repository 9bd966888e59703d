"""How long the probe takes to read a node, beside a bare grep of the same files: python benchmarks/probe.py

The nodes are made up: 500 processes, each mapping 80 files, every second one libssl and libcrypto, of which 20 (or, on
the second node, all 500) are deleted ones of nginx's; this machine's own libcrypto stands for what they map. Both are
run in turns; shown are the fastest and the middle time of each, and what the probe costs of grep's.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from generator import probe
from tests.proc_tree import LIBCRYPTO, LIBSSL, Tree

PROCESSES, STALE, FILES, ROUNDS = 500, (20, 500), 80, 11


def node(root: Path, stale: int) -> Tree:
    """Return the made-up node with so many stale processes."""
    tree = Tree(root)
    tree.systemd()
    tree.booted(1_700_000_000)
    places = Path("/usr/lib").glob("*/libcrypto.so.*"), Path("/usr/lib64").glob("libcrypto.so.*")
    own = next(path for place in places for path in sorted(place))
    held = tree.file("/held/libcrypto", own.read_bytes())
    for number in range(PROCESSES):
        others = [f"/usr/lib/x86_64-linux-gnu/libother{each}.so.1" for each in range(FILES)]
        mark = " (deleted)" if number % (PROCESSES // stale) == 0 else ""
        mapped = [f"{LIBSSL}{mark}", f"{LIBCRYPTO}{mark}"] if mark or number % 2 else []
        group = "/system.slice/nginx.service" if mark else "/system.slice/other.service"
        tree.process(1000 + number, *others, *mapped, group=group, ticks=number, held=held)
    return tree


def seconds(run) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Measure each node."""
    for stale in STALE:
        print(f"{stale} of {PROCESSES} processes are stale")
        measure(stale)


def measure(stale: int) -> None:
    """Measure one node, and print it."""
    with tempfile.TemporaryDirectory(prefix="styptic-") as place:
        tree = node(Path(place), stale)
        bare = ["sh", "-c", f"grep -l libssl {tree.proc}/*/maps >/dev/null"]
        shell = {name: [*words, "-s"] for name, words in {"dash": ["dash"], "bash": ["bash", "--posix"]}.items()}
        setting = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PROC_ROOT": str(tree.proc), "PROBE_ROOT": str(tree.root)}
        assert len(tree.found().stale) == stale, "the probe does not find what is there"
        runs = {"grep": lambda: subprocess.run(bare, check=True)}
        for name, words in shell.items():
            runs[f"probe, {name}"] = lambda words=words: subprocess.run(
                words, input=probe.command(), text=True, stdout=subprocess.DEVNULL, check=True, env=setting
            )
        times = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                times[name].append(seconds(run))
    for name, taken in times.items():
        fastest, middle = min(taken), statistics.median(taken)
        ratio = statistics.median(taken) / statistics.median(times["grep"])
        print(f"{name:12}  fastest {fastest * 1000:6.1f} ms  middle {middle * 1000:6.1f} ms  {ratio:5.1f} times grep's")


if __name__ == "__main__":
    main()
