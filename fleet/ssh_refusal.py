"""What went wrong on the way to a host, in one sentence that says what to do."""

import os
import socket

import asyncssh

from fleet.host_keys import Vouched, described
from fleet.ssh_route import LOCKED, Route
from fleet.text import clean
from generator.errors import StypticError


class Client(asyncssh.SSHClient):
    """Remembers the host key that was shown and not trusted. Answers no question: there is nobody to ask.

    `vouched` is whose word may count for the host's key (--host-keys chef), None where nobody's does.
    """

    def __init__(self, vouched: Vouched | None = None):
        self.vouched = vouched
        self.shown: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key
        return False


def sentence(error: Exception, route: Route, client: Client | None, seconds: float) -> str:
    """Return why there is no connection to the host of `route`; `seconds` is the time it had."""
    options = route.options
    where = options.host if options.port == 22 else f"{options.host} port {options.port}"
    if isinstance(error, StypticError):
        return str(error)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return host_key(error, route, client)
    if isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in str(error).lower():
        if client and client.vouched and client.vouched.entry:
            return (
                f"{where} has no host key of a kind that it should have, {client.vouched.doubt()}: see on the host "
                "whether it was installed anew, and run chef-client there"
            )
        return (
            f"{where} has no host key of a kind that {held_in(route)} holds for it: see on the host whether it was "
            f"installed anew, then {forget(route)}"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return denied(where, route)
    if "too many authentication failures" in str(error).lower():
        return (
            f"{where} ends the login after too many keys: name the one to offer with --ssh-identity-file, or set "
            "IdentitiesOnly and IdentityFile in ssh_config"
        )
    if isinstance(error, socket.gaierror):
        return f"the name {clean(options.host)} does not resolve ({error.strerror}): correct it, or set HostName for it"
    return f"{where}: {reason(error, seconds)}"


def reason(error: Exception, seconds: float) -> str:
    """Return the commoner ends of a connection in words."""
    said = clean(str(error), 200).rstrip(".")
    if isinstance(error, TimeoutError):
        return f"no SSH login within {seconds:g} s: see that it is up and that no firewall stands between"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: see that sshd runs there, and on which port (--ssh-port)"
    if isinstance(error, asyncssh.ChannelOpenError):
        return f"the gateway cannot reach it: {said or 'it gives no reason'}"
    if isinstance(error, (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError)):
        return f"the connection was closed during the login ({said or 'no reason given'}): see sshd's log there"
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return f"no common algorithm ({said}): allow one in ssh_config (KexAlgorithms, Ciphers, MACs) or mend its sshd"
    if isinstance(error, asyncssh.Error):
        return f"SSH failed: {said}: see that it is an sshd that answers there, and its log"
    if isinstance(error, OSError) and error.errno:
        return f"{os.strerror(error.errno)}: see that it is up and that there is a way to it"
    return f"SSH failed: {type(error).__name__}: {said}"


def host_key(error: asyncssh.HostKeyNotVerifiable, route: Route, client: Client | None) -> str:
    """Say whether a host's key is unknown, another one or revoked."""
    name, port = known_as(route)
    shown, vouched = (client.shown, client.vouched) if client else (None, None)
    if "revoked" in str(error):
        where = held_in(route)
        return f"the host key of {name} is marked @revoked in {where}: do not use that host before you know why"
    if shown is None:
        return f"the host certificate of {name} is not good: {clean(str(error), 200)}"
    key = described([shown])
    if held := route.known.trusted(name, "", port)[0]:
        agreed = f" (as {clean(vouched.node.name, 100)} reported it too)" if vouched and vouched.says(shown) else ""
        return (
            f"the host key of {name} has changed, it is now {key}{agreed}, and {held_in(route)} holds "
            f"{described(held)}: find out on the host whether that is its key, then {forget(route)}"
        )
    scan = f"ssh-keyscan {f'-p {port} ' if port else ''}{name} >> {route.known.files[0]}" if route.known.files else ""
    return (
        f"the host key of {name} is not known, it is {key}{f', and {vouched.doubt()}' if vouched else ''}: compare it "
        f"with the host's own, then {scan or 'put it into a known_hosts file'}"
    )


def denied(where: str, route: Route) -> str:
    """Say who was refused with which keys."""
    tried = list(route.keys.named)
    if route.agent:
        tried.append("the agent's keys")
    told = f"{where} refuses the login of {clean(route.options.username, 60)} (tried {', '.join(tried) or 'no key'})"
    if route.keys.locked:
        return f"{told}; {', '.join(route.keys.locked)} was not tried: {LOCKED}"
    return f"{told}: put a key of yours into its authorized_keys, or say --ssh-user or --ssh-identity-file"


def known_as(route: Route) -> tuple[str, int | None]:
    """Return the name and the port (None for 22) a host has in known_hosts."""
    options = route.options
    return options.host_key_alias or options.host, None if options.port == 22 else options.port


def forget(route: Route) -> str:
    """Return the command that drops a host's keys."""
    name, port = known_as(route)
    host, ours = f"[{name}]:{port}" if port else name, route.known.ours
    if ours and held_in(route) == str(ours.path):
        return f"ssh-keygen -f {ours.path} -R {host}, and the next run takes the one that is reported"
    return f"ssh-keygen -R {host} and add the new one"


def held_in(route: Route) -> str:
    """Return by name the known_hosts file that holds a host, or should."""
    return route.known.place(*known_as(route))
