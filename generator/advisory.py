"""An advisory: which package version of which release has the fix, read from one TOML file with every mistake named."""

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generator import platforms, services, versions
from generator.errors import AdvisoryError
from generator.table import NAME, Table

SHIPPED = Path(__file__).parent / "advisories"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Upstream:
    """OpenSSL's own releases: `affected` are first and last of each branch, inclusive; `fixed` the first without it."""

    affected: tuple[tuple[str, str], ...]
    fixed: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """One row: `version` of the source package is the first of that release with the fix.

    It is dpkg's, or rpm's as epoch:version-release, where no epoch is 0. A release is one that
    generator.platforms.release_of gives, or a stream of it (`6.4-eus`).
    """

    distro: str
    release: str
    package: str
    version: str
    advisory: str | None
    source: str
    source_kind: str | None


@dataclass(frozen=True, slots=True)
class NotAffected:
    """One row: that release's package never had the fault. `6.0..6.4` are these minor releases, both included."""

    distro: str
    release: str
    package: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Advisory:
    """What is known of one vulnerability, with its sources; `lab` marks equipment that is no published advisory."""

    id: str
    title: str
    aliases: tuple[str, ...]
    severity: str | None
    coverage: str
    libraries: tuple[str, ...]
    services: tuple[str, ...]
    follow_up: str | None
    lab: bool
    upstream: Upstream | None
    fixed: tuple[Fixed, ...]
    not_affected: tuple[NotAffected, ...]
    path: Path

    def __hash__(self) -> int:
        return hash((self.id, self.path))


def load(names: Sequence[str]) -> list[Advisory]:
    """Return the advisories of these names, in their order and each once.

    A name is an id or an alias of a shipped advisory, in any case, or the path of a .toml file. Raises AdvisoryError
    for a name that is none, saying which there are, and for files with mistakes, naming each by file, key and reason.
    """
    mistakes: list[str] = []
    found: dict[str, Advisory] = {}
    for name in names:
        try:
            path = _path_of(name)
            place = os.path.realpath(path)
            if place not in found:
                found[place] = read(path)
        except AdvisoryError as error:
            mistakes.append(str(error))
    files: dict[str, Path] = {}
    for advisory in found.values():
        other = files.setdefault(advisory.id.lower(), advisory.path)
        if other != advisory.path:
            mistakes.append(f"{advisory.path}: id: {advisory.id} is that of {other} too; ask for one of the two")
    if mistakes:
        raise AdvisoryError("; ".join(dict.fromkeys(mistakes)))
    return list(found.values())


def read(path: Path) -> Advisory:
    """Return the advisory in one TOML file; raises AdvisoryError with every mistake in it, by file, key and reason."""
    data = _toml(path)
    mistakes: list[str] = []
    found = _advisory(Table(data, mistakes), path)
    if mistakes:
        raise AdvisoryError("; ".join(f"{path}: {mistake}" for mistake in mistakes))
    return found


def _path_of(name: str) -> Path:
    if name.lower().endswith(".toml") and "\0" not in name:
        return Path(os.path.expanduser(name))  # pathlib's raises for a user who does not exist
    shipped = sorted(SHIPPED.glob("*.toml"))
    called = {path: [path.stem, *_aliases(path)] for path in shipped}
    for path, names in called.items():
        if name.lower() in (each.lower() for each in names):
            return path
    known = ", ".join(" or ".join(names) for names in called.values()) or "none"
    raise AdvisoryError(
        f"there is no advisory {name!r}; there is {known}, and your own is named by its path, which ends in .toml"
    )


def _aliases(path: Path) -> list[str]:
    aliases = _toml(path).get("aliases")
    return [each for each in aliases if isinstance(each, str)] if isinstance(aliases, list) else []


def _toml(path: Path) -> dict:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise AdvisoryError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise AdvisoryError(f"{path}: is not UTF-8, as TOML must be: {error.reason} at byte {error.start}") from error
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is a plain ValueError
        raise AdvisoryError(f"{path}: is not TOML: {error}") from error


def _advisory(table: Table, path: Path) -> Advisory:
    found = Advisory(
        id=table.text("id", pattern=_ID),
        title=table.text("title"),
        aliases=table.words("aliases", needed=False, pattern=_ID),
        severity=table.text("severity", needed=False),
        coverage=table.text("coverage", fold=True),
        libraries=table.words("libraries"),
        services=table.words("services"),
        follow_up=table.text("follow_up", needed=False, fold=True),
        lab=table.flag("lab"),
        upstream=_upstream(table.table("upstream")),
        fixed=tuple(_fixed(row) for row in table.tables("fixed")),
        not_affected=tuple(_not_affected(row) for row in table.tables("not_affected")),
        path=path,
    )
    table.done()
    known = services.load()
    for name in found.services:
        if name not in known:
            table.wrong("services", f"{name!r} is not in services.toml, which has {', '.join(sorted(known))}")
    if not found.fixed and not found.not_affected and found.upstream is None:
        table.wrong("fixed", "is missing; without a [[fixed]], a [[not_affected]] or an [upstream] nothing is said")
    spoken_for = {(row.distro, row.release, row.package) for row in found.fixed}
    for number, row in enumerate(found.not_affected, 1):
        if (row.distro, row.release, row.package) in spoken_for:
            table.wrong(f"[[not_affected]] {number} release", f"{row.distro} {row.release} is in a [[fixed]] row too")
    return found


def _upstream(table: Table | None) -> Upstream | None:
    if table is None:
        return None
    affected, fixed = table.pairs("affected"), table.words("fixed")
    for release in (*fixed, *(each for pair in affected for each in pair)):
        if not _is_release(release):
            key = "fixed" if release in fixed else "affected"
            table.wrong(key, f"{release!r:.60} is no release of OpenSSL such as 1.0.1f or 3.0.17")
    for first, last in affected:
        if _is_release(first) and _is_release(last) and _later(first, last):
            table.wrong("affected", f"{first} comes after {last}; the first release of a branch comes first")
    found = Upstream(affected, fixed, table.text("source"))
    table.done()
    return found


def _is_release(text: str) -> bool:
    try:
        return versions.upstream_release(text) is not None
    except ValueError:
        return False


def _later(first: str, last: str) -> bool:
    return versions.upstream_release(first) > versions.upstream_release(last)


def _fixed(table: Table) -> Fixed:
    distro, release, package = _release(table)
    version = table.text("version")
    if version is not None and distro in platforms.SCHEME:
        try:
            versions.parsed(platforms.SCHEME[distro], version)
        except ValueError:
            table.wrong("version", f"{version!r:.80} is not a version that {platforms.SCHEME[distro]} writes")
    found = Fixed(
        distro, release, package, version, table.text("advisory", needed=False), table.text("source"),
        table.text("source_kind", needed=False),
    )
    table.done()
    return found


def _not_affected(table: Table) -> NotAffected:
    found = NotAffected(*_release(table, ranges=True), table.text("reason"), table.text("source"))
    table.done()
    return found


def _release(table: Table, ranges: bool = False) -> tuple[str | None, str | None, str | None]:
    """Return a row's distribution, release and package, checked to be ones that a node can have."""
    distro, release, package = table.text("distro"), table.text("release"), table.text("package", pattern=NAME)
    if distro is None or release is None:
        return distro, release, package
    if distro not in platforms.SCHEME:
        hint = " (rhel is the name for its rebuilds too)" if platforms.FAMILY.get(distro) == "rhel" else ""
        table.wrong("distro", f"{distro!r:.60} is none of {', '.join(platforms.SCHEME)}{hint}")
    elif reason := platforms.why_no_release(distro, release, ranges):
        table.wrong("release", reason)
    elif package and not platforms.binary_packages(platforms.Release(distro, release), package):
        table.wrong("package", f"{package!r} is no source package of OpenSSL known on {distro} {release}")
    return distro, release, package
