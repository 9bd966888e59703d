"""What the verbs share: their common flags, the settings, the server, the nodes, the question before a change."""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import local_mode
from fleet.errors import NoNodesError, SettingsError
from fleet.node import Node
from fleet.plan import Plan, course
from fleet.settings import EVERYWHERE, Settings, load, somebody_meant
from fleet.text import clean

WHOM = {
    "env": "Chef environment whose nodes this is about; '*' means every environment",
    "query": "Search query in place of --env (with it: within it); one without a colon is expanded as `knife ssh` does",
    "address_attribute": "Node attribute that holds the address, dots between levels, as `knife ssh -a`",
    "limit": "At most this many nodes, those first that search data calls vulnerable",
    "profile": "Profile of ~/.chef/credentials",
}
WHAT = {"advisory": "A CVE, a name such as heartbleed, or a .toml file; may be repeated (default: invoke.yaml's)"}
WHICH = WHAT | {
    "latest": "In place of an advisory, before there is one: the newest that each node's repositories offer",
}
SSH = {
    "ssh_user": "User to log in as",
    "ssh_identity_file": "Private key file",
    "ssh_port": "Port of sshd on the nodes",
    "ssh_gateway": "Jump host, [user@]host[:port]",
    "ssh_config": "ssh_config file in place of ~/.ssh/config",
    "host_keys": "known (known_hosts alone, the default) or chef (a host not in there is known by what ohai reported)",
    "sudo": "Become root by sudo, which must not want a password",
    "concurrency": "Nodes at once (default 50)",
    "timeout": "Seconds a node may take in all (default 1800)",
}
WAVES = {
    "waves": "How many nodes, or which share of them, are changed in all when each wave ends: 1,10%,50%,100%. `canary` "
             "first is one of each platform release (default canary,10%,100%)",
    "max_failures": "Failures that the whole rollout may have, not each wave, or their share of its nodes: 3 or 5% "
                    "(default: none before the last wave, 5% in all)",
    "max_unreachable": "Likewise, for nodes that were out of reach before anything was changed on them (default 5%)",
    "spread_by": "Node attribute (zone, cluster, pool), dots between levels: nodes alike in it do not go down together",
    "max_per_group": "With --spread-by: at most this many nodes at once that are alike in it (default 1)",
}
SHORT = {
    "ssh_user": "x", "ssh_identity_file": "i", "ssh_port": "p", "ssh_gateway": "G", "concurrency": "C",
    "address_attribute": "a",
}


def short(*groups: Mapping[str, str]) -> dict[str, str]:
    """Return knife's letters for the flags in these groups."""
    return {flag: letter for flag, letter in SHORT.items() if any(flag in group for group in groups)}


def settings_of(context, flags: Mapping[str, object], whom: bool = True) -> Settings:
    """Return a verb's settings from its flags and invoke.yaml; `whom` asks that an environment or a query is said."""
    refuse_dry(context)
    settings = load(flags, plain(context.config.get("styptic", {})))
    return somebody_meant(settings) if whom else settings


def refuse_dry(context) -> None:
    """Raise SettingsError where Invoke was told to run nothing: it cannot keep that."""
    if context.config.run.dry:
        raise SettingsError("invoke's own --dry holds back nothing that Styptic does; `invoke plan` changes nothing.")


def plain(value):
    """Return a value of Invoke's configuration, whose tables are proxies, as plain Python."""
    if hasattr(value, "keys"):
        return {str(key): plain(value[key]) for key in value.keys()}  # noqa: SIM118 - a proxy iterates over attributes
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def advisories_of(settings: Settings) -> list:
    """Return the advisories asked for, with --latest what stands in for one.

    Raises SettingsError when none is named, AdvisoryError for a wrong one.
    """
    from generator import advisory

    if settings.latest:
        return [advisory.latest()]
    if not settings.advisories:
        raise SettingsError("say which: --advisory CVE-2014-0160, or `advisories:` under styptic in invoke.yaml.")
    return advisory.load(settings.advisories)


def make_report_directory(settings: Settings) -> None:
    """Make the directory for the report before anything is done that it would have to tell of."""
    if settings.report is None:
        return
    try:
        Path(settings.report).mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.report):
            pass
    except OSError as error:
        raise SettingsError(f"--report {settings.report} cannot be written to: {error.strerror}.") from error


@dataclass(frozen=True, slots=True)
class Shop:
    """The Chef server and the settings that led to it."""

    server: object
    config: object


@contextmanager
def shop(settings: Settings) -> Iterator[Shop]:
    """Open the Chef server that knife would use."""
    from fleet.chef import config as chef_config
    from fleet.chef.server import ChefServer

    config = chef_config.load(settings.profile)
    with ChefServer(config) as server:
        yield Shop(server, config)


def nodes_of(server, settings: Settings, advisories: Sequence = (), ssh: bool = False) -> list[Node]:
    """Return the nodes that are meant, sorted by name, with the packages the advisories are about (none: OpenSSL's).

    With `ssh` they are to be connected to: where --host-keys wants it, the host keys they reported are asked for too.
    Raises NoNodesError when there is none, SettingsError when none has the attribute to spread by.
    """
    from fleet.chef import search

    found = search.find_nodes(
        server, environment=settings.environment, query=settings.query, address_attribute=settings.address_attribute,
        package_names=search.package_names(advisories) if advisories else search.OPENSSL_PACKAGES,
        group_attribute=settings.spread_by, host_keys=ssh and settings.host_keys == "chef",
    )
    if not found:
        raise NoNodesError(
            f"no node of {settings.whom} matched on {server.url}; `invoke nodes --env '*'` shows what there is."
        )
    if settings.spread_by and not any(node.group for node in found):
        raise SettingsError(
            f"--spread-by: none of {len(found)} nodes reported the attribute {clean(settings.spread_by)!r} as a text "
            "or a number; `knife node show NAME -l` lists what one has."
        )
    return found


def told(context, **flags) -> tuple[Settings, list]:
    """Return the settings and advisories of a verb that leaves a report, whose directory is made now."""
    settings = settings_of(context, flags)
    advisories = advisories_of(settings)
    make_report_directory(settings)
    return settings, advisories


def heading(server, settings: Settings, made: Plan, advisories: Sequence) -> Iterator[str]:
    """Yield what a patch of this plan is about, a line each."""
    yield f"Chef server  {clean(server.url)}"
    yield f"whom         {clean(settings.whom)}"
    for number, each in enumerate(advisories):
        equipment = " (lab equipment)" if each.lab else ""
        yield f"{'' if number else 'advisories':12} {clean(each.id)}: {clean(each.title)}{equipment}"
    there = settings.via == "chef-server"
    yield f"nodes        {len(made.asked)} to {'edit' if there else 'connect to'}; {len(made.left_out)} left out"
    yield from converging(settings)
    if under := sum(local_mode.wanted(node, settings) for node in made.asked):
        yield f"policies     {under} nodes are under one: they converge a copy of the cookbook, in local mode"
    for hook in settings.hooks:
        yield f"{hook.step:12} {hook.said}"
    if settings.reboot:
        yield f"reboot       nodes that nothing else mends, within the waves; {settings.reboot_timeout} s to come back"
    if made.asked:
        for about, line in course(made, settings).said():
            yield f"{about:12} {line}"


def converging(settings: Settings) -> Iterator[str]:
    """Yield what is done with each node, and, where it is less than usual, how it is proven, a line each."""
    if settings.via == "chef-server":
        last = "and stays in them (--keep)" if settings.keep else "and is taken out again"
        yield f"converge     each node's whole run list, by its own chef-client: the recipe is put into it {last}"
        yield f"proof        what the cookbook records on the Chef server, read every {settings.poll} s; no SSH"
        return
    recipe = "whole run lists" if settings.full_run else "recipe[openssl_patch] alone"
    yield f"converge     {recipe if settings.via == 'chef' else 'no: a shell script over SSH'}"


def ask(server, settings: Settings, made: Plan, advisories: Sequence, more: Iterable[str] = ()) -> None:
    """Have a person agree before anything changes; raises SettingsError where nobody does or nobody can be asked.

    `--yes` is agreement. Every environment at once wants a word typed, a single one a yes; a plan that touches no node
    wants nothing. `more` is what there is to say beside the plan.
    """
    if settings.yes or not made.asked:
        return
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise SettingsError("there is no terminal to ask at, so nothing was changed; give --yes to go on without.")
    for line in (*more, *heading(server, settings, made, advisories)):
        print(line)
    word = "everywhere" if settings.env == EVERYWHERE else "yes"
    try:
        answer = input(f"Patch them? Type {word} to go on: ")
    except (EOFError, KeyboardInterrupt, UnicodeDecodeError):
        print()  # the prompt's line has no end yet
        answer = ""
    if answer.strip().lower() not in ({"everywhere"} if word == "everywhere" else {"yes", "y"}):
        raise SettingsError("not confirmed; nothing was changed.")
