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
