"""How the nodes are reached: the user's words over knife's, checked before anything is connected to."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import SettingsError
from fleet.settings import Settings, file_of
from fleet.text import clean

# A label of RFC 1123, 2.1. The last one holds a letter there, so that no name can be taken for an address: inet_aton(3)
# reads 2130706433 and 0x7f.1 as 127.0.0.1.
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
HEXADECIMAL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
# [user@]host[:port] as ssh -J takes it; ssh://... likewise (ssh(1)).
JUMP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]]+\]|[^:@\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?")


@dataclass(frozen=True, slots=True)
class Jump:
    """A host to go through: user and port are None where nobody said them."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True, slots=True)
class SshSettings:
    """What was said about SSH; None leaves it to ssh_config and then to OpenSSH's own defaults.

    `identity_file` is the one key to offer, `gateway` the way to every node, `config` an ssh_config in place of
    ~/.ssh/config, `connect_timeout` seconds for all of connecting and logging in; with `host_keys` a node whose key is
    not known is known by the one that it reported (fleet.host_keys).
    """

    user: str | None = None
    identity_file: Path | None = None
    port: int | None = None
    gateway: tuple[Jump, ...] = ()
    config: Path | None = None
    connect_timeout: float = 15
    host_keys: bool = False


def settings_for(settings: Settings, knife: Mapping[str, object]) -> SshSettings:
    """Return what the flags (or invoke.yaml) say, and where they say nothing what knife's table says.

    `knife` has knife's own names: ssh_user, ssh_identity_file, ssh_port, ssh_gateway
    (https://docs.chef.io/workstation/config_rb/), and ours: ssh_config. Raises SettingsError naming what is wrong.
    """

    def said(name: str) -> tuple[str, object]:
        if (value := getattr(settings, name)) is not None:
            return "--" + name.replace("_", "-"), value
        return f"knife[:{name}]", knife.get(name)

    port = port_of(*said("ssh_port"))
    config, identity = readable(*said("ssh_config")), readable(*said("ssh_identity_file"))
    user = said("ssh_user")[1]
    name, gateway = said("ssh_gateway")
    return SshSettings(
        user=str(user) if user else None, identity_file=identity, port=port, config=config,
        gateway=jumps_of(str(gateway), name) if gateway else (), connect_timeout=settings.connect_timeout,
        host_keys=settings.host_keys == "chef",
    )


def port_of(name: str, value: object) -> int | None:
    """Return a TCP port, None for none."""
    if value is None or value == "":
        return None
    try:
        port = int(str(value))
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise SettingsError(f"{name} must be a port from 1 to 65535, not {clean(str(value))!r}.")
    return port


def readable(name: str, value: object) -> Path | None:
    """Return a file that can be read, None for none."""
    if not value:
        return None
    path = file_of(str(value), name)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise SettingsError(f"{name} names {path}, which cannot be read: {error.strerror}.") from error


def jumps_of(text: str, name: str) -> tuple[Jump, ...]:
    """Return the hosts to go through, in order, of [user@]host[:port][,...]; `name` says where it was written."""
    found = []
    for each in text.split(","):
        match = JUMP.fullmatch(each.strip())
        if match is None or match["host"].startswith("-"):
            raise SettingsError(f"{name} must be [user@]host[:port], not {clean(text)!r}.")
        port = port_of(name, match["port"])
        found.append(Jump(match["host"].strip("[]"), match["user"], port))
    return tuple(found)


def is_address(text: str) -> bool:
    """True for an IP address or a host name by RFC 1123, and for nothing else: what a node says of itself is untrusted.

    An IPv6 zone (`fe80::1%eth0`) is refused: it means something on the machine that wrote it only.
    """
    try:
        ipaddress.ip_address(text)
        return "%" not in text
    except ValueError:
        pass
    labels = text.split(".")
    return len(text) <= 253 and all(map(LABEL.fullmatch, labels)) and not HEXADECIMAL.fullmatch(labels[-1])
