#!/bin/sh
# Takes a node out of an HAProxy backend and waits until the requests it has are answered.
#
# drain.sh SOCKET BACKEND NAME ADDRESS
#
# SOCKET is a `stats socket ... level admin`: its path, or HOST:PORT. A server in maintenance gets nothing already, and
# the last one that answers stays in. What takes longer than $DRAIN_SECONDS (45) is a failure; return.sh puts it back.
set -u
# shellcheck source=examples/haproxy/haproxy.sh
. "$(dirname "$0")/haproxy.sh"

is_idle() {
    left=$(sessions)
    [ "${left:-1}" -eq 0 ]
}

alone
look
if in_maintenance; then
    echo "$server is in maintenance and gets no requests"
    exit 0
fi
is_last && fail "$server is the last of $backend that answers; it stays in"
said=$(ask "set server $backend/$server state drain") || fail "HAProxy does not answer"
[ -z "$said" ] || fail "HAProxy refuses: $said"
together
within "${DRAIN_SECONDS:-45}" is_idle || fail "$server still has $left requests under way after ${DRAIN_SECONDS:-45} s"
