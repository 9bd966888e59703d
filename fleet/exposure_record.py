"""What the journal keeps of exposure runs and tells the next one: proofs, leaked keys by digest. No key material.

What is found on a node is kept as {"window": {...}, "items": [fleet.exposure_item.as_dict each]}.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from fleet import plan
from fleet.exposure import Facts
from fleet.exposure_item import EXPOSED, Item, as_dict
from fleet.exposure_judge import Before, Leaked
from fleet.history import History
from fleet.journal import utc
from fleet.node import Node, State
from fleet.window import OPEN, Moment, Proof, Window

PROVING = ("patch", "verify")  # the verbs whose runs prove something of a node


def found(facts: Facts, items: list[Item]) -> dict:
    """Return what the journal keeps of a node."""
    return {"window": window_as_dict(facts.window), "items": [as_dict(item) for item in items]}


def window_as_dict(window: Window) -> dict:
    """Return a node's window as plain values: moments in UTC, ISO 8601, with what each rests on."""
    def told(moment: Moment | None) -> dict | None:
        return moment and {"at": utc(moment.time), "by": moment.by}

    return {
        "state": window.state, "since": told(window.since), "replaced": told(window.replaced),
        "until": told(window.until), "why": window.why, "clock_ahead": window.offset,
    }


def proofs(history: History, advisories, nodes: Mapping[str, Node]) -> dict[str, list[Proof]]:
    """Return what earlier runs of `patch` and `verify` found on these nodes, whatever advisory they were about.

    A node was in order when it ended well with packages that these advisories call fixed or not affected. It was not
    when it had packages that they call vulnerable, or `exposure` saw that it could be bled.
    """
    known: dict[tuple, str] = {}

    def kind(node: Node, packages: object) -> str:
        if not isinstance(packages, dict) or not packages:
            return "unknown"
        facts = node.platform, node.release, tuple(packages.items())
        if facts not in known:
            known[facts] = plan.verdict(advisories, node.platform, node.release, packages).kind
        return known[facts]

    said: dict[str, list[Proof]] = {}
    for name, state, record, at in history.ends(PROVING):
        if name not in nodes or (when := _moment(at)) is None:
            continue
        kinds = [kind(nodes[name], record.get(key)) for key in ("packages_before", "packages_after")]
        moment, by = when.timestamp(), "a run of ours found no process with the old library"
        if "vulnerable" in kinds:
            said.setdefault(name, []).append(Proof(moment, False, by))
        if kinds[1] in ("fixed", "not_affected") and state in (State.PATCHED, State.ALREADY_PATCHED):
            said.setdefault(name, []).append(Proof(moment, True, by))
    for name, began, kept, about in history.exposures([each.id for each in advisories]):
        window, when = kept.get("window"), _moment(began)
        if about and name in nodes and when and isinstance(window, dict) and window.get("state") == OPEN:
            said.setdefault(name, []).append(Proof(when.timestamp(), False, "an earlier run of `exposure`"))
    return said


def earlier(history: History, advisories: Sequence[str]) -> tuple[dict[str, Leaked], dict[str, Before]]:
    """Return what exposure runs before one about these advisories saw: keys that had leaked by their digest, and by
    node what was certified there.
    """
    leaked: dict[str, Leaked] = {}
    before: dict[str, Before] = {}
    for node, began, kept, about in history.exposures(advisories):
        for item in (each for each in _items(kept) if each.get("verdict") == EXPOSED):
            digest, issued = item.get("key_sha256"), _moment(item.get("not_before"))
            when = issued or _there(kept, began)
            if not isinstance(digest, str) or when is None:
                continue
            serial = str(item.get("serial")) if issued else None
            seen = Leaked(node, str(item.get("path")), when, serial, item.get("sha256"), earlier=True, about=about)
            known = leaked.get(digest)
            if known is None or (not seen.about, seen.issued) < (not known.about, known.issued):
                leaked[digest] = seen
            for name in item["names"]:
                keys = before.setdefault(node, {}).setdefault(str(name), {})
                keys[digest] = min(when, keys.get(digest, when))
    return leaked, before


def _there(kept: Mapping, began: str) -> datetime | None:
    """Return when a key without a certificate was on its node for sure, as an earlier run saw it; None: not known."""
    window = kept.get("window")
    if not isinstance(window, dict):
        return None
    if window.get("state") == OPEN:
        return _moment(began)
    ended = window.get("until") or window.get("replaced")
    return _moment(ended.get("at")) if isinstance(ended, dict) else None


def for_report(history: History, run: str, advisories: Sequence[str]) -> tuple[dict, ...]:
    """Return what the last exposure runs about these advisories found on the nodes of a run, an item each
    (fleet.exposure_item.as_dict); () where none looked at them yet.
    """
    names = {node.name for node in history.nodes(run, steps=False)}
    last = {node: kept for node, _, kept, about in history.exposures(advisories) if about and node in names}
    return tuple(item for kept in last.values() for item in _items(kept))


def read(path, of: Callable[[History], object], otherwise):
    """Return what `of` makes of the journal at this path, `otherwise` where there is no journal yet."""
    if not path.exists():
        return otherwise
    with History(path) as history:
        return of(history)


def _items(kept: Mapping) -> list[dict]:
    """Return the items of a node that are whole; what somebody spoilt is passed over."""
    items = kept.get("items")
    return [each for each in items if isinstance(each, dict) and isinstance(each.get("names"), list)] \
        if isinstance(items, list) else []


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
