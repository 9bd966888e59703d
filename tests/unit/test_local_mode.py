"""Nodes under a policy: what is sent to them, and how chef-client is started there, by a shell here."""

import io
import re
import subprocess
import tarfile

import pytest

from fleet import local_mode, push
from fleet.converge import STATE
from fleet.node import Node
from fleet.settings import Settings

FILES = {"metadata.json": b"{}", "recipes/default.rb": b"log 'x'\n"}
#: chef-client, made up here: what matters is how it is called, and what it finds.
CLIENT = r"""#!/bin/sh
for word; do printf '<%s>' "$word"; done
echo
echo "node $STYPTIC_NODE lock $STYPTIC_LOCKFILE licence ${CHEF_LICENSE-none}"
cd "$(dirname "$3")" && find . -type f | sort
exit 35
"""


@pytest.fixture
def converge(tmp_path):
    """Return what converges the archive of FILES with this text for client.rb, and returns how that ended."""
    etc, state, programs = (tmp_path / name for name in ("etc", "state", "bin"))
    for directory in (etc / "chef/client.d", state / "local.old", programs):
        directory.mkdir(parents=True)
    (state / "result.json").write_text("{}")
    (programs / "chef-client").write_text(CLIENT)
    (programs / "chef-client").chmod(0o755)

    def run(client_rb="", more="", payload=None):
        (etc / "chef/client.rb").write_text(client_rb)
        (etc / "chef/client.d/more.rb").write_text(more)
        words = local_mode.command("web'1", 60)
        words[2] = words[2].replace("/etc/", f"{etc}/").replace(STATE, str(state))
        done = subprocess.run(
            words, input=local_mode.archive("openssl_patch", FILES) if payload is None else payload,
            capture_output=True, timeout=30, check=False, env={"PATH": f"{programs}:/usr/bin:/bin"},
        )
        assert not list(state.iterdir()), "nothing stays: no copy, none from before, no result of an earlier run"
        return done.returncode, done.stdout.decode()

    return run


def test_chef_client_converges_the_copy_and_nothing_else(converge):
    code, said = converge()
    words, about, *found = said.splitlines()
    assert code == 35
    assert re.fullmatch(
        r"<--local-mode><--config></.*/state/local\.\w{6}/config\.rb><--once><--no-color><--run-lock-timeout><60>"
        r"<-o><recipe\[openssl_patch\]>", words,
    )
    assert about == "node web'1 lock /var/chef/cache/chef-client-running.pid licence none"
    assert found == ["./config.rb", *(f"./cookbooks/openssl_patch/{path}" for path in sorted(FILES))]


@pytest.mark.parametrize(("said", "more", "lock", "licence"), [
    ("chef_license 'accept'\n", "", "/var/chef/cache/chef-client-running.pid", "accept-no-persist"),
    ("", "chef_license \"accept-silent\"\n", "/var/chef/cache/chef-client-running.pid", "accept-no-persist"),
    ("# chef_license 'accept'\n", "chef_license 'no'\n", "/var/chef/cache/chef-client-running.pid", "none"),
    ("file_cache_path '/srv/cache'\n", "", "/srv/cache/chef-client-running.pid", "none"),
    ("file_cache_path '/srv/cache'\nlockfile(\"/run/$(id).lock\")\n", "", "/run/$(id).lock", "none"),
    ("lockfile '/run/one'\n", "lockfile '/run/two'\n", "/run/two", "none"),
])
def test_the_nodes_own_lock_and_its_acceptance_of_the_licence_hold(converge, said, more, lock, licence):
    assert converge(said, more)[1].splitlines()[1] == f"node web'1 lock {lock} licence {licence}"


def test_what_is_no_archive_converges_nothing(converge):
    code, said = converge(payload=b"no archive")
    assert (code, said) == (1, "")


def test_an_archive_is_the_same_for_the_same_files_and_has_nobodys_name():
    archive = local_mode.archive("openssl_patch", FILES)
    assert archive == local_mode.archive("openssl_patch", dict(reversed(FILES.items())))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {member.name: member for member in tar}
    assert {member.mode for member in members.values()} == {0o600}
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "")}
    assert set(members) == {"config.rb", *(f"cookbooks/openssl_patch/{path}" for path in FILES)}


@pytest.mark.parametrize(("policy", "settings", "wanted"), [
    ("base", {}, True), (None, {}, False), ("", {}, False), ("base", {"via": "shell"}, False),
    ("base", {"full_run": True}, False), ("base", {"via": "chef-server"}, False),
])
def test_who_is_converged_so(policy, settings, wanted):
    node, settings = Node("n1", "production", policy_name=policy), Settings(**settings)
    assert local_mode.wanted(node, settings) is wanted
    assert push.served([node], settings) == (set() if wanted else {"production"})


def test_a_cookbook_that_no_node_takes_from_the_server_is_not_pushed(tmp_path):
    from generator import advisory

    config = type("Config", (), {"cookbook_path": [tmp_path]})
    nodes = [Node("n1", "production", policy_name="base")]
    pushed = push.for_nodes(None, config, advisory.load(["CVE-2014-0160"]), nodes, Settings())
    assert (pushed.version, pushed.changed, pushed.files) == ("1.0.0", False, 0)
    with tarfile.open(fileobj=io.BytesIO(pushed.archive)) as tar:
        assert {"config.rb", "cookbooks/openssl_patch/recipes/default.rb"} <= set(tar.getnames())
