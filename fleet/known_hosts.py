"""The host keys that known_hosts files hold: the user's, which are only read, and one of ours, which grows."""

import asyncio
import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from fleet import journal
from fleet.errors import SettingsError
from fleet.report.record import write_whole
from fleet.rivals import one_spelling

NODE_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,255}")  # Chef's rule for one (Chef::Node); nothing else is written down
REVOKED = (2, 4, 6)  # where a match of asyncssh has the keys, certificates and subjects that are revoked
PORTED = re.compile(r"\[(.+)\](:[0-9]+)")


def default_path() -> Path:
    """Return where our known_hosts stands: beside the journal. Raises SettingsError as fleet.journal.default_path."""
    return journal.default_path().with_name("known_hosts")


def load(hosts: asyncssh.SSHKnownHosts, text: str) -> None:
    """Add the lines of a file to `hosts`. One that cannot be read is passed over, as OpenSSH does (sshd(8))."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            hosts.load(spelled(line))


def spelled(line: str) -> str:
    """Return a line with its host names as rivals.one_spelling has them: ssh(1) compares them in lower case."""
    at = 1 if line.lstrip().startswith("@") else 0
    fields = line.split(None, at + 1)
    if len(fields) > at and not fields[at].startswith("|"):  # what is hashed was lower case before
        fields[at] = ",".join(map(host_spelled, fields[at].split(",")))
    return " ".join(fields)


def host_spelled(host: str) -> str:
    """Return one host of a line, with its port if it has one, in one spelling."""
    ported = PORTED.fullmatch(host)
    return f"[{one_spelling(ported[1])}]{ported[2]}" if ported else one_spelling(host)


def match(host: str, port: int | None, *known: asyncssh.SSHKnownHosts) -> tuple:
    """Return what these hold of a host, as asyncssh takes it, however an IP address of it is written.

    asyncssh forgets what is revoked for a host with its port where there is no key for that, so it is asked twice.
    """
    names = dict.fromkeys((one_spelling(host), host.lower()))
    found = [hosts.match(name, "", port) for hosts in known for name in names]
    if port:
        more = [hosts.match(f"[{name}]:{port}", "", None) for hosts in known for name in names]
        found += [tuple(part if at in REVOKED else () for at, part in enumerate(parts)) for parts in more]
    return tuple([key for part in parts for key in part] for parts in zip(*found, strict=True))


def entered(found) -> bool:
    """True if a match holds a key or an authority of a host; one that is revoked makes a host no better known."""
    keys, authorities, _, certificates, _, subjects, _ = found
    return bool(keys or authorities or certificates or subjects)


@dataclass(frozen=True, slots=True)
class Entry:
    """The keys of one host, as a node reported them: `port` is None for 22, as known_hosts has it."""

    host: str
    port: int | None
    keys: tuple[asyncssh.SSHKey, ...]
    node: str

    def text(self) -> str:
        """Return it as lines of known_hosts (sshd(8)), with the node's name for a comment."""
        host = f"[{self.host}]:{self.port}" if self.port else self.host
        comment = self.node if NODE_NAME.fullmatch(self.node) else "styptic"
        keys = (key.export_public_key().decode().split()[:2] for key in self.keys)
        return "".join(f"{host} {kind} {data} {comment}\n" for kind, data in keys)


def state_of(path: Path) -> tuple[int, ...]:
    """Return what tells a file from the same one changed. Raises OSError."""
    there = path.stat()
    return there.st_ino, there.st_size, there.st_mtime_ns


@dataclass(slots=True)
class OurHosts:
    """The known_hosts file of ours: read by `--host-keys chef` alone, its owner's alone (0600), written whole.

    Entries are added and never changed; a person removes one with ssh-keygen -R.
    """

    path: Path
    hosts: asyncssh.SSHKnownHosts = field(default_factory=asyncssh.SSHKnownHosts)
    content: str = ""
    state: tuple[int, ...] = ()
    waiting: list[Entry] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def read(self) -> None:
        """Take the file as it is now; one that is not there is empty. Raises SettingsError where it cannot be read."""
        try:
            state = state_of(self.path)
            if state == self.state:
                return
            content = self.path.read_text(errors="surrogateescape")
        except FileNotFoundError:
            state, content = (), ""
        except OSError as error:
            raise SettingsError(f"known_hosts file {self.path} cannot be read: {error.strerror}.") from error
        hosts = asyncssh.SSHKnownHosts()
        load(hosts, content)
        self.hosts, self.content, self.state = hosts, content, state

    async def add(self, entry: Entry) -> None:
        """Put an entry on the disk, unless the host has one by now. What many ask for meanwhile is one writing.

        Raises SettingsError where it cannot be written.
        """
        self.waiting.append(entry)
        async with self.turn:
            if not any(each is entry for each in self.waiting):
                return  # another's writing took it along
            entries, self.waiting = self.waiting, []
            try:
                await asyncio.to_thread(self.write, entries)
            except BaseException:
                self.waiting = entries + self.waiting  # so that each who waits is told
                raise

    def write(self, entries: Iterable[Entry]) -> None:
        """Add the entries of hosts that have none, to the file as it is now, while no other process does."""
        with self.alone():
            self.read()
            new: dict[tuple, str] = {}
            for each in entries:
                if not entered(match(each.host, each.port, self.hosts)):
                    new.setdefault((each.host, each.port), each.text())
            if new:
                added = "".join(new.values())
                gap = "\n" if self.content and not self.content.endswith("\n") else ""
                content = self.content + gap + added
                write_whole(self.path, content.encode(errors="surrogateescape"))
                load(self.hosts, added)  # to read ten thousand entries anew takes a third of a second
                self.content, self.state = content, state_of(self.path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the directory (flock(2)); turn what the file system says into a sentence."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SettingsError(
                f"the host keys in {self.path} cannot be written: {error.strerror}; make room or rights, or name "
                "another place in STYPTIC_STATE."
            ) from error


@dataclass(slots=True)
class Known:
    """The host keys that are known: `files` are the user's and everybody's, `ours` the file of ours where it counts."""

    files: tuple[Path, ...]
    hosts: asyncssh.SSHKnownHosts
    ours: OurHosts | None = None

    def trusted(self, host: str, _address: str, port: int | None):
        """Return the keys trusted for a host, as asyncssh takes them.

        Looked up by the name that is connected to alone, as ssh_config(5)'s CheckHostIP has it by default.
        """
        return match(host, port, self.hosts, *([self.ours.hosts] if self.ours else []))

    def holds(self, host: str, port: int | None) -> bool:
        """True if there is any key of this host, or an authority for it, however an IP address of it is written."""
        return entered(self.trusted(host, "", port))

    def place(self, host: str, port: int | None) -> str:
        """Return by name the file that holds a host, and else the first of the user's."""
        if self.ours and self.holds(host, port) and not entered(match(host, port, self.hosts)):
            return str(self.ours.path)
        return " or ".join(str(path) for path in self.files[:1]) or "known_hosts"
