"""The advisory that lab.up writes for its Debian nodes: LAB-CURRENT, marked as lab equipment.

No published row separates the two versions that a mirror happens to have; this one does, with the version as read.
"""

from json import dumps as quoted  # a JSON string without control characters is a TOML string

from lab.mirror import Mirror

SOURCE = "lab equipment: read from this machine's apt"


def text(mirror: Mirror) -> str:
    """Return the advisory as TOML: the mirror's newer OpenSSL is what fixes its release."""
    return f"""\
id = "LAB-CURRENT"
title = "Lab equipment: the newer of the two OpenSSL versions in the lab's mirror"
coverage = "the lab's own nodes, and nothing else"
libraries = ["libssl", "libcrypto"]
services = ["nginx", "stunnel4"]
lab = true

[leaks]
what = "memory"
libraries = ["libssl"]
source = {quoted(SOURCE)}

[[fixed]]
distro = {quoted(mirror.distro)}
release = {quoted(mirror.codename if mirror.distro == "debian" else mirror.release)}
package = "openssl"
version = {quoted(mirror.fixed)}
source = {quoted(SOURCE)}

[[not_affected]]
distro = "debian"
release = "wheezy"
package = "openssl"
reason = "lab equipment: the lab's legacy nodes are CVE-2014-0160's own row"
source = {quoted(SOURCE)}
"""
