"""What the lab tells its Chef server: environments, clients and node objects; and knife's settings for it."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

from fleet.chef import config
from fleet.chef.server import ChefServer
from fleet.errors import NotFoundError
from lab import events, goiardi, keys, network
from lab.host import RUN
from lab.node import LabNode

DIRECTORY = RUN / "chef"  # a KNIFE_HOME
ENVIRONMENTS = ("production", "staging")


def settle() -> None:
    """Wait until the Chef server answers, write knife's settings for it, and make the environments."""
    events.wait_port(network.CHEF, goiardi.PORT)
    DIRECTORY.mkdir()
    key = DIRECTORY / "admin.pem"
    keys.write(key, (goiardi.KEYS / "admin.pem").read_bytes())
    (DIRECTORY / "config.rb").write_text(
        "# The lab's Chef server; written by lab.up, gone with the lab.\n"
        f'chef_server_url "{goiardi.URL}"\n'
        'node_name "admin"\n'
        f'client_key "{key}"\n'
        f'knife[:ssh_config] = "{RUN / "ssh_config"}"\n'
        f'cookbook_path ["{RUN / "cookbooks"}"]\n'
    )
    (RUN / "cookbooks").mkdir()
    with connect() as server:
        for name in ENVIRONMENTS:
            environment(server, name)


def connect() -> ChefServer:
    """Return the lab's Chef server as its admin; a context manager."""
    return ChefServer(config.load(cwd=DIRECTORY, env={"KNIFE_HOME": str(DIRECTORY), "HOME": "/nonexistent"}))


def environment(server: ChefServer, name: str) -> None:
    """Make a Chef environment, unless there is one of that name."""
    if name not in server.get("/environments"):
        server.post("/environments", {
            "name": name, "description": "lab equipment", "json_class": "Chef::Environment", "chef_type": "environment",
        })


def register(nodes: Iterable[LabNode], roots: dict[str, Path]) -> None:
    """Make each node's client, with the public half of its key, and its node object."""
    with connect() as server:
        for node in nodes:
            public = (node.identity / "client.pub").read_text()
            server.post("/clients", {"name": node.name, "clientname": node.name, "public_key": public})
            server.post("/nodes", node_object(node, roots[node.base]))


def reset(nodes: Iterable[LabNode], roots: dict[str, Path]) -> None:
    """Make each node's object what it was when the node was new."""
    with connect() as server:
        for node in nodes:
            server.put(f"/nodes/{node.name}", node_object(node, roots[node.base]))


def forget(nodes: Iterable[LabNode]) -> None:
    """Remove each node's object and client, as far as they are there."""
    with connect() as server:
        for node in nodes:
            for kind in ("nodes", "clients"):
                try:
                    server.delete(f"/{kind}/{node.name}")
                except NotFoundError:
                    continue


def ssh_keys(node: LabNode) -> dict[str, str]:
    """Return what Ohai has of the node's sshd: the second word of each key's .pub (its plugin ssh_host_key)."""
    return {"host_ed25519_public": (node.identity / f"{keys.HOST}.pub").read_text().split()[1]}


def node_object(node: LabNode, root: Path) -> dict:
    """Return what chef-client would have saved after a first run with an empty run list."""
    automatic = json.loads((root / "lab-ohai.json").read_text())
    automatic |= {
        "fqdn": node.name, "hostname": node.name, "machinename": node.name, "ipaddress": node.address,
        "ohai_time": time.time(), "recipes": [], "roles": [], "keys": {"ssh": ssh_keys(node)},
    }
    return {
        "name": node.name, "chef_environment": node.environment, "json_class": "Chef::Node", "chef_type": "node",
        "automatic": automatic, "normal": {"tags": []}, "default": {}, "override": {}, "run_list": [],
    }
