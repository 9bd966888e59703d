#!/bin/sh
# Which processes still run a deleted libssl or libcrypto? One line each, tab-separated:
#   stale PID KIND SERVICE USER LIBRARY SINCE BUILD COMMAND
# between "styptic-probe 3" and "end"; before "end" stands "unread COUNT", the processes that could not be read, and
# before that "more COUNT" where there are too many to list. Among them, one line for each path, of at most 50:
#   own-copy PID PATH BUILD                          a copy outside the distribution's library directories, not deleted
# and of at most four:
#   reboot WHY SENTENCE                              what only a reboot mends: init, libc, kernel, or asked
#
# KIND: service, init (PID 1, journald, logind), container, session (a login), own (who asks, and chef-client), orphan.
# SERVICE: the unit, the init script or the container; USER: a login name or number; SINCE: when the process started, in
# seconds since 1970; BUILD: what an OpenSSL says of itself, of no other library. Empty is not known, or none.
#
# Needs no more than a POSIX shell, cut, dd, grep, sed, sort, tr and xargs; without cmp, getconf, id, ls, readlink or
# timeout it knows less. Reads /proc as proc(5) describes it; changes nothing.
#   PROC_ROOT        another tree in /proc's place, as recorded on a node
#   PROBE_ROOT       where /etc and /run are looked for
#   PROBE_SELF       the PID that asks (default: this shell, where PROC_ROOT is not set)
#   PROBE_LIBRARIES  stems of the library files, "libssl libcrypto" unless set
set -u
LC_ALL=C
export LC_ALL
proc=${PROC_ROOT:-/proc}
root=${PROBE_ROOT-}
most=500 most_copies=50
self=${PROBE_SELF:-}
[ -n "$self" ] || [ -n "${PROC_ROOT-}" ] || self=$$
newline='
'

# sd_booted(3): systemd runs the machine if this directory is there.
systemd=
[ -d "$root/run/systemd/system" ] && systemd=1

# A process's first line of a file in /proc, in $line.
first_line() {
    line=
    [ -e "$proc/$1/$2" ] && IFS= read -r line 2>/dev/null <"$proc/$1/$2"
    [ -n "$line" ]
}

# $parent of process $1, 0 where it has none or is gone, and $ticks, when it started, after the machine, in clock ticks.
# The name in stat may hold anything, so cut at its last ")".
parent_of() {
    parent=0 ticks=''
    first_line "$1" stat || return 1
    # shellcheck disable=SC2086 # the fields are numbers and a letter
    set -- ${line##*) }
    parent=${2:-0} ticks=${20:-}
}

booted=$(sed -n 's/^btime \([0-9]\{1,12\}\)$/\1/p' "$proc/stat" 2>/dev/null)
# Where nobody says, Linux's USER_HZ: 100 on all but alpha, include/asm-generic/param.h.
hertz=$(getconf CLK_TCK 2>/dev/null) || hertz=100

# When process $1 started, in $since, in seconds since 1970.
since_of() {
    since=''
    parent_of "$1"
    case $ticks,$booted,$hertz in ,* | *,,* | *, | *[!0-9,]*) return ;; esac
    since=$((booted + ticks / hertz))
}

name_of() {
    first_line "$1" comm || line=
    name=$line
}

# The real user's number of process $1 in $uid.
uid_of() {
    uid='?'
    while IFS= read -r line; do
        case $line in
            Uid:*)
                # shellcheck disable=SC2086 # four numbers
                set -- ${line#Uid:}
                uid=${1:-?}
                break
                ;;
        esac
    done 2>/dev/null <"$proc/$1/status"
}

# True for root and for the users that daemons run as, login.defs(5): SYS_UID_MAX.
is_system() {
    uid_of "$1"
    case $uid in *[!0-9]* | '') return 1 ;; esac
    [ "$uid" -lt 1000 ]
}

users=' '
while IFS=: read -r name _ number _; do users="$users$number=$name "; done 2>/dev/null <"$root/etc/passwd" || :

# The login name of process $1's real user in $user, its number where it has no name.
user_of() {
    uid_of "$1"
    user=$uid
    case $users in
        *" $user="*)
            known=${users#*" $user="}
            user=${known%%" "*}
            ;;
    esac
}

# What process $1 was started as, in one line: it may be megabytes long, and not printable.
words_of() {
    { tr '\000\n' ' ?' <"$proc/$1/cmdline"; } 2>/dev/null
}

# The same in $command, printable ASCII; its name in brackets where it has no arguments left.
command_of() {
    command=$(words_of "$1" | cut -b -600 | tr -c ' -~\n' '?')
    command=${command%"${command##*[! ]}"}
    if [ -z "$command" ]; then
        name_of "$1"
        command="[$(printf %s "$name" | tr -c ' -~' '?')]"
    fi
}

#include probe_owner.sh

#include probe_script.sh

#include probe_library.sh

#include probe_reboot.sh

stems=
for stem in ${PROBE_LIBRARIES:-libssl libcrypto}; do
    case $stem in *[!A-Za-z0-9_+.-]*) printf 'probe: not a library name: %s\n' "$stem" >&2 && exit 2 ;; esac
    stems="$stems${stems:+|}$(printf %s "$stem" | sed 's/[+.]/\\&/g')"
done
# NSS has a libssl3.so: the stem must end at ".so", or at the hash that Python wheels put in between.
file="/($stems)(-[0-9a-f]+)?\\.so[^/]*"
# Every mapping of a deleted file, and that of the beginning of any other.
deleted="$file \\(deleted\\)\$"
first=" 00000000 [^ ]+ [0-9]+ +(/.*)?$file\$"

# What no upgrade replaces under a process.
elsewhere='/(memfd:|SYSV|dev/|tmp/|var/tmp/)'
# Where a distribution keeps libraries, ld.so(8): the directories, a multiarch one in them, one for better processors.
home='/(usr/)?lib(32|64|x32)?/([^/]+-linux-[^/]+/)?((glibc-hwcaps/[^/]+|i[3-6]86|cmov|neon|nosegneg|sse2|tls|vfp)/)*[^/]+$'

# The maps to look into. A process whose first thread has ended, while others go on, shows none but theirs: its own are
# empty, as a zombie's are.
maps() {
    printf '%s\n' "$proc"/[0-9]*/maps
    printf '%s\n' "$proc"/[0-9]*/status | xargs grep -l '^State:.Z' /dev/null 2>/dev/null |
        while IFS= read -r status; do printf '%s\n' "${status%/status}"/task/[0-9]*/maps; done
}

# xargs(1) ends with 123 where a grep found nothing or a process was gone, and with more where none could be started.
found=$(
    maps | xargs grep -E -e "$deleted" -e "$first" /dev/null 2>/dev/null
    printf '\nstatus %s\n' "$?"
)
case ${found##*status } in
    0 | 123) ;;
    *) printf 'probe: grep could not look into %s\n' "$proc" >&2 && exit 2 ;;
esac

# Prints what is known of process $last, whose $library is stale.
tell() {
    [ -n "$library" ] || return 0
    if [ "$listed" -ge "$most" ]; then
        more=$((more + 1))
        return
    fi
    listed=$((listed + 1))
    [ -n "$command" ] || command_of "$last"
    classify "$last"
    user_of "$last"
    since_of "$last"
    printf 'stale\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.300s\n' \
        "$last" "$kind" "$service" "$user" "$library" "$since" "$build" "$command"
    # systemd executes itself anew; what else is PID 1 does not.
    if [ "$last" = 1 ] && [ -z "$systemd" ]; then
        printf 'reboot\tinit\tPID 1 runs the deleted %s and is no systemd, which could execute itself anew\n' "$library"
    fi
}

# Prints a copy of its own that process $1 maps at $2: file $3 (device:inode), path $4.
tell_copy() {
    case $copied in *"$newline$4$newline"*) return ;; esac
    [ "$copies" -lt "$most_copies" ] || return 0
    copies=$((copies + 1)) copied="$copied$4$newline"
    text_of "$1" "$2" "$3"
    printf 'own-copy\t%s\t%s\t%s\n' "$1" "$4" "$text"
}

# Puts a line "PID command WORDS" before the first line of each stale process, of as many as are listed: a stage of its
# own beside the one that asks the rest, because nothing else costs so many processes.
with_commands() {
    last='' asked=0
    while read -r pid what rest; do
        if [ "$what" = stale ] && [ "$pid" != "$last" ] && [ "$asked" -lt "$most" ]; then
            last=$pid asked=$((asked + 1))
            printf '%s command ' "$pid"
            words_of "$pid"
            echo
        fi
        printf '%s %s %s\n' "$pid" "$what" "$rest"
    done
}

# Lines of grep's become "PID stale|own ADDRESSES DEVICE:INODE PATH"; map_files writes addresses without leading zeros.
line='^[^:]*/\([0-9][0-9]*\)/maps:0*\([0-9a-f]*\)-0*\([0-9a-f]*\) [^ ]* [^ ]* \([^ ]*\) \([0-9]*\)  *\(/.*\)'
printf 'styptic-probe 3\n'
printf '%s\n' "$found" |
    tr -c ' -~\n' '?' |
    sed -e 's|^\([^:]*\)/task/[0-9]*/maps:|\1/maps:|' |
    sed -n -e "s|$line (deleted)\$|\\1 stale \\2-\\3 \\4:\\5 \\6|p" -e t -e "s|$line\$|\\1 own \\2-\\3 \\4:\\5 \\6|p" |
    grep -v -E -e "^[0-9]+ stale [^ ]+ [^ ]+ $elsewhere" -e "^[0-9]+ own [^ ]+ [^ ]+ $home" |
    sort -u -k1,1n -k2,2r -k5r |
    with_commands |
    cut -b -5000 | # the kernel's longest path, and more
    tr -c ' -~\n' '?' |
    {
        last='' library='' build='' command='' listed=0 more=0 copies=0 copied=$newline
        while read -r pid what fields; do
            if [ "$pid" != "$last" ] && [ "$what" != own ]; then
                tell
                last=$pid library='' build='' command=''
            fi
            if [ "$what" = command ]; then
                command=$fields
                continue
            fi
            at=${fields%% *} path=${fields#* }
            number=${path%% *} path=${path#* }
            if [ "$what" = own ]; then
                tell_copy "$pid" "$at" "$number" "$path"
                continue
            fi
            is_there_again "$pid" "$at" "$number" "$path" && continue
            library=${library:-$path} # libssl sorts before libcrypto here and tells more
            text_of "$pid" "$at" "$number"
            [ "${#text}" -le "${#build}" ] || build=$text # but libcrypto knows when it was built
        done
        tell
        [ "$more" = 0 ] || printf 'more\t%s\n' "$more"
    }

reboots

unread=0
for directory in "$proc"/[0-9]*; do
    true 2>/dev/null <"$directory/maps" || { [ ! -d "$directory" ] || unread=$((unread + 1)); }
done
printf 'unread\t%s\nend\n' "$unread"
