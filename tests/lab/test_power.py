"""Power and cable of the lab's nodes: what is cut, what stays, and that a reboot is one."""

import os
import select
import socket
import uuid

import pytest

from lab import cgroups
from lab.host import LabError
from lab.witness import Witness

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture(scope="module")
def node(lab):
    lab.add("power", base="web", init="systemd", environment="_default")
    yield Witness(lab, "power")
    lab.remove("power")


@pytest.fixture(scope="module")
def old(lab):
    lab.add("power-old", base="light", init="sysv", environment="_default")
    yield Witness(lab, "power-old")
    lab.remove("power-old")


@pytest.mark.parametrize("which", ["node", "old"])
def test_a_node_that_is_told_to_reboot_comes_up_by_itself_with_another_boot_id(lab, which, request):
    node = request.getfixturevalue(which)
    before = node.sh(BOOT_ID)
    node.sh("touch /root/disk /run/memory")
    with lab.rebooting(node.name):
        node.sh("shutdown -r now")
    after = node.sh(BOOT_ID)
    assert before != after
    assert uuid.UUID(before.strip()).version == uuid.UUID(after.strip()).version == 4
    assert node.sh("ls -d /root/disk /run/memory 2>/dev/null || true") == "/root/disk\n"
    assert node.masters().keys() >= ({"nginx", "ssh"} if which == "node" else {"ssh"})


def test_the_power_is_cut_at_once_and_in_silence_and_the_disk_stays(lab, node):
    boot, disk = node.sh(BOOT_ID), node.sh("echo kept >/root/disk; cat /root/disk /etc/ssh/*.pub")
    with socket.create_connection((node.address, 22), timeout=5) as connection:
        assert connection.recv(4) == b"SSH-"
        connection.setblocking(False)
        lab.power_off(node.name)
        while select.select([connection], [], [], 0)[0]:  # what had come before; an end would be an empty read
            assert connection.recv(65536)
    assert not (cgroups.top() / node.name).exists()
    with pytest.raises(LabError, match=rf"{node.name} is off: `invoke lab\.on --node {node.name}`"):
        node.sh("true")
    with pytest.raises(LabError, match="is off"):
        lab.unplug(node.name)
    lab.power_off(node.name)
    lab.power_on(node.name)
    assert node.sh(BOOT_ID) != boot
    assert node.sh("cat /root/disk /etc/ssh/*.pub") == disk
    with pytest.raises(LabError, match="is on already"):
        lab.power_on(node.name)


@pytest.mark.parametrize("which", ["node", "old"])
def test_a_node_that_is_halted_from_inside_stays_off(lab, which, request):
    node = request.getfixturevalue(which)
    first = os.pidfd_open(int((lab.node(node.name).identity / "pid").read_text()))
    with os.fdopen(first):
        node.sh("poweroff")
        assert select.select([first], [], [], 20)[0]
    cgroups.wait_empty(cgroups.top() / node.name)
    with pytest.raises(LabError, match="is off"):
        node.sh("true")
    lab.power_on(node.name)
    assert node.sh("hostname").strip() == node.name


def test_a_pulled_cable_costs_the_node_its_carrier_and_nothing_else(lab, node):
    boot, address = node.sh(BOOT_ID), node.sh("ip -brief address show eth0 | tr -s ' ' | cut -d ' ' -f 3")
    lab.unplug(node.name)
    assert node.sh("cat /sys/class/net/eth0/carrier") == "0\n"
    assert node.sh("ip -brief address show eth0 | tr -s ' ' | cut -d ' ' -f 3") == address
    with pytest.raises(TimeoutError):
        socket.create_connection((node.address, 22), timeout=0.3)
    lab.plug(node.name)
    with socket.create_connection((node.address, 22), timeout=5) as connection:
        assert connection.recv(4) == b"SSH-"
    assert node.sh(BOOT_ID) == boot
