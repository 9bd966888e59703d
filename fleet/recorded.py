"""What the cookbook recorded on a node's object of its chef-client's last full run, and the end that gives the node.

Chef saves `node['openssl_patch']['last_run']` at the end of a run that succeeded, among the default attributes, which
each run begins without: so it is of the last run that was saved, or it is not there. The node wrote it: untrusted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet import converge, ending, plan
from fleet.chef.answers import ODD
from fleet.converge import Result
from fleet.errors import NodeError
from fleet.look import Look
from fleet.node import Node, NodeRecord, State
from fleet.report.record import UNPROVEN, Check, Outcome
from fleet.text import clean
from generator import packages, platforms, probe, verdict
from generator.verdict import KINDS, NEWEST, Verdict

PATH = ("openssl_patch", "last_run")
#: What the cookbook leaves on the object of each list (libraries/run.rb, NAMED): a list as long may have been cut.
NAMED = 50
NOTE = "by what it recorded on the Chef server; nobody connected to it, as `invoke verify` does"
# rpm(8), %{ARCH}: what the recipe puts behind a package of another architecture than the node's own.
_ARCHES = (".i386", ".i486", ".i586", ".i686", ".x86_64", ".aarch64", ".ppc64le", ".s390x")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One record: the recipe's `result`, and of its other fields what a verdict needs.

    `actions` is what the run's resources were to do; `kind` and `reasons` are the recipe's own verdict; `cut` says that
    not all of its stale processes are in it.
    """

    result: Result
    actions: tuple[str, ...]
    packages_before: dict[str, str]
    packages_after: dict[str, str]
    stale_after: tuple[dict, ...]
    unread: int
    kind: str
    reasons: str
    cut: bool


def mark(found: Mapping) -> list:
    """Return what tells the record in a node's object from one of another run: when it began and ended, as it says.

    The node's clock decides nothing by it: two marks are alike or they are not.
    """
    said = _last_run(found)
    return [str(said.get(key))[:40] if said.get(key) is not None else None for key in ("started", "finished")]


def version(found: Mapping) -> str | None:
    """Return the version of the cookbook that the record in a node's object is of."""
    said = _last_run(found).get("cookbook_version")
    return said if isinstance(said, str) else None


def of(found: Mapping, manager: str = "dpkg") -> Recorded:
    """Return the record in a node's object, checked; `manager` is as in generator.platforms' SCHEME.

    Raises NodeError for what is no such record.
    """
    said = _last_run(found)
    try:
        result = converge.result_of(json.dumps(said).encode())
        listed = said["stale_after"]
        recipe = said["verdict"]
        return Recorded(
            result, converge.words(said["actions"]), named(said["packages_before"], manager),
            named(said["packages_after"], manager),
            tuple(converge.process(each) for each in listed[:NAMED] if each["kind"] != "own"),
            max(0, int(said["unread"])), clean(str(recipe["kind"]), 40),
            "; ".join(converge.sentences(recipe["reasons"])), len(listed) >= NAMED,
        )
    except (NodeError, *ODD) as error:
        why = clean(str(error.__cause__ if isinstance(error, NodeError) else error), 200)
        raise NodeError(f"what it recorded on the Chef server is not what the cookbook writes: {why}.") from error


def named(said: Mapping, manager: str) -> dict[str, str]:
    """Return package to version as advisories name packages; of two architectures of one the older version counts."""
    found: dict[str, str] = {}
    for full, version in list(said.items())[:1000]:
        if not isinstance(version, str) or not packages.VERSION.fullmatch(version):
            raise ValueError(f"{clean(str(version), 80)!r} is no version that a package manager writes")
        name = clean(full.partition(":")[0], 100)
        if manager == "rpm":
            name = next((name.removesuffix(arch) for arch in _ARCHES if name.endswith(arch)), name)
        found[name] = packages.older(manager, found.get(name, version), version)
    return found


def end(
    outcome: Outcome, node: Node, found: Mapping, wanted: str, advisories: Sequence, kinds: frozenset[str]
) -> None:
    """Give a node its end by the record in its object, of a run that our entry was in; fill in its line of the report.

    `wanted` is the version of the cookbook, `kinds` are those of stale processes that count. Raises NodeError for a
    record that is none. No state is better than what the record says: where its list of stale processes may have been
    cut, say, the node is `unknown`.
    """
    automatic = found.get("automatic") if isinstance(found.get("automatic"), Mapping) else {}
    platform, release = (
        clean(said, 100) if isinstance(said := automatic.get(key), str) else otherwise
        for key, otherwise in (("platform", node.platform), ("platform_version", node.release))
    )
    recorded = of(found, platforms.SCHEME[platforms.distro_of(platform)] if platform in platforms.FAMILY else "dpkg")
    concerns = packages.concern(advisories)
    record, result = outcome.record, recorded.result
    record.packages_before = {name: each for name, each in recorded.packages_before.items() if concerns(name)}
    record.packages_after = {name: each for name, each in recorded.packages_after.items() if concerns(name)}
    record.stale_before, record.stale_after = list(result.stale_before), list(recorded.stale_after)
    record.actions = result.actions
    outcome.checks = (Check(UNPROVEN, "skipped", "nobody connected to it; its own record is all there is"),)
    if why := unfit(recorded, wanted):
        record.state, record.error = State.FAILED, why
        outcome.todo = "see its chef-client's log and its run list, then patch again"
        return
    said = judged(recorded, record, advisories, platform, release)
    now = Look(0, result.node, None, record.packages_after, recorded.stale_after, recorded.unread, kinds)
    changed = record.packages_before != record.packages_after or bool(record.actions)
    record.state, record.error, outcome.todo = ending.of(said, now, outcome.checks, result, result.reboot, changed)
    if record.state.good and recorded.cut:
        record.state, outcome.todo = State.UNKNOWN, "ask it: `invoke verify`"
        record.error = f"its record names the first {NAMED} of its stale processes and may leave out others"
    if record.state is State.PATCHED and not changed:
        record.state = State.NOT_AFFECTED if said.kind == "not_affected" else State.ALREADY_PATCHED
    if record.state.good:
        record.note = NOTE if said.kind != NEWEST else f"{said.reason}; {NOTE}"


def unfit(recorded: Recorded, wanted: str) -> str | None:
    """Return why a record is none of a run that patched with the wanted version of the cookbook, None where it is."""
    result = recorded.result
    if result.cookbook_version != wanted:
        return f"it converged openssl_patch {result.cookbook_version} and not {wanted}"
    if result.status != "success":
        return f"its run failed: {result.error or result.status}"
    if "upgrade" not in recorded.actions:
        return "its run only reported: its run list has openssl_patch do nothing else"
    return None


def judged(
    recorded: Recorded, record: NodeRecord, advisories: Sequence, platform: str | None, release: str | None
) -> Verdict:
    """Return the verdict on a node's packages: the advisories', and the recipe's own where that is a worse one.

    On day zero the recipe's is all there is: it asked the node's repositories.
    """
    recipe = Verdict(recorded.kind if recorded.kind in (*KINDS, NEWEST) else "unknown", recorded.reasons)
    if any(each.latest for each in advisories):
        return recipe
    ours = plan.verdict(advisories, platform, release, record.packages_after)
    return verdict.combined([ours, recipe]) if recipe.kind == "vulnerable" else ours


def kinds(advisories: Sequence, strict: bool) -> frozenset[str]:
    """Return the kinds of stale processes that keep a node from being good."""
    return probe.kinds((each.restart for each in advisories), strict)


def _last_run(found: Mapping) -> Mapping:
    """Return the record in a node's object as the node wrote it, {} where there is none."""
    said: object = found.get("default")
    for key in PATH:
        said = said.get(key) if isinstance(said, Mapping) else None
    return said if isinstance(said, Mapping) else {}

