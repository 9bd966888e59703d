"""Chef's own keys that are older than the patch: nodes' clients, validators, the operator's; each with its commands.

What is on nodes is what `exposure` saw there last (fleet.exposure_record); what the Chef server takes, it says now.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet import followup_commands as commands
from fleet.chef import credentials
from fleet.chef.credentials import CLIENTS, Key
from fleet.errors import AuthenticationError, ChefServerError, NotFoundError, ServerUnreachableError
from fleet.exposure_item import SAFE, UNKNOWN
from fleet.followup_seen import CLIENT, NEWER, OLDER, VALIDATION, Seen, verdict_of
from fleet.node import Node
from fleet.ssh_settings import SshSettings
from fleet.text import clean
from fleet.window import OPEN
from generator.shell import quote

ORDER = (OLDER, UNKNOWN, NEWER, SAFE)
#: A name that is no flag of knife's, and that a file may have; and an address that is no flag of ssh's.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,200}", re.ASCII)
ADDRESS = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}", re.ASCII)
NAMED = 5  # nodes that are named at once


@dataclass(frozen=True, slots=True)
class Credential:
    """A key of Chef's: whose (`client`, `further key`, `validator` or `operator`), what is known of its age and why,
    and what replaces it, () where nothing does yet.
    """

    kind: str
    name: str
    verdict: str
    why: str
    commands: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """True if it needs a person."""
        return self.verdict in (OLDER, UNKNOWN)


@dataclass(slots=True)
class Judge:
    """Asks the Chef server for the keys that it takes, and holds them against what was seen on nodes.

    `sudo` and `ssh` are how the operator reaches nodes, `new` is what new keys are called. It changes nothing.
    """

    server: object
    config: object
    seen: Seen
    ssh: SshSettings
    sudo: bool
    new: str
    several: bool = False  # the server keeps more than one key of a client

    def all(self, nodes: Sequence[Node]) -> list[Credential]:
        """Return every key of Chef's that these nodes and their operator have, those first that need a person.

        Raises AuthenticationError and ServerUnreachableError; what else a server refuses is `unknown`.
        """
        found = [each for node in nodes for each in self.client(node)]
        found += self.validators(nodes)
        found.append(self.operator(nodes))
        return sorted(found, key=lambda each: ORDER.index(each.verdict))

    def client(self, node: Node) -> Iterator[Credential]:
        """Yield a node's client, and the further keys that the server takes for it."""
        item = self.seen.key(node.name, CLIENT)
        try:
            taken = self.taken(CLIENTS, node.name)
        except NotFoundError:
            yield Credential("client", node.name, UNKNOWN, "the Chef server has no client of that name: see client.rb")
            return
        except (AuthenticationError, ServerUnreachableError):
            raise
        except ChefServerError as error:
            yield Credential("client", node.name, UNKNOWN, clean(str(error), 300))
            return
        digest = item and item.get("key_sha256")
        own = [each for each in taken if digest and each.sha256 == digest]
        verdict, why = self.verdict(node.name, item, taken, own)
        yield Credential("client", node.name, verdict, why, self.replaced(node, item, verdict, taken, own))
        for each in taken if own else ():
            if each not in own:
                old = self.seen.leaked.get(each.sha256)
                why = f"it was {old}, before the patch, and the server still takes it" if old else (
                    f"its node did not use it {self.seen.asked[node.name][:16]}Z, and may by now: run `invoke "
                    "exposure` again, ask whose it is, and delete it by `knife client key delete` if it is nobody's"
                )
                # One that the node may have been given since would lock it out.
                known = old and NAME.fullmatch(node.name) and each.name
                made = commands.of_another(node.name, each.name, self.config.profile) if known else ()
                yield Credential("further key", f"{node.name} {each.name}", OLDER if old else UNKNOWN, why, made)

    def verdict(
        self, name: str, item: Mapping | None, taken: Sequence[Key], own: Sequence[Key]
    ) -> tuple[str, str]:
        """Return what is known of a client's key, and why."""
        if item is None:
            return UNKNOWN, "`invoke exposure` saw no key of it on the node" if name in self.seen.asked else \
                "nobody looked at the node yet: run `invoke exposure` on it"
        digest = item.get("key_sha256")
        if not own and (old := next((each.sha256 for each in taken if each.sha256 in self.seen.leaked), None)):
            return OLDER, f"the server takes the key that was {self.seen.leaked[old]}, before the patch"
        if isinstance(digest, str) and not own and taken and all(each.sha256 for each in taken):
            return NEWER, (
                f"the server no longer takes the key that was on the node {self.seen.asked[name][:16]}Z; if the new "
                "one was not put there, its runs fail until it is"
            )
        verdict = verdict_of(item)
        if verdict == NEWER and digest in self.seen.leaked:
            return OLDER, f"it is the key of {self.seen.leaked[digest]}, whatever its file's time says"
        # The sentence ends with what is to do about certificates.
        said = str(item.get("sentence", "")).split(". To do: ")[0].partition(": ")[2]
        return verdict, clean(said or "no more is known", 400).rstrip(".")

    def replaced(
        self, node: Node, item: Mapping | None, verdict: str, taken: Sequence[Key], own: Sequence[Key]
    ) -> tuple[str, ...]:
        """Return the commands for a node's client, () where it is not theirs to have: a node that is not patched yet
        would lose the new key as well.
        """
        state = self.seen.windows.get(node.name, {}).get("state")
        if verdict not in (OLDER, UNKNOWN) or item is None or state == OPEN:
            return ()
        if not ADDRESS.fullmatch(node.address or "") or not NAME.fullmatch(node.name):
            return ()
        old = [each.name for each in own or taken]
        return commands.on_node(
            node.name, node.address, str(item["path"]), self.name_for(taken), old, self.ssh, self.sudo,
            self.config.profile,
        )

    def validators(self, nodes: Sequence[Node]) -> Iterator[Credential]:
        """Yield the validators that the server has."""
        try:
            named = {
                name: {each.sha256 for each in self.taken(CLIENTS, name)} - {None}
                for name in credentials.validators(self.server)
            }
        except (AuthenticationError, ServerUnreachableError):
            raise
        except ChefServerError as error:
            yield Credential("validator", "all", UNKNOWN, clean(str(error), 300))
            return
        having = [(node, item) for node in nodes if (item := self.seen.key(node.name, VALIDATION))]
        for name, digests in named.items():
            held = [(node, item) for node, item in having if item.get("key_sha256") in digests]
            old = [node.name for node, item in held if verdict_of(item) == OLDER]
            why = "who has it makes clients, and a Chef server does not say when a key was made"
            if old:
                more = f" and {len(old) - NAMED} more" if len(old) > NAMED else ""
                why = f"who has it makes clients, and it was on {', '.join(old[:NAMED])}{more} before the patch"
            left = [
                commands.ssh(node.address, self.ssh, self.sudo, f"rm {quote(str(item['path']))}")
                for node, item in held if ADDRESS.fullmatch(node.address or "")
            ]
            made = commands.of_validator(name, left, self.config.profile) if NAME.fullmatch(name) else ()
            why += "; where machines still register with it, `knife client reregister` gives it a new key instead"
            yield Credential("validator", clean(name, 200), OLDER if old else UNKNOWN, why, made)

    def operator(self, nodes: Sequence[Node]) -> Credential:
        """Return the key with which knife and we sign, which has no date but its file's."""
        name, path = self.config.client_name, self.config.key_file
        if path is None:
            where = " and ".join(map(str, self.config.sources))
            return Credential("operator", name, UNKNOWN, f"the key stands in {where} itself, and has no date there")
        kind = credentials.kind_of(self.server, name)
        digest = credentials.own_digest(self.config.client_key)
        try:
            taken = self.taken(kind, name)
        except (AuthenticationError, ServerUnreachableError):
            raise
        except ChefServerError:
            taken = ()
        old = [each.name for each in taken if each.sha256 == digest]
        old = [] if self.several and None in old else old  # an organisation shows a user's first key alone
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        patched, whole = self.seen.patched(node.name for node in nodes)
        written = f"{path} was last written {when:%Y-%m-%d %H:%M} UTC"
        made = commands.of_operator(
            name, kind, str(path), self.name_for(taken), old, self.config.profile
        ) if NAME.fullmatch(name) else ()
        if patched and when <= patched:
            why = f"{written}, and the last of these nodes was at risk until {patched:%Y-%m-%d %H:%M} UTC"
            return Credential("operator", name, OLDER, why, made)
        if patched and whole:
            return Credential("operator", name, NEWER, f"{written}, after the last of these nodes was patched")
        return Credential(
            "operator", name, UNKNOWN, f"{written}, and it is not known of all nodes until when they were at risk", made
        )

    def taken(self, kind: str, name: str) -> tuple[Key, ...]:
        """Return the keys that the server takes for a client or user."""
        found = credentials.keys_of(self.server, kind, name)
        self.several = self.several or any(each.name is not None for each in found)
        return tuple(each for each in found if not each.expired)

    def name_for(self, taken: Sequence[Key]) -> str:
        """Return what the new key is called: none of those that are there."""
        names = {each.name for each in taken}
        return next(name for name in (self.new, *(f"{self.new}-{number}" for number in range(2, 200)))
                    if name not in names)
