"""The root file systems the lab's nodes start from: built by mmdebstrap once, keyed by what goes into them."""

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import client, full, host, legacy, rhel
from lab.host import LabError
from lab.mirror import Mirror, read

#: Namespaces of its own: a build that is killed, or whose lab is, leaves neither a mount nor a process, see setpriv(1).
SHELTER = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL",
           "--propagation", "private")

COMMON = (
    "openssl", "openssh-server", "sudo", "procps", "iproute2", "lsb-base", "sysvinit-utils",
    "systemd", "systemd-sysv", "dbus",
)
WEB = ("nginx", "ssl-cert", "lsof", "curl")
PYTHON = ("python3", "python3-apt")  # what Ansible and Salt need on a node

NGINX = """server {
    listen 443 ssl;
    ssl_certificate /etc/ssl/certs/ssl-cert-snakeoil.pem;
    ssl_certificate_key /etc/ssl/private/ssl-cert-snakeoil.key;
    root /var/www/html;
}
"""

SETTLE = r"""
useradd --create-home --shell /bin/bash ops
useradd --create-home --shell /bin/bash locked
echo 'locked:locked' | chpasswd
echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops
echo 'locked ALL=(ALL) ALL' > /etc/sudoers.d/locked
chmod 440 /etc/sudoers.d/ops /etc/sudoers.d/locked
rm -f /etc/ssh/ssh_host_* /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*_* /etc/machine-id
: > /etc/machine-id
echo 'deb [trusted=yes] file:///srv/repo/current ./' > /etc/apt/sources.list.d/lab.list
cat > /etc/ssh/sshd_config.d/lab.conf <<'C'
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
C
# Units that want hardware, a console or a network beyond the lab's.
for unit in systemd-networkd systemd-resolved systemd-timesyncd systemd-udevd systemd-firstboot \
    systemd-pcrphase-sysinit apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap fstrim.timer \
    getty@tty1 console-getty; do
    systemctl mask --quiet "$unit" 2>/dev/null || true
done
"""


@dataclass(frozen=True, slots=True)
class Base:
    """A base: the services its nodes start under sysv init, the ports these listen on, the packages beside COMMON.

    `rare` ones are built when a node first wants them, the others with the lab. `settle` is run in it, in a shell, and
    `turn` after all else, where it becomes another distribution. `update` is what a new node reads its mirror with.
    """

    name: str
    services: tuple[str, ...]
    ports: tuple[int, ...] = ()
    extra: tuple[str, ...] = ()
    settle: str = ""
    turn: str = ""
    update: tuple[str, ...] = ("apt-get", "-qq", "update")
    rare: bool = False


BASES = {
    base.name: base
    for base in (
        Base("light", ("ssh",), (22,), ("rubocop",)),
        Base("web", ("ssh", "nginx"), (22, 443), WEB),
        Base("managed", ("ssh", "nginx"), (22, 443), (*WEB, *PYTHON), rare=True),
        Base("legacy", ("ssh", "stunnel4"), (22, 7443)),
        Base("full", ("ssh", *full.SERVICES), (22, *full.PORTS), full.PACKAGES, full.SETTLE, rare=True),
        Base("rhel", ("sshd", *rhel.SERVICES), (22, *full.PORTS), rhel.PACKAGES, rhel.SETTLE, rhel.TURN, (), rare=True),
    )
}


def build(mirror: Mirror) -> dict[str, Path]:
    """Return base name to root file system, building what the cache does not have of all but the rare ones.

    Raises LabError with the reason.
    """
    if passed_over := client.passed_over():
        host.say(passed_over)
    roots = {name: directory(base, mirror) for name, base in BASES.items()}
    missing = [name for name, root in roots.items() if not BASES[name].rare and not root.is_dir()]
    if missing:
        tell_of(missing, mirror)
        for stale in set((host.cache() / "bases").glob("*")) - set(roots.values()):
            shutil.rmtree(stale)
        with ThreadPoolExecutor() as pool:
            clients = pool.map(lambda name: bootstrap(BASES[name], mirror, roots[name]), set(missing) - {"legacy"})
            for client_is in set(clients):
                host.say(f"chef-client in the nodes: {client_is}")
        if "legacy" in missing:
            derive_legacy(roots["light"], roots["legacy"])
    return {name: root for name, root in roots.items() if root.is_dir()}


def build_rare(name: str) -> Path:
    """Return the root file system of a base that a node is the first to want. Raises LabError with the reason."""
    mirror = read(packages())
    root = directory(BASES[name], mirror)
    if not root.is_dir():
        tell_of([name], mirror)
        bootstrap(BASES[name], mirror, root)
    return root


def tell_of(missing: Sequence[str], mirror: Mirror) -> None:
    """Say what is built now, where minutes may pass."""
    what = f"the base {missing[0]}" if len(missing) == 1 else f"the bases {', '.join(missing)}"
    host.say(f"building {what} of {mirror.codename} (minutes; kept in {host.cache()})")


def included(base: Base) -> tuple[str, ...]:
    """Return the Debian packages that a base is built of, beside what they depend on."""
    return tuple(dict.fromkeys((*COMMON, *client.packages(), *base.extra)))


def packages() -> tuple[str, ...]:
    """Return the Debian packages of all bases."""
    return tuple(dict.fromkeys(name for base in BASES.values() for name in included(base)))


def directory(base: Base, mirror: Mirror) -> Path:
    """Return where a base stands, by a hash of all that goes into it: packages and their versions, settings.

    `mirror` was read for packages().
    """
    beside = {"legacy": [legacy.__file__], "full": [full.__file__], "rhel": [full.__file__, rhel.__file__]}
    modules = [__file__, client.__file__, *beside.get(base.name, [])]
    recipe = [Path(module).read_text() for module in modules]
    versions = [f"{name}={mirror.packages.get(name, '')}" for name in included(base)]
    key = host.fingerprint(*recipe, *versions, client.described(), mirror.source, mirror.library, mirror.older)
    return host.cache() / "bases" / f"{base.name}-{key}"


def bootstrap(base: Base, mirror: Mirror, target: Path) -> str:
    """Make a root file system with mmdebstrap(1), then the lab's users and settings in it; return its chef-client."""
    made = target.with_suffix(".new")
    shutil.rmtree(made, ignore_errors=True)
    made.parent.mkdir(parents=True, exist_ok=True)
    archives = host.cache() / "archives"
    archives.mkdir(exist_ok=True)
    inside = '"$1"/var/cache/apt/archives'
    options = [
        "--variant=minbase", "--mode=root", "--skip=essential/unlink", "--skip=cleanup/apt",
        f"--include={','.join(included(base))}",
        '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Check-Valid-Until "false"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
        f"--setup-hook=mkdir -p {inside}; cp -l {archives}/*.deb {inside}/ 2>/dev/null || true",
        f"--customize-hook=cp -n {inside}/*.deb {archives}/ || true; rm -f {inside}/*.deb",
    ]
    programs = host.tools() / "usr/bin"
    build = [*SHELTER, "--mount-proc", programs / "mmdebstrap", *options, mirror.codename, made, mirror.source]
    host.run(*build, env={"PATH": f"{programs}:{os.environ['PATH']}"})
    if "nginx" in base.services:
        (made / "etc/nginx/sites-available/default").write_text(NGINX)
    if base.settle:
        run_inside(made, base.settle)
    chosen = give_client(made)
    run_inside(made, SETTLE)  # last: it takes the way to the mirror away
    if base.turn:
        run_inside(made, base.turn)
    record_ohai(made)
    made.rename(target)
    return chosen


def derive_legacy(light: Path, target: Path) -> None:
    """Make the Debian-7-like base out of the light one."""
    made = target.with_suffix(".new")
    shutil.rmtree(made, ignore_errors=True)
    host.run("cp", "-a", "--reflink=auto", light, made)
    legacy.settle(made, legacy.packages(light))
    record_ohai(made)
    made.rename(target)


def give_client(root: Path) -> str:
    """Put a real chef-client into a base where one can be had, else the way to the stand-in; return which, in words."""
    if client.copy_machines(root):
        return f"this machine's own {client.machines()}"
    try:
        run_inside(root, client.INSTALL_GEM, network=True)
    except LabError:
        run_inside(root, client.LINK_STANDIN)
        return "the lab's stand-in, because no real one can be had here"
    return "the real one, from its gem"


def run_inside(root: Path, script: str, network: bool = False) -> str:
    """Run a shell script in a root file system, in namespaces of its own; return its output. Raises LabError."""
    alone = [] if network else ["--net"]
    return host.run(*SHELTER, *alone, "--uts", f"--mount-proc={root}/proc", "chroot", root, "/bin/sh", "-ec", script)


def record_ohai(root: Path) -> None:
    """Keep what ohai says of this base beside it in lab-ohai.json, so that a node is registered without a run."""
    attributes = ("platform", "platform_family", "platform_version", "os", "os_version", "kernel", "packages", "lsb",
                  "languages", "chef_packages", "shells")
    automatic = json.loads(run_inside(root, "ohai --log_level fatal 2>/dev/null"))
    (root / "lab-ohai.json").write_text(json.dumps({key: automatic[key] for key in attributes if key in automatic}))
