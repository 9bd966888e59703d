"""What the library's own releases say, by an advisory's ranges: of a build of one's own, of a package without a row."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from generator.numbering import upstream_release
from generator.verdict import Verdict

if TYPE_CHECKING:
    from generator.advisory import Advisory


def verdict(advisory: "Advisory", version: str) -> Verdict:
    """Return what `advisory` says of a build of upstream's own release `version` (1.0.1f); it never raises.

    Of a branch that no range names nothing is said, because upstream names only the branches it still cares for:
    unknown, unless it is older than the first release that has the fault or newer than the last.
    """
    library = "OpenSSL" if advisory.openssl else advisory.libraries[0]
    said = f"{library} {version}"
    if advisory.upstream is None:
        return Verdict("unknown", f"{advisory.id} names no upstream releases: see by hand whether {said} has the fault")
    try:
        release = upstream_release(version, advisory.openssl)
    except ValueError:
        return Verdict("unknown", f"{said} is no release of {library}, so no range speaks of it: see by hand")
    if range_ := _range(advisory, release):
        first = [each for each in advisory.upstream.fixed if branch(advisory, each) == branch(advisory, version)]
        mended = f"; {first[0]} has the fix" if first else ""
        return Verdict("vulnerable", f"{said} is {range_}, which {advisory.id} affects{mended}")
    for each in advisory.upstream.fixed:
        same = branch(advisory, each) == branch(advisory, version)
        if same and release >= upstream_release(each, advisory.openssl):
            return Verdict("fixed", f"{said} is at or above {each}, which has the fix for {advisory.id}")
    if reason := outside(advisory, version):
        return Verdict("not_affected", f"{said} is {reason}")
    return Verdict("unknown", f"{advisory.id} has no upstream range that speaks of {said}: see by hand")


@lru_cache(maxsize=4096)
def clean(advisory: "Advisory", version: str) -> bool:
    """Return whether upstream's `version` is known to have no fault: it has the fix, or lies outside of the ranges.

    An advisory without upstream ranges knows of no affected release but those its rows name: True.
    """
    return advisory.upstream is None or verdict(advisory, version).kind in ("fixed", "not_affected")


@lru_cache(maxsize=4096)
def outside(advisory: "Advisory", version: str) -> str | None:
    """Return why upstream's `version` lies outside of all that is affected, None where it does not or nobody can say.

    Raises ValueError for what is no release. `advisory.upstream` is not None.
    """
    read = _reader(advisory)
    release, said = read(version), advisory.upstream
    ends = [(read(last), f"newer than {last}, the last") for _, last in said.affected]
    clean = [(read(last), f"at or above {last}, newer than every") for _, last in said.before]
    library = "OpenSSL" if advisory.openssl else advisory.libraries[0]
    if all(release > last for last, _ in ends) and all(release >= last for last, _ in clean):
        reason = max(ends + clean, key=lambda end: end[0])[1]
        return f"{reason} {library} that {advisory.id} affects"
    if said.since and release < read(said.since):
        return f"older than {said.since}, the first {library} that {advisory.id} affects"
    return None


def _range(advisory: "Advisory", release: object) -> str | None:
    """Return the range that a release is in, in words; None for none."""
    read, said = _reader(advisory), advisory.upstream
    for first, last in said.affected:
        if read(first) <= release <= read(last):
            return f"in {first} to {last}" if first != last else f"{first} itself"
    for first, clean in said.before:
        if (first == "0" or read(first) <= release) and release < read(clean):
            return f"below {clean}" if first == "0" else f"in {first} to what is below {clean}"
    return None


def _reader(advisory: "Advisory") -> Callable[[str], object]:
    return lambda version: upstream_release(version, advisory.openssl)


def branch(advisory: "Advisory", version: str) -> tuple[str, ...]:
    """Return the branch of a release: 1.0.1 of 1.0.1f, 3.0 of 3.0.17 (https://openssl-library.org/policies/releasestrat/)."""
    numbers = version.rstrip("abcdefghijklmnopqrstuvwxyz").split(".")
    return tuple(numbers) if advisory.openssl and int(numbers[0]) < 3 else tuple(numbers[:2])
