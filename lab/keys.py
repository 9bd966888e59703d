"""The lab's key pairs: one for logging in, one for each node's sshd and one for each node's chef-client."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

HOST = "ssh_host_ed25519_key"  # sshd's own name for it


def write(path: Path, content: bytes) -> None:
    """Write a file that its owner alone reads."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def make_ssh(path: Path, comment: str) -> None:
    """Write an Ed25519 key pair as ssh-keygen(1) does: `path`, and `path`.pub."""
    key = Ed25519PrivateKey.generate()
    write(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    path.with_name(f"{path.name}.pub").write_text(f"{public} {comment}\n")


def make_chef(path: Path) -> None:
    """Write an RSA key pair as a Chef server makes them: `path` (.pem), and the public half beside it (.pub)."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    write(path, key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
