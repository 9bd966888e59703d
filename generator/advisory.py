"""An advisory: which package version of which release has the fix, read from one TOML file with every mistake named."""

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from generator import platforms, rows, services
from generator.errors import AdvisoryError
from generator.platforms import Release
from generator.rows import Fixed, Leak, NeverFixed, NotAffected, Package, Upstream
from generator.table import Table

SHIPPED = Path(__file__).parent / "advisories"
ALL = "all"  # every shipped one, in place of their names
#: What helps a process that runs the old code: its service's refresh, the machine's restart, or nothing is needed.
RESTARTS = ("service", "reboot", "none")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_OPENSSL = {"libssl", "libcrypto"}


@dataclass(frozen=True)
class Advisory:
    """What is known of one vulnerability, with its sources; `lab` marks equipment that is no published advisory.

    `packages` are the binary packages of source packages that generator.platforms does not know. `leaks` is None where
    attackers could read nothing by it. `latest` marks the one
    that stands for none: day zero, when no advisory says yet which version has the fix.
    """

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
    never_fixed: tuple[NeverFixed, ...] = ()
    packages: tuple[Package, ...] = ()
    restart: str = RESTARTS[0]
    latest: bool = False
    leaks: Leak | None = None

    def __hash__(self) -> int:
        return hash((self.id, self.path))

    @cached_property
    def openssl(self) -> bool:
        """True where it is about OpenSSL, whose packages generator.platforms knows on every release."""
        return not _OPENSSL.isdisjoint(self.libraries)

    @cached_property
    def named(self) -> frozenset[str]:
        """The binary packages that its own tables name, on whatever release."""
        return frozenset(name for row in self.packages for name in row.binary)

    def concerns(self, package: str) -> bool:
        """Return whether it speaks of this binary package on some release."""
        return package in self.named or (self.openssl and platforms.is_openssl(package))

    def binaries(self, release: Release, source: str) -> tuple[str, ...]:
        """Return the binary packages of a source package on a release, () for none known; its own tables come first."""
        tables = [row for row in self.packages if (row.distro, row.package) == (release.distro, source)]
        for wanted in (release.release, platforms.stream_of(release.release)[0], None):
            for row in tables:
                if row.release == wanted:
                    return row.binary
        return platforms.binary_packages(release, source) if self.openssl else ()


def latest(libraries: Sequence[str] = ("libssl", "libcrypto")) -> Advisory:
    """Return what stands in for an advisory on day zero: no row, so that nothing is called fixed or vulnerable by it.

    A node is then patched to the newest its repositories offer, and generator.versions.newest says just that.
    """
    return Advisory(
        id="latest", title="the newest that each node's repositories offer, before any advisory names a version",
        aliases=(), severity=None, coverage="no advisory, so no version is known to have the fix",
        libraries=tuple(libraries), services=tuple(sorted(services.load())), follow_up=None, lab=False, upstream=None,
        fixed=(), not_affected=(), path=Path(os.devnull), latest=True,
    )


def shipped() -> list[Path]:
    """Return the files of the advisories that come with this checkout, by name."""
    return sorted(SHIPPED.glob("*.toml"))


def load(names: Sequence[str]) -> list[Advisory]:
    """Return the advisories of these names, in their order and each once.

    A name is an id or an alias of a shipped advisory, in any case, `all` for every one of them, or the path of a .toml
    file. Raises AdvisoryError for a name that is none, saying which there are, and for files with mistakes, naming each
    by file, key and reason.
    """
    mistakes: list[str] = []
    found: dict[str, Advisory] = {}
    for name in names:
        try:
            for path in shipped() if name.lower() == ALL else [_path_of(name)]:
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
    files = shipped()
    for path in files:
        if name.lower() == path.stem.lower():
            return path
    called = {path: _aliases(path) for path in files}
    for path, aliases in called.items():
        if name.lower() in (each.lower() for each in aliases):
            return path
    known = ", ".join(" or ".join((path.stem, *aliases)) for path, aliases in called.items()) or "none"
    raise AdvisoryError(
        f"there is no advisory {name!r}; there is {known}, {ALL} for every one, and your own is named by its path, "
        "which ends in .toml"
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
    libraries = table.words("libraries")
    openssl = not _OPENSSL.isdisjoint(libraries)
    found = Advisory(
        id=table.text("id", pattern=_ID),
        title=table.text("title"),
        aliases=table.words("aliases", needed=False, pattern=_ID),
        severity=table.text("severity", needed=False),
        coverage=table.text("coverage", fold=True),
        libraries=libraries,
        services=table.words("services"),
        follow_up=table.text("follow_up", needed=False, fold=True),
        lab=table.flag("lab"),
        upstream=rows.upstream(table.table("upstream"), openssl),
        fixed=tuple(rows.fixed(row) for row in table.tables("fixed")),
        not_affected=tuple(rows.not_affected(row) for row in table.tables("not_affected")),
        path=path,
        never_fixed=tuple(rows.never_fixed(row) for row in table.tables("never_fixed")),
        packages=tuple(rows.package(row) for row in table.tables("package")),
        restart=table.choice("restart", RESTARTS),
        leaks=rows.leak(table.table("leaks")),
    )
    table.done()
    known = services.load()
    for name in found.services:
        if name not in known:
            table.wrong("services", f"{name!r} is not in services.toml, which has {', '.join(sorted(known))}")
    for name in found.leaks.libraries if found.leaks else ():
        if name not in libraries:
            table.wrong("[leaks] libraries", f"{name!r} is none of its libraries, {', '.join(libraries)}")
    if not found.fixed and not found.not_affected and not found.never_fixed and found.upstream is None:
        table.wrong("fixed", "is missing; without a [[fixed]], a [[not_affected]], a [[never_fixed]] or an [upstream] "
                    "nothing is said")
    for number, row in enumerate(found.packages if found.openssl else (), 1):
        for name in (each for each in row.binary if not platforms.is_openssl(each)):
            table.wrong(f"[[package]] {number} binary", f"{name!r} is no package of OpenSSL's, nor numbered as these: "
                        "write a file for it, with its own libraries")
    _check_rows(found, table)
    return found


def _check_rows(found: Advisory, table: Table) -> None:
    """Write down the rows that no node's package can meet, and those that contradict another."""
    said: dict[tuple, str] = {}
    for key in ("fixed", "never_fixed", "not_affected"):
        for number, row in enumerate(getattr(found, key), 1):
            about = row.distro, row.release, row.package
            where = f"[[{key}]] {number}"
            if None in about or row.distro not in platforms.SCHEME:
                continue
            ranges = key == "not_affected"
            if not platforms.why_no_release(row.distro, row.release, ranges) and not found.binaries(
                Release(row.distro, row.release), row.package
            ):
                whose = "OpenSSL known" if found.openssl else "this advisory: no [[package]] has it"
                table.wrong(f"{where} package", f"{row.package!r} is no source package of {whose} on {row.distro} "
                            f"{row.release}")
            if said.setdefault(about, key) != key:
                table.wrong(f"{where} release", f"{row.distro} {row.release} is in a [[{said[about]}]] row too")
