"""Whether a fleet is affected, where and by what: every node judged by what it reported, or by what it says now."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fleet.judgement import Judgement, judge
from fleet.node import Node

FOREIGN = "skipped"  # the kind of a node whose platform no advisory speaks of
UNASKED = "unknown"
KINDS = ("vulnerable", "unknown", "fixed", "not_affected", FOREIGN)  # what needs a person comes first


@dataclass(frozen=True, slots=True)
class Finding:
    """A node and what is known of it.

    `kind` is one of KINDS; `trouble` is why a node that was asked gave no answer, and then no verdict stands; `old` is
    whether what it reported is older than was allowed (so are times to come, and a node that never reported).
    """

    node: Node
    judgement: Judgement
    kind: str
    old: bool = False
    trouble: str | None = None

    @property
    def silent(self) -> bool:
        """True for a node that reported no package at all: something hides them."""
        return self.kind != FOREIGN and self.trouble is None and not self.node.reports_packages

    @property
    def reason(self) -> str:
        """Why it is of this kind, in whatever words the node chose: clean it before it is shown."""
        if self.kind == FOREIGN:
            return f"no advisory speaks of {self.judgement.release}"
        return self.trouble or self.judgement.whole.reason

    def verdicts(self) -> tuple[tuple[str, str], ...]:
        """Return the kind and the reason by each advisory, in their order."""
        if self.kind == FOREIGN or self.trouble is not None:
            return ((self.kind, self.reason),) * len(self.judgement.each)
        return tuple((each.kind, each.reason) for each in self.judgement.each)


@dataclass(frozen=True)
class Assessment:
    """Every node once, by name, and the advisories they were held against; `now` is when, in seconds since the epoch.

    `max_age` is how many seconds old a node's data may be; `live` is whether the nodes themselves were asked.
    """

    advisories: tuple
    findings: tuple[Finding, ...]
    now: float
    max_age: int
    live: bool = False

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    @property
    def exit_code(self) -> int:
        """10 where no advisory speaks of any node; 2 where one is vulnerable or unknown or its data too old; else 0."""
        if all(finding.kind == FOREIGN for finding in self.findings):
            return 10
        bad = any(finding.kind in ("vulnerable", "unknown") or finding.old for finding in self.findings)
        return 2 if bad else 0

    @cached_property
    def table(self) -> dict[tuple[str, str], Counter]:
        """How many nodes of each kind there are, by advisory and release: advisories in their order, releases by name.

        Nodes of a platform that no advisory speaks of are in no cell.
        """
        alike = Counter()
        judged = {}
        for finding in self.findings:
            key = id(finding.judgement), finding.kind if finding.kind == FOREIGN else finding.trouble is not None
            alike[key] += 1
            judged[key] = finding
        cells: dict[tuple[int, str], Counter] = {}
        for key, count in alike.items():
            finding = judged[key]
            if finding.kind == FOREIGN:
                continue
            for number, (kind, _) in enumerate(finding.verdicts()):
                cells.setdefault((number, finding.judgement.release), Counter())[kind] += count
        return {(self.advisories[number].id, release): cells[number, release] for number, release in sorted(cells)}


def assess(
    nodes: Sequence[Node], advisories: Sequence, max_age: int, now: float, troubles: Mapping[str, str] | None = None
) -> Assessment:
    """Judge what these nodes (from fleet.chef.search) reported; `max_age` and `now` are in seconds.

    `troubles` are given where the nodes themselves were asked (fleet.assess_live): by name, why one gave no answer. Its
    verdict is unknown then, whatever it reported once.
    """
    judgements = judge(nodes, advisories)
    live = troubles is not None
    findings = tuple(_findings(nodes, judgements, troubles or {}, now, max_age))
    return Assessment(tuple(advisories), findings, now, max_age, live)


def _findings(
    nodes: Iterable[Node], judgements: Mapping[str, Judgement], troubles: Mapping[str, str], now: float, max_age: int
):
    from generator import platforms

    for node in nodes:
        judgement = judgements[node.name]
        if node.platform and node.platform not in platforms.FAMILY:
            yield Finding(node, judgement, FOREIGN)
        elif node.name in troubles:
            yield Finding(node, judgement, UNASKED, trouble=troubles[node.name])
        else:
            old = node.ohai_time is None or abs(now - node.ohai_time) > max_age
            yield Finding(node, judgement, judgement.whole.kind, old)
