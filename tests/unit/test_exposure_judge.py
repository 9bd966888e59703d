"""Which certificates are exposed, rekeyed or reissued with the same key: on one node, between nodes, between runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fleet import exposure_judge
from fleet.exposure import Facts, ahead
from fleet.exposure_certificate import Certificate
from fleet.exposure_item import EXPOSED, REISSUED, REKEYED, SAFE, UNKNOWN, as_dict
from fleet.exposure_judge import Leaked
from fleet.node import Node
from fleet.window import CLOSED, NEVER, OPEN, UNPROVEN, UNSEEN, Moment, Window
from fleet.window import UNKNOWN as UNJUDGED
from generator.exposure import ENCRYPTED, UNREAD, File, Found, Named

PATCHED = datetime(2026, 1, 10, tzinfo=UTC)
BEFORE, AFTER = PATCHED - timedelta(days=9), PATCHED + timedelta(days=1)
MOMENT = Moment(PATCHED.timestamp(), "us")
WINDOWS = {
    OPEN: Window(OPEN, why="nginx runs it"), CLOSED: Window(CLOSED, replaced=MOMENT, until=MOMENT),
    UNPROVEN: Window(UNPROVEN, replaced=MOMENT), NEVER: Window(NEVER, why="it was new"),
    UNSEEN: Window(UNSEEN, why="no log"), "seen since": Window(UNSEEN, until=MOMENT, why="no log"),
    UNJUDGED: Window(UNJUDGED, why="no row"),
}


def certificate(serial, key, issued, name="a.example", authority=False):
    end = issued + timedelta(days=3650)
    return Certificate(f"CN={name}", (name,), "CN=ca", serial, f"sha-{serial}", key, issued, end, issued, authority)


def facts(state, used=(), kept=(), keys=(), name="web1", service="nginx", named=(), **found):
    """Return a node's facts: `used` and `kept` are lists of certificates, a file each, `keys` digest and time."""
    files, certificates, by_file = {}, {}, {}
    for role, several in ((True, used), (False, kept)):
        for each in several:
            inside = each if isinstance(each, list) else [each]
            path = f"/t/{inside[0].serial}"
            files[path] = File(path, None, role, True)
            by_file[path] = tuple(one.sha256 for one in inside)
            certificates |= {one.sha256: one for one in inside}
    for digest, moment in keys:
        path = f"/k/{digest}"
        files[path] = File(path, moment and int(moment.timestamp()), True, True, keys=[digest])
        by_file[path] = ()
    names = [Named(service, path, path, "/etc/x.conf") for path, file in files.items() if file.used]
    answer = Found(0, named=[*names, *named], files=files, **found)
    return Facts(Node(name, "production"), answer, WINDOWS[state], certificates, by_file)


def judged(*nodes, earlier=None, before=None):
    """Return what is said of the first node's, by serial or path."""
    keys = exposure_judge.leaked(nodes, earlier or {})
    return {item.serial or item.path: item for item in exposure_judge.items(nodes[0], keys, before or {})}


def verdicts(*nodes, **known):
    return {what: item.verdict for what, item in judged(*nodes, **known).items()}


@pytest.mark.parametrize(("state", "old", "new"), [
    (OPEN, EXPOSED, EXPOSED), (CLOSED, EXPOSED, REKEYED), (UNPROVEN, EXPOSED, UNKNOWN), (NEVER, SAFE, SAFE),
    (UNSEEN, UNKNOWN, UNKNOWN), ("seen since", UNKNOWN, SAFE), (UNJUDGED, UNKNOWN, UNKNOWN),
])
def test_before_and_after_the_patch(state, old, new):
    node = facts(state, [certificate("1", "k1", BEFORE), certificate("2", "k2", AFTER)], keys=[("k2", AFTER)])
    assert verdicts(node) == {"1": old, "2": new}


def test_the_classic_mistake_is_seen_by_a_backup_a_key_file_another_node_and_an_earlier_run():
    new = certificate("2", "k1", AFTER)
    backup = facts(CLOSED, [new], kept=[certificate("1", "k1", BEFORE)])
    by_file = facts(CLOSED, [new], keys=[("k1", BEFORE)])
    alone = facts(CLOSED, [new], keys=[("k1", AFTER)])
    other = facts(CLOSED, [certificate("1", "k1", BEFORE)], name="web2")
    earlier = {"k1": Leaked("web9", "/t/1", BEFORE, "1", "sha-1")}
    assert verdicts(backup)["2"] == verdicts(by_file)["2"] == verdicts(alone, other)["2"] == REISSUED
    assert verdicts(alone, earlier=earlier)["2"] == REISSUED
    assert verdicts(alone)["2"] == REKEYED
    wrong = {"k1": Leaked("web1", "/t/2", AFTER, "2", "sha-2")}  # an earlier run knew no end of the window yet
    assert verdicts(alone, earlier=wrong)["2"] == REKEYED
    item = judged(backup)["2"]
    assert (item.exposed, item.key_reused) == (True, True)
    older = "its key is that of the certificate 1 of 2026-01-01 00:00 UTC in /t/1 on web1"
    assert f"{older}. To do: make a NEW key" in item.sentence
    assert "/k/k1 on web1, which was last written 2026-01-01" in judged(by_file)["2"].sentence


def test_a_new_key_is_known_by_an_older_certificate_of_the_name_or_the_time_of_its_file():
    new = certificate("2", "k2", AFTER)
    older = facts(CLOSED, [new], kept=[certificate("1", "k1", BEFORE)])
    assert "not that of the certificate 1 in /t/1; revoke that one" in judged(older)["2"].sentence
    assert verdicts(older)["2"] == REKEYED
    assert verdicts(facts(CLOSED, [new], kept=[certificate("1", "k1", BEFORE, "b.example")]))["2"] == UNKNOWN
    assert verdicts(facts(CLOSED, [new]))["2"] == UNKNOWN
    assert verdicts(facts(CLOSED, [new]), before={"a.example": {"k1": BEFORE}})["2"] == REKEYED
    assert verdicts(facts(CLOSED, [new]), before={"a.example": {"k2": BEFORE}})["2"] == UNKNOWN


def test_a_new_key_is_not_known_by_another_certificate_from_after_the_patch():
    """As where one name has an RSA and an ECDSA certificate, both issued anew."""
    both = [certificate("1", "k1", AFTER), certificate("2", "k2", AFTER + timedelta(minutes=1))]
    assert verdicts(facts(CLOSED, both)) == {"1": UNKNOWN, "2": UNKNOWN}
    assert verdicts(facts(CLOSED, [both[1]]), before={"a.example": {"k1": AFTER}})["2"] == UNKNOWN


def test_what_an_earlier_run_saw_of_a_key_alone_or_about_another_advisory():
    new = facts(CLOSED, keys=[("k1", AFTER)])
    alone = Leaked("web1", "/k/k1", BEFORE, earlier=True)
    assert verdicts(new) == {"/k/k1": REKEYED}
    assert verdicts(new, earlier={"k1": alone}) == {"/k/k1": EXPOSED}
    assert "/k/k1 on web1, where an earlier run saw it" in judged(new, earlier={"k1": alone})["/k/k1"].sentence
    # On a node of now its date counts, whatever it was about; on another the advisory has to be one of these.
    assert verdicts(new, earlier={"k1": replace(alone, about=False)}) == {"/k/k1": EXPOSED}
    assert verdicts(new, earlier={"k1": replace(alone, about=False, issued=AFTER)}) == {"/k/k1": REKEYED}
    assert verdicts(new, earlier={"k1": replace(alone, node="web9")}) == {"/k/k1": EXPOSED}
    assert verdicts(new, earlier={"k1": replace(alone, node="web9", about=False)}) == {"/k/k1": REKEYED}


def test_one_certificate_on_two_nodes_is_exposed_where_either_could_be_bled():
    shared = certificate("1", "k1", AFTER)
    safe, open_still = facts(CLOSED, [shared], keys=[("k1", AFTER)]), facts(OPEN, [shared], name="web2")
    assert verdicts(safe) == {"1": REKEYED}
    assert verdicts(safe, open_still) == {"1": EXPOSED}
    assert verdicts(facts(NEVER, [shared]), open_still) == {"1": EXPOSED}


def test_a_chain_is_nobodys_unless_its_key_is_here():
    leaf, authority = certificate("1", "k1", BEFORE), certificate("9", "k9", BEFORE, "ca", authority=True)
    assert verdicts(facts(CLOSED, [[leaf, authority]])) == {"1": EXPOSED}
    assert verdicts(facts(CLOSED, [[leaf, authority]], keys=[("k9", AFTER)])) == {"1": EXPOSED, "9": EXPOSED}
    # As certbot's chain.pem, or a store that the user names; a service that names one means its own.
    assert verdicts(facts(CLOSED, [authority], service="letsencrypt")) == {}
    assert verdicts(facts(CLOSED, [authority])) == {"9": EXPOSED}


def test_keys_without_a_certificate_have_the_time_of_their_file_alone():
    node = facts(CLOSED, keys=[("k1", BEFORE), ("k2", AFTER), ("k3", None)])
    assert verdicts(node) == {"/k/k1": EXPOSED, "/k/k2": REKEYED, "/k/k3": UNKNOWN}
    assert "those who know the old one" in judged(node)["/k/k1"].sentence
    assert verdicts(facts(OPEN, keys=[("k1", AFTER)])) == {"/k/k1": EXPOSED}
    assert verdicts(facts(NEVER, keys=[("k1", BEFORE)])) == {"/k/k1": SAFE}


def test_sshds_keys_are_named_by_the_digest_that_ssh_keygen_shows():
    node = facts(CLOSED, keys=[("k1", BEFORE)])
    file = node.found.files["/k/k1"]
    file.keys, file.host_key = [], b"blob"
    item = judged(node)["/k/k1"]
    assert (item.verdict, item.key_sha256[:8]) == (EXPOSED, "fa2c8cc4")


@pytest.mark.parametrize("shut", [ENCRYPTED, UNREAD])
def test_a_key_that_cannot_be_read_is_unknown_unless_its_certificate_was_judged(shut):
    assert verdicts(facts(CLOSED, keys=[(shut, AFTER)])) == {f"/k/{shut}": UNKNOWN}
    assert verdicts(facts(CLOSED, [certificate("1", "k1", BEFORE)], keys=[(shut, AFTER)])) == {"1": EXPOSED}
    both = facts(CLOSED, [certificate("1", "k1", BEFORE)], keys=[(shut, AFTER), ("k1", BEFORE)])
    assert verdicts(both) == {"1": EXPOSED, f"/k/{shut}": UNKNOWN}
    more = facts(CLOSED, [certificate("1", "k1", BEFORE)], keys=[(shut, AFTER)])
    more.by_file["/k/2"] = ()
    more.found.files["/k/2"] = File("/k/2", None, True, True, keys=[shut])  # one of the two has no certificate
    assert verdicts(more) == {"1": EXPOSED, f"/k/{shut}": UNKNOWN, "/k/2": UNKNOWN}


def test_what_could_not_be_looked_at_is_unknown_and_says_why():
    gone = Named("nginx", "/t/gone", None, "/etc/nginx/nginx.conf")
    node = facts(NEVER, named=[gone], left=2, elsewhere=3, mute=True)
    node.found.files["/t/odd"] = File("/t/odd", None, True, True, known=False)
    node.found.files["/t/big"] = File("/t/big", None, True, False)
    node.by_file.update({"/t/odd": (), "/t/big": ()})
    items = [*exposure_judge.items(node, {}, {})]
    assert {item.verdict for item in items} == {UNKNOWN}
    said = " ".join(item.sentence for item in items)
    for why in ("/etc/nginx/nginx.conf names it, and there is no such file", "no openssl that works", "2 files or",
                "3 processes of containers", "openssl can read", "first megabyte"):
        assert why in said
    assert len(items) == 6


def test_an_item_as_programs_get_it():
    found = as_dict(judged(facts(CLOSED, [certificate("1", "k1", BEFORE)]))["1"])
    assert (found["not_before"], found["exposed"], found["key_reused"]) == ("2026-01-01T00:00:00Z", True, None)
    assert set(found) == {
        "node", "path", "services", "verdict", "exposed", "key_reused", "subject", "names", "issuer", "serial",
        "sha256", "key_sha256", "not_before", "not_after", "sentence",
    }


def test_how_far_a_clock_is_ahead():
    assert ahead(1000, 999.5, 1003.2) == ahead(1003, 999.5, 1003.2) == ahead(999, 999.5, 1003.2) == 0
    assert (ahead(1100, 1000.0, 1001.0), ahead(900, 1000.0, 1001.0)) == (99, -100)
