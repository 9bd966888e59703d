"""A rollout from its plan to its report, with real connections to ports where nobody or nobody useful listens."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from invoke import Config, Context

from fleet import entry as entries
from fleet import journal
from fleet.chef import search
from fleet.earlier import Earlier
from fleet.journal import Journal, default_path
from fleet.node import Node, State
from fleet.plan import Plan
from fleet.push import Pushed
from fleet.rollout import begun
from fleet.settings import Settings
from fleet.ssh import Connections, SshSettings
from fleet.verbs import patch as patching
from fleet.verbs import rolling
from fleet.waves import Amount
from generator import advisory

ROOT = Path(__file__).parents[2]
SKIPPED = begun(Node("win1", "production"), state=State.SKIPPED, error="windows 10 is not a platform")
PUSHED = Pushed("openssl_patch", "1.0.0", "00", True, 9)


@pytest.fixture
def nobody():
    """Return a port of the loopback that nobody listens on, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # no ssh_config and no keys of whoever runs the tests
    monkeypatch.setenv("STYPTIC_STATE", str(tmp_path / "journal.db"))
    return tmp_path / "journal.db"


def rolled(port, asked=("n1",), report=None, pushed=PUSHED, **settings):
    nodes = tuple(Node(name, "production", "127.0.0.1", "debian", "12.5") for name in asked)
    said = Settings(env="production", report=report and str(report), connect_timeout=10, **settings)
    ways = Connections(SshSettings(port=port, connect_timeout=10))
    found = advisory.load(["heartbleed"])
    made = Plan(nodes, (SKIPPED,), {})
    with Journal(default_path()) as journal:
        return rolling.roll(said, ways, journal, "https://chef.example", found, made, pushed, bool(pushed))


def test_a_fleet_out_of_reach(nobody, state, tmp_path, capsys):
    most = {"max_unreachable": Amount(2)}
    assert rolled(nobody, ("n1", "n2", "n3", "n4", "n5", "n6"), tmp_path / "report", **most) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(1) == "wave 1 of 2: a canary"
    assert [line.split()[:2] for line in lines[:5]] == [
        ["win1", "skipped"], ["n1", "unreachable"], ["n2", "unreachable"], ["n3", "unreachable"], ["n4", "skipped"],
    ]
    assert lines[7].startswith("Stopped: 3 nodes could not be reached, and --max-unreachable allows 2; 4 of 7 nodes of")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["exit_code"], report["query"]) == (3, "chef_environment:production")
    assert report["cookbook"] == {"name": "openssl_patch", "version": "1.0.0", "sha256": "00"}
    assert {node["name"]: (node["state"], node["wave"]) for node in report["nodes"]} == {
        "n1": ("unreachable", 0), "n2": ("unreachable", 0), "n3": ("unreachable", 0), "n4": ("skipped", 0),
        "n5": ("skipped", 0), "n6": ("skipped", 0), "win1": ("skipped", 0),
    }
    assert (tmp_path / "report" / "junit.xml").stat().st_size > 0
    with Journal(state) as journal:
        assert journal.database.execute("SELECT exit_code FROM run").fetchall() == [(3,)]
        assert [name for _, name, _ in journal.steps(report["run"], "n1")] == ["connect"]
        run_steps = [(name, detail) for node, name, detail in journal.steps(report["run"]) if node is None]
    assert run_steps == [("wave", {"number": 1, "until": 1, "title": "a canary"})]


def test_verify_asks_everybody_at_once(nobody, state, capsys):
    assert rolled(nobody, ("n1", "n2", "n3", "n4"), pushed=None) == 2
    assert capsys.readouterr().out.count("  unreachable  ") == 4


def test_nobody_to_ask_is_10_and_has_its_report(state, tmp_path, capsys):
    assert rolled(22, (), tmp_path) == 10
    assert capsys.readouterr().out == (
        "win1  skipped  0.0 s  windows 10 is not a platform\n"
        "production: none of 1 nodes was asked.\n"
        "  win1 (skipped): windows 10 is not a platform\n"
    )
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 10


def test_the_report_names_the_query_that_the_server_was_asked(state, tmp_path):
    assert rolled(22, (), tmp_path, query="web") == 10
    asked = search.searched("production", "web")
    assert asked.startswith("chef_environment:production AND (tags:*web* OR ")
    assert json.loads((tmp_path / "report.json").read_text())["query"] == asked
    with Journal(state) as journal:
        ((about,),) = journal.database.execute("SELECT about FROM run").fetchall()
    assert json.loads(about)["query"] == asked


@pytest.fixture
def chef(serve, answer, pem, state, tmp_path, monkeypatch):
    """A server that knife's settings lead to."""
    server = serve(answer())
    monkeypatch.setenv("KNIFE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".chef").mkdir()
    (tmp_path / ".chef" / "ops.pem").write_text(pem)
    (tmp_path / ".chef" / "config.rb").write_text(
        f"chef_server_url '{server.url}'\nnode_name 'ops'\nclient_key '{tmp_path}/.chef/ops.pem'\n"
    )
    return server


@pytest.mark.parametrize("verb", [patching.patch, patching.verify])
@pytest.mark.parametrize(("file", "content", "said"), [
    ("journal.db", "no database, but a text of some length\n" * 100, "journal.db cannot be written: file is not"),
    (".ssh/config", "Port many\n", "Invalid Port integer value: many; mend it"),
    (".ssh/config", "IdentityFile ~nobody-of-that-name/k\n", "names the home of a user there is not"),
    (".ssh/known_hosts/x", "", "known_hosts cannot be read: Is a directory"),
])
def test_what_would_fail_every_node_is_said_before_the_server_is_asked(
    chef, tmp_path, capsys, verb, file, content, said
):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(content)
    how = {"yes": True} if verb is patching.patch else {}
    with pytest.raises(SystemExit) as ended:
        verb(Context(Config()), env="production", advisory=["heartbleed"], **how)
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert chef.requests == []


def test_a_report_that_cannot_be_written_hides_nothing(state, tmp_path, capsys):
    (tmp_path / "report.json").mkdir()
    assert rolled(22, (), tmp_path) == 1
    out, err = capsys.readouterr()
    assert "none of 1 nodes was asked" in out
    assert err.count("\n") == 1
    assert err.startswith(f"styptic: the report cannot be written to {tmp_path}: ")
    assert err.endswith("; the journal holds how each node ended.\n")
    with Journal(state) as journal:
        assert journal.database.execute("SELECT exit_code FROM run").fetchall() == [(10,)]


class Locking(Connections):
    """Connections, opening which another writer takes the journal at `path` and keeps it."""

    def __init__(self, path):
        super().__init__(SshSettings(connect_timeout=10))
        self.path = path

    async def __aenter__(self):
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")
        return await super().__aenter__()


def test_a_journal_that_cannot_be_written_at_the_end_costs_no_report(state, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(journal, "WAIT", 0.05)
    with Journal(state) as book:
        ways = Locking(state)
        said = Settings(env="production", report=str(tmp_path))
        assert rolling.roll(said, ways, book, "https://chef.example", [], Plan((), (SKIPPED,), {}), PUSHED) == 1
        ways.other.close()
    out, err = capsys.readouterr()
    assert "none of 1 nodes was asked" in out
    assert err.count("\n") == 1
    assert err.startswith(f"styptic: the journal {state} cannot be written: another Styptic is writing")
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 10


@pytest.mark.parametrize("locked", [False, True], ids=["", "with the journal locked"])
def test_an_interruption_leaves_a_report_and_says_who_was_under_way(state, tmp_path, locked):
    program = (
        "import sys\nfrom fleet import cli\nfrom fleet.node import Node\nfrom fleet.plan import Plan\n"
        "from fleet import journal\nfrom fleet.journal import Journal, default_path\n"
        "from fleet.settings import Settings\n"
        "from fleet.ssh import Connections, SshSettings\nfrom fleet.verbs import rolling\n"
        "journal.WAIT = 0.05\n"
        "nodes = tuple(Node(name, 'production', '127.0.0.1') for name in ('n1', 'n2'))\n"
        "ways = Connections(SshSettings(port=int(sys.argv[1]), connect_timeout=60))\n"
        "said = Settings(env='production', report=sys.argv[2])\n"
        "with Journal(default_path()) as book:\n"
        "    rolled = lambda: rolling.roll(said, ways, book, 'u', [], Plan(nodes, (), {}), None, True)\n"
        "    sys.exit(cli.said_plainly(rolled))\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-c", program, str(silent.getsockname()[1]), str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as run:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection, contextlib.closing(sqlite3.connect(state, isolation_level=None)) as other:
                if locked:
                    other.execute("BEGIN IMMEDIATE")
                run.send_signal(signal.SIGINT)
                first = run.stderr.readline().decode()
                run.send_signal(signal.SIGINT)
                out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert first == "styptic: Ctrl-C: the node under way is finished and no more are begun; once more stops now.\n"
    *troubles, last = err.decode().splitlines()
    assert last == "styptic: interrupted; what was already sent to a node may still be running there."
    assert ["another Styptic is writing" in trouble for trouble in troubles] == [True] * locked
    *said, how = out.decode().splitlines()
    assert re.match("`invoke patch --resume --run ([0-9TZa-f-]+)` goes on with it, `invoke show --run \\1` has", how)
    assert said == [
        "wave 1 of 2: a canary",
        "production: 2 of 2 nodes are not good (2 pending).",
        "  n1 (pending): interrupted on its way; see what it is at",
        "  n2 (pending): not reached",
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["exit_code"] == 130
    assert [node["state"] for node in report["nodes"]] == ["pending", "pending"]


def test_who_turned_out_to_need_a_change_is_not_called_patched_before_it_is_looked_at(state, monkeypatch):
    async def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(rolling, "travel", interrupted)
    nodes = tuple(Node(name, "production", "127.0.0.1", "debian", "12.5") for name in ("n1", "n2"))
    made, said = Plan(nodes, (), {}), Settings(env="production")
    with Journal(state) as journal:
        entry = entries.begin(journal, said, "https://chef.example", [], made)
        entry.earlier = {
            node.name: Earlier(node.name, begun(node, 1, State.PATCHED), wanting=node.name == "n1") for node in nodes
        }
        with pytest.raises(KeyboardInterrupt):
            rolling.roll(said, None, journal, "https://chef.example", [], made, None, entry=entry)
        assert journal.database.execute("SELECT state FROM node ORDER BY name").fetchall() == [
            ("pending",), ("patched",),
        ]
