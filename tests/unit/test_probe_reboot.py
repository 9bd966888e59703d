"""What only a reboot mends: probe_reboot.sh on made-up nodes."""

import pytest

from generator import probe
from tests.proc_tree import LIBCRYPTO, SHELLS, Tree

STALE = f"{LIBCRYPTO} (deleted)"


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def runs(tree, kernel: str, *installed: str) -> None:
    """Say which kernel runs and which are there."""
    (tree.proc / "sys/kernel").mkdir(parents=True)
    (tree.proc / "sys/kernel/osrelease").write_text(f"{kernel}\n")
    for name in installed:
        tree.file(f"/boot/vmlinuz-{name}", b"")


def test_a_node_on_which_nothing_has_changed_owes_none(tree):
    tree.process(1, LIBCRYPTO, parent=0)
    runs(tree, "6.1.0-13-amd64", "6.1.0-13-amd64", "6.1.0-9-amd64")
    assert tree.found().reboots == ()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_first_process_that_is_no_systemd_owes_one(tree, shell):
    tree.process(1, STALE, parent=0, name="init")
    found = tree.found(shell)
    assert [each.kind for each in found.stale] == ["init"]
    assert found.owed() == (f"PID 1 runs the deleted {LIBCRYPTO} and is no systemd, which could execute itself anew",)


def test_systemd_executes_itself_anew(tree):
    tree.systemd()
    tree.process(1, STALE, parent=0, name="systemd")
    assert tree.found().reboots == ()


@pytest.mark.parametrize("shell", SHELLS)
def test_what_matters_to_some_advisories_alone(tree, shell):
    tree.systemd()
    tree.process(1, "/usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)", parent=0)
    runs(tree, "5.15.0-91-generic", "5.15.0-91-generic", "5.15.0-100-generic", "6.8.0-1-lowlatency")
    (tree.root / "run/reboot-required").write_text("*** System restart required ***\n")
    (tree.root / "run/reboot-required.pkgs").write_text("libc6\nlinux-base\nlibc6\n\x1b[31m\n")
    found = tree.found(shell)
    assert found.owed() == ()
    assert [each.why for each in found.reboots] == ["libc", "kernel", "asked"]
    assert found.owed(deeper=True) == (
        "PID 1 runs the deleted /usr/lib/x86_64-linux-gnu/libc.so.6",
        "kernel 5.15.0-91-generic runs and 5.15.0-100-generic is installed",
        "/run/reboot-required is there, for ?[31m libc6 linux-base",
    )


@pytest.mark.parametrize(("kernel", "installed"), [
    ("6.18.0-own", ("6.1.0-13-amd64",)),  # it came from elsewhere, as in a container
    ("5.14.0-284.el9.x86_64", ("5.14.0-284.el9.x86_64", "0-rescue-0123456789abcdef")),
    ("5.14.0-284.el9.x86_64", ("5.14.0-284.el9.x86_64", "5.14.0-70.el9.x86_64")),
])
def test_kernels_that_say_nothing(tree, kernel, installed):
    runs(tree, kernel, *installed)
    assert tree.found().reboots == ()


def test_a_newer_minor_release_has_a_newer_kernel(tree):
    runs(tree, "5.14.0-284.el9_2.x86_64", "5.14.0-284.el9_2.x86_64", "5.14.0-362.el9_3.x86_64")
    assert [each.why for each in tree.found().reboots] == ["kernel"]


@pytest.mark.parametrize(("restarts", "strict", "kinds"), [
    ((), False, probe.COUNTED), (("service", "none"), False, probe.COUNTED), (("reboot",), False, probe.COUNTED),
    (("service",), True, probe.COUNTED | {"session"}), (("none", "none"), True, frozenset()),
])
def test_what_counts_follows_from_what_the_advisories_want(restarts, strict, kinds):
    assert probe.kinds(restarts, strict) == kinds
