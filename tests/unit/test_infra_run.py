"""tests/infra/run: which hosts pytest is given, by what Test Kitchen set. Each test runs a copy of it beside a
./bootstrap that is a stand-in, made for these tests: it prints where it runs and its words, one a line.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOTSTRAP = "#!/bin/sh\nfor word in \"$PWD\" \"$@\"; do printf '%s\\n' \"$word\"; done\nexit 3\n"
ID = "#!/bin/sh\n[ \"$*\" = -u ] && echo {}\n"
CONFIG = "--ssh-config=tests/infra/kitchen_ssh_config"


@pytest.fixture
def ran(tmp_path):
    """Return a function that runs it with these variables and arguments, as a user with this id."""
    checkout = tmp_path / "a checkout"
    (checkout / "tests" / "infra").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "infra" / "run", checkout / "tests" / "infra")
    (tmp_path / "bin").mkdir()
    for path, text in ((checkout / "bootstrap", BOOTSTRAP), (tmp_path / "bin" / "id", ID)):
        path.write_text(text)
        path.chmod(0o755)

    def running(*words, uid=0, **variables) -> list[str]:
        (tmp_path / "bin" / "id").write_text(ID.format(uid))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KITCHEN_", "STYPTIC_"))}
        kept |= {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"} | variables
        done = subprocess.run(
            [checkout / "tests" / "infra" / "run", *words], cwd=tmp_path, env=kept, capture_output=True, text=True,
            check=False,
        )
        where, *said = done.stdout.splitlines()
        assert (done.returncode, done.stderr, where) == (3, "", str(checkout))
        assert said[:3] == ["pytest", "tests/infra", "-rs"]
        return said[3:]

    return running


def test_a_machine_is_reached_by_ssh(ran):
    assert ran(KITCHEN_HOSTNAME="192.0.2.1") == ["--hosts=ssh://root@192.0.2.1:22", CONFIG]


def test_all_that_kitchen_says_of_it_is_used(ran):
    assert ran(
        KITCHEN_HOSTNAME="192.0.2.1", KITCHEN_PORT="2222", KITCHEN_USERNAME="root", KITCHEN_SSH_KEY="/a b/key",
        STYPTIC_SSH_CONFIG="/my config",
    ) == ["--ssh-identity-file=/a b/key", "--hosts=ssh://root@192.0.2.1:2222", "--ssh-config=/my config"]


def test_who_is_not_root_becomes_it(ran):
    assert ran(KITCHEN_HOSTNAME="web1", KITCHEN_USERNAME="ops") == ["--sudo", "--hosts=ssh://ops@web1:22", CONFIG]


def test_an_ipv6_address_is_put_in_brackets(ran):
    assert ran(KITCHEN_HOSTNAME="2001:db8::7", KITCHEN_PORT="2222") == [
        "--hosts=ssh://root@[2001:db8::7]:2222", CONFIG,
    ]


def test_a_container_is_asked_by_docker_exec(ran):
    found = ran(KITCHEN_RUNNER_CONTAINER="ab12", KITCHEN_INSTANCE_NAME="default-debian-12", KITCHEN_HOSTNAME="ignored")
    assert found == ["--hosts=docker://default-debian-12"]


@pytest.mark.parametrize(("uid", "words"), [(0, ["--hosts=local://"]), (1000, ["--sudo", "--hosts=local://"])])
def test_without_either_it_is_this_machine(ran, uid, words):
    assert ran(uid=uid) == words


def test_arguments_go_to_pytest_as_they_are(ran):
    assert ran("--tls-port=443", "-k", "a b", "", KITCHEN_HOSTNAME="web1") == [
        "--hosts=ssh://root@web1:22", CONFIG, "--tls-port=443", "-k", "a b", "",
    ]


def test_a_container_without_a_name_is_refused(tmp_path):
    done = subprocess.run(
        [ROOT / "tests" / "infra" / "run"], env={"PATH": os.environ["PATH"], "KITCHEN_RUNNER_CONTAINER": "ab12"},
        capture_output=True, text=True, check=False,
    )
    assert done.returncode != 0
    assert "KITCHEN_INSTANCE_NAME" in done.stderr
    assert "is the name of its container" in done.stderr
