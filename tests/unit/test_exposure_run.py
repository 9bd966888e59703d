"""A run of `exposure` from a node's answer to what a person reads: over a real connection, with a journal."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from invoke import Config, Context

from fleet import exposure, exposure_record, exposure_run, exposure_text
from fleet.errors import SettingsError
from fleet.exposure_item import EXPOSED, UNKNOWN, Item, as_dict
from fleet.exposure_run import Result
from fleet.history import History
from fleet.journal import Journal
from fleet.node import Node, State
from fleet.rollout import begun
from fleet.settings import Settings, load
from fleet.ssh import Connections, SshSettings
from fleet.verbs.exposure import exposure as verb
from fleet.window import CLOSED, NEVER, OPEN, UNPROVEN, UNSEEN, Moment, Window
from generator import advisory

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MOMENT = Moment(NOW.timestamp(), "us")
IDS = ["CVE-2014-0160"]
ABOUT = {"verb": "patch", "advisories": IDS}


def node(name="web1"):
    return Node(name, "production", "192.0.2.1", "debian", "7")


def heartbleed():
    return advisory.load(["heartbleed"])


@pytest.fixture
def book(tmp_path):
    with Journal(tmp_path / "j.db") as book:
        yield book


def ended(book, run, state, before, after, name="web1", at="2026-01-05T00:00:00.000Z", verb="patch"):
    """Write down a run of that verb in which the node ended so."""
    book.begin(run, {"verb": verb, "advisories": IDS}, NOW)
    book.node(run, name, 1, state, {"packages_before": before, "packages_after": after})
    book.step(run, name, "prove")
    book.write("UPDATE step SET at = ? WHERE run = ?", at, run)


OLD, NEW = {"libssl1.0.0": "1.0.1e-2+deb7u4"}, {"libssl1.0.0": "1.0.1e-2+deb7u5"}


def test_earlier_runs_prove_when_a_node_was_in_order(book):
    ended(book, "r1", "patched", OLD, NEW, at="2026-01-05T00:00:00.000Z")
    ended(book, "r2", "stale", NEW, NEW, at="2026-01-06T00:00:00.000Z")
    ended(book, "r3", "already_patched", NEW, NEW, at="2026-01-07T00:00:00.000Z", verb="verify")
    ended(book, "r4", "failed", OLD, OLD, at="2026-01-04T00:00:00.000Z")
    ended(book, "r5", "patched", NEW, NEW, name="other")
    ended(book, "r6", "already_patched", NEW, NEW, verb="exposure")  # which proves nothing
    book.exposure("r6", "web1", {"window": {"state": OPEN}, "items": []})
    with History(book.path) as history:
        found = exposure_record.proofs(history, heartbleed(), {"web1": node()})["web1"]
    days = [(datetime.fromtimestamp(proof.at, UTC).day, proof.good) for proof in found]
    assert days == [(4, False), (5, False), (5, True), (7, True), (2, False)]


def test_what_is_kept_is_known_again_and_goes_into_a_report(book):
    item = Item(
        "web1", "/t/1", ("nginx",), EXPOSED, "so", "CN=a", ("a.example",), "CN=a", "1", "s1", "k1", NOW, NOW,
    )
    facts = exposure.Facts(node(), None, Window(CLOSED, until=MOMENT), {}, {})
    for run in ("r1", "r2"):
        book.begin(run, ABOUT, NOW)
        book.node(run, "web1", 0, "failed", {})
    book.exposure("r1", "web1", exposure_record.found(facts, [item]))
    book.exposure("r1", "other", exposure_record.found(facts, [item]))
    book.exposure("r2", "web9", {"items": [1, {"names": "no"}], "window": 7})
    with History(book.path) as history:
        leaked, names = exposure_record.earlier(history, IDS)
        told = exposure_record.for_report(history, "r2", IDS)
    assert (leaked["k1"].issued, leaked["k1"].serial, names["web1"]) == (
        NOW, "1", {"a.example": {"k1": NOW}},
    )
    assert [(each["node"], each["sentence"][:7]) for each in told] == [("web1", "exposed")]


def test_a_key_alone_that_an_earlier_run_saw_is_kept_too(book):
    """It has no date but its file's, which says nothing any more once the file was written again."""
    key = as_dict(Item("web1", "/k", ("nginx",), EXPOSED, "so", key_sha256="k1"))
    for number, window in enumerate((
        {"state": OPEN}, {"state": CLOSED, "until": {"at": "2026-01-03T00:00:00.000Z"}},
        {"state": UNPROVEN, "until": None, "replaced": {"at": "2026-01-04T00:00:00.000Z"}}, {"state": NEVER}, 7,
    )):
        book.begin(f"r{number}", ABOUT, NOW)
        book.exposure(f"r{number}", "web1", {"window": window, "items": [key | {"key_sha256": f"k{number}"}]})
    book.begin("other", ABOUT | {"advisories": ["CVE-1"]}, NOW - timedelta(days=1))
    book.exposure("other", "web1", {"window": {"state": OPEN}, "items": [key | {"key_sha256": "k0"}]})
    with History(book.path) as history:
        leaked, _ = exposure_record.earlier(history, IDS)
    assert {key: (seen.issued.day, seen.serial, seen.earlier) for key, seen in leaked.items()} == {
        "k0": (2, None, True), "k1": (3, None, True), "k2": (4, None, True),
    }
    assert leaked["k0"].about  # rather than what was seen before it for another advisory


def test_what_could_be_bled_by_another_advisory_proves_nothing(book):
    book.begin("r1", ABOUT | {"advisories": ["CVE-2024-5535"]}, NOW)
    book.exposure("r1", "web1", {"window": {"state": OPEN}, "items": []})
    with History(book.path) as history:
        assert exposure_record.proofs(history, heartbleed(), {"web1": node()}) == {}


def test_a_recipes_result_proves_what_its_packages_are(reachable, monkeypatch, tmp_path):
    """One that ran for another advisory, before the fix was there, may have left nothing stale all the same."""
    good = {"status": "success", "stale_after": [], "unread": 0, "finished": "2026-01-02T00:00:00Z",
            "packages_after": NEW | {"openssl:amd64": "1.0.1e-2+deb7u5", "bash": "1"}}
    left = [{"kind": "service"}]
    results = [
        good, *(good | {"packages_after": packages} for packages in (OLD, {}, {"libssl1.0.0": 7})),
        good | {"status": "failure"}, good | {"stale_after": left}, good | {"finished": "0001-01-01T00:00:00+23:00"},
        {key: value for key, value in good.items() if key != "packages_after"},
    ]
    monkeypatch.setattr(exposure.converge, "RESULT", str(tmp_path / "result.json"))
    enquirer = exposure.Enquirer(None, None, "r1", Settings(env="production"), heartbleed(), {})

    async def run():
        async with reachable() as (server, _):
            ways = Connections(SshSettings(user="ops", port=server.port, connect_timeout=10))
            there = Node("web1", "production", "127.0.0.1", "debian", "7")
            async with ways as connections, await connections.connect(there) as connection:
                found = [await enquirer.recipe(connection, node(), 0)]  # there is none
                for result in results:
                    (tmp_path / "result.json").write_text(json.dumps(result))
                    found.append(await enquirer.recipe(connection, node(), 60))
                return found

    found = asyncio.run(run())
    assert [bool(each) for each in found] == [False, True, *[False] * (len(results) - 1)]
    assert (found[1].at, found[1].good) == (NOW.timestamp() - 60, True)


def windows_of(state, **more):
    return Window(state, why="because", **more)


@pytest.mark.parametrize(("window", "verdicts", "state"), [
    (windows_of(CLOSED), [EXPOSED, UNKNOWN], State.FAILED), (windows_of(NEVER), [EXPOSED], State.FAILED),
    (windows_of(CLOSED), [UNKNOWN], State.UNKNOWN), (windows_of(UNPROVEN), [], State.UNKNOWN),
    (windows_of(UNSEEN), [], State.UNKNOWN), (windows_of(UNSEEN, until=MOMENT), [], State.ALREADY_PATCHED),
    (windows_of(OPEN), [], State.FAILED), (windows_of(CLOSED), [], State.ALREADY_PATCHED),
    (windows_of(NEVER), [], State.NOT_AFFECTED),
])
def test_how_a_node_ends(window, verdicts, state):
    outcome = begun(node())
    exposure_run.end(outcome, window, [Item("web1", "/t", (), verdict, "so") for verdict in verdicts])
    assert outcome.record.state is state
    assert bool(outcome.record.error) == (not state.good)
    assert bool(outcome.todo) == (not state.good)


def result(*items, state=State.FAILED, window=None):
    outcome = begun(node(), state=state)
    return Result("r1", ("CVE-1",), (outcome,), {"web1": window or Window(CLOSED, until=MOMENT)}, items)


def test_what_matters_comes_first_and_nothing_moves_a_terminal():
    evil = "\x1b[2J\u202ex"
    bad = Item(evil, evil, (evil,), EXPOSED, evil, evil, (evil,), evil, "1", "s", "k", NOW, NOW)
    good = Item("web1", "/t/2", ("nginx",), "rekeyed", "so", serial="2")
    found = result(good, bad, window=Window(CLOSED, until=Moment(NOW.timestamp(), evil), offset=90))
    lines = list(exposure_text.lines(found, evil))
    assert all(line.isprintable() for line in lines)
    assert "whoever used CVE-1 may hold 1 key of 1 node; replace it (1 exposed, 1 rekeyed; 1 of 1" in lines[0]
    assert "exposed: " in lines[1]
    assert "/t/2" not in lines[1]
    assert "it has expired" in lines[1]
    assert "its clock is 90 s ahead" in lines[2]
    assert exposure_text.as_json(found, evil, evil).isascii()
    assert json.loads(exposure_text.as_json(found, "x", "y"))["nodes"][0]["window"]["clock_ahead"] == 90


@pytest.mark.parametrize(("window", "said"), [
    (Window(OPEN, Moment(0, "dpkg's log"), why="it runs"),
     "can be bled, since 1970-01-01T00:00:00Z (dpkg's log): it runs"),
    (Window(CLOSED, until=MOMENT),
     "could be bled since before its package manager's records, until 2026-01-02T00:00:00Z (us)"),
    (Window(UNPROVEN), "the fixed version came at some time, and until when processes ran the old one is not known"),
    (Window(NEVER, why="new"), "could not be bled: new"),
    (Window(UNSEEN, why="no log"), "nothing is known of when it could be bled: no log"),
])
def test_windows_in_words(window, said):
    assert said in exposure_text.said(window)


def test_nothing_exposed_and_nothing_known():
    assert "no key is exposed by CVE-1 (none found" in exposure_text.conclusion(result(state=State.NOT_AFFECTED), "x")
    assert "and not all is known" in exposure_text.conclusion(result(state=State.UNKNOWN), "x")


ADVISORY = """
id = "TEST-LEAK"
title = "Equipment of a test"
coverage = "every OpenSSL there is"
libraries = ["libssl", "libcrypto"]
services = ["nginx"]
lab = true
[leaks]
what = "memory"
libraries = ["libssl"]
source = "this test"
[upstream]
before = [["0", "99.0.0"]]
fixed = ["99.0.0"]
source = "this test"
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may read keys")
def test_a_run_over_a_real_connection(reachable, book, tmp_path):
    """The node is this machine: whatever it has is bled by an advisory that says so, the more so what a user names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(77)
        .not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9)).sign(key, SHA256())
    )
    place = tmp_path / "tls"
    place.mkdir()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (place / "a.pem").write_bytes(made.public_bytes(Encoding.PEM) + private)
    (tmp_path / "leak.toml").write_text(ADVISORY)
    settings = Settings(env="production", certificate_directories=(str(place),))

    async def run():
        async with reachable() as (server, _):
            there = Node("web1", "production", "127.0.0.1", "debian", "12")
            gone = Node("gone", "production", "x y", "debian", "12")
            ways = Connections(SshSettings(user="ops", port=server.port, connect_timeout=10))
            return await exposure.ask(settings, ways, book, "r1", advisory.load([str(tmp_path / "leak.toml")]),
                                      [there, gone], {}, lambda outcome: None)

    book.begin("r1", ABOUT, NOW)
    outcomes, facts = asyncio.run(run())
    said = {outcome.record.name: outcome.record.error for outcome in outcomes}
    assert "neither an IP address" in said["gone"]
    with History(book.path) as history:  # as a run leaves it that is cut off now
        kept = {line.name: line for line in history.nodes("r1")}
    assert (kept["web1"].state, kept["gone"].state) == ("unknown", "unreachable")
    assert "read and not judged yet" in kept["web1"].record["error"]
    assert set(facts) == {"web1"}, said
    found = facts["web1"]
    assert found.window.offset == 0
    assert [one.serial for one in found.certificates.values() if one.names == ("a.example",)] == ["4d"]
    assert found.found.files[str(place / "a.pem")].keys
    assert [name for whom, name, _ in book.steps("r1") if whom == "web1"] == [
        "connect", "look", "list certificates and keys",
    ]


def test_an_advisory_that_leaks_nothing_is_told_in_one_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("STYPTIC_STATE", str(tmp_path / "j.db"))
    verb(Context(Config()), env="production", advisory=["CVE-2020-1967"])
    assert capsys.readouterr().out == (
        "CVE-2020-1967: nothing leaks by it, so no key or certificate has to be replaced for it.\n"
    )
    assert not (tmp_path / "j.db").exists()


def test_directories_are_checked_where_they_are_said():
    assert load({"directory": ["/srv/tls", "/srv/tls"]}).certificate_directories == ("/srv/tls",)
    assert load({}, {"certificate_directories": "/srv/tls"}).certificate_directories == ("/srv/tls",)
    for wrong in ("srv", "/a b", "/$(x)"):
        with pytest.raises(SettingsError, match=r"^--directory must be absolute paths"):
            load({"directory": [wrong]})
