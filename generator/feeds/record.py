"""What one feed says of one CVE, in the advisories' words: its rows, and what could not become a row and why."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from generator import numbering, platforms
from generator.errors import FeedError
from generator.feeds import strict
from generator.table import NAME

KINDS = ("fixed", "not_affected", "never_fixed")
NO_FIX = "no fix yet"
NO_RELEASE = "no release that Styptic knows"
_ADVISORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `version` is set for kind `fixed`, `reason` for the other two; `source` is the URL that was read."""

    kind: str
    distro: str
    release: str
    package: str
    version: str | None
    reason: str | None
    advisory: str | None
    source: str
    source_kind: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What the row is about: distribution, release, source package."""
        return self.distro, self.release, self.package

    def __str__(self) -> str:
        return f"{self.distro} {self.release} {self.package}"

    @property
    def said(self) -> str:
        """What the row says, as a few words."""
        return f"fixed in {self.version}" if self.kind == "fixed" else f"{self.kind.replace('_', ' ')} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Record:
    """A feed's words on one CVE; `left_out` has, by reason, what is no row (releases, products, packages)."""

    cve: str
    feed: str
    title: str | None
    severity: str | None
    rows: tuple[Row, ...]
    left_out: dict[str, tuple[str, ...]]


class Reading:
    """Collects the rows of one record: each is checked as an advisory's would be, and left out, with its reason, else.

    `feed` names it in `source_kind`, `source` is the URL it was read from. Raises FeedError for an id that is no CVE.
    """

    def __init__(self, feed: str, cve: str, source: str) -> None:
        if not strict.CVE.fullmatch(cve):
            raise FeedError(f"{feed}: {strict.line(cve, 60)!r} is no CVE.")
        self.feed, self.cve, self._source = feed, cve, source
        self._rows: dict[tuple[str, str, str], Row] = {}
        self._contradicted: set[tuple[str, str, str]] = set()
        self._left_out: dict[str, dict[str, None]] = {}

    def fixed(self, distro: str, release: str, package: str, version: str, advisory: str = "") -> None:
        """Add that `version` is the first one of this release's package with the fix."""
        named = advisory if _ADVISORY.fullmatch(advisory) else None
        if not self._known(distro, release, package):
            return
        scheme = platforms.SCHEME[distro]
        if not _parses(lambda: numbering.parsed(scheme, version)):
            self.left_out(f"a version that {scheme} does not write", f"{distro} {release} {package} {version}")
            return
        self._add(Row("fixed", distro, release, package, version, None, named, self._source, self.feed))

    def not_affected(self, distro: str, release: str, package: str, reason: str) -> None:
        """Add that this release's package never had the fault."""
        self._spared("not_affected", distro, release, package, reason)

    def never_fixed(self, distro: str, release: str, package: str, reason: str) -> None:
        """Add that the distribution will not fix this release's package."""
        self._spared("never_fixed", distro, release, package, reason)

    def left_out(self, reason: str, what: str) -> None:
        """Note what is no row, under its reason."""
        noted = self._left_out.setdefault(strict.line(reason), {})
        if len(noted) < strict.MOST:
            noted[strict.line(what, 120)] = None

    def record(self, title: str = "", severity: str = "") -> Record:
        """Return what was read; what the feed itself says two things of is left out."""
        for key in sorted(self._contradicted):
            self.left_out("the feed says two things of it", " ".join(key))
        rows = tuple(row for key, row in sorted(self._rows.items()) if key not in self._contradicted)
        left_out = {reason: tuple(noted) for reason, noted in self._left_out.items()}
        return Record(
            self.cve, self.feed, strict.line(title, 160) or None, strict.line(severity, 40) or None, rows, left_out
        )

    def _spared(self, kind: str, distro: str, release: str, package: str, reason: str) -> None:
        if self._known(distro, release, package):
            said = strict.line(reason, 160) or kind.replace("_", " ")
            self._add(Row(kind, distro, release, package, None, said, None, self._source, self.feed))

    def _known(self, distro: str, release: str, package: str) -> bool:
        if distro not in platforms.SCHEME or platforms.why_no_release(distro, release):
            self.left_out(NO_RELEASE, f"{distro} {release}")
        elif not NAME.fullmatch(package):
            self.left_out("no package's name", package)
        else:
            return True
        return False

    def _add(self, row: Row) -> None:
        before = self._rows.setdefault(row.key, row)
        if len(self._rows) > strict.MOST:
            raise FeedError(f"{self.feed} of {self.cve} has over {strict.MOST} rows: that is no record of one CVE.")
        if (before.kind, before.version) != (row.kind, row.version):
            self._contradicted.add(row.key)


def _parses(parse: Callable[[], object]) -> bool:
    try:
        parse()
    except (ValueError, TypeError):
        return False
    return True
