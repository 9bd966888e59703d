"""Which init script a stale process is of, by the program that it runs: probe_script.sh on made-up nodes."""

import os

import pytest

from tests.proc_tree import LIBSSL, SHELLS, Tree

STALE = f"{LIBSSL} (deleted)"
POSTGRES = "/usr/lib/postgresql/15/bin/postgres"


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    tree.script("postgresql", "#!/bin/sh\n. /usr/share/postgresql-common/init.d-functions\n")
    tree.file(POSTGRES, b"program")
    return tree


def start(tree, pid, program=POSTGRES, **about):
    """Start a process that runs a program, and says of itself what PostgreSQL does."""
    tree.process(pid, STALE, **{"name": "postgres", "command": (POSTGRES, "-D", "/var/lib/x"), "uid": 109} | about)
    (tree.proc / str(pid) / "exe").symlink_to(program)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_in_a_directory_that_has_a_scripts_name_is_that_scripts(tree, shell):
    start(tree, 40)
    start(tree, 41, parent=40, command=("postgres: checkpointer",))
    start(tree, 42, program=f"{POSTGRES} (deleted)")
    assert {(each.kind, each.service) for each in tree.found(shell).stale} == {("service", "postgresql")}


def test_the_kernels_word_for_the_program_counts_and_not_the_processs_own(tree):
    start(tree, 40, program="/usr/bin/python3.11")
    (tree.root / "usr/lib/none").symlink_to(POSTGRES)
    start(tree, 41, program="/usr/lib/none")
    tree.process(42, STALE, name="postgres", command=(POSTGRES,), uid=109)
    assert set(tree.kinds().values()) == {("orphan", None)}


def test_what_a_user_runs_or_could_have_put_there_is_no_service(tree):
    start(tree, 40, uid=1000)
    theirs = tree.file("/srv/postgresql/postgres", b"program")
    os.chown(theirs, 65534, 65534)
    start(tree, 41, program="/srv/postgresql/postgres")
    open_to_all = tree.file("/opt/postgresql/postgres", b"program")
    open_to_all.parent.chmod(0o777)
    start(tree, 42, program="/opt/postgresql/postgres")
    assert set(tree.kinds().values()) == {("orphan", None)}


def test_a_path_is_asked_of_the_scripts_once(tree):
    tree.script("web", "DAEMON=/usr/sbin/web\n")
    tree.script("one", "DAEMON=/usr/sbin/shared\n")
    tree.script("two", "DAEMON=/usr/sbin/shared\n")
    for pid in range(40, 44):
        tree.process(pid, STALE, name="x", command=("/usr/sbin/web",))
        tree.process(pid + 10, STALE, name="x", command=("/usr/sbin/shared",))
    assert set(tree.kinds().values()) == {("service", "web"), ("orphan", None)}
