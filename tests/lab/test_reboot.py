"""What only a reboot or a new login gets rid of, seen on nodes: how `patch` and `verify` end there."""

import subprocess

import pytest

from lab.host import RUN

pytestmark = [pytest.mark.table, pytest.mark.usefixtures("old_systemd")]


def test_a_systemd_too_old_for_its_logind_to_be_restarted_owes_a_reboot(operator, added):
    with added("reboot-logind", "web", "systemd") as node:
        operator.indexed("reboot-logind")
        home = operator.settings("reboot")
        done, nodes = operator.reported("patch", "--yes", "--query", "name:reboot-logind", KNIFE_HOME=home)
        found, said = nodes["reboot-logind"], done.stdout + done.stderr
        assert (done.returncode, found["state"]) == (2, "reboot_required"), said
        assert "only a reboot helps: systemd-logind of systemd " in found["error"]
        assert "is not restarted (it may be from 9999 on): it would lose the devices of graphical" in found["error"]
        assert "restarted systemd-journald" in found["actions"]
        assert set(node.stale()) == {"systemd-logind"}


def test_a_login_from_before_the_upgrade_is_listed_and_fails_its_node_if_told_to(operator, added):
    with added("reboot-login", "light", "sysv") as node:
        operator.indexed("reboot-login")
        words = ["ssh", "-F", str(RUN / "ssh_config"), "reboot-login", "echo there; exec sleep 300"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as login:
            try:
                assert login.stdout.readline() == b"there\n"
                node.upgrade()
                whom = ("--query", "name:reboot-login")
                home = operator.settings("reboot")
                done, nodes = operator.reported("patch", "--yes", *whom, KNIFE_HOME=home)
                assert (done.returncode, nodes["reboot-login"]["state"]) == (0, "patched"), done.stdout + done.stderr
                assert "session" in {each["kind"] for each in nodes["reboot-login"]["stale_after"]}
                done, nodes = operator.reported("verify", "--strict", *whom, KNIFE_HOME=home)
                assert (done.returncode, nodes["reboot-login"]["state"]) == (2, "stale"), done.stdout + done.stderr
                assert "have them log in anew, then verify" in done.stdout
            finally:
                login.kill()
