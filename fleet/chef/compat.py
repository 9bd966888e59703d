"""The one place that imports PyChef: 0.3.0, unmodified, on Pythons it was never written for.

PyChef was last released in 2017. It takes abstract classes from `collections` (gone since Python 3.10), binds libcrypto
by ctypes through `platform.linux_distribution` (gone since 3.8), and wants `pkg_resources`. Here its module `chef.rsa`
is replaced by one on `cryptography`, and the missing names are lent while it is being imported, then taken back.
Everybody else says `from fleet.chef.compat import chef`.
"""

import collections
import collections.abc
import re
import sys
import threading
from types import ModuleType

# PyChef's own dependencies come first, so that only PyChef ever sees the lent names.
import requests  # noqa: F401
import six.moves.urllib.parse  # noqa: F401
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

_LENT = ("Mapping", "MutableMapping", "Sequence")
_lock = threading.Lock()


class SSLError(Exception):
    """What PyChef's own `chef.rsa` raises: a key that cannot be read or cannot do what is asked."""


class Key:
    """An RSA key with what PyChef asks of its own `chef.rsa.Key`, and `sign` for protocol 1.3.

    `source` is PEM as bytes, the path of a PEM file, or an open binary file. `key` is the key of `cryptography`;
    `public` says that there is no private half. Raises SSLError when it is no RSA key in PEM, or is encrypted.
    """

    def __init__(self, source=None):
        self.key = None
        self.public = False
        if source is None:
            return
        if isinstance(source, bytes):
            pem = source
        elif isinstance(source, str):
            with open(source, "rb") as opened:
                pem = opened.read()
        else:
            pem = source.read()
        self._load(pem)

    def __repr__(self):
        return f"<{'public' if self.public else 'private'} RSA key>"

    def _load(self, pem: bytes) -> None:
        self.public = b"PRIVATE KEY" not in pem
        if b"BEGIN OPENSSH PRIVATE KEY" in pem:  # which Chef's own tools do not read either
            raise SSLError("this key is in OpenSSH's own form; make a copy of it PEM (ssh-keygen -p -m PEM -f COPY)")
        try:
            key = load_pem_public_key(pem) if self.public else load_pem_private_key(pem, password=None)
        except TypeError as error:  # cryptography's word for "a password is wanted"
            raise SSLError("this key is encrypted; take its passphrase off (openssl rsa -in KEY -out NEW)") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SSLError("this is no RSA key in PEM form") from error
        if not isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
            raise SSLError("this is a key, but not an RSA key, and the Chef server knows no other kind")
        self.key = key

    def _private(self) -> rsa.RSAPrivateKey:
        if self.public:
            raise SSLError("a public key cannot sign")
        return self.key

    def private_encrypt(self, value: str | bytes) -> bytes:
        """Return OpenSSL's RSA_private_encrypt of `value` with PKCS #1 v1.5 padding, as protocols 1.0 and 1.1 want.

        Raises SSLError for a public key, and for a key too small to hold the value.
        """
        value = value.encode() if isinstance(value, str) else value
        try:
            return self._private().sign(value, padding.PKCS1v15(), NoDigestInfo())
        except ValueError as error:
            raise SSLError("this key is too small for signing protocols 1.0 and 1.1") from error

    def sign(self, value: bytes) -> bytes:
        """Return the PKCS #1 v1.5 signature of `value` over SHA-256, as protocol 1.3 wants."""
        return self._private().sign(value, padding.PKCS1v15(), SHA256())


def _pkg_resources() -> ModuleType:
    """A `pkg_resources` with the one function PyChef calls: it compares Chef versions such as 0.10.8."""
    module = ModuleType("pkg_resources")
    module.parse_version = lambda version: tuple(int(number) for number in re.findall(r"\d+", version))
    return module


def _rsa() -> ModuleType:
    module = ModuleType("chef.rsa")
    module.Key, module.SSLError = Key, SSLError
    return module


def load() -> ModuleType:
    """Return PyChef's package `chef`, importing it once in a process, whatever thread asks first.

    Raises ImportError when PyChef is not installed. Nothing lent outlives the call, whether it succeeds or fails.
    """
    with _lock:
        if getattr(sys.modules.get("chef.rsa"), "Key", None) is Key and "chef" in sys.modules:
            return sys.modules["chef"]
        absent = [name for name in _LENT if not hasattr(collections, name)]
        before = sys.modules.get("pkg_resources")
        try:
            for name in absent:
                setattr(collections, name, getattr(collections.abc, name))
            sys.modules["pkg_resources"] = _pkg_resources()
            sys.modules["chef.rsa"] = _rsa()
            import chef as loaded
        except BaseException:
            for name in [name for name in sys.modules if name == "chef" or name.startswith("chef.")]:
                del sys.modules[name]
            raise
        finally:
            for name in absent:
                delattr(collections, name)
            if before is None:
                sys.modules.pop("pkg_resources", None)
            else:
                sys.modules["pkg_resources"] = before
        for name in ("base", "data_bag", "node", "search"):
            # chef.node asks for collections.Sequence at run time, not only while it is being imported.
            sys.modules[f"chef.{name}"].collections = collections.abc
        return loaded


chef = load()
