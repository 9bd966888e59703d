"""Which chef-client the lab's nodes get: the machine's own, else one that `gem install` brings, else the stand-in.

A base is built with one of the first two, or without; a node without one gets the stand-in of lab/chef_client, mounted
from the checkout.
"""

import shutil
from pathlib import Path

from lab import host

STANDIN = Path(__file__).parent / "chef_client"
#: Where the packages of Chef and of Cinc put everything: https://docs.chef.io/chef_client_security/, https://cinc.sh/
HOMES = {"chef-client": Path("/opt/chef"), "cinc-client": Path("/opt/cinc")}
#: Seconds that the gem server has for an answer.
PATIENCE = 10

#: Run inside a base. $PATIENCE seconds decide whether there is a gem server at all; the rest may take minutes.
INSTALL_GEM = f"""
timeout {PATIENCE} gem list --remote --exact chef-bin 2>/dev/null | grep -q '^chef-bin '
apt-get -qq install --no-install-recommends ruby-dev gcc make libc6-dev libffi-dev
gem install --no-document --bindir /usr/bin chef-bin
chef-client --version
"""
LINK_STANDIN = "ln -sf /opt/chef-client/chef-client /usr/bin/chef-client"


def packages() -> tuple[str, ...]:
    """Return the Debian packages that the stand-in runs on; a real one is installed with the ruby among them."""
    return tuple((STANDIN / "packages.txt").read_text().split())


def machines() -> Path | None:
    """Return the chef-client or cinc-client on this machine's PATH, if it is one that can be copied whole."""
    for name, home in HOMES.items():
        found = shutil.which(name)
        if found and Path(found).resolve().is_relative_to(home):
            return Path(found).resolve()
    return None


def passed_over() -> str | None:
    """Say which chef-client on this machine's PATH the nodes do not get, and why; None where there is no such one."""
    if machines():
        return None
    for name in HOMES:
        if found := shutil.which(name):
            places = " or ".join(map(str, HOMES.values()))
            return f"{found} is not in {places}, so it cannot be copied into the nodes: they get another chef-client"
    return None


def described() -> str:
    """Return what tells one choice from another: the machine's client and its version, or that there is none."""
    found = machines()
    if not found:
        return "none on the machine"
    return host.run(found, "--version")


def copy_machines(root: Path) -> bool:
    """Copy the machine's own chef-client into a root file system; False where the machine has none."""
    found = machines()
    if not found:
        return False
    home = HOMES[found.name]
    host.run("cp", "-a", home, root / "opt")
    (root / "usr/bin" / found.name).symlink_to(found)
    return True
