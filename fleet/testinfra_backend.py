"""testinfra's way to a node that the rollout is connected to: every command goes over a socket to who holds the
connection. Registered with testinfra as the scheme `styptic` by fleet.proof_worker; never loaded by the rollout itself.
"""

import base64
import json
import socket

from testinfra.backend.base import BaseBackend, CommandResult


class Link:
    """A worker's end of the socket: one JSON object a line, each way."""

    def __init__(self, descriptor: int):
        self.file = socket.socket(fileno=descriptor).makefile("rwb")

    def send(self, message: dict) -> None:
        """Send one message."""
        self.file.write(json.dumps(message).encode() + b"\n")
        self.file.flush()

    def receive(self) -> dict | None:
        """Return the next message; None where the rollout has ended."""
        line = self.file.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def run(self, command: str) -> tuple[int, bytes, bytes]:
        """Have a shell command run on the node; return its exit code, stdout and stderr. Raises RuntimeError."""
        self.send({"run": command})
        answer = self.receive()
        if answer is None:
            raise RuntimeError("the rollout has ended")
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["rc"], base64.b64decode(answer["stdout"]), base64.b64decode(answer["stderr"])


class Backend(BaseBackend):
    """The node of the job at hand. `link` is the worker's; how to become root is the rollout's matter."""

    NAME = "styptic"
    link: Link

    def __init__(self, hostname: str, *_, **__):
        super().__init__(hostname)

    def run(self, command: str, *args: str, **_) -> CommandResult:
        line = self.quote(command, *args)
        code, stdout, stderr = self.link.run(line)
        return self.result(code, line.encode(), stdout, stderr)

    def get_encoding(self) -> str:
        """As it is on every node of today: asking would run a python there."""
        return "utf-8"

    def decode(self, data: bytes) -> str:
        return data.decode(errors="replace")
