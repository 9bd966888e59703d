"""Which packages a node has: its package manager's own words, whole or refused.

dpkg-query is the machine's own where there is one. rpm is made up here, because no machine has both as its own.
"""

import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import advisory, packages, platforms
from generator.errors import ProbeError

DEB = "package\tdpkg\t{}\t{}\tinstall ok installed"
RPM = "package\trpm\t{}\t{}\tinstalled"
VERSIONS = st.from_regex(packages.VERSION, fullmatch=True)
NAMES = st.from_regex(platforms.OPENSSL, fullmatch=True)


def asked(path, script=packages.SCRIPT):
    """Run the script in a shell whose PATH is `path` alone; return its lines."""
    done = subprocess.run(
        ["/bin/sh"], input=script.encode(), env={"PATH": str(path)}, capture_output=True, check=False, timeout=30
    )
    return done.stdout.decode().splitlines()


def program(directory, name, text):
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this machine has no dpkg-query")
def test_the_machines_own_dpkg_is_understood():
    found = packages.parse(asked("/usr/bin:/bin"))
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]
    listed = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    there = {fields[1]: fields[2] for line in listed if (fields := line.split())[0] == "installed"}
    assert found == {name: version for name, version in there.items() if platforms.is_openssl(name)}


def test_rpm_is_asked_where_it_is_the_manager(tmp_path):
    program(tmp_path, "rpm", r"printf 'package\trpm\topenssl\t(none):1.0.1e-16.el6_5.4\tinstalled\n'")
    assert packages.parse(asked(tmp_path)) == {"openssl": "0:1.0.1e-16.el6_5.4"}


def test_a_dpkg_that_is_a_mere_tool_hides_no_rpm(tmp_path):
    program(tmp_path, "dpkg-query", "exit 1")
    program(tmp_path, "rpm", r"printf 'package\trpm\topenssl-libs\t1:3.0.7-27.el9\tinstalled\n'")
    assert packages.parse(asked(tmp_path)) == {"openssl-libs": "1:3.0.7-27.el9"}


@pytest.mark.parametrize(("name", "code"), [("dpkg-query", 2), ("rpm", 1)])
def test_a_manager_that_fails_gives_no_answer(tmp_path, name, code):
    program(tmp_path, name, rf"printf 'package\tdpkg\topenssl\t3.0.17-1\tinstall ok installed\n'; exit {code}")
    with pytest.raises(ProbeError, match="neither dpkg-query nor rpm answered"):
        packages.parse(asked(tmp_path))


def test_without_any_manager_there_is_no_answer(tmp_path):
    with pytest.raises(ProbeError, match="neither dpkg-query nor rpm answered"):
        packages.parse(asked(tmp_path))


@given(NAMES)
def test_every_name_of_openssl_is_asked_for(name):
    assert any(fnmatchcase(name, pattern) for pattern in packages.NAMES), name


def test_what_an_upgrade_left_behind_is_openssl_and_headers_are_not():
    lines = [DEB.format(name, "3.0.17-1") for name in ("openssl", "libssl3", "libssl1.1", "libssl-dev", "libssl3-dbg")]
    assert set(packages.parse([*lines, "packages\tdpkg"])) == {"openssl", "libssl3", "libssl1.1"}


@pytest.mark.parametrize(
    ("status", "there"),
    [
        ("install ok installed", True),
        ("hold ok installed", True),
        ("install ok half-configured", True),
        ("install ok unpacked", True),
        ("install ok triggers-awaited", True),
        ("install reinstreq half-installed", True),
        ("deinstall ok config-files", False),
        ("unknown ok not-installed", False),
    ],
)
def test_a_package_whose_files_are_there_is_there(status, there):
    found = packages.parse([f"package\tdpkg\tlibssl3\t3.0.15-1\t{status}", "packages\tdpkg"])
    assert ("libssl3" in found) is there


@pytest.mark.parametrize(
    ("line", "versions", "older"),
    [
        (DEB, ("3.0.15-1~deb12u1", "3.0.17-1~deb12u2"), "3.0.15-1~deb12u1"),
        (DEB, ("1.0.1e-2+deb7u10", "1.0.1e-2+deb7u9"), "1.0.1e-2+deb7u9"),
        (RPM, ("1:3.0.7-27.el9", "1:3.0.7-6.el9"), "1:3.0.7-6.el9"),
        (RPM, ("0:1.0.1e-16.el6_5.7", "(none):1.0.1e-16.el6_5.4"), "0:1.0.1e-16.el6_5.4"),
        (DEB, ("3.0.17-1", "not_a_version"), "not_a_version"),
    ],
)
def test_of_a_package_that_is_there_twice_the_older_counts(line, versions, older):
    name = "openssl"
    for pair in (versions, versions[::-1]):
        lines = [line.format(name, version) for version in pair]
        assert packages.parse([*lines, "packages\trpm"]) == {name: older}


@pytest.mark.parametrize("version", ["", "1.0 2", "\x1b[2J", "1" * 251, "3.0.17\u202e", "$(id)"])
def test_a_version_that_no_manager_writes_is_refused(version):
    with pytest.raises(ProbeError, match="no package manager writes") as caught:
        packages.parse([DEB.format("openssl", version), "packages\tdpkg"])
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(("status", "half"), [
    ("install ok installed", {}), ("hold ok installed", {}), ("install ok triggers-pending", {}),
    ("install ok triggers-awaited", {}), ("deinstall ok config-files", {}),
    ("install ok unpacked", {"openssl": "unpacked"}), ("install ok half-configured", {"openssl": "half-configured"}),
    ("install reinstreq half-installed", {"openssl": "half-installed"}),
])
def test_what_dpkg_was_interrupted_with_is_half_way(status, half):
    lines = [DEB.replace("install ok installed", status).format(name, "3.0.17-1") for name in ("openssl", "zlib1g")]
    assert packages.half_way(["noise", *lines, "packages\tdpkg"]) == half


XZ = advisory.read(Path(__file__).parents[1] / "data/advisories/CVE-2024-3094.toml")
HEARTBLEED = advisory.load(["heartbleed"])[0]


def test_an_advisory_about_another_library_upgrades_nothing_of_openssl():
    assert packages.upgraded([XZ])["debian"] == ("liblzma5", "xz-utils")
    assert packages.along([XZ])["debian"] == ("liblzma-dev",)
    assert (packages.upgraded([XZ])["rhel"], packages.along([XZ])["rhel"]) == ((), ())
    for asked in ([], [HEARTBLEED], [advisory.latest()]):
        assert packages.along(asked) == dict(platforms.COMPANIONS)
        assert packages.upgraded(asked) == dict(platforms.PACKAGES)
    assert packages.along([HEARTBLEED, XZ])["debian"] == (*platforms.COMPANIONS["debian"], "liblzma-dev")


@pytest.mark.parametrize(("asked", "concerned"), [
    ([], {"openssl"}), ([HEARTBLEED], {"openssl"}), ([XZ], {"liblzma5"}), ([HEARTBLEED, XZ], {"openssl", "liblzma5"}),
])
def test_what_is_read_is_what_the_advisories_are_about(asked, concerned):
    lines = [DEB.format(name, "1.0-1") for name in ("openssl", "liblzma5", "liblzma-dev", "zlib1g")]
    assert packages.parse([*lines, "packages\tdpkg"], packages.concern(asked)).keys() == concerned


@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_answer_is_read_or_refused(lines):
    try:
        found = packages.parse([*lines, "packages\tdpkg"])
    except ProbeError:
        return
    assert all(platforms.is_openssl(name) and packages.VERSION.fullmatch(found[name]) for name in found)


@given(st.dictionaries(NAMES, VERSIONS, max_size=5), st.lists(st.sampled_from(["", "noise", "packages", "package\tx"])))
def test_what_is_printed_is_what_is_read(there, noise):
    lines = [DEB.format(name, version) for name, version in there.items()]
    assert packages.parse([*noise, *lines, "packages\tdpkg", *noise]) == there
    with pytest.raises(ProbeError, match=re.escape("neither dpkg-query nor rpm answered")):
        packages.parse([*noise, *lines])
