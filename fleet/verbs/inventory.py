"""`invoke inventory`: the nodes of the Chef server's search as another tool's inventory; connects to none of them."""

import sys

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.text import clean
from fleet.verbs import shared

OWN = {"limit": "At most this many nodes, by name", "format": "ansible"}
REACH = {name: shared.SSH[name] for name in ("ssh_user", "ssh_identity_file", "ssh_port", "ssh_gateway", "ssh_config")}


@verb(help=shared.WHOM | REACH | OWN, short=shared.short(shared.WHOM, REACH))
def inventory(
    context, env=None, query=None, address_attribute=None, limit=None, profile=None, format="ansible", ssh_user=None,
    ssh_identity_file=None, ssh_port=None, ssh_gateway=None, ssh_config=None,
):
    """
    Print the nodes that the Chef server's search finds as an inventory for ansible-playbook. Connects to no node.

    invoke inventory --env production --format ansible > inventory.json

    Each node is a host of that name in the group of its environment (env_production). Characters that Ansible would
    read something into become _x and their number; a node without an address is left out, with a sentence on stderr.
    """
    if format != "ansible":
        raise SettingsError(f"--format: {clean(format)!r} is not ansible, the only one there is.")
    settings = shared.settings_of(context, {
        "env": env, "query": query, "address_attribute": address_attribute, "limit": limit, "profile": profile,
        "ssh_user": ssh_user, "ssh_identity_file": ssh_identity_file, "ssh_port": ssh_port, "ssh_gateway": ssh_gateway,
        "ssh_config": ssh_config,
    })
    from fleet import inventory as listing
    from fleet.ssh_settings import settings_for

    with shared.shop(settings) as shop:
        found = shared.nodes_of(shop.server, settings)[: settings.limit]
        text, left_out = listing.ansible(found, settings_for(settings, shop.config.knife))
    for sentence in left_out:
        print(clean(sentence), file=sys.stderr)
    print(text, end="")
