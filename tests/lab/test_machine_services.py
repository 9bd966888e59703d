"""What an installed machine runs beside: systemd's own daemons, a name server, mail; and logins that logind knows."""

import contextlib
import socket
import ssl

import pytest

from lab import full
from lab.witness import ACTIONS

#: Each maps libcrypto by libsystemd-shared or libkmod. The last three end by themselves where nobody asks them.
SYSTEMD = ("systemd-udevd", "systemd-networkd", "systemd-resolved", "systemd-timesyncd",
           "systemd-hostnamed", "systemd-localed", "systemd-timedated")
# The lab's nodes are containers to systemd, which starts some of these on machines alone.
UNMASK = """
for name in {names}; do
    systemctl --quiet unmask $name
    mkdir -p /etc/systemd/system/$name.service.d
    printf '[Unit]\\nCondition%s=\\n' Virtualization PathIsReadWrite >/etc/systemd/system/$name.service.d/lab.conf
done
systemctl daemon-reload
systemctl start {names}
"""
pytestmark = pytest.mark.table


@contextlib.contextmanager
def mail(address):
    """Hold a TLS connection to dovecot, of which a login process is there for as long as it lasts."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (socket.create_connection((address, 993), timeout=20) as plain, context.wrap_socket(plain) as client):
        assert client.recv(1000).startswith(b"* OK ")
        yield


def test_a_node_as_it_was_installed_is_patched_over_logins_that_logind_knows(operator, added):
    with added("machine-systemd", "full", "systemd") as node:
        node.sh(f"systemctl stop postgresql; systemctl start {' '.join(full.ASLEEP)}")
        node.sh(UNMASK.format(names=" ".join(SYSTEMD)))
        operator.indexed("machine-systemd")
        settings = {"KNIFE_HOME": operator.settings("machine")}
        words = ("--query", "name:machine-systemd", "--advisory", str(operator.lab.advisory))
        with mail(node.address):
            done, nodes = operator.reported("patch", "--yes", *words, **settings)
        found = nodes["machine-systemd"]
        assert (done.returncode, found["state"]) == (0, "patched"), done.stdout + done.stderr
        wanted = {f"restarted {name}" for name in (*SYSTEMD, *full.ASLEEP)}
        assert wanted <= set(found["actions"])
        assert {each["kind"] for each in found["stale_after"]} <= {"session"}
        assert node.sh("systemctl list-units --failed --no-legend --plain") == ""
        running = node.sh(f"systemctl is-active {' '.join((*SYSTEMD[:4], *full.ASLEEP))}").split()
        assert running == ["active"] * (4 + len(full.ASLEEP))
        done, nodes = operator.reported("patch", "--yes", *words, **settings)
        found = nodes["machine-systemd"]
        assert (done.returncode, found["state"], found["actions"]) == (0, "already_patched", []), done.stdout


def test_name_servers_and_mail_are_restarted_under_sysv(added):
    with added("machine-sysv", "full", "sysv") as node:
        # dovecot's own log process keeps whatever its output is.
        node.sh("".join(f"service {name} start >/dev/null 2>&1\n" for name in full.ASLEEP))
        with mail(node.address):
            said, result = node.converge()
        assert result["status"] == "success", said
        assert set(full.ASLEEP) <= set(result["restarted"])
        assert set(node.stale()) == {"postgresql"}
        node.sh("".join(f"service {name} status\n" for name in full.ASLEEP))
        said, result = node.converge()
        assert [result[key] for key in ACTIONS] == [[], [], []], said
