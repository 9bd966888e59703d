"""`invoke push`: the cookbook on the Chef server, and no node touched."""

from fleet.cli import verb
from fleet.verbs import shared

HELP = {
    "env": "Environment that must get this version: a pin that holds another one is an error",
    "accept_unpinned": "Upload although nodes that run the recipe unpinned will converge it by themselves",
    "profile": shared.WHOM["profile"],
}


@verb(help=shared.WHAT | HELP, iterable=["advisory"])
def push(context, env=None, advisory=None, accept_unpinned=False, profile=None):
    """
    Render the cookbook for these advisories and upload it, frozen. Touches no node.

    invoke push --env production --advisory CVE-2014-0160

    Sends only what the server lacks and never overwrites a version with other content. Stops before the upload where
    nodes run the recipe without a pin, because they would converge it within half an hour, outside every wave.
    """
    settings = shared.settings_of(context, {
        "env": env, "advisory": advisory, "accept_unpinned": accept_unpinned, "profile": profile,
    }, whom=False)
    advisories = shared.advisories_of(settings)
    from fleet import push as pushing
    from fleet.chef import search

    with shared.shop(settings) as shop:
        if settings.environment:
            search.check_environment(shop.server, settings.environment)
        environments = [settings.environment] if settings.environment else []
        done = pushing.push(shop.server, shop.config, advisories, environments, settings.accept_unpinned)
        print(pushed(done, shop.server.url))


def pushed(done, url: str) -> str:
    """Return what a push did, in one line."""
    how = f"uploaded to {url}, {done.files} files sent" if done.changed else f"already on {url}"
    return f"{done.name} {done.version}: {how}"
