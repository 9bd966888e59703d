"""What the advisories say of many nodes: nodes that reported the same are judged once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet.node import Node


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts (generator.verdict.Verdict) on all nodes that reported the same platform, release and packages.

    `each` has one for every advisory, in their order, `whole` is the one verdict of them all; `release` is the release
    in the advisories' words (`rhel 6`), or as the node spells it where they have none.
    """

    release: str
    each: tuple
    whole: object


def judge(nodes: Iterable[Node], advisories: Sequence) -> dict[str, Judgement]:
    """Return the judgement on each node by its name; nodes that reported the same share one.

    A fleet has far fewer kinds of nodes than nodes, so this costs a look-up a node; fleet.chef.search gives the
    packages of alike nodes in the same order.
    """
    known: dict[tuple, Judgement] = {}
    found = {}
    for node in nodes:
        facts = node.platform, node.release, tuple(node.packages.items())
        if (judgement := known.get(facts)) is None:
            judgement = known[facts] = _judge(node, advisories)
        found[node.name] = judgement
    return found


def _judge(node: Node, advisories: Sequence) -> Judgement:
    from generator import platforms, versions

    platform, release = node.platform or "", node.release or ""
    each = tuple(versions.verdict(advisory, platform, release, node.packages) for advisory in advisories)
    named = platforms.release_of(platform, release)
    return Judgement(str(named or f"{platform} {release}".strip() or "unknown"), each, versions.combined(each))
