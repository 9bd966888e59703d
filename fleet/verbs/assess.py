"""`invoke assess`: is this fleet affected, where, and by what; changes nothing anywhere."""

import asyncio
import sys
import time

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.verbs import shared

WHOM = {flag: help for flag, help in shared.WHOM.items() if flag != "limit"}
OWN = {
    "all": "Every advisory that is here, in place of naming some",
    "max_age": "How old a node's data may be: seconds, or 90min, 24h, 7d (default 24h)",
    "json": "As JSON, for programs",
    "csv": "As CSV, one line a node, for spreadsheets",
    "live": "Ask the nodes themselves over SSH which packages they have",
}


@verb(
    help=WHOM | shared.WHAT | OWN | shared.SSH, short=shared.short(WHOM, shared.SSH), iterable=["advisory"],
)
def assess(
    context, env=None, query=None, advisory=None, all=False, max_age=None, json=False, csv=False, live=False,
    address_attribute=None, ssh_user=None, ssh_identity_file=None, ssh_port=None, ssh_gateway=None, ssh_config=None,
    host_keys=None, sudo=False, concurrency=None, timeout=None, profile=None,
):
    """
    Say which nodes are vulnerable, by what ohai last reported. Connects to no node, unless --live.

    invoke assess --env production --all
    invoke assess --env production --advisory CVE-2014-0160 --max-age 2h --csv > heartbleed.csv
    invoke assess --query 'roles:web' --advisory CVE-2014-0160 --live -x ops

    It is about packages alone: `invoke verify` finds what still runs an old library.
    Exit codes: 0 no node is vulnerable, 2 one is, or is unknown, or its data is too old, 10 no node matched, or none
    is of a platform that an advisory speaks of, 1 wrong usage.
    """
    if json and csv:
        raise SettingsError("give --json or --csv, not both.")
    if all and advisory:
        raise SettingsError("give --all or --advisory, not both.")
    settings = shared.settings_of(context, {
        "env": env, "query": query, "advisory": ["all"] if all else advisory, "max_age": max_age, "live": live,
        "address_attribute": address_attribute, "ssh_user": ssh_user, "ssh_identity_file": ssh_identity_file,
        "ssh_port": ssh_port, "ssh_gateway": ssh_gateway, "ssh_config": ssh_config,
        "host_keys": host_keys, "sudo": sudo, "concurrency": concurrency, "timeout": timeout, "profile": profile,
    })
    advisories = shared.advisories_of(settings)
    with shared.shop(settings) as shop:
        nodes = shared.nodes_of(shop.server, settings, advisories, ssh=live)
        url, ways = shop.server.url, _ways(settings, shop.config)
    from fleet import assess as assessing

    troubles = None
    if live:
        nodes, troubles = _asked(nodes, advisories, settings, ways)
    found = assessing.assess(nodes, advisories, settings.max_age, time.time(), troubles)
    _print(found, settings.whom, url, json, csv)
    return found.exit_code


def _ways(settings, config):
    """Return how nodes are reached, if they are."""
    from fleet.verbs import rolling

    return rolling.ways(settings, config) if settings.live else None


def _asked(nodes, advisories, settings, ways):
    """Return the nodes with what they say now, and why some said nothing; a terminal on stderr shows how it goes."""
    from fleet import assess_live, console
    from fleet import plan as planning

    made = planning.make(nodes, advisories, settings, converge=False)
    shown = console.for_stream(sys.stderr, quiet=not sys.stderr.isatty())
    shown.begin(len(made.asked))
    try:
        outcomes, packages = asyncio.run(assess_live.ask(settings, ways, advisories, made, shown.ended))
    finally:
        shown.close()
    return assess_live.answers(nodes, made.left_out, outcomes, packages, time.time())


def _print(found, whom: str, url: str, json: bool, csv: bool) -> None:
    from fleet.report import assessment, assessment_text

    if json:
        print(assessment.as_json(found, whom, url))
    elif csv:
        sys.stdout.write(assessment.as_csv(found))
    else:
        for line in assessment_text.lines(found, whom):
            print(line)
