"""Signatures are those of Chef's own code: the vectors in data/chef_signatures.json were made by it."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from fleet.chef.compat import Key
from fleet.chef.signing import PROTOCOLS, canonical_path, sign

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "chef_signatures.json").read_text())
REQUEST = VECTORS["request"]


class Texts(Key):
    """The vectors' key, which remembers what it signed."""

    def __init__(self):
        super().__init__("\n".join(VECTORS["key"]).encode())
        self.signed = []

    def sign(self, value):
        self.signed.append(value.decode())
        return super().sign(value)

    def private_encrypt(self, value):
        self.signed.append(value)
        return super().private_encrypt(value)


def signed(key, protocol: str, **changed) -> dict:
    asked = {**REQUEST, **changed}
    return sign(
        key, asked["user"], asked["method"], asked["path"], asked["body"].encode(), protocol=protocol,
        api_version=asked["api_version"], now=datetime.fromisoformat(asked["timestamp"]),
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_texts_and_headers_are_those_of_chefs_own_code(protocol):
    key, theirs = Texts(), VECTORS["protocols"][protocol]
    ours = signed(key, protocol)
    assert key.signed[0].split("\n") == theirs["text"]
    expected = {name.lower(): value for name, value in theirs["headers"].items()}
    # Chef's client adds this header beside the signature.
    expected["x-ops-server-api-version"] = "1"
    assert {name.lower(): value for name, value in ours.items()} == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_signature_comes_in_pieces_of_sixty(protocol):
    ours = signed(Texts(), protocol)
    pieces = [ours[f"X-Ops-Authorization-{number}"] for number in range(1, 7)]
    assert [len(piece) for piece in pieces] == [60, 60, 60, 60, 60, 44]  # 256 bytes of a 2048-bit key in base64
    assert "X-Ops-Authorization-7" not in ours


def test_the_api_version_is_signed_in_1_3_alone():
    first, same = "X-Ops-Authorization-1", {}
    for protocol in PROTOCOLS:
        one, two = (signed(Texts(), protocol, api_version=version) for version in ("1", "2"))
        assert (one["X-Ops-Server-API-Version"], two["X-Ops-Server-API-Version"]) == ("1", "2")
        same[protocol] = one[first] == two[first]
    assert same == {"1.3": False, "1.1": True, "1.0": True}


def test_the_moment_is_utc_whatever_the_zone():
    there = signed(Texts(), "1.3", timestamp="2026-01-02T05:04:05.900+02:00")
    assert there == signed(Texts(), "1.3")


def test_an_unknown_protocol_is_an_error():
    with pytest.raises(ValueError, match=r"1\.2"):
        signed(Texts(), "1.2")


@pytest.mark.parametrize(("path", "canonical"), [
    ("/", "/"), ("//", "/"), ("/nodes/", "/nodes"), ("/a//b///c", "/a/b/c"), ("/a", "/a"), ("//a///", "/a"),
])
def test_paths_lose_doubled_and_last_slashes(path, canonical):
    assert canonical_path(path) == canonical
