# Part of exposure.sh: since when is which version of a package installed, as the package managers wrote it down.

# dpkg's log, dpkg(1) --log: `DATE TIME install|upgrade|remove PACKAGE OLD NEW`, in the node's own time, which date(1) knows.
dpkg_log() {
    for log in $(matching "$root/var/log/dpkg.log*"); do
        case $log in *.gz) limit gzip -dc "$log" ;; *) cat "$log" ;; esac
    done 2>/dev/null |
        grep -E "^[0-9-]{10} [0-9:]{8} (install|upgrade|remove) ($packages)(:[a-z0-9-]+)? [^ ]+ [^ ]+\$" | sort -u | tail -n 300
}
dpkg_history() {
    lines=$(dpkg_log)
    [ -n "$lines" ] || return 0
    times=$(printf '%s\n' "$lines" | cut -b -19 | date -f - +%s 2>/dev/null)
    [ "$(printf '%s\n' "$times" | wc -l)" -eq "$(printf '%s\n' "$lines" | wc -l)" ] || times='' # GNU's date alone reads them
    for line in $lines; do
        seconds=${times%%"$newline"*}
        times=${times#*"$newline"}
        line=${line#* * }
        printf 'dpkg\t%s\t%s\n' "$seconds" "$(printf %s "${line#* }" | tr ' ' '\t')"
    done
}

# Weaker: when dpkg last wrote a package's list of files.
dpkg_lists() {
    for file in $(matching "$root/var/lib/dpkg/info/*.list" | grep -E "/($packages)(:[a-z0-9-]+)?\.list\$"); do
        package=${file##*/}
        package=${package%.list}
        printf 'list\t%s\t%s\n' "$(stat -c %Y "$file" 2>/dev/null)" "${package%%:*}"
    done
}

# rpm(8) knows when what is installed was; the logs of dnf and yum what was before: the one with the zone, the other without
# the year, so that the log's own time goes with it.
rpm_history() {
    command -v rpm >/dev/null 2>&1 || return 0
    rpm -qa --qf '%{INSTALLTIME}\t%{NAME}\t%{EPOCH}:%{VERSION}-%{RELEASE}\n' 2>/dev/null |
        grep -E "^[0-9]+$tab($packages)$tab" | sed "s/^/rpm$tab/" | head -n 100
    for log in $(matching "$root/var/log/dnf.rpm.log*"); do
        sed -n "s/^\([0-9T:+Z-]\{19,24\}\) [A-Z]* \([A-Za-z]*\): \([^ ]*\)\$/dnf$tab\1$tab\2$tab\3/p" "$log"
    done | grep -E "$tab($packages)-[^$tab]*\$" | tail -n 300
    for log in $(matching "$root/var/log/yum.log*"); do
        written=$(stat -c %Y "$log" 2>/dev/null)
        sed -n "s/^\([A-Z][a-z]\{2\} [0-9]\{2\} [0-9:]\{8\}\) \([A-Za-z]*\): \([^ ]*\)\$/yum$tab$written$tab\1$tab\2$tab\3/p" "$log"
    done | grep -E "$tab([0-9]+:)?($packages)-[^$tab]*\$" | tail -n 300
}

packages=${EXPOSURE_PACKAGES:-openssl|libssl[^ ]*}
dpkg_history
[ ! -d "$root/var/lib/dpkg/info" ] || dpkg_lists
rpm_history
