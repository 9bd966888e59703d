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
