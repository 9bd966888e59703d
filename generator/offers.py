"""What a node's repositories offer, by the lists that it has: for day zero, when no advisory names a version."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from generator import packages, shell, versions
from generator.verdict import NEWEST, Verdict

FRESH = 86_400  # seconds; what older lists do not know of may be the very fix

# Nothing is fetched and nothing written. apt-cache(8), policy: the candidate is what an upgrade would install, pins
# counted. yum(8), dnf(8): -C asks the lists that are there, check-update names what is newer and exits 100, or 0 where
# nothing is; holds and excludes are left out, because what is held back is offered all the same.
# The lists' age: apt fetches into `partial`, and Debian's and Chef's settings leave a stamp; dnf and yum write, or
# touch, what they keep of each repository.
_SCRIPT = r"""
lists=
if command -v dpkg-query >/dev/null 2>&1 && command -v apt-cache >/dev/null 2>&1; then
    # shellcheck disable=SC2046 # names are words
    set -- $(dpkg-query -W -f '${Package}\n' @NAMES@ 2>/dev/null)
    [ "$#" = 0 ] || apt-cache policy "$@" 2>/dev/null </dev/null | grep -E -e '^[^ ]+:$' -e '^  Candidate: ' |
        while IFS= read -r line; do printf 'offer\tapt\t%s\n' "$line"; done
    lists='/var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists /var/lib/apt/lists/partial'
elif command -v rpm >/dev/null 2>&1; then
    tool=yum
    command -v dnf >/dev/null 2>&1 && tool=dnf
    # shellcheck disable=SC2046
    set -- $(rpm -qa --qf '%{NAME}\n' @NAMES@ 2>/dev/null)
    if [ "$#" != 0 ]; then
        said=$("$tool" -q -C --disableplugin=versionlock --disableexcludes=all check-update "$@" 2>/dev/null </dev/null)
        printf 'offers\trpm\t%s\n' "$?"
        printf '%s\n' "$said" | while IFS= read -r line; do printf 'offer\trpm\t%s\n' "$line"; done
    fi
    lists='/var/cache/dnf/*/repodata/* /var/cache/libdnf5/*/repodata/* /var/cache/yum/*/*/*/repomd.xml
        /var/cache/yum/*/*/*/cachecookie /var/cache/yum/*/repomd.xml'
fi
fetched=0
for list in $lists; do
    at=$(stat -c %Y "$list" 2>/dev/null) && [ "$at" -gt "$fetched" ] && fetched=$at
done
printf 'lists\t%s\t%s\n' "$fetched" "$(date +%s)"
"""


@dataclass(frozen=True, slots=True)
class Offers:
    """`candidates` are the newest on offer, by package name and written as the installed ones are.

    `age` is how many seconds ago the node fetched its lists, None where it does not say.
    """

    candidates: Mapping[str, str]
    age: int | None


def script(names: Iterable[str]) -> str:
    """Return the shell commands that ask a node; `names` are those of packages.script, whose packages it is about."""
    return _SCRIPT.replace("@NAMES@", shell.join(names))


def parse(lines: Iterable[str], installed: Mapping[str, str]) -> Offers:
    """Return what the commands printed, of the packages that are `installed` (packages.parse) and of no other.

    A line of no known form says nothing, and a package of which nothing is said has no candidate.
    """
    found: dict[str, str] = {}
    words, name, answered, age = [], None, False, None
    for line in lines:
        kind, *fields = line.split("\t")
        if kind == "offer" and fields[:1] == ["apt"] and len(fields) == 2:
            candidate = re.fullmatch(r"  Candidate: (\S+)", fields[1])
            if candidate and name in installed and packages.VERSION.fullmatch(candidate[1]):
                found[name] = candidate[1]
            elif header := re.fullmatch(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?:", fields[1]):
                name = header[1]
        elif kind == "offer" and fields[:1] == ["rpm"] and len(fields) == 2:
            words += fields[1].split()
        elif kind == "offers" and fields in (["rpm", "0"], ["rpm", "100"]):
            answered = True
        elif kind == "lists" and len(fields) == 2 and all(re.fullmatch(r"[0-9]{1,12}", each) for each in fields):
            age = int(fields[1]) - int(fields[0]) if fields[0] != "0" else None
    return Offers({**installed, **_newer(words, installed)} if answered else found, age)


def verdict(installed: Mapping[str, str], offers: Offers) -> Verdict:
    """Return whether all that is installed is the newest on offer (generator.versions.newest).

    Lists that are older than FRESH prove a package old, and none new.
    """
    said = versions.newest(installed, offers.candidates)
    if said.kind != NEWEST or (offers.age is not None and offers.age <= FRESH):
        return said
    old = "of unknown age" if offers.age is None else f"{offers.age // 3600} hours old"
    return Verdict("unknown", f"its package lists are {old}, and what the repositories offer by now nothing says: "
                   "have it fetch them, or patch it, which does")


def _newer(words: list[str], installed: Mapping[str, str]) -> dict[str, str]:
    """Return what check-update lists: a package's name with its architecture, version and repository, folded anyhow."""
    found: dict[str, str] = {}
    for package, version, _ in zip(words, words[1:], words[2:], strict=False):
        name, dot, _ = package.rpartition(".")
        if not dot or name not in installed or not re.fullmatch(r"(?:\d+:)?[^:\s-]+-[^:\s-]+", version):
            continue
        version = version if ":" in version else f"0:{version}"
        if packages.VERSION.fullmatch(version):
            other = found.get(name, version)
            found[name] = other if packages.older("rpm", other, version) == version else version
    return found
