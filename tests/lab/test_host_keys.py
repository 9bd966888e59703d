"""`--host-keys chef` on a real sshd, by what its node object on the Chef server has of it. One node, in this order."""

import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import keys
from lab.host import RUN

NODE = "hostkeys-1"
NEW_KEY = "rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; service ssh restart"


@dataclass
class Way:
    """How the node is reached: with an ssh_config whose known_hosts is `users`; `ours` is where our own stands."""

    operator: object
    config: Path
    users: Path
    ours: Path

    def verify(self, *words: str) -> dict:
        """Verify the node, which is vulnerable; return its line of the report."""
        done, nodes = self.operator.verify("--query", f"name:{NODE}", "--ssh-config", str(self.config), *words)
        assert done.returncode == 2, done.stdout + done.stderr
        return nodes[NODE]

    def report(self, key: str) -> None:
        """Have the Chef server say of the node what ohai would with this .pub, and wait until its search does."""
        node = self.operator.chef.get(f"/nodes/{NODE}")
        node["automatic"]["keys"] = {"ssh": {"host_ed25519_public": key.split()[1]}}
        self.operator.chef.put(f"/nodes/{NODE}", node)
        end = time.monotonic() + 10
        asked = {"key": ["keys", "ssh", "host_ed25519_public"]}
        while self.operator.chef.post(f"/search/node?q=name:{NODE}", asked)["rows"][0]["data"]["key"] != key.split()[1]:
            assert time.monotonic() < end, "the search does not say it"


def fingerprint(key: str) -> str:
    """What ssh-keygen(1) calls a .pub file's key."""
    words = ["ssh-keygen", "-lf", "-"]
    return subprocess.run(words, input=key, capture_output=True, text=True, check=True).stdout.split()[1]


@pytest.fixture(scope="module")
def way(operator):
    operator.lab.add(NODE)
    operator.indexed(NODE)
    config, users = operator.home / "ssh_config", operator.home / "users_known_hosts"
    config.write_text((RUN / "ssh_config").read_text().replace(str(RUN / "known_hosts"), str(users)))
    yield Way(operator, config, users, operator.home / "known_hosts")
    operator.lab.remove(NODE)


@pytest.fixture(scope="module")
def first(operator, way):
    """The node's .pub, and its address."""
    return (operator.lab.nodes[NODE].identity / f"{keys.HOST}.pub").read_text(), operator.lab.nodes[NODE].address


def test_an_unknown_key_is_refused_unless_the_flag_is_given(way, first):
    node = way.verify()
    assert node["state"] == "unreachable"
    assert f"is not known, it is ssh-ed25519 {fingerprint(first[0])}: compare it" in node["error"]
    assert not way.ours.exists()


def test_with_the_flag_the_reported_key_is_taken_and_written_down(way, first):
    key, address = first
    node = way.verify("--host-keys", "chef")
    assert node["state"] == "failed", node["error"]
    assert node["packages_before"], "it was looked at"
    assert way.ours.read_text() == f"{address} {' '.join(key.split()[:2])} {NODE}\n"
    assert stat.S_IMODE(way.ours.stat().st_mode) == 0o600
    assert not way.users.exists()


@pytest.fixture(scope="module")
def second(operator, way, first):
    """The .pub of a key that the node has in the first one's place, as the Chef server says too by now."""
    operator.sh(NODE, NEW_KEY)
    key = operator.sh(NODE, "cat /etc/ssh/ssh_host_ed25519_key.pub")
    way.report(key)
    return key


def test_a_changed_key_is_refused_although_it_is_the_reported_one(way, first, second):
    before = way.ours.read_text()
    node = way.verify("--host-keys", "chef")
    assert node["state"] == "unreachable"
    assert node["error"] == (
        f"the host key of {first[1]} has changed, it is now ssh-ed25519 {fingerprint(second)} (as {NODE} reported it "
        f"too), and {way.ours} holds ssh-ed25519 {fingerprint(first[0])}: find out on the host whether that is its "
        f"key, then ssh-keygen -f {way.ours} -R {first[1]}, and the next run takes the one that is reported."
    )
    assert way.ours.read_text() == before


def test_the_users_own_entry_counts_and_is_left_alone(way, first, second):
    way.ours.unlink()
    way.users.write_text(f"{first[1]} {first[0]}")
    node = way.verify("--host-keys", "chef")
    assert node["state"] == "unreachable"
    assert f"{way.users} holds ssh-ed25519 {fingerprint(first[0])}: find out" in node["error"]
    assert way.users.read_text() == f"{first[1]} {first[0]}"
    assert not way.ours.exists()
