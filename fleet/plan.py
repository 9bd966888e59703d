"""Whom to ask, and in which order: decided from the Chef server's search, before any node is connected to."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet import waves
from fleet.judgement import judge
from fleet.line import Line
from fleet.node import Node, State
from fleet.report.record import Outcome
from fleet.rollout import begun
from fleet.settings import Settings
from fleet.text import clean
from fleet.waves import NOTHING_BEGUN, Begun, Course, Wave

if TYPE_CHECKING:
    from generator.verdict import Verdict

LATER = "left for later by --limit"  # how the error of a node begins that a limit left out; its number follows


@dataclass(frozen=True, slots=True)
class Plan:
    """`asked` are the nodes to connect to, in their order; `left_out` those that already have their end, and why.

    `verdicts` are what search data says of each node, by name: it is as old as the node's last chef-client run, so it
    orders the nodes and proves nothing. `begun` is what an earlier part of a run did that is resumed (fleet.resume).
    """

    asked: tuple[Node, ...]
    left_out: tuple[Outcome, ...]
    verdicts: dict[str, object]
    begun: Begun = NOTHING_BEGUN


def make(nodes: Sequence[Node], advisories: Sequence, settings: Settings, converge: bool = True) -> Plan:
    """Return the plan for these nodes (from fleet.chef.search) and advisories (from generator.advisory).

    A node whose release every advisory calls not affected is left out, unless a package it reported is none of that
    release's (a backport, another's build), and nothing else that search data says is believed: a fixed version is
    asked too, because its services may still run the old library, and so is a release without a row, because the
    package it has now may be newer than the fault. A limit takes the vulnerable ones first. With
    `converge` false nothing is to be changed (`verify`).
    """
    asked, left_out = [], []
    verdicts = {name: judgement.whole for name, judgement in judge(nodes, advisories).items()}
    # A canary is worth most where there is something to patch; sorted() keeps the order of names among equals.
    for node in sorted(nodes, key=lambda node: verdicts[node.name].kind != "vulnerable"):
        end = end_without_asking(node, advisories, settings, converge, verdicts[node.name])
        if end is None and settings.limit is not None and len(asked) == settings.limit:
            end = begun(node, state=State.SKIPPED, error=f"{LATER} {settings.limit}")
        if end is None:
            asked.append(node)
        else:
            left_out.append(end)
    return Plan(tuple(asked), tuple(left_out), verdicts)


def course(made: Plan, settings: Settings) -> Course:
    """Return how the rollout of a plan goes: its waves, and what stops it.

    A canary is chosen of the releases that have a node which search data does not call in order. Of a run that is
    resumed, what was begun comes first, and then the waves that are left.
    """
    def likely(node: Node) -> bool:
        found = made.verdicts.get(node.name)
        return found is None or found.kind in ("vulnerable", "unknown")

    groups = (settings.max_per_group or 1) if settings.spread_by else None
    cut = waves.cut(made.asked, settings.waves, likely)
    if made.begun.names:
        cut = tuple(_left(cut, made))
    return Course(cut, len(made.asked), settings.max_failures, settings.max_unreachable, groups, made.begun)


def _left(cut: Sequence[Wave], made: Plan) -> Iterator[Wave]:
    """Yield what is begun, and the waves that are left; the last of them takes whoever needs a change after all."""
    first = tuple(node for node in made.asked if node.name in made.begun.names)
    yield Wave(0, f"{waves.nodes(len(first))} begun before", 0, first, last=False, again=True)
    line = Line(made.asked, begun=made.begun)
    for node in first:
        del line.waiting[node.name]
    yield from (replace(wave, last=False) for wave in cut if line.wants(wave) and (wave.canary or not wave.last))
    number = cut[-1].number + cut[-1].canary
    yield Wave(number, "the rest", len(made.asked), tuple(line.rest()), last=True)


def end_without_asking(
    node: Node, advisories: Sequence, settings: Settings, converge: bool, reported: "Verdict"
) -> Outcome | None:
    """Return how a node ends that need not or cannot be connected to; None for one to ask.

    `reported` is the verdict on what search data says of it.
    """
    from generator import platforms, versions

    if node.unindexed:
        error = "the Chef server lists it in this environment, and its search does not find it"
        outcome = begun(node, state=State.UNKNOWN, error=error)
        outcome.todo = "run chef-client on it once, or have the index made anew (chef-server-ctl reindex)"
        return outcome
    described = clean(f"{node.platform} {node.release or ''}".strip())
    if node.platform and not platforms.patched(node.platform):
        return begun(node, state=State.SKIPPED, error=f"{described} is not a platform the cookbook patches")
    platform, release = node.platform or "", node.release or ""
    applying = [versions.applies(each, platform, release) if platform else "unknown" for each in advisories]
    if applying and all(each == "not_affected" for each in (*applying, reported.kind)):
        return begun(node, state=State.NOT_AFFECTED)
    if not node.platform and not settings.include_unknown:
        outcome = begun(node, state=State.UNKNOWN, error="it never reported its platform to the Chef server")
        outcome.todo = "run chef-client on it once" + (", or give --include-unknown" if converge else "")
        return outcome
    unconnected = converge and settings.via == "chef-server"
    if node.policy_name and unconnected:
        error, todo = out_of_the_servers_reach(node.policy_name)
        outcome = begun(node, state=State.SKIPPED, error=error)
        outcome.todo = todo
        return outcome
    if unconnected:
        return None
    if node.policy_name and converge and settings.full_run:
        policy = clean(node.policy_name, 100)
        outcome = begun(node, state=State.FAILED, error=(
            f"it is under the policy {policy}, whose lock says what its full run converges; nothing was changed on it"
        ))
        outcome.todo = "add openssl_patch to the policy and push it, or leave --full-run out"
        return outcome
    if not node.address:
        outcome = begun(node, state=State.UNREACHABLE, error="the Chef server has no address for it")
        outcome.todo = "run chef-client on it once, or name another attribute with --address-attribute"
        return outcome
    if is_this_machine(node.address):
        why = f"its address is {clean(node.address)}: that is this machine"
        outcome = begun(node, state=State.UNREACHABLE, error=why)
        outcome.todo = "correct that attribute of the node, or name another with --address-attribute"
        return outcome
    return None


def out_of_the_servers_reach(policy: object) -> tuple[str, str]:
    """Return why no run list brings the cookbook to a node under a policy, and what to do."""
    name = clean(str(policy), 100)
    return (
        f"it is under the policy {name} and takes cookbooks only from that policy's lock; not touched",
        "patch it over SSH, without --via chef-server",
    )


def is_this_machine(address: str) -> bool:
    """True for an address that leads back to where it is asked: a node without a network of its own reports one."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower().startswith(("localhost.", "ip6-localhost")) or address.lower() == "localhost"


def verdict(advisories: Sequence, platform: str | None, release: str | None, packages: Mapping[str, str]):
    """Return the one verdict (generator.versions.Verdict) of all advisories on these packages."""
    from generator import versions

    return versions.combined([versions.verdict(each, platform or "", release or "", packages) for each in advisories])
