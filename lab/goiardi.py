"""The lab's Chef server: goiardi, authentication on, all in memory, so that it is gone with the lab.

goiardi's manual: https://goiardi.readthedocs.io/; its -A writes the keys of `admin` into the directory of --conf-root.
"""

import subprocess

from lab import host, network

PORT = 4545
URL = f"http://{network.CHEF}:{PORT}"
KEYS = host.RUN / "goiardi"


def start() -> None:
    """Start goiardi, called in the holder's namespaces; it does not wait for the first answer."""
    with host.log("goiardi").open("w") as output:
        subprocess.Popen(
            [host.tools() / "usr/bin/goiardi", "-I", network.CHEF, "-H", network.CHEF, "-P", str(PORT),
             "--conf-root", KEYS, "-A", "-g", "warning"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )
