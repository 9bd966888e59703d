# Part of openssl_patch.sh: what is stale, and the steps that the data has for it, the gentlest first.

# Asks the probe; its answer is in $work/stale. One that is not whole is never read as clean.
look() {
    ask_probe >"$work/stale.new" 2>"$work/said"
    if [ "$(sed -n 1p "$work/stale.new")" != "$probe_first" ] || [ "$(sed -n '$p' "$work/stale.new")" != end ]; then
        fail "the probe gave no whole answer: $(words_of "$work/said" 3)"
        return 1
    fi
    mv "$work/stale.new" "$work/stale"
    looked=1
}

# Prints "PID<tab>NAME" of each process that counts, by the name that the data has for its service: PID 1 is init, and a
# container has one that no row has. An instance keeps its own: no step of apache2's helps apache2@site.
counted() {
    awk -F '\t' '$1 == "stale" && $3 ~ /^(service|init|container|orphan)$/ {
        name = $4
        if ($3 == "container") name = "container " $4
        if ($2 == 1) name = "init"
        print $2 "\t" name
    }' "$work/stale"
}

# Prints how many processes nothing is known of.
unread() { awk -F '\t' '$1 == "unread" || $1 == "more" { count += $2 } END { print count + 0 }' "$work/stale"; }

# Prints why only a reboot helps, a sentence a line: what is below the services counts where an advisory is about that.
owed() {
    awk -F '\t' -v deeper="$reboot_asked" '$1 == "reboot" && ($2 == "init" || deeper) { print $3 }' "$work/stale"
}

# Prints the PIDs of service $1 among them.
pids_of() { counted | awk -F '\t' -v name="$1" '$2 == name { print $1 }'; }

# Prints the services of the data that have processes among them; systemd's own have a turn of their own.
stale_services() {
    counted | cut -f 2 | sort -u | while IFS= read -r name; do
        row_of "$name"
        [ -z "$row" ] || [ -n "$(facts "$row" systemd)" ] || printf '%s\n' "$name"
    done
}

is_stale() { counted | cut -f 2 | grep -qxF -e "$1"; }

# Looks until the services in file $1 ("NAME STEP" a line) are stale no more, or had the time that their step gives.
settled() {
    began=$(seconds)
    while look; do
        waits=''
        while read -r name step; do
            says end "$step"
            patience=$settle_seconds
            [ -z "$value" ] || patience=$drain_seconds
            is_stale "$name" && [ $(($(seconds) - began)) -lt "$patience" ] && waits=1
        done <"$1"
        [ -n "$waits" ] || return 0
        pause
    done
    return 1
}

# Settles, and ends old processes that serve somebody for longer than they may: where the main process is a new one the
# service goes on without them.
drained() {
    settled "$1" || return 1
    : >"$work/late"
    while read -r name step; do
        says end "$step"
        signal=$value
        [ -n "$signal" ] || continue
        is_stale "$name" || continue
        says pid_file "$step"
        pid_file_of "$name" "$value"
        pid_in "$pid_file"
        case " $(pids_of "$name" | tr '\n' ' ')" in *" ${pid:-no} "*) continue ;; esac
        is_alive "$pid" || continue # a PID file that somebody left says of no process that it is old
        say "ending old processes of $name"
        for old in $(pids_of "$name"); do kill -s "$signal" "$old" 2>/dev/null; done
        note ended "$name"
        printf '%s\n' "$name" >>"$work/late"
    done <"$1"
    [ ! -s "$work/late" ] || settled "$work/late"
}

# Has the service manager act on service $1; a gentle action that fails leaves it to a harsher one.
act() {
    case $2 in reload) say "reloading $1" ;; *) say "restarting $1" ;; esac
    if manage "$1" "$2"; then
        note "${2}ed" "$1"
        return 0
    fi
    if [ "$2" = restart ]; then
        fail "$2 of $1 failed: $(words_of "$work/said" 4)"
    else
        printf '%s of %s failed: %s\n' "$2" "$1" "$(words_of "$work/said" 4)" >"$work/hurdle/$1"
    fi
    return 1
}

# Takes step $2 of service $1. Returns whether it was taken.
take() {
    configured "$1" || return 1
    [ "${2%% *}" = upgrade ] || { act "$1" "${2%% *}"; return; }
    say "upgrading $1 in place"
    if upgrade_in_place "$1" "$2"; then
        [ -z "$begun" ] || note upgraded "$1"
        return 0
    fi
    printf 'in-place upgrade of %s failed: %s\n' "$1" "$why" >"$work/hurdle/$1"
    return 1
}

# Takes the steps of each stale service and looks again after each: only who is still stale gets its next one. What the
# data does not name is left alone.
refresh() {
    look || return
    counted >"$work/before.counted"
    cp "$work/stale" "$work/stale.before"
    while :; do
        : >"$work/due"
        : >"$work/taken"
        for name in $(stale_services); do
            step=$(sed -n 1p "$work/left/$name")
            [ -n "$step" ] || continue
            sed 1d "$work/left/$name" >"$work/rest" && cp "$work/rest" "$work/left/$name"
            printf '%s %s\n' "$name" "$step" >>"$work/due"
        done
        [ -s "$work/due" ] || break
        while read -r name step; do
            take "$name" "$step" && printf '%s %s\n' "$name" "$step" >>"$work/taken"
        done <"$work/due"
        drained "$work/taken" || return
    done
    refresh_init
    [ ! -e "$work/upgraded" ] || while read -r name; do
        is_running "$name" || act "$name" restart
    done <"$work/upgraded"
    for name in $(stale_services); do
        [ ! -s "$work/hurdle/$name" ] || fail "$(cat "$work/hurdle/$name")"
    done
}

# systemd's own: re-executed, and its daemons restarted where the data says that this systemd's may be.
refresh_init() {
    [ -n "$systemd" ] || return 0
    counted | cut -f 2 | sort -u >"$work/names"
    : >"$work/init"
    if grep -qx init "$work/names"; then
        printf 'init\n' >"$work/init"
        say 're-executing init'
        if systemctl daemon-reexec </dev/null >"$work/said" 2>&1 9>&-; then
            note reexecuted init
        else
            fail "re-execution of systemd failed: $(words_of "$work/said" 4)"
        fi
    fi
    running=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    while read -r name; do
        row_of "$name"
        since=$(facts "${row:-none}" systemd)
        [ -n "$since" ] || continue
        [ "${running:-0}" -ge "$since" ] || continue
        [ -z "$(facts "$row" spares_graphical)" ] || ! has_graphical_session || continue
        act "$name" restart && printf '%s\n' "$name" >>"$work/init"
    done <"$work/names"
    settled "$work/init"
}

# True if somebody has one, and where logind does not say: loginctl(1), sd_session_get_type(3).
has_graphical_session() {
    sessions=$(loginctl --no-legend list-sessions 2>/dev/null) || return 0
    printf '%s\n' "$sessions" | while read -r session _; do
        case $(loginctl show-session -p Type "${session:-self}" 2>/dev/null) in
            Type=x11 | Type=wayland | Type=mir) echo graphical ;;
        esac
    done | grep -q graphical
}
