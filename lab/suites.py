"""The Invoke tasks of `test`: pytest on parts of the checkout. What is too long for every day is a verb of its own."""

from invoke import Collection

from fleet.cli import verb

K = {"k": "Only the tests whose names match (pytest's -k)"}
FAULTS = (
    "faults_node", "faults_packages", "faults_server", "bad_nodes", "two_controllers", "lock", "resume", "detached",
    "via_server", "hooks", "rebooted", "waves", "hostile",
)
NO_TESTS = 5  # pytest.ExitCode.NO_TESTS_COLLECTED


@verb(help={"unit": "Only the tests that need no lab", **K})
def test(context, unit=False, k=None):  # noqa: PT028 - a verb, not a test
    """
    Run the tests: the unit tests, and beside them those on a lab that comes up for them and goes down after.

    invoke test
    invoke test --unit -k settings

    Shows the lab's tests as they go, then what the unit tests said. Lists the slowest of each. Exits with pytest's
    code, and 1 where no test ran.
    """
    words = ["--durations=10", *(["-k", k] if k else [])]
    return _ended(pytest_of("tests/unit", *words)) if unit else side_by_side("tests/lab", "tests/unit", *words)


@verb(help=K)
def services(context, k=None):
    """
    Show on nodes what generator/services.toml says of each service, under sysv init and under systemd.

    invoke test.services
    invoke test.services -k haproxy

    nginx, apache2, haproxy, stunnel4, postgresql and ssh, and those that are never restarted, on Debian's nodes and on
    CentOS 6-like ones of a lab that comes up for it, with OpenSSL upgraded for real; dovecot, named, unbound and what
    systemd runs beside on Debian's. The first time it builds these nodes' root file systems. Prints the time it took;
    exits as `invoke test` does.
    """
    where = [f"tests/lab/test_{name}.py" for name in ("services", "machine_services", "never_restarted", "reboot")]
    return suite("services", k, *where, "-m", "table")


@verb(help=K)
def cookbook(context, k=None):
    """
    Converge the cookbook on nodes as those do who have no Styptic: report, --why-run, recipe, wrapper cookbook.

    invoke test.cookbook

    And the lab's stand-in for chef-client, rule by rule. `invoke test` has the wrapper of these and a few of the rules.
    Prints the time it took; exits as `invoke test` does.
    """
    where = ["tests/lab/test_cookbook.py", "tests/lab/test_chef_client_standin.py"]
    return suite("cookbook", k, *where, "-m", "cookbook or not cookbook")


@verb(help=K)
def packages(context, k=None):
    """
    Let upgrades go wrong: packages held, apt's lock taken, mirrors down or old, foreign architectures, other libraries.

    invoke test.packages

    On Debian's nodes and on CentOS 6-like ones; the first time it builds these nodes' root file system. `invoke test`
    has two of these. Prints the time it took; exits as `invoke test` does.
    """
    where = ["tests/lab/test_packages.py", "tests/lab/test_libraries.py"]
    return suite("packages", k, *where, "-m", "packages or not packages")


@verb(help=K)
def rhel(context, k=None):
    """
    Run the tests that want CentOS 6-like nodes: Heartbleed patched by its own row, Chef's package resource over dnf.

    invoke test.rhel

    The first time it builds these nodes' root file system. Prints the time it took; exits as `invoke test` does.
    """
    return suite("rhel", k, "tests/lab", "-m", "rhel")


@verb(help=K)
def targets(context, k=None):
    """
    Patch Debian and CentOS 6-like nodes by what `invoke render --target` writes: the script, the playbook, the state.

    invoke test.targets
    invoke test.targets -k ansible

    Ansible, ansible-lint and Salt are installed into venvs of their own when first used (.venv-ansible, .venv-salt).
    `invoke test` has the script on one node. Prints the time it took; exits as `invoke test` does.
    """
    where = ["tests/lab/test_targets.py", "tests/lab/test_target_verdicts.py"]
    return suite("targets", k, *where, "-m", "targets or not targets")


@verb(help=K)
def faults(context, k=None):
    """
    Break things in the middle of rollouts, for real, a line a fault: power, network, disks, packages, the Chef server.

    invoke test.faults
    invoke test.faults -k "powered or disk"

    And the controller killed at every entry of its journal, two of them at once, hostile nodes, reboots, hooks, waves.
    docs/faults.md has the faults and what to do about each. `invoke test` has a few of these. Prints the time that each
    file took, and all of them; exits as `invoke test` does.
    """
    return suite("faults", k, *(f"tests/lab/test_{name}.py" for name in FAULTS), "-m", "faults or not faults")


@verb(help=K)
def browser(context, k=None):
    """
    Look at report.html in a real headless Chromium: speed, widths, keyboard, contrast, and that it asks nobody.

    invoke test.browser

    Wants root where Debian's chromium is not there yet: it is installed, announced first. Writes the pictures in docs/
    anew. Prints the time it took; exits as `invoke test` does.
    """
    from lab import browser as chromium

    chromium.require()
    return suite("browser", k, "tests/browser")


@verb(help=K)
def exposure(context, k=None):
    """
    Look for what leaked on nodes of each kind, patched by us and past us, and replace a node's Chef key as we say.

    invoke test.exposure

    On Debian's nodes, Debian 7-like and CentOS 6-like ones; the first time it builds these nodes' root file system.
    `invoke test` has one of these. Prints the time it took; exits as `invoke test` does.
    """
    where = ["tests/lab/test_exposure.py", "tests/lab/test_followup.py"]
    return suite("exposure", k, *where, "-m", "exposure or not exposure")


@verb(help=K)
def load(context, k=None):
    """
    Patch two hundred nodes of which one in twenty is dead: limits, connections, pace and journal.

    invoke test.load

    On both sides of --max-unreachable; ten of the nodes converge. Prints the time it took; exits as `invoke test` does.
    """
    return suite("load", k, "tests/lab/test_load.py", "-m", "load", "-s")


def suite(name: str, k: str | None, *words: str) -> int:
    """Run one of the long suites, a line a test; print its time, return its exit code."""
    import time

    began = time.monotonic()
    code = _ended(pytest_of(*words, "-v", "--no-header", *(["-k", k] if k else [])))
    print(f"test.{name} took {time.monotonic() - began:.0f} s")
    return code


def side_by_side(shown: str, kept: str, *words: str) -> int:
    """Run pytest on two places at once: a lab mostly waits. Print the first as it goes, then what the other said.

    Return the exit code: 0 only where both have none but passed tests, or one has no test of the asked name.
    """
    import shutil
    import sys
    import tempfile

    with tempfile.TemporaryFile() as said:
        other = pytest_of(kept, *words, stdout=said)
        try:
            first = pytest_of(shown, *words).wait()
        finally:
            second = other.wait()  # an interrupt reaches both
            said.seek(0)
            sys.stdout.flush()
            shutil.copyfileobj(said, sys.stdout.buffer)
            sys.stdout.flush()
    codes = {first, second}
    return 1 if codes == {NO_TESTS} else max(codes - {NO_TESTS}, key=abs)


def pytest_of(*words: str, stdout=None):
    """Start pytest in the checkout, with what it says going to `stdout` where given; return the process."""
    import subprocess
    import sys

    from lab.host import ROOT

    return subprocess.Popen([sys.executable, "-m", "pytest", *words], cwd=ROOT, stdout=stdout, stderr=stdout)


def _ended(process) -> int:
    code = process.wait()
    return 1 if code == NO_TESTS else code


#: `invoke test` is its default.
collection = Collection("test", services, cookbook, packages, rhel, targets, faults, load, browser, exposure)
collection.add_task(test, name="all", default=True)
