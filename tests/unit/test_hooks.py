"""Hooks as invoke.yaml has them: what it may say, what is refused before anything is changed, and who is out."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fleet import hooks
from fleet.errors import SettingsError
from fleet.hooks import Hook, Hooks
from fleet.plan import Plan
from fleet.settings import load
from fleet.verbs import shared

TRUE = {"run": ["true"]}
SETTINGS = {"drain": {"run": ["drain", 7], "timeout": "2min"}, "return": TRUE | {"where": "node"}}


def parsed(value) -> Hooks:
    return hooks.parse(value, "invoke.yaml: styptic.hooks")


def test_hooks_are_a_program_its_words_a_place_and_a_time():
    found = parsed(SETTINGS)
    assert found == Hooks(Hook("drain", ("drain", "7"), "controller", 120), Hook("return", ("true",), "node", 60))
    assert [hook.said for hook in found] == [
        "on the controller, 120 s at most: drain 7 NAME ADDRESS", "on the node, 60 s at most: true NAME ADDRESS",
    ]
    assert not parsed({})
    assert list(parsed({})) == []


def test_a_program_in_a_directory_is_the_checkouts_wherever_one_stands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = parsed({"drain": {"run": ["./drain.sh", "./web"]}, "return": {"run": ["/opt/return"]}})
    assert found.drain.run == (str(hooks.CHECKOUT / "drain.sh"), "./web")
    assert found.back.run == ("/opt/return",)


@pytest.mark.parametrize(("value", "said"), [
    ("drain.sh", "styptic.hooks must be a table with drain and return, or an empty one."),
    ({"drian": TRUE}, "styptic.hooks must be a table with drain and return, or an empty one."),
    ({"drain": TRUE}, "styptic.hooks has drain without return: a node that is taken out has to come back;"),
    ({"return": TRUE, "drain": None}, "styptic.hooks has return without drain: "),
    ({"drain": "drain.sh", "return": TRUE}, "styptic.hooks.drain must be a table with run, and where and timeout"),
    # YAML 1.1 reads `on` as true.
    ({"drain": TRUE, "return": TRUE | {True: "node"}}, "styptic.hooks.return.True is no setting; known are run,"),
    ({"drain": TRUE, "return": TRUE | {"where": "lb1"}}, "hooks.return.where is controller or node, not 'lb1'."),
    ({"drain": TRUE, "return": TRUE | {"timeout": 0}}, "hooks.return.timeout must be seconds, or a number with a unit"),
    ({"drain": TRUE, "return": TRUE | {"timeout": "8d"}}, "hooks.return.timeout is longer than a week"),
    ({"drain": {}, "return": TRUE}, "hooks.drain.run must be a list of words, a program first: [./drain.sh, web]; no"),
    ({"drain": {"run": "drain.sh web"}, "return": TRUE}, "hooks.drain.run must be a list of words"),
    ({"drain": {"run": ["drain", True]}, "return": TRUE}, "hooks.drain.run must be a list of words"),
    ({"drain": {"run": [""]}, "return": TRUE}, "hooks.drain.run must begin with a program, not ''."),
    ({"drain": {"run": ["-x"]}, "return": TRUE}, "hooks.drain.run must begin with a program, not '-x'."),
    ({"drain": {"run": ["a", "b\0"]}, "return": TRUE}, "hooks.drain.run has 'b?', which no program can be given."),
    ({"drain": TRUE, "return": {"run": ["a", "\ud800"]}}, "hooks.return.run has '?', which no program can be given."),
    ({"drain": {"run": ["bin/a"], "where": "node"}, "return": TRUE}, "on a node a program is absolute or found in its"),
])
def test_a_mistake_is_named_where_it_stands(value, said):
    with pytest.raises(SettingsError) as caught:
        parsed(value)
    assert said in str(caught.value)
    assert str(caught.value).startswith("invoke.yaml: styptic.hooks")
    assert "\n" not in str(caught.value)


def test_an_environment_has_hooks_of_its_own_or_none():
    configured = {"hooks": SETTINGS, "environments": {
        "production": {"hooks": {"drain": TRUE, "return": TRUE}}, "staging": {"hooks": {}}, "lab": {},
    }}
    found = {env: load({"env": env}, configured) for env in ("production", "staging", "lab")}
    assert found["production"].hooks.drain.run == ("true",)
    assert found["staging"].hooks == hooks.NONE
    assert found["lab"].hooks == parsed(SETTINGS)
    assert found["lab"].hooked_elsewhere == ("production", "staging")
    with pytest.raises(SettingsError, match="hooked_elsewhere is no setting"):
        load({}, {"hooked_elsewhere": []})


def test_hooks_of_one_environment_are_not_passed_over_where_several_are_meant():
    configured = {"environments": {"production": {"hooks": SETTINGS}}}
    for flags in ({"env": "*"}, {"query": "role:web"}):
        elsewhere = load(flags, configured).hooked_elsewhere
        with pytest.raises(SettingsError, match=r"has hooks for production alone, .* --env production"):
            hooks.check_environments(elsewhere, {"staging", "production"})
        hooks.check_environments(elsewhere, {"staging"})
    hooks.check_environments(load({"env": "production"}, configured).hooked_elsewhere, {"production"})


def test_hooks_that_cannot_run_are_refused_before_anything_is_changed(tmp_path):
    there = tmp_path / "drain.sh"
    there.write_text("#!/bin/sh\n")
    both = parsed({"drain": {"run": [str(there)]}, "return": TRUE})
    with pytest.raises(SettingsError, match=r"the drain hook's program .*/drain\.sh is not there or may not be run"):
        hooks.check(both)
    there.chmod(0o755)
    hooks.check(both, connected=False)
    hooks.check(parsed({"drain": TRUE, "return": {"run": ["/opt/there"], "where": "node"}}))
    with pytest.raises(SettingsError, match="return hook runs on the node, and --via chef-server connects to none"):
        hooks.check(parsed({"drain": TRUE, "return": TRUE | {"where": "node"}}), connected=False)


def test_plan_and_the_question_before_a_patch_show_them():
    settings = load({"env": "production"}, {"hooks": SETTINGS})
    lines = list(shared.heading(SimpleNamespace(url="https://chef.example"), settings, Plan((), (), {}), []))
    assert lines[-2:] == [
        "drain        on the controller, 120 s at most: drain 7 NAME ADDRESS",
        "return       on the node, 60 s at most: true NAME ADDRESS",
    ]


def test_patch_refuses_a_hook_that_is_not_there_before_it_asks_anybody(tmp_path):
    said = {"styptic": {"hooks": {"drain": {"run": ["/no/drain"]}, "return": TRUE}}}
    (tmp_path / "invoke.json").write_text(json.dumps(said))
    told = {"INVOKE_RUNTIME_CONFIG": str(tmp_path / "invoke.json"), "STYPTIC_STATE": str(tmp_path / "journal.db"),
            "KNIFE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "patch", "--env", "production", "--yes"], cwd=hooks.CHECKOUT, check=False,
        capture_output=True, text=True, env={**os.environ, **told}, timeout=60,
    )
    assert (done.returncode, done.stderr) == (
        1, "styptic: the drain hook's program /no/drain is not there or may not be run: correct hooks in invoke.yaml, "
        "or chmod +x it.\n"
    )


@pytest.mark.parametrize(("steps", "out"), [
    ([], False), (["connect", "look"], False), (["drain"], True), (["drain", "converge", "prove"], True),
    (["drain", "prove", "return"], True), (["drain", "prove", "return", "returned"], False),
    (["drain", "return", "returned", "connect", "drain"], True), (["return", "returned"], False),
])
def test_a_nodes_steps_tell_whether_it_is_out(steps, out):
    assert hooks.drained(steps) is out


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_shellcheck_is_content_with_the_examples():
    scripts = sorted(hooks.CHECKOUT.glob("examples/**/*.sh"))
    assert [path.name for path in scripts] == ["drain.sh", "haproxy.sh", "return.sh"]
    done = subprocess.run(
        ["shellcheck", "-x", *scripts], cwd=hooks.CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
