"""The advisories that are here: `invoke advisory.list`, `advisory.show`, `advisory.import` and `advisory.update`."""

import sys
from collections.abc import Iterable, Iterator

from invoke import Collection

from fleet.cli import complain, verb
from fleet.errors import SettingsError
from fleet.text import clean

FEEDS = ("debian", "ubuntu", "redhat", "osv")
DISAGREED = 2  # exit code: a person has to look
NAMED = 6  # of what was left out for one reason
JSON = "As JSON, for programs"


@verb(help={"json": JSON})
def listed(context, json=False):
    """
    List the advisories that are here: id, other names, severity, rows, and the distributions without one.

    invoke advisory.list
    invoke advisory.list --json
    """
    from generator import advisory, overview

    found = advisory.load([advisory.ALL])
    if json:
        return as_json([overview.summary(each) for each in found])
    rows = [overview.HEADINGS, *map(overview.line, found)]
    cells = [[clean(cell, 80) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


@verb(help={"name": "A CVE, a name such as heartbleed, or a .toml file", "json": JSON})
def show(context, name, json=False):
    """
    Show all that is known of one advisory, each row with who said it.

    invoke advisory.show CVE-2014-0160
    invoke advisory.show heartbleed --json
    """
    from generator import advisory, overview

    [found] = advisory.load([no_flag(name, "show")])
    if json:
        return as_json(overview.whole(found))
    for line in overview.page(found):
        print(line)
    return 0


@verb(help={
    "where": "File or https:// URL: Debian's tracker, Ubuntu's or Red Hat's record of a CVE, or one in OSV's schema",
    "cve": "Which CVE, where the record is of several (Debian's tracker, a USN, an RLSA)",
    "output": "The advisory's file (default: the shipped one of that CVE, begun where there is none)",
    "dry_run": "Say what would change, and write nothing",
})
def import_(context, where, cve=None, output=None, dry_run=False):
    """
    Merge what a distribution publishes of a CVE into its advisory; begin one where there is none.

    invoke advisory.import https://access.redhat.com/hydra/rest/securitydata/cve/CVE-2022-0778.json
    invoke advisory.import tracker.json --cve CVE-2022-0778 --output CVE-2022-0778.toml

    Rows are added, each with its source. One that another source or a person wrote otherwise is kept as it is, and the
    disagreement is told: exit code 2. What is about a release or a package that Styptic does not know is told, not
    guessed.
    """
    from fleet import feeds

    done = feeds.import_record(no_flag(where, "import"), cve, output, dry_run)
    for line in told(done):
        print(line)
    print(written(done, dry_run))
    return DISAGREED if done.merged.disagreed else 0


@verb(help={
    "advisory": "Refresh this one alone: a CVE, a name or a .toml file; may be repeated (default: all shipped ones)",
    "feed": f"Ask this feed alone ({', '.join(FEEDS)}); may be repeated (default: all of them)",
    "dry_run": "Say what would change, and write nothing",
}, iterable=["advisory", "feed"])
def update(context, advisory=None, feed=None, dry_run=False):
    """
    Refresh the advisories from what the distributions publish now, and say what changed.

    invoke advisory.update
    invoke advisory.update --advisory CVE-2022-0778 --feed debian --dry-run

    Debian's tracker is one download of more than 70 MB for all; Ubuntu's and Red Hat's records are one a CVE; OSV's are
    asked where rows came from them. A row changes only if its own source says something else now; what others wrote is
    kept, and the disagreement told. Exit code 2 for a disagreement or a feed that gave no answer.
    """
    from fleet import feeds
    from generator import advisory as reading

    if wrong := [each for each in feed or () if each not in FEEDS]:
        raise SettingsError(f"--feed: {clean(wrong[0], 40)!r} is none of {', '.join(FEEDS)}.")
    code, changed = 0, set()
    for done in feeds.update(reading.load(advisory or [reading.ALL]), feed or FEEDS, dry_run):
        if isinstance(done, feeds.Trouble):
            changed.discard(done.path)
            if not done.missing:
                code = complain(done.why, DISAGREED)
            continue
        if done.merged.disagreed:
            code = DISAGREED
        if done.merged.added or done.merged.changed or done.merged.disagreed:
            for line in told(done, briefly=True):
                print(line)
        if done.merged.added or done.merged.changed:
            changed.add(done.path)
    print(f"{len(changed)} {'file' if len(changed) == 1 else 'files'} {'would change' if dry_run else 'changed'}")
    return code


def no_flag(word: str, verb: str) -> str:
    """Return a verb's first word; Invoke takes a mistyped flag for it."""
    if word.startswith("-"):
        raise SettingsError(f"{clean(word, 60)} is no flag of advisory.{verb}; `invoke --help advisory.{verb}`.")
    return word


def told(done, briefly: bool = False) -> Iterator[str]:
    """Yield what a merge changed and what it did not take, a line each."""
    merged = done.merged
    yield f"{done.record.cve}: {clean(done.record.feed)}"
    for row in merged.added:
        named = f", {row.advisory}" if row.advisory else ""
        yield f"  added      {clean(str(row))}: {clean(row.said)}{named}"
    for change in merged.changed:
        yield f"  changed    {clean(str(change.row))}: {clean(change.row.said)}; it was {clean(change.kept)}"
    for conflict in merged.disagreed:
        yield f"  disagreed  {clean(str(conflict), 600)}; kept"
    if not briefly:
        yield f"  agreed     {merged.agreed} {'row' if merged.agreed == 1 else 'rows'} stood there already"
        for reason, what in merged.left_out.items():
            yield f"  left out   {clean(reason)}: {some(what)}"


def some(what: Iterable[str]) -> str:
    """Return the first few of what was left out, and how many more there are."""
    what = list(what)
    more = f" and {len(what) - NAMED} more" if len(what) > NAMED else ""
    return ", ".join(clean(each, 80) for each in what[:NAMED]) + more


def written(done, dry: bool) -> str:
    """Return what became of the file, in one line."""
    if not (done.merged.added or done.merged.changed):
        return f"unchanged {done.path}"
    verb = "begin" if done.begun else "change"
    return f"would {verb} {done.path}" if dry else f"{'began' if done.begun else 'changed'} {done.path}"


def as_json(value: object) -> int:
    """Print a value as JSON."""
    import json

    json.dump(value, sys.stdout, indent=2)
    print()
    return 0


collection = Collection("advisory", show, update)
collection.add_task(listed, name="list")
collection.add_task(import_, name="import")
