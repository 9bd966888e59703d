"""What is said of one certificate or key: its verdict, and what a person has to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.text import clean

#: The verdicts, what needs a person first.
EXPOSED, REISSUED, UNKNOWN, REKEYED, SAFE = (
    "exposed", "reissued with the same key", "unknown", "rekeyed", "not exposed",
)
ORDER = (EXPOSED, REISSUED, UNKNOWN, REKEYED, SAFE)
TODO = {
    EXPOSED: "make a new key, have a certificate issued for it, put both in place, then revoke this one",
    REISSUED: "make a NEW key, have a certificate issued for it, put both in place, then revoke every one of this key",
}
#: Of a key without a certificate, sshd's say.
TODO_KEY = "make a new key and have those who know the old one forget it"
TODO_CHEF = "`invoke followup.chef` has the commands, in their order"  # of the row of secrets.toml


@dataclass(frozen=True, slots=True)
class Item:
    """One certificate or key of a node, or (path None) something of the node that could not be looked at.

    Digests are SHA-256 in hex, `serial` is hex; `services` are those that have it, `why` is what the verdict rests on.
    """

    node: str
    path: str | None
    services: tuple[str, ...]
    verdict: str
    why: str
    subject: str | None = None
    names: tuple[str, ...] = ()
    issuer: str | None = None
    serial: str | None = None
    sha256: str | None = None
    key_sha256: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None

    @property
    def bad(self) -> bool:
        """True if it needs a person."""
        return self.verdict in (EXPOSED, REISSUED, UNKNOWN)

    @property
    def exposed(self) -> bool | None:
        """True if its key may have leaked; None where nothing can be said."""
        return None if self.verdict == UNKNOWN else self.verdict in (EXPOSED, REISSUED)

    @property
    def key_reused(self) -> bool | None:
        """True if it was issued after the patch for a key from before it; None where that is no question."""
        return {REISSUED: True, REKEYED: False}.get(self.verdict)

    @property
    def sentence(self) -> str:
        """What there is to know and to do, in one line."""
        bare = TODO_CHEF if "chef-client" in self.services else TODO_KEY
        todo = bare if self.verdict == EXPOSED and not self.sha256 else TODO.get(self.verdict)
        gone = self.not_after and self.not_after < datetime.now(UTC)
        ended = "; it has expired, so that its key alone matters" if gone and self.exposed else ""
        return clean(f"{self.verdict}: {self.why}{ended}" + (f". To do: {todo}" if todo else ""), 1000) + "."


def as_dict(item: Item) -> dict:
    """Return an item as plain values, for the journal, the report and programs; times are UTC, ISO 8601."""
    def time(moment: datetime | None) -> str | None:
        return moment and f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    return {
        "node": item.node, "path": item.path and clean(item.path, 4096), "services": list(item.services),
        "verdict": item.verdict, "exposed": item.exposed, "key_reused": item.key_reused, "subject": item.subject,
        "names": list(item.names), "issuer": item.issuer, "serial": item.serial, "sha256": item.sha256,
        "key_sha256": item.key_sha256, "not_before": time(item.not_before), "not_after": time(item.not_after),
        "sentence": item.sentence,
    }


def counts(items: Mapping[str, int]) -> str:
    """Return how many items have which verdict, in words."""
    return ", ".join(f"{items[verdict]} {verdict}" for verdict in ORDER if items.get(verdict))
