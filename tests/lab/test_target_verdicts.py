"""The script's verdicts against Styptic's own, on the nodes whose dpkg and rpm compare: `invoke test.targets`."""

import pytest

from generator import advisory, platforms, targets, versions
from generator.platforms import Release

SHOWN_AS = {"rhel": "redhat"}  # a platform of ohai's for each distribution
NUMBERS = {name: number for number, name in platforms.CODENAMES.items()}
PLATFORMS = ("debian", "ubuntu", "redhat", "amazon", "fedora")
BASES = {"dpkg": "light", "rpm": "rhel"}


def cases(advisory_, scheme: str) -> list[tuple[str, str, str, str]]:
    """Return platform, release, package and version just below, at and above each fixed row."""
    found = []
    for row in advisory_.fixed:
        platform = SHOWN_AS.get(row.distro, row.distro)
        if platforms.SCHEME[row.distro] != scheme or platform not in PLATFORMS:
            continue
        named, _ = platforms.stream_of(row.release)
        release = "2018.03" if (platform, named) == ("amazon", "1") else NUMBERS.get(named, named)
        for package in advisory_.binaries(Release(row.distro, row.release), row.package)[:1]:
            found += [(platform, release, package, f"{row.version}{more}") for more in ("~", "", ".0")]
    return found


@pytest.mark.targets
@pytest.mark.parametrize("scheme", BASES)
def test_the_script_never_says_other_than_styptic_and_knows_every_plain_row(lab, scheme):
    name, asked, known = f"verdicts-{scheme}", 0, 0
    lab.add(name, base=BASES[scheme], environment="_default")
    try:
        for each in advisory.load(["all"]):
            told = cases(each, scheme)
            program = targets.shell([each])[targets.SCRIPT].removesuffix('main "$@" </dev/null\n')
            program += "work=$(mktemp -d)\nnames=\n"
            for platform, release, package, version in told:
                program += (f"platform={platform} release={release}\ndistro_of {platform}\n"
                            f"installed() {{ echo '{package} {package} {version} -'; }}\njudge\necho \"$kind\"\n")
            done = lab.exec(name, ["sh"], input=program, capture_output=True, text=True)
            kinds = done.stdout.split()
            assert len(kinds) == len(told), done.stderr
            for (platform, release, package, version), kind in zip(told, kinds, strict=True):
                right = versions.verdict(each, platform, release, {package: version}).kind
                assert kind in (right, "unknown"), (each.id, platform, release, package, version, kind, right)
                asked, known = asked + 1, known + (kind == right)
    finally:
        lab.remove(name)
    assert asked > 100
    assert known >= asked * 0.8, "what is unknown to it are the streams: ESM, ELS"
