"""One lab for all tests in this directory: up before the first, down after the last.

STYPTIC_LAB=current uses the lab that is up and leaves it up, without the tests that take a lab down.
"""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from fleet.chef import cookbook, search
from fleet.chef.server import ChefServer
from fleet.push import COOKBOOK
from generator.errors import StypticError
from lab import goiardi, host, registry
from lab import lab as labs
from lab.host import ROOT, RUN
from lab.lab import Lab
from lab.witness import Witness

USE_CURRENT = os.environ.get("STYPTIC_LAB") == "current"
#: Counters and dice, which change by themselves, and what belongs to a link that is there or not.
RESTLESS = ("dentry-state", "file-nr", "inode-", "aio-nr", "random", "ns_last_pid", "pty/nr", "conntrack_count",
            "/conf/", "/neigh/", "/quota/syncs")

#: What makes an advisory one by which memory leaked.
LEAK = '\n[leaks]\nwhat = "memory"\nlibraries = ["libssl"]\nsource = "lab equipment"\n\n[[fixed]]'

#: Markers of tests that are too long for every day, see `invoke --help test.services` and its siblings.
ASKED_FOR = {
    "table": "a row of services.toml on every kind of node", "rhel": "wants a node of Red Hat's kind",
    "packages": "a way in which an upgrade can go wrong", "cookbook": "the cookbook alone, and the stand-in",
    "faults": "a rollout with something broken", "load": "a rollout over hundreds of nodes",
    "exposure": "what leaked, on further nodes and by further runs",
    "targets": "the shell, Ansible and Salt targets on both kinds of node",
}


pytest.register_assert_rewrite("tests.lab.faults")


def pytest_configure(config):
    config.addinivalue_line("markers", "last: takes the lab down, so it runs after all others")
    for name, what in ASKED_FOR.items():
        config.addinivalue_line("markers", f"{name}: {what}; runs where -m names it")


def pytest_collection_modifyitems(config, items):
    long = [] if config.option.markexpr else [item for item in items if any(map(item.get_closest_marker, ASKED_FOR))]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    last = [item for item in items if item.get_closest_marker("last")]
    last.sort(key=lambda item: "lab" not in item.fixturenames)  # those that still want the shared one come first
    if USE_CURRENT and last:
        config.hook.pytest_deselected(items=last)
    items[:] = [item for item in items if item not in last] + ([] if USE_CURRENT else last)


def pytest_terminal_summary(terminalreporter, config):
    """Say with -v how long each file took: its tests, and what they set up and took away again."""
    spent = {}
    for each in chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(each, pytest.TestReport):
            name = each.nodeid.partition("::")[0]
            spent[name] = spent.get(name, 0) + each.duration
    if config.option.verbose > 0 and len(spent) > 1:
        terminalreporter.section("seconds by file")
        for name, seconds in spent.items():
            terminalreporter.line(f"{seconds:6.0f}  {name}")


@pytest.fixture(scope="session")
def lab(machine):
    try:
        lab = Lab.current() if USE_CURRENT else Lab.up()
    except StypticError as error:
        pytest.fail(f"no tests on a lab: {error}", pytrace=False)
    yield lab
    if not USE_CURRENT:
        labs.down()


class Machine:
    """What the lab could change of the machine, as it was before the lab."""

    def __init__(self):
        self.before = state()

    def changes(self) -> dict:
        """Return what is other now: kind to (was and is no more, is and was not)."""
        wait_for_ends(set(state()["processes"]) - set(self.before["processes"]))
        now = state()
        return {
            kind: (sorted(was - now[kind]), sorted(now[kind] - was))
            for kind, was in self.before.items() if was != now[kind]
        }


@pytest.fixture(scope="session")
def machine():
    labs.sweep()  # what a killed lab left would be missed later, when it is gone
    return Machine()


def state() -> dict[str, set]:
    """Return mounts, links, routes, control groups, sysctls, files and the processes in namespaces other than ours."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    groups = [Path(line.split()[4]) for line in mounts if " - cgroup2 " in line]
    files = [*Path("/run").glob("styptic*"), *ROOT.glob(".chef")]
    return {
        "mounts": set(mounts),
        "links": {link["ifname"] for link in json.loads(host.run("ip", "-json", "link"))},
        "routes": set(host.run("ip", "route", "show", "table", "all").splitlines()),
        "cgroups": {str(path) for group in groups for path in group.iterdir() if path.is_dir()},
        "sysctls": set(sysctls()),
        "files": set(map(str, files)),
        "processes": set(foreign_processes()),
    }


def sysctls():
    """Yield name=value for every readable sysctl that holds still."""
    for path in Path("/proc/sys").rglob("*"):
        name = str(path)
        if path.is_file() and not any(part in name for part in RESTLESS):
            try:
                yield f"{name}={path.read_bytes()!r}"
            except OSError:
                continue


def foreign_processes():
    """Yield the ids of the processes that live in a PID, mount or network namespace other than this process's."""
    kinds = ("pid", "mnt", "net")
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            ended = "\nState:\tZ" in (path / "status").read_text()  # and whoever is its parent now has not looked yet
            if not ended and any(os.readlink(path / "ns" / kind) != ours[kind] for kind in kinds):
                yield int(path.name)
        except OSError:
            continue


def wait_for_ends(processes):
    """Wait for processes that are on their way out: the kernel tells by pidfd_open(2)."""
    for process in processes:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor):
            select.select([descriptor], [], [], 5)


@dataclass
class Operator:
    """Runs `invoke VERB ...` in a process of its own, with the lab's settings and a journal in `home`."""

    lab: Lab
    home: Path
    chef: ChefServer

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        """Run a verb to its end; its output is text. No test may see a traceback."""
        setting = {"KNIFE_HOME": str(self.lab.chef_dir), "STYPTIC_STATE": str(self.home / "journal.db")}
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=180, env={**os.environ, **setting, **environment},
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    def settings(self, name: str, url: str = goiardi.URL, key: Path | None = None) -> str:
        """Return a KNIFE_HOME of that name, with a cookbook_path of its own; for the lab's server unless told."""
        place = self.home / name
        place.mkdir(exist_ok=True)
        (place / "config.rb").write_text(
            f"chef_server_url '{url}'\nnode_name 'admin'\nclient_key '{key or self.lab.chef_dir / 'admin.pem'}'\n"
            f"knife[:ssh_config] = '{RUN / 'ssh_config'}'\ncookbook_path ['{place / 'cookbooks'}']\n"
        )
        return str(place)

    def uploaded(self) -> dict[str, list[str]]:
        """Return the versions of the cookbook on the server, each with its files' checksums."""
        found = {}
        for version in cookbook.versions(self.chef, COOKBOOK):
            there = self.chef.get(f"/cookbooks/{COOKBOOK}/{version}")
            lists = [files for files in there.values() if isinstance(files, list)]
            found[version] = sorted(file["checksum"] for files in lists for file in files)
        return found

    def paper(self, name: str, environment: str, automatic: dict, run_list: Sequence[str] = ()) -> None:
        """Put a node on the Chef server that stands nowhere else."""
        self.chef.post("/nodes", {
            "name": name, "chef_environment": environment, "json_class": "Chef::Node", "chef_type": "node",
            "automatic": automatic, "normal": {}, "default": {}, "override": {}, "run_list": list(run_list),
        })

    def indexed(self, *names: str) -> None:
        """Wait until the server's search finds these nodes: goiardi answers a save before it has indexed it."""
        end = time.monotonic() + 10
        query = " OR ".join(f"name:{name}" for name in names)
        while {row["name"] for row in search.partial(self.chef, "node", query, {"name": ("name",)})} != set(names):
            assert time.monotonic() < end, f"the search does not find {names}"

    def environment(self, name: str, **pins: str) -> None:
        """Make a Chef environment with these cookbook versions pinned."""
        self.chef.post("/environments", {
            "name": name, "json_class": "Chef::Environment", "chef_type": "environment", "cookbook_versions": pins,
        })

    def patch(self, *words: str) -> tuple[subprocess.CompletedProcess, dict[str, dict]]:
        """Run `invoke patch --yes` for LAB-CURRENT and Heartbleed; return it and its report's nodes by name."""
        return self.reported("patch", "--yes", *words)

    def verify(self, *words: str) -> tuple[subprocess.CompletedProcess, dict[str, dict]]:
        """Run `invoke verify` likewise."""
        return self.reported("verify", *words)

    def reported(
        self, verb: str, *words: str, **environment: str
    ) -> tuple[subprocess.CompletedProcess, dict[str, dict]]:
        report = self.home / "report"
        advisories = ("--advisory", str(self.lab.advisory), "--advisory", "CVE-2014-0160")
        file = report / "report.json"
        file.unlink(missing_ok=True)
        done = self.run(verb, *advisories, "--report", str(report), *words, **environment)
        nodes = json.loads(file.read_text())["nodes"] if file.exists() else []
        return done, {node["name"]: node for node in nodes}

    def sh(self, name: str, script: str) -> str:
        """Run a shell script on a node, past SSH; return what it printed. The script must succeed."""
        done = self.lab.exec(name, ["sh", "-ec", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def versions(self, name: str) -> str:
        """Return a node's own list of OpenSSL packages."""
        return self.sh(name, "dpkg-query -W 'openssl' 'libssl*'")

    def master(self, name: str) -> str:
        """Return the PID of a node's nginx master process."""
        return self.sh(name, "cat /run/nginx.pid").strip()


@pytest.fixture(scope="module")
def operator(lab, tmp_path_factory):
    """Return somebody who runs verbs against the lab as users run them."""
    with registry.connect() as chef:
        yield Operator(lab, tmp_path_factory.mktemp("operator"), chef)


@pytest.fixture(scope="module")
def uploads(operator):
    """Take the versions of the cookbook that a module's tests upload off the server again."""
    before = operator.uploaded()
    yield
    for version in operator.uploaded().keys() - before.keys():
        operator.chef.delete(f"/cookbooks/{COOKBOOK}/{version}")


@pytest.fixture(scope="session")
def pushed(lab, tmp_path_factory):
    """Push the cookbook as it is now, once for all modules; return the cookbook_path it was rendered to, its version.
    """
    with registry.connect() as chef:
        operator = Operator(lab, tmp_path_factory.mktemp("pushed"), chef)
        before, home = operator.uploaded(), operator.settings("pushed")
        advisories = ("--advisory", str(lab.advisory), "--advisory", "CVE-2014-0160")
        done = operator.run("push", *advisories, "--accept-unpinned", KNIFE_HOME=home)
        assert done.returncode == 0, done.stdout + done.stderr
        version = done.stdout.split()[1].rstrip(":")
    yield Path(home, "cookbooks"), version
    if USE_CURRENT and version not in before:
        with registry.connect() as chef:
            chef.delete(f"/cookbooks/{COOKBOOK}/{version}")


@pytest.fixture(scope="module")
def environment(operator, pushed, uploads, request):
    """Return an environment, named as the module, whose nodes get the cookbook as it is now and no other.

    The settings of that name have it in their cookbook_path.
    """
    name = request.module.__name__.rpartition("test_")[2]
    place, version = pushed
    shutil.copytree(place, Path(operator.settings(name), "cookbooks"))
    operator.environment(name, **{COOKBOOK: f"= {version}"})
    yield name
    operator.chef.delete(f"/environments/{name}")


@pytest.fixture(scope="module")
def old_systemd(operator, environment):
    """Have its nodes take their systemd for one older than the first whose logind may be restarted."""
    old = {"openssl_patch": {"services": {"systemd-logind": {"systemd": 9999}}}}
    there = operator.chef.get(f"/environments/{environment}")
    operator.chef.put(f"/environments/{environment}", there | {"default_attributes": old})


@pytest.fixture(scope="module")
def rollouts(operator, environment):
    """Return what patches the module's environment of two: a node that is in order and `victim`."""
    from tests.lab import faults  # once its asserts are registered, see above

    with faults.two(operator, environment) as them:
        yield them


@pytest.fixture
def victim(rollouts):
    """Return a new node of that environment, for a fault to be done to it."""
    from tests.lab import faults

    with faults.added(rollouts.operator, rollouts.environment.replace("_", "-"), rollouts.environment) as node:
        yield node


@pytest.fixture(scope="module")
def leaking(operator):
    """Return LAB-CURRENT as an advisory by which memory leaked."""
    text = operator.lab.advisory.read_text()
    path = operator.home / "lab-leaks.toml"
    path.write_text(text if "[leaks]" in text else text.replace("\n[[fixed]]", LEAK, 1))
    return path


@pytest.fixture(scope="module")
def added(operator, environment):
    """Return what adds a node, of a name, base and init, to that environment and takes it away again."""

    @contextlib.contextmanager
    def add(name: str, base: str, init: str, environment: str = environment):
        operator.lab.add(name, base=base, init=init, environment=environment)
        try:
            yield Witness(operator.lab, name)
        finally:
            operator.lab.remove(name)

    return add
