#!/bin/sh
# Which certificates and private keys do services have here, and since when is which version installed? For root; reads,
# changes nothing, and lets no byte of a private key out. Lines, tab-separated, between "styptic-exposure 1" and "end":
#   now SECONDS ; booted SECONDS                    the node's clock and its last start, in seconds since 1970
#   named SERVICE PATH REAL BY                      BY names PATH, which leads to the file REAL; empty: no such file
#   file REAL MTIME kept|used CUT                   a file that was looked into; CUT is 1 where it is too big to be read whole
#   certificate REAL BASE64                         each certificate in it, in its order, DER
#   key REAL DIGEST|encrypted|unread                each private key in it: SHA-256 of its public half's SubjectPublicKeyInfo, RFC 5280
#   hostkey REAL WORD BASE64                        sshd's: the public half, from REAL.pub
#   other REAL                                      it holds neither, or a certificate that openssl cannot read
#   elsewhere COUNT ; left COUNT ; mute             processes of containers, files that were not read; no openssl that works
#   dpkg SECONDS PACKAGE OLD NEW ; list SECONDS PACKAGE
#   rpm SECONDS PACKAGE VERSION ; dnf STAMP ACTION NEVRA ; yum SECONDS STAMP ACTION NEVRA
# A file is `used` where a configuration, a process or the user names it, `kept` where it only stands beside such a one.
#
# Needs a POSIX shell, the usual small tools (cut to xargs) and openssl; without date -f, gzip, readlink, stat or timeout it
# knows less. Whoever sends it puts a function `services` before it, of calls of `service`.
#   EXPOSURE_ROOT         where everything but /proc is looked for
#   EXPOSURE_DIRECTORIES  directories to look into as well, one a line
#   EXPOSURE_LIBRARIES    whose memory leaked: a grep pattern of library files
#   EXPOSURE_PACKAGES     an extended regular expression of package names
#   PROC_ROOT             another tree in /proc's place
set -uf
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
unset OPENSSL_CONF
root=${EXPOSURE_ROOT-}
proc=${PROC_ROOT:-/proc}
most_configs=400 most_files=400 most_kept=20
tab=$(printf '\t')
newline='
'
IFS=$newline

# What may hang on a file that somebody swaps for a pipe.
limit() { "$@"; }
if command -v timeout >/dev/null 2>&1; then limit() { timeout 20 "$@"; }; fi

# The first megabyte of file $1, as a stream.
start_of() { limit dd if="$1" bs=65536 count=16 2>/dev/null; }

# The names that pattern $1 fits, a line each.
matching() {
    set +f
    for match in $1; do [ ! -e "$match" ] || printf '%s\n' "$match"; done
    set -f
}

printf 'styptic-exposure 1\nnow\t%s\n' "$(date +%s)"
sed -n 's/^btime \([0-9]\{1,12\}\)$/booted\t\1/p' "$proc/stat" 2>/dev/null | tr -d '\r'

#include exposure_window.sh

#include exposure_config.sh

#include exposure_files.sh

if [ -n "$(echo | digest_of)" ]; then
    queue_of_processes
    services
    others
    named=$named$held # what any user may add to comes last
    show_all
    [ "$elsewhere" = 0 ] || printf 'elsewhere\t%s\n' "$elsewhere"
    [ "$left" = 0 ] || printf 'left\t%s\n' "$left"
else
    echo mute
fi
echo end
