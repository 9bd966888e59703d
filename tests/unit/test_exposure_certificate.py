"""What a certificate says, and that what is none, or against the rules, breaks nothing."""

import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleet.exposure_certificate import read

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def der(*extensions, name="a.example", key=KEY):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(0xABC).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=90))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, SHA256()).public_bytes(Encoding.DER)


def logged(*moments):
    """Return the extension of Certificate Transparency with these timestamps, as RFC 6962, 3.3, writes it."""
    stamps = b""
    for moment in moments:
        stamp = b"\0" + bytes(32) + int(moment.timestamp() * 1000).to_bytes(8) + b"\0\0" + b"\4\3" + b"\0\2" + b"xx"
        stamps += len(stamp).to_bytes(2) + stamp
    value = len(stamps).to_bytes(2) + stamps
    oid = x509.ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
    return x509.UnrecognizedExtension(oid, b"\4" + bytes([len(value)]) + value)


def test_what_it_says():
    names = x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.IPAddress(ip_address("192.0.2.1"))])
    made = der(names, x509.BasicConstraints(ca=True, path_length=None))
    found = read(made)
    spki = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert (found.subject, found.issuer, found.serial) == ("CN=a.example", "CN=a.example", "abc")
    assert found.names == ("a.example", "192.0.2.1")
    assert (found.sha256, found.key_sha256) == (hashlib.sha256(made).hexdigest(), hashlib.sha256(spki).hexdigest())
    assert (found.not_before, found.not_after, found.issued) == (NOW, NOW + timedelta(days=90), NOW)
    assert found.authority


def test_one_without_names_is_for_its_common_name():
    found = read(der(name="\x1b[2Jevil\u202e"))
    assert found.names == ("?[2Jevil?",)
    assert not found.authority


def test_a_logs_word_counts_more_than_a_date_that_was_set():
    hour = timedelta(hours=1)
    assert read(der(logged(NOW + 2 * hour, NOW + hour))).issued == NOW + hour
    assert read(der(logged(NOW - hour))).issued == NOW - hour  # its date was set on
    assert read(der(logged(datetime(2999, 1, 1, tzinfo=UTC)))).issued == NOW


def test_another_kind_of_key_has_a_digest_too():
    assert read(der(key=ed25519.Ed25519PrivateKey.generate())).key_sha256


def test_what_cannot_be_read_is_an_error_of_ours():
    whole = der()
    of_no_version = whole.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020104"))
    for wrong in (b"", b"text", whole[:-10], whole + b"x", of_no_version):
        with pytest.raises(ValueError, match="a certificate that cannot be read"):
            read(wrong)
    # An extension that is no extension: the certificate is judged all the same.
    broken = der(x509.UnrecognizedExtension(x509.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"rubbish"))
    assert read(broken).names == ("a.example",)
