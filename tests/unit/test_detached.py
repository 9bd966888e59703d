"""The converge that goes on by itself: really run by a shell here, in a directory that stands for the node's."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import change, converge, detached, local_mode, via_shell
from fleet.detached import Stage, Standing
from fleet.errors import NodeError
from fleet.node import Node
from fleet.settings import Settings
from fleet.ssh import Answer

RUN = "20260102T030405Z-beef"


@pytest.fixture
def machine(tmp_path):
    """Return what runs a command of fleet.detached's on this machine and returns what it is taken for."""
    state = tmp_path / "state"

    def ask(words, payload=b"", wait=True):
        words = [str(state) if word == detached.STATE else word for word in words]
        pipes = {"stdin": subprocess.PIPE if wait else subprocess.DEVNULL, "stdout": subprocess.PIPE}
        process = subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True, **pipes)
        if not wait:
            begun.append(process)
            return process
        out, err = process.communicate(payload, timeout=60)
        return detached.parse(Answer(process.returncode, out, err, truncated=False))

    begun, ask.state = [], state
    yield ask
    for process in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def start(*program, size=0, seconds=30, run=RUN):
    return detached.start(run, program, size, seconds)


def until(holds):
    """Wait until something holds, for at most 20 seconds."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def gate(tmp_path):
    """Return the words of a program that says it is there, then waits until it may go on, and what lets it."""
    os.mkfifo(tmp_path / "go")
    yield ("sh", "-c", f"echo there; read -r word <{tmp_path}/go; echo went; exit 7"), (tmp_path / "go").write_text
    for fifo in [tmp_path / "go"]:  # whoever still waits there ends with the test
        descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        os.write(descriptor, b"x\n")
        os.close(descriptor)


def test_it_ends_with_its_code_and_the_end_of_its_log(machine):
    found = machine(start("sh", "-c", "echo out; echo err >&2; exit 37"))
    assert found == Standing(Stage.ENDED, 37, "", b"out\nerr\n")
    assert machine(detached.ask(RUN)) == found, "and later, too"
    assert machine(detached.ask("another")) == Standing(Stage.NOTHING)


def test_what_is_left_is_for_its_owner_alone_and_the_program_has_the_umask_it_would_have(machine, tmp_path):
    machine(start("sh", "-c", f"cat >/dev/null; touch {tmp_path}/made"))
    left = sorted(machine.state.iterdir())
    assert [path.name for path in left] == [f"{RUN}.end", f"{RUN}.log", "converge.lock"]
    assert {path.stat().st_mode & 0o777 for path in left} == {0o600}
    assert machine.state.stat().st_mode & 0o777 == 0o700
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o666 & ~mask


def test_what_came_by_standard_input_is_read_whole_or_not_at_all(machine):
    assert machine(start("cat", size=5), b"hello").log == b"hello"
    cut = machine(start("cat", size=6, run="another"), b"hello")
    assert cut == Standing(Stage.REFUSED, None, "what is to run there did not arrive whole")
    assert machine(detached.ask("another")).stage is Stage.NOTHING
    assert not list(machine.state.glob("*.in.*"))


def test_a_start_whose_connection_broke_silently_begins_nothing_once_the_node_notices(machine):
    command, payload = change.words(SimpleNamespace(
        patcher=SimpleNamespace(script=None, settings=Settings()), node=Node("web1", "production")
    ))
    assert command[0] == "sh"
    words = [str(machine.state) if word == detached.STATE else word for word in start("echo", size=len(payload))]
    late = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert machine(start("echo", "once", size=len(payload)), payload).code == 0
    finally:
        out, _ = late.communicate(timeout=20)
    assert out == b"styptic-converge 1 refused what is to run there did not arrive whole\n"
    assert machine(detached.ask(RUN)).log == b"once\n"


def test_it_goes_on_when_whoever_started_it_is_gone_and_is_waited_for_anew(machine, gate):
    program, go = gate
    starting = machine(start(*program), wait=False)
    until(lambda: (machine.state / f"{RUN}.log").exists() and "there" in (machine.state / f"{RUN}.log").read_text())
    os.killpg(starting.pid, signal.SIGKILL)  # it and the program that it waits by; SIGHUP is ignored under nohup
    starting.communicate(timeout=20)
    assert machine(detached.ask(RUN)) == Standing(Stage.RUNNING, None, "", b"there\n")
    waiting = machine(detached.ask(RUN, 30), wait=False)
    go("on\n")
    out, _ = waiting.communicate(timeout=20)
    assert out == b"styptic-converge 1 ended 007\nthere\nwent\n"


def test_a_wait_ends_and_what_is_waited_for_does_not(machine, gate):
    program, go = gate
    assert machine(start(*program, seconds=1)).stage is Stage.RUNNING
    assert machine(detached.ask(RUN, 1)).stage is Stage.RUNNING
    go("on\n")
    assert machine(detached.ask(RUN, 30)).code == 7


def test_a_second_one_begins_nothing_and_says_whose_goes_on(machine, gate):
    program, go = gate
    machine(start(*program, seconds=1))
    assert machine(start("touch", str(machine.state / "second"), run="another")) == Standing(Stage.BUSY, None, RUN)
    assert machine(start("touch", str(machine.state / "second"))) == Standing(Stage.BUSY, None, RUN)
    go("on\n")
    assert machine(detached.ask("another", 30, anybodys=True)).stage is Stage.NOTHING
    assert machine(detached.ask(RUN)).code == 7
    assert not (machine.state / "second").exists()


def test_a_daemon_that_it_leaves_holds_nobody_up(machine):
    found = machine(start("sh", "-c", "setsid sleep 30 & echo $!"))
    daemon = int(found.log)
    try:
        os.kill(daemon, 0)
        assert found.code == 0
        assert machine(start("true", run="another")).code == 0
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_one_whose_supervisor_was_killed_is_told_from_one_whose_machine_went_down(machine):
    assert machine(start("sh", "-c", "kill -9 $PPID")).stage is Stage.KILLED
    end = machine.state / f"{RUN}.end"
    end.write_text("... 00000000-0000-0000-0000-000000000000\n")
    assert machine(detached.ask(RUN)).stage is Stage.CUT
    end.write_text("")  # a file that was not on the disk yet when the power went
    assert machine(detached.ask(RUN)).stage is Stage.CUT


def test_started_again_by_the_same_run_it_keeps_the_log_before(machine):
    machine(start("echo", "first"))
    assert machine(start("echo", "second")).log == b"second\n"
    assert (machine.state / f"{RUN}.log.before").read_text() == "first\n"


def test_of_a_long_log_the_end_is_told_and_kept(machine):
    found = machine(start("sh", "-c", "head -c 3000000 /dev/zero; echo; echo last"))
    assert len(found.log) == detached.TAIL
    assert found.log.endswith(b"\nlast\n")
    assert (machine.state / f"{RUN}.log").stat().st_size == 1_000_000


@pytest.mark.parametrize(("boot", "rebooted"), [
    (" 00000000-0000-0000-0000-000000000000", True), (" -", False), ("", False),
])
def test_a_reboot_since_it_ended_is_told(machine, boot, rebooted):
    assert not machine(start("sh", "-c", "exit 37")).rebooted
    (machine.state / f"{RUN}.end").write_text(f"037{boot}\n")
    assert machine(detached.ask(RUN)) == Standing(Stage.ENDED, 37, rebooted=rebooted)


def test_a_clock_that_was_set_back_takes_nothing_from_the_run_that_begins(machine, gate):
    machine(start("true"))
    for number in range(11):
        end = machine.state / f"run-{number:02}.end"
        end.write_text("000 -\n")
        os.utime(end, (4e9, 4e9))
    program, go = gate
    assert machine(start(*program, seconds=1)).stage is Stage.RUNNING
    go("on\n")
    assert machine(detached.ask(RUN, 30)).code == 7


def test_of_old_runs_ten_are_kept(machine):
    for number in range(12):
        machine(start("echo", str(number), run=f"run-{number:02}"))
        os.utime(machine.state / f"run-{number:02}.end", (number, number))
    kept = sorted(path.name for path in machine.state.glob("*.log"))
    assert kept == [f"run-{number:02}.log" for number in range(2, 12)]
    assert len(list(machine.state.glob("*.end"))) == 10


def test_a_directory_that_cannot_be_written_is_refused_before_anything_begins(machine):
    machine.state.write_text("a file is in its place")
    found = machine(start("touch", f"{machine.state}.ran"))
    assert found.stage is Stage.REFUSED
    assert "state on it cannot be written (mkdir: " in found.said
    assert not os.path.exists(f"{machine.state}.ran")


def answer(text, **other):
    return Answer(0, text if isinstance(text, bytes) else text.encode(), b"", **{"truncated": False, **other})


@pytest.mark.parametrize(("said", "found"), [
    ("styptic-converge 1 nothing\n", Standing(Stage.NOTHING)),
    ("a banner\nstyptic-converge 1 ended 000\nout", Standing(Stage.ENDED, 0, "", b"out")),
    ("styptic-converge 1 cut\nstyptic-converge 1 ended 000\n", Standing(
        Stage.CUT, None, "", b"styptic-converge 1 ended 000\n")),
    ("styptic-converge 1 busy \n", Standing(Stage.BUSY)),
    ("styptic-converge 1 busy r-1\n", Standing(Stage.BUSY, None, "r-1")),
    ("styptic-converge 1 refused \x1b[31mno\n", Standing(Stage.REFUSED, None, "?[31mno")),
])
def test_a_nodes_word_is_taken_for_what_it_is(said, found):
    assert detached.parse(answer(said)) == found


@pytest.mark.parametrize("said", [
    "styptic-converge 1 ended 000 rebooted twice\n", "styptic-converge 1 cut rebooted\n",
    "", "ended 000\n", "styptic-converge 1 ended 0\n", "styptic-converge 1 ended 0000\n", "styptic-converge 1 ended\n",
    "styptic-converge 2 ended 000\n", "styptic-converge 1 ended ٠٠٠\n", " styptic-converge 1 nothing\n",
    "styptic-converge 1 nothing", "styptic-converge 1 nothing more\n", "styptic-converge 1 busy ../x\n",
    "styptic-converge 1 refused \n",
])
def test_what_is_no_answer_is_refused(said):
    with pytest.raises(NodeError, match="does not tell how its converge stands"):
        detached.parse(answer(said))


def test_an_answer_that_is_not_whole_is_refused():
    with pytest.raises(NodeError):
        detached.parse(answer("styptic-converge 1 ended 000\n", truncated=True))


@given(st.binary(max_size=200), st.sampled_from([b"", b"styptic-converge 1 ", b"styptic-converge 1 ended "]))
def test_no_answer_ends_in_a_surprise(said, before):
    try:
        found = detached.parse(answer(before + said))
    except NodeError as error:
        found = str(error)
    assert isinstance(found, Standing) or found.isprintable()


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
@pytest.mark.parametrize("script", [
    detached.ASK, detached.START, detached.ENTER, detached.SUPERVISE, converge.SCRIPT, local_mode.SCRIPT,
    via_shell.START,
], ids=["ask", "start", "enter", "supervise", "converge", "local_mode", "via_shell"])
def test_shellcheck_is_content(script):
    done = subprocess.run(["shellcheck", "-s", "sh", "-"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
