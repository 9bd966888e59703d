"""`invoke plan`: what patch would do; changes nothing anywhere and connects to no node."""

from collections.abc import Iterator, Sequence

from fleet.cli import verb
from fleet.plan import Plan, course
from fleet.settings import Settings
from fleet.text import clean
from fleet.verbs import shared

OWN = {
    "via": "Plan for patch --via: chef (the default), shell or chef-server",
    "full_run": "Plan for whole run lists, as patch --full-run",
    "include_unknown": "Plan for nodes too of which the advisories cannot say whether they are vulnerable",
}


@verb(help=shared.WHOM | shared.WHICH | shared.WAVES | OWN, short=shared.short(shared.WHOM), iterable=["advisory"])
def plan(context, env=None, query=None, advisory=None, latest=False, address_attribute=None, limit=None, profile=None,
         full_run=False, include_unknown=False, waves=None, max_failures=None, max_unreachable=None, spread_by=None,
         max_per_group=None, via=None):
    """
    Show what patch would do. Changes nothing: no file, no upload, no connection to a node.

    invoke plan --env production --advisory CVE-2014-0160

    Shows the cookbook that would be pushed, pins and unpinned nodes that stand in its way, the waves and what would
    stop them, the nodes of each with what search data says of them, and those that would be left out and why. A node
    that turns out to need nothing gives its place in a wave to the next.
    """
    settings = shared.settings_of(context, {
        "env": env, "query": query, "advisory": advisory, "latest": latest, "address_attribute": address_attribute,
        "limit": limit, "profile": profile, "full_run": full_run, "include_unknown": include_unknown,
        "waves": waves, "max_failures": max_failures, "max_unreachable": max_unreachable, "spread_by": spread_by,
        "max_per_group": max_per_group, "via": via,
    })
    advisories = shared.advisories_of(settings)
    with shared.shop(settings) as shop:
        found = shared.nodes_of(shop.server, settings, advisories)
        from fleet import plan as planning
        from fleet import push

        made = planning.make(found, advisories, settings)
        for line in shared.heading(shop.server, settings, made, advisories):
            print(line)
        if settings.via != "shell":
            for line in cookbook(shop, advisories, sorted(push.served(made.asked, settings))):
                print(line)
    for line in nodes(made, settings):
        print(line)


def cookbook(shop, advisories: Sequence, environments: Sequence[str]) -> Iterator[str]:
    """Yield what pushing would mean: version, upload, pins, unpinned nodes."""
    from fleet import push
    from fleet.chef import pins

    path = push.destination(shop.config)
    rendered, there = push.foreseen(shop.server, advisories, path, environments)
    yield f"cookbook     {rendered.name} {rendered.version}, {'is on the server' if there else 'would be uploaded'}"
    if rendered.changed:
        yield f"             {path} would be rendered anew"
    for environment in environments:
        if pin := pins.constraint(shop.server, environment, push.COOKBOOK):
            blocks = "" if pins.allows(pin, rendered.version) else f", so patch would refuse to push {rendered.version}"
            yield f"pin          {clean(environment)}: {clean(str(pin))}{blocks}"
    unpinned = [] if there else pins.unpinned_nodes(shop.server, push.COOKBOOK, rendered.version)
    if unpinned:
        yield f"unpinned     {len(unpinned)} nodes would converge the upload by themselves: {push.in_words(unpinned)}"
        yield "             pin the cookbook in their environments, or patch with --accept-unpinned"


def nodes(made: Plan, settings: Settings) -> Iterator[str]:
    """Yield each node in the order it would be asked, then those left out, with what search data says of each."""
    for wave in course(made, settings).waves:
        heading = "canary" if wave.canary else f"wave {wave.number}"
        for number, node in enumerate(wave.nodes):
            verdict = made.verdicts[node.name]
            described = f"{node.platform or 'platform unknown'} {node.release or ''}".strip()
            group = f"  {clean(settings.spread_by, 60)} {clean(node.group or 'none', 60)}" if settings.spread_by else ""
            said = f"{verdict.kind} as of its last chef-client run: {clean(verdict.reason)}"
            yield f"{'' if number else heading:12} {clean(node.name, 100)}  {clean(described, 60)}{group}  {said}"
    for number, outcome in enumerate(made.left_out):
        record = outcome.record
        why = record.error or made.verdicts[record.name].reason
        yield f"{'left out' if number == 0 else '':12} {clean(record.name, 100)}  {record.state}: {clean(why)}"
