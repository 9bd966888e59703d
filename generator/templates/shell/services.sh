# Part of openssl_patch.sh: the services of the data that are here, and how the service manager is told.

# Which row a service of this machine has, "NAME ROW" a line into $work/present: the first of a row's names that is here.
find_services() {
    : >"$work/present"
    mkdir "$work/left" "$work/hurdle" "$work/tested"
    printf '%s\n' "$services_known" | while read -r row fact rest; do
        [ "$fact" = names ] || continue
        for name in $rest; do
            case $name in *[!A-Za-z0-9:_.@-]*) continue ;; esac
            is_here "$name" && printf '%s %s\n' "$name" "$row" && break
        done
    done >"$work/present"
    while read -r name row; do
        facts "$row" step >"$work/left/$name"
    done <"$work/present"
}

is_here() {
    [ -e "/etc/init.d/$1" ] && return 0
    [ -n "$systemd" ] || return 1
    [ -e "/etc/systemd/system/$1.service" ] || [ -e "/lib/systemd/system/$1.service" ] ||
        [ -e "/usr/lib/systemd/system/$1.service" ]
}

# Prints what the data says of row $1 under $2, a line each.
facts() { printf '%s\n' "$services_known" | sed -n "s|^$1 $2 ||p"; }

# The row of service $1 in $row, empty where the data does not name it.
row_of() { row=$(awk -v name="$1" '$1 == name { print $2 }' "$work/present"); }

# Why a person is to see to service $1, by whichever of its names: an instance has its template's reason.
reason_for() {
    row=$(printf '%s\n' "$services_known" | awk -v name="${1%%@*}" '
        $2 == "names" { for (i = 3; i <= NF; i++) if ($i == name) { print $1; exit } }')
    [ -z "$row" ] || facts "$row" because
}

# Tells the service manager to $2 service $1, which must not inherit anything of ours.
manage() {
    if [ -n "$systemd" ]; then
        systemctl "$2" "$1.service"
    elif command -v service >/dev/null 2>&1; then
        service "$1" "$2"
    else
        "/etc/init.d/$1" "$2"
    fi </dev/null >"$work/said" 2>&1 9>&-
}

is_running() {
    if [ -n "$systemd" ]; then systemctl is-active --quiet "$1.service"; else "/etc/init.d/$1" status; fi \
        </dev/null >/dev/null 2>&1 9>&-
}

# Where the main process of service $1 stands, in $pid_file; $2 is what the data says, which counts without systemd alone.
pid_file_of() {
    pid_file=$2
    [ -n "$systemd" ] || return 0
    pid_file=$(systemctl show -p PIDFile "$1.service" 2>/dev/null | sed -n 's/^PIDFile=//p')
    case $pid_file in '' | /*) ;; *) pid_file=/run/$pid_file ;; esac # systemd.service(5): a relative one is below /run
}

# The process that file $1 holds, in $pid; empty where it holds none.
pid_in() {
    pid=''
    { IFS= read -r pid <"$1"; } 2>/dev/null
    case $pid in '' | *[!0-9]* | 0*) pid='' ;; esac
}

is_alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# True if service $1 passes its own configuration test, or has none: who would not come up again is left running.
configured() {
    [ ! -e "$work/tested/$1" ] || return "$(cat "$work/tested/$1")"
    row_of "$1"
    test_words=$(facts "$row" test)
    result=0
    if [ -n "$test_words" ]; then
        set -f
        # shellcheck disable=SC2086 # words
        $test_words </dev/null >"$work/said" 2>&1 9>&- || result=1
        set +f
    fi
    printf '%s\n' "$result" >"$work/tested/$1"
    [ "$result" = 0 ] || fail "$1 is left as it runs, because its configuration test failed: $(words_of "$work/said" 3)"
    return "$result"
}

# The command that a person would give for a stale process: $1 PID, $2 kind, $3 service, $4 user.
command_for() {
    if [ "$2" = container ]; then
        printf 'rebuild or restart the container %s\n' "${3:-of PID $1}"
    elif [ "$2" = init ] && [ -z "$3" ]; then
        if [ -n "$systemd" ]; then printf 'systemctl daemon-reexec\n'; else printf 'reboot\n'; fi
    elif [ -z "$3" ]; then
        printf 'restart PID %s of %s\n' "$1" "$4"
    elif [ -n "$systemd" ]; then
        printf 'systemctl restart %s\n' "$3"
    else
        printf 'service %s restart\n' "$3"
    fi
}
