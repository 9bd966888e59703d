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
