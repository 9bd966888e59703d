"""`--host-keys chef`: a host whose key nobody knows yet is known by the one that its node reported.

Never against a key that is known: docs/host-keys.md says what this rests on.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

import asyncssh

from fleet.errors import UnreachableError
from fleet.known_hosts import Entry, Known, entered
from fleet.node import Node
from fleet.rivals import one_spelling
from fleet.ssh_settings import is_address
from fleet.text import clean

# What Ohai calls a key (chef/ohai, lib/ohai/plugins/ssh_host_key.rb), and what it can be (RFC 4253, 5656, 8709).
# host_dsa_public is left out: OpenSSH takes no DSA key since 7.0 (https://www.openssh.com/txt/release-7.0).
KINDS = {
    "host_ed25519_public": frozenset({"ssh-ed25519"}),
    "host_ecdsa_public": frozenset({"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}),
    "host_rsa_public": frozenset({"ssh-rsa"}),
}
ECDSA_TYPE = "host_ecdsa_type"
BASE64 = re.compile(r"[A-Za-z0-9+/]{16,4000}={0,2}")  # an RSA key of 16,384 bits has 2,800 characters
# OpenSSH takes none that is shorter (SSH_RSA_MINIMUM_MODULUS_SIZE), OpenSSL none that is longer
# (OPENSSL_RSA_MAX_MODULUS_BITS). The exponent is 65537 or close to it, and a long one costs whoever checks a signature.
RSA_BITS, RSA_EXPONENT = (1024, 16_384), 2**32


def keys_of(reported: Mapping[str, str]) -> tuple[asyncssh.SSHKey, ...]:
    """Return the host keys among what a node reported: each is one of the kind that it is called, or left out."""
    found = (key_of(reported.get(name), kinds) for name, kinds in KINDS.items())
    said = reported.get(ECDSA_TYPE)
    return tuple(
        key for key in found
        if key is not None and (said is None or not key.get_algorithm().startswith("ecdsa") or said == algorithm(key))
    )


def key_of(text: str | None, kinds: frozenset[str]) -> asyncssh.SSHKey | None:
    """Return the key of one of these kinds that `text` is the base64 of, None for anything else."""
    if text is None or not BASE64.fullmatch(text):
        return None
    try:
        blob = base64.b64decode(text, validate=True)
        length = int.from_bytes(blob[:4])
        kind = blob[4 : 4 + length].decode("ascii") if length < 40 else ""
        if kind not in kinds or base64.b64encode(blob).decode() != text:
            return None
        key = asyncssh.import_public_key(f"{kind} {text}")
    except ValueError:  # asyncssh.KeyImportError is one
        return None
    return key if key.public_data == blob and algorithm(key) == kind and sound(key) else None


def algorithm(key: asyncssh.SSHKey) -> str:
    """Return what known_hosts calls a key's kind."""
    return key.algorithm.decode("ascii")


def sound(key: asyncssh.SSHKey) -> bool:
    """True unless it is an RSA key that no sshd would have, or that would take long to check."""
    if algorithm(key) != "ssh-rsa":
        return True
    numbers = key.pyca_key.public_numbers()
    return RSA_BITS[0] <= numbers.n.bit_length() <= RSA_BITS[1] and numbers.e < RSA_EXPONENT


def described(keys) -> str:
    """Return keys as kind and fingerprint each."""
    return " and ".join(f"{algorithm(key)} {key.get_fingerprint()}" for key in keys)


@dataclass(slots=True)
class Vouched:
    """Which host keys are trusted for one connection to a node: those that are known, and only else the reported.

    `entry` is what was taken on the node's word, None as long as nothing was.
    """

    node: Node
    known: Known
    entry: Entry | None = None

    @property
    def reported(self) -> tuple[asyncssh.SSHKey, ...]:
        """The host keys that the node reported to the Chef server."""
        return keys_of(self.node.host_keys)

    def trusted(self, host: str, address: str, port: int | None):
        """Return the keys trusted for a host, as asyncssh takes them; it asks while it connects."""
        found = self.known.trusted(host, address, port)
        if entered(found) or self.node.rivals or not is_address(host):
            return found
        revoked = found[2]
        keys = tuple(key for key in self.reported if key not in revoked)
        if keys:
            self.entry = Entry(one_spelling(host), port, keys, self.node.name)
        return list(keys), *found[1:]

    async def keep(self, ssh: asyncssh.SSHClientConnection) -> None:
        """Write down what was taken on the node's word, now that the host has proven that it holds such a key.

        Raises UnreachableError, and ends the connection, where it cannot be, or where another process wrote down
        another key of this host meanwhile.
        """
        if self.entry is None:
            return
        try:
            await self.known.ours.add(self.entry)
            shown = ssh.get_server_host_key()
            held = self.known.trusted(self.entry.host, "", self.entry.port)[0]
            if shown not in held:
                raise UnreachableError(
                    f"the host key of {self.entry.host} is {described([shown])}, and {self.known.ours.path} has "
                    f"another since a moment ago, {described(held)}: find out on the host which is its key."
                )
        except BaseException:
            ssh.abort()
            raise

    def says(self, key: asyncssh.SSHKey) -> bool:
        """True if this is a key that the node reported."""
        return key in self.reported

    def doubt(self) -> str:
        """Return why the node's word was not enough for a key that nobody knows, as part of a sentence."""
        name = clean(self.node.name, 100)
        if self.node.rivals:
            others = ", ".join(clean(each, 100) for each in self.node.rivals[:3])
            return f"what {name} reported is not taken, because {others} has the same address on the Chef server"
        if reported := self.reported:
            return f"{name} reported {described(reported)} to the Chef server"
        return f"{name} reported none to the Chef server (keys.ssh, which ohai finds out when chef-client runs)"
