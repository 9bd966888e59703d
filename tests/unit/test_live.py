"""What is asked from outside: recorded answers of sslyze and nmap, real programs in their place, a real venv.

The connections are made up: what a node says of who answers TLS is tested in test_tls.py. tests/lab asks real servers.
"""

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from fleet import live, live_nmap, live_seen, live_sslyze, live_venv
from fleet.clock import Clock
from fleet.errors import LiveError, NodeError, NodeTimeoutError
from fleet.journal import Journal
from fleet.live import Asker, Live
from fleet.live_seen import Certificate, Seen
from fleet.node import Node, State
from fleet.patch import Patcher
from fleet.report import junit
from fleet.report.record import Check
from fleet.rollout import Gate, begun
from fleet.served import NOTHING
from fleet.settings import Settings
from fleet.ssh import Answer
from fleet.trip import Trip
from generator.tls import EVERY, FIRST, LAST, command

DATA = Path(__file__).parents[1] / "data"
SSLYZE = (DATA / "live_sslyze.json").read_bytes()
NMAP = (DATA / "live_nmap.xml").read_bytes()
NODE = Node("web1", "production", "192.0.2.1")
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def test_what_sslyze_saw_of_each_server():
    by, seen = live_sslyze.parse(SSLYZE)
    assert by == "sslyze 6.3.1"
    assert {port: each.bleeds for port, each in seen.items()} == {
        22: None, 443: False, 8440: True, 8441: False, 8442: False, 8444: False, 9999: None,
    }
    assert {port: each.protocol for port, each in seen.items() if each.protocol} == {
        443: "TLS 1.3", **dict.fromkeys((8440, 8441, 8442, 8444), "TLS 1.2"),
    }
    assert seen[8441].certificates == (
        Certificate("old.example", datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 4, 1, tzinfo=UTC)),
    )
    assert seen[9999] == Seen(9999, unreached="Server rejected the connection")
    assert seen[22].trouble.startswith("TLS probing failed: could not find a TLS version")
    assert seen[22].unreached is None


def test_what_nmap_saw_of_each_server():
    by, seen = live_nmap.parse(NMAP)
    assert by == "nmap 7.93"
    assert {port: each.bleeds for port, each in seen.items()} == {
        22: None, 8440: True, 8441: False, 8442: False, 9999: None,
    }
    assert b'portid="22"><state state="open"' in NMAP, "and nmap calls it not vulnerable"
    assert seen[22].trouble
    assert seen[9999].unreached == "closed (conn-refused)"
    assert seen[8441].certificates[0].ends == datetime(2014, 4, 1, tzinfo=UTC)


def altered(port: int, change) -> bytes:
    """The recorded answer with one server's result altered: no server here gives what these tests are about."""
    said = json.loads(SSLYZE)
    (result,) = [each for each in said["server_scan_results"] if each["server_location"]["port"] == port]
    change(result)
    return json.dumps(said).encode()


def test_a_heartbeat_that_was_not_asked_is_not_called_good():
    def failed(result):
        result["scan_result"]["heartbleed"] = {
            "status": "ERROR", "error_reason": "CONNECTIVITY_ISSUE", "result": None,
            "error_trace": 'Traceback\n  File\nsslyze.errors.TlsHandshakeTimedOut: 192.0.2.1:443 -> "It timed out".\n',
        }

    _, seen = live_sslyze.parse(altered(8442, failed))
    assert (seen[8442].bleeds, seen[8442].trouble) == (None, "It timed out")
    heartbeat = live_seen.checks(seen[8442], "sslyze", NOW)[0]
    assert heartbeat.outcome == "error"
    assert heartbeat.message.endswith("is unknown: It timed out")


def test_a_certificate_that_was_not_shown_is_told_and_no_fault():
    def hidden(result):
        result["scan_result"]["certificate_info"] = {"status": "ERROR", "result": None, "error_trace": None}

    _, seen = live_sslyze.parse(altered(8442, hidden))
    assert [check.outcome for check in live_seen.checks(seen[8442], "sslyze", NOW)] == ["passed", "passed", "skipped"]


def test_what_a_certificate_says_moves_no_cursor():
    def hostile(result):
        leaf = result["scan_result"]["certificate_info"]["result"]["certificate_deployments"][0]
        subject = leaf["received_certificate_chain"][0]["subject"]
        subject["attributes"][0]["value"] = "\x1b[2J\u202eevil\n" + "x" * 100_000

    _, seen = live_sslyze.parse(altered(8442, hostile))
    subject = seen[8442].certificates[0].subject
    assert len(subject) <= 120
    assert subject.startswith("?[2J?evil x")


@pytest.mark.parametrize("output", [
    b"", b"{}", b"[]", b"null", SSLYZE[:-40], b"[" * 100_000, SSLYZE.replace(b"true", b'"no"'),
    SSLYZE.replace(b"2014-04-01T00:00:00Z", b"never"), SSLYZE.replace(b'"scan_result"', b'"scan"'),
])
def test_an_answer_of_sslyze_that_is_not_whole_proves_nothing(output):
    with pytest.raises(NodeError, match=r"^sslyze gave no whole answer"):
        live_sslyze.parse(output)


@pytest.mark.parametrize("output", [
    b"", b"<nmaprun/>", NMAP[:-20], NMAP.replace(b'exit="success"', b'exit="error"'), SSLYZE,
    NMAP.replace(b'portid="22"', b'portid="all"'),
])
def test_an_answer_of_nmap_that_is_not_whole_proves_nothing(output):
    with pytest.raises(NodeError, match=r"^nmap gave no whole answer"):
        live_nmap.parse(output)


def test_certificates_out_of_their_time_are_told():
    def told(begins, ends):
        certificate = Certificate("web1", datetime(begins, 1, 1, tzinfo=UTC), datetime(ends, 1, 1, tzinfo=UTC))
        check = live_seen.checks(Seen(443, False, "TLS 1.3", (certificate,)), "sslyze 6.3.1", NOW)[-1]
        assert check.name == "from_outside_certificate[443]"
        return check.outcome, check.message.removeprefix("port 443: the certificate of web1 ")

    assert told(2025, 2030) == ("passed", "is valid until 2030-01-01")
    assert told(2013, 2014) == ("skipped", "expired on 2014-01-01")
    assert told(2028, 2030) == ("skipped", "is not valid before 2028-01-01")


def test_only_these_ports_are_asked():
    python = Path("/venv/bin/python")
    assert live_sslyze.words(python, "192.0.2.1", [443, 8443])[-2:] == ["192.0.2.1:443", "192.0.2.1:8443"]
    assert live_sslyze.words(python, "2001:db8::1", [443])[-1] == "[2001:db8::1]:443"
    words = live_nmap.words("192.0.2.1", [443, 8443])
    assert (words[words.index("-p") + 1], words[-1]) == ("443,8443", "192.0.2.1")
    assert "-6" in live_nmap.words("2001:db8::1", [443])


class Saying:
    """A connection to a node that says this of who answers TLS."""

    def __init__(self, *lines: str, peer: str | None = "192.0.2.1", truncated=False):
        self.answer = Answer(0, "\n".join([FIRST, *lines, LAST]).encode(), b"", truncated)
        self.peer = peer

    async def run(self, argv, *, stdin, **_):
        assert (argv, stdin) == (["sh", "-s"], command(EVERY).encode())
        return self.answer


PROVEN = Check("packages_are_fixed", "passed")


def asked(connection, program: str = "", parse=live_sslyze.parse) -> tuple[list[Check], list]:
    """The checks that come beside those of tests/infra, and what the program was called with; `program` is Python."""
    called = []

    def words(address, ports):
        called.append((address, list(ports)))
        return [sys.executable, "-c", program]

    async def prove(*_):
        return [PROVEN]

    async def asking():
        return await Live(prove, Asker(words, parse), lambda *_: None)(NODE, connection)

    first, *checks = asyncio.run(asking(), debug=True)
    assert first == PROVEN
    return checks, called


ECHO = f"import sys; sys.stdout.write(open({str(DATA / 'live_sslyze.json')!r}).read())"


def test_each_port_is_asked_once_and_those_of_the_loopback_not_at_all():
    lines = [
        "tls\t127.0.0.1\t8440\t*\t", "tls\t[::1]\t8440\t*\t", "tls\t127.0.0.1\t8443\t127.0.0.1\t",
        "tls\t[::1]\t8443\t[::1]\t",
        "tls\t192.0.2.1\t8441\t192.0.2.1\t", "tls\t127.0.0.1\t8441\t127.0.0.1\t", "tls\t127.0.0.1\t7\t*\t",
    ]
    checks, called = asked(Saying(*lines), ECHO)
    assert called == [("192.0.2.1", [7, 8440, 8441])]
    told = {check.name: check for check in checks}
    assert len(told) == len(checks) == 10
    assert told["from_outside[8443]"].outcome == "skipped"
    assert "bound to the loopback alone" in told["from_outside[8443]"].message
    assert told["from_outside_heartbeat[8440]"] == Check(
        "from_outside_heartbeat[8440]", "failed",
        "answers a heartbeat with memory it should not (CVE-2014-0160), port 8440",
    )
    assert told["from_outside_heartbeat[8441]"].outcome == "passed"
    assert told["from_outside_heartbeat[8441]"].message.endswith("says sslyze 6.3.1")
    assert told["from_outside_heartbeat[7]"].outcome == "error", "the program told nothing of it"


def test_a_port_that_a_firewall_keeps_from_us_is_told_and_no_fault():
    (check,), _ = asked(Saying("tls\t127.0.0.1\t9999\t*\t"), ECHO)
    assert check == Check(
        "from_outside[9999]", "skipped", "port 9999 is not reached from here: Server rejected the connection"
    )


@pytest.mark.parametrize(("connection", "outcome", "words"), [
    (Saying(), "skipped", "nothing on it answers TLS"),
    (Saying("mute"), "error", "there is no openssl on it"),
    (Saying("tls\t127.0.0.1\t443\t*\t", peer=None), "error", r"reached through another host, so its ports .* \(443\)"),
    (Saying("left\t3"), "error", "3 more of its listeners were not asked"),
    (Saying("sorry"), "error", "a line of no known form"),
    (Saying(truncated=True), "error", "is not whole"),
])
def test_where_nothing_is_asked_that_is_said(connection, outcome, words):
    (check,), called = asked(connection)
    assert called == []
    assert (check.name, check.outcome) == ("from_outside", outcome)
    assert live_seen.said([check]) == [check.message]
    assert re.search(words, check.message)


@pytest.mark.parametrize(("program", "words"), [
    ("import sys; sys.exit('no such option')", "ended with 1: no such option."),
    ("", "ended with 0: it says nothing."),
    ("print('{')", "sslyze gave no whole answer; nothing is proven from outside."),
    ("while True: print('x' * 65536)", "printed more than 16000000 bytes; nothing is proven from outside."),
])
def test_a_program_that_fails_proves_nothing(program, words):
    (check,), called = asked(Saying("tls\t127.0.0.1\t443\t*\t"), program)
    assert len(called) == 1
    assert check.outcome == "error"
    assert check.message.endswith(words)


def test_a_program_that_does_not_end_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(live, "SECONDS", 2)
    told = tmp_path / "pid"
    hang = f"import os, signal; open({str(told)!r}, 'w').write(str(os.getpid())); signal.pause()"
    with pytest.raises(NodeTimeoutError, match=r"did not end within 2 s"):
        asyncio.run(live.output_of([sys.executable, "-c", hang]))
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_a_program_that_is_not_there_is_said():
    with pytest.raises(NodeError, match=r"^nmap could not be started: No such file"):
        asyncio.run(live.output_of(["/nowhere/python", "nmap"]))


BLEEDS = Check("from_outside_heartbeat[443]", "failed", "answers a heartbeat, port 443")
UNPROVEN = Check("from_outside_heartbeat[443]", "error", "port 443: unknown")


@pytest.mark.parametrize(("kind", "check", "state", "error"), [
    ("fixed", BLEEDS, State.FAILED, BLEEDS.message),
    ("vulnerable", BLEEDS, State.FAILED, BLEEDS.message),
    ("fixed", UNPROVEN, State.UNKNOWN, UNPROVEN.message),
    ("vulnerable", UNPROVEN, State.FAILED, "still vulnerable: old"),
    ("fixed", Check("from_outside_certificate[443]", "skipped", "expired"), State.ALREADY_PATCHED, None),
    ("fixed", Check("from_outside_protocol[443]", "passed", "speaks TLS 1.3"), State.ALREADY_PATCHED, None),
])
def test_what_it_makes_of_a_node(tmp_path, monkeypatch, kind, check, state, error):
    async def prove(*_):
        return [PROVEN, check]

    monkeypatch.setattr(Trip, "verdict", lambda *_: SimpleNamespace(kind=kind, reason="old"))
    with Journal(tmp_path / "journal.db") as journal:
        journal.begin("r1", {}, NOW)
        patcher = Patcher(None, journal, "r1", Settings(), [], prove, lambda *_: None, converge=False)
        trip = Trip(patcher, NODE, begun(NODE), Gate())

        async def way():
            async with Clock(10) as trip.clock:
                await trip.prove(None, SimpleNamespace(counted=(), unread=0, reboots=()), serves=NOTHING)

        asyncio.run(way())
    record = trip.outcome.record
    assert (record.state, record.error) == (state, error)
    (said,) = [case for case in junit.suite(trip.outcome) if case.get("name") == check.name]
    tag = {"failed": "failure", "passed": "system-out"}.get(check.outcome, check.outcome)
    assert said.findtext(tag) == check.message


@pytest.fixture
def lock(tmp_path) -> Path:
    path = tmp_path / "requirements-live.lock"
    path.write_text("# nothing\n")
    return path


def test_the_venv_is_made_once_and_again_for_another_lock(lock, tmp_path):
    told, place = [], tmp_path / "a venv $here"
    python = live_venv.python(told.append, lock, place)
    assert live_venv.python(told.append, lock, place) == python
    assert told == ["installing sslyze into a venv $here, which --live asks with (once)"]
    (place / "of the old one").touch()
    lock.write_text("# nothing else\n")
    live_venv.python(told.append, lock, place)
    assert len(told) == 2
    assert not (place / "of the old one").exists()
    python.unlink()
    live_venv.python(told.append, lock, place)
    assert len(told) == 3


def test_a_lock_that_cannot_be_installed_is_one_sentence_and_leaves_no_venv(lock, tmp_path):
    lock.write_text("-r nowhere.txt\n")  # refused before any network is asked
    with pytest.raises(LiveError, match=r"^sslyze could not be installed into venv: .*nowhere\.txt.*\.$"):
        live_venv.python(lambda _: None, lock, tmp_path / "venv")
    assert not (tmp_path / "venv").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(lock, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LiveError, match=r"file/venv cannot be made: Not a directory\.$"):
        live_venv.python(lambda _: None, lock, tmp_path / "file" / "venv")


def test_nmap_asks_where_sslyze_cannot_be_had(monkeypatch, tmp_path):
    def refuse(tell):
        raise LiveError("sslyze could not be installed: no route.")

    told = []
    monkeypatch.setattr(live_venv, "python", refuse)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LiveError, match=r"no route; there is no nmap either, which would do in its place\.$"):
        live.asker(told.append)
    assert told == []
    (tmp_path / "nmap").touch(0o755)
    assert live.asker(told.append).parse is live_nmap.parse
    assert told == ["sslyze could not be installed: no route; nmap asks in its place"]


def test_every_file_of_the_lock_is_pinned_by_its_hash_and_no_address_is_in_it():
    text = live_venv.LOCK.read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert any(line.startswith("sslyze==") for line in pins)
    assert all("==" in line and line.endswith("\\") for line in pins)
    assert "://" not in text
