"""What an advisory holds, for a person and for a program: a line, a page, plain values."""

import dataclasses
import textwrap
from collections.abc import Iterator

from generator import platforms
from generator.advisory import Advisory
from generator.feeds import strict
from generator.rows import Fixed

KINDS = ("fixed", "not_affected", "never_fixed")
HEADINGS = ("ID", "ALSO", "SEVERITY", "FIXED", "NOT AFFECTED", "NEVER FIXED", "NO ROW FOR", "TITLE")
WIDTH = 100  # characters of a line of prose
_MARGIN = 14
_COLUMN = 40  # characters that the others of a column make room for


def gaps(advisory: Advisory) -> tuple[str, ...]:
    """Return the distributions that advisories can speak of and this one has no row for."""
    named = {row.distro for kind in KINDS for row in getattr(advisory, kind)}
    return tuple(distro for distro in platforms.SCHEME if distro not in named)


def line(advisory: Advisory) -> tuple[str, ...]:
    """Return the advisory's cells under HEADINGS; `NO ROW FOR` are distributions, what of a release the page says."""
    counts = (str(len(getattr(advisory, kind))) for kind in KINDS)
    aliases, without = ", ".join(advisory.aliases), ", ".join(gaps(advisory))
    return advisory.id, aliases or "-", advisory.severity or "-", *counts, without or "-", advisory.title


def summary(advisory: Advisory) -> dict:
    """Return the advisory's head as plain values for JSON: `rows` counts them by kind, `gaps` are distributions."""
    return {
        "id": advisory.id, "aliases": list(advisory.aliases), "title": advisory.title, "severity": advisory.severity,
        "rows": {kind: len(getattr(advisory, kind)) for kind in KINDS}, "gaps": list(gaps(advisory)),
        "coverage": advisory.coverage, "path": str(advisory.path),
    }


def whole(advisory: Advisory) -> dict:
    """Return all of the advisory as plain values for JSON."""
    return {**dataclasses.asdict(advisory), "path": str(advisory.path), "gaps": list(gaps(advisory))}


def page(advisory: Advisory) -> Iterator[str]:
    """Yield all that is known, line by line: the head, each row, and the sources, which the rows name by number."""
    yield f"{advisory.id}: {advisory.title}"
    yield from _told("also", ", ".join(advisory.aliases))
    yield from _told("severity", advisory.severity)
    yield from _told("libraries", ", ".join(advisory.libraries))
    yield from _told("services", ", ".join(advisory.services))
    yield from _told("restart", advisory.restart)
    yield from _told("follow-up", advisory.follow_up)
    yield from _told("coverage", advisory.coverage)
    if leaks := advisory.leaks:
        yield from _told("leaks", f"{leaks.what} of processes that map {' or '.join(leaks.libraries)}: {leaks.source}")
    yield from _told("no row for", ", ".join(gaps(advisory)))
    yield from _told("file", strict.line(str(advisory.path), 500))
    sources: dict[str, int] = {}
    if upstream := advisory.upstream:
        ranges = [f"{first} to {last}" for first, last in upstream.affected]
        ranges += [f"{'the first' if first == '0' else first} to before {clean}" for first, clean in upstream.before]
        number = sources.setdefault(upstream.source, len(sources) + 1)
        yield from _told("upstream", f"{', '.join(ranges)} affected; fixed in {', '.join(upstream.fixed)} [{number}]")
    for package in advisory.packages:
        number = sources.setdefault(package.source, len(sources) + 1)
        where = f"{package.distro} {package.release or '*'}"
        yield from _told("package", f"{where} {package.package}: {', '.join(package.binary)} [{number}]")
    yield from _rows(advisory, sources)
    for source, number in sources.items():
        yield f"[{number}] {source}"


def _rows(advisory: Advisory, sources: dict[str, int]) -> Iterator[str]:
    """Yield the rows in columns, by distribution as platforms.SCHEME has them; `sources` numbers what they name."""
    order = list(platforms.SCHEME)
    rows = sorted(
        ((kind, row) for kind in KINDS for row in getattr(advisory, kind)),
        key=lambda each: (order.index(each[1].distro), each[1].package, KINDS.index(each[0])),
    )
    cells = []
    for kind, row in rows:
        number = sources.setdefault(row.source, len(sources) + 1)
        what = row.version if isinstance(row, Fixed) else row.reason
        named = row.advisory if isinstance(row, Fixed) else None
        tail = " ".join(each for each in (named, f"[{number}]", row.source_kind) if each)
        cells.append((row.distro, row.release, row.package, kind.replace("_", " "), what, tail))
    widths = [min(max(map(len, column)), _COLUMN) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _told(name: str, text: str | None) -> Iterator[str]:
    """Yield a named part of the head, folded; nothing where it is empty."""
    for number, part in enumerate(textwrap.wrap(text or "", WIDTH)):
        yield f"{'' if number else name:{_MARGIN}}{part}"
