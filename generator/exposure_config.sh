# Part of exposure.sh: which files services' configurations and processes name.

named='' held='' elsewhere=0 configs=0
seeds='' # SERVICE<tab>FILE: what a service's process has on its command line

# The words of configuration $1, one a line; those that program $2 knows become marks, which begin with a tab. `#` and `;`
# begin a comment at the start of a line, `#` also after a blank; quotes are dropped, so that a name with a blank is not
# found and told as missing.
words_of() {
    start_of "$1" | tr '\r' ' ' |
        sed -e 's/^[[:blank:]]*[#;].*//' -e 's/[[:blank:]]#.*//' |
        tr -s '={}<>,;"'\''\t ' '\n' | cut -b -1000 | sed -e "$2"
}

# Adds "SERVICE PATH BY" to what is named.
name_it() { named="$named$1$tab$2$tab$3$newline"; }

# The path of name $1 as configuration $2 means it, in $path: below the first root that has it.
path_of() {
    path=$1
    case $1 in /*) return ;; esac
    for above in $roots "${2%/*}" $base; do
        path=$above/$1
        [ -z "$(matching "$root$path")" ] || return 0
    done
}

# Configuration $1 includes $2: a file, a pattern or a directory.
include_it() {
    path_of "$2" "$1"
    [ ! -d "$root$path" ] || path="$path/*"
    for match in $(matching "$root$path"); do queue="$queue${match#"$root"}$newline"; done
}

# Reads configuration $1. A directive's first word is a name; those after it are only as long as they are files.
read_config() {
    found=$(words_of "$root$1" "$marks")
    case $found in *"$tab"*) ;; *) return ;; esac
    expect='' first=
    for word in $found; do
        case $word in
            "$tab"*)
                expect=${word#"$tab"} first=1
                continue
                ;;
        esac
        case $expect in
            '') continue ;;
            root) roots="$roots$newline$word" ;;
            include) include_it "$1" "$word" ;;
            list) read_list "$1" "$word" ;;
            file)
                case "$newline$skip$newline" in *"$newline$word$newline"*) expect='' && continue ;; esac
                if [ -z "$first" ]; then
                    case $word in /*) [ -e "$root$word" ] || expect='' ;; *) expect='' ;; esac
                fi
                [ -z "$expect" ] || wanted="$wanted$word$tab$1$newline"
                first=
                continue
                ;;
        esac
        expect=''
    done
}

# A list of files, as haproxy's crt-list: the first word of each line.
read_list() {
    path_of "$2" "$1"
    list=$path
    [ -f "$root$list" ] || return 0
    for word in $(start_of "$root$list" | sed -n 's/^[[:blank:]]*\([^#[:blank:]][^[:blank:]]*\).*/\1/p' | cut -b -1000); do
        wanted="$wanted$word$tab$list$newline"
    done
}

# service NAME PROCESSES BASE MARKS SKIP USUAL CONFIG: a row of secrets.toml; lists are separated by newlines.
service() {
    name=$1 base=$3 marks=$4 skip=$5
    queue='' seen=$newline wanted='' roots=''
    for pattern in $7; do
        for match in $(matching "$root$pattern"); do queue="$queue${match#"$root"}$newline"; done
    done
    for seed in $seeds; do
        case $newline$2$newline in *"$newline${seed%%"$tab"*}$newline"*) queue="$queue${seed#*"$tab"}$newline" ;; esac
    done
    while [ -n "$queue" ] && [ -n "$marks" ]; do
        config=${queue%%"$newline"*}
        queue=${queue#*"$newline"}
        case $seen in *"$newline$config$newline"*) continue ;; esac
        seen="$seen$config$newline"
        [ -f "$root$config" ] || continue
        configs=$((configs + 1))
        if [ "$configs" -gt "$most_configs" ]; then
            left=$((left + 1))
            continue
        fi
        read_config "$config"
    done
    for each in $wanted; do
        path_of "${each%%"$tab"*}" "${each#*"$tab"}"
        name_it "$name" "$path" "${each#*"$tab"}"
    done
    for pattern in $6; do
        for match in $(matching "$root$pattern"); do name_it "$name" "${match#"$root"}" "$pattern"; done
    done
}

# True if file $1 begins as one that this program reads.
is_pem() { [ -f "$1" ] && start_of "$1" | grep -q -e '-----BEGIN .*\(CERTIFICATE\|PRIVATE KEY\)-----'; }

# True if $1 is a file and no program: a script's path is on its interpreter's command line.
is_text() {
    [ -f "$1" ] || return 1
    case $(limit dd if="$1" bs=4 count=1 2>/dev/null | tr -cd '!-~') in ELF* | '#!'*) return 1 ;; esac
}

# True for what root or a daemon's user owns, login.defs(5): SYS_UID_MAX. It is no user's to write.
is_system() {
    uid=$(stat -L -c %u "$1" 2>/dev/null)
    [ "${uid:-1000}" -lt 1000 ]
}

# What the processes that map the library have on their command lines and open: as configuration where a service's row names
# them and they are no user's, as certificates and keys where they are such. A container's files are not this machine's.
queue_of_processes() {
    looked=0 asked=$newline
    for maps in $(matching "$proc/[0-9]*/maps" |
        xargs grep -l -e "${EXPOSURE_LIBRARIES:-/libssl[^/]*\\.so}" /dev/null 2>/dev/null); do
        process=${maps%/maps}
        # shellcheck disable=SC3013 # dash, bash and busybox know -ef
        if [ -e "$process/root/." ] && ! [ "$process/root/." -ef "$proc/1/root/." ]; then
            elsewhere=$((elsewhere + 1))
            continue
        fi
        looked=$((looked + 1))
        [ "$looked" -le 300 ] || continue
        comm=
        IFS= read -r comm 2>/dev/null <"$process/comm"
        case $comm in '' | *[!A-Za-z0-9_.@:/-]*) comm='?' ;; esac
        words=$(tr '\000' '\n' 2>/dev/null <"$process/cmdline" | tr '=' '\n' | cut -b -1000 |
            grep '^/' | grep -v '[[:cntrl:]]' | head -n 50)
        # shellcheck disable=SC2012 # the kernel's own links
        open=$(ls -l "$process/fd" 2>/dev/null | sed -n 's|.* -> \(/.*\)$|\1|p' |
            grep -v -e '^/dev/' -e '^/proc/' -e '^/sys/' -e '[[:cntrl:]]' | head -n 200)
        if is_system "$process"; then
            for word in $words; do ! is_text "$root$word" || seeds="$seeds$comm$tab$word$newline"; done
        fi
        for word in $words $open; do
            case $asked in *"$newline$word$newline"*) continue ;; esac
            asked="$asked$word$newline"
            ! is_pem "$root$word" || held="$held$comm$tab$word${tab}process ${process##*/}$newline"
        done
    done
}

# Directories that the user names, three levels deep.
others() {
    for directory in ${EXPOSURE_DIRECTORIES-}; do
        found=
        for pattern in "$root$directory/*" "$root$directory/*/*" "$root$directory/*/*/*"; do
            for match in $(matching "$pattern"); do
                found=1
                ! is_pem "$match" || name_it directory "${match#"$root"}" "$directory"
            done
        done
        [ -n "$found" ] || name_it directory "$directory" "$directory"
    done
}
