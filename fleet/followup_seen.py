"""What runs of `exposure` saw of Chef's own keys on nodes, out of the journal: digests and verdicts, no key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fleet.exposure_item import EXPOSED, REISSUED, REKEYED, SAFE, UNKNOWN
from fleet.history import EXPOSURE_SINCE, History, loaded
from fleet.report.record import moment
from fleet.window import CLOSED, NEVER

KEEPER = "chef-client"  # the row of generator/secrets.toml
CLIENT, VALIDATION = "/client.pem", "/validation.pem"
OLDER, NEWER = "older than the patch", "newer than the patch"
_VERDICTS = {EXPOSED: OLDER, REISSUED: OLDER, REKEYED: NEWER, SAFE: SAFE}


def verdict_of(item: Mapping) -> str:
    """Return what the verdict on an item of `exposure` means for a key that has no certificate."""
    return _VERDICTS.get(item.get("verdict"), UNKNOWN)


@dataclass(slots=True)
class Seen:
    """What runs of `exposure` saw: of a node its window, when, and the keys of Chef's on it; and every digest that was
    a leaked key's in any run, with where and when.
    """

    windows: dict[str, Mapping] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    keys: dict[str, list[Mapping]] = field(default_factory=dict)
    leaked: dict[str, str] = field(default_factory=dict)

    def key(self, node: str, file: str) -> Mapping | None:
        """Return the item of a node's key whose path ends so."""
        return next((each for each in self.keys.get(node, ()) if str(each.get("path")).endswith(file)), None)

    def patched(self, names: Iterable[str]) -> tuple[datetime | None, bool]:
        """Return when the last of these nodes stopped to be at risk, as far as is known, and whether all of it is."""
        windows = [self.windows.get(name, {}) for name in names]
        ends = [moment((each.get("until") or each.get("replaced") or {}).get("at")) for each in windows]
        whole = bool(windows) and all(each.get("state") in (CLOSED, NEVER) for each in windows)
        return max(filter(None, ends), default=None), whole


def seen(history: History | None, advisories: Sequence[str]) -> Seen:
    """Return what the journal has of runs of `exposure` that were about one of these advisories."""
    found = Seen()
    rows = [] if history is None or history.version < EXPOSURE_SINCE else history.rows(
        "SELECT node, started, found, about FROM exposure JOIN run ON run.id = exposure.run ORDER BY started"
    )
    for node, started, text, about in rows:
        kept, named = loaded(text), loaded(about).get("advisories")
        if not isinstance(named, list) or not set(advisories) & set(map(str, named)):
            continue
        items = [each for each in kept.get("items") or () if isinstance(each, dict)]
        window = kept.get("window")
        found.windows[node] = window if isinstance(window, dict) else {}
        found.asked[node] = started
        found.keys[node] = [each for each in items if KEEPER in (each.get("services") or ())]
        for each in found.keys[node]:
            if verdict_of(each) == OLDER and isinstance(each.get("key_sha256"), str):
                found.leaked.setdefault(each["key_sha256"], f"{each.get('path')} on {node}, {started[:16]}Z")
    return found
