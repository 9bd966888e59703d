"""What the recipe does about packages: all architectures at once, holds, apt's lock, dead mirrors, the minimum version.

`invoke test` runs one of these; `invoke test.packages` the others, on a node with dnf too.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator import advisory, render
from lab import rhel
from lab.apt_repository import OFFER
from tests.lab.faults import HOLD_LOCK

NODE, DNF = "pk-node", "pk-dnf"
RESULT = "/var/lib/openssl_patch/result.json"

# A library of another architecture and a package of headers, in the two versions that the lab has; there is nothing of
# OpenSSL in them, because nobody runs them: what matters is what they depend on.
FOREIGN = r"""
dpkg --add-architecture i386
mkdir -p /root/offers
build() {
    mkdir -p /root/made/DEBIAN "/root/made/usr/share/$1-$2"
    echo "$3" >"/root/made/usr/share/$1-$2/version"
    printf '%s\n' "Package: $1" "Architecture: $2" "Version: $3" 'Multi-Arch: same' 'Description: made for a test' \
        'Maintainer: the lab <lab@example.invalid>' ${4:+"Depends: $4"} >/root/made/DEBIAN/control
    dpkg-deb --build -Zgzip /root/made "/root/offers/$1_$3_$2.deb" >/dev/null
    rm -r /root/made
}
for version in OLDER NEWER; do
    build libssl3 i386 "$version"
    build libssl-dev amd64 "$version" "libssl3 (= $version)"
done
dpkg -i /root/offers/*_OLDER_* >/dev/null
rm /root/offers/*_OLDER_*
""" + OFFER
# Lets it go once the recipe says that it waits.
UNTIL_IT_WAITS = r"""
chef-client --once --no-color -o 'recipe[openssl_patch]' 2>&1 | while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in *"openssl_patch: waiting for PID "*) : >/run/go ;; esac
done
"""
# A mirror at whose address nobody answers; asked once, because apt's own retries take seconds.
DEAD = """echo 'Acquire::Retries "0";' >/etc/apt/apt.conf.d/99once; echo 'deb http://127.0.0.1:9 bookworm main'"""


@dataclass
class Converged:
    """One run of the recipe: chef-client's exit code and words, and the record it left."""

    code: int
    said: str
    record: dict

    @property
    def error(self) -> str:
        return self.record["error"] or ""


@pytest.fixture(scope="module")
def apt(added):
    with added(NODE, "light", "sysv"):
        yield NODE


@pytest.fixture(scope="module")
def rpm(added):
    with added(DNF, "rhel", "sysv"):
        yield DNF


@pytest.fixture
def node(operator, apt):
    """A node with apt, as new."""
    operator.lab.reset(apt)
    return apt


@pytest.fixture
def dnf(operator, rpm):
    """A node with dnf, as new."""
    operator.lab.reset(rpm)
    return rpm


@pytest.fixture
def converge(operator):
    """Return what runs the recipe alone on a node, with these attributes of the cookbook's."""

    def run(node: str = NODE, **attributes) -> Converged:
        found = operator.chef.get(f"/nodes/{node}")
        operator.chef.put(f"/nodes/{node}", {**found, "normal": {"openssl_patch": attributes}})
        operator.lab.exec(node, ["rm", "-f", RESULT])
        client = ["chef-client", "--once", "--no-color", "-o", "recipe[openssl_patch]"]
        done = operator.lab.exec(node, client, capture_output=True, text=True)
        left = operator.lab.exec(node, ["cat", RESULT], capture_output=True, text=True)
        assert left.returncode == 0, done.stdout + done.stderr
        return Converged(done.returncode, done.stdout + done.stderr, json.loads(left.stdout))

    return run


@pytest.fixture
def sides(operator, node):
    """The older and the newer version of the library."""
    policy = operator.sh(node, "apt-get -q update >/dev/null; apt-cache policy libssl3")
    words = policy.split()
    return words[words.index("Installed:") + 1], words[words.index("Candidate:") + 1]


def versions(operator) -> dict[str, str]:
    lines = operator.sh(NODE, "dpkg-query -W 'openssl' 'libssl*'").splitlines()
    return dict(line.split("\t") for line in lines if line.split("\t")[1])


@pytest.mark.packages
def test_every_architecture_and_the_headers_go_in_one_transaction(operator, node, converge, sides):
    operator.sh(node, FOREIGN.replace("OLDER", sides[0]).replace("NEWER", sides[1]))
    assert set(versions(operator).values()) == {sides[0]}
    done = converge()
    assert done.code == 0, done.said
    assert versions(operator) == dict.fromkeys(
        ("libssl-dev:amd64", "libssl3:amd64", "libssl3:i386", "openssl"), sides[1]
    )
    assert done.record["packages_after"] == dict.fromkeys(
        ("libssl-dev", "libssl3", "libssl3:i386", "openssl"), sides[1]
    )
    assert done.record["verdict"]["kind"] == "fixed"
    assert operator.sh(node, "grep -c '^Start-Date' /var/log/apt/history.log").strip() == "1"
    again = converge()
    assert again.code == 0, again.said
    assert re.search(r" 0/\d+ resources updated", again.said), again.said


def test_a_held_package_fails_the_run_and_is_named_with_what_lets_it_go(operator, node, converge, sides):
    operator.sh(node, "apt-mark hold libssl3")
    done = converge()
    assert done.code == 1, done.said
    assert done.record["held"] == [
        {"package": "libssl3", "by": "apt-mark hold", "command": "apt-mark unhold libssl3"}
    ]
    assert done.error.startswith(
        "libssl3 is held (apt-mark hold): `apt-mark unhold libssl3` lets it go; still vulnerable: "
    )
    assert f"libssl3 {sides[0]} is below {sides[1]}, LAB-CURRENT" in done.error
    assert versions(operator) == {"libssl3:amd64": sides[0], "openssl": sides[1]}
    assert operator.sh(node, "apt-mark showhold") == "libssl3\n"


@pytest.mark.packages
def test_a_held_package_that_is_fixed_is_a_note(operator, node, converge, sides):
    operator.sh(node, "apt-get -qy install libssl3 openssl; apt-mark hold libssl3")
    done = converge()
    assert (done.code, done.record["error"], done.record["verdict"]["kind"]) == (0, None, "fixed"), done.said
    assert [each["package"] for each in done.record["held"]] == ["libssl3"]
    assert "libssl3 is held" in done.said


@pytest.mark.packages
def test_a_lock_is_waited_for_and_its_holder_named(operator, node, converge, sides):
    operator.sh(node, HOLD_LOCK)
    done = converge(lock_seconds=1)
    assert done.code == 1, done.said
    assert "nothing was changed, because PID " in done.error
    assert "(perl /run/lock-holder) still holds apt's lock after 1 seconds" in done.error
    assert versions(operator) == {"libssl3:amd64": sides[0], "openssl": sides[0]}


@pytest.mark.packages
def test_a_lock_that_is_let_go_in_time_costs_a_while_and_nothing_else(operator, node, sides):
    operator.sh(node, HOLD_LOCK)
    said = operator.sh(node, UNTIL_IT_WAITS)
    assert "(perl /run/lock-holder), which holds apt's lock" in said
    assert json.loads(operator.sh(node, f"cat {RESULT}"))["status"] == "success", said
    assert versions(operator) == {"libssl3:amd64": sides[1], "openssl": sides[1]}


@pytest.mark.packages
def test_a_mirror_that_is_down_leaves_the_node_as_it_was_and_is_named(operator, node, converge, sides):
    operator.sh(node, f"rm /var/lib/apt/lists/*_*; {DEAD} >/etc/apt/sources.list.d/lab.list")
    done = converge()
    assert done.code == 1, done.said
    assert f"openssl {sides[0]} is below {sides[1]}" in done.error
    assert "package lists could not be fetched: Failed to fetch http://127.0.0.1:9/" in done.error
    assert versions(operator) == {"libssl3:amd64": sides[0], "openssl": sides[0]}


@pytest.mark.packages
def test_a_dead_source_beside_the_one_that_has_the_fix_fails_nobody(operator, node, converge, sides):
    operator.sh(node, f"{DEAD} >/etc/apt/sources.list.d/dead.list")
    done = converge()
    assert (done.code, done.record["verdict"]["kind"]) == (0, "fixed"), done.said


@pytest.mark.packages
def test_an_old_mirror_fails_the_run_with_what_it_offers(operator, node, converge, sides):
    operator.sh(node, "apt-get -qy install libssl3 openssl")
    row = {"distro": "debian", "release": "12", "stream": "", "packages": ["libssl3"], "version": f"{sides[1]}.1",
           "advisory": "DSA-TEST"}
    said = {"packages": None, "upstream": None, "fixed": [row], "never_fixed": [], "not_affected": []}
    done = converge(minimum={"TEST-1": said})
    assert done.code == 1, done.said
    assert done.record["verdict"] == {
        "kind": "vulnerable", "reasons": [f"libssl3 {sides[1]} is below {sides[1]}.1, DSA-TEST"],
    }
    assert f"for libssl3 the repositories offer {sides[1]} from file:/srv/repo/current" in done.error


def rpms(operator) -> dict[str, str]:
    lines = operator.sh(DNF, "rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' 'openssl*'").splitlines()
    return dict(line.split() for line in lines)


OLD = {"openssl": rhel.VULNERABLE, "openssl-devel": rhel.VULNERABLE, "openssl098e": rhel.COMPAT[0]}


@pytest.mark.packages
def test_the_headers_go_along_on_rpm_and_a_second_run_does_nothing(operator, dnf, converge):
    assert rpms(operator) == OLD
    done = converge(DNF)
    assert (done.code, done.record["error"]) == (0, None), done.said
    assert rpms(operator) == {"openssl": rhel.FIXED, "openssl-devel": rhel.FIXED, "openssl098e": rhel.COMPAT[1]}
    transactions = operator.sh(DNF, "dnf history list | wc -l")
    again = converge(DNF)
    assert again.code == 0, again.said
    assert operator.sh(DNF, "dnf history list | wc -l") == transactions


@pytest.mark.packages
@pytest.mark.parametrize(("hold", "by", "command"), [
    ("dnf -q versionlock add openssl", "dnf versionlock", "dnf versionlock delete openssl"),
    ("echo 'exclude=kernel* openssl' >>/etc/dnf/dnf.conf", "exclude= in /etc/dnf/dnf.conf",
     "dnf --disableexcludes=all upgrade openssl"),
])
def test_a_locked_or_excluded_rpm_is_named_with_what_lets_it_go(operator, dnf, converge, hold, by, command):
    operator.sh(DNF, hold)
    done = converge(DNF)
    assert done.code == 1, done.said
    assert done.record["held"] == [{"package": "openssl", "by": by, "command": command}]
    assert done.error.startswith(
        f"openssl is held ({by}): `{command}` lets it go; still vulnerable: openssl 0:{rhel.VULNERABLE} is below "
    )
    assert rpms(operator) == {**OLD, "openssl098e": rhel.COMPAT[1]}


@pytest.mark.packages
def test_a_mirror_of_rpms_that_is_down_leaves_the_node_as_it_was(operator, dnf, converge):
    operator.sh(DNF, f"mv {rhel.REPOSITORY} /srv/away")
    done = converge(DNF)
    assert done.code == 1, done.said
    assert "lab" in done.error
    assert "Failed to download metadata" in done.error or "package lists could not be fetched" in done.error
    assert rpms(operator) == OLD


@pytest.mark.packages
def test_what_a_mirror_has_since_a_moment_ago_is_found(operator, dnf, converge):
    index = f"rm -r {rhel.REPOSITORY}/repodata; createrepo_c -q {rhel.REPOSITORY}"
    operator.sh(DNF, f"""
        mkdir /root/later; mv {rhel.REPOSITORY}/*-{rhel.FIXED}.* /root/later; {index}; dnf -q makecache --refresh
        mv /root/later/* {rhel.REPOSITORY}; {index}
    """)
    done = converge(DNF)
    assert (done.code, rpms(operator)["openssl"]) == (0, rhel.FIXED), done.said


@pytest.mark.packages
def test_what_is_newer_than_all_that_the_repositories_have_stays(operator, dnf, converge):
    operator.sh(DNF, f"""
        dnf -qy upgrade
        rm -r {rhel.REPOSITORY}/openssl*-{rhel.FIXED}.* {rhel.REPOSITORY}/repodata; createrepo_c -q {rhel.REPOSITORY}
    """)
    before = rpms(operator)
    assert before["openssl"] == rhel.FIXED
    done = converge(DNF)
    assert (done.code, done.record["error"]) == (0, None), done.said
    assert rpms(operator) == before, done.said


@pytest.mark.packages
def test_a_later_release_is_gone_to_when_it_is_asked_for(operator, dnf, converge):
    operator.sh(DNF, f"""
        mkdir -p /srv/of/6; cp {rhel.REPOSITORY}/openssl*{rhel.VULNERABLE}* /srv/of/6; createrepo_c -q /srv/of/6
        mv {rhel.REPOSITORY} /srv/of/next
        sed -i 's|^baseurl=.*|baseurl=file:///srv/of/$releasever|' /etc/yum.repos.d/*.repo
    """)
    stays = converge(DNF)
    assert (stays.code, rpms(operator)) == (1, OLD), stays.said
    assert f"for openssl the repositories offer {rhel.VULNERABLE} from lab" in stays.error
    goes = converge(DNF, releasever="next")
    assert (goes.code, goes.record["error"]) == (0, None), goes.said
    assert rpms(operator)["openssl"] == rhel.FIXED


@pytest.mark.packages
def test_amazon_linux_is_told_of_its_later_releases(operator, dnf, tmp_path):
    """No Amazon Linux can be had here: its node and its package are made up, the sentence is the library's own."""
    render.cookbook(advisory.load(["CVE-2014-0160"]), tmp_path / "cookbook")
    libraries = "".join(path.read_text() for path in sorted(Path(tmp_path, "cookbook", "libraries").glob("*.rb")))
    program = f"require 'mixlib/shellout'\n{libraries}{AMAZON}"
    said = operator.lab.exec(dnf, ["ruby", "-e", program], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("Amazon Linux upgrades only within the release it has: `dnf check-release-update` ")
    assert "`dnf upgrade --releasever=VERSION openssl`" in said.stdout


AMAZON = """
def (OpensslPatch::Packages).found(names)
  names.empty? ? [] : [OpensslPatch::Package.new('openssl', nil, '1:3.0.8-1.amzn2023.0.1', false)]
end
row = { 'distro' => 'amazon', 'release' => '2023', 'stream' => '', 'packages' => ['openssl'],
        'version' => '1:3.0.8-1.amzn2023.0.9', 'advisory' => 'ALAS-TEST' }
said = { 'packages' => nil, 'upstream' => nil, 'fixed' => [row], 'never_fixed' => [], 'not_affected' => [] }
node = { 'platform' => 'amazon', 'platform_version' => '2023' }
puts OpensslPatch::Outcome.new(node, ['openssl'], [], { 'TEST-1' => said }, nil).error
"""
