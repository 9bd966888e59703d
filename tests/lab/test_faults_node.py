"""The fault table, nodes: power, network, sshd, host keys and chef-client, each broken for real, a line each.

`invoke test` runs two of them, `invoke test.faults` all.
"""


from fleet.node import State
from tests.lab.faults import CONFIGURE, RESUME, Fault, happens, sh, table, undocumented

VIA_CHEF, VIA_SHELL = ("--via", "chef"), ("--via", "shell")
SHORT = (*VIA_SHELL, "--timeout", "12")
LOST = "timed out in converge after 12 s: its connection broke, and there is no other: "
#: Lab equipment in chef-client's place; the real one is at $real.
IN_ITS_PLACE = r"""
client=$(command -v chef-client); real=$(readlink -f "$client")
rm "$client"
printf '%s\n' '#!/bin/sh' '# lab equipment, in the place of a chef-client' SCRIPT >"$client"
chmod 755 "$client"
"""
RESTORED = "ln -sf /opt/chef-client/chef-client /usr/bin/chef-client"
OTHER_KEYS = r"""
mkdir /root/keys; mv /etc/ssh/ssh_host_* /root/keys
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
service ssh reload
"""
OWN_KEYS = "rm /etc/ssh/ssh_host_*; mv /root/keys/* /etc/ssh; service ssh reload"


def power_off(victim):
    victim.lab.power_off(victim.name)


def power_on(victim, *_):
    victim.lab.power_on(victim.name)


def power_on_and_configure(victim):
    power_on(victim)
    victim.sh(CONFIGURE)


def unplug(victim):
    victim.lab.unplug(victim.name)
    victim.let_go()


def plug(victim):
    victim.lab.plug(victim.name)


def plug_once_it_is_missed(victim, rollouts):
    rollouts.await_step(victim.name, "connect again")
    plug(victim)


def kill_sshd(victim):
    victim.sh("pkill -KILL -x sshd")
    victim.let_go()


def change_keys(victim):
    victim.sh(OTHER_KEYS)
    victim.let_go()


def let_go_and_await(victim):
    victim.let_go()
    victim.until("! pgrep -x apt-get")


def reboot(victim):
    victim.sh(RESTORED)
    with victim.lab.rebooting(victim.name):
        victim.sh("shutdown -r now")


def client(*lines):
    return sh(IN_ITS_PLACE.replace("SCRIPT", " ".join(f'"{line}"' for line in lines)))


FAULTS = (
    Fault("node powered off before the upgrade", State.UNREACHABLE, "nothing was changed on it", power_off, power_on),
    Fault(
        "node powered off during the upgrade", State.FAILED, LOST,
        power_off, power_on_and_configure, "unpacking", words=SHORT,
    ),
    Fault(
        "node powered off during the upgrade and on again", State.FAILED,
        "the machine went down while openssl_patch.sh ran on it",
        power_off, sh(CONFIGURE), "unpacking", power_on, again=RESUME,
    ),
    Fault(
        "node powered off between unpacking and configuring, and on again", State.FAILED,
        "the machine went down while openssl_patch.sh ran on it",
        power_off, sh(CONFIGURE), "unpacked", power_on, again=RESUME,
    ),
    Fault(
        "node powered off after the upgrade", State.FAILED, "timed out in read the result after 12 s",
        power_off, power_on, "ended", words=SHORT, again=RESUME,
    ),
    Fault("node powered off after the upgrade and on again", State.PATCHED, "", power_off, moment="ended",
          meanwhile=power_on, daily=True),
    Fault("network cut mid-run and back", State.PATCHED, "", unplug, moment="unpacking",
          meanwhile=plug_once_it_is_missed),
    Fault("network cut mid-run for good", State.FAILED, LOST, unplug, plug, "unpacking", words=SHORT,
          again=RESUME),
    Fault("sshd stopped before the upgrade", State.UNREACHABLE, "connection refused: see that sshd runs there",
          sh("service ssh stop"), sh("service ssh start")),
    Fault("sshd stopped during the upgrade", State.FAILED, LOST, kill_sshd, sh("service ssh start"), "unpacking",
          words=SHORT, again=RESUME),
    Fault("host key changed", State.UNREACHABLE, "has changed, it is now", sh(OTHER_KEYS), sh(OWN_KEYS)),
    Fault("host key changed during the upgrade", State.FAILED,
          "(openssl_patch.sh ended on it with 0, and what came of it is not proven)", change_keys, sh(OWN_KEYS),
          "unpacking", daily=True),
    Fault("chef-client missing", State.FAILED, "there is no chef-client on it; nothing was changed on it",
          sh("rm $(command -v chef-client)"), sh(RESTORED), words=VIA_CHEF),
    Fault("chef-client killed", State.FAILED, "chef-client ended with 137",
          sh("pkill -KILL -f '^[^ ]*ruby .*chef-client'"), let_go_and_await, "unpacking", words=VIA_CHEF),
    Fault("chef-client ends with 1", State.FAILED,
          "chef-client ended with 1: libssl3 is held (apt-mark hold): `apt-mark unhold libssl3` lets it go",
          sh("apt-mark hold libssl3"), sh("apt-mark unhold libssl3"), words=VIA_CHEF),
    Fault("chef-client ends with 35", State.REBOOT_REQUIRED, "only a reboot helps: chef-client says so",
          client("$real \\\"\\$@\\\" || exit", "exit 35"), reboot, words=VIA_CHEF),
    Fault("chef-client ends with 37", State.REBOOT_REQUIRED, "only a reboot helps: chef-client says so",
          client("$real \\\"\\$@\\\" || exit", "exit 37"), reboot, words=VIA_CHEF),
    Fault("chef-client hangs", State.FAILED, "timed out in converge after 8 s", client("exec sleep 3600"),
          sh(f"pkill -x sleep; {RESTORED}"), words=(*VIA_CHEF, "--timeout", "8"), again=RESUME),
)


@table(*FAULTS)
def test_node(fault, victim, rollouts):
    happens(fault, victim, rollouts)


def test_each_has_its_row_in_the_document():
    assert undocumented(FAULTS) == []
