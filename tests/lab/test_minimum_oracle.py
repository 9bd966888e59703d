"""The cookbook's own answer to "is this version fixed?", by Ruby and dpkg on a node, against generator.versions'.

The cookbook knows less on purpose, of FIPS builds: whatever it does answer must be what the controller says.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from generator import advisory, minimum, platforms, render, versions
from generator.rows import Fixed, NeverFixed, NotAffected, Upstream

XZ = Path(__file__).parents[1] / "data/advisories/CVE-2024-3094.toml"
GOOD = ("fixed", "not_affected")
RUN = r"""
require "json"
require "mixlib/shellout"
asked = JSON.parse($stdin.read)
asked["libraries"].each { |name, text| eval(text, TOPLEVEL_BINDING, name) }
puts JSON.generate(asked["cases"].map { |said, platform, version, name, package|
  found = OpensslPatch::Package.new(name, nil, package, false)
  OpensslPatch::Minimum.deciding(OpensslPatch::Minimum.new(said, platform, version).answers([found])).first
})
"""
LIBRARIES = ("command", "packages", "versions", "origin", "upstream", "minimum")


def made_up(heartbleed: advisory.Advisory) -> advisory.Advisory:
    """Return an advisory with what few real ones have: streams, a range, a release that nobody mends."""
    source = "https://example.invalid/"

    def fixed(distro: str, release: str, version: str) -> Fixed:
        return Fixed(distro, release, "openssl", version, None, source, None)

    return replace(
        heartbleed, id="TEST-1",
        upstream=Upstream((("3.0.0", "3.0.16"), ("1.1.1", "1.1.1zb")), ("3.0.17",), source, (), "1.1.1"),
        fixed=(
            fixed("debian", "bookworm", "3.0.17-1~deb12u2"), fixed("debian", "bullseye", "1.1.1w-0+deb11u4"),
            fixed("ubuntu", "20.04-esm", "1.1.1f-1ubuntu2.24+esm1"), fixed("ubuntu", "22.04", "3.0.2-0ubuntu1.20"),
            fixed("ubuntu", "22.04-esm", "3.0.2-0ubuntu1.21+esm1"),
        ),
        never_fixed=(NeverFixed("debian", "buster", "openssl", "end of life", source, None),),
        not_affected=(NotAffected("debian", "wheezy", "openssl", "older than the fault", source, None),),
    )


def cases(advisories: list[advisory.Advisory]) -> list[tuple]:
    """Return advisory, platform, platform_version, package and version: around each row's bar, and far from it."""
    nodes = [("debian", f"{major}.4") for major in ("7", "10", "12")] + [("debian", "trixie/sid")]
    nodes += [("ubuntu", name) for name in ("10.04", "12.04", "20.04", "22.04")]
    found = []
    for each in advisories:
        for platform, version in nodes:
            release = platforms.release_of(platform, version)
            bars = {row.version for row in each.fixed if row.distro == platform and release.release in row.release}
            for bar in bars or {"1.1.1n-0+deb10u6"}:
                upstream, _, build = bar.rpartition("-")
                tries = (
                    bar, f"{bar}~", f"{bar}.1", f"1:{bar}", f"9.9.9-{build}", f"{upstream}-0", f"{bar}+esm1",
                    f"{upstream}-1", f"1.1.1zc-{build}", f"{bar}+deb11u9~deb10u1",
                    f"{bar}+fips1", f"{bar}~bpo12+1", f"{bar}ubuntu1", f"{bar}/x", "3.0.17-1~deb12u2",
                    "0.9.8o-4squeeze14", "3.5.0~beta1-1",
                )
                found += [(each, platform, version, "openssl", text) for text in tries]
    return found


@pytest.fixture(scope="module")
def answers(lab, tmp_path_factory):
    """Return each case with what Ruby and what we say."""
    place = tmp_path_factory.mktemp("cookbook") / "openssl_patch"
    heartbleed = advisory.load(["CVE-2014-0160"])[0]
    asked = cases([heartbleed, made_up(heartbleed)])
    asked += [
        (advisory.read(XZ), "debian", release, "liblzma5", version) for release in ("12.5", "trixie/sid")
        for version in ("5.6.1-1", "5.6.1+really5.4.5-1", "5.6.2-1", "5.8.1-1", "5.4.5-0.3", "5.5.1alpha-0.1")
    ]
    render.cookbook([heartbleed], place)
    done = lab.exec(
        next(iter(lab.nodes)), ["ruby", "-e", RUN], capture_output=True, text=True, check=False,
        input=json.dumps({
            "libraries": {name: Path(place, "libraries", f"{name}.rb").read_text() for name in LIBRARIES},
            "cases": [(minimum.attribute([case[0]]), *case[1:]) for case in asked],
        }),
    )
    assert done.returncode == 0, done.stderr
    ours = [versions.verdict(each, platform, version, {name: text}) for each, platform, version, name, text in asked]
    return list(zip(((case[0].id, *case[1:]) for case in asked), json.loads(done.stdout), ours, strict=True))


def test_what_the_cookbook_answers_is_what_the_controller_says(answers):
    for case, theirs, ours in answers:
        if theirs == "vulnerable":
            assert ours.kind == "vulnerable", (case, ours)
        elif theirs != "unknown":
            assert ours.kind in GOOD, (case, theirs, ours)


def test_it_answers_wherever_no_special_build_is_in_play(answers):
    kinds = {(theirs, ours.kind) for _, theirs, ours in answers}
    assert {(kind, kind) for kind in versions.KINDS} <= kinds
    assert [(case, ours) for case, theirs, ours in answers if theirs != ours.kind and "fips" not in case[4]] == []
