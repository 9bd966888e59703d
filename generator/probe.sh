#!/bin/sh
# Which processes still run a deleted libssl or libcrypto? One line each, tab-separated:
#   stale PID KIND SERVICE USER LIBRARY COMMAND      (SERVICE is empty where there is none)
# between "styptic-probe 1" and "end"; before "end" stands "unread COUNT", the processes that could not be read, and
# before that "more COUNT" where there are too many to list.
#
# KIND: service, init (PID 1, journald, logind), session (a login), own (who asks, and chef-client), orphan (no owner).
# A name, a command line or a cgroup is what a process says of itself: none makes a user's process a service's.
#
# Needs no more than a POSIX shell, dd, grep, sed, sort, tr and xargs. Reads /proc as proc(5) describes it; changes nothing.
#   PROC_ROOT        another tree in /proc's place, as recorded on a node
#   PROBE_ROOT       where /etc and /run are looked for
#   PROBE_SELF       the PID that asks (default: this shell, where PROC_ROOT is not set)
#   PROBE_LIBRARIES  stems of the library files, "libssl libcrypto" unless set
set -u
LC_ALL=C
export LC_ALL
proc=${PROC_ROOT:-/proc}
root=${PROBE_ROOT-}
most=500
self=${PROBE_SELF:-}
[ -n "$self" ] || [ -n "${PROC_ROOT-}" ] || self=$$

# sd_booted(3): systemd runs the machine if this directory is there.
systemd=
[ -d "$root/run/systemd/system" ] && systemd=1
# Where cgroup2 alone is mounted its line is the one that counts; else the one of systemd's own hierarchy, cgroups(7).
cgroup_line='*:name=systemd:*'
[ -e "$root/sys/fs/cgroup/cgroup.controllers" ] && cgroup_line='0::*'

# A process's first line of a file in /proc, in $line.
first_line() {
    line=
    [ -e "$proc/$1/$2" ] && IFS= read -r line 2>/dev/null <"$proc/$1/$2"
    [ -n "$line" ]
}

# $parent of process $1; 0 where it has none or is gone. The name in stat may hold anything, so cut at its last ")".
parent_of() {
    parent=0
    first_line "$1" stat || return 1
    # shellcheck disable=SC2086 # the fields are numbers and a letter
    set -- ${line##*) }
    parent=${2:-0}
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

# The processes from $self upwards, without the daemon that started them all: it is a service like any other.
own=' '
walk=${self:-0}
while [ "$walk" -gt 1 ] && parent_of "$walk"; do
    if [ "$parent" -le 1 ] && [ "$walk" != "$self" ]; then break; fi
    own="$own$walk "
    walk=$parent
done

is_own() {
    case $own in *" $1 "*) return 0 ;; esac
    # A program or the script that ruby runs, as root.
    rest=${command#* }
    for word in "${command%% *}" "${rest%% *}"; do
        case ${word##*/} in
            chef-client | cinc-client)
                uid_of "$1"
                [ "$uid" = 0 ] && return 0
                ;;
        esac
    done
    return 1
}

# The control group of process $1 in $group, empty where systemd runs nothing here.
group_of() {
    group=''
    [ -n "$systemd" ] && [ -r "$proc/$1/cgroup" ] || return 1
    while IFS= read -r line; do
        # shellcheck disable=SC2254 # it is a pattern
        case $line in $cgroup_line) group=${line#*:*:} ;; esac
    done <"$proc/$1/cgroup"
    [ -n "$group" ]
}

# What stands before every group of this systemd, when it runs in a container without a cgroup namespace.
group_of 1
above=${group%/init.scope}

# The unit of process $1 in $unit. systemd puts a unit below slices and nothing else (systemd.slice(5)): what hangs below
# anything else is a container's, whose own systemd may have a unit of the same name.
unit_of() {
    unit=''
    group_of "$1" || return 1
    group=${group#"$above"}
    case $group in
        *.service | *.service/*) ;;
        *) return 1 ;;
    esac
    unit=${group%%.service*}
    slices=${unit%/*}
    unit=${unit##*/}
    case $unit in *[!A-Za-z0-9:_.@\\-]*) unit='' && return 1 ;; esac
    while [ -n "$slices" ]; do
        case ${slices##*/} in *.slice) ;; *) unit='' && return 1 ;; esac
        slices=${slices%/*}
    done
}

# A login: what logind calls a session or a user manager, or what hangs below a connection's own sshd, which is root's
# (sshd-session since OpenSSH 9.8; before, an sshd whose parent is the listening sshd).
is_session() {
    case $group in /user.slice/user-*.slice/*) return 0 ;; esac
    case $unit in ssh@* | sshd@*) return 0 ;; esac
    walk=$1
    while [ "$walk" -gt 1 ]; do
        name_of "$walk"
        parent_of "$walk" || return 1
        case $name in
            sshd*)
                uid_of "$walk"
                [ "$name" = sshd ] && name_of "$parent"
                case $uid:$name in 0:sshd | 0:sshd-session) return 0 ;; esac
                ;;
        esac
        walk=$parent
    done
    return 1
}

# The init script that started process $1, in $script: asked of the topmost process below init, once.
scripts=' '
script_of() {
    script=
    [ -z "$systemd" ] && [ -d "$root/etc/init.d" ] || return 1
    top=$1
    while parent_of "$top" && [ "$parent" -gt 1 ]; do top=$parent; done
    case $scripts in
        *" $top="*)
            script=${scripts#*" $top="}
            script=${script%%" "*}
            ;;
        *)
            is_system "$top" && starter_of "$top"
            scripts="$scripts$top=$script "
            ;;
    esac
    [ -n "$script" ]
}

# By its name, by a PID file of root's that holds it, or by the program that the script names.
starter_of() {
    name_of "$1"
    case $name in
        '' | *[!A-Za-z0-9_.@-]* | .*) ;;
        *) [ -f "$root/etc/init.d/$name" ] && script=$name && return 0 ;;
    esac
    for file in "$root"/run/*.pid "$root"/run/*/*.pid; do
        held=
        # shellcheck disable=SC3067 # dash, bash and busybox know -O
        if [ -f "$file" ] && [ ! -L "$file" ] && [ -O "$file" ]; then IFS= read -r held 2>/dev/null <"$file"; fi
        [ "$held" = "$1" ] || continue
        held=${file##*/}
        held=${held%.pid}
        if [ -f "$root/etc/init.d/$held" ]; then script=$held; else names_it "/${file##*/}"; fi
        [ -n "$script" ] && return 0
    done
    for word in $(beginning_of "$1" | tr '\000' '\n' | sed -n '1,2{/^\/[A-Za-z0-9_.+\/-]*$/p;}'); do
        names_it "$word" && return 0
    done
    return 1
}

# The one init script whose text holds the word $1.
names_it() {
    script=$(grep -lF -e "$1" "$root"/etc/init.d/* 2>/dev/null)
    script=${script#"$root/etc/init.d/"}
    case $script in '' | *[!A-Za-z0-9_.@-]*) script='' && return 1 ;; esac # a second one has a newline before it
}

# The beginning of process $1's command line: it may be megabytes long.
beginning_of() {
    dd if="$proc/$1/cmdline" bs=600 count=1 2>/dev/null
}

# The kind of process $1 in $kind, its service in $service.
classify() {
    service=
    unit_of "$1" || unit=
    if [ "$1" = 1 ]; then
        kind=init
    elif is_own "$1"; then
        kind=own
    elif is_session "$1"; then
        kind=session
    elif [ -n "$unit" ]; then
        kind=service service=$unit
        case $unit in systemd-journald | systemd-logind) kind=init ;; esac
    elif script_of "$1"; then
        kind=service service=$script
    else
        kind=orphan
    fi
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

# What process $1 was started as, in $command, printable ASCII; its name in brackets where it has no arguments left.
command_of() {
    command=$(beginning_of "$1" | tr '\000' ' ' | tr -c ' -~' '?')
    command=${command%"${command##*[! ]}"}
    if [ -z "$command" ]; then
        name_of "$1"
        command="[$(printf %s "$name" | tr -c ' -~' '?')]"
    fi
}

stems=
for stem in ${PROBE_LIBRARIES:-libssl libcrypto}; do
    case $stem in *[!A-Za-z0-9_+.-]*) printf 'probe: not a library name: %s\n' "$stem" >&2 && exit 2 ;; esac
    stems="$stems${stems:+|}$(printf %s "$stem" | sed 's/[+.]/\\&/g')"
done
# NSS has a libssl3.so: the stem must end at ".so", or at the hash that Python wheels put in between.
pattern="/($stems)(-[0-9a-f]+)?\\.so[^/]* \\(deleted\\)\$"

# xargs(1) ends with 123 where a grep found nothing or a process was gone, and with more where none could be started.
found=$(
    printf '%s\n' "$proc"/[0-9]*/maps | xargs grep -E -e "$pattern" /dev/null 2>/dev/null
    printf '\nstatus %s\n' "$?"
)
case ${found##*status } in
    0 | 123) ;;
    *) printf 'probe: grep could not look into %s\n' "$proc" >&2 && exit 2 ;;
esac

printf 'styptic-probe 1\n'
printf '%s\n' "$found" |
    tr -c ' -~\n' '?' |
    sed -n -e 's|^[^:]*/\([0-9][0-9]*\)/maps:[^/]* \(/.*\) (deleted)$|\1 \2|p' |
    grep -v -E -e '^[0-9]+ /(memfd:|SYSV|dev/|tmp/|var/tmp/)' |
    sort -u -k1,1n -k2r |
    {
        last='' listed=0 more=0
        while read -r pid library; do
            [ "$pid" != "$last" ] || continue # libssl sorts before libcrypto here and tells more
            last=$pid
            if [ "$listed" -ge "$most" ]; then
                more=$((more + 1))
                continue
            fi
            listed=$((listed + 1))
            command_of "$pid"
            classify "$pid"
            user_of "$pid"
            printf 'stale\t%s\t%s\t%s\t%s\t%s\t%.300s\n' "$pid" "$kind" "$service" "$user" "$library" "$command"
        done
        [ "$more" = 0 ] || printf 'more\t%s\n' "$more"
    }

unread=0
for directory in "$proc"/[0-9]*; do
    true 2>/dev/null <"$directory/maps" || { [ ! -d "$directory" ] || unread=$((unread + 1)); }
done
printf 'unread\t%s\nend\n' "$unread"
