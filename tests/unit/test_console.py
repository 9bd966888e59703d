"""What a rollout shows: a line a node in a pipe, a table on a real pseudo-terminal, nothing that a node smuggles."""

import io
import os
import pty
import re
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import console
from fleet.node import Node, State
from fleet.report import conclusion
from fleet.report.record import Outcome
from fleet.rollout import Rollout, begun

HOSTILE = "\x1b[2J\x1b]0;root\x07\u202e<b>[red]" + "x" * 100_000
# The control sequences that rich's table is made of: colours, erasing a line, going up, hiding the cursor.
RICH = re.compile(r"\x1b\[(?:[0-9;]*m|2K|1A|\?25[lh])|\r")


def ended(name="web1", state=State.PATCHED, error=None, todo=None, seconds=1.23, **values) -> Outcome:
    outcome = begun(Node(name, "production", "192.0.2.1"), int(state is not State.SKIPPED), state, error)
    outcome.todo, outcome.record.seconds = todo, seconds
    outcome.record.started = None if state in (State.NOT_AFFECTED, State.SKIPPED) else datetime(2026, 1, 2, tzinfo=UTC)
    for key, value in values.items():
        setattr(outcome.record, key, value)
    return outcome


class Terminal:
    """A pseudo-terminal: `stream` is what a program writes to, `seen()` ends it and returns what arrived."""

    def __init__(self):
        self.master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.arrived = bytearray()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        try:
            while piece := os.read(self.master, 65536):
                self.arrived += piece
        except OSError:  # EIO: nobody holds the other end any more
            pass

    def seen(self) -> str:
        self.stream.close()
        self.reader.join(30)
        os.close(self.master)
        return self.arrived.decode()


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def terminal(environment):
    return Terminal()


def test_a_pipe_sees_one_line_a_node():
    stream = io.StringIO()
    shown = console.for_stream(stream)
    shown.begin(2)
    shown.wave("wave 1 of 2: a canary")
    shown.step("web1", "converge")
    shown.ended(ended(
        packages_before={"libssl3": "3.0.15", "openssl": "3.0.17"}, actions=["restarted nginx"],
        packages_after={"libssl3": "3.0.17", "openssl": "3.0.17", "libssl1.1": "1.1.1w"},
    ))
    shown.ended(ended("web2", State.FAILED, "chef-client ended with 1:\nno mirror"))
    shown.ended(ended("web3", State.ALREADY_PATCHED, packages_after={"openssl": "3.0.17"}))
    shown.close()
    assert stream.getvalue() == (
        "wave 1 of 2: a canary\n"
        "web1  patched  1.2 s  libssl1.1 absent -> 1.1.1w; libssl3 3.0.15 -> 3.0.17; restarted nginx\n"
        "web2  failed  1.2 s  chef-client ended with 1: no mirror\n"
        "web3  already_patched  1.2 s\n"
    )


def test_quiet_leaves_all_to_the_conclusion():
    stream = io.StringIO()
    shown = console.for_stream(stream, quiet=True)
    shown.begin(1)
    shown.wave("wave 1 of 2: a canary")
    shown.ended(ended())
    shown.close()
    assert stream.getvalue() == ""


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.sampled_from(State))
def test_whatever_a_node_says_is_one_line(text, state):
    stream = io.StringIO()
    outcome = ended(
        text, state, text or None, text, packages_before={text: "1"}, packages_after={text: text}, actions=[text]
    )
    console.Lines(stream).ended(outcome)
    assert stream.getvalue().removesuffix("\n").isprintable()


def test_a_hostile_node_stays_short_and_harmless():
    hostile = ended(
        HOSTILE, State.FAILED, HOSTILE, HOSTILE, packages_before={"openssl": "1"}, packages_after={HOSTILE: HOSTILE}
    )
    stream = io.StringIO()
    console.Lines(stream).ended(hostile)
    rollout = Rollout({HOSTILE: hostile})
    for line in [stream.getvalue()[:-1], *conclusion.conclusion(rollout, HOSTILE)]:
        assert line.isprintable()
        assert len(line) < 1000
    hostile.record.error = None
    assert len(conclusion.told(hostile)) < 1000


@pytest.mark.parametrize("breaks", ["pipe", "disk"])
def test_a_stream_that_takes_no_more_ends_nothing(breaks):
    if breaks == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(writer, "w") as stream:
        shown = console.for_stream(stream)
        for number in range(3):
            shown.ended(ended(f"web{number}"))
        shown.say("x" * 100_000)


def test_a_terminal_sees_a_table_a_bar_and_what_needs_a_person(terminal):
    shown = console.for_stream(terminal.stream)
    assert isinstance(shown, console.Live)
    shown.begin(4)
    shown.wave("wave 1 of 2: a canary")
    shown.step("web1", "connect")
    shown.step("web8", "look")
    shown.step("web8", "")
    shown.step("web9", "converge")
    shown.live.refresh()
    shown.ended(ended("web1", actions=["restarted nginx"]))
    shown.ended(ended("web2", State.FAILED, "no chef-client on it"))
    shown.ended(ended("win1", State.SKIPPED, "not a platform"))
    shown.live.refresh()
    shown.close()
    plain = RICH.sub("", terminal.seen())
    assert "wave 1 of 2: a canary\n" in plain
    assert "web8" not in plain, "it waits for its wave"
    assert "web9  converge" in plain
    assert "restarted nginx" in plain
    assert "3/4" in plain
    assert "web2  failed  no chef-client on it\n" in plain, "above the table, for good"
    assert "win1  skipped  not a platform\n" not in plain


def test_a_table_with_every_node_stays_and_a_larger_one_goes(environment):
    stands = []
    for count in (3, 40):
        terminal = Terminal()
        shown = console.for_stream(terminal.stream)
        shown.begin(count)
        for number in range(count):
            shown.ended(ended(f"web{number}"))
        shown.close()
        # Going up a line and erasing it is how rich takes a table away: more often than it drew anew when it is gone.
        after = terminal.seen().rpartition(f"{count}/{count}")[2]
        stands.append("\x1b[1A" not in after)
    assert stands == [True, False]


@pytest.mark.parametrize("columns", [45, 60, 80])
def test_a_narrow_terminal_cuts_what_was_done_not_who_and_how(environment, columns):
    environment.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    shown = console.for_stream(terminal.stream)
    shown.begin(2)
    shown.ended(ended("web1.example", packages_before={"libssl3": "1"}, packages_after={"libssl3": "2" * 200}))
    shown.step("web2.example", "wait for chef-client")
    shown.close()
    lines = RICH.sub("", terminal.seen()).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert any(re.match(r" web1.example +patched +1.2 ", line) for line in lines)
    assert any(line.split() == ["web2.example", "wait", "for", "chef-client"] for line in lines)


def test_a_hostile_node_moves_no_terminal(terminal):
    shown = console.for_stream(terminal.stream)
    shown.begin(3)
    shown.step(HOSTILE, "connect")
    shown.live.refresh()
    shown.ended(ended(HOSTILE, State.FAILED, HOSTILE))
    shown.ended(ended("b", State.PATCHED, packages_before={"o": "1"}, packages_after={"o": HOSTILE}, actions=[HOSTILE]))
    shown.live.refresh()
    shown.close()
    seen = terminal.seen()
    rest = RICH.sub("", seen).replace("\n", "")
    assert rest.isprintable()
    assert "[red]" in rest, "markup of a node is text"
    assert len(seen) < 20_000


def test_a_terminal_that_hangs_up_ends_nothing(environment):
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        shown = console.for_stream(stream)
        shown.begin(2)
        os.close(master)  # what is written from here on fails with EIO
        shown.ended(ended("web1", State.FAILED, "x"))
        shown.live.refresh()
        shown.close()
        shown.say("over")


@pytest.mark.parametrize("term", ["dumb", "unknown", None])
def test_a_terminal_that_cannot_move_sees_lines(terminal, environment, term):
    environment.delenv("TERM")
    if term:
        environment.setenv("TERM", term)
    shown = console.for_stream(terminal.stream)
    shown.begin(1)
    shown.ended(ended())
    shown.close()
    assert terminal.seen() == "web1  patched  1.2 s\r\n"
