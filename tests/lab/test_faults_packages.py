"""The fault table, packages: dpkg, apt, mirrors and disks, each broken for real, a line each.

`invoke test` runs one of them, `invoke test.faults` all.
"""


from fleet.node import State
from tests.lab.faults import CONFIGURE, HOLD_LOCK, Fault, Victim, happens, sh, table, undocumented

UPGRADE = "apt-get -qqy install libssl3 openssl </dev/null >/dev/null 2>&1 &"  # somebody's, before us
# A mirror at whose address nobody answers.
DEAD = """
mv /etc/apt/sources.list.d/lab.list /root/
echo 'deb http://127.0.0.1:9 bookworm main' >/etc/apt/sources.list.d/dead.list
"""
# A mirror whose lists are right and whose packages are not, since a moment ago: a byte of each is another.
CORRUPT = r"""
mkdir /root/mirror; cp /srv/repo/current/* /root/mirror
mv /etc/apt/sources.list.d/lab.list /root/
echo 'deb [trusted=yes] file:///root/mirror ./' >/etc/apt/sources.list.d/corrupt.list
for file in /root/mirror/*.deb; do printf X | dd of="$file" bs=1 seek=100000 conv=notrunc status=none; done
"""
RIGHT = "cd /etc/apt/sources.list.d; rm -f dead.list corrupt.list; mv /root/lab.list ."
READ_ONLY = "mount --bind /usr /usr; mount -o remount,ro,bind /usr"


def full(place):
    """Return what puts a directory on a disk of its own that has no byte left."""
    return sh(f"""
        size=$(($(du -sk --apparent-size {place} | cut -f 1) + 4 * $(find {place} | wc -l) + 1024))
        mkdir /root/disk; mount -t tmpfs -o "size=${{size}}k" disk /root/disk
        cp -a {place}/. /root/disk; mount --bind /root/disk {place}
        dd if=/dev/zero of={place}/full bs=1k status=none || true
        test "$(df --output=avail {place} | tail -n 1)" -eq 0
    """)


def empty(place):
    return sh(f"rm {place}/full")


def let_go_once_it_waits(victim, _):
    victim.until("grep -qs '^Waiting for cache lock' /tmp/openssl_patch.*/said")
    victim.let_go()


def interrupt(victim):
    """Kill dpkg in the middle of an upgrade."""
    victim.halts("unpacking")
    victim.sh(f"{UPGRADE}\ntimeout 60 cat /run/halted; pkill -KILL -x dpkg; wait")


def cut_before_configuring(victim):
    """Cut the power between dpkg's unpacking and its configuring; no process runs the old library after that."""
    victim.halts("unpacked")
    victim.sh(UPGRADE)
    victim.await_halt()
    victim.lab.power_off(victim.name)
    victim.lab.power_on(victim.name)


FAULTS = (
    Fault("dpkg lock held", State.FAILED, "somebody else still holds its lock after 1 seconds", sh(HOLD_LOCK),
          Victim.let_go, words=("--via", "shell", "--run-lock-timeout", "1")),
    Fault("dpkg lock held and let go in time", State.PATCHED, "", sh(HOLD_LOCK), meanwhile=let_go_once_it_waits),
    Fault("dpkg interrupted half-way", State.FAILED,
          "dpkg was interrupted, you must manually run 'dpkg --configure -a'", interrupt, sh(CONFIGURE), daily=True),
    Fault("dpkg interrupted before it configures", State.FAILED,
          "openssl is unpacked, because dpkg was interrupted: `dpkg --configure -a` goes on with it",
          cut_before_configuring, sh(CONFIGURE)),
    Fault("dpkg killed mid-run", State.FAILED, "/usr/bin/dpkg exited unexpectedly", sh("pkill -KILL -x dpkg"),
          sh(CONFIGURE), "unpacking", words=("--via", "chef")),
    Fault("mirror down", State.FAILED, "package lists could not be fetched: ", sh(DEAD), sh(RIGHT)),
    Fault("mirror with a corrupt package", State.FAILED, "Hash Sum mismatch", sh(CORRUPT), sh(RIGHT)),
    Fault("disk full", State.FAILED, "/var/lib/openssl_patch on it cannot be written", full("/var"), empty("/var")),
    Fault("disk full in the middle of the upgrade", State.FAILED, "No space left on device", full("/var/lib/dpkg"),
          empty("/var/lib/dpkg")),
    Fault("read-only /usr", State.FAILED, "Read-only file system", sh(READ_ONLY), sh("umount -l /usr")),
)


@table(*FAULTS)
def test_packages(fault, victim, rollouts):
    happens(fault, victim, rollouts)


def test_each_has_its_row_in_the_document():
    assert undocumented(FAULTS) == []
