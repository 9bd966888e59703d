"""A rollout from its plan to its report, with real connections to ports where nobody or nobody useful listens."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.errors import SettingsError
from fleet.journal import Journal
from fleet.node import Node, State
from fleet.plan import Plan
from fleet.push import Pushed
from fleet.rollout import begun
from fleet.settings import Settings
from fleet.ssh import Connections, SshSettings
from fleet.verbs import rolling
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
    return rolling.roll(said, ways, "https://chef.example", found, Plan(nodes, (SKIPPED,), {}), pushed, bool(pushed))


def test_a_fleet_out_of_reach(nobody, state, tmp_path, capsys):
    assert rolled(nobody, ("n1", "n2", "n3", "n4"), tmp_path / "report") == 3
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:5]] == [
        ["win1", "skipped"], ["n1", "unreachable"], ["n2", "unreachable"], ["n3", "unreachable"], ["n4", "skipped"],
    ]
    assert lines[5].startswith("Stopped: none of the first 3 nodes could be reached; 2 of 5 nodes of production left")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["exit_code"], report["query"]) == (3, "chef_environment:production")
    assert report["cookbook"] == {"name": "openssl_patch", "version": "1.0.0", "sha256": "00"}
    assert {node["name"]: (node["state"], node["wave"]) for node in report["nodes"]} == {
        "n1": ("unreachable", 0), "n2": ("unreachable", 0), "n3": ("unreachable", 0), "n4": ("skipped", 0),
        "win1": ("skipped", 0),
    }
    assert (tmp_path / "report" / "junit.xml").stat().st_size > 0
    with Journal(state) as journal:
        assert journal.database.execute("SELECT exit_code FROM run").fetchall() == [(3,)]
        assert [name for _, name, _ in journal.steps(report["run"], "n1")] == ["connect"]


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


def test_a_report_that_cannot_be_written_hides_nothing(state, tmp_path, capsys):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(SettingsError, match=r"^the report cannot be written to .*; the journal holds how each node"):
        rolled(22, (), tmp_path)
    assert "none of 1 nodes was asked" in capsys.readouterr().out
    with Journal(state) as journal:
        assert journal.database.execute("SELECT exit_code FROM run").fetchall() == [(10,)]


def test_an_interruption_leaves_a_report_and_says_who_was_under_way(state, tmp_path):
    program = (
        "import sys\nfrom fleet import cli\nfrom fleet.node import Node\nfrom fleet.plan import Plan\n"
        "from fleet.settings import Settings\nfrom fleet.ssh import Connections, SshSettings\n"
        "from fleet.verbs import rolling\n"
        "nodes = tuple(Node(name, 'production', '127.0.0.1') for name in ('n1', 'n2'))\n"
        "ways = Connections(SshSettings(port=int(sys.argv[1]), connect_timeout=60))\n"
        "said = Settings(env='production', report=sys.argv[2])\n"
        "sys.exit(cli.said_plainly(lambda: rolling.roll(said, ways, 'u', [], Plan(nodes, (), {}), None, True)))\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-c", program, str(silent.getsockname()[1]), str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as run:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                run.send_signal(signal.SIGINT)
                out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert err == b"styptic: interrupted; what was already sent to a node may still be running there.\n"
    assert out.decode().splitlines() == [
        "production: 2 of 2 nodes are not good (2 pending).",
        "  n1 (pending): interrupted on its way; see what it is at",
        "  n2 (pending): not reached",
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["exit_code"] == 130
    assert [node["state"] for node in report["nodes"]] == ["pending", "pending"]
