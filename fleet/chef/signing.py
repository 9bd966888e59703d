"""Signatures for requests to a Chef server: protocols 1.3, 1.1 and 1.0.

The canonical texts are those of Chef's mixlib-authentication (lib/mixlib/authentication/signedheaderauth.rb), described
at https://docs.chef.io/server/api_chef_server/#authentication-headers.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha1, sha256

PROTOCOLS = ("1.3", "1.1", "1.0")  # in the order they are tried
_PIECE = 60  # Ruby's Base64.encode64 breaks its lines here, and the headers follow it


def sign(
    key, user: str, method: str, path: str, body: bytes, *, protocol: str, api_version: str, now: datetime | None = None
) -> Mapping[str, str]:
    """Return the headers that sign one request; they are good for this attempt alone.

    `key` is a `fleet.chef.compat.Key`; `path` is the URL's path without its query, organisation included; `now`
    (default: this moment) must know its time zone. Raises ValueError for a protocol that is not in PROTOCOLS, and
    `fleet.chef.compat.SSLError` for a public key.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    timestamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    path = canonical_path(path)
    if protocol == "1.3":
        digest = b64encode(sha256(body).digest()).decode()
        text = (
            f"Method:{method.upper()}\nPath:{path}\nX-Ops-Content-Hash:{digest}\nX-Ops-Sign:version=1.3\n"
            f"X-Ops-Timestamp:{timestamp}\nX-Ops-UserId:{user}\nX-Ops-Server-API-Version:{api_version}"
        )
        signature = key.sign(text.encode())
    elif protocol in PROTOCOLS:
        digest = _sha1(body)
        identity = user if protocol == "1.0" else _sha1(user.encode())
        text = (
            f"Method:{method.upper()}\nHashed Path:{_sha1(path.encode())}\nX-Ops-Content-Hash:{digest}\n"
            f"X-Ops-Timestamp:{timestamp}\nX-Ops-UserId:{identity}"
        )
        signature = key.private_encrypt(text)
    else:
        raise ValueError(f"no such signing protocol: {protocol}")
    algorithm = "sha256" if protocol == "1.3" else "sha1"
    encoded = b64encode(signature).decode()
    pieces = [encoded[start : start + _PIECE] for start in range(0, len(encoded), _PIECE)]
    return {
        "X-Ops-Sign": f"algorithm={algorithm};version={protocol};",
        "X-Ops-UserId": user,
        "X-Ops-Timestamp": timestamp,
        "X-Ops-Content-Hash": digest,
        "X-Ops-Server-API-Version": api_version,
        **{f"X-Ops-Authorization-{number}": piece for number, piece in enumerate(pieces, 1)},
    }


def canonical_path(path: str) -> str:
    """Return `path` as both sides sign it: no doubled slashes, no slash at the end."""
    path = re.sub("/+", "/", path)
    return path.rstrip("/") if len(path) > 1 else path


def _sha1(value: bytes) -> str:
    return b64encode(sha1(value, usedforsecurity=False).digest()).decode()
