"""The services that generator/services.toml never restarts, seen on nodes: `invoke test.services`.

All are the real ones but two: dbus has libssl put into it, which it does not map by itself, and docker, which no node
of the lab can run, is a process that holds libssl under its name.
"""

import pytest

from generator import services
from lab import full
from lab.witness import ACTIONS

SERVICES = (*full.IDLE, "dbus", "docker")

# A tunnel that leads nowhere: systemd has a unit for each that is found.
OPENVPN = r"""
cat >/etc/openvpn/lab.conf <<C
dev null
ifconfig-noexec
tls-server
dh none
ca /etc/ssl/certs/ssl-cert-snakeoil.pem
cert /etc/ssl/private/lab-pair.pem
key /etc/ssl/private/lab-pair.pem
C
! [ -d /run/systemd/system ] || systemctl daemon-reload
"""
# With libssl in it whoever starts it; service(8) would clear the environment.
DBUS = r"""
library=$(echo DIRECTORY/libssl.so.3)
if [ -d /run/systemd/system ]; then
    mkdir /etc/systemd/system/dbus.service.d
    printf '[Service]\nEnvironment=LD_PRELOAD=%s\n' "$library" >/etc/systemd/system/dbus.service.d/lab.conf
    systemctl daemon-reload
    systemctl restart dbus
else
    LD_PRELOAD=$library /etc/init.d/dbus start
fi
"""
# An init script; systemd makes a unit of it, see systemd-sysv-generator(8).
DOCKER = r"""
cat >/usr/local/sbin/dockerd <<'PERL'
#!/usr/bin/perl
use DynaLoader;
DynaLoader::dl_load_file(glob('DIRECTORY/libssl.so.3'), 0) or die;
open(my $file, '>', '/run/docker.up'); close $file;
sleep 3600 while 1;
PERL
cat >/etc/init.d/docker <<'INIT'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          docker
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: docker, for a test
### END INIT INFO
case $1 in
start) start-stop-daemon --start --background --make-pidfile --pidfile /run/docker.pid --exec /usr/local/sbin/dockerd ;;
stop) start-stop-daemon --stop --retry TERM/5/KILL/2 --pidfile /run/docker.pid ;;
restart) $0 stop && rm -f /run/docker.up && $0 start ;;
status) kill -0 "$(cat /run/docker.pid)" ;;
esac
INIT
chmod 755 /usr/local/sbin/dockerd /etc/init.d/docker
! [ -d /run/systemd/system ] || systemctl daemon-reload
service docker start
"""


@pytest.fixture(scope="module", params=[(base, init) for base in ("full", "rhel") for init in ("systemd", "sysv")],
                ids="-".join)
def left(request, added):
    """Make them stale, converge, and give the commands that the recipe tells of them."""
    base, init = request.param
    with added(f"never-{base}-{init}", base, init) as node:
        node.sh(OPENVPN + "".join(f"service {name} start\n" for name in full.IDLE))
        node.sh((DBUS + DOCKER).replace("DIRECTORY", node.family.libraries))
        node.until("test -e /run/docker.up")
        node.upgrade()
        seen = {"node": node, "before": node.stale()}
        seen["said"], seen["result"] = node.converge()
        seen["after"] = node.stale()
        seen["told"] = {each["service"].partition("@")[0]: each for each in seen["result"]["not_touched"]}
        for name in SERVICES:
            node.sh(seen["told"][name]["command"])
        node.until("test -e /run/docker.up")
        seen["at last"] = node.stale()
        yield seen


@pytest.mark.table
@pytest.mark.parametrize("name", SERVICES)
class TestNeverRestarted:
    """Each row that says restart = false, on Debian's nodes and those of Red Hat's kind, under both inits."""

    def test_it_is_left_running_and_stale(self, left, name):
        assert left["before"][name]
        assert left["after"][name] == left["before"][name]
        assert not any(name in service for key in ACTIONS for service in left["result"][key]), left["said"]

    def test_the_run_is_no_failure_and_tells_why(self, left, name):
        row = next(row for row in services.load().values() if name in row.names)
        assert left["result"]["status"] == "success", left["said"]
        assert left["told"][name]["because"] == row.because

    def test_the_command_that_is_told_gets_rid_of_the_old_library(self, left, name):
        assert f"restart {name}" in left["told"][name]["command"] or f"{name} restart" in left["told"][name]["command"]
        assert name not in left["at last"]
