"""What a hook is given, how it is ended, and what it says where it fails. Real programs; nodes are the lab's."""

import asyncio
import os
import select
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import hook_run, program
from fleet.errors import HookError
from fleet.hooks import Hook
from fleet.node import Node
from fleet.ssh import Answer

WEB1 = Node("web1", "production", "192.0.2.1")


@given(st.text(max_size=20), st.one_of(st.none(), st.text(max_size=20)), st.text(max_size=20))
def test_no_name_becomes_an_option_or_two_words(name, address, environment):
    node, hook = Node(name, environment, address), Hook("drain", ("true",))
    try:
        words, found = hook_run.words(hook, node), hook_run.variables(hook, node, "r1")
    except HookError as error:
        said = str(error)
    else:
        said = ""
        assert not any(word.startswith("-") for word in words[1:])
        assert all(word.isascii() and word.isprintable() and " " not in word for word in words)
        assert all(value.isascii() and value.isprintable() for value in found.values())
    assert said == "" or said.isprintable()


@pytest.mark.parametrize("node", [
    Node("-rf", "production", "192.0.2.1"), Node("../web1", "production", "192.0.2.1"), Node("a b", "production", None),
    Node("web1", "production", "-oProxyCommand=id"), Node("web1", "production", "192.0.2.1;id"),
    Node("web1", "$(id)", "192.0.2.1"), Node("web1", "", "192.0.2.1"), Node("web1\n", "production", None),
])
def test_a_hostile_name_is_not_given_to_a_hook(node):
    with pytest.raises(HookError, match="the drain hook is not given"):
        hook_run.by_hand(Hook("drain", ("true",)), node, "r1")


def script(path, text) -> str:
    """Write a program and return where."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def have_run(hook, node=WEB1, connection=None, sudo=False) -> None:
    asyncio.run(hook_run.run(hook, node, "r1", connection, sudo))


def test_a_hook_is_given_the_nodes_name_and_address_as_words_and_in_its_environment(tmp_path):
    told = tmp_path / "told"
    shown = f'{{ printf "[%s]" "$@"; echo; env; cat; }} >{told}'  # echo: env has no order
    hook = Hook("drain", (script(tmp_path / "drain.sh", shown), "$(id) *"))
    have_run(hook)
    said = told.read_text()
    assert said.startswith("[$(id) *][web1][192.0.2.1]")
    variables = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("STYPTIC_"))
    expected = {
        "STYPTIC_NODE": "web1", "STYPTIC_ADDRESS": "192.0.2.1", "STYPTIC_ENVIRONMENT": "production",
        "STYPTIC_RUN": "r1", "STYPTIC_STEP": "drain",
    }
    assert expected.items() <= variables.items()
    told.unlink()
    os.system(hook_run.by_hand(hook, WEB1, "r1"))  # noqa: S605 - what a person pastes into a shell
    assert told.read_text().startswith("[$(id) *][web1][192.0.2.1]")


@pytest.mark.parametrize(("text", "said"), [
    ("echo no server web1; exit 3", "the drain hook ended with 3: no server web1"),
    ("exit 4", "the drain hook ended with 4: it said nothing"),
    ("printf 'a\\033[2Jb\\n' >&2; kill -KILL $$", "the drain hook ended with 137: a?[2Jb"),
    ("echo password=hunter2; exit 1", "the drain hook ended with 1: password=[redacted]"),
])
def test_a_hook_that_fails_says_why_in_its_own_words(tmp_path, text, said):
    with pytest.raises(HookError) as caught:
        have_run(Hook("drain", (script(tmp_path / "drain.sh", text),)))
    assert str(caught.value) == said


def test_a_hook_that_cannot_be_started_is_one_that_failed(tmp_path):
    (tmp_path / "drain.sh").write_text("echo no program\n")
    with pytest.raises(HookError, match=r"the drain hook .*/drain\.sh did not start: Permission denied"):
        have_run(Hook("drain", (str(tmp_path / "drain.sh"),)))


def is_gone(process: int) -> bool:
    """Wait until a process has ended, or been left to init to reap; False if it does not."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor):
        return bool(select.select([descriptor], [], [], 5)[0])


def test_a_hook_that_takes_too_long_may_tidy_up_and_is_ended_with_what_it_started(tmp_path):
    text = f"trap 'echo tidied; exit 9' TERM; sh -c 'trap \"\" TERM; echo $$ >{tmp_path}/child; sleep 60' & wait; wait"
    hook = Hook("drain", (script(tmp_path / "drain.sh", text),), timeout=1)
    with pytest.raises(HookError) as caught:
        have_run(hook)
    assert str(caught.value) == "the drain hook did not end within 1 s and was ended: tidied"
    assert is_gone(int((tmp_path / "child").read_text()))


def test_a_program_that_ignores_its_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "GRACE", 0.2)
    done = asyncio.run(program.run(
        [script(tmp_path / "deaf.sh", "trap '' TERM; echo deaf; while :; do sleep 1; done")],
        {"PATH": os.environ["PATH"]}, tmp_path, 0.5, 1000,
    ))
    assert (done.rc, done.output, done.ended) == (128 + signal.SIGKILL, b"deaf\n", True)


def test_a_program_that_nothing_ends_is_not_waited_for_and_said_to_run_on(tmp_path, monkeypatch):
    """What setuid programs and dead disks do. Root, who may run this, may end everything: so no signal is sent here."""
    made = []

    class Heard(program.Heard):
        def __init__(self, limit):
            super().__init__(limit)
            made.append(self)

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(program, "GRACE", 0.2)
    monkeypatch.setattr(program, "Heard", Heard)
    monkeypatch.setattr(program.os, "killpg", refused)
    hook = Hook("drain", (script(tmp_path / "drain.sh", "echo begun; exec sleep 60"),), timeout=1)

    async def ended() -> str:
        with pytest.raises(HookError) as caught:
            await asyncio.wait_for(hook_run.run(hook, WEB1, "r1"), 20)
        await asyncio.wait_for(made[0].exited.wait(), 20)  # by the signal that asyncio sends by itself at last
        return str(caught.value)

    said = asyncio.run(ended())
    assert said == "the drain hook did not end within 1 s and could not be ended and may still run: begun"


def test_an_interrupted_hook_is_ended(tmp_path):
    started = tmp_path / "pid"
    os.mkfifo(started)
    hook = Hook("drain", (script(tmp_path / "drain.sh", f"echo $$ >{started}; sleep 60"),))

    async def interrupted() -> int:
        going = asyncio.create_task(hook_run.run(hook, WEB1, "r1"))
        process = int(await asyncio.to_thread(started.read_text))
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        return process

    assert is_gone(asyncio.run(interrupted()))


@pytest.mark.parametrize("turns", range(2, 8))
def test_a_hook_that_is_interrupted_while_it_starts_is_ended_with_what_it_started(tmp_path, turns):
    """`turns` of the event loop after its beginning, and its program is faster than that: the loop stands still."""
    os.mkfifo(tmp_path / "pid")
    argv = ["sh", "-c", f"sleep 60 & echo $! >{tmp_path}/pid; wait"]

    async def interrupted(told: int) -> int:
        going = asyncio.create_task(program.run(argv, {"PATH": os.environ["PATH"]}, tmp_path, 30, 1000))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert select.select([told], [], [], 10)[0], "it has not begun"
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        return int(os.read(told, 100))

    with open(tmp_path / "pid", "r+b", buffering=0) as told:
        assert is_gone(asyncio.run(interrupted(told.fileno())))


def test_output_without_end_is_kept_in_part_and_a_daemon_left_behind_is_not_waited_for(tmp_path):
    text = "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last; sleep 60 & echo $!"
    noisy = script(tmp_path / "noisy.sh", text)
    done = asyncio.run(program.run([noisy], {"PATH": os.environ["PATH"]}, tmp_path, 30, 1000))
    os.kill(int(done.output.split()[-1]), signal.SIGKILL)
    assert (done.rc, done.ended) == (0, False)
    assert len(done.output) == 1000
    assert b"\nlast\n" in done.output


class Told:
    """A connection that writes down what is run over it and answers so. The real one is tests/lab's."""

    def __init__(self, rc=0, stdout=b""):
        self.answer, self.ran = Answer(rc, stdout, b"", False), []

    async def run(self, argv, **options):
        self.ran.append((argv, options))
        return self.answer


def test_a_hook_on_the_node_is_ended_there(tmp_path):
    told = Told(124, b"waiting\n")
    with pytest.raises(HookError, match="the return hook did not end within 7 s and was ended: waiting"):
        have_run(Hook("return", ("/opt/return", "a b"), "node", 7), connection=told, sudo=True)
    ((argv, options),) = told.ran
    assert argv[:2] == ["env", "STYPTIC_NODE=web1"]
    assert argv[-5:] == ["7", "/opt/return", "a b", "web1", "192.0.2.1"]
    assert options["sudo"] is True
    assert options["timeout"] > 7
