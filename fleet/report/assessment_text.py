"""An assessment for a person: who is vulnerable and by what, whose data proves nothing, then the counts."""

from collections import Counter
from collections.abc import Iterator, Sequence

from fleet.assess import FOREIGN, Assessment, Finding
from fleet.report.conclusion import NAMED_ALONE as NAMED
from fleet.text import aged, aligned, clean
from generator.verdict import KINDS

HEADINGS = ("ADVISORY", "RELEASE", "VULNERABLE", "UNKNOWN", "FIXED", "NOT AFFECTED")
ROWS = 500  # of the table; programs get all of them
ANSWERS = 15  # advisories named in one node's line
# https://docs.chef.io/attribute_persistence/ and https://docs.chef.io/ohai/; Chef Infra Client before 16.3 knows the
# older names alone.
HIDDEN = (
    "they report no packages: in their client.rb, `ohai.disabled_plugins` must not name :Packages, "
    "`allowed_automatic_attributes` (automatic_attribute_whitelist) must have 'packages', and "
    "`blocked_automatic_attributes` (automatic_attribute_blacklist) must not; then run chef-client once, or ask them "
    "with --live"
)


def lines(assessment: Assessment, whom: str) -> Iterator[str]:
    """Yield what there is to say, line by line; what matters most stands last, where a terminal ends."""
    yield from _vulnerable(assessment)
    yield from _unknown(assessment)
    yield from _old(assessment)
    yield from _silent(assessment)
    yield from _foreign(assessment)
    yield from table(assessment)
    yield conclusion(assessment, whom)


def table(assessment: Assessment) -> Iterator[str]:
    """Yield the nodes' counts by advisory and release; releases where nothing is wrong share a row of an advisory."""
    rows: list[tuple[str, ...]] = []
    quiet: dict[str, list[Counter]] = {}
    for (advisory, release), counts in assessment.table.items():
        if counts["vulnerable"] or counts["unknown"]:
            rows.append((advisory, release, *(str(counts[kind]) for kind in KINDS)))
        else:
            quiet.setdefault(advisory, []).append(counts)
    order = [each.id for each in assessment.advisories]
    for advisory, several in quiet.items():
        total = sum(several, Counter())
        name = f"{len(several)} {'release' if len(several) == 1 else 'releases'} without fault"
        rows.append((advisory, name, *(str(total[kind]) for kind in KINDS)))
    rows.sort(key=lambda row: order.index(row[0]))  # stable: the shared row comes last
    if rows:
        yield ""
        yield from aligned([HEADINGS, *rows[:ROWS]], right=range(2, len(HEADINGS)))
    if len(rows) > ROWS:
        yield f"and {len(rows) - ROWS} more rows: see --json or --csv"


def conclusion(assessment: Assessment, whom: str) -> str:
    """Return what it comes to, in one sentence."""
    counted = Counter(finding.kind for finding in assessment.findings)
    counts = ", ".join(f"{counted[kind]} {kind.replace('_', ' ')}" for kind in (*KINDS, FOREIGN) if counted[kind])
    old = sum(finding.old for finding in assessment.findings)
    aside = f", {old} with data older than {length(assessment.max_age)}" if old else ""
    about = f"{len(assessment.advisories)} advisories"
    if len(assessment.advisories) == 1:
        about = assessment.advisories[0].id
    basis = "what they say now" if assessment.live else "what ohai reported last"
    return f"{clean(whom, 200)}: {len(assessment.findings)} nodes by {basis}, {clean(about)}: {counts}{aside}."


def _vulnerable(assessment: Assessment) -> Iterator[str]:
    told: dict[int, str] = {}
    for finding in assessment.of("vulnerable"):
        key = id(finding.judgement)
        if key not in told:
            told[key] = f"{_described(finding)}  {_by_what(assessment, finding)}"
        yield f"{clean(finding.node.name, 100)}  vulnerable  {told[key]}"


def _by_what(assessment: Assessment, finding: Finding) -> str:
    """Return the advisories by which a node is vulnerable, and the reason where it is one alone."""
    pairs = zip(assessment.advisories, finding.verdicts(), strict=True)
    named = {each.id: reason for each, (kind, reason) in pairs if kind == "vulnerable"}
    if len(named) == 1:
        return clean(f"{next(iter(named))}: {next(iter(named.values()))}", 500)
    more = f" and {len(named) - ANSWERS} more" if len(named) > ANSWERS else ""
    packages = ", ".join(f"{name} {clean(version, 60)}" for name, version in sorted(finding.node.packages.items()))
    return f"{clean(', '.join(list(named)[:ANSWERS]), 600)}{more}: it has {packages or 'no package reported'}"


def _unknown(assessment: Assessment) -> Iterator[str]:
    alike: dict[str, list[Finding]] = {}
    for finding in assessment.of("unknown"):
        if not finding.silent:
            alike.setdefault(finding.reason, []).append(finding)
    for reason, findings in alike.items():
        yield f"{_named(findings)}  unknown  {_described(findings[0])}  {clean(reason, 500)}"


def _old(assessment: Assessment) -> Iterator[str]:
    findings = sorted((each for each in assessment.findings if each.old), key=lambda each: each.node.ohai_time or 0)
    for finding in findings:
        seen = aged(finding.node.ohai_time, assessment.now)
        since = f"it last reported {seen}" if seen != "never" else "it never reported"
        if seen != "never" and finding.node.ohai_time > assessment.now:
            since = "its last report is of a time to come: see its clock"
        yield f"{clean(finding.node.name, 100)}  old  {since}; it was {finding.kind.replace('_', ' ')} then"


def _silent(assessment: Assessment) -> Iterator[str]:
    if findings := [each for each in assessment.findings if each.silent]:
        yield f"{_named(findings, 20)}  no packages  {HIDDEN}"


def _foreign(assessment: Assessment) -> Iterator[str]:
    for release, findings in sorted(_by_release(assessment.of(FOREIGN)).items()):
        yield f"{_named(findings)}  skipped  no advisory speaks of {clean(release, 60)}"


def _by_release(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.judgement.release, []).append(finding)
    return found


def _named(findings: Sequence[Finding], most: int = NAMED) -> str:
    names = ", ".join(clean(finding.node.name, 100) for finding in findings[:most])
    return names + (f" and {len(findings) - most} more" if len(findings) > most else "")


def _described(finding: Finding) -> str:
    node = finding.node
    return clean(f"{node.platform or 'platform unknown'} {node.release or ''}".strip(), 60)


def length(seconds: int) -> str:
    """Return a number of seconds in the largest unit that it is whole in."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
