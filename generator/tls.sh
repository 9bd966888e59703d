#!/bin/sh
# Who answers TLS here? One line a listener: tls ADDRESS PORT BOUND WHO (tab-separated), between "styptic-tls 3" and "end".
# ADDRESS is where it was asked, BOUND the one address it listens on, or * for all of them, WHO what its process calls
# itself, empty where that is not known.
# Asks what the processes that map libssl listen on, for TCP, at most 50 of them, the lowest ports first ("left NUMBER":
# so many more were not asked); needs root to see every process, and openssl to ask ("mute": there is none, so nothing
# answers). Root asks as nobody, because it is the library in question that asks, and users' own sockets are left out,
# because they come and go. Changes nothing, writes nothing.
#   TLS_PORTS  ask these ports instead, whoever listens on them; * is every port
#   TLS_LIMIT  seconds for one handshake, 3 unless set; all are tried at once
#   PROC_ROOT  another tree in /proc's place, as recorded on a node
set -u
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
proc=${PROC_ROOT:-/proc}
most=50
tab=$(printf '\t')

# proc(5), /proc/net/tcp: the second field is the local address in hexadecimal as address:port, the fourth 0A for a
# listener, the eighth the socket's user, the tenth its inode. The address is in the byte order of the machine, in words of four bytes.
little=$(printf '\001\000' | od -An -tu2 2>/dev/null | tr -d ' ')
[ "$little" = 256 ] || little=1

# Word $1, eight hexadecimal digits, as four bytes in network order in $1 to $4.
bytes_of() {
    rest=$1
    b1=${rest%??????} rest=${rest#??}
    b2=${rest%????} rest=${rest#??}
    b3=${rest%??}
    b4=${rest#??}
    if [ "$little" = 1 ]; then set -- "$b4" "$b3" "$b2" "$b1"; else set -- "$b1" "$b2" "$b3" "$b4"; fi
    b1=$1 b2=$2 b3=$3 b4=$4
}

# Hexadecimal address $1 as one to connect to, in $address; a wildcard is asked over the loopback.
address_of() {
    case $1 in
        00000000) address=127.0.0.1 ;;
        00000000000000000000000000000000) address='[::1]' ;;
        ????????)
            bytes_of "$1"
            address=$((0x$b1)).$((0x$b2)).$((0x$b3)).$((0x$b4))
            ;;
        *)
            words=$1
            address=
            while [ -n "$words" ]; do
                word=${words%"${words#????????}"}
                words=${words#????????}
                bytes_of "$word"
                address="$address${address:+:}$b1$b2:$b3$b4"
            done
            case $address in
                0000:0000:0000:0000:0000:FFFF:*)
                    bytes_of "$word"
                    address=$((0x$b1)).$((0x$b2)).$((0x$b3)).$((0x$b4))
                    ;;
                *) address="[$address]" ;;
            esac
            ;;
    esac
}

# The sockets that processes which map libssl hold, each INODE=NAME between blanks, a name having no character of others.
inodes=' '
if [ -z "${TLS_PORTS-}" ]; then
    inodes=" $(printf '%s\n' "$proc"/[0-9]*/maps | xargs grep -l -e '/libssl[^/]*\.so' /dev/null 2>/dev/null |
        while IFS= read -r maps; do
            name=
            IFS= read -r name 2>/dev/null <"${maps%/maps}/comm"
            case $name in *[!A-Za-z0-9_.@-]*) name='' ;; esac
            # shellcheck disable=SC2012 # what is after the arrow are links of the kernel's own making
            ls -l "${maps%/maps}/fd" 2>/dev/null | sed -n "s/.* socket:\[\([0-9]*\)\]\$/\1=$name/p"
        done | sort -u | tr '\n' ' ')"
fi

# The listeners to ask, one a line: address, port.
listeners() {
    for table in "$proc/net/tcp" "$proc/net/tcp6"; do
        [ -r "$table" ] || continue
        while read -r _ local _ state _ _ _ uid _ inode _; do
            [ "$state" = 0A ] || continue
            port=$((0x${local##*:})) who=
            if [ -n "${TLS_PORTS-}" ]; then
                case " $TLS_PORTS " in ' * ' | *" $port "*) ;; *) continue ;; esac
            else
                case $inodes in *" $inode="*) ;; *) continue ;; esac
                who=${inodes#*" $inode="}
                who=${who%%" "*}
                [ "$uid" -lt 1000 ] || continue # login.defs(5): SYS_UID_MAX
            fi
            address_of "${local%:*}"
            case ${local%:*} in *[!0]*) bound=$address ;; *) bound='*' ;; esac
            printf '%s\t%s\t%s\t%s\n' "$address" "$port" "$bound" "$who"
            # It may listen for IPv4 too, and an s_client before 1.1.0 knows nothing else.
            [ "$address" != '[::1]' ] || printf '127.0.0.1\t%s\t*\t%s\n' "$port" "$who"
        done <"$table"
    done | sort -u -t "$tab" -k2,2n -k1,1 -k3,3
}

# Reads listeners and prints a line for each that answers. s_client(1) ends by itself once its input has; who never
# answers is ended. A handshake that is refused after the certificate (for want of the client's) was answered too.
# shellcheck disable=SC2016 # it expands where it runs
asking='
ask() {
    {
        openssl s_client -connect "$1:$2" </dev/null 2>/dev/null &
        child=$!
        (
            sleep "${TLS_LIMIT:-3}"
            kill "$child"
        ) >/dev/null 2>&1 &
        watch=$!
        wait "$child"
        kill "$watch"
    } 2>/dev/null | grep -q -e "Cipher is [^(]" -e "BEGIN CERTIFICATE" && printf "tls\t%s\t%s\t%s\t%s\n" "$1" "$2" "$3" "$4"
}
while read -r address port bound who; do ask "$address" "$port" "$bound" "$who" & done
wait
'

printf 'styptic-tls 3\n'
if command -v openssl >/dev/null 2>&1; then
    TLS_LIMIT=${TLS_LIMIT:-3}
    export TLS_LIMIT
    found=$(listeners)
    chosen() { [ -z "$found" ] || printf '%s\n' "$found" | head -n "$most"; }
    if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1 && command -v su >/dev/null 2>&1; then
        chosen | su -s /bin/sh nobody -c "$asking" 2>/dev/null
    else
        chosen | sh -c "$asking"
    fi
    left=$(($(printf '%s\n' "$found" | wc -l) - most))
    [ "$left" -le 0 ] || printf 'left\t%s\n' "$left"
else
    printf 'mute\n'
fi
printf 'end\n'
