"""Which public keys a Chef server holds of clients and users, and which clients are validators. It changes nothing.

Since 12.1 a client or user has named keys (https://docs.chef.io/server/api_chef_server/, /clients/CLIENT/keys): the
list says name and whether it has expired, a key of it the public half and when it expires. Nothing says when a key was
made. Before that, and on goiardi, which answers /clients/CLIENT/keys with the client itself (seen), it has one key.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from fleet.chef.answers import reading, word
from fleet.errors import ChefServerError, NotFoundError

CLIENTS, USERS = "clients", "users"
VALIDATOR = "-validator"  # how Chef names one: ORGANISATION-validator, and chef-validator where there are none
MOST = 100  # keys of one client


@dataclass(frozen=True, slots=True)
class Key:
    """A public key: its `name`, None on a server that keeps one key each; `sha256` is of its SubjectPublicKeyInfo in
    hex, None where it cannot be read. One that has `expired` opens nothing any more.
    """

    name: str | None
    sha256: str | None
    expired: bool = False


def keys_of(server, kind: str, name: str) -> tuple[Key, ...]:
    """Return the keys of a client or user (`kind`). Raises NotFoundError where there is none, ChefServerError."""
    path = f"/{kind}/{quote(name, safe='')}"
    try:
        listed = server.get(f"{path}/keys")
    except ChefServerError as error:
        if not isinstance(error, NotFoundError) and error.status != 405:
            raise
        listed = server.get(path)
    with reading(server, f"GET {path}/keys"):
        if isinstance(listed, Mapping):
            return (Key(None, digest(str(listed.get("public_key") or listed.get("certificate") or ""))),)
        names = [(word(each["name"]), each.get("expired") is True) for each in listed[:MOST]]
    return tuple(Key(key, _digest_of(server, f"{path}/keys/{quote(key, safe='')}"), gone) for key, gone in names)


def _digest_of(server, path: str) -> str | None:
    with reading(server, f"GET {path}"):
        return digest(word(server.get(path)["public_key"]))


def validators(server) -> list[str]:
    """Return the clients that may register nodes: those named as Chef names them, of which the server says so."""
    with reading(server, "GET /clients"):
        named = sorted(word(name) for name in server.get("/clients") if name.endswith(VALIDATOR))
    return [name for name in named if _is_validator(server, name)]


def _is_validator(server, name: str) -> bool:
    path = f"/{CLIENTS}/{quote(name, safe='')}"
    try:
        found = server.get(path)
    except NotFoundError:  # deleted since
        return False
    with reading(server, f"GET {path}"):
        return found["validator"] is True


def kind_of(server, name: str) -> str:
    """Return whether a name is a client's or a user's; a user's where the server does not tell."""
    try:
        server.get(f"/{CLIENTS}/{quote(name, safe='')}")
    except ChefServerError as error:
        if isinstance(error, NotFoundError) or error.status == 403:
            return USERS
        raise
    return CLIENTS


def digest(pem: str) -> str | None:
    """Return the SHA-256 of a public key in PEM, or of a certificate's, as Chef before 11 kept; None for neither."""
    data = pem.encode(errors="replace")
    try:
        found = x509.load_pem_x509_certificate(data).public_key() if "CERTIFICATE" in pem else load_pem_public_key(data)
        return _sha256(found)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None


def own_digest(pem: str) -> str | None:
    """Return the SHA-256 of the public half of a private key in PEM, None for one that cannot be read."""
    try:
        return _sha256(load_pem_private_key(pem.encode(), None).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _sha256(key) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
