"""What happens before a wave begins, with a real journal and people at pseudo-terminals."""

import asyncio
import contextlib
import io
import os
import pty
import select
import sys

import pytest

from fleet import between, console, rollout, waves
from fleet.between import Between
from fleet.errors import ServerUnreachableError, SettingsError
from fleet.node import Node, State
from fleet.rollout import begun
from fleet.settings import Settings
from fleet.waves import Wave

NODES = [Node(f"n{number}", "production") for number in range(1, 41)]
WAVES = FIRST, SECOND, _ = waves.cut(NODES, waves.DEFAULT)
TITLE = "wave 2 of 3: until 10%, 4 of 40 nodes are changed"


@pytest.fixture
def terminal(monkeypatch):
    """Return what makes a pseudo-terminal of standard input and output, and gives its other end."""

    @contextlib.contextmanager
    def at_one():
        master, slave = pty.openpty()
        with (
            open(slave, closefd=False) as stdin, open(slave, "w", buffering=1, closefd=False) as stdout,
            monkeypatch.context() as at,
        ):
            at.setattr(sys, "stdin", stdin)
            at.setattr(sys, "stdout", stdout)
            yield master
        os.close(master)
        os.close(slave)

    return at_one


def steps(journal):
    return [(name, detail) for _, name, detail in journal.steps("r1")]


def before(journal, shown, cut=WAVES, lost=None, **settings) -> Between:
    going = rollout.prepare(NODES)
    going.outcomes["n1"] = begun(NODES[0], 1, State.PATCHED)
    return Between(Settings(**settings), journal, "r1", going, shown, cut, lost)


def test_a_wave_is_written_down_and_said_before_it_begins(journal, capsys):
    began = before(journal, console.Lines())
    assert asyncio.run(began(FIRST)) is None
    assert asyncio.run(began(SECOND)) is None
    assert capsys.readouterr().out == f"wave 1 of 3: a canary\n{TITLE}\n"
    assert steps(journal) == [
        ("wave", {"number": 1, "until": 1, "title": "a canary"}),
        ("wave", {"number": 2, "until": 4, "title": "until 10%, 4 of 40 nodes are changed"}),
    ]


def test_a_pause_comes_before_each_wave_but_the_first(journal, monkeypatch, capsys):
    slept = []

    async def sleep(seconds):  # a real one would cost the test its time
        slept.append((seconds, [name for name, _ in steps(journal)]))

    monkeypatch.setattr(between.asyncio, "sleep", sleep)
    began = before(journal, console.Quiet(), pause=600)
    assert asyncio.run(began(FIRST)) is None
    assert slept == []
    assert asyncio.run(began(SECOND)) is None
    assert slept == [(600, ["wave", "pause"])]
    assert capsys.readouterr().out == ""
    assert asyncio.run(before(journal, console.Lines(), pause=600)(SECOND)) is None
    assert capsys.readouterr().out == f"a pause of 600 s before wave 2 of 3\n{TITLE}\n"


async def asked(master, typed, began):
    """Answer, once the question stands there, what is `typed`; return what came of it and what was seen."""
    going = asyncio.create_task(began(SECOND))
    seen = b""
    while b"Type yes: " not in seen:
        await asyncio.sleep(0)
        assert not going.done(), going
        while select.select([master], [], [], 0)[0]:
            seen += os.read(master, 65_536)
    if typed is not None:
        os.write(master, typed)
    else:
        going.cancel()
    return await going, seen.decode()


@pytest.mark.parametrize("typed", [b"yes\n", b" Y \n"])
@pytest.mark.parametrize("live", [False, True], ids=["in lines", "in a table"])
def test_a_person_is_asked_before_each_wave_but_the_first(journal, terminal, monkeypatch, typed, live):
    monkeypatch.setenv("TERM", "xterm" if live else "dumb")
    monkeypatch.setenv("COLUMNS", "120")
    with terminal() as master:
        shown = console.for_stream(sys.stdout)
        assert isinstance(shown, console.Live) is live
        shown.begin(40)
        began = before(journal, shown, confirm=True)
        assert asyncio.run(began(FIRST)) is None
        os.write(master, b"no\n")  # typed before there is a question, and so no answer to one
        why, seen = asyncio.run(asked(master, typed, began))
        shown.close()
    assert why is None
    assert f"{TITLE}; so far 39 pending, 1 patched. Go on? Type yes: " in seen
    assert [name for name, _ in steps(journal)] == ["wave", "confirm", "wave"]


@pytest.mark.parametrize("typed", [b"no\n", b"\n", b"\x04", b"\xff\n", b"yes, but\n"])
def test_anything_else_than_yes_stops_the_rollout(journal, terminal, typed):
    with terminal() as master:
        why, _ = asyncio.run(asked(master, typed, before(journal, console.Lines(), confirm=True)))
    assert why == "not confirmed before wave 2 of 3"
    assert [name for name, _ in steps(journal)] == ["confirm"]


def test_an_interruption_ends_the_question(journal, terminal):
    with terminal() as master, pytest.raises(asyncio.CancelledError):
        asyncio.run(asked(master, None, before(journal, console.Lines(), confirm=True)))


def test_a_terminal_that_hung_up_says_no(monkeypatch):
    master, slave = pty.openpty()
    os.close(master)
    with os.fdopen(slave, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert asyncio.run(asyncio.wait_for(between.answer("Go on? "), 10)) == ""


def test_without_a_terminal_nobody_is_waited_for(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(SettingsError, match=r"--confirm asks .* nothing was changed; give --pause SECONDS"):
        between.check(Settings(confirm=True))
    between.check(Settings())


def test_with_one_a_person_can_be_asked(terminal):
    with terminal():
        between.check(Settings(confirm=True))


def test_a_resume_begins_at_once_with_what_was_begun_and_with_the_first_wave_that_is_left(journal, capsys):
    again = Wave(0, "2 nodes begun before", 0, tuple(NODES[:2]), last=False, again=True)
    began = before(journal, console.Lines(), (again, *WAVES[1:]), lambda: pytest.fail("asked at once"), pause=600)
    assert asyncio.run(began(again)) is None
    assert asyncio.run(began(SECOND)) is None
    assert capsys.readouterr().out == f"first: 2 nodes begun before\n{TITLE}\n"
    assert [name for name, _ in steps(journal)] == ["wave", "wave"]


def test_a_lock_that_was_broken_stops_it_before_the_next_wave(journal):
    began = before(journal, console.Quiet(), lost=lambda: "the lock on production was broken")
    assert asyncio.run(began(FIRST)) is None
    assert asyncio.run(began(SECOND)) == "the lock on production was broken"
    assert steps(journal)[1:] == [("lock lost", {"why": "the lock on production was broken"})]


def test_a_chef_server_that_does_not_answer_stops_nothing(journal):
    def lost():
        raise ServerUnreachableError("it does not answer")

    began = before(journal, console.Quiet(), lost=lost)
    assert asyncio.run(began(SECOND)) is None
    assert steps(journal)[0] == ("the lock could not be looked at", {"error": "it does not answer"})
