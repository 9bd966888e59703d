"""What a connection to one host takes: ssh_config, known_hosts and keys, read once and away from the event loop."""

import copy
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from fleet.errors import SettingsError
from fleet.known_hosts import Known, OurHosts, default_path, load
from fleet.settings import file_of
from fleet.ssh_settings import Jump, SshSettings, jumps_of
from fleet.text import clean

USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")  # ssh_config(5)
GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
IDENTITIES = tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"))  # the same
LOCKED = "it wants a passphrase, and nobody is asked for one: add it to an agent with ssh-add"
ALIVE_INTERVAL = 15  # seconds of silence before a peer is asked whether it lives; ServerAliveInterval wins
ALIVE_COUNT = 3


@dataclass(slots=True)
class Keys:
    """Keys to log in with, loaded once: `named` are the files they came from, `locked` those that want a passphrase."""

    pairs: Sequence[asyncssh.SSHKeyPair] = ()
    named: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    identities: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Route:
    """Everything that is decided about the way to one host before its first packet."""

    host: str
    options: asyncssh.SSHClientConnectionOptions
    jumps: tuple[Jump, ...]
    known: Known
    keys: Keys
    agent: bool
    reread: list[Path] | None

    def arguments(self, trusted: Callable | None = None) -> dict:
        """Return the arguments of asyncssh.connect for one connection; `trusted` finds host keys in Known's place.

        Each gets copies of the keys: asyncssh writes the signature's algorithm into them while it logs in.
        """
        chosen: dict = {
            "options": self.options, "config": self.reread, "client_certs": [],
            "client_keys": [copy.copy(pair) for pair in self.keys.pairs],
            "agent_identities": self.keys.identities or None,
        }
        if not self.agent:
            chosen["agent_path"] = None
        if trusted:
            chosen["known_hosts"] = trusted
        return chosen


class Router:
    """Finds routes. Its methods read files: call them in a thread. Nothing is read twice."""

    def __init__(self, settings: SshSettings):
        self.settings = settings
        default = Path(os.path.expanduser("~/.ssh/config"))  # pathlib's raises where nobody has a home
        config = settings.config or (default if default.is_file() else None)
        self.config = [config] if config else []
        self.ours = OurHosts(default_path()) if settings.host_keys else None
        self.lock = threading.Lock()
        self.keys: dict[tuple, Keys] = {}
        self.known: dict[tuple, Known] = {}
        self.routes: dict[tuple, Route] = {}

    def check(self) -> None:
        """Raise SettingsError for whatever would fail every node alike: ssh_config, known_hosts, a named key."""
        self.route("localhost")

    def route(self, host: str, user: str | None = None, port: int | None = None, gateway: bool = False) -> Route:
        """Return the way to `host`, which is an address or a name of ssh_config. Raises SettingsError.

        A gateway's user and key are its own or ssh_config's; where neither names any they are the nodes'.
        """
        asked = (host, user, port, gateway)
        with self.lock:
            if asked not in self.routes:
                self.routes[asked] = self.made(*asked)
            return self.routes[asked]

    def made(self, host: str, user: str | None, port: int | None, gateway: bool) -> Route:
        """Return a route found anew."""
        options = self.options_for(host, user, port)
        said = options.config.get
        if gateway and user is None and self.settings.user and said("User") is None:
            options = self.options_for(host, self.settings.user, port)
        known = self.known_hosts(
            tuple(said("UserKnownHostsFile", USER_KNOWN_HOSTS)),
            tuple(said("GlobalKnownHostsFile", GLOBAL_KNOWN_HOSTS)),
        )
        named = None if gateway and said("IdentityFile") else self.settings.identity_file
        files = (named,) if named else tuple(said("IdentityFile", IDENTITIES))
        keys = self.load_keys(files, tuple(said("CertificateFile", ())), bool(named or said("IdentitiesOnly")))
        agent = bool(said("IdentityAgent", os.environ.get("SSH_AUTH_SOCK")))
        if named and keys.locked and not agent:
            raise SettingsError(f"--ssh-identity-file {named}: {LOCKED}; none is running here.")
        kept = {"known_hosts": known.trusted, "config": None, "tunnel": None}
        if said("ServerAliveInterval") is None:
            kept |= {"keepalive_interval": ALIVE_INTERVAL, "keepalive_count_max": ALIVE_COUNT}
        jumps = jumps_of(options.tunnel, f"ProxyJump in {self.config[0]}") if isinstance(options.tunnel, str) else ()
        if any(jump.host in (host, options.host) for jump in jumps):
            jumps = ()  # `Host *` with ProxyJump is meant for all but the gateway itself
        # These two make asyncssh read the file again once it knows a host's full name.
        again = self.config if options.canonicalize_hostname or options.config.has_match_final() else None
        options = asyncssh.SSHClientConnectionOptions(options, **kept)
        return Route(host, options, jumps, known, keys, agent and (not named or bool(keys.locked)), again)

    def options_for(self, host: str, user: str | None, port: int | None) -> asyncssh.SSHClientConnectionOptions:
        """Return what ssh_config says of a host. Raises SettingsError for a file that cannot be read as one."""
        try:
            return asyncssh.SSHClientConnectionOptions(
                config=self.config, host=host, username=user or (), port=port or (), client_keys=None,
                x509_trusted_certs=None, agent_forwarding=False, x11_forwarding=False, request_pty=False,
            )
        except (OSError, ValueError, RuntimeError) as error:  # the last is pathlib's word for a ~user that is nobody
            where = "" if not self.config or str(self.config[0]) in str(error) else f"{self.config[0]}: "
            what = clean(str(error)).rstrip(".")
            raise SettingsError(f"{where}{what}; mend it, or name another with --ssh-config.") from error

    def file(self, keyword: str, name: str | Path) -> Path:
        """Return a file that ssh_config names; raises SettingsError for the home of a user there is not."""
        return file_of(str(name), f"{keyword} in {self.config[0]}" if self.config else keyword)

    def known_hosts(self, users: tuple[str, ...], everybodys: tuple[str, ...]) -> Known:
        """Return the host keys of these files; one that is not there holds none. "none" is /dev/null, as in ssh(1).

        A line that cannot be read is passed over as OpenSSH does. Raises SettingsError for a file that cannot be.
        """
        if (users, everybodys) in self.known:
            return self.known[users, everybodys]
        hosts = asyncssh.import_known_hosts("")
        files = [self.file("UserKnownHostsFile", name) for name in users if name != "none"]
        files += [self.file("GlobalKnownHostsFile", name) for name in everybodys if name != "none"]
        for path in files:
            try:
                text = path.read_text(errors="replace")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise SettingsError(f"known_hosts file {path} cannot be read: {error.strerror}.") from error
            load(hosts, text)
        if self.ours:
            self.ours.read()
        found = self.known[users, everybodys] = Known(tuple(files), hosts, self.ours)
        return found

    def load_keys(self, files: tuple, certificates: tuple, only: bool) -> Keys:
        """Return the keys in these files, each loaded once: checking a private RSA key takes 0.1 s.

        A key that wants a passphrase is left to the agent. Of ssh_config's files one that is missing is passed over;
        the one that was asked for raises SettingsError. With `only` no other key of an agent's is to be offered.
        """
        if (files, certificates, only) not in self.keys:
            keys = Keys()
            beside = tuple(self.file("CertificateFile", file) for file in certificates)
            paths = [self.file("IdentityFile", file) for file in files]
            keys.pairs = [pair for path in paths for pair in self.load_key(path, beside, keys)]
            if not only:
                keys.identities = []
            elif not keys.identities:
                keys.identities = [b""]  # no key has this name: asyncssh takes an empty list for "all of them"
            self.keys[files, certificates, only] = keys
        return self.keys[files, certificates, only]

    def load_key(self, path: Path, certificates: tuple, keys: Keys) -> Sequence[asyncssh.SSHKeyPair]:
        """Return one file's key, with and without its certificate, and write down what was found."""
        asked = path == self.settings.identity_file
        try:
            pairs = asyncssh.load_keypairs(path, None, certificates)
        except (OSError, ValueError) as error:
            public = public_key(path)
            if public is not None:  # encrypted, on a token, or only its public half is here: an agent may hold it
                keys.locked.append(str(path))
                keys.identities.append(public)
            elif asked:
                raise SettingsError(f"--ssh-identity-file {path}: {trouble(error)}.") from error
            return ()
        keys.named.append(str(path))
        keys.identities += [pair.public_data for pair in pairs]
        return pairs


def public_key(path: Path) -> bytes | None:
    """Return the public half of the key in a file, None where it is not to be had without a passphrase."""
    for place in (path.with_name(path.name + ".pub"), path):
        try:
            return asyncssh.read_public_key(place).public_data
        except (OSError, ValueError):
            continue
    return None


def trouble(error: Exception) -> str:
    """Return in words why a key could not be loaded."""
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror}"
    if "passphrase" in str(error).lower():
        return LOCKED
    return "it is not a private key that OpenSSH would take"
