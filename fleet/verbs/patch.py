"""`invoke patch`: the main job. `invoke verify`: its last step alone."""

from fleet.cli import verb
from fleet.verbs import shared

REPORT = {
    "report": "Directory for report.json and junit.xml",
    "quiet": "Show only the conclusion",
}
OWN = {
    "full_run": "Converge the whole run list instead of recipe[openssl_patch] alone",
    "include_unknown": "Patch nodes too of which the advisories cannot say whether they are vulnerable",
    "accept_unpinned": "Upload although nodes that run the recipe unpinned will converge it by themselves",
    "run_lock_timeout": "Seconds to wait for a chef-client that already runs on a node (default 600)",
    "yes": "Do not ask; without a terminal nothing is changed unless this is given",
}
LIVE = {"live": "Ask each node's TLS services from here too: protocol, certificate, Heartbleed itself"}


@verb(
    help=shared.WHOM | shared.WHAT | shared.SSH | OWN | REPORT, short=shared.short(shared.WHOM, shared.SSH),
    iterable=["advisory"],
)
def patch(
    context, env=None, query=None, advisory=None, limit=None, concurrency=None, address_attribute=None, full_run=False,
    include_unknown=False, accept_unpinned=False, ssh_user=None, ssh_identity_file=None, ssh_port=None,
    ssh_gateway=None, ssh_config=None, sudo=False, yes=False, report=None, run_lock_timeout=None, timeout=None,
    profile=None, quiet=False,
):
    """
    Patch OpenSSL on every node of an environment, and prove it.

    invoke patch --env production --advisory CVE-2014-0160 --report styptic-report
    invoke patch --query 'roles:web AND platform:debian' -x ops --sudo --yes

    Shows what it is about to do and asks first. Pushes the cookbook, patches a canary, then the rest; a canary that
    fails stops everything. Each node is asked before and after, over a fresh connection: it is good only if no OpenSSL
    package is vulnerable and no service still runs the old library.
    Exit codes: 0 all good, 2 a node is not, 3 stopped, 10 no node matched, 1 wrong usage.
    """
    settings, advisories = shared.told(**locals())
    from fleet import plan as planning
    from fleet import push
    from fleet.journal import Journal, default_path
    from fleet.verbs import rolling

    with Journal(default_path()) as journal:
        with shared.shop(settings) as shop:
            ways = rolling.ways(settings, shop.config)
            made = planning.make(shared.nodes_of(shop.server, settings), advisories, settings)
            shared.ask(shop.server, settings, made, advisories)
            pushed = None
            if environments := {node.environment for node in made.asked}:
                pushed = push.push(shop.server, shop.config, advisories, environments, settings.accept_unpinned)
            url = shop.server.url
        return rolling.roll(settings, ways, journal, url, advisories, made, pushed)


@verb(
    help=shared.WHOM | shared.WHAT | shared.SSH | LIVE | REPORT, short=shared.short(shared.WHOM, shared.SSH),
    iterable=["advisory"],
)
def verify(
    context, env=None, query=None, advisory=None, limit=None, concurrency=None, address_attribute=None, ssh_user=None,
    ssh_identity_file=None, ssh_port=None, ssh_gateway=None, ssh_config=None, sudo=False, live=False, report=None,
    timeout=None, profile=None, quiet=False,
):
    """
    Prove, without changing anything, that the nodes of an environment are patched.

    invoke verify --env production --advisory CVE-2014-0160 --report styptic-report
    invoke verify --env production --live

    Connects to each node, asks it for its packages and its stale processes, and runs tests/infra over the connection.
    With --live it also asks what answers TLS there from here, by sslyze (installed into .venv-live when first used).
    Exit codes: 0 all good, 2 a node is not, 10 no node matched, 1 wrong usage.
    """
    settings, advisories = shared.told(**locals())
    from fleet import plan as planning
    from fleet.journal import Journal, default_path
    from fleet.live import asker
    from fleet.verbs import rolling

    with Journal(default_path()) as journal:
        with shared.shop(settings) as shop:
            ways = rolling.ways(settings, shop.config)
            made = planning.make(shared.nodes_of(shop.server, settings), advisories, settings, converge=False)
            url = shop.server.url
        asks = asker() if settings.live else None
        return rolling.roll(settings, ways, journal, url, advisories, made, None, converge=False, asker=asks)
