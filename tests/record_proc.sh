#!/bin/sh
# Records what the probe reads of a node, as text. Run as root on that node, with a word on how it came to be as it is:
#   ssh root@web1 sh -s 'Debian 12, ...' <tests/record_proc.sh >tests/data/proc/NAME.txt
#
# "@ PATH" begins a file, "@ PATH -> TARGET" is a link; what follows is the file, line by line, as it was read, except:
# each argument of a cmdline is a line, and of maps, status, cgroup, /proc/stat and /etc/passwd only lines that the probe
# could want are kept. Recorded are PID 1, whatever maps a libssl or libcrypto, and the processes above these.
LC_ALL=C
export LC_ALL
printf '# %s\n# Recorded by tests/record_proc.sh.\n' "${1:?how the node came to be as it is}"

file() {
    [ -f "$1" ] || return
    printf '@ %s\n' "${1#/}"
    shift
    "$@"
}

wanted=' '
add() {
    case $wanted in *" $1 "*) return ;; esac
    [ -e "/proc/$1/stat" ] || return
    wanted="$wanted$1 "
    above=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$1/stat")
    [ "$above" -lt 1 ] || add "$above"
}
add 1
# shellcheck disable=SC2013 # a path in /proc is one word
for maps in $(grep -lE 'lib(ssl|crypto)[^/]*\.so' /proc/[0-9]*/maps 2>/dev/null); do
    maps=${maps%/maps}
    add "${maps##*/}"
done

file /proc/stat sed -n '/^btime/p' /proc/stat
# shellcheck disable=SC2086 # they are numbers
for pid in $(printf '%s\n' $wanted | sort -n); do
    directory=/proc/$pid
    file "$directory/maps" sed -n -e '1p' -e '/\/libc\.so/p' -e '/lib\(ssl\|crypto\)/p' -e '/\[heap\]/p' "$directory/maps"
    file "$directory/stat" cat "$directory/stat"
    file "$directory/comm" cat "$directory/comm"
    # shellcheck disable=SC2094 # both only read
    file "$directory/cmdline" tr '\000' '\n' <"$directory/cmdline"
    file "$directory/status" sed -n -e '/^Name:/p' -e '/^Uid:/p' "$directory/status"
    file "$directory/cgroup" sed -n -e '/:name=systemd:/p' -e '/^0::/p' "$directory/cgroup"
    for space in mnt pid; do
        printf '@ %s -> %s\n' "${directory#/}/ns/$space" "$(readlink "$directory/ns/$space")"
    done
done
file /etc/passwd sed -n '/^\(root\|www-data\|ops\|stunnel4\):/p' /etc/passwd
for script in /etc/init.d/nginx /etc/init.d/ssh /etc/init.d/stunnel4; do
    file "$script" sed -n -e '1p' -e '/^DAEMON=/p' -e '/PIDFILE=/p' -e '/\.pid/p' "$script"
done
for held in /run/*.pid /run/*/*.pid; do file "$held" cat "$held"; done
[ ! -d /run/systemd/system ] || printf '@ run/systemd/system/\n'
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || printf '@ sys/fs/cgroup/cgroup.controllers\n'
