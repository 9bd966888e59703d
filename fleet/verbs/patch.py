"""`invoke patch`: the main job. `invoke verify`: its last step alone."""

import contextlib

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.verbs import resuming, shared

REPORT = {
    "report": "Directory for report.html, report.json, nodes.csv and junit.xml",
    "quiet": "Show only the conclusion",
}
OWN = {
    "via": "chef (chef-client over SSH changes the nodes, the default), shell (a script over SSH, where none works) or "
           "chef-server (their own chef-client's next run, without any SSH)",
    "keep": "With --via chef-server: leave the recipe in the run lists that it was put into",
    "poll": "With --via chef-server: seconds between two looks at what the nodes recorded (default 30)",
    "timeout": "Seconds a node may take in all (default 1800; with --via chef-server 5400)",
    "full_run": "Converge the whole run list instead of recipe[openssl_patch] alone",
    "reboot": "Reboot nodes, within the waves, that nothing else mends: those that end reboot_required or stale",
    "reboot_timeout": "With --reboot: seconds a node may take until it is up again and serves what it served "
                      "(default 600)",
    "include_unknown": "Patch nodes too of which the advisories cannot say whether they are vulnerable",
    "accept_unpinned": "Upload although nodes that run the recipe unpinned will converge it by themselves",
    "run_lock_timeout": "Seconds to wait for a chef-client that already runs on a node (default 600)",
    "pause": "Seconds to wait before each wave but the first; 10min is understood too",
    "confirm": "Ask before each wave but the first; wants a terminal",
    "ticket": "What it is for (a change's or an incident's number): kept in the journal, the lock and the report",
    "no_lock": "Patch without the lock on the Chef server that keeps a second operator out",
    "resume": "Go on with a run that was killed, interrupted or stopped, or left nodes that are not good",
    "run": "With --resume: the run, or the beginning of its name (default: the last patch, with --env of that one)",
    "yes": "Do not ask; without a terminal nothing is changed unless this is given",
}
PROOF = {"strict": "Logins that still run the old library fail their node, too; without it they are listed"}
TIME = {"step_timeout": "Seconds one step on a node may take, the converge too (default: what each has by itself)"}
LIVE = {"live": "Ask each node's TLS services from here too: protocol, certificate, Heartbleed itself"}


@verb(
    help=shared.WHOM | shared.WHICH | shared.WAVES | shared.SSH | OWN | TIME | PROOF | REPORT,
    short=shared.short(shared.WHOM, shared.SSH), iterable=["advisory"],
)
def patch(
    context, env=None, query=None, advisory=None, latest=False, limit=None, waves=None, max_failures=None,
    max_unreachable=None, pause=None, confirm=False, spread_by=None, max_per_group=None, concurrency=None,
    address_attribute=None, via=None, keep=False, poll=None, full_run=False, reboot=False, reboot_timeout=None,
    include_unknown=False, accept_unpinned=False, ssh_user=None, ssh_identity_file=None, ssh_port=None,
    ssh_gateway=None, ssh_config=None, host_keys=None, sudo=False, yes=False, strict=False, report=None,
    run_lock_timeout=None, timeout=None, step_timeout=None, ticket=None, no_lock=False, resume=False, run=None,
    profile=None, quiet=False,
):
    """
    Patch OpenSSL on every node of an environment, and prove it.

    invoke patch --env production --advisory CVE-2014-0160 --report styptic-report
    invoke patch --query 'roles:web AND platform:debian' -x ops --sudo --yes
    invoke patch --env production --via shell
    invoke patch --env production --via chef-server   # no SSH: each node's own chef-client, on its next run
    invoke patch --resume                      # goes on where the last patch was killed, interrupted or stopped
    invoke patch --env production --latest     # day zero: no advisory says yet which version has the fix

    Shows what it is about to do and asks first. Pushes the cookbook, patches wave by wave: a canary of each platform
    release, a tenth of the nodes, the rest; a failure before the last wave stops it. Each node is asked before and
    after, over a fresh connection: it is good only if no OpenSSL package is vulnerable and no service still runs the
    old library. A lock on the Chef server keeps a second operator out of the same environments until it has ended.
    With --reboot a node that nothing else mends is rebooted in its place in the wave, waited for and proven again.
    Ctrl-C once lets the nodes under way end and begins no more; twice stops now.
    Exit codes: 0 all good, 2 a node is not, 3 stopped or locked, 130 interrupted, 10 no node matched, 1 wrong usage.
    """
    flags, past = resuming.flags_of(locals()), None
    if resume:
        settings, advisories, past = resuming.told(context, run, **flags)
    elif run is not None:
        raise SettingsError("--run names a run to resume: give --resume with it.")
    else:
        settings, advisories = shared.told(context, **flags)
    from fleet import between, entry, hooks, interruption, push, via_shell
    from fleet import plan as planning
    from fleet.journal import Journal, default_path
    from fleet.verbs import rolling
    from fleet.verbs.unlock import locked

    between.check(settings)
    hooks.check(settings.hooks, connected=settings.via != "chef-server")
    with interruption.like_ctrl_c(), Journal(default_path()) as journal, shared.shop(settings) as shop:
        ssh = settings.via != "chef-server"
        ways = rolling.ways(settings, shop.config) if ssh else shop.server
        found = shared.nodes_of(shop.server, settings, advisories, ssh=ssh)
        if past:
            made = resuming.planned(shop.server, past, found, advisories, settings)
        else:
            made = planning.make(found, advisories, settings)
        environments = {node.environment for node in made.asked} | (past.environments if past else set())
        hooks.check_environments(settings.hooked_elsewhere, environments)
        shared.ask(shop.server, settings, made, advisories, resuming.heading(past, made))
        script = via_shell.script(advisories) if settings.via == "shell" else None
        with contextlib.ExitStack() as unless_rolled:
            if past:
                begun = entry.go_on(journal, past, settings, advisories, made, flags)
            else:
                begun = entry.begin(journal, settings, shop.server.url, advisories, made, flags)
            unless_rolled.callback(begun.give_up)
            with contextlib.ExitStack() as held:
                lost = held.enter_context(locked(shop, settings, environments, begun.run))
                pushed = None
                if made.asked and not script:
                    pushed = push.for_nodes(shop.server, shop.config, advisories, made.asked, settings)
                unless_rolled.pop_all()
                url = shop.server.url
                return rolling.roll(
                    settings, ways, journal, url, advisories, made, pushed, script=script, entry=begun, lost=lost,
                    release=held.close,
                )


@verb(
    help=shared.WHOM | shared.WHICH | shared.SSH | TIME | PROOF | LIVE | REPORT,
    short=shared.short(shared.WHOM, shared.SSH), iterable=["advisory"],
)
def verify(
    context, env=None, query=None, advisory=None, latest=False, limit=None, concurrency=None, address_attribute=None,
    ssh_user=None, ssh_identity_file=None, ssh_port=None, ssh_gateway=None, ssh_config=None, host_keys=None, sudo=False,
    strict=False, live=False, report=None, timeout=None, step_timeout=None, profile=None, quiet=False,
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
            found = shared.nodes_of(shop.server, settings, advisories, ssh=True)
            made = planning.make(found, advisories, settings, converge=False)
            url = shop.server.url
        asks = asker() if settings.live else None
        return rolling.roll(settings, ways, journal, url, advisories, made, None, converge=False, asker=asks)
