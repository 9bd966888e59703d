"""Nodes that go wrong, one way each, in one rollout: each ends in one sentence and its state, the others unharmed.

What goes wrong at a moment of an upgrade, or is mended and patched then, is in the fault table: test_faults_node.py.
"""

from pathlib import Path

import pytest

from generator.shell import join

GOOD, REST = "bad-0-good", {
    "bad-lock": "light", "bad-orphan": "light", "bad-nginx": "web", "bad-broken": "light",
}
#: Nodes that stand only on the Chef server, by the attributes they report.
PAPER = {
    "bad-noaddress": {"platform": "debian", "platform_version": "12"},
    "bad-option": {"platform": "debian", "platform_version": "12", "fqdn": "-oProxyCommand=touch /tmp/styptic-pwned"},
    "bad-shell": {"platform": "debian", "platform_version": "12", "fqdn": "$(touch /tmp/styptic-pwned)"},
    "bad-ansi": {"platform": "debian", "platform_version": "12\x1b[2J<b>", "fqdn": "\x1b[31mx"},
    "bad-closed": {"platform": "debian", "platform_version": "12", "fqdn": "10.77.0.1"},
    "bad-self": {"platform": "debian", "platform_version": "12", "fqdn": "localhost.localdomain"},
    "bad-windows": {"platform": "windows", "platform_version": "10.0.20348", "fqdn": "win.example"},
}

# Holds the library without being anybody's service, in a session of its own below init.
ORPHAN = r"""
cat >/root/orphan.pl <<'PERL'
use DynaLoader;
DynaLoader::dl_load_file(DynaLoader::dl_findfile(glob('-L/usr/lib/*-linux-gnu'), 'libssl.so.3'), 0) or die;
open(my $file, '>', '/run/orphan.new'); print $file $$; close $file; rename '/run/orphan.new', '/run/orphan';
sleep 3600;
PERL
setsid perl /root/orphan.pl </dev/null >/dev/null 2>&1 &
until test -s /run/orphan; do :; done
cat /run/orphan
"""


@pytest.fixture(scope="module")
def bad(operator):
    """Make the nodes, break each in its way, patch them all, and take them away again."""
    lab, chef = operator.lab, operator.chef
    operator.environment("bad")
    for name, base in {GOOD: "light", **REST}.items():
        lab.add(name, base=base, init="sysv", environment="bad")
    PAPER["bad-moved"] = {"platform": "debian", "platform_version": "12", "fqdn": lab.nodes[GOOD].address}
    for name, says in PAPER.items():
        chef.post("/nodes", {
            "name": name, "chef_environment": "bad", "json_class": "Chef::Node", "chef_type": "node", "automatic": says,
            "normal": {}, "default": {}, "override": {}, "run_list": [],
        })
    script = join(["printf", "%s\\n", "#!/bin/sh", "printf '\\033[2JFATAL: no such thing\\n'; exit 1"])
    operator.sh("bad-broken", f"client=$(command -v chef-client); rm $client; {script} >$client; chmod 755 $client")
    lock = "/var/chef/cache/chef-client-running.pid"
    operator.sh("bad-lock", f"mkdir -p $(dirname {lock}); setsid flock {lock} sleep 3600 </dev/null >/dev/null 2>&1 &"
                f"until ! flock -n {lock} true; do :; done")
    orphan = operator.sh("bad-orphan", ORPHAN).strip()
    operator.sh("bad-nginx", "echo 'no_such_directive;' >>/etc/nginx/nginx.conf")
    master = operator.master("bad-nginx")
    done, nodes = operator.patch(
        "--env", "bad", "--timeout", "60", "--run-lock-timeout", "1", "--max-failures", "100%",
        "--max-unreachable", "100%",
    )
    yield {"done": done, "nodes": nodes, "orphan": orphan, "master": master}
    for name in (GOOD, *REST):
        lab.remove(name)
    for name in PAPER:
        chef.delete(f"/nodes/{name}")
    chef.delete("/environments/bad")


def test_the_rollout_ends_with_2_and_a_line_for_every_node(bad):
    assert bad["done"].returncode == 2, bad["done"].stdout + bad["done"].stderr
    assert set(bad["nodes"]) == {GOOD, *REST, *PAPER}
    assert "\x1b" not in bad["done"].stdout + bad["done"].stderr


def test_the_good_node_is_patched_all_the_same(bad):
    assert bad["nodes"][GOOD]["state"] == "patched"
    assert bad["nodes"][GOOD]["wave"] == 1


@pytest.mark.parametrize(("name", "state", "said"), [
    ("bad-broken", "failed", "chef-client ended with 1: ?[2JFATAL: no such thing"),
    ("bad-lock", "failed", "Unable to acquire lock. Waited 1 seconds"),
    ("bad-noaddress", "unreachable", "no address"),
    ("bad-option", "unreachable", "-oProxyCommand=touch /tmp/styptic-pwned"),
    ("bad-shell", "unreachable", "$(touch /tmp/styptic-pwned)"),
    ("bad-ansi", "unreachable", "?[31mx"),
    ("bad-closed", "unreachable", "refused"),
    ("bad-windows", "skipped", "windows"),
    ("bad-moved", "unreachable", "is bad-0-good by its own client.rb"),
    ("bad-self", "unreachable", "that is this machine"),
])
def test_each_ends_in_its_state_and_one_sentence(bad, name, state, said):
    node = bad["nodes"][name]
    assert node["state"] == state, node["error"]
    assert said in node["error"]
    assert "\n" not in node["error"]
    assert any(line.strip().startswith(name) and state in line for line in bad["done"].stdout.splitlines())


def test_what_a_node_says_of_itself_ran_nowhere(bad):
    assert bad["done"].returncode == 2
    assert not Path("/tmp/styptic-pwned").exists()


def test_a_process_that_no_service_owns_is_left_running_and_named(operator, bad):
    node = bad["nodes"]["bad-orphan"]
    assert node["state"] == "stale"
    assert [str(each["pid"]) for each in node["stale_after"] if each["kind"] == "orphan"] == [bad["orphan"]]
    assert f"restart PID {bad['orphan']}" in bad["done"].stdout
    assert operator.sh("bad-orphan", f"cat /proc/{bad['orphan']}/comm") == "perl\n"


def test_a_service_with_a_broken_configuration_keeps_serving(operator, bad):
    node = bad["nodes"]["bad-nginx"]
    assert node["state"] == "failed"
    assert "no_such_directive" in node["error"]
    assert operator.master("bad-nginx") == bad["master"]
    assert operator.sh("bad-nginx", "curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1/") in ("200", "403")
