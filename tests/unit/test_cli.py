"""How verbs end: one sentence, an exit code, knife's short flags and no others."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from invoke import Collection, Context, Program

from fleet import cli
from fleet.errors import NoNodesError, SettingsError

ROOT = Path(__file__).parents[2]


@cli.verb(help={"ssh_user": "who", "env": "where", "advisory": "what"}, short={"ssh_user": "x"}, iterable=["advisory"])
def greet(context, env=None, ssh_user=None, advisory=None):
    """Greet."""
    print(env, ssh_user, advisory)
    return 2 if env == "bad" else None


def ended(*arguments, capsys):
    try:
        Program(namespace=Collection(greet)).run(["invoke", "greet", *arguments])
        code = 0
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    return code, out, err


def test_flags_have_the_letters_given_and_no_others(capsys):
    names = {argument.name: argument.names for argument in greet.get_arguments()}
    assert names == {"env": ("env",), "ssh_user": ("ssh-user", "x"), "advisory": ("advisory",)}
    assert ended("-x", "ops", "--env", "production", "--advisory", "a", "--advisory", "b", capsys=capsys) == (
        0, "production ops ['a', 'b']\n", "")


def test_help_survives_being_asked_for():
    greet.get_arguments()
    assert [argument.help for argument in greet.get_arguments()] == ["where", "who", "what"]
    assert set(greet.help) == {"ssh_user", "env", "advisory"}


@pytest.mark.parametrize("flags", [["--enviroment", "production"], ["-e", "production"], ["production"], ["--env"]])
def test_a_mistyped_flag_is_an_error(flags, capsys):
    code, out, err = ended(*flags, capsys=capsys)
    assert code == 1
    assert out == ""
    assert err


def test_settings_that_are_no_yaml_are_one_sentence(tmp_path):
    broken = tmp_path / "invoke.yaml"
    broken.write_text("styptic:\n\tsudo: true\n")
    command = [sys.executable, "-m", "invoke", "--config", str(broken), "plan", "--env", "production"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf'styptic: the settings are no YAML, .*character .\\t. .* in "{broken}", line 2, column 1\.\n', done.stderr)


def test_a_returned_code_is_the_exit_code(capsys):
    assert ended("--env", "bad", capsys=capsys)[0] == 2


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (SettingsError("say whom."), 1, "styptic: say whom.\n"),
        (NoNodesError("no node."), 10, "styptic: no node.\n"),
        (SettingsError("a\x1b[2Jb\nc"), 1, "styptic: a?[2Jb c\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "styptic: Permission denied (/x).\n"),
    ],
)
def test_what_can_go_wrong_is_one_sentence(error, code, sentence, capsys):
    def fail():
        raise error

    assert cli.said_plainly(fail) == code
    assert capsys.readouterr().err == sentence


def test_ctrl_c_is_one_sentence(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert cli.said_plainly(interrupted) == 130
    assert capsys.readouterr().err.startswith("styptic: interrupted")


def test_a_fault_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        cli.said_plainly(lambda: 1 // 0)


def test_a_verb_is_callable_from_python():
    with pytest.raises(SystemExit, match="2"):
        greet(Context(), env="bad")


def test_an_encoding_that_lacks_a_character_ends_nothing():
    program = "from fleet import cli\nimport sys\nsys.exit(cli.said_plainly(lambda: print('web\u2026 \u65e5')))"
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"web\\u2026 \\u65e5\n", b"")


def test_a_closed_output_is_no_surprise():
    program = "from fleet import cli\nimport sys\nsys.stdout = None\nsys.exit(cli.said_plainly(lambda: print('x')))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_that_hung_up_hears_nothing_and_ends_nothing():
    program = "from fleet import cli\nimport sys\nsys.exit(cli.complain('x', 7))"
    with open("/dev/full", "wb") as full:  # which refuses every write, as such a terminal does
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=full, check=False)
    assert done.returncode == 7


def test_a_closed_pipe_is_quiet():
    program = "from fleet import cli\nimport sys\nsys.exit(cli.said_plainly(lambda: print('x' * 100000)))"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (cli.PIPE_CLOSED, b"")
