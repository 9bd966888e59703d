"""What a certificate says, read by the cryptography package from what a node sent: untrusted, and public."""

import hashlib
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleet.text import clean

_UNREADABLE = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType, x509.InvalidVersion,
)
NAMES = 100  # of a certificate; one of a content network has that many


@dataclass(frozen=True, slots=True)
class Certificate:
    """What of a certificate matters here; digests are SHA-256 in hex, `serial` is in hex, times are UTC.

    `key_sha256` is of its public key (SubjectPublicKeyInfo), None for a kind of key that is not known here. `issued` is
    when it was made: the first timestamp of a Certificate Transparency log in it (RFC 6962, 3.3), else its not-before,
    because authorities date certificates back, and on. `authority` says that it may sign others.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    sha256: str
    key_sha256: str | None
    not_before: datetime
    not_after: datetime
    issued: datetime
    authority: bool


def read(der: bytes) -> Certificate:
    """Return what a certificate in DER says. Raises ValueError for what is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of certificates that are against the rules; they are in use all the same
        try:
            found = x509.load_der_x509_certificate(der)
            return Certificate(
                _name(found.subject), _names(found), _name(found.issuer), f"{found.serial_number:x}",
                hashlib.sha256(der).hexdigest(), _key(found), found.not_valid_before_utc, found.not_valid_after_utc,
                next(iter(_logged(found)), found.not_valid_before_utc), _is_authority(found),
            )
        except _UNREADABLE as error:
            raise ValueError(f"a certificate that cannot be read: {clean(str(error), 120)}") from None


def _name(name: x509.Name) -> str:
    """Return a name as RFC 4514 writes it."""
    return clean(name.rfc4514_string(), 500)


def _extension(found: x509.Certificate, kind: type):
    """Return an extension's value; None where it has none, or one that cannot be read."""
    try:
        return found.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None


def _names(found: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and addresses it is for; its common name where it has none of these, as it was once read."""
    names = _extension(found, x509.SubjectAlternativeName)
    said = [str(each.value) for each in names or () if isinstance(each, (x509.DNSName, x509.IPAddress))]
    if not said:
        said = [str(each.value) for each in found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    return tuple(clean(each, 260) for each in said[:NAMES])


def _key(found: x509.Certificate) -> str | None:
    try:
        der = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return hashlib.sha256(der).hexdigest()


def _logged(found: x509.Certificate) -> list[datetime]:
    """Return when logs saw it, the earliest first. A time after now is nobody's word."""
    stamps = _extension(found, x509.PrecertificateSignedCertificateTimestamps)
    now = datetime.now(UTC)
    return sorted(moment for each in stamps or () if (moment := each.timestamp.replace(tzinfo=UTC)) <= now)


def _is_authority(found: x509.Certificate) -> bool:
    constraints = _extension(found, x509.BasicConstraints)
    return bool(constraints and constraints.ca)
