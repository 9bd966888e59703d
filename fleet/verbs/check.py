"""`invoke check`: one version against an advisory, with no node and no server."""

import sys
from collections.abc import Sequence

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.text import clean
from fleet.verbs import shared

EXIT = {"fixed": 0, "not_affected": 0, "vulnerable": 2, "unknown": 4}
PACKAGE = ("platform", "release", "package", "version")
OWN = {
    "upstream": "A release as upstream numbers it (1.0.1f), for a build of one's own; in place of the four below",
    "platform": "Platform as ohai spells it: debian, ubuntu, redhat, centos, rocky, almalinux, oracle, amazon, fedora, "
                "opensuseleap, alpine",
    "release": "Its platform_version as ohai spells it: 7.11, 20.04, 8.4",
    "package": "Binary package: libssl1.1, openssl-libs",
    "version": "Its version as the package manager writes it; rpm's as epoch:version-release",
    "json": "As JSON, for programs",
}


@verb(help={"advisory": shared.WHAT["advisory"] + "; all for every shipped one"} | OWN, iterable=["advisory"])
def check(
    context, advisory=None, upstream=None, platform=None, release=None, package=None, version=None, json=False,
):
    """
    Say whether one version is vulnerable, fixed, not affected or unknown, and why. Asks no node and no server.

    invoke check --advisory CVE-2022-0778 --platform ubuntu --release 20.04 --package openssl --version 1.1.1f-1ubuntu2
    invoke check --advisory CVE-2014-0160 --upstream 1.0.1f

    Exit code 0 for fixed and not affected, 2 for vulnerable, 4 for unknown, 1 for wrong usage. With several advisories
    each has a line, and the worst one decides.
    """
    told = {"platform": platform, "release": release, "package": package, "version": version}
    checked(upstream, told)
    advisories = shared.advisories_of(shared.settings_of(context, {"advisory": advisory}, whom=False))
    from generator.verdict import combined

    verdicts = verdicts_of(advisories, upstream, told)
    (as_json if json else as_text)(advisories, verdicts)
    return EXIT[combined(verdicts).kind]


def checked(upstream: str | None, told: dict[str, str | None]) -> None:
    """Raise SettingsError unless either a release of upstream's is named or all that names a package is."""
    given = [name for name, value in told.items() if value is not None]
    if upstream is not None:
        if given:
            raise SettingsError(f"--upstream is about a build of one's own and goes without --{given[0]}.")
        if not upstream.strip():
            raise SettingsError("--upstream has no value.")
        return
    if missing := [name for name in PACKAGE if not (told[name] or "").strip()]:
        raise SettingsError(
            f"say which version: --{' --'.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, or --upstream "
            "alone for a build of one's own."
        )
    from generator import platforms

    if told["platform"] not in platforms.FAMILY:
        known = ", ".join(sorted(platforms.FAMILY))
        platform = clean(told["platform"], 60)
        raise SettingsError(f"--platform: {platform!r} is none that ohai spells so; known are {known}.")
    release = told["release"].strip()
    if not release[0].isdigit() and platforms.release_of(told["platform"], release) is None:
        raise SettingsError(f"--release: {clean(release, 60)!r} is no number; ohai spells it as 7.11, 20.04 or 8.4.")


def verdicts_of(advisories: Sequence, upstream: str | None, told: dict[str, str]) -> list:
    """Return the verdict of each advisory; raises SettingsError for a package that none of them is about."""
    from generator import upstream as releases
    from generator import versions

    if upstream is not None:
        return [releases.verdict(each, upstream) for each in advisories]
    if not any(each.concerns(told["package"]) for each in advisories):
        named = ", ".join(each.id for each in advisories[:3]) + (", ..." if len(advisories) > 3 else "")
        raise SettingsError(
            f"--package: {clean(told['package'], 60)!r} is no binary package that {named} speaks of; libssl1.1 and "
            "openssl-libs are such names."
        )
    packages = {told["package"]: told["version"]}
    return [versions.verdict(each, told["platform"], told["release"], packages) for each in advisories]


def as_text(advisories: Sequence, verdicts: Sequence) -> None:
    """Print a line a verdict; of several, each begins with its advisory."""
    for advisory, verdict in zip(advisories, verdicts, strict=True):
        name = f"{clean(advisory.id)}: " if len(advisories) > 1 else ""
        print(f"{name}{verdict.kind.replace('_', ' ')}: {clean(verdict.reason)}")


def as_json(advisories: Sequence, verdicts: Sequence) -> None:
    """Print a JSON list of the verdicts, with `advisory`, `verdict` and `reason`."""
    import json

    found = [
        {"advisory": advisory.id, "verdict": verdict.kind, "reason": verdict.reason}
        for advisory, verdict in zip(advisories, verdicts, strict=True)
    ]
    json.dump(found, sys.stdout, indent=2)
    print()
