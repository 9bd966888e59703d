# What drain.sh and return.sh share: how HAProxy is asked about one server of a backend. Sourced, not run.
#
# Source of the commands and their fields: HAProxy's management.txt, "Unix Socket commands" (show servers state, show
# stat, set server).
# shellcheck shell=sh

MAINTENANCE=35 # 0x23, the bits of srv_admin_state that say so: forced, inherited, without an address

fail() {
    printf '%s\n' "$1"
    exit 1
}

[ $# -eq 4 ] || fail "usage: ${0##*/} SOCKET BACKEND NAME ADDRESS"
socket=$1 backend=$2 name=$3 address=$4

ask() {
    python3 "$(dirname "$0")/ask.py" "$socket" "$1"
}

# Waits until nobody else on this machine is between this and `together`: of two drains at once each would count the
# other's server as one that answers.
alone() {
    exec 9<"$(dirname "$0")/haproxy.sh"
    python3 -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 2>/dev/null ||
        fail "$(dirname "$0")/haproxy.sh cannot be locked (flock(2)): have it on a local file system"
}

together() {
    exec 9<&-
}

# Sets server (its name there: the node's, or else the one at its address), running, admin, and others: how many more of
# the backend answer their checks and are given work.
look() {
    state=$(ask "show servers state $backend") || fail "HAProxy does not answer"
    found=$(printf '%s\n' "$state" | awk -v name="$name" -v address="$address" '
        $1 !~ /^[0-9]+$/ || NF < 7 { next }
        $4 "" == name "" { exact = $4 " " $6 " " $7 }
        $5 "" == address "" { alike = $4 " " $6 " " $7; at++ }
        $6 == 2 && $7 == 0 { up[$4] }
        END {
            if (exact == "" && at == 1) exact = alike
            if (exact == "") exit
            split(exact, mine, " ")
            delete up[mine[1]]
            for (each in up) others++
            print exact, others + 0
        }')
    [ -n "$found" ] || fail "the backend $backend has no server $name, nor just one at $address"
    read -r server running admin others <<FOUND
$found
FOUND
}

in_maintenance() {
    [ "$((admin & MAINTENANCE))" -ne 0 ]
}

is_last() {
    [ "$others" -eq 0 ]
}

# True once its checks pass (srv_op_state: 1 is starting slowly, 2 running) and nothing keeps requests from it.
is_up() {
    look
    { [ "$running" -eq 1 ] || [ "$running" -eq 2 ]; } && [ "$admin" -eq 0 ]
}

# Prints how many requests the server has under way, waiting ones included.
sessions() {
    ask "show stat $backend 4 -1" | awk -F, -v server="$server" '
        NR == 1 { for (at = 1; at <= NF; at++) column[$at] = at }
        $2 == server { print $(column["qcur"]) + $(column["scur"]) }'
}

# Waits until a command succeeds; false once that took longer than so many seconds.
within() {
    end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 1
    done
}
