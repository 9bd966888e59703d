"""Other libraries by the same file, and day zero without any: patched and verified on nodes.

`invoke test` runs xz's; `invoke test.packages` the others, on a node with dnf too.
"""

import json

import pytest

from lab import rhel
from lab.apt_repository import OFFER
from lab.host import ROOT

XZ = ROOT / "tests/data/advisories/CVE-2024-3094.toml"
BAD, GOOD = "5.6.1-1", "5.6.1+really5.4.5-1"
NEWEST = "patched to the newest the repositories offer; no advisory says yet that it has the fix"
ZERO, DNF = "lib-zero", "lib-dnf"

# Two liblzma5 of a Debian that is not released yet: the node's own library under another name, because its sshd and its
# dpkg need one that works. The older is installed, and both are offered.
BUILD = (r"""
library=$(readlink -f /usr/lib/*-linux-gnu/liblzma.so.5)
mkdir -p /root/offers
build() {
    tree=/root/made
    mkdir -p "$tree/DEBIAN" "$tree${library%/*}"
    { cat "$library"; echo "made for a test: $1"; } >"$tree${library%/*}/liblzma.so.5.$2"
    ln -s "liblzma.so.5.$2" "$tree${library%/*}/liblzma.so.5"
    printf '%s\n' 'Package: liblzma5' "Architecture: $(dpkg --print-architecture)" "Version: $1" 'Multi-Arch: same' \
        'Maintainer: the lab <lab@example.invalid>' 'Description: made for a test' >"$tree/DEBIAN/control"
    dpkg-deb --build -Zgzip "$tree" "/root/offers/liblzma5_$1.deb" >/dev/null
    rm -r "$tree"
}
build BAD 6.1
build GOOD 4.5
dpkg -i /root/offers/liblzma5_BAD.deb >/dev/null
""" + OFFER + r"""
sed -i -e '/^VERSION/d' /etc/os-release
echo trixie/sid >/etc/debian_version
service ssh restart
chef-client --once --no-color
""").replace("BAD", BAD).replace("GOOD", GOOD)


@pytest.fixture(scope="module")
def environment(operator, uploads):
    """Make an environment that pins nothing: `patch` uploads the cookbook itself."""
    operator.environment("libraries")
    yield "libraries"
    operator.chef.delete("/environments/libraries")


@pytest.fixture
def run(operator):
    """Return what runs a verb about one node and returns how that ended, with what was printed and the node's line."""

    def running(verb: str, name: str, *words: str):
        report = operator.home / "libraries-report"
        done = operator.run(verb, *words, "--query", f"name:{name}", "--report", str(report), "-C", "1",
                            KNIFE_HOME=operator.settings("libraries"))
        return done.returncode, done.stdout + done.stderr, json.loads((report / "report.json").read_text())["nodes"][0]

    return running


def test_xz_is_patched_by_its_file_alone(operator, added, run):
    with added("lib-xz", "light", "sysv") as node:
        node.sh(BUILD)
        operator.indexed("lib-xz")
        asked = ("--advisory", str(XZ))
        code, said, found = run("verify", "lib-xz", *asked)
        assert (code, found["state"], found["release"]) == (2, "failed", "trixie/sid"), said
        assert f"liblzma5 {BAD} is below {GOOD}, DSA-5649-1" in found["error"]
        code, said, found = run("patch", "lib-xz", *asked, "--yes", "--accept-unpinned")
        assert (code, found["state"]) == (0, "patched"), said
        assert (found["packages_before"], found["packages_after"]) == ({"liblzma5": BAD}, {"liblzma5": GOOD})
        assert "reloaded ssh" in found["actions"]
        assert ("ssh", "liblzma.so.5.6.1") in {
            (each["service"], each["library"].rpartition("/")[2]) for each in found["stale_before"]
        }
        assert [each for each in found["stale_after"] if each["kind"] != "session"] == []
        assert "CVE-2024-3094 may have leaked before: look for signs of a break-in" in said
        assert node.sh("dpkg-query -W -f '${Version}' libssl3") == found_before(operator, "lib-xz")
        code, said, found = run("verify", "lib-xz", *asked)
        assert (code, found["state"]) == (0, "already_patched"), said


def found_before(operator, name: str) -> str:
    """Return the OpenSSL that a node reported when it was new: an advisory about another library leaves it alone."""
    return operator.chef.get(f"/nodes/{name}")["automatic"]["packages"]["libssl3"]["version"]


@pytest.mark.packages
def test_xz_is_patched_by_the_script_too(operator, added, run):
    with added("lib-shell", "light", "sysv") as node:
        node.sh(BUILD)
        operator.indexed("lib-shell")
        code, said, found = run("patch", "lib-shell", "--advisory", str(XZ), "--yes", "--via", "shell")
        assert (code, found["state"], found["packages_after"]) == (0, "patched", {"liblzma5": GOOD}), said
        assert "reloaded ssh" in found["actions"]
        record = json.loads(node.sh("cat /var/lib/openssl_patch/result.json"))
        assert record["verdict"]["kind"] == "fixed", record


@pytest.mark.packages
def test_day_zero_takes_the_newest_there_is_and_never_calls_it_fixed(operator, added, run):
    with added(ZERO, "light", "sysv") as node:
        operator.indexed(ZERO)
        before = node.sh("dpkg-query -W openssl libssl3")
        planned = operator.run("plan", "--latest", "--query", f"name:{ZERO}", KNIFE_HOME=operator.settings("libraries"))
        assert "no advisory says yet which version has the fix" in planned.stdout
        node.sh("apt-get -q update")
        code, said, found = run("verify", ZERO, "--latest")
        assert (code, found["state"]) == (2, "failed"), said
        assert "is not the newest its repositories offer" in found["error"]
        code, said, found = run("patch", ZERO, "--latest", "--yes", "--accept-unpinned")
        assert (code, found["state"], found.get("note")) == (0, "patched", NEWEST), said
        assert f"; {NEWEST}" in said
        assert node.sh("dpkg-query -W openssl libssl3") != before
        record = json.loads(node.sh("cat /var/lib/openssl_patch/result.json"))
        assert record["verdict"]["kind"] == "newest"
        assert all("no advisory says yet that it has the fix" in reason for reason in record["verdict"]["reasons"])
        for verb, words in (("patch", ("--yes", "--accept-unpinned")), ("verify", ())):
            code, said, found = run(verb, ZERO, "--latest", *words)
            assert (code, found["state"], found.get("note")) == (0, "already_patched", NEWEST), said
        node.sh("touch -d '3 days ago' /var/lib/apt/lists /var/lib/apt/lists/partial "
                "$(ls /var/lib/apt/periodic/update-success-stamp 2>/dev/null)")
        code, said, found = run("verify", ZERO, "--latest")
        assert (code, found["state"]) == (2, "unknown"), said
        assert "its package lists are 72 hours old" in found["error"]
        node.sh("""echo 'Acquire::Retries "0";' >/etc/apt/apt.conf.d/99once
                echo 'deb http://127.0.0.1:9 bookworm main' >/etc/apt/sources.list.d/dead.list""")
        code, said, found = run("patch", ZERO, "--latest", "--yes", "--accept-unpinned")
        assert (code, found["state"]) == (2, "failed"), said
        assert "package lists could not be fetched: Failed to fetch http://127.0.0.1:9/" in found["error"]
        operator.lab.reset(ZERO)
        code, said, found = run("patch", ZERO, "--latest", "--yes", "--via", "shell")
        assert (code, found["state"], found.get("note")) == (0, "patched", NEWEST), said


@pytest.mark.packages
def test_day_zero_on_rpm(operator, added, run):
    with added(DNF, "rhel", "sysv") as node:
        node.sh("service postgresql stop")
        operator.indexed(DNF)
        code, said, found = run("patch", DNF, "--latest", "--yes", "--accept-unpinned")
        assert (code, found["state"], found.get("note")) == (0, "patched", NEWEST), said
        assert found["packages_after"]["openssl"] == f"0:{rhel.FIXED}"
        code, said, found = run("verify", DNF, "--latest")
        assert (code, found["state"], found.get("note")) == (0, "already_patched", NEWEST), said
        node.sh(f"dnf -qy downgrade openssl-{rhel.VULNERABLE}")
        code, said, found = run("verify", DNF, "--latest")
        assert (code, found["state"]) == (2, "failed"), said
        assert f"openssl 0:{rhel.VULNERABLE} is not the newest its repositories offer: 0:{rhel.FIXED}" in found["error"]
