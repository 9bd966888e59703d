# A node's power supply, in the holder's namespaces: boots it, and boots it again whenever it has rebooted. In a PID
# namespace reboot(2) ends the first process by SIGHUP, a halt or power-off by SIGINT, and unshare(1) ends as that does.
# Its arguments are the command that boots. Takes LEAF (the node's control group) and ADDRESS from its environment.
set -u

"$@"
ended=$?
while [ "$ended" -eq 129 ]; do # 128 + SIGHUP
    # The kernel would do both, a moment after the node's end: too late for a node that comes again.
    ip link delete "n$ADDRESS" 2>/dev/null
    find "$LEAF" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
    "$@" >&2
    ended=$?
done
