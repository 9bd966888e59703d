"""`invoke patch`: the main job. `invoke verify`: its last step alone."""

from datetime import UTC, datetime

from fleet.cli import verb
from fleet.verbs import shared

REPORT = {
    "report": "Directory for report.json and junit.xml",
    "quiet": "Show only the conclusion",
}
OWN = {
    "via": "chef (chef-client changes the nodes, the default) or shell (a script over SSH, where none works)",
    "full_run": "Converge the whole run list instead of recipe[openssl_patch] alone",
    "include_unknown": "Patch nodes too of which the advisories cannot say whether they are vulnerable",
    "accept_unpinned": "Upload although nodes that run the recipe unpinned will converge it by themselves",
    "run_lock_timeout": "Seconds to wait for a chef-client that already runs on a node (default 600)",
    "pause": "Seconds to wait before each wave but the first; 10min is understood too",
    "confirm": "Ask before each wave but the first; wants a terminal",
    "ticket": "What it is for (a change's or an incident's number): kept in the journal, the lock and the report",
    "no_lock": "Patch without the lock on the Chef server that keeps a second operator out",
    "yes": "Do not ask; without a terminal nothing is changed unless this is given",
}
PROOF = {"strict": "Logins that still run the old library fail their node, too; without it they are listed"}
LIVE = {"live": "Ask each node's TLS services from here too: protocol, certificate, Heartbleed itself"}


@verb(
    help=shared.WHOM | shared.WHICH | shared.WAVES | shared.SSH | OWN | PROOF | REPORT,
    short=shared.short(shared.WHOM, shared.SSH), iterable=["advisory"],
)
def patch(
    context, env=None, query=None, advisory=None, latest=False, limit=None, waves=None, max_failures=None,
    max_unreachable=None, pause=None, confirm=False, spread_by=None, max_per_group=None, concurrency=None,
    address_attribute=None, via=None, full_run=False, include_unknown=False, accept_unpinned=False, ssh_user=None,
    ssh_identity_file=None, ssh_port=None, ssh_gateway=None, ssh_config=None, sudo=False, yes=False, strict=False,
    report=None, run_lock_timeout=None, timeout=None, ticket=None, no_lock=False, profile=None, quiet=False,
):
    """
    Patch OpenSSL on every node of an environment, and prove it.

    invoke patch --env production --advisory CVE-2014-0160 --report styptic-report
    invoke patch --query 'roles:web AND platform:debian' -x ops --sudo --yes
    invoke patch --env production --via shell
    invoke patch --env production --latest     # day zero: no advisory says yet which version has the fix

    Shows what it is about to do and asks first. Pushes the cookbook, patches wave by wave: a canary of each platform
    release, a tenth of the nodes, the rest; a failure before the last wave stops it. Each node is asked before and
    after, over a fresh connection: it is good only if no OpenSSL package is vulnerable and no service still runs the
    old library. A lock on the Chef server keeps a second operator out of the same environments until it has ended.
    Ctrl-C once lets the nodes under way end and begins no more; twice stops now.
    Exit codes: 0 all good, 2 a node is not, 3 stopped or locked, 130 interrupted, 10 no node matched, 1 wrong usage.
    """
    settings, advisories = shared.told(**locals())
    from fleet import between, interruption, push, via_shell
    from fleet import plan as planning
    from fleet.journal import Journal, default_path, new_run
    from fleet.verbs import rolling
    from fleet.verbs.unlock import locked

    between.check(settings)
    with interruption.like_ctrl_c(), Journal(default_path()) as journal, shared.shop(settings) as shop:
        ways = rolling.ways(settings, shop.config)
        made = planning.make(shared.nodes_of(shop.server, settings, advisories), advisories, settings)
        shared.ask(shop.server, settings, made, advisories)
        script = via_shell.script(advisories) if settings.via == "shell" else None
        environments = {node.environment for node in made.asked}
        run = new_run(datetime.now(UTC))
        with locked(shop, settings, environments, run):
            pushed = None
            if environments and not script:
                pushed = push.push(shop.server, shop.config, advisories, environments, settings.accept_unpinned)
            url = shop.server.url
            return rolling.roll(settings, ways, journal, url, advisories, made, pushed, script=script, run=run)


@verb(
    help=shared.WHOM | shared.WHICH | shared.SSH | PROOF | LIVE | REPORT, short=shared.short(shared.WHOM, shared.SSH),
    iterable=["advisory"],
)
def verify(
    context, env=None, query=None, advisory=None, latest=False, limit=None, concurrency=None, address_attribute=None,
    ssh_user=None, ssh_identity_file=None, ssh_port=None, ssh_gateway=None, ssh_config=None, sudo=False, strict=False,
    live=False, report=None, timeout=None, profile=None, quiet=False,
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
            found = shared.nodes_of(shop.server, settings, advisories)
            made = planning.make(found, advisories, settings, converge=False)
            url = shop.server.url
        asks = asker() if settings.live else None
        return rolling.roll(settings, ways, journal, url, advisories, made, None, converge=False, asker=asks)
