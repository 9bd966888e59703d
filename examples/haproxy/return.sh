#!/bin/sh
# Puts a node back into an HAProxy backend and waits until its checks pass, so that it is given work again.
#
# return.sh SOCKET BACKEND NAME ADDRESS
#
# As drain.sh. A server in maintenance is somebody else's doing and is left there. What takes longer than
# $RETURN_SECONDS (45) is a failure: the server is in then, and HAProxy uses it once its checks pass.
set -u
# shellcheck source=examples/haproxy/haproxy.sh
. "$(dirname "$0")/haproxy.sh"

look
if in_maintenance; then
    echo "$server is in maintenance, which somebody else began; it is left there"
    exit 0
fi
said=$(ask "set server $backend/$server state ready") || fail "HAProxy does not answer"
[ -z "$said" ] || fail "HAProxy refuses: $said"
within "${RETURN_SECONDS:-45}" is_up || fail "$server is in $backend again, and its checks do not pass"
