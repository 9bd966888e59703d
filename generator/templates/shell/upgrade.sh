# Part of openssl_patch.sh: a service that starts its new program beside the old one and hands it its sockets.

# What step $2 says of $1, in $value; empty where it says nothing.
says() {
    value=''
    case " $2 " in *" $1="*)
        value=" $2 "
        value=${value#*" $1="}
        value=${value%% *}
        ;;
    esac
}

# Upgrades service $1 in place by step $2, and none but its stale processes gets a signal; why not is in $why. $begun is
# empty where nothing was left to begin: the main process is a new one, and what is stale drains.
upgrade_in_place() {
    begun='' why=''
    says pid_file "$2"
    pid_file_of "$1" "$value"
    [ -n "$pid_file" ] || { why='systemd would lose it, because its unit has no PIDFile='; return 1; }
    says old_suffix "$2"
    old_file=$pid_file$value
    stale_pids=" $(pids_of "$1" | tr '\n' ' ')"
    pid_in "$old_file" && old=$pid
    pid_in "$pid_file" && main=$pid
    case $stale_pids in
        *" ${main:-none} "*)
            if is_alive "$old"; then
                why="$old_file holds a process: an upgrade that somebody began is not over"
                return 1
            fi
            says begin "$2"
            kill -s "$value" "$main" || { why="its main process $main took no signal"; return 1; }
            await_next_to "$main" || return 1
            old=$main
            ;;
    esac
    case $stale_pids in *" ${old:-none} "*) ;; *) return 0 ;; esac
    says finish "$2"
    for signal in $(printf '%s\n' "$value" | tr ',' ' '); do
        pid_in "$pid_file"
        is_alive "$pid" || { why='the new main process ended'; return 1; }
        kill -s "$signal" "$old" 2>/dev/null
    done
    begun=1
}

# Waits until the new main process is beside the old one, $1.
await_next_to() {
    limit=$(($(seconds) + settle_seconds))
    while :; do
        pid_in "$old_file"
        if [ "$pid" = "$1" ]; then
            pid_in "$pid_file"
            is_alive "$pid" && [ "$pid" != "$1" ] && return 0
        fi
        [ "$(seconds)" -le "$limit" ] || { why="no new main process came within $settle_seconds seconds"; return 1; }
        pause
    done
}
