"""A library that no process maps, in a package of a few bytes: for rollouts that are to be seen, not their services."""

import re

from lab.apt_repository import OFFER

BAD, GOOD = "1.0-1", "1.0-2"
#: Shell for a node of Debian's family, as root: makes both versions, and a repository that offers them. Where the node
#: has a pipe /root/hold, an upgrade stands still on it, half-way.
BUILD = (r"""
mkdir -p /root/offers
for version in BAD GOOD; do
    mkdir -p /root/made/DEBIAN
    printf '%s\n' 'Package: libtiny1' 'Architecture: all' "Version: $version" \
        'Maintainer: the lab <lab@example.invalid>' 'Description: made for a test' >/root/made/DEBIAN/control
    printf '#!/bin/sh\n[ ! -p /root/hold ] || cat /root/hold\n' >/root/made/DEBIAN/postinst
    chmod 755 /root/made/DEBIAN/postinst
    dpkg-deb --build -Zgzip /root/made "/root/offers/libtiny1_$version.deb" >/dev/null
    rm -r /root/made
done
""" + OFFER).replace("BAD", BAD).replace("GOOD", GOOD)
#: Shell: has the vulnerable version, as if nobody had ever patched.
RESET = f"""
rm -rf /root/hold /var/lib/openssl_patch
dpkg -i /root/offers/libtiny1_{BAD}.deb >/dev/null
: >/var/log/dpkg.log
"""
ADVISORY = f"""
id = "TINY-1"
title = "made for a test"
aliases = []
coverage = "bookworm alone."
libraries = ["libtiny"]
services = ["ssh"]

[[package]]
distro = "debian"
package = "tiny"
binary = ["libtiny1"]
source = "https://example.invalid/tiny"

[[fixed]]
distro = "debian"
release = "bookworm"
package = "tiny"
version = "{GOOD}"
advisory = "TINY-1"
source = "https://example.invalid/tiny"
"""


def upgrades(log: str) -> int:
    """Return how often the package was upgraded, by a node's dpkg.log."""
    return len(re.findall(rf" upgrade libtiny1:all {re.escape(BAD)} {re.escape(GOOD)}$", log, re.MULTILINE))
