"""`invoke nodes`: what the Chef server knows of the nodes; connects to none of them."""

import sys
import time

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.text import aged, aligned, clean
from fleet.verbs import shared

OWN = {"limit": "At most this many nodes, by name", "format": "table or json"}


@verb(help=shared.WHOM | OWN, short=shared.short(shared.WHOM))
def nodes(context, env=None, query=None, address_attribute=None, limit=None, profile=None, format="table"):
    """
    List nodes as the Chef server's search knows them. Connects to no node.

    invoke nodes --env production
    invoke nodes --query 'platform:debian AND NOT tags:frozen' --format json

    Search data is as old as each node's last chef-client run: the last column says how old.
    """
    if format not in ("table", "json"):
        raise SettingsError(f"--format: {clean(format)!r} is neither table nor json.")
    settings = shared.settings_of(context, {
        "env": env, "query": query, "address_attribute": address_attribute, "limit": limit, "profile": profile,
    })
    with shared.shop(settings) as shop:
        found = shared.nodes_of(shop.server, settings)[: settings.limit]
    (as_json if format == "json" else as_table)(found)


def as_json(found) -> None:
    """Print the nodes as a JSON list with the fields of fleet.node.Node, but those that no flag here asks for."""
    import dataclasses
    import json

    said = [dataclasses.asdict(node) | {"packages": dict(node.packages)} for node in found]
    for each in said:
        for unasked in ("group", "host_keys", "rivals"):
            del each[unasked]
    json.dump(said, sys.stdout, indent=2)
    print()


def as_table(found) -> None:
    """Print the nodes as aligned columns."""
    rows = [("NODE", "ENVIRONMENT", "ADDRESS", "PLATFORM", "OPENSSL", "SEEN")]
    for node in found:
        packages = " ".join(f"{name}={version}" for name, version in sorted(node.packages.items()))
        platform = f"{node.platform or '-'} {node.release or ''}".strip()
        seen = aged(node.ohai_time, time.time())
        rows.append((node.name, node.environment, node.address or "-", platform, packages or "-", seen))
    for line in aligned(rows):
        print(line)
