"""What an exposure run found, for a person and for programs."""

import json
from collections import Counter
from collections.abc import Iterator

from fleet.exposure_item import EXPOSED, ORDER, REISSUED, Item, as_dict, counts
from fleet.exposure_record import window_as_dict
from fleet.exposure_run import Result
from fleet.node import State
from fleet.text import clean
from fleet.window import CLOSED, NEVER, OPEN, UNPROVEN, Window

MOST = 500  # lines of one kind; programs get all of them
SLOW = 60  # seconds by which a clock may be off without a word


def lines(result: Result, whom: str) -> Iterator[str]:
    """Yield what there is to say: the one thing that matters first, then what needs a person, then nodes' windows."""
    yield conclusion(result, whom)
    bad = sorted((item for item in result.items if item.bad), key=lambda item: (ORDER.index(item.verdict), item.node))
    for item in bad[:MOST]:
        yield f"  {told(item)}"
    if len(bad) > MOST:
        yield f"  and {len(bad) - MOST} more: see --json"
    for outcome in result.outcomes:
        record = outcome.record
        if record.name not in result.windows and not (record.state.good or record.state is State.SKIPPED):
            yield f"  {clean(record.name, 100)} ({record.state}): {clean(record.error or 'it was not reached', 600)}"
    for name, window in list(result.windows.items())[:MOST]:
        yield f"{clean(name, 100)}  {said(window)}"


def conclusion(result: Result, whom: str) -> str:
    """Return what it comes to, in one sentence."""
    counted = Counter(item.verdict for item in result.items)
    about = clean(", ".join(result.advisories), 200)
    found = f"{counts(counted) or 'none found'}; {len(result.windows)} of {len(result.outcomes)} nodes looked at"
    exposed = {item.node for item in result.items if item.verdict in (EXPOSED, REISSUED)}
    if exposed:
        keys = {item.key_sha256 or item.path for item in result.items if item.verdict in (EXPOSED, REISSUED)}
        return (
            f"{clean(whom, 200)}: whoever used {about} may hold {some(len(keys), 'key')} of "
            f"{some(len(exposed), 'node')}; replace {'it' if len(keys) == 1 else 'them'} ({found})."
        )
    if result.exit_code == 0:
        return f"{clean(whom, 200)}: no key is exposed by {about} ({found})."
    return f"{clean(whom, 200)}: no key is known to be exposed by {about}, and not all is known ({found})."


def some(number: int, what: str) -> str:
    """Return so many of something, in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def told(item: Item) -> str:
    """Return one certificate or key in a line."""
    named = ", ".join(item.names[:3]) + (f" and {len(item.names) - 3} more" if len(item.names) > 3 else "")
    serial = item.serial and f"serial {item.serial}"
    what = "; ".join(each for each in (", ".join(item.services), named, serial) if each)
    where = " ".join(clean(each, 300) for each in (item.node, item.path or "") if each)
    return f"{where}{f' ({clean(what, 300)})' if what else ''}: {item.sentence}"


def said(window: Window) -> str:
    """Return a node's window in a sentence."""
    since = f"since {window.since}" if window.since else "since before its package manager's records"
    sentence = {
        OPEN: f"can be bled, {since}: {window.why}",
        CLOSED: f"could be bled {since}, until {window.until}",
        UNPROVEN: f"could be bled {since}; the fixed version came {window.replaced or 'at some time'}, and until when "
                  "processes ran the old one is not known",
        NEVER: f"could not be bled: {window.why}",
    }.get(window.state, f"nothing is known of when it could be bled: {window.why}")
    if abs(window.offset) > SLOW:
        sentence += f"; its clock is {abs(window.offset)} s {'ahead' if window.offset > 0 else 'behind'}"
    return clean(sentence, 600)


def as_json(result: Result, whom: str, server: str) -> str:
    """Return all of it as JSON, in ASCII, so that nothing in it can move a terminal that shows it."""
    nodes, by_node = [], {}
    for item in result.items:
        by_node.setdefault(item.node, []).append(as_dict(item))
    for outcome in result.outcomes:
        record = outcome.record
        window = result.windows.get(record.name)
        nodes.append({
            "name": record.name, "state": record.state.value, "error": record.error, "todo": outcome.todo,
            "window": window and window_as_dict(window),
            "certificates": by_node.get(record.name, []),
        })
    return json.dumps({
        "run": result.run, "whom": whom, "server": server, "advisories": list(result.advisories),
        "exit_code": result.exit_code, "nodes": nodes,
    }, indent=2)
