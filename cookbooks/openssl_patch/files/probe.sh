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

# Part of probe.sh: whose a process is. A name, a command line or a control group is what a process says of itself: none
# makes a user's process a service's.

# Where cgroup2 alone is mounted its line is the one that counts; else the one of systemd's own hierarchy, cgroups(7).
cgroup_line='*:name=systemd:*'
[ -e "$root/sys/fs/cgroup/cgroup.controllers" ] && cgroup_line='0::*'

# PID 1's control groups: what stands before every other group here, where this machine is itself a container without a
# cgroup namespace.
groups_of_1=$newline
if [ -r "$proc/1/cgroup" ]; then
    groups_of_1=$newline$(sed -e 's|/init\.scope$||' -e 's|/$||' "$proc/1/cgroup")$newline
fi

# The group that a line of a cgroup file names, as this machine sees it, in $group.
group_in() {
    group=${1#*:*:}
    hierarchy=${1%"$group"}
    case $groups_of_1 in
        *"$newline$hierarchy"*)
            above=${groups_of_1#*"$newline$hierarchy"}
            above=${above%%"$newline"*}
            case $group in "$above" | "$above"/*) group=${group#"$above"} ;; esac
            ;;
    esac
}

# The control group of process $1 in $group, empty where systemd runs nothing here.
group_of() {
    group=''
    [ -n "$systemd" ] && [ -r "$proc/$1/cgroup" ] || return 1
    while IFS= read -r line; do
        # shellcheck disable=SC2254 # it is a pattern
        case $line in $cgroup_line) group_in "$line" ;; esac
    done <"$proc/$1/cgroup"
    [ -n "$group" ]
}

# The unit of process $1 in $unit. systemd puts a unit below slices and nothing else (systemd.slice(5)): what hangs below
# anything else is a container's, whose own systemd may have a unit of the same name.
unit_of() {
    unit=''
    group_of "$1" || return 1
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

# True if process $1's control group is a container's, whose id or name is then in $container: of whichever hierarchy
# where no systemd says which one counts.
is_in_container() {
    container=''
    [ -r "$proc/$1/cgroup" ] || return 1
    while IFS= read -r line; do
        # shellcheck disable=SC2254 # it is a pattern
        case ${systemd:-0}:$line in 0:* | 1:$cgroup_line) ;; *) continue ;; esac
        group_in "$line"
        if container_in "$group"; then
            case $container in *[!A-Za-z0-9_.@-]*) container='' ;; esac
            [ "${#container}" -lt 64 ] || container=$(printf %.12s "$container") # as docker ps and podman ps show it
            return 0
        fi
    done <"$proc/$1/cgroup"
    return 1
}

# The container that group $1 is of, in $container: the outermost one, by the names that Docker, Podman, Kubernetes'
# runtimes, LXC and systemd-machined give to control groups, each under its cgroupfs and its systemd driver.
container_in() {
    before='' rest=${1#/}
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        rest=${rest#"$part"}
        rest=${rest#/}
        case $part in
            # What runs a container or a virtual machine is the machine's own.
            libpod-conmon-* | crio-conmon-* | machine-qemu*) return 1 ;;
            docker-?*.scope | libpod-?*.scope | cri-containerd-?*.scope | crio-?*.scope | nerdctl-?*.scope)
                container=${part%.scope}
                container=${container##*-}
                ;;
            libpod-?*) container=${part##*-} ;;
            lxc.payload.?*) container=${part#lxc.payload.} ;;
            kubepods*:*:?*) container=${part##*:} ;;
            machine-?*.scope)
                container=${part%.scope}
                container=${container#machine-}
                ;;
        esac
        case $before/$part in
            docker/* | lxc/* | lxc.payload/*) container=$part ;;
            pod?*/*) case $1 in */kubepods/*) container=$part ;; esac ;;
            systemd-nspawn@?*.service/payload)
                container=${before#systemd-nspawn@}
                container=${container%.service}
                ;;
        esac
        [ -z "$container" ] || break
        before=$part
    done
    # A "-" in a name, as systemd.unit(5) writes it.
    while :; do
        case $container in *'\x2d'*) container=${container%%'\x2d'*}-${container#*'\x2d'} ;; *) break ;; esac
    done
    [ -n "$container" ]
}

first_pids=$(readlink "$proc/1/ns/pid" 2>/dev/null)
first_mounts=$(readlink "$proc/1/ns/mnt" 2>/dev/null)

# True if process $1 has PID 1's namespace $2 (of the name $3, empty where it is not known), and if it is not known.
shares() {
    # shellcheck disable=SC3013 # dash, bash and busybox know -ef
    [ "$proc/$1/ns/$2" -ef "$proc/1/ns/$2" ] 2>/dev/null && return 0
    [ -n "$3" ] && there=$(readlink "$proc/$1/ns/$2" 2>/dev/null) && [ -n "$there" ] || return 0
    [ "$there" = "$3" ]
}

# True if process $1 has PIDs of its own, or another root in mounts of its own: mounts alone are what ip-netns(8) gives
# too. Not known is no.
is_elsewhere() {
    shares "$1" pid "$first_pids" || return 0
    shares "$1" mnt "$first_mounts" && return 1
    [ -e "$proc/1/root/." ] && [ -e "$proc/$1/root/." ] || return 1
    # shellcheck disable=SC3013
    ! [ "$proc/$1/root/." -ef "$proc/1/root/." ]
}

# True if process $1, whose parent is $parent, is an sshd that listens: a connection's own has such a one as its parent.
listens() {
    name_of "$1"
    [ "$name" = sshd ] || return 1
    name_of "$parent"
    [ "$name" != sshd ]
}

# The processes from $self upwards, without the daemon that started them all: it is a service like any other, whether init
# started it or, below that, a supervisor.
own=' '
walk=${self:-0}
while [ "$walk" -gt 1 ] && parent_of "$walk"; do
    if [ "$walk" != "$self" ] && { [ "$parent" -le 1 ] || listens "$walk"; }; then break; fi
    own="$own$walk "
    walk=$parent
done

# True if process $1, started as $command, is chef-client: the program or the script that ruby runs, as root.
is_chef() {
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

# True if $group is below what logind calls a session or a user manager. What a user's own systemd runs, and goes on
# running while the user lingers (user@1000.service/app.slice/x.service), is the user's to restart and no unit of ours.
is_users() {
    case $group in /user.slice/user-*.slice/*) ;; *) return 1 ;; esac
}

# A login: a session's, or what hangs below a connection's own sshd, which is root's (sshd-session since OpenSSH 9.8;
# before, an sshd whose parent is the listening sshd).
is_session() {
    is_users && return 0
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

# The kind of process $1, started as $command, in $kind, its service or container in $service.
classify() {
    service='' kind=orphan
    case $own in *" $1 "*) kind=own ;; esac
    [ "$1" = 1 ] && kind=init
    [ "$kind" = orphan ] || return 0
    if is_in_container "$1"; then
        kind=container service=$container
        return
    fi
    unit_of "$1" || unit=''
    # A unit may have PIDs or a root of its own, systemd.exec(5), and so may a program in a session.
    if [ -z "$unit" ] && ! is_users && is_elsewhere "$1"; then
        kind=container
    elif is_chef "$1"; then
        kind=own
    elif is_session "$1"; then
        kind=session
    elif [ -n "$unit" ]; then
        kind=service service=$unit
        case $unit in systemd-journald | systemd-logind) kind=init ;; esac
    elif script_of "$1"; then
        kind=service service=$script
    fi
}

# Part of probe.sh: which init script a process is of, where no systemd runs the machine. Only what root wrote counts:
# scripts, PID files and programs; a name counts for a system user's process alone.

# The init script that started process $1, started as $command, in $script: asked of the topmost process below init, once.
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
            if is_system "$top"; then
                words=$command
                [ "$top" = "$1" ] || words=$(words_of "$top" | cut -b -600)
                starter_of "$top" "$words"
            fi
            scripts="$scripts$top=$script "
            ;;
    esac
    [ -n "$script" ]
}

# By process $1's name, by a PID file of root's that holds it, by the program that the script names among the first of
# the words $2, or by the place of the program that it runs.
starter_of() {
    name_of "$1"
    is_script "$name" && script=$name && return 0
    for file in "$root"/run/*.pid "$root"/run/*/*.pid; do
        held=
        # shellcheck disable=SC3067 # dash, bash and busybox know -O
        if [ -f "$file" ] && [ ! -L "$file" ] && [ -O "$file" ]; then IFS= read -r held 2>/dev/null <"$file"; fi
        [ "$held" = "$1" ] || continue
        held=${file##*/}
        held=${held%.pid}
        if is_script "$held"; then script=$held; else names_it "/${file##*/}"; fi
        [ -n "$script" ] && return 0
    done
    rest=${2#* }
    for word in "${2%% *}" "${rest%% *}"; do
        case $word in /*) names_it "$word" && return 0 ;; esac
    done
    runs_for "$1"
}

# True if there is an init script called $1.
is_script() {
    case $1 in '' | *[!A-Za-z0-9_.@-]* | .*) return 1 ;; esac
    [ -f "$root/etc/init.d/$1" ]
}

# The one init script whose text holds the path $1. Asked once a path.
named=$newline
names_it() {
    script=
    case $1 in *[!A-Za-z0-9_.+/-]*) return 1 ;; esac
    case $named in
        *"$newline$1="*)
            script=${named#*"$newline$1="}
            script=${script%%"$newline"*}
            ;;
        *)
            script=$(grep -lF -e "$1" "$root"/etc/init.d/* 2>/dev/null)
            script=${script#"$root/etc/init.d/"}
            case $script in *[!A-Za-z0-9_.@-]*) script='' ;; esac # a second one has a newline before it
            named="$named$1=$script$newline"
            ;;
    esac
    [ -n "$script" ]
}

# The init script that has the name of process $1's program or of a directory that this is in (/usr/lib/postgresql/15/
# bin/postgres): the kernel says what it runs, and only root puts something there. Below init only, where a daemon is.
runs_for() {
    program=$(readlink "$proc/$1/exe" 2>/dev/null)
    program=${program%" (deleted)"}
    case $program in /*) ;; *) return 1 ;; esac
    rest=$program
    while [ -n "$rest" ]; do
        if is_script "${rest##*/}"; then
            script=${rest##*/}
            is_of_root "$program" && return 0
            script='' && return 1
        fi
        rest=${rest%/*}
    done
    return 1
}

# Part of probe.sh: what a mapped library file is, asked of /proc/PID/map_files, which leads to a deleted file too but
# which root alone may open, proc(5). Nothing is believed of a file that cannot be read.

me=$(id -u 2>/dev/null)
# A file on a file system that hangs holds nobody for longer than this; an older BusyBox's timeout takes other words.
limit='timeout -s KILL 2'
$limit true 2>/dev/null || limit=''
compared=0 same=$newline other=$newline
texts=0 told=$newline

# True if the deleted file $3 (device:inode) that process $1 maps at $2 is, byte for byte, what this machine has at its
# path $4 now: a package that was installed again. Asked once a file, of at most 50.
is_there_again() {
    case $same in *"$newline$3 $4$newline"*) return 0 ;; esac
    case $other in *"$newline$3 $4$newline"*) return 1 ;; esac
    [ "$compared" -lt 50 ] && [ -L "$proc/$1/map_files/$2" ] || return 1
    compared=$((compared + 1))
    if is_of_root "$4" && $limit cmp -s "$proc/$1/map_files/$2" "$root$4" 2>/dev/null; then
        same="$same$3 $4$newline"
        return 0
    fi
    other="$other$3 $4$newline"
    return 1
}

# True if $1 is a file of at most 64 MB whose place nobody but root can give to another: what a user put there could be
# a pipe by the time it is opened, and hold the probe for ever.
is_of_root() {
    step=$root/
    rest=${1#/}
    set -- "$step"
    while [ -n "$rest" ]; do
        step=${step%/}/${rest%%/*}
        set -- "$@" "$step"
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
    done
    # shellcheck disable=SC2012 # in the order of their names, so that the file is the last
    $limit ls -dln "$@" 2>/dev/null | {
        steps=0 type='' length=0
        while read -r mode _ owner _ size _; do
            case $mode in d????-??-* | -????-??-*) ;; *) exit 1 ;; esac
            [ "$owner" = 0 ] || [ "$owner" = "$me" ] || exit 1
            steps=$((steps + 1)) type=${mode%"${mode#?}"} length=$size
        done
        [ "$steps" = "$#" ] && [ "$type" = - ] && [ "$length" -le 67108864 ]
    }
}

# What the file $3 (device:inode) that process $1 maps at $2 says of itself, in $text: "OpenSSL 3.0.20 7 Apr 2026" and,
# because a distribution's mended build says the same, when it was built. Its first 16 MB are read, once a file, of at
# most 20 files.
text_of() {
    text=''
    case $told in
        *"$newline$3="*)
            text=${told#*"$newline$3="}
            text=${text%%"$newline"*}
            return
            ;;
    esac
    [ "$texts" -lt 20 ] && [ -L "$proc/$1/map_files/$2" ] || return
    texts=$((texts + 1))
    text=$(
        $limit dd if="$proc/$1/map_files/$2" bs=65536 count=256 2>/dev/null | tr -c ' -~' '\n' |
            grep -E -e '^built on: ' -e 'OpenSSL [0-9]' |
            sed -n -e 's/^\(built on: [A-Z][a-z][a-z] [A-Z][a-z][a-z] [A-Za-z0-9: ]\{1,30\}\)$/\1/p' \
                -e 's/^.*\(OpenSSL [0-9][0-9A-Za-z.+-]\{1,30\}  *[0-9]\{1,2\} [A-Z][a-z][a-z] [0-9]\{4\}\).*$/\1/p' |
            sort -u | sed -e '3,$d' -e '$!s/$/,/' | tr '\n' ' '
    )
    text=${text% }
    told="$told$3=$text$newline"
}

# Part of probe.sh: what below the services has changed since the node started, and is in use only after a reboot.

# Prints a line for each thing that is so.
reboots() {
    old=$(sed -n 's/^.* \(\/[^ ]*\/\(libc\|ld\)[-.][^/ ]*\) (deleted)$/\1/p' "$proc/1/maps" 2>/dev/null | sed 1q)
    [ -z "$old" ] || printf 'reboot\tlibc\tPID 1 runs the deleted %s\n' "$(printable "$old")"
    newer_kernel
    # Debian's and Ubuntu's packages ask for it there, by update-notifier's or unattended-upgrades' hand.
    [ -e "$root/run/reboot-required" ] || return 0
    packages=$(dd if="$root/run/reboot-required.pkgs" bs=600 count=1 2>/dev/null | sort -u | tr '\n' ' ')
    packages=$(printable "${packages% }")
    printf 'reboot\tasked\t/run/reboot-required is there%s\n' "${packages:+, for $packages}"
}

# The newest kernel of the running one's kind, by what its name ends with (amd64, generic, x86_64). Where the running one
# is not among them it came from elsewhere, as in a container, and nothing is known.
newer_kernel() {
    running=
    IFS= read -r running 2>/dev/null <"$proc/sys/kernel/osrelease" || return 0
    [ -e "$root/boot/vmlinuz-$running" ] || return 0
    newest=$(
        for kernel in "$root"/boot/vmlinuz-*; do
            kernel=${kernel##*/vmlinuz-}
            [ "${kernel##*[.-]}" != "${running##*[.-]}" ] || printf '%s\n' "$kernel"
        done | sort -V 2>/dev/null | sed -n '$p'
    )
    case $newest in '' | "$running") return 0 ;; esac
    printf 'reboot\tkernel\tkernel %s runs and %s is installed\n' "$(printable "$running")" "$(printable "$newest")"
}

printable() {
    printf %.200s "$1" | tr -c ' -~' '?'
}

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
