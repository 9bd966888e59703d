"""`patch --reboot` on real nodes: who is rebooted, who comes back, and what is said of those that do not."""

import os
import subprocess
import sys

import pytest

from fleet.history import History
from lab.host import ROOT
from tests.lab import journals

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
# A process that is nobody's service and maps libcrypto for as long as nobody writes into the pipe it reads.
ORPHAN = """
mkfifo /root/pipe
setsid openssl sha256 /root/pipe >/dev/null 2>&1 </dev/null &
until grep -sq libcrypto "/proc/$(pgrep -x openssl)/maps"; do :; done
"""
# In the place of what tells init: says yes and does nothing, says no, and switches the machine off.
DEAF, REFUSING, OFF = "exit 0", "echo 'somebody holds this up' >&2; exit 1", "exec poweroff"
ALL_AT_ONCE = ("--waves", "100%", "--max-failures", "100%")
pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("old_systemd")]


@pytest.fixture
def patched(operator, environment):
    """Return what patches the environment with --reboot; it returns the run, its nodes by name, and its steps."""

    def patch(*words):
        words = ("patch", "--yes", "--reboot", "--env", environment, *words)
        done, nodes = operator.reported(*words, KNIFE_HOME=operator.settings("rebooted"))
        assert nodes, done.stdout + done.stderr
        with History(operator.home / "journal.db") as history:
            return done, nodes, [(step.node, step.name) for step in history.steps(history.run().id)]

    return patch


def taken(steps, name):
    """Return the steps of a node that change or prove something."""
    return [step for node, step in steps if node == name and step in ("converge", "prove", "reboot")]


def in_place_of_shutdown(node, script):
    """Have a node's shutdown(8) be another."""
    node.sh(f"rm /sbin/shutdown; printf '%s\\n' '#!/bin/sh' {script!r} >/sbin/shutdown; chmod 755 /sbin/shutdown")


def test_what_nothing_else_mends_is_rebooted_and_proven_again(operator, patched, added):
    with added("rebooted-init", "web", "systemd") as init, added("rebooted-orphan", "web", "sysv") as orphan:
        orphan.sh(ORPHAN)
        before = {node.name: node.sh(BOOT_ID) for node in (init, orphan)}
        operator.indexed("rebooted-init", "rebooted-orphan")
        done, nodes, steps = patched("--waves", "1,100%")
        assert done.returncode == 0, done.stdout + done.stderr
        for node in (init, orphan):
            found = nodes[node.name]
            assert (found["state"], found["error"], found["actions"][-1]) == ("patched", None, "rebooted")
            assert node.sh(BOOT_ID) != before[node.name]
            assert (found["stale_after"], node.stale()) == ([], {})
            assert "nginx" in node.masters()
            assert taken(steps, node.name) == ["converge", "prove", "reboot", "prove"]
        # It holds its place until it is back: nobody of the next wave is touched before.
        first, second = sorted((init.name, orphan.name), key=lambda name: nodes[name]["wave"])
        assert [nodes[first]["wave"], nodes[second]["wave"]] == [1, 2]
        assert steps.index((second, "converge")) > len(steps) - 1 - steps[::-1].index((first, "prove"))
        now = init.sh(BOOT_ID)
        done, nodes, _ = patched(*ALL_AT_ONCE)
        assert (done.returncode, nodes["rebooted-init"]["state"]) == (0, "already_patched")
        assert init.sh(BOOT_ID) == now  # a node that needs nothing is left alone


def test_a_patched_node_that_owes_a_reboot_takes_a_place_in_a_wave(operator, patched, added, tmp_path):
    deeper = tmp_path / "LAB-DEEPER.toml"
    said = operator.lab.advisory.read_text().replace('"LAB-CURRENT"', '"LAB-DEEPER"')
    deeper.write_text(said.replace("lab = true", 'lab = true\nrestart = "reboot"'))
    with added("rebooted-owing", "light", "sysv") as node:
        node.upgrade()
        node.sh("service ssh restart; touch /run/reboot-required")
        operator.indexed(node.name)
        before = node.sh(BOOT_ID)
        done, nodes, steps = patched("--advisory", str(deeper), "--via", "shell", "-x", "ops", "--sudo")
        found = nodes[node.name]
        assert (done.returncode, found["state"]) == (0, "patched"), done.stdout + done.stderr
        assert (found["wave"], found["actions"]) == (1, ["rebooted"])
        assert taken(steps, node.name) == ["prove", "reboot", "prove"]
        assert node.sh(BOOT_ID) != before


@pytest.mark.parametrize(
    ("shutdown", "state", "said"),
    [
        (DEAF, "failed", "timed out in reboot: after 4 s it has not gone down"),
        (OFF, "failed", "timed out in reboot: after 4 s no connection to it comes about: "),
        (REFUSING, "stale", "could not be rebooted: `shutdown -r now` ended with 1 on it: somebody holds this up"),
    ],
    ids=["deaf", "off", "refusing"],
)
def test_a_node_that_does_not_reboot_says_how_far_it_came(operator, patched, added, shutdown, state, said):
    with added("rebooted-not", "light", "sysv") as node:
        node.sh(ORPHAN)
        in_place_of_shutdown(node, shutdown)
        operator.indexed(node.name)
        done, nodes, _ = patched("--reboot-timeout", "4", *ALL_AT_ONCE)
        found = nodes[node.name]
        assert (done.returncode, found["state"]) == (2, state), done.stdout + done.stderr
        assert said in found["error"]
        assert "rebooted" not in found["actions"]
        assert "console" in done.stdout


def test_a_reboot_that_the_controller_did_not_live_to_see_is_not_ordered_again(operator, environment, added):
    """It is killed once it has told the node to reboot, and the node comes back while nobody waits for it."""
    with added("rebooted-unseen", "web", "systemd") as node:
        in_place_of_shutdown(node, DEAF)
        operator.indexed(node.name)
        journal = operator.home / "unseen.db"
        setting = {"KNIFE_HOME": operator.settings("rebooted"), "STYPTIC_STATE": str(journal)}
        words = ["patch", "--yes", "--reboot", "--env", environment, "--advisory", str(operator.lab.advisory)]
        words += ["--advisory", "CVE-2014-0160"]
        with subprocess.Popen(
            [sys.executable, "-m", "invoke", *words], cwd=ROOT, stdin=subprocess.DEVNULL, env=os.environ | setting,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as killed:
            journals.awaited(journal, journals.taken(node.name, "reboot"), 120, alive=lambda: killed.poll() is None)
            killed.kill()
        operator.lab.power_off(node.name)
        operator.lab.power_on(node.name)
        boot = node.sh(BOOT_ID)
        done = operator.run("patch", "--resume", "--yes", **setting)
        assert done.returncode == 0, done.stdout + done.stderr
        with History(journal) as history:
            (found,) = history.nodes(history.run().id)
        assert (found.state, found.record["actions"][-1]) == ("patched", "rebooted")
        assert [step.name for step in found.steps].count("reboot") == 1
        assert node.sh(BOOT_ID) == boot


def test_a_service_that_does_not_come_up_again_is_named(operator, patched, added):
    with added("rebooted-without", "web", "sysv") as node:
        node.sh(ORPHAN)
        node.sh("sed -i /nginx/d /etc/lab-services")
        operator.indexed(node.name)
        done, nodes, _ = patched("--reboot-timeout", "8", *ALL_AT_ONCE)
        found = nodes[node.name]
        assert (done.returncode, found["state"]) == (2, "failed"), done.stdout + done.stderr
        assert "it is up again and does not serve what it served: TLS on port 443, nginx" in found["error"]
