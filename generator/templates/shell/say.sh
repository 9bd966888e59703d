# Part of openssl_patch.sh: what it says, and what it remembers until it ends.

services_known=${OPENSSL_PATCH_SERVICES-$services_known}
settle_seconds=${OPENSSL_PATCH_SETTLE_SECONDS:-10}
drain_seconds=${OPENSSL_PATCH_DRAIN_SECONDS:-60}
lock_seconds=${OPENSSL_PATCH_LOCK_SECONDS:-120}

# cron's PATH, and that of a login by ssh, may end before sbin.
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export PATH
tab=$(printf '\t')
state=/var/lib/openssl_patch
# sd_booted(3): systemd runs the machine if this directory is there.
systemd=
[ -d /run/systemd/system ] && systemd=1

say() { printf 'openssl_patch: %s\n' "$*"; }

# Ends at once, before anything was changed: $1 is the exit code.
refuse() {
    code=$1
    shift
    printf 'openssl_patch: %s\n' "$*" >&2
    exit "$code"
}

# Writes down why this run does not end well; $failed is for a disk that has no room for that.
failed=''
fail() {
    failed=1
    printf '%s\n' "$*" >>"$work/failures"
    say "$*"
}

# True if there is room for what this remembers. Where there is none its lists stay empty, and look as if all were well.
has_room() { { printf '%100000s' x >"$work/room" && rm -f "$work/room"; } 2>/dev/null; }

# Adds the word $2 to list $1, once.
note() {
    grep -qxF -e "$2" "$work/$1" 2>/dev/null || printf '%s\n' "$2" >>"$work/$1"
}

# The first lines of a program's output that say something, as one, in printable ASCII, without a password in an address.
words_of() {
    tr -d '\r' <"$1" | tr -c ' -~\n' '?' | sed -e '/^ *$/d' -e 's|//[^/@ ]*@|//|g' | sed -n "1,${2}p" |
        tr '\n' ' ' | sed 's/ *$//' | cut -c 1-400
}

seconds() { date +%s; }

# sleep(1) of POSIX takes whole seconds.
pause() { sleep 0.2 2>/dev/null || sleep 1; }
