# Part of exposure.sh: what the named files hold. Certificates are public and leave as openssl writes them anew, whatever
# stands beside them; of a private key nothing leaves but the digest of its public half.

shown=$newline left=0 files=0 me=$(id -u)

real_of() {
    real=$(readlink -f "$1" 2>/dev/null)
    real=${real:-$1}
    real=${real#"$root"}
}

digest_of() { openssl dgst -sha256 2>/dev/null | sed -n 's/.*\([0-9a-f]\{64\}\)$/\1/p'; }

# Runs program $1 on file $2, as root only where nobody else can write it: it may be the library with the fault that reads.
reading() {
    if is_system "$2" || [ "$me" != 0 ]; then
        start_of "$2" | limit sh -c "$1"
    else
        owner=$(stat -L -c %U "$2" 2>/dev/null)
        case $owner in '' | UNKNOWN | *[!A-Za-z0-9_.-]*) return ;; esac
        start_of "$2" | limit su -s /bin/sh "$owner" -c "$1"
    fi 2>/dev/null
}

# Each certificate of file $1, one a line. What goes in may be anything; what comes out is what openssl made of certificates.
certificates_of() {
    reading "$certificates" "$1" |
        sed -n '/^-----BEGIN CERTIFICATE-----$/,/^-----END CERTIFICATE-----$/{
s/^-----BEGIN.*/>/
/^-----END/d
p
}' | tr -d '\n' | tr '>' '\n'
    echo
}
# A program's own pipe, because another user may not open root's by the name /dev/stdin. Two blocks may share a line where
# somebody put together files without an end of line.
certificates="sed -n -e 's/^\\(-----END [A-Z0-9 ]*-----\\)-.*/\\1/' \\
    -e '/^-----BEGIN \\(X509 \\|TRUSTED \\)\\{0,1\\}CERTIFICATE-----/,/^-----END /p' |
    openssl crl2pkcs7 -nocrl -certfile /dev/stdin | openssl pkcs7 -print_certs"
apart='s/^\(-----END [A-Z0-9 ]*-----\)\(-----BEGIN \)/\1\
\2/'

# Says which private keys file $1, REAL $2, holds: postfix takes several in one. None is asked for a pass phrase.
key_of() {
    if [ -f "$1.pub" ] && start_of "$1" | grep -q -e '^-----BEGIN OPENSSH PRIVATE KEY-----'; then
        half=$(start_of "$1.pub" | sed -n "1s|^\([A-Za-z0-9@.-]*\) \(AAAA[A-Za-z0-9+/]*=*\).*|\1$tab\2|p")
        [ -z "$half" ] || printf 'hostkey\t%s\t%s\n' "$2" "$half"
        [ -z "$half" ] || return 0
    fi
    keys=0
    for line in $(start_of "$1" | sed "$apart" | sed -n '/^-----BEGIN .*PRIVATE KEY-----/=' | head -n "$most_kept"); do
        keys=$((keys + 1)) block="sed '$apart' | sed -n '$line,/^-----END /p'"
        digest=$(reading "$block | openssl pkey -passin pass: -pubout -outform DER" "$1" | digest_of)
        case $digest in
            # Of nothing at all there is a digest as well.
            '' | e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855)
                digest=unread
                ! start_of "$1" | sh -c "$block" | grep -q -e ENCRYPTED || digest=encrypted
                ;;
        esac
        printf 'key\t%s\t%s\n' "$2" "$digest"
    done
    case $keys in 0 | "$most_kept") printf 'key\t%s\tunread\n' "$2" ;; esac
}

# Shows file $1 (REAL $2), used or kept, once.
show() {
    case $shown in *"$newline$2$newline"*) return ;; esac
    shown="$shown$2$newline"
    case $files,$2 in
        "$most_files,"* | *[[:cntrl:]]*)
            left=$((left + 1))
            return
            ;;
    esac
    files=$((files + 1)) cut=0 nothing=1
    size=$(wc -c <"$1" 2>/dev/null | tr -d ' ')
    [ "${size:-0}" -le 1048576 ] || cut=1
    printf 'file\t%s\t%s\t%s\t%s\n' "$2" "$(stat -L -c %Y "$1" 2>/dev/null)" "$3" "$cut"
    if start_of "$1" | grep -q -e '-----BEGIN .*CERTIFICATE-----'; then
        nothing=
        certificate_lines "$2" "$(certificates_of "$1")"
    fi
    if start_of "$1" | grep -q -e '-----BEGIN .*PRIVATE KEY-----'; then
        nothing=
        key_of "$1" "$2"
    fi
    [ -n "$nothing" ] || return 0
    certificate_lines "$2" "$(reading 'openssl x509 -inform DER' "$1" | sed '/^-----/d' | tr -d '\n')"
}

# Prints the certificates $2 of file $1; one that is too long to be one, or none at all, is something else.
certificate_lines() {
    some=
    for line in $2; do
        [ "${#line}" -le 40000 ] || continue
        printf 'certificate\t%s\t%s\n' "$1" "$line"
        some=1
    done
    [ -n "$some" ] || printf 'other\t%s\n' "$1"
}

# What stands beside file $1 and may be what it was before: backups, and certbot's archive.
kept_beside() {
    case $1 in
        */letsencrypt/archive/*) patterns="${1%/*}/*" ;;
        *) patterns="$1.*$newline$1~$newline${1%.*}.[0-9]*$newline${1%.*}-[0-9]*" ;;
    esac
    count=0
    for pattern in $patterns; do
        for match in $(matching "$pattern"); do
            count=$((count + 1))
            if [ "$count" -le "$most_kept" ] && is_pem "$match"; then
                real_of "$match"
                show "$match" "$real" kept
            fi
        done
    done
}

# Service $1 has path $2 by configuration $3; a directory is as each file in it.
show_named() {
    case $2 in
        *[[:cntrl:]]*)
            left=$((left + 1))
            return
            ;;
    esac
    if [ -d "$root$2" ] && [ "$1" != directory ]; then
        for match in $(matching "$root$2/*"); do [ ! -f "$match" ] || show_named "$1" "${match#"$root"}" "$3"; done
    elif [ -f "$root$2" ]; then
        real_of "$root$2"
        printf 'named\t%s\t%s\t%s\t%s\n' "$1" "$2" "$real" "$3"
        show "$root$2" "$real" used
    else
        printf 'named\t%s\t%s\t\t%s\n' "$1" "$2" "$3"
    fi
}

# Shows everything that is named, and then what stands beside it.
show_all() {
    for each in $named; do
        rest=${each#*"$tab"}
        show_named "${each%%"$tab"*}" "${rest%%"$tab"*}" "${rest#*"$tab"}"
    done
    for each in $shown; do [ -z "$each" ] || kept_beside "$root$each"; done
}
