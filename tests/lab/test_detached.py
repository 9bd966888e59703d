"""A converge goes on by itself: what happens to the connection, or to the time it has, does not happen to the node."""

import contextlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fleet import detached
from fleet.history import History
from lab.front import Front
from lab.host import LabError
from tests.lab import journals

# In a program's place: says that it is there, waits for its word, then goes on as that program.
SLOW = r"""
place=$(command -v PROGRAM)
real=$(readlink -f $place)
if [ "$real" = $place ]; then real=$place.real; mv $place $real; else rm $place; fi
cat >$place <<'SH'
#!/bin/sh
echo $$ >/root/there.new && mv /root/there.new /root/there
until [ -e /root/go ]; do sleep 0.1; done
SH
echo "exec $real \"\$@\"" >>$place
chmod 755 $place
"""
# Ends the connections that stand, and not the sshd that listens.
CUT = "pkill -KILL -f '^sshd: root@'"
faults = pytest.mark.faults


@pytest.fixture
def slow(operator, environment, added):
    """Return what adds a node, in an environment of its own, whose converge waits for its word, in that program."""

    @contextlib.contextmanager
    def add(name, init="sysv", program="chef-client", base="light"):
        there = operator.chef.get(f"/environments/{environment}")
        operator.chef.post("/environments", there | {"name": name})
        try:
            with added(name, base, init, environment=name) as node:
                node.sh(SLOW.replace("PROGRAM", program))
                yield node
        finally:
            operator.chef.delete(f"/environments/{name}")

    return add


@pytest.fixture
def under_way(operator):
    """Return what patches an environment while the block goes on, once its node has begun to converge."""

    @contextlib.contextmanager
    def patch(node, *words):
        told = SimpleNamespace()
        with ThreadPoolExecutor() as pool:
            going = pool.submit(patched, operator, node, *words)
            try:
                with contextlib.suppress(LabError):  # a rollout that ended before says why
                    node.until("test -e /root/there")
                assert not going.done(), going.result()
                yield told
            finally:
                node.sh("touch /root/go")
                told.done, told.nodes = going.result()
        with History(operator.home / "journal.db") as history:
            told.run = history.run().id
            told.steps = history.steps(told.run, node.name)

    return patch


def patched(operator, node, *words, settings=None):
    """Patch a node that has an environment of its name to itself, with the cookbook that is pinned there."""
    words = ("patch", "--yes", "--env", node.name, *words)
    return operator.reported(*words, KNIFE_HOME=settings or operator.settings("detached"))


def upgrades(node):
    """Return how often libssl3 was upgraded on a node."""
    return int(node.sh("cat /var/log/dpkg.log 2>/dev/null | grep -c ' upgrade libssl3:' || true"))


def latest(operator):
    """Return the latest run's name."""
    with History(operator.home / "journal.db") as history:
        return history.run().id


def journalled(operator, what):
    """Wait until the journal has `what(history, run)` of the latest run; return it."""
    return journals.awaited(operator.home / "journal.db", what)


def names(told):
    return [step.name for step in told.steps]


def stands(node, run):
    """Return how a run's converge stands on a node."""
    done = node.lab.exec(node.name, detached.ask(run), capture_output=True)
    return detached.parse(SimpleNamespace(stdout=done.stdout, stderr=done.stderr, truncated=False))


def test_a_connection_that_breaks_costs_the_node_nothing(operator, slow, under_way):
    with slow("detached-cut", program="apt-get") as node:
        with under_way(node, "--via", "shell") as told:
            node.sh(CUT)
        assert told.done.returncode == 0, told.done.stdout + told.done.stderr
        assert told.nodes[node.name]["state"] == "patched"
        assert (upgrades(node), node.stale()) == (1, {})
        taken = names(told)
        assert taken[taken.index("converge"):] == [
            "converge", "connect again", "converge", "read the result", "connect anew", "look", "prove",
        ]
        log = told.steps[taken.index("converge")].detail["log"]
        assert "nothing runs the old library" in node.sh(f"cat {log}")
        assert node.sh(f"stat -c %a {log}").strip() == "600"
        shown = operator.run("show", "--run", told.run, "--node", node.name)
        assert log in shown.stdout


@faults
def test_a_cable_that_is_pulled_and_put_back_costs_the_node_nothing(operator, slow, under_way, tmp_path):
    config = tmp_path / "ssh_config"
    config.write_text(f"Include {operator.lab.chef_dir.parent}/ssh_config\nHost *\n  ServerAliveInterval 1\n")
    with slow("detached-cable", program="apt-get") as node:  # which asks a mirror on the node
        with under_way(node, "--via", "shell", "--ssh-config", str(config)) as told:
            operator.lab.unplug(node.name)
            node.sh("touch /root/go")
            node.until(f"grep -q '^0' {detached.STATE}/*.end")  # it ends while nobody can ask
            journalled(operator, journals.taken(node.name, "connect again"))
            operator.lab.plug(node.name)
        assert told.done.returncode == 0, told.done.stdout + told.done.stderr
        assert "connect again" in names(told)
        assert upgrades(node) == 1


@faults
def test_one_that_hangs_is_left_as_it_is_and_its_run_can_be_taken_up(operator, slow, under_way):
    with slow("detached-hung") as node:
        with under_way(node, "--step-timeout", "3") as told:
            (found,) = journalled(operator, lambda history, run: [
                line.record for line in history.nodes(run) if line.state == "failed"
            ])
            node.sh("kill -0 $(cat /root/there)")
            assert stands(node, latest(operator)).stage is detached.Stage.RUNNING
        assert told.done.returncode == 2
        assert found["error"] == (
            "timed out in converge after 3 s (chef-client was started on it and may still run)"
        )
        assert f"{detached.STATE}/{told.run}.log on it; `invoke patch --resume`" in found["todo"]
        node.until(f"grep -q '^000' {detached.STATE}/{told.run}.end")
        assert stands(node, told.run).code == 0
        assert upgrades(node) == 1


@faults
def test_a_service_manager_that_ends_all_of_a_connections_unit_does_not_end_it(slow, under_way):
    with slow("detached-unit", init="systemd") as node:
        node.sh("mkdir /etc/systemd/system/ssh.service.d; cd /etc/systemd/system/ssh.service.d;"
                "echo '[Service]' >kill.conf; echo KillMode=control-group >>kill.conf; systemctl daemon-reload")
        with under_way(node) as told:
            group = node.sh("cat /proc/$(cat /root/there)/cgroup")
            assert re.search(r"/system\.slice/run-[^/]*\.scope$", group, re.MULTILINE), group
            node.sh("systemctl restart ssh")
        assert "connect again" in names(told)
        assert told.nodes[node.name]["state"] == "patched", told.done.stdout
        assert upgrades(node) == 1


@faults
def test_a_logind_that_ends_all_of_a_login_does_not_end_it(slow, under_way):
    with slow("detached-login", init="systemd", base="full") as node:  # where logind knows of logins
        node.sh("systemctl stop postgresql")
        node.sh("printf '[Login]\\nKillUserProcesses=yes\\nKillExcludeUsers=\\n' >/etc/systemd/logind.conf")
        node.sh("systemctl restart systemd-logind")
        with under_way(node) as told:
            node.sh("test $(loginctl --no-legend list-sessions | grep -c root) -ge 1; loginctl terminate-user root")
            node.until("! pgrep -f '^sshd: root@'")
            node.sh("kill -0 $(cat /root/there)")
        assert "connect again" in names(told)
        assert told.nodes[node.name]["state"] == "patched", told.done.stdout
        assert upgrades(node) == 1


@faults
def test_a_machine_that_goes_down_in_it_is_told_and_patched_by_the_next_run(operator, slow, under_way):
    with slow("detached-power") as node:
        with under_way(node) as told:
            operator.lab.power_off(node.name)
            operator.lab.power_on(node.name)
        found = told.nodes[node.name]
        assert found["state"] == "failed"
        assert found["error"] == (
            f"the machine went down while chef-client ran on it (its log: {detached.STATE}/{told.run}.log)"
        )
        assert upgrades(node) == 0
        done, nodes = patched(operator, node)
        assert (done.returncode, nodes[node.name]["state"]) == (0, "patched")
        assert upgrades(node) == 1


@faults
def test_another_runs_converge_is_waited_for_and_not_begun_beside(operator, slow, under_way):
    with slow("detached-two") as node:
        with under_way(node, "--no-lock") as told:
            first = latest(operator)
            done, nodes = second(operator, node, "--run-lock-timeout", "1")
            assert done.returncode == 2
            assert nodes[node.name]["error"] == (
                f"the run {first} still has its converge going on there, after 1 s (nothing was changed on it)"
            )
        assert told.done.returncode == 0, told.done.stdout
        assert upgrades(node) == 1


def second(operator, node, *words):
    """Patch as another operator does, with a journal and a report of their own."""
    home = operator.home / "second"
    home.mkdir(exist_ok=True)
    other = type(operator)(operator.lab, home, operator.chef)
    return patched(other, node, "--no-lock", *words, settings=operator.settings("detached"))


@contextlib.contextmanager
def under_a_policy(name):
    """Give a front before the Chef server that says of one node, in searches, that it is under a policy.

    A stand-in: goiardi keeps no node that is.
    """
    def rule(asked, ask):
        reply = ask()
        if reply is None or "/search/node" not in asked:
            return reply
        found = json.loads(reply.body)
        for row in found["rows"]:
            if row["data"].get("name") == name:
                row["data"]["policy_name"] = "base"
        return replace(reply, body=json.dumps(found).encode())

    with Front() as front:
        front.rule = rule
        yield front


@faults
def test_a_node_under_a_policy_converges_a_copy_of_the_cookbook(operator, environment, added):
    with added("detached-policy", "web", "sysv") as node, under_a_policy(node.name) as front:
        before = operator.chef.get(f"/nodes/{node.name}")
        knife = operator.settings("policy", front.url)  # a cookbook of its own, which the server has not
        words = ("--env", environment)
        planned = operator.run("plan", *words, "--advisory", str(operator.lab.advisory), KNIFE_HOME=knife)
        assert "1 nodes are under one: they converge a copy of the cookbook, in local mode" in planned.stdout
        done, nodes = operator.reported("patch", "--yes", "--full-run", *words, KNIFE_HOME=knife)
        assert "under the policy base, whose lock says what its full run converges" in nodes[node.name]["error"]
        front.asked.clear()
        done, nodes = operator.reported("patch", "--yes", *words, KNIFE_HOME=knife)
        assert (done.returncode, nodes[node.name]["state"]) == (0, "patched"), done.stdout + done.stderr
        assert "nginx" in " ".join(nodes[node.name]["actions"])
        assert (upgrades(node), node.stale()) == (1, {})
        asked = [each for each in front.asked if "/search/" not in each]
        wrote = {each for each in asked if each.split()[0] in ("PUT", "POST", "DELETE")}
        assert {each.split("/")[1] for each in wrote} == {"data"}, "the lock, and no cookbook"
        assert operator.chef.get(f"/nodes/{node.name}") == before
        assert node.sh(f"ls {detached.STATE}").split() == sorted(
            [f"{latest(operator)}.end", f"{latest(operator)}.log", "converge.lock", "result.json"]
        )
        assert not node.sh("ls -d /root/.chef 2>/dev/null || true")
