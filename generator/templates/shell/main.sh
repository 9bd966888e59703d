# Part of openssl_patch.sh: what it is asked for, and in which order things are done.

usage() {
    cat <<'U'
usage: sh openssl_patch.sh [--dry-run | --look | --packages | --refresh] [--node NAME]

Upgrades the OpenSSL packages that are installed, and no other, asks what still runs the old
library, and refreshes it in the gentlest way that gets rid of it: reload, in-place upgrade,
restart. What the data does not name, or leaves to a person, is listed and never touched.
Nothing is removed, and nothing that is held is let go. Run it again at any time.

  --dry-run    say what would be upgraded, and what is stale now and what would be done; change nothing
  --look       say what is stale and whether the packages are fixed; change nothing
  --packages   name the installed packages that an upgrade may ask for, none that is held
  --refresh    refresh what is stale, without upgrading a package
  --node NAME  what this machine is called in /var/lib/openssl_patch/result.json (default: its host name)

Exit codes: 0 fixed, or not affected, and nothing runs the old library (--dry-run: nothing to do);
1 wrong usage; 2 something failed, is vulnerable, still runs the old library or wants a reboot (--dry-run:
there is something to do); 4 nothing does as far as it could look, and either the advisories cannot say whether
the packages are fixed, or some processes could not be looked into.

OPENSSL_PATCH_DRAIN_SECONDS (60), _SETTLE_SECONDS (10) and _LOCK_SECONDS (120) are the longest that
old processes may serve, new ones may need, and the package manager's lock is waited for.
OPENSSL_PATCH_SERVICES takes the place of the services in this file, in the same form.
U
}

# Tells the verdict, what is left and why, and ends.
conclude() {
    if [ "$kind" != vulnerable ] || [ ! -s "$work/failures" ]; then # else it has been said
        while IFS= read -r reason; do say "$kind: $reason"; done <"$work/reasons"
    fi
    [ -s "$work/installed" ] || say 'no OpenSSL package is installed'
    if [ -n "$unfetched" ] && [ ! -s "$work/failures" ]; then say "package lists could not be fetched: $unfetched"; fi
    left=$(counted | wc -l)
    if [ "$left" -gt 0 ]; then
        say "still running the old library: $((left)) process(es)"
        not_touched | cut -f 2,3 | while IFS="$tab" read -r todo because; do say "to do: $todo${because:+ ($because)}"; done
    elif [ -n "$looked" ]; then
        say 'nothing runs the old library'
    fi
    unread=$(unread)
    [ "$unread" = 0 ] || say "$unread process(es) could not be looked into, so none of these is called clean"
    owed >"$work/reboot"
    while IFS= read -r reason; do say "owes a reboot: $reason"; done <"$work/reboot"
    if [ -n "$failed" ] || [ -s "$work/failures" ] || [ -s "$work/reboot" ]; then exit 2; fi
    [ "$left" -eq 0 ] && [ "$kind" != vulnerable ] || exit 2
    [ "$unread" = 0 ] || exit 4
    [ "$kind" != unknown ] || [ ! -s "$work/installed" ] || exit 4
    exit 0
}

# Writes down as failures what keeps the packages from being fixed.
explain() {
    has_room || fail "there is no more room in $work, so nothing of this is proven"
    case $kind in vulnerable) ;; unknown) [ -s "$work/installed" ] && [ -n "$unfetched" ] || return 0 ;; *) return 0 ;; esac
    while IFS="$tab" read -r full by todo; do
        fail "$full is held ($by): \`$todo\` lets it go"
    done <"$work/held"
    [ "$kind" != vulnerable ] || fail "still vulnerable: $(words_of "$work/reasons" 3)"
    [ -z "$unfetched" ] || fail "package lists could not be fetched: $unfetched"
}

# Says what would be done about what is stale now.
intentions() {
    counted | cut -f 2 | sort -u | while IFS= read -r name; do
        step=''
        [ ! -s "$work/left/$name" ] || step=$(cut -d ' ' -f 1 "$work/left/$name" | tr '\n' ' ')
        case $name in init | systemd-journald | systemd-logind) [ -z "$systemd" ] || step='restart ' ;; esac
        if [ -n "$step" ]; then
            say "stale now: ${name}; would be tried: ${step% }"
        else
            say "stale now: ${name:-a process of no service}; would be left to a person"
        fi
    done
}

dry_run() {
    look
    foreseen
    while IFS= read -r line; do say "would upgrade $line"; done <"$work/foreseen"
    [ -z "$unfetched" ] || fail "package lists could not be fetched: $unfetched"
    unfetched=''
    [ -s "$work/foreseen" ] || { judge; explain; }
    intentions
    if [ -s "$work/foreseen" ]; then
        users=$(grep -lE "/($(printf %s "$libraries" | tr ' ' '|'))[.-].*" /proc/[0-9]*/maps 2>/dev/null | wc -l)
        say "$((users)) processes run the present library and would be stale after it"
    fi
    has_room || fail "there is no more room in $work, so nothing of this is for sure"
    if [ -n "$failed" ] || [ -s "$work/failures" ]; then exit 2; fi
    [ ! -s "$work/foreseen" ] && [ "$(counted | wc -l)" -eq 0 ] || exit 2
    say 'nothing to do'
    exit 0
}

main() {
    mode=patch node=''
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run | --look | --packages | --refresh) mode=${1#--} ;;
            --node) [ $# -gt 1 ] || refuse 1 '--node wants a name'; node=$2; shift ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; exit 1 ;;
        esac
        shift
    done
    case "$settle_seconds$drain_seconds$lock_seconds" in
        *[!0-9]*) refuse 1 'OPENSSL_PATCH_*_SECONDS are whole numbers' ;;
    esac
    [ "$(id -u)" = 0 ] || refuse 1 'only root can see and refresh every process: run it as root'
    work=$(mktemp -d "${TMPDIR:-/tmp}/openssl_patch.XXXXXX") || refuse 2 'there is no room for a temporary directory'
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # a connection that breaks must not leave a machine half refreshed
    trap : HUP PIPE
    has_room || refuse 2 "there is no room in $work; nothing was changed"
    started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    node=${node:-$(uname -n)}
    looked=''
    for list in failures held installed reasons stale; do : >"$work/$list"; done
    unfetched='' kind=unknown
    identify
    [ "$mode" != packages ] || { upgradable; exit 0; }
    find_services
    [ "$mode" != dry-run ] || dry_run
    if [ "$mode" = look ]; then
        look
        judge
        has_room || fail "there is no more room in $work, so nothing of this is proven"
        conclude
    fi
    mkdir -p "$state" || refuse 2 "$state cannot be made; nothing was changed"
    chmod 700 "$state"
    # one at a time; no service may inherit the lock
    exec 9>"$state/lock"
    ! command -v flock >/dev/null 2>&1 || flock -w "$lock_seconds" 9 ||
        refuse 2 "another run of this script goes on; nothing was changed"
    installed "$names" >"$work/packages.before"
    [ "$mode" = refresh ] || upgrade
    refresh
    judge
    held >"$work/held"
    explain
    record
    conclude
}
