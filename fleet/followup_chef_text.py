"""Chef's own keys and what replaces them, for a person and for programs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from fleet.followup_chef import ORDER, Credential
from fleet.text import clean

RULE = "Run each command only if the one before it succeeded"
SEVERAL = f"{RULE}: nobody is locked out, because the old key is deleted last."
SINGLE = (
    f"{RULE}: this server keeps one key each, and reregister ends the old one, so that a node's runs fail until the "
    "command after it has put the new one in place."
)

EMBEDDED = (
    "Not looked at: the OpenSSL that chef-client from Chef's own packages brings along (/opt/chef/embedded). Where it "
    "was vulnerable, take a node's key for older whatever is said here, and upgrade chef-client first."
)


def lines(found: Sequence[Credential], whom: str, advisories: Sequence[str], several: bool) -> Iterator[str]:
    """Yield what it comes to, then each key that needs a person with its commands, one a line, to be copied.

    `several` is whether the server keeps several keys of a client.
    """
    counted = Counter(each.verdict for each in found)
    counts = ", ".join(f"{counted[verdict]} {verdict}" for verdict in ORDER if counted[verdict])
    about, bad = clean(", ".join(advisories), 200), [each for each in found if each.bad]
    if not bad:
        yield f"{clean(whom, 200)}: no key of Chef's is older than the patch for {about} ({counts})."
        yield EMBEDDED
        return
    yield f"{clean(whom, 200)}: replace {len(bad)} of {len(found)} keys of Chef's, after {about} ({counts})."
    if any(each.commands for each in bad):
        yield SEVERAL if several else SINGLE
    for each in bad:
        yield f"{each.kind} {clean(each.name, 250)} ({each.verdict}): {clean(each.why, 600)}."
        yield from (f"    {command}" for command in each.commands if command.isprintable())
    yield EMBEDDED


def as_json(found: Sequence[Credential], whom: str, server: str, advisories: Sequence[str]) -> str:
    """Return all of it as JSON, in ASCII."""
    keys = ("kind", "name", "verdict", "why", "commands")
    return json.dumps({
        "whom": whom, "server": server, "advisories": list(advisories),
        "keys": [{key: getattr(each, key) for key in keys} for each in found],
    }, indent=2)
