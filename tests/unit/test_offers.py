"""What the repositories offer, on day zero: really asked of this machine's apt. dnf is made up here; nodes of the lab
have the real one.
"""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import offers, packages
from generator.offers import Offers

ADVICE = "no advisory says yet that it has the fix"


def asked(path: str, names=packages.NAMES) -> list[str]:
    """Run the script in a shell whose PATH is `path`; return its lines."""
    done = subprocess.run(
        ["/bin/sh"], input=offers.script(names).encode(), env={"PATH": path, "LC_ALL": "C"}, capture_output=True,
        check=True, timeout=60,
    )
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@pytest.mark.skipif(not shutil.which("apt-cache"), reason="this machine has no apt-cache")
def test_the_machines_own_apt_is_understood():
    found = offers.parse(asked("/usr/bin:/bin", ("libc6", "dpkg", "no-such-package")), {"libc6": "1", "dpkg": "1"})
    policy = subprocess.run(["apt-cache", "policy", "libc6"], capture_output=True, text=True, check=True, env={}).stdout
    assert found.candidates["libc6"] == policy.split("Candidate: ")[1].split()[0]
    assert found.candidates.keys() == {"libc6", "dpkg"}
    assert found.age is None or found.age >= 0


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_shellcheck_is_content():
    said = subprocess.run(
        ["shellcheck", "-s", "sh", "-"], input=offers.script(packages.NAMES), capture_output=True, text=True,
        check=False,
    )
    assert said.stdout == ""


def programs(directory, code: int, listed: str) -> str:
    """Put an rpm and a dnf into a directory, beside what the script needs; return that as PATH."""
    for name in ("date", "stat"):
        (directory / name).symlink_to(shutil.which(name))
    for name, text in {
        "rpm": "echo openssl; echo openssl-libs",
        "dnf": f'case "$*" in *"-C "*"check-update openssl openssl-libs") ;; *) exit 9 ;; esac\n{listed}\nexit {code}',
    }.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    return str(directory)


INSTALLED = {"openssl": "1:3.0.7-1.el9", "openssl-libs": "0:1.0.1e-15.el6"}


@pytest.mark.parametrize(("code", "listed", "candidates"), [
    (0, "", INSTALLED),
    (100, "echo; echo 'openssl-libs.x86_64   1.0.1e-16.el6_5.7   updates'",
     {**INSTALLED, "openssl-libs": "0:1.0.1e-16.el6_5.7"}),
    (100, "printf 'openssl.x86_64 1:3.0.7-2.el9\\n    baseos\\nopenssl.i686 1:3.0.7-3.el9 baseos\\n'",
     {**INSTALLED, "openssl": "1:3.0.7-3.el9"}),
    (1, "echo 'Cache-only enabled but no cache for baseos'", {}),
])
def test_dnf_names_what_is_newer_and_by_its_silence_what_is_not(tmp_path, code, listed, candidates):
    assert offers.parse(asked(programs(tmp_path, code, listed)), INSTALLED).candidates == candidates


@pytest.mark.parametrize(("candidates", "age", "kind", "said"), [
    ({"libssl3": "3.0.17-1"}, 60, "newest", ADVICE),
    ({"libssl3": "3.0.17-1"}, offers.FRESH + 3600, "unknown", "its package lists are 25 hours old"),
    ({"libssl3": "3.0.17-1"}, None, "unknown", "its package lists are of unknown age"),
    ({"libssl3": "3.0.18-1"}, None, "vulnerable", "is not the newest its repositories offer: 3.0.18-1"),
    ({}, 60, "unknown", "nothing says what the repositories offer of libssl3"),
])
def test_old_lists_prove_a_package_old_and_none_new(candidates, age, kind, said):
    found = offers.verdict({"libssl3": "3.0.17-1"}, Offers(candidates, age))
    assert found.kind == kind
    assert said in found.reason


def test_another_packages_candidate_is_nobodys():
    said = ("libssl3:i386:", "  Candidate: 2", "zlib1g:", "  Candidate: 9")
    lines = [f"offer\tapt\t{line}" for line in said]
    assert offers.parse(lines, {"libssl3": "1"}).candidates == {"libssl3": "2"}
    assert offers.parse(lines[1:2], {"libssl3": "1"}).candidates == {}
    assert offers.parse(["offer\tapt\tlibssl3:", "offer\tapt\t  Candidate: (none)"], {"libssl3": "1"}).candidates == {}


@given(st.lists(st.text("\tofferslistaptrpm0123456789.: -\x1b", max_size=40)))
def test_any_answer_gives_versions_of_what_is_installed_or_none(noise):
    lines = [f"{kind}{line}" for line in noise for kind in ("", "offer\tapt\t", "offer\trpm\t", "lists\t")]
    found = offers.parse(lines, {"a": "1", "openssl": "0:1-1"})
    assert found.candidates.keys() <= {"a", "openssl"}
    assert all(packages.VERSION.fullmatch(version) for version in found.candidates.values())
