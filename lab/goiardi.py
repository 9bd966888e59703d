"""The lab's Chef server: goiardi, authentication on, all in memory, so that it is gone with the lab.

goiardi's manual: https://goiardi.readthedocs.io/; its -A writes the keys of `admin` into the directory of --conf-root.
"""

import subprocess
from pathlib import Path

from lab import host, network

PORT = 4545
URL = f"http://{network.CHEF}:{PORT}"
KEYS = host.RUN / "goiardi"


def start() -> None:
    """Start goiardi, called in the holder's namespaces; it does not wait for the first answer."""
    with host.log("goiardi").open("w") as output:
        subprocess.Popen(command(network.CHEF, PORT, KEYS), stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def command(address: str, port: int, keys: Path, *more: str) -> list[str]:
    """Return the words that start goiardi at an address, with a directory for the keys it makes."""
    program = str(host.tools() / "usr/bin/goiardi")
    where = ["-I", address, "-H", address, "-P", str(port), "--conf-root", str(keys)]
    return [program, *where, "-A", "-g", "warning", *more]


def kept(place: Path) -> list[str]:
    """Return the words that have goiardi keep all it holds below `place` when it ends by SIGTERM, and read it there."""
    return ["-D", str(place / "data"), "-i", str(place / "index"), "-F", "1"]
