"""The lab: a Chef server and nodes that come up together and go down together."""

import contextlib
import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from generator.errors import StypticError
from lab import advisory, bases, cgroups, holder, host, inside, keys, legacy, lock, mirror, network, power, registry
from lab.host import ROOT, RUN, LabError
from lab.node import LabNode

STATE = RUN / "lab.json"
SYSTEMD_NODES = 20  # more of them need fs.inotify.max_user_instances raised, and that is the machine's

#: Name, base, init, environment of the nodes that a lab comes up with.
FLEET = (
    ("web1", "web", "systemd", "production"),
    ("web2", "web", "sysv", "production"),
    ("legacy1", "legacy", "sysv", "production"),
    ("staging1", "web", "sysv", "staging"),
)


@dataclass
class Lab:
    """The lab that is up: `Lab.up()` makes it, `Lab.current()` finds it.

    `holder` is the process it lives and dies with, `nodes` is name to LabNode, `advisory` the file of LAB-CURRENT, and
    `chef_dir` a directory that KNIFE_HOME can name.
    """

    holder: int
    nodes: dict[str, LabNode]
    roots: dict[str, Path]
    repository: Path
    advisory: Path = RUN / "LAB-CURRENT.toml"
    chef_dir: Path = registry.DIRECTORY

    @classmethod
    def up(cls, more: int = 0) -> "Lab":
        """Bring a lab up, with `more` light nodes in production beside the usual ones, and return it.

        Builds what the cache does not have. Raises LabError if a lab is up already, or where none can be had.
        """
        host.require()
        with lock.held() as descriptor:
            clear()
            network.check_free()
            apt, roots, repository = host.with_fresh_lists(material)
            for directory in (RUN, RUN / "log", RUN / "identity", RUN / "nodes", RUN / "goiardi"):
                directory.mkdir(mode=0o700)
            try:
                pid, eyes = holder.start(descriptor)
                with eyes:
                    lab = cls(pid, {}, roots, repository)
                    network.lay_cable(pid)
                    registry.settle()
                    keys.make_ssh(RUN / "key", "styptic-lab")
                    extra = [(f"light{number}", "light", "sysv", "production") for number in range(1, more + 1)]
                    lab._add([*FLEET, *extra])
                    lab.advisory.write_text(advisory.text(apt))
                    link_knife()
                    eyes.write(holder.UP)
            except BaseException:
                clear()
                raise
        return lab

    @classmethod
    def current(cls) -> "Lab":
        """Return the lab that is up. Raises LabError when there is none."""
        try:
            said = json.loads(STATE.read_text())
        except FileNotFoundError:
            raise LabError("no lab is up; `invoke lab.up` brings one up.") from None
        if not cgroups.holds("holder", said["holder"]):
            raise LabError("the lab that was up has been killed; `invoke lab.up` brings a new one up.")
        nodes = {node["name"]: LabNode(**node) for node in said["nodes"]}
        return cls(said["holder"], nodes, {name: Path(root) for name, root in said["roots"].items()},
                   Path(said["repository"]))

    def exec(self, name: str, argv: Sequence[str], **options) -> subprocess.CompletedProcess:
        """Run a command in a node as root, past SSH; `options` are subprocess.run's. Raises LabError."""
        power.process_of(self.node(name))
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                 "LANG=C.UTF-8"]
        return subprocess.run([*inside.within(self.nodes[name]), *clean, *argv], **{"check": False, **options})

    def node(self, name: str) -> LabNode:
        """Return a node by its name. Raises LabError, naming those there are."""
        if name not in self.nodes:
            raise LabError(f"the lab has no node {name!r}; it has {', '.join(sorted(self.nodes))}.")
        return self.nodes[name]

    def add(self, name: str, *, base: str = "light", init: str = "sysv", environment: str = "production") -> LabNode:
        """Start one more node and register it on the Chef server. Raises LabError for a name that is taken."""
        with self._changing():
            self._add([(name, base, init, environment)])
        return self.nodes[name]

    def add_light(self, names: Sequence[str], environment: str) -> None:
        """Start many light nodes under sysv init together, which takes a tenth of one after the other."""
        with self._changing():
            self._add([(name, "light", "sysv", environment) for name in names])

    def remove(self, *names: str) -> None:
        """End nodes and take them off the Chef server."""
        with self._changing():
            self._drop([self.node(name) for name in names])

    def reset(self, name: str) -> None:
        """Drop all that was done to a node, there and on the Chef server; it keeps its name, keys and address."""
        with self._changing():
            node = self.node(name)
            inside.ask(self.holder, "stop", [node])
            registry.reset([node], self.roots)
            self._start([node])

    def power_off(self, name: str) -> None:
        """Cut a node's power at once; its disk stays as it is at that moment. Raises LabError."""
        power.off(self.holder, self.node(name))

    def power_on(self, name: str) -> None:
        """Boot a node that is off as its disk is, and wait until it answers. Raises LabError for one that is on."""
        with self._changing():
            power.on(self.holder, self.node(name), str(self.repository))

    def rebooting(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Return a context in which something has a node reboot; it ends once the node has, and answers."""
        return power.rebooting(self.node(name))

    def unplug(self, name: str) -> None:
        """Pull a node's network cable; the node runs on and keeps its address. Raises LabError for one that is off."""
        self._plug(name, up=False)

    def plug(self, name: str) -> None:
        """Plug a node's network cable in again. Raises LabError for one that is off, whose next boot does it."""
        self._plug(name, up=True)

    def down(self) -> None:
        """End the lab and all that is in it."""
        down()

    def _add(self, wanted: Sequence[tuple[str, str, str, str]]) -> None:
        nodes = []
        for name, base, init, environment in wanted:
            if name in self.nodes:
                raise LabError(f"the lab has a node {name} already.")
            address = network.free_address(node.address for node in (*self.nodes.values(), *nodes))
            nodes.append(LabNode(name, base, init, environment, address))
        if sum(node.init == "systemd" for node in (*self.nodes.values(), *nodes)) > SYSTEMD_NODES:
            raise LabError(f"the lab takes {SYSTEMD_NODES} nodes under systemd and not one more: add sysv ones.")
        for base in {node.base for node in nodes} - {name for name, root in self.roots.items() if root.is_dir()}:
            self.roots[base] = host.with_fresh_lists(partial(bases.build_rare, base))
        self.nodes |= {node.name: node for node in nodes}
        host.say(f"starting {', '.join(node.name for node in nodes)}")
        try:
            for node in nodes:
                node.identity.mkdir()
                keys.make_ssh(node.identity / keys.HOST, node.name)
                keys.make_chef(node.identity / "client.pem")
            registry.register(nodes, self.roots)
            self._start(nodes)
            self._write()
        except BaseException:
            with contextlib.suppress(StypticError, OSError):
                self._drop(nodes)
            raise

    def _plug(self, name: str, up: bool) -> None:
        power.process_of(self.node(name))
        network.plug(self.holder, self.nodes[name].address, up)

    def _start(self, nodes: Sequence[LabNode]) -> None:
        roots = {name: str(root) for name, root in self.roots.items()}
        inside.ask(self.holder, "start", nodes, roots=roots, repository=str(self.repository))

    def _drop(self, nodes: Sequence[LabNode]) -> None:
        inside.ask(self.holder, "stop", nodes)
        registry.forget(nodes)
        for node in nodes:
            shutil.rmtree(node.identity, ignore_errors=True)
            del self.nodes[node.name]
        self._write()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one process at a time change the lab, each knowing what the one before it did."""
        with (RUN / "change.lock").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            now = Lab.current()
            self.nodes, self.roots = now.nodes, now.roots
            yield

    def _write(self) -> None:
        """Write the state, and what ssh(1) and asyncssh need to reach the nodes."""
        nodes = self.nodes.values()
        hosts = [f"Host {node.name}\n  HostName {node.address}\n" for node in nodes]
        every = (f"Host *\n  User root\n  IdentityFile {RUN}/key\n  IdentitiesOnly yes\n"
                 f"  UserKnownHostsFile {RUN}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
                 "  StrictHostKeyChecking yes\n")
        known = [f"{node.address},{node.name} {(node.identity / f'{keys.HOST}.pub').read_text()}" for node in nodes]
        state = {
            "holder": self.holder, "checkout": str(ROOT), "repository": str(self.repository),
            "roots": {name: str(root) for name, root in self.roots.items()}, "nodes": [asdict(node) for node in nodes],
        }
        for name, text in {"ssh_config": "".join([*hosts, every]), "known_hosts": "".join(known),
                           STATE.name: json.dumps(state, indent=2)}.items():
            inside.put(RUN, f"{name}.new", text, 0o600)  # whatever the umask: nobody trusts what others may write
            (RUN / f"{name}.new").rename(RUN / name)


def material() -> tuple[mirror.Mirror, dict[str, Path], Path]:
    """Return what a lab is made of: the mirror as read now, the bases by name, and the nodes' own repository.

    Builds what the cache does not have. Raises LabError.
    """
    host.tools()
    apt = mirror.read(bases.packages())
    roots = bases.build(apt)
    return apt, roots, mirror.repository(apt, legacy.packages(roots["light"]))


def down() -> bool:
    """End the lab that is up, or clean up after one that was killed. Returns False if there was neither.

    Raises LabError while another process is bringing one up.
    """
    descriptor = lock.take(wait=False)
    if descriptor is None and not STATE.exists():
        raise LabError(f"a lab is just coming up ({lock.owner()}): wait for it, or end that process.")
    found = descriptor is None or RUN.exists()
    if descriptor is None:
        holder.end(json.loads(STATE.read_text())["holder"])
        descriptor = lock.take(wait=True)
    clear()
    lock.drop(descriptor)
    return found


def sweep() -> None:
    """Clear what a lab left that was killed. A lab that is up, or on its way, is left alone."""
    descriptor = lock.take(wait=False)
    if descriptor is not None:
        clear()
        lock.drop(descriptor)


def clear() -> None:
    """Remove whatever a lab left, with the lock held."""
    network.cut_cable()
    cgroups.remove(cgroups.top())
    if STATE.exists():
        link = Path(json.loads(STATE.read_text())["checkout"], ".chef")
        if link.is_symlink() and link.readlink() == registry.DIRECTORY:
            link.unlink()
    shutil.rmtree(RUN, ignore_errors=True)


def link_knife() -> None:
    """Let knife's settings be found from the checkout: .chef, unless the user has one there."""
    link = ROOT / ".chef"
    if link.is_symlink() and link.readlink() == registry.DIRECTORY:
        return
    if link.exists() or link.is_symlink():
        host.say(f"{link} is left as it is; say KNIFE_HOME={registry.DIRECTORY} to talk to the lab")
    else:
        link.symlink_to(registry.DIRECTORY)
