"""`invoke render`: the cookbook from its templates; touches no server and no node."""

from fleet.cli import verb
from fleet.settings import file_of
from fleet.verbs import shared


@verb(help=shared.WHAT | {"path": "Directory of the cookbook (default: cookbooks/openssl_patch of this checkout)"},
      iterable=["advisory"])
def render(context, advisory=None, path=None):
    """
    Write the cookbook openssl_patch for these advisories. Touches no server and no node.

    invoke render
    invoke render --advisory CVE-2014-0160 --path ~/chef-repo/cookbooks/openssl_patch

    Writes nothing where nothing changed; changed content raises the cookbook's version and adds to its CHANGELOG.md.
    """
    settings = shared.settings_of(context, {"advisory": advisory}, whom=False)
    advisories = shared.advisories_of(settings)
    from fleet import push
    from generator import render as rendering

    destination = file_of(path, "--path") if path else push.CHECKOUT / "cookbooks" / push.COOKBOOK
    done = rendering.cookbook(advisories, destination)
    print(f"{done.name} {done.version}: {'written to' if done.changed else 'unchanged in'} {done.path}")
