# Part of openssl_patch.sh: is what is installed at or above what the advisories name? This knows the plain part of
# generator/versions.py and calls unknown what it leaves out: `invoke verify` knows more of that.

# What builders outside the distribution, and flavours with fixes of their own, write into a version: generator/origin.py.
others='[~+.](bpo[0-9]|ppa|deb\.sury|dotdeb)|[.~+_](remi|ius|codeit|cf)([^a-z0-9]|$)|[Ff][Ii][Pp][Ss]|ksplice|[+~]esm[0-9]'

# Judges every installed package by every advisory that is about it; the worst is in $kind, why in $work/reasons.
judge() {
    installed "$names" >"$work/installed"
    for advisory in $advisories; do
        while read -r name full version _; do
            about "$advisory" "$name" || continue
            printf '%s\n' "$(judged "$advisory" "$name" "$version" </dev/null)" | sed "s|^\([a-z_]*\) |\1 $full $version |"
        done <"$work/installed"
    done | sort -u >"$work/answers"
    for kind in vulnerable unknown fixed not_affected; do
        grep -q "^$kind " "$work/answers" && break
    done
    [ -s "$work/answers" ] || kind=unknown
    sed -n "s/^$kind //p" "$work/answers" >"$work/reasons"
}

# True if advisory $1 is about package $2: one of OpenSSL's, or one that it names.
about() {
    listed=$(printf '%s\n' "$advisory_packages" | sed -n "s/^$1 //p")
    case $listed in - | '') ;; *) case " $listed " in *" $2 "*) ;; *) return 1 ;; esac ;; esac
}

# The release that version $1 was built for, in $home, the machine's own where it says none; the minor one in $minor.
home_of() {
    minor=$(printf '%s\n' "$1" | sed -n 's/.*\.el\([0-9]*\)_\([0-9]*\).*/\1.\2/p')
    case $distro in
        debian) home=$(printf '%s\n' "$1" | sed -n 's/.*[+~]deb\([0-9]*\)u[0-9].*/\1/p') own=${release%%.*} ;;
        ubuntu) home=$(printf '%s\n' "$1" | sed -n 's/.*~\([0-9][0-9]\.[0-9][0-9]\)\.[0-9].*/\1/p') own=$release ;;
        rhel) home=$(printf '%s\n' "$1" | sed -n 's/.*\.el\([0-9]*\).*/\1/p') own=${release%%.*} ;;
        fedora) home=$(printf '%s\n' "$1" | sed -n 's/.*\.fc\([0-9]*\).*/\1/p') own=$release ;;
        *) home=$(printf '%s\n' "$1" | sed -n 's/.*\.amzn\([0-9]*\).*/\1/p') own=${release%%.*} ;;
    esac
    case $distro:$own in amazon:201[0-8]) own=1 ;; esac # the AMI was numbered by year and month
    case $release in */sid) own=sid ;; esac # testing and unstable, which are numbered once they are released
    home=${home:-$own}
}

# Prints the rows of a kind ($3: fixed, never_fixed, not_affected) of advisory $1 for package $2: "VERSION WORDS" a line.
# With $4 those of a stream of that minor release, else the plain ones of $home.
rows() {
    printf '%s\n' "$known_rows" | awk -v advisory="$1" -v package="$2" -v kind="$3" -v stream="${4-}" \
        -v distro="$distro" -v home="$home" -v own="$own" -v release="$release" '
        function has(list, word) { return index("," list ",", "," word ",") }
        $1 != advisory || $2 != kind || $3 != distro || !has($7, package) { next }
        stream == "" && ($5 != "-" || $4 != home) { next }
        stream != "" && ($5 == "-" || $4 != stream) { next }
        # a row for some minor releases alone
        $6 != "-" && (home != own || !has($6, release)) { next }
        { sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ /, ""); print }'
}

# Prints "KIND what is true of version $3" of package $2 by advisory $1.
judged() {
    home_of "$3"
    upstream=${3#*:}
    upstream=${upstream%-*}
    upstream=${upstream##*+really} # an upload that went back to an older release names it behind this
    if is_strange "$3"; then
        printf 'unknown is a build of which %s may not speak\n' "$1"
        return
    fi
    where=$(by_upstream "$1" "$upstream")
    case $where in unsaid | newer | older | mended) clear=1 ;; *) clear='' ;; esac
    found=''
    [ -z "$minor" ] || found=$(rows "$1" "$2" fixed "$minor")
    [ -n "$found" ] || found=$(rows "$1" "$2" fixed)
    spared=$(rows "$1" "$2" not_affected | sed -n 1p)
    if [ -n "$spared" ] && { [ -z "$found" ] || [ -n "$clear" ]; }; then
        printf 'not_affected is not affected by %s: %s\n' "$1" "${spared#* }"
    elif [ -n "$found" ]; then
        by_row "$3"
    elif never=$(rows "$1" "$2" never_fixed | sed -n 1p) && [ -n "$never" ]; then
        printf 'vulnerable is affected by %s and never mended: %s\n' "$1" "${never#* }"
    elif [ "$where" = newer ] || [ "$where" = older ]; then
        printf 'not_affected is %s than every release that %s affects\n' "$where" "$1"
    else
        printf 'unknown has no row in %s\n' "$1"
    fi
}

is_strange() {
    printf '%s\n' "$1" | grep -qE "$others" && return 0
    case $distro:$1 in
        debian:*ubuntu*) return 0 ;;
        ubuntu:*[+~]deb[0-9]*u*) return 0 ;;
        debian:* | ubuntu:*) return 1 ;;
        rhel:*.el[0-9]* | fedora:*.fc[0-9]* | amazon:*.amzn[0-9]*) return 1 ;;
    esac
}

# Prints what is true of version $1, held against the latest version of the rows in $found.
by_row() {
    highest='' bar=''
    while read -r version name; do
        if [ -z "$highest" ] || is_below "$highest" "$version"; then highest=$version bar="$version, $name"; fi
    done <<ROWS
$found
ROWS
    theirs=${highest#*:}
    theirs=${theirs%-*}
    theirs=${theirs##*+really}
    built=$(printf '%s\n' "$highest" | sed -n 's/.*\.el\([0-9]*\)_\([0-9]*\).*/\1.\2/p')
    # Oracle's own number before the tag, and what Ubuntu did not build: generator/origin.py
    base=$1 foreign=''
    printf '%s\n' "$highest" | grep -qE '\.0\.[0-9]+\.el[0-9]' ||
        base=$(printf '%s\n' "$1" | sed 's/\.0\.[0-9][0-9]*\(\.el[0-9]\)/\1/g')
    case $highest:$1 in *ubuntu*:*ubuntu*) ;; *ubuntu*:*) [ -n "$clear" ] && [ "$where" != unsaid ] || foreign=1 ;; esac
    is_below "$base" "$highest"
    order=$?
    if [ "$(epoch_of "$1")" -gt "$(epoch_of "$highest")" ]; then
        printf 'unknown has a higher epoch than %s, so the two do not compare\n' "$bar"
    elif [ "$order" -gt 1 ]; then
        printf 'unknown and %s cannot be compared here\n' "$bar"
    elif [ "$order" = 1 ]; then
        if [ -n "$foreign" ]; then
            printf 'unknown is above %s, and does not say that Ubuntu built it\n' "$bar"
        elif [ "$upstream" = "$theirs" ] || [ -n "$clear" ]; then
            printf 'fixed is at or above %s\n' "$bar"
        else
            printf 'unknown is above %s, and release %s itself is not known to be fixed\n' "$bar" "$upstream"
        fi
    elif [ "$where" = older ]; then
        printf 'not_affected is older than the fault\n'
    elif [ "$platform" = redhat ] && [ -n "$minor" ] && [ "$minor" != "$built" ]; then
        printf 'unknown is below %s, and may be of the extended stream of %s (EUS)\n' "$bar" "$minor"
    else
        printf 'vulnerable is below %s\n' "$bar"
    fi
}

epoch_of() {
    case $1 in *:*) printf '%s\n' "${1%%:*}" ;; *) printf '0\n' ;; esac
}

# Returns 0 if version $1 is below $2 as the package manager itself compares, 1 if not, 2 where it does not say: rpm.vercmp
# is there since rpm 4.7.0.
is_below() {
    case $1$2 in *[!A-Za-z0-9.+~^:_-]*) return 2 ;; esac
    if [ "$distro" = debian ] || [ "$distro" = ubuntu ]; then
        dpkg --compare-versions "$1" lt "$2"
        return
    fi
    if [ "$(epoch_of "$1")" != "$(epoch_of "$2")" ]; then
        [ "$(epoch_of "$1")" -lt "$(epoch_of "$2")" ]
        return
    fi
    one=${1#*:} other=${2#*:}
    compared=$(rpm --eval "%{lua:print(rpm.vercmp('${one%-*}', '${other%-*}'))}")
    [ "$compared" != 0 ] || compared=$(rpm --eval "%{lua:print(rpm.vercmp('${one##*-}', '${other##*-}'))}")
    case $compared in -1) ;; 0 | 1) return 1 ;; *) return 2 ;; esac
}

# Prints where upstream's own release $2 stands to those that advisory $1 affects: inside, newer than all of them, older
# than the first, mended in its branch, or in one that nobody speaks of; unsaid where none is named, unknown where a
# release cannot be read.
by_upstream() {
    printf '%s\n' "$affected_rows" | awk -v advisory="$1" -v ours="$2" '
        function key(version,   part, letters) {
            if (version !~ /^[0-9]+\.[0-9]+\.[0-9]+[a-z]?[a-z]?$/) return ""
            letters = version
            sub(/^[0-9.]+/, "", letters)
            split(version, part, ".")
            return sprintf("%05d%05d%05d.%s", part[1], part[2], part[3] + 0, letters)
        }
        $1 != advisory { next }
        { said = 1; mine = key(ours); first = key($3); last = key($4) }
        (first == "" && $3 != "0") || (last == "" && ($2 == "affected" || $2 == "before")) { unread = 1 }
        $2 == "affected" && first <= mine && mine <= last { inside = 1 }
        $2 == "before" && first <= mine && mine < last { inside = 1 }
        $2 == "affected" && mine <= last { not_newer = 1 }
        $2 == "before" && mine < last { not_newer = 1 }
        $2 == "since" && mine < first { older = 1 }
        $2 == "fixed" && index(ours, $4) == 1 && substr(ours, length($4) + 1) !~ /^[0-9]/ && mine >= first { mended = 1 }
        END {
            if (!said) print "unsaid"
            else if (mine == "" || unread) print "unknown"
            else if (inside) print "inside"
            else if (older) print "older"
            else if (!not_newer) print "newer"
            else print mended ? "mended" : "unnamed"
        }'
}
