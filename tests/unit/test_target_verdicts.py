"""The verdict of the script of `invoke render --target shell`, where it could be another than Styptic's own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from generator import advisory, targets, versions

SILENT_RPM = 'rpm() { echo "error: lua script failed" >&2; return 1; }\n'  # before rpm 4.7.0: it knows no rpm.vercmp
SUDO = """
id = "CVE-2021-3156"
title = "A library that numbers its releases in another way than OpenSSL"
coverage = "made for a test"
libraries = ["libsudo_util"]
services = ["ssh"]
[upstream]
before = [["1.8.2", "1.9.5p2"]]
fixed = ["1.9.5p2"]
source = "https://example.invalid/"
[[package]]
distro = "debian"
package = "sudo"
binary = ["sudo"]
source = "https://example.invalid/"
"""
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg compares, and is not here")


def ran(found: advisory.Advisory, lines: str, **environment: str) -> subprocess.CompletedProcess:
    """Run lines of shell with the functions and the data of the script for one advisory."""
    program = targets.shell([found])[targets.SCRIPT].removesuffix('main "$@" </dev/null\n')
    program += "work=$(mktemp -d); trap 'rm -rf \"$work\"' EXIT\n" + lines
    return subprocess.run(
        ["sh"], input=program, capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )


def judged(found: advisory.Advisory, platform: str, release: str, name: str, version: str, before: str = "") -> str:
    """Return what the script says of one package; `before` are functions that stand in for a package manager's."""
    done = ran(found, f"""{before}
platform={platform} release={release} names=
distro_of {platform}
installed() {{ echo '{name} {name} {version} -'; }}
judge
echo "$kind"
""")
    return done.stdout.strip() or done.stderr


@pytest.fixture
def asked() -> advisory.Advisory:
    return advisory.load(["CVE-2024-6119"])[0]  # 3.0.2-0ubuntu1.18; 3.0, 3.2 and 3.3 are affected, of 3.1 nobody speaks


@needs_dpkg
@pytest.mark.parametrize(("version", "kind"), [
    ("3.1.5-0ubuntu1", "unknown"), ("3.2.1-0ubuntu1", "unknown"), ("3.2.3-0ubuntu1", "fixed"),
    ("3.0.2-0ubuntu1.18", "fixed"), ("3.4.0-0ubuntu1", "fixed"), ("3.0.2-1", "unknown"), ("3.4.0-1", "fixed"),
])
def test_what_sorts_above_a_row_is_fixed_only_where_upstream_or_ubuntu_says_so(asked, version, kind):
    assert versions.verdict(asked, "ubuntu", "22.04", {"libssl3": version}).kind == kind
    assert judged(asked, "ubuntu", "22.04", "libssl3", version) == kind


def test_what_rpm_cannot_compare_is_unknown():
    ccs = advisory.load(["CVE-2014-0224"])[0]  # its row for rhel 5 is 0:0.9.8e-27.el5_10.3
    assert judged(ccs, "centos", "5.10", "openssl", "0:0.9.8e-27.el5_10.1", SILENT_RPM) == "unknown"


def test_what_dpkg_cannot_compare_is_unknown(asked):
    assert judged(asked, "ubuntu", "22.04", "libssl3", "3.0.2-0ubuntu1.17", "dpkg() { return 2; }\n") == "unknown"


def test_a_rebuilds_own_number_is_left_out_of_what_rpm_is_asked():
    found = advisory.load(["CVE-2024-12797"])[0]  # 1:3.2.2-6.el9_5.1
    told = 'rpm() { echo "$2" >>"$work/asked"; echo 0; }\n'
    done = ran(found, f"""{told}
platform=oracle release=9.5 names=
distro_of oracle
installed() {{ echo 'openssl-libs openssl-libs 1:3.2.2-6.0.1.el9_5 -'; }}
judge
cat "$work/asked"
""")
    assert "%{lua:print(rpm.vercmp('6.el9_5', '6.el9_5.1'))}" in done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("version", ["1.8.27-1+deb10u2", "1.9.0-1"])
def test_a_range_whose_end_cannot_be_read_spares_nobody(tmp_path, version):
    file = tmp_path / "sudo.toml"
    file.write_text(SUDO)
    assert judged(advisory.read(file), "debian", "10.8", "sudo", version) == "unknown"


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no dpkg here")
def test_a_database_that_dpkg_cannot_read_is_not_one_without_packages(asked, tmp_path):
    for name in ("updates", "info"):
        (tmp_path / name).mkdir()
    lines = "distro_of() { distro=debian family=debian; }\nidentify; installed \"$names\" >/dev/null; echo went on\n"
    (tmp_path / "status").write_text(Path("/var/lib/dpkg/status").read_text() + "\nno field of dpkg's\n")
    done = ran(asked, lines, DPKG_ADMINDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "the package manager does not answer; nothing was changed" in done.stderr
    assert ran(asked, lines).stdout == "went on\n"


@needs_dpkg
@pytest.mark.parametrize(("version", "code", "words"), [
    ("3.0.2-0ubuntu1.17", 2, "libssl3 is held (apt-mark hold)"), ("3.0.2-0ubuntu1.18", 0, "nothing to do"),
])
def test_a_dry_run_says_what_keeps_a_machine_vulnerable(asked, version, code, words):
    done = ran(asked, f"""
platform=ubuntu release=22.04
distro_of ubuntu
packages_of debian
for list in failures stale; do : >"$work/$list"; done
look() {{ :; }}
lists() {{ unfetched=''; }}
installed() {{ case " $1 " in *' libssl3 '*) echo 'libssl3 libssl3 {version} hold' ;; esac; }}
dry_run
""")
    assert (done.returncode, words in done.stdout) == (code, True), done.stdout + done.stderr
    assert ("nothing to do" in done.stdout) == (code == 0)
