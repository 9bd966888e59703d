"""What verbs share: a person asked at a real terminal before anything changes, advisories, the report's directory."""

import contextlib
import io
import os
import pty
import select
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke import Collection, Config, Context, Program
from invoke.parser import Parser

from fleet.chef import search
from fleet.errors import SettingsError
from fleet.node import Node, State
from fleet.plan import Plan
from fleet.rollout import begun
from fleet.settings import Settings
from fleet.verbs import shared
from fleet.verbs.patch import patch, verify
from generator import advisory
from generator.errors import AdvisoryError

ROOT = Path(__file__).parents[2]
SERVER = SimpleNamespace(url="https://chef.example/organizations/ops")
HEARTBLEED = advisory.load(["heartbleed"])
NODES = tuple(Node(name, "production", "192.0.2.1") for name in ("web1", "web2"))
PLAN = Plan(NODES, (begun(Node("win1", "production"), state=State.SKIPPED, error="windows"),), {})
PRODUCTION, EVERYWHERE = Settings(env="production"), Settings(env="*")


@pytest.fixture
def answered(monkeypatch):
    """Return a function that asks at a pseudo-terminal where `typed` was typed, and returns what stood there."""

    def answer(typed: bytes, settings: Settings, plan: Plan = PLAN) -> str:
        master, slave = pty.openpty()
        try:
            os.write(master, typed)
            with open(slave, "r+b", buffering=0, closefd=False) as raw, monkeypatch.context() as at:
                at.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8"))
                at.setattr(sys, "stdout", io.TextIOWrapper(io.FileIO(slave, "w", closefd=False), write_through=True))
                shared.ask(SERVER, settings, plan, HEARTBLEED)
        finally:
            seen = b""
            while select.select([master], [], [], 0)[0]:
                seen += os.read(master, 65536)
            os.close(master)
            os.close(slave)
        return seen.decode()

    return answer


@pytest.mark.parametrize(
    ("typed", "settings"),
    [(b"yes\n", PRODUCTION), (b"Y\n", PRODUCTION), (b"  yes \n", Settings(query="name:web*")),
     (b"everywhere\n", EVERYWHERE)],
)
def test_a_person_agrees(answered, typed, settings):
    assert "go on: " in answered(typed, settings)


@pytest.mark.parametrize(
    ("typed", "settings"),
    [(b"no\n", PRODUCTION), (b"\n", PRODUCTION), (b"\x04", PRODUCTION), (b"yes please\n", PRODUCTION),
     (b"\xff\xfe\n", PRODUCTION), (b"yes\n", EVERYWHERE), (b"y\n", EVERYWHERE), (b"*\n", EVERYWHERE),
     (b"everywhere\n", PRODUCTION), (b"yes\n", Settings(env="*", query="name:web1"))],
)
def test_anything_else_changes_nothing(answered, typed, settings):
    with pytest.raises(SettingsError, match=r"^not confirmed; nothing was changed\.$"):
        answered(typed, settings)


def test_what_is_agreed_to_is_shown(answered):
    seen = answered(b"yes\n", Settings(env="production", full_run=True))
    for line in (
        "Chef server  https://chef.example/organizations/ops", "whom         production",
        "advisories   CVE-2014-0160: Heartbleed: a TLS heartbeat makes OpenSSL send back memory of its process",
        "nodes        2 to connect to; 1 left out", "waves        1: a canary: web1\r\n             2: the rest",
        "stopped by   one failure before the last wave, more than 5% (1) in the whole rollout, or more",
        "converge     whole run lists",
        "Patch them? Type yes to go on: ",
    ):
        assert line in seen


def test_a_hostile_node_is_shown_harmless(answered):
    hostile = Node("\x1b[2J\u202e" + "x" * 100_000, "production", "192.0.2.1")
    seen = answered(b"yes\n", PRODUCTION, Plan((hostile,), (), {}))
    assert "1: a canary: ?[2J?xxx" in seen
    assert len(seen) < 2000


def test_yes_is_agreement_and_no_plan_needs_none(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    shared.ask(SERVER, Settings(env="*", yes=True), PLAN, HEARTBLEED)
    shared.ask(SERVER, PRODUCTION, Plan((), PLAN.left_out, {}), HEARTBLEED)


@pytest.mark.parametrize("stdin", [None, io.StringIO("yes\n")])
def test_without_a_terminal_nothing_is_changed(monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(SettingsError, match="no terminal to ask at, so nothing was changed; give --yes"):
        shared.ask(SERVER, PRODUCTION, PLAN, HEARTBLEED)


def test_ctrl_c_at_the_question_changes_nothing():
    """A terminal of its own, because only a controlling one turns the key into a signal."""
    program = (
        "import os; os.login_tty(0)\n"
        "from fleet import cli\nfrom fleet.plan import Plan\nfrom fleet.settings import Settings\n"
        "from fleet.verbs import shared\nfrom types import SimpleNamespace as S\n"
        "from fleet.node import Node\nplan = Plan((Node('web1', 'production'),), (), {})\n"
        "raise SystemExit(cli.said_plainly(lambda: shared.ask(S(url='u'), Settings(env='production'), plan, [])))"
    )
    master, slave = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave) as asking:
        os.close(slave)
        seen = b""
        while b"go on: " not in seen:
            seen += os.read(master, 65536)
        os.write(master, b"\x03")
        with contextlib.suppress(OSError):  # EIO: the program ended
            while True:
                if select.select([master], [], [], 1)[0]:
                    seen += os.read(master, 65536)
                else:  # the key came between the question and the read that it is to end: a person presses it again
                    os.write(master, b"\x03")
    os.close(master)
    assert asking.returncode == 1
    assert seen.decode().endswith("\r\nstyptic: not confirmed; nothing was changed.\r\n")
    assert "Traceback" not in seen.decode()


def test_advisories_are_those_named():
    assert [each.id for each in shared.advisories_of(Settings(advisories=("HeartBleed",)))] == ["CVE-2014-0160"]
    with pytest.raises(SettingsError, match="say which: --advisory CVE-2014-0160"):
        shared.advisories_of(Settings())
    with pytest.raises(AdvisoryError, match="CVE-2014-0160 or heartbleed"):
        shared.advisories_of(Settings(advisories=("heartbled",)))


def test_an_attribute_that_no_node_has_is_no_way_to_spread_them(monkeypatch):
    found = [*NODES]
    monkeypatch.setattr(search, "find_nodes", lambda *_, **asked: found if asked["group_attribute"] == "a.b" else [])
    with pytest.raises(SettingsError, match=r"^--spread-by: none of 2 nodes reported the attribute 'a\.b' as"):
        shared.nodes_of(SERVER, Settings(env="production", spread_by="a.b"))
    found[0] = replace(NODES[0], group="zone-a")
    assert shared.nodes_of(SERVER, Settings(env="production", spread_by="a.b")) == found


def test_the_reports_directory_is_made_before_anything_else(tmp_path):
    shared.make_report_directory(Settings())
    report = tmp_path / "a" / "b"
    shared.make_report_directory(Settings(report=str(report)))
    shared.make_report_directory(Settings(report=str(report)))
    assert list(report.iterdir()) == []


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/nothing"])
def test_a_report_that_has_no_place_is_refused(tmp_path, where):
    (tmp_path / "file").write_text("")
    path = tmp_path / where
    with pytest.raises(SettingsError, match=r"^--report .* cannot be written to: [A-Z].*\.$") as caught:
        shared.make_report_directory(Settings(report=str(path)))
    assert str(path) in str(caught.value)


def context(styptic=None, dry=False) -> Context:
    return Context(Config(overrides={"run": {"dry": dry}, "styptic": styptic or {}}))


def test_settings_come_through_invokes_own_configuration():
    configured = {"concurrency": 7, "advisories": ["a", "b"], "environments": {"production": {"ssh_user": "ops"}}}
    found = shared.settings_of(context(configured), {"env": "production"})
    assert (found.concurrency, found.advisories, found.ssh_user) == (7, ("a", "b"), "ops")


def test_somebody_has_to_be_meant():
    with pytest.raises(SettingsError, match="say whom"):
        shared.settings_of(context(), {"env": None})
    assert shared.settings_of(context(), {}, whom=False) == Settings()


@pytest.mark.parametrize("verb", [patch, verify])
def test_invokes_own_dry_run_is_refused(verb, capsys):
    with pytest.raises(SystemExit, match="1"):
        verb(context(dry=True), env="production", yes=True) if verb is patch else verb(context(dry=True), env="x")
    assert "--dry holds back nothing" in capsys.readouterr().err


def test_knifes_letters_are_the_verbs_and_not_invokes_own():
    program = Program(namespace=Collection(patch))
    program.create_config()
    parser = Parser(contexts=program.namespace.to_contexts(), initial=program.initial_context)
    words = shlex.split("patch -x ops -i key -p 2222 -G gate -C 5 -a cloud.ipv4 --query 'a:b AND c:*' --yes")
    core, found = parser.parse_argv(words)
    assert core.args["pty"].value is False
    given = {name: argument.value for name, argument in found.args.items() if argument.got_value}
    assert given == {
        "ssh-user": "ops", "ssh-identity-file": "key", "ssh-port": "2222", "ssh-gateway": "gate", "concurrency": "5",
        "address-attribute": "cloud.ipv4", "query": "a:b AND c:*", "yes": True,
    }


def test_the_letters_are_knifes():
    assert shared.short(shared.WHOM, shared.SSH) == {
        "address_attribute": "a", "ssh_user": "x", "ssh_identity_file": "i", "ssh_port": "p", "ssh_gateway": "G",
        "concurrency": "C",
    }
    assert shared.short(shared.WHOM) == {"address_attribute": "a"}
