"""The machine's own apt: which mirror it has, which two OpenSSL versions, and the local repository made of them.

The lab's nodes have no route out. Their only mirror is a directory with the newer OpenSSL, bind-mounted; the older one
is what their base was built with. Mirror, suite and versions are read from apt, see apt-get(8) and apt-cache(8).
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path

from lab import host
from lab.host import LabError

#: The names the library's package has had, newest first.
LIBRARIES = ("libssl3t64", "libssl3", "libssl1.1")


@dataclass(frozen=True, slots=True)
class Mirror:
    """One suite of the machine's apt, and the two OpenSSL versions the lab goes between.

    `source` is the suite's line for sources.list; `library` the library's package name; `newer` is None in the mirror
    that has only `older`, and the lab then repacks it under a higher version. `packages` is name to version of those
    asked for, as the suite itself has them: bases are built from it alone.
    """

    distro: str
    codename: str
    release: str
    source: str
    library: str
    older: str
    newer: str | None
    packages: Mapping[str, str]

    @property
    def fixed(self) -> str:
        """The version the lab's nodes are upgraded to."""
        return self.newer or f"{self.older}+lab1"


def read(packages: Iterable[str] = ()) -> Mirror:
    """Return what the machine's apt offers, and its versions of these packages; a virtual package has none.

    Raises LabError where it has no suite or no OpenSSL for its release.
    """
    system = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().replace('"', "").splitlines() if "=" in line
    )
    codename = system.get("VERSION_CODENAME", "")
    lists = targets(codename)
    if not all(Path(target.file).exists() for target in lists):
        host.apt("update")
    packages = tuple(packages)
    offers = offered(codename, [*LIBRARIES, *packages])
    library = next((name for name in LIBRARIES if name in offers), None)
    if not library:
        raise LabError(f"apt offers no OpenSSL library for {codename or 'this release'}; run apt-get update and look")
    versions = offers[library]
    older = versions[codename] if codename in versions else next(iter(versions.values()))
    newest = max(versions.values(), key=cmp_to_key(compare))
    return Mirror(
        distro=system["ID"], codename=codename, release=system.get("VERSION_ID", ""), library=library, older=older,
        newer=newest if newest != older else None, source=source_line(codename, lists),
        packages={name: offers[name][codename] for name in packages if codename in offers.get(name, ())},
    )


@dataclass(frozen=True, slots=True)
class Target:
    """One list of packages that apt keeps: apt-get(8), indextargets."""

    site: str
    suite: str
    component: str
    signed_by: str
    file: str


def targets(codename: str) -> list[Target]:
    """Return the lists of packages of a release: its own suite, and those named after it (CODENAME-security)."""
    form = "$(CREATED_BY)\t$(SITE)\t$(RELEASE)\t$(COMPONENT)\t$(SIGNED_BY)\t$(FILENAME)"
    rows = [line.split("\t") for line in host.run("apt-get", "indextargets", "--format", form).splitlines()]
    found = [Target(*row[1:]) for row in rows if row[0] == "Packages"]
    return [target for target in found if target.suite == codename or target.suite.startswith(f"{codename}-")]


def offered(codename: str, packages: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return package to suite to version, for the suites of this release (`apt-cache madison`, its order kept).

    One call for all of them: without a cache of its own, apt-cache reads its lists anew each time, for half a second.
    """
    found: dict[str, dict[str, str]] = {}
    for line in host.run("apt-cache", "madison", *packages).splitlines():
        name, version, where = (part.strip() for part in line.split("|"))
        suite = where.split()[1].split("/")[0]
        if suite == codename or suite.startswith(f"{codename}-"):
            found.setdefault(name, {}).setdefault(suite, version)
    return found


def compare(one: str, other: str) -> int:
    """Order two versions as dpkg itself does: below zero, zero or above."""
    for relation, answer in (("lt", -1), ("gt", 1)):
        if subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0:
            return answer
    return 0


def source_line(codename: str, lists: Iterable[Target]) -> str:
    """Return the sources.list line of a release's own suite. Raises LabError where apt has no lists of it."""
    mine = [target for target in lists if target.suite == codename]
    if not mine:
        raise LabError(f"apt has no packages of {codename}; run apt-get update and look at its sources")
    first = mine[0]
    components = sorted({target.component for target in mine if target.site == first.site})
    signed = f"[signed-by={first.signed_by}] " if first.signed_by.startswith("/") else ""
    return f"deb {signed}{first.site} {codename} {' '.join(components)}"


def repository(mirror: Mirror, legacy: Path) -> Path:
    """Return the directory that holds the nodes' apt mirrors, made once and kept in the cache.

    Below it, `current` has the newer OpenSSL and `legacy` the packages of that directory.
    """
    name = host.fingerprint(Path(__file__).read_text(), mirror.library, mirror.older, mirror.fixed, legacy.name)
    target = host.cache() / "repository" / name
    if target.is_dir():
        return target
    host.say(f"making the nodes' mirror: openssl and {mirror.library} {mirror.fixed}")
    shutil.rmtree(target.parent, ignore_errors=True)
    made = target.with_suffix(".new")
    current = made / "current"
    current.mkdir(parents=True)
    version = mirror.newer or mirror.older
    host.download(current, f"openssl={version}", f"{mirror.library}={version}")
    if not mirror.newer:
        for archive in list(current.glob("*.deb")):
            repack(archive, mirror.fixed)
    shutil.copytree(legacy, made / "legacy")
    for part in (current, made / "legacy"):
        (part / "Packages").write_text("".join(stanza(archive) for archive in sorted(part.glob("*.deb"))))
    made.rename(target)
    return target


def stanza(archive: Path) -> str:
    """Return an archive's entry for a Packages file (deb822, as dpkg-scanpackages(1) writes it)."""
    control = host.run("dpkg-deb", "--field", archive)
    content = archive.read_bytes()
    return (
        f"{control.rstrip()}\nFilename: ./{archive.name}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    )


def repack(archive: Path, version: str) -> None:
    """Replace an archive by the same content under another version, which its siblings' dependencies follow."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        host.run("dpkg-deb", "--raw-extract", archive, tree)
        control = tree / "DEBIAN" / "control"
        text = re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text())
        control.write_text(re.sub(r"(?m)^Description: ", "Description: (repacked for the lab) ", text))
        archive.unlink()
        host.pack(tree, archive.with_name(f"{archive.stem}+lab1.deb"))
