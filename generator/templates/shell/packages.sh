# Part of openssl_patch.sh: the OpenSSL packages, asked of and upgraded by the machine's own package manager.

# Which platform this is, as Chef's ohai spells it, in $platform and $release; its family in $family.
identify() {
    ID='' VERSION_ID=''
    if [ -r /etc/os-release ]; then
        # os-release(5): assignments that a shell can read
        # shellcheck source=/dev/null
        ID=$(. /etc/os-release && printf %s "${ID-}")
        # shellcheck source=/dev/null
        VERSION_ID=$(. /etc/os-release && printf %s "${VERSION_ID-}")
    elif [ -r /etc/redhat-release ]; then
        ID=$(sed -n -e 's/^Red Hat.*/rhel/p' -e 's/^CentOS.*/centos/p' -e 's/^Scientific.*/scientific/p' \
            -e 's/^Fedora.*/fedora/p' -e 's/^Oracle.*/ol/p' /etc/redhat-release)
    elif [ -r /etc/system-release ]; then
        ID=$(sed -n 's/^Amazon.*/amzn/p' /etc/system-release)
        VERSION_ID=$(sed -n 's/.*release \([0-9.]*\).*/\1/p' /etc/system-release)
    elif [ -r /etc/debian_version ]; then
        ID=debian
    fi
    case $ID in rhel) platform=redhat ;; ol) platform=oracle ;; amzn) platform=amazon ;; *) platform=$ID ;; esac
    release=$VERSION_ID
    # These tell more than os-release does: the minor release.
    case $platform in
        debian) minor=$(sed -n -e '/^[0-9][0-9.]*$/p' -e '/^[a-z]*\/sid$/p' /etc/debian_version 2>/dev/null) ;;
        ubuntu | fedora | amazon) minor='' ;;
        *) minor=$(sed -n 's/.*release \([0-9][0-9.]*\).*/\1/p' /etc/redhat-release 2>/dev/null) ;;
    esac
    release=${minor:-$release}
    distro_of "$platform"
    names='' companions=''
    [ -n "$family" ] && packages_of "$family"
    [ -n "$names" ] || refuse 2 "this is ${ID:-an unknown system} ${VERSION_ID}, whose OpenSSL packages this script does not know; nothing was changed"
    tool=yum
    command -v dnf >/dev/null 2>&1 && tool=dnf
    if [ "$family" = debian ]; then
        native=$(dpkg-query -W dpkg >/dev/null 2>&1 && dpkg --print-architecture) # it reads no database, dpkg-query does
    else
        native=$(rpm -q --qf '%{ARCH}\n' rpm | sed -n 1p)
    fi
    [ -n "$native" ] || refuse 2 "the package manager does not answer; nothing was changed"
}

# Prints those of the packages named that are installed, "NAME FULL VERSION HELD" a line: FULL is the name by which the
# package manager means this one and not that of another architecture, HELD is hold where dpkg keeps its version.
installed() {
    # shellcheck disable=SC2086 # names are words; both exit 1 where one is not there, and answer for the others
    if [ "$family" = debian ]; then
        # dpkg(1), package states: in every other one files of the package are there; one that dpkg knows by name alone
        # has no architecture
        dpkg-query -W -f '${Package}\t${Architecture}\t${Version}\t${Status}\n' $1 2>/dev/null |
            awk -F '\t' -v native="$native" '$4 !~ / (not-installed|config-files)$/ {
                sub(/ .*/, "", $4)
                print $1, ($2 == native || $2 == "all" ? $1 : $1 ":" $2), $3, $4 }'
    else
        rpm -q --qf '%{NAME} %{ARCH} %{EPOCH}:%{VERSION}-%{RELEASE} installed\n' $1 2>/dev/null |
            awk -v native="$native" 'NF == 4 && $4 == "installed" {
                sub(/^\(none\):/, "0:", $3)
                print $1, ($2 == native || $2 == "noarch" ? $1 : $1 "." $2), $3, "-" }'
    fi | sort -u
}

# Prints who holds which packages, "FULL<tab>WHO<tab>COMMAND that lets it go" a line. Nothing here lets one go.
held() {
    installed "$names $companions" | while read -r name full version status; do
        : "$version"
        if [ "$status" = hold ]; then
            printf '%s\t%s\t%s\n' "$full" 'apt-mark hold' "apt-mark unhold $full"
            continue
        fi
        # dnf-versionlock(8), yum-versionlock(1), dnf.conf(5): an entry names the package, a version may follow
        for file in /etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list; do
            grep -qE "^!?([0-9]+:)?$name-[0-9*]" "$file" 2>/dev/null &&
                printf '%s\t%s\t%s\n' "$full" "$tool versionlock" "$tool versionlock delete $(entry_of "$name")" && break
        done
        if is_excluded "$name"; then
            printf '%s\t%s\t%s\n' "$full" 'exclude= in its settings' "$tool --disableexcludes=all upgrade $full"
        fi
    done
}

# yum.conf(5), dnf.conf(5), `exclude` and `excludepkgs`: patterns of names that are left out of every transaction.
is_excluded() {
    set -f
    for pattern in $(sed -n 's/^exclude\(pkgs\)\{0,1\} *= *//p' /etc/yum.conf /etc/dnf/dnf.conf 2>/dev/null | tr ',' ' '); do
        # shellcheck disable=SC2254 # it is a pattern
        case $1 in $pattern) set +f && return 0 ;; esac
    done
    set +f
    return 1
}

# dnf's plugin knows a package by its name, yum's wants the whole of its entry matched.
entry_of() { if [ "$tool" = dnf ]; then printf '%s\n' "$1"; else printf "'*:%s-*'\n" "$1"; fi; }

# Prints the full names of what an upgrade may ask for: nothing that is held, on whatever architecture, and no companion
# where a library is held, because both have one version always.
upgradable() {
    held >"$work/held"
    cut -f 1 "$work/held" >"$work/held.full"
    # by the package manager's list: what stands behind a dot may be an architecture, or the end of libssl1.1
    installed "$names $companions" | while read -r name full _; do
        ! grep -qxF -e "$full" "$work/held.full" || printf '%s\n' "$name"
    done >"$work/held.names"
    wanted="$names $companions"
    installed "$names" | cut -d ' ' -f 1 | grep -qxF -f "$work/held.names" && wanted=$names
    installed "$wanted" | while read -r name full _; do
        grep -qxF -e "$name" "$work/held.names" || printf '%s\n' "$full"
    done
}

# Runs a package manager, and again while somebody else holds its lock, for lock_seconds. What it said is in $work/said.
# needrestart would restart services on its own in the middle of the transaction: needrestart(1), NEEDRESTART_SUSPEND.
locked() {
    limit=$(($(seconds) + lock_seconds)) told=''
    while :; do
        NEEDRESTART_SUSPEND=1 DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" >"$work/said" 2>&1 9>&- && return 0
        result=$?
        # apt's words; 200 is what yum and dnf end with under exit_on_lock, yum.conf(5)
        grep -qE 'Could not get lock|Unable to (lock|acquire)' "$work/said" || [ "$result" = 200 ] || return "$result"
        holder=$(grep -oE 'held by process [0-9]+ \([^)]*\)' "$work/said" | sed -n 1p)
        [ -n "$told" ] || say "waiting for the package manager's lock${holder:+, $holder}"
        told=1
        if [ "$(seconds)" -ge "$limit" ]; then
            printf 'somebody else still holds its lock after %s seconds%s: wait for it or end it, then run again\n' \
                "$lock_seconds" "${holder:+, $holder}" >"$work/said"
            return 100
        fi
        sleep 1
    done
}

# Fetches the package lists; what cannot be fetched is in $unfetched. With $1 they go there and the machine's stay.
lists() {
    unfetched=''
    if [ "$family" = debian ]; then
        # so that a mirror that is down costs seconds: apt.conf(5)
        set -- ${1:+-o "Dir::State::lists=$1/lists" -o APT::Sandbox::User=root} \
            -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
        locked apt-get -q "$@" update
        [ $? = 100 ] && unfetched=$(words_of "$work/said" 3) # not `|| ...`: older apt ends with 0 where a source is gone
        grep -E '^[WE]: (Failed to fetch|The repository|Some index files)' "$work/said" >"$work/unfetched" &&
            unfetched=$(words_of "$work/unfetched" 3)
    else
        [ -n "${1-}" ] || locked "$tool" -q clean expire-cache || unfetched=$(words_of "$work/said" 3)
    fi
}

apt_install() {
    # shellcheck disable=SC2086 # full names
    locked apt-get -q -y --no-remove --no-install-recommends -o "DPkg::Lock::Timeout=$lock_seconds" \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" install $asked
}

# Prints the lines of $work/said in which apt and dpkg say why they failed, the end of it where none does. dpkg's reason
# stands below its line.
complaints() {
    awk 'below && /^ / { print; found = 1 } { below = 0 } /^E: / { print; found = 1 }
        /^dpkg: / && !/^dpkg: warning/ { print; found = below = 1 } END { exit !found }' "$work/said" ||
        tail -n 4 "$work/said"
}

# Upgrades what may be upgraded, all in one transaction, and removes nothing.
upgrade() {
    lists
    asked=$(upgradable | tr '\n' ' ')
    [ -n "$asked" ] || return 0
    if [ "$family" = debian ]; then
        apt_install && return
        fail "apt-get could not upgrade ${asked% }: $(complaints >"$work/why"; words_of "$work/why" 4)"
    else
        # shellcheck disable=SC2086 # full names
        locked "$tool" -y --setopt=exit_on_lock=1 upgrade $asked && return
        fail "$tool could not upgrade ${asked% }: $(tail -n 6 "$work/said" >"$work/why"; words_of "$work/why" 6)"
    fi
}

# Writes down what an upgrade would do now, "NAME OLD -> NEW" a line in $work/foreseen. Asks the mirrors and leaves the machine's lists alone.
foreseen() {
    : >"$work/foreseen"
    mkdir -p "$work/lists/partial" "$work/cache"
    lists "$work"
    asked=$(upgradable | tr '\n' ' ')
    [ -n "$asked" ] || return 0
    if [ "$family" = debian ]; then
        apt_install -s -o "Dir::State::lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= ||
            fail "apt-get could not upgrade ${asked% }: $(words_of "$work/said" 6)"
        sed -n 's/^Inst \([^ ]*\) \[\([^]]*\)\] (\([^ ]*\) .*/\1 \2 -> \3/p' "$work/said" >"$work/foreseen"
    else
        # check-update ends with 100 where there is something, yum(8), dnf(8)
        # shellcheck disable=SC2086 # full names
        locked "$tool" -q "--setopt=cachedir=$work/cache" --setopt=exit_on_lock=1 check-update $asked
        case $? in 0 | 100) ;; *) fail "$tool cannot look for newer packages: $(words_of "$work/said" 6)" ;; esac
        awk 'NF == 3 && $1 ~ /\.[a-z0-9_]+$/ { print $1, "->", $2 }' "$work/said" >"$work/foreseen"
    fi
}
