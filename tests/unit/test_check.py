"""`invoke check`: one verdict, its reason, and an exit code a script can act on."""

import json

import pytest
from invoke import Collection, Program

from fleet.verbs.check import check


@pytest.fixture
def ended(capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            Program(namespace=Collection(check)).run(["invoke", "check", *arguments])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out.removesuffix("\n"), said.err.removesuffix("\n")

    return run


def about(platform: str, release: str, package: str, version: str) -> list[str]:
    return ["--platform", platform, "--release", release, "--package", package, "--version", version]


FOCAL = about("ubuntu", "20.04", "libssl1.1", "1.1.1f-1ubuntu2.11")


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["CVE-2022-0778", *FOCAL], 2,
     "vulnerable: libssl1.1 1.1.1f-1ubuntu2.11 is below 1.1.1f-1ubuntu2.12, USN-5328-1"),
    (["CVE-2022-0778", *about("ubuntu", "20.04", "libssl1.1", "1.1.1f-1ubuntu2.12")], 0,
     "fixed: libssl1.1 1.1.1f-1ubuntu2.12 is at or above 1.1.1f-1ubuntu2.12, USN-5328-1"),
    (["CVE-2022-3602", *FOCAL], 0,
     "not affected: CVE-2022-3602 does not affect libssl1.1 1.1.1f-1ubuntu2.11 on ubuntu 20.04: 3.x only"),
    (["heartbleed", "--upstream", "1.0.1f"], 2,
     "vulnerable: OpenSSL 1.0.1f is in 1.0.1 to 1.0.1f, which CVE-2014-0160 affects; 1.0.1g has the fix"),
    (["heartbleed", "--upstream", "1.0.1g"], 0,
     "fixed: OpenSSL 1.0.1g is at or above 1.0.1g, which has the fix for CVE-2014-0160"),
    (["CVE-2022-0778", "--upstream", "1.1.0l"], 4,
     "unknown: CVE-2022-0778 has no upstream range that speaks of OpenSSL 1.1.0l: see by hand"),
])
def test_one_verdict_and_its_reason(ended, arguments, code, said):
    assert ended("--advisory", *arguments) == (code, said, "")


@pytest.mark.parametrize(("platform", "release", "package", "version", "code"), [
    ("debian", "7.11", "libssl1.0.0", "1.0.1e-2+deb7u4", 2),
    ("ubuntu", "12.04", "libssl1.0.0", "1.0.1-4ubuntu5.12", 0),
    ("centos", "6.5", "openssl", "1.0.1e-16.el6_5.4", 2),
    ("redhat", "8.4", "openssl-libs", "1:1.1.1g-15.el8_3", 0),
    ("amazon", "2", "openssl-libs", "1:1.0.2k-24.amzn2.0.2", 0),
    ("opensuseleap", "15.5", "libopenssl1_1", "1.1.1l-150500.17.3.1", 0),
    ("opensuseleap", "13.1", "libopenssl1_0_0", "1.0.1e-11.28.1", 2),
    ("alpine", "3.18", "libssl3", "3.1.0-r0", 0),
    ("rocky", "9.3", "openssl-libs", "1:3.0.7-24.el9", 0),
    ("almalinux", "8.9", "openssl-libs", "1:1.1.1k-9.el8_7", 0),
    ("oracle", "6.5", "openssl", "1.0.1e-16.el6_5.4", 2),
    ("oracle", "6.5", "openssl", "10:1.0.1e-16.el6_5.4_fips", 4),
    ("debian", "99", "openssl", "1.0.1e-2", 4),
])
def test_platforms_as_ohai_spells_them(ended, platform, release, package, version, code):
    found, said, wrong = ended("--advisory", "CVE-2014-0160", *about(platform, release, package, version))
    assert (found, wrong) == (code, ""), said


def test_of_several_advisories_the_worst_decides(ended):
    code, said, wrong = ended("--advisory", "all", *FOCAL)
    lines = said.splitlines()
    assert (code, wrong, len(lines)) == (2, "", 21)
    assert "CVE-2021-3711: fixed: libssl1.1 1.1.1f-1ubuntu2.11 is at or above 1.1.1f-1ubuntu2.8, USN-5051-1" in lines
    assert ended("--advisory", "CVE-2021-3711", "--advisory", "CVE-2022-3602", *FOCAL)[0] == 0
    assert ended("--advisory", "CVE-2022-0778", "--advisory", "CVE-2022-3602", "--upstream", "1.1.0l")[0] == 4


def test_for_programs(ended):
    code, said, wrong = ended("--advisory", "CVE-2022-0778", *FOCAL, "--json")
    assert (code, wrong) == (2, "")
    assert json.loads(said) == [{
        "advisory": "CVE-2022-0778", "verdict": "vulnerable",
        "reason": "libssl1.1 1.1.1f-1ubuntu2.11 is below 1.1.1f-1ubuntu2.12, USN-5328-1",
    }]


@pytest.mark.parametrize(("arguments", "sentence"), [
    ([], "say which version: --platform --release --package --version are missing, or --upstream alone for a build"),
    (FOCAL[:-2], "say which version: --version is missing, or --upstream alone"),
    ([*FOCAL[:-1], ""], "say which version: --version is missing"),
    ([*FOCAL, "--upstream", "1.0.1f"], "--upstream is about a build of one's own and goes without --platform."),
    (["--upstream", " "], "--upstream has no value."),
    (about("ubuntu", "focal", "libssl1.1", "1.1.1f-1"), "--release: 'focal' is no number; ohai spells it as 7.11, 20"),
    (about("centoos", "6.5", "openssl", "1-1"), "--platform: 'centoos' is none that ohai spells so; known are alma"),
    (about("centos", "6.5", "nginx", "1-1"), "--package: 'nginx' is no binary package that CVE-2014-0160 speaks of;"),
])
def test_wrong_usage_is_one_sentence_and_exit_1(ended, arguments, sentence):
    code, said, wrong = ended("--advisory", "heartbleed", *arguments)
    assert (code, said) == (1, "")
    assert wrong.startswith(f"styptic: {sentence}")
    assert "\n" not in wrong


def test_an_advisory_has_to_be_named(ended):
    code, said, wrong = ended("--upstream", "1.0.1f")
    assert (code, said, wrong.startswith("styptic: say which: --advisory CVE-2014-0160")) == (1, "", True)
    code, said, wrong = ended("--advisory", "CVE-1", "--upstream", "1.0.1f")
    assert (code, said, wrong.startswith("styptic: there is no advisory 'CVE-1'")) == (1, "", True)


def test_what_is_typed_cannot_play_with_the_terminal(ended):
    code, said, wrong = ended("--advisory", "heartbleed", *about("debian", "7.11", "openssl", "1\x1b[2J-1"))
    assert (code, wrong, said.isprintable()) == (4, "", True)
    assert "is not a version that dpkg writes" in said
