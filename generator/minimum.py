"""The advisories' rows as the cookbook holds them, for a node to judge itself where no controller looks on.

What is held against which row is decided in generator/versions.py; the cookbook's libraries/minimum.rb knows the plain
part of that, and calls unknown what it leaves out (FIPS builds, Ksplice, extended streams without a row). A test of the
lab holds its answers against those of here.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from generator import origin, platforms, upstream
from generator.platforms import Release

if TYPE_CHECKING:
    from generator.advisory import Advisory
    from generator.rows import Fixed, NeverFixed, NotAffected

    Row = Fixed | NeverFixed | NotAffected

_MAJORS = {name: major for major, name in platforms.CODENAMES.items()}


def attribute(advisories: Sequence["Advisory"]) -> dict[str, dict]:
    """Return what each advisory says, by its id, for the cookbook's attribute `minimum`.

    `packages` are the binary packages it is about, None where these are OpenSSL's. `upstream` is None, or has of the
    library's own releases `affected` (first and last), `before` (first, and the first without the fault), `since`, and
    `fixed` (the first with the fix, and its branch).
    `fixed`, `never_fixed` and `not_affected` are rows of `distro`, `release` (Debian's is a number, as ohai's is),
    `stream` ("" for none), `packages` and, where it fits, `version`, `advisory`, `reason`. A row for minor releases
    alone has these in `minors`.
    """
    return {
        advisory.id: {
            "packages": None if advisory.openssl else sorted(advisory.named),
            "upstream": _upstream(advisory),
            "fixed": _rows(advisory, advisory.fixed),
            "never_fixed": _rows(advisory, advisory.never_fixed),
            "not_affected": _rows(advisory, advisory.not_affected),
        }
        for advisory in sorted(advisories, key=lambda each: each.id) if not advisory.latest
    }


def origins() -> dict[str, object]:
    """Return what the cookbook has to know of generator/origin.py, and ohai's platforms to distributions."""
    return {
        **origin.patterns(),
        "openssl": rf"\A(?:{platforms.OPENSSL.pattern})\z",
        "distros": {name: platforms.distro_of(name) for name in sorted(platforms.FAMILY) if platforms.patched(name)},
    }


def _rows(advisory: "Advisory", rows: Sequence["Row"]) -> list[dict]:
    """Return the rows that dpkg or rpm can be asked about."""
    return [_row(advisory, row) for row in rows if platforms.SCHEME[row.distro] in ("dpkg", "rpm")]


def _row(advisory: "Advisory", row: "Row") -> dict:
    named, stream = platforms.stream_of(row.release)
    found = {"distro": row.distro, "release": _MAJORS.get(named, named), "stream": stream,
             "packages": list(advisory.binaries(Release(row.distro, row.release), row.package))}
    low, between, high = named.partition("..")
    if between:
        major, first = low.split(".")
        last = int(high.split(".")[1])
        found |= {"release": major, "minors": [f"{major}.{minor}" for minor in range(int(first), last + 1)]}
    if hasattr(row, "version"):
        return {**found, "version": row.version, "advisory": row.advisory or advisory.id}
    return {**found, "reason": row.reason}


def _upstream(advisory: "Advisory") -> dict | None:
    said = advisory.upstream
    if said is None:
        return None
    return {"affected": [list(pair) for pair in said.affected], "before": [list(pair) for pair in said.before],
            "since": said.since,
            "fixed": [[release, ".".join(upstream.branch(advisory, release))] for release in said.fixed]}
