"""./bootstrap, copied to a directory of its own, with an empty lock: it makes a real venv and installs nothing in it.

Whether it would make one is told without making it: PYTHON=/bin/false is no Python, and is only looked at then.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKING = "bootstrap: installing the locked dependencies into .venv\n"
NO_PYTHON = "bootstrap: PYTHON=/bin/false is not Python 3.11 or newer.\n"
BUDGET = 0.2  # seconds that it may add with nothing to do


def bootstrap(checkout: Path, *words, python: str | None = sys.executable, **environment):
    """Run ./bootstrap of a checkout with these words; `python` None leaves PYTHON unset."""
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "VIRTUAL_ENV")}
    chosen = {"PYTHON": python} if python else {}
    return subprocess.run(
        [checkout / "bootstrap", *words], env=known | chosen | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A checkout whose venv is made, in a directory whose name a shell would take apart."""
    place = tmp_path_factory.mktemp("one") / "a check $out"
    place.mkdir()
    shutil.copy(ROOT / "bootstrap", place)
    (place / "requirements.lock").touch()
    first = bootstrap(place, "true")
    assert (first.returncode, first.stdout, first.stderr) == (0, "", MAKING)
    return place


def test_the_second_call_runs_its_command_in_the_venv_and_makes_nothing(checkout):
    program = 'printf "[%s]" "$@"; printf "%s\\n" "$VIRTUAL_ENV"; command -v python; cat; exit 7'
    done = bootstrap(checkout, "sh", "-c", program, "sh", "a b", "", "$(id)", "-x", python="/bin/false")
    assert done.stdout == f"[a b][][$(id)][-x]{checkout}/.venv\n{checkout}/.venv/bin/python\n"
    assert (done.returncode, done.stderr) == (7, "")


def test_a_link_to_the_checkout_is_the_same_checkout(checkout, tmp_path):
    (tmp_path / "link").symlink_to(checkout)
    done = bootstrap(tmp_path / "link", "sh", "-c", "echo $PWD; echo $VIRTUAL_ENV", python="/bin/false")
    assert (done.returncode, done.stdout) == (0, f"{Path.cwd()}\n{checkout}/.venv\n"), done.stderr


@pytest.mark.parametrize("name", ["bootstrap", "styptic"])
def test_a_link_to_the_program_alone_costs_nobody_their_venv(checkout, tmp_path, name):
    (tmp_path / name).symlink_to(checkout / "bootstrap")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "theirs").touch()
    done = subprocess.run([tmp_path / name, "true"], capture_output=True, text=True, check=False)
    said = f"bootstrap: {tmp_path} is not a checkout of Styptic: call bootstrap by its path in one, not by a link.\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([".venv", "theirs", name])


def test_a_checkout_that_cannot_be_written_to_ends_in_a_sentence(checkout, tmp_path):
    """By a directory in the way of its lock: root, who may run this, writes anywhere else."""
    shutil.copy(ROOT / "bootstrap", tmp_path)
    (tmp_path / "requirements.lock").touch()
    (tmp_path / ".bootstrap.lock").mkdir()
    done = bootstrap(tmp_path, "true")
    assert (done.returncode, done.stderr) == (
        1, f"bootstrap: {tmp_path} cannot be written to, and its .venv has to be made: run it as somebody who may.\n"
    )


def test_it_takes_no_time_where_nothing_is_to_do(checkout):
    taken = []
    for _ in range(5):  # the least of them: a busy machine is no failure
        started = time.perf_counter()
        assert bootstrap(checkout, "true", python="/bin/false").returncode == 0
        taken.append(time.perf_counter() - started)
    assert min(taken) < BUDGET


def other_minor(venv: Path) -> tuple[Path, Path]:
    """Return where the packages of the venv's Python are, and where another minor version would have them."""
    (packages,) = venv.glob("lib/python3.*")
    return packages, packages.with_name("python3.99")


@pytest.mark.parametrize("gone", ["requirements.lock", "made-for", "bin/python"])
def test_what_a_venv_lacks_is_noticed(checkout, tmp_path, gone):
    path, kept = checkout / ".venv" / gone, tmp_path / "kept"
    path.rename(kept)
    try:
        done = bootstrap(checkout, "true", python="/bin/false")
    finally:
        kept.rename(path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", NO_PYTHON)
    assert path.exists(), "and what there was is left as it was"
    assert bootstrap(checkout, "true", python="/bin/false").returncode == 0


def test_a_python_that_became_another_version_is_noticed(checkout):
    packages, others = other_minor(checkout / ".venv")
    packages.rename(others)
    try:
        assert bootstrap(checkout, "true", python="/bin/false").stderr == NO_PYTHON
    finally:
        others.rename(packages)


def test_a_checkout_that_was_moved_is_noticed(checkout):
    elsewhere = checkout.with_name("elsewhere")
    checkout.rename(elsewhere)
    try:
        assert bootstrap(elsewhere, "true", python="/bin/false").stderr == NO_PYTHON
    finally:
        elsewhere.rename(checkout)


def test_another_lock_makes_another_venv_also_when_asked_from_within_the_old_one(checkout):
    (checkout / ".venv" / "of the old one").touch()
    (checkout / "requirements.lock").write_text("# nothing else\n")
    assert bootstrap(checkout, "true", python="/bin/false").stderr == NO_PYTHON
    within = f"{checkout}/.venv/bin:{os.environ['PATH']}"
    done = bootstrap(checkout, "sh", "-c", 'echo "$PATH"; exec python -c "import sys; print(sys.prefix)"', python=None,
                     PATH=within)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{within}\n{checkout}/.venv\n", MAKING)
    assert not (checkout / ".venv" / "of the old one").exists()
    assert bootstrap(checkout, "true", python="/bin/false").returncode == 0


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_it_explains_itself_and_makes_nothing(tmp_path, flag):
    shutil.copy(ROOT / "bootstrap", tmp_path)
    done = bootstrap(tmp_path, flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ./bootstrap COMMAND [ARGUMENT...]\n")
    assert [path.name for path in tmp_path.iterdir()] == ["bootstrap"]


def test_without_a_command_it_says_how_it_is_called(tmp_path):
    shutil.copy(ROOT / "bootstrap", tmp_path)
    done = bootstrap(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ./bootstrap COMMAND")


def test_a_python_that_is_none_ends_in_a_sentence(tmp_path):
    shutil.copy(ROOT / "bootstrap", tmp_path)
    (tmp_path / "requirements.lock").touch()
    done = bootstrap(tmp_path, "true", python="/bin/false")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", NO_PYTHON)
    assert not (tmp_path / ".venv").exists()


def test_a_lock_that_cannot_be_installed_leaves_no_venv_that_is_taken_for_whole(tmp_path):
    shutil.copy(ROOT / "bootstrap", tmp_path)
    (tmp_path / "requirements.lock").write_text("-r nowhere.txt\n")  # refused before any network is asked
    done = bootstrap(tmp_path, "true")
    assert done.returncode == 1
    assert done.stderr.endswith("bootstrap: the locked dependencies could not be installed; pip says why above.\n")
    assert bootstrap(tmp_path, "true", python="/bin/false").stderr == NO_PYTHON
