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
