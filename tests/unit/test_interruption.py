"""Ctrl-C once finishes what is under way, whoever sends it; the journal and the exit code say so."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.history import History

ROOT = Path(__file__).parents[2]
HEARD = ("env", "--default-signal=INT,TERM,HUP")  # whatever runs the tests may ignore them
PROGRAM = """
import sys
from fleet import cli, interruption
from fleet.journal import Journal, default_path
from fleet.node import Node
from fleet.plan import Plan
from fleet.settings import Settings
from fleet.ssh import Connections, SshSettings
from fleet.verbs import rolling
nodes = tuple(Node(name, "production", "127.0.0.1") for name in ("n1", "n2"))
ways = Connections(SshSettings(port=int(sys.argv[1]), connect_timeout=60))
said = Settings(env="production", ticket="OPS-7")
with interruption.like_ctrl_c(), Journal(default_path()) as book:
    rolled = lambda: rolling.roll(said, ways, book, "u", [], Plan(nodes, (), {}), None, True)
    sys.exit(cli.said_plainly(rolled))
"""


@contextlib.contextmanager
def running(tmp_path, before=HEARD):
    """Give a rollout of two nodes that waits for its first one, and that node's end of the connection."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [*before, sys.executable, "-c", PROGRAM, str(silent.getsockname()[1])]
        environment = os.environ | {"HOME": str(tmp_path), "STYPTIC_STATE": str(tmp_path / "journal.db")}
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        ) as run:
            silent.settimeout(60)
            connection, _ = silent.accept()
            try:
                with connection:
                    yield run, connection, silent
            finally:
                run.kill()


def told(tmp_path):
    with History(tmp_path / "journal.db") as book:
        run = book.run()
        return run, {node.name: node for node in book.nodes(run.id)}, book.steps(run.id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_once_finishes_what_is_under_way_and_begins_no_more(tmp_path, number):
    with running(tmp_path) as (run, connection, _):
        run.send_signal(number)
        name = "Ctrl-C" if number == signal.SIGINT else number.name
        said = f"styptic: {name}: the node under way is finished and no more are begun; once more stops now.\n"
        assert run.stderr.readline() == said
        connection.close()
        out, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (130, "")
    assert f"Stopped: interrupted by {name}; 1 of 2 nodes of production left alone" in out
    line, nodes, steps = told(tmp_path)
    assert (line.stage, line.exit_code, line.about["ticket"]) == ("interrupted", 130, "OPS-7")
    assert {name: node.state for name, node in nodes.items()} == {"n1": "unreachable", "n2": "skipped"}
    assert nodes["n2"].record["error"] == f"not touched: interrupted by {name}"
    assert [step.detail for step in steps if step.name == "interrupt"] == [{"signal": name, "under_way": 1}]


WAITING = """
import asyncio, os, signal
from fleet import interruption
from fleet.rollout import Rollout
going = Rollout(halt=lambda why: 0)
async def wait():
    with interruption.heeded(going, lambda name, under_way: print(name, under_way)):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
before = signal.getsignal(signal.SIGTERM)
try:
    asyncio.run(wait())
except asyncio.CancelledError:
    print(going.interrupted, signal.getsignal(signal.SIGTERM) is before)
"""


def test_where_nothing_is_under_way_once_is_enough():
    """The pause between two waves, say."""
    done = subprocess.run([sys.executable, "-c", WAITING], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("SIGTERM 0\nTrue True\n", "")


def test_nohup_is_heeded(tmp_path):
    with running(tmp_path, before=["nohup"]) as (run, connection, silent):
        run.send_signal(signal.SIGHUP)
        silent.close()  # the node that takes the canary's place has nobody either
        connection.close()
        run.communicate(timeout=60)
    line, _, steps = told(tmp_path)
    assert line.stage == "ended"
    assert not [step for step in steps if step.name == "interrupt"]
