"""The nodes as Ansible's inventory: JSON, in which nothing that a node says of itself can mean more than a word."""

import json
import re
from collections.abc import Sequence

from fleet.errors import SettingsError
from fleet.node import Node
from fleet.ssh_settings import SshSettings, is_address
from generator.shell import join

# Ansible reads `web[1:9]` as nine hosts, `web:22` as a port, and `{{ ... }}` as a template, which runs right here.
PLAIN = re.compile(r"[A-Za-z0-9_.-]")


def ansible(nodes: Sequence[Node], ssh: SshSettings) -> tuple[str, list[str]]:
    """Return the inventory and a sentence for each node that is left out of it: one without an address that is one.

    Each node stands in `all`, and in a group of its environment (env_production). `ssh` is what was said about how they
    are reached; what it does not say is left to ssh(1).
    """
    hosts, groups, left_out = {}, {}, []
    for node in nodes:
        if not node.address or not is_address(node.address):
            left_out.append(f"{node.name} is left out: the Chef server has no address for it that could be one.")
            continue
        name = word(node.name)
        if name in hosts:
            left_out.append(f"{node.name} is left out: another node is called {name} too, once it is escaped.")
            continue
        hosts[name] = {"ansible_host": node.address}
        groups.setdefault(group(node.environment), {"hosts": {}})["hosts"][name] = {}
    tree = {"all": {"hosts": hosts, "children": groups, "vars": variables(ssh)}}
    return json.dumps(tree, indent=2, sort_keys=True) + "\n", left_out


def word(name: str) -> str:
    """Return a node's name as a host of Ansible's: every other character than these becomes _x and its number, hex."""
    escaped = "".join(char if PLAIN.fullmatch(char) else f"_x{ord(char):x}" for char in name)
    return escaped if escaped[:1].isalnum() else f"node{escaped}"


def group(environment: str) -> str:
    """Return an environment's name as a group, of letters, digits and underscores alone: prod-eu is env_prod_x2deu."""
    return "env_" + re.sub(r"[^A-Za-z0-9_]", lambda char: f"_x{ord(char[0]):x}", environment)


def variables(ssh: SshSettings) -> dict[str, object]:
    """Return Ansible's names for what was said about SSH: ansible.builtin.ssh, its options."""
    said: dict[str, object] = {}
    if ssh.user:
        said["ansible_user"] = ssh.user
    if ssh.port:
        said["ansible_port"] = ssh.port
    if ssh.identity_file:
        said["ansible_ssh_private_key_file"] = str(ssh.identity_file)
    options = ["-F", str(ssh.config)] if ssh.config else []
    if ssh.gateway:
        jumps = (f"{jump}:{jump.port}" if jump.port else str(jump) for jump in ssh.gateway)
        options += ["-o", f"ProxyJump={','.join(jumps)}"]
    if options:
        said["ansible_ssh_common_args"] = join(options)
    if templated := next((value for value in said.values() if "{{" in str(value) or "{%" in str(value)), None):
        raise SettingsError(f"{templated!r} would be a template to Ansible: give SSH another name for it.")
    return said
