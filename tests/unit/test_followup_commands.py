"""The commands that replace Chef's keys, run in a shell: ssh, knife and chef-client are stand-ins, all else is real."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from fleet import followup_commands as commands
from fleet.chef.credentials import CLIENTS, USERS, digest, own_digest
from fleet.ssh_settings import Jump, SshSettings

NOTHING = SshSettings()
STAND_INS = {
    # What follows -- and the address is what sshd hands to the login's shell.
    "ssh": 'while [ "$1" != -- ]; do shift; done\nshift 2\nexec sh -c "$*"\n',
    "knife": 'echo "knife $*" >>"$LOG"\n'
             'case "$*" in *" --file "*) for last; do :; done; openssl genrsa -out "$last" 2048 2>/dev/null ;; esac\n',
    "chef-client": 'echo "chef-client $*" >>"$LOG"\nexit "$CLIENT"\n',
    "sudo": 'shift\nexec "$@"\n',
}


@pytest.fixture
def place(tmp_path):
    """Return a directory with the stand-ins in bin/ and a node's key in node's directory, whose name wants quoting."""
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "node's").mkdir()
    subprocess.run(["openssl", "genrsa", "-out", str(tmp_path / "node's/client.pem"), "2048"], check=True,
                   capture_output=True)
    return tmp_path


def run(place, lines, client=0):
    """Run commands as a person does who stops at the first that fails; return its code and what the stand-ins heard."""
    log = place / "log"
    setting = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "LOG": str(log), "CLIENT": str(client)}
    for line in lines:
        done = subprocess.run(["sh", "-c", line], cwd=place, env=setting, capture_output=True, text=True, check=False)
        if done.returncode:
            break
    return done.returncode, log.read_text().splitlines() if log.exists() else []


def left(place):
    """Return what is left in the directory and in the node's, besides the stand-ins and their log."""
    return sorted({path.name for path in [*place.iterdir(), *(place / "node's").iterdir()]} - {"bin", "log", "node's"})


@pytest.mark.parametrize("sudo", [False, True])
def test_a_new_key_is_in_use_before_the_old_one_goes(place, sudo):
    key = place / "node's/client.pem"
    before = own_digest(key.read_text())
    lines = commands.on_node("web1", "192.0.2.1", str(key), "styptic-20260102", ["default"], NOTHING, sudo, "default")
    code, heard = run(place, lines[:-1])
    assert code == 0
    assert heard == [
        "knife client key create web1 --key-name styptic-20260102 --public-key web1.pub --disable-editing",
        "chef-client --why-run", "knife client key delete web1 default",
    ]
    after = own_digest(key.read_text())
    assert after == digest((place / "web1.pub").read_text()) != before
    assert key.stat().st_mode & 0o777 == 0o600
    assert run(place, lines[-1:])[0] == 0
    assert left(place) == ["client.pem"]


def test_a_key_that_is_not_taken_gives_way_to_the_old_one(place):
    key = place / "node's/client.pem"
    before = key.read_bytes()
    lines = commands.on_node("web1", "192.0.2.1", str(key), "new", ["default"], NOTHING, False, "default")
    code, heard = run(place, lines, client=1)
    assert code == 1
    assert key.read_bytes() == before
    assert not [line for line in heard if "delete" in line]


def test_a_server_with_one_key_each_is_told_last(place):
    key = place / "node's/client.pem"
    before = own_digest(key.read_text())
    lines = commands.on_node("web1", "192.0.2.1", str(key), "new", [None], NOTHING, False, "default")
    code, heard = run(place, lines)
    assert (code, heard) == (0, ["knife client reregister web1 --file web1.pem", "chef-client --why-run"])
    assert own_digest(key.read_text()) != before
    assert left(place) == ["client.pem"]


def test_nothing_ends_the_old_key_where_the_new_one_cannot_be_put(place):
    path = str(place / "gone/client.pem")
    lines = commands.on_node("web1", "192.0.2.1", path, "new", [None], NOTHING, False, "default")
    code, heard = run(place, lines)
    assert code != 0
    assert heard == []


@pytest.mark.parametrize(("old", "heard"), [
    (["default"], ["knife user key create ada --key-name new --public-key {key}.styptic-new.pub --disable-editing",
                   "knife environment list --user ada --key {key}.styptic-new", "knife user key delete ada default"]),
    ([], ["knife user key create ada --key-name new --public-key {key}.styptic-new.pub --disable-editing",
          "knife environment list --user ada --key {key}.styptic-new", "knife user key list ada"]),
    ([None], ["knife user reregister ada --file {key}.styptic-new",
              "knife environment list --user ada --key {key}.styptic-new"]),
])
def test_the_operators_key_is_tried_before_it_is_put_in_place(place, old, heard):
    key = place / "node's/client.pem"
    before = own_digest(key.read_text())
    code, said = run(place, commands.of_operator("ada", USERS, str(key), "new", old, "default"))
    assert code == 0
    assert said == [line.format(key=key) for line in heard]
    assert own_digest(key.read_text()) != before
    assert left(place) == ["client.pem"]


def test_a_client_as_operator_has_the_clients_words():
    lines = commands.of_operator("ci", CLIENTS, "/k.pem", "new", ["default"], "default")
    assert "knife client key create ci --key-name new --public-key /k.pem.styptic-new.pub --disable-editing" in lines


def test_ssh_is_told_what_ours_is_told():
    settings = SshSettings("ops", Path("/id"), 2222, (Jump("gate", "me", 22), Jump("inner")), Path("/my config"))
    line = commands.ssh("192.0.2.1", settings, True, "id")
    assert shlex.split(line) == [
        "ssh", "-F", "/my config", "-i", "/id", "-p", "2222", "-l", "ops", "-J", "me@gate:22,inner", "--", "192.0.2.1",
        "sudo -n sh -c id",
    ]
