"""What verdicts cost beside the bare search: python benchmarks/assess.py [NODES]

Two Chef servers (goiardi, from the lab's cache) are filled one after the other, each with 10,000 nodes unless told
otherwise: the usual fleet, 20 releases with 5 versions each, and the worst, in which no two nodes have the same
version. The bare search is the one request, its answer read and decoded; beside it, in turns, the search with the
verdicts of every advisory that is here, nothing remembered from the turn before. `invoke assess` is the whole command,
in a process of its own, with its JSON written.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fleet import assess
from fleet.chef import search
from fleet.chef.config import ChefConfig
from fleet.chef.server import ChefServer
from generator import advisory, match, numbering, platforms, upstream, versions
from generator.platforms import Release
from lab import host

ROOT = Path(__file__).parents[1]
NODES, RELEASES, VERSIONS = 10_000, 20, 5
OTHERS = ("bash", "dpkg", "rpm", "zlib")  # packages beside OpenSSL's, as far as a server's speed depends on them
# ohai's spelling of the releases whose name in the advisories is another.
SPELLED = {"rhel": ("centos", "{}.9"), "opensuse": ("opensuseleap", "{}")}
CODENAMES = {name: number for number, name in platforms.CODENAMES.items()}


def kinds(advisories) -> list[tuple[str, str, tuple[str, ...], list[str]]]:
    """Return the releases with most rows: platform and release as ohai spells them, packages, VERSIONS versions."""
    seen: dict[Release, dict[str, None]] = {}
    for row in (row for each in advisories for row in each.fixed):
        release = Release(row.distro, row.release)
        if row.package == "openssl" and row.distro != "alpine" and platforms.stream_of(row.release)[1] == "":
            seen.setdefault(release, {})[row.version] = None
    found = []
    for release in sorted(seen, key=lambda release: -len(seen[release]))[:RELEASES]:
        platform, spelling = SPELLED.get(release.distro, (release.distro, "{}"))
        name = CODENAMES.get(release.release, release.release)
        rows = list(seen[release])
        several = [*rows, *(f"{rows[0]}.{number}" for number in range(1, VERSIONS))][:VERSIONS]
        found.append((platform, spelling.format(name), platforms.binary_packages(release, "openssl"), several))
    assert len(found) == RELEASES, f"only {len(found)} releases have rows"
    return found


def entry(platform: str, version: str) -> dict:
    """Return a package as ohai reports it: rpm's version in three parts."""
    if platforms.FAMILY[platform] == "debian":
        return {"version": version, "arch": "amd64"}
    whole, _, release = version.partition("-")
    epoch, _, number = whole.rpartition(":")
    return {"epoch": epoch or "0", "version": number, "release": release, "installdate": "1700000000", "arch": "x86_64"}


def node(number: int, kind: tuple, different: bool) -> dict:
    """Return a node as the Chef server takes it; with `different` its version is nobody else's."""
    platform, release, packages, several = kind
    version = several[number // RELEASES % VERSIONS] + (f".{number}" if different else "")
    there = {name: entry(platform, version) for name in packages}
    there |= {name: {"version": "1.0-1", "arch": "amd64"} for name in OTHERS}
    automatic = {
        "platform": platform, "platform_version": release, "fqdn": f"n{number}.example", "ipaddress": "192.0.2.1",
        "ohai_time": time.time(), "packages": there,
    }
    return {
        "name": f"n{number:05}", "chef_environment": "production", "json_class": "Chef::Node", "chef_type": "node",
        "automatic": automatic, "normal": {}, "default": {}, "override": {}, "run_list": [],
    }


@contextmanager
def server(place: Path) -> Iterator[ChefServer]:
    """Run a goiardi on a port of its own, everything in memory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [host.tools() / "usr/bin/goiardi", "-I", "127.0.0.1", "-H", "127.0.0.1", "-P", str(port)]
    running = subprocess.Popen(
        [*words, "--conf-root", place, "-A", "-g", "warning"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert running.poll() is None, "goiardi has ended"
        url = f"http://127.0.0.1:{port}"
        (place / "config.rb").write_text(
            f"chef_server_url '{url}'\nnode_name 'admin'\nclient_key '{place / 'admin.pem'}'\n"
        )
        with ChefServer(ChefConfig(url, "admin", (place / "admin.pem").read_text())) as chef:
            yield chef
    finally:
        running.terminate()
        running.wait()


def fill(chef: ChefServer, nodes: Iterator[dict], count: int) -> None:
    """Put the nodes on the server and wait until its search finds them: goiardi answers before it has indexed."""
    chef.post("/environments", {
        "name": "production", "json_class": "Chef::Environment", "chef_type": "environment", "cookbook_versions": {},
    })
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda each: chef.post("/nodes", each), nodes):
            pass
    while len(search.partial(chef, "node", "*:*", {"name": ("name",)})) < count:
        pass


def forget() -> None:
    """Empty what the generator remembers: a command begins with nothing."""
    for module in (versions, match, numbering, platforms, upstream):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()


def measure(chef: ChefServer, place: Path, advisories, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each way takes, in turns; the bare search asks what the other one was seen to ask."""
    names = search.package_names(advisories)
    asked = {}
    post = chef.post
    chef.post = lambda path, body: asked.update(path=path, body=body) or post(path, body)
    search.find_nodes(chef, "production", package_names=names)
    del chef.post
    words = [sys.executable, "-m", "invoke", "assess", "--env", "production", "--all", "--json"]
    setting = {**os.environ, "KNIFE_HOME": str(place)}
    ways: dict[str, Callable] = {
        "bare search": lambda: chef.post(asked["path"], asked["body"]),
        "search and verdicts": lambda: assess.assess(
            search.find_nodes(chef, "production", package_names=names), advisories, 86_400, time.time()
        ).table,
        "invoke assess": lambda: subprocess.run(words, cwd=ROOT, env=setting, stdout=subprocess.DEVNULL, check=False),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            forget()
            started = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - started)
    return taken


def main() -> None:
    """Measure, and print it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else NODES
    advisories = advisory.load([advisory.ALL])
    every = kinds(advisories)
    for title, different, rounds in (("the usual fleet", False, 5), ("no two nodes alike", True, 1)):
        with tempfile.TemporaryDirectory(prefix="styptic-") as place, server(Path(place)) as chef:
            fill(chef, (node(each, every[each % RELEASES], different) for each in range(count)), count)
            taken = measure(chef, Path(place), advisories, rounds)
        print(f"{title}: {count} nodes, {len(advisories)} advisories")
        for name, seconds in taken.items():
            ratio = statistics.median(seconds) / statistics.median(taken["bare search"])
            print(f"  {name:20} fastest {min(seconds):6.2f} s  middle {statistics.median(seconds):6.2f} s  "
                  f"{ratio:5.2f} times the bare search")


if __name__ == "__main__":
    main()
