"""The Invoke tasks of this room: `collection` holds lab.up and its siblings, `tests` test and its own; and `demo`."""

from invoke import Collection

from fleet.cli import verb

NODE = "Name of a node, as lab.status lists it"


@verb(help={"nodes": "Light nodes (sshd alone) to have in production beside the usual four"})
def up(context, nodes=0):
    """
    Bring up a Chef server and nodes on this machine.

    invoke lab.up
    invoke lab.up --nodes 6

    goiardi with authentication on; in production web1 (nginx, under systemd), web2 (nginx, sysv init) and legacy1
    (Debian 7-like); in staging staging1. The checkout's .chef leads to its settings while it is up, so that `invoke
    patch --env production` and knife talk to it. Needs root; the first time it builds the nodes' root file systems.
    """
    from lab.lab import Lab

    show(Lab.up(more=nodes))


@verb(help={})
def status(context):
    """
    Show the lab that is up: its nodes, whether they live, their OpenSSL.

    invoke lab.status
    """
    from lab.lab import Lab

    show(Lab.current())


@verb(help={"node": NODE, "command": "Shell command to run there in place of a login"})
def ssh(context, node=None, command=None):
    """
    Log in to a node of the lab as root, or run a command there.

    invoke lab.ssh --node web1
    invoke lab.ssh --node web1 --command 'dpkg-query --show openssl'

    Exits with the command's own code, or 255 when ssh(1) failed.
    """
    import shutil
    import subprocess

    from lab.host import RUN, LabError
    from lab.lab import Lab

    name = named(Lab.current(), node).name
    if not shutil.which("ssh"):
        raise LabError("there is no ssh program here: install the Debian package openssh-client.")
    # "--" ends ssh's own options: a command may start with a dash.
    words = ["ssh", "-F", str(RUN / "ssh_config"), name, *(["--", command] if command else [])]
    return subprocess.run(words, check=False).returncode


@verb(help={"node": NODE})
def reset(context, node=None):
    """
    Make a node of the lab new again, by dropping its overlay.

    invoke lab.reset --node web1
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.reset(named(lab, node).name)


@verb(help={
    "name": "Its name",
    "base": "light (sshd alone), web (and nginx), full (and every service of the data), legacy (Debian 7-like), rhel "
            "(CentOS 6-like) or managed (web, with what Ansible and Salt need); docs/lab.md tells of each",
    "init": "systemd or sysv", "environment": "Its Chef environment",
})
def add(context, name=None, base="light", init="sysv", environment="production"):
    """
    Add a node to the lab and register it on the Chef server.

    invoke lab.add --name web3 --base web --init systemd
    invoke lab.add --name centos1 --base rhel
    """
    from lab.host import LabError
    from lab.lab import Lab

    if not name:
        raise LabError("say what to call the new node: --name web3, for instance.")
    node = Lab.current().add(name, base=base, init=init, environment=environment)
    print(f"{node.name} answers on {node.address}")


@verb(help={"node": NODE})
def remove(context, node=None):
    """
    Take a node out of the lab and off the Chef server.

    invoke lab.remove --node web3
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.remove(named(lab, node).name)


@verb(help={})
def down(context):
    """
    End the lab, or clean up after one that was killed; leaves nothing but the cache of bases.

    invoke lab.down
    """
    from lab import lab

    print("the lab is down" if lab.down() else "no lab is up")


@verb(help={"keep": "Leave the lab up afterwards", "report": "Directory for report.json and junit.xml"})
def demo(context, keep=False, report=None):
    """
    Show the main job on a lab: it comes up, `invoke patch` patches production, the result is shown, it goes down.

    invoke demo
    invoke demo --keep --report /tmp/report
    """
    from lab import demo as show

    return show.run(report or show.REPORT, keep)


@verb(help={"unit": "Only the tests that need no lab", "k": "Only the tests whose names match (pytest's -k)"})
def test(context, unit=False, k=None):  # noqa: PT028 - a verb, not a test
    """
    Run the tests: the unit tests, and those on a lab that comes up for them and goes down after.

    invoke test
    invoke test --unit -k settings

    Lists the slowest. Exits with pytest's code, and 1 where no test ran.
    """
    where = ["tests/unit"] if unit else ["tests/unit", "tests/lab"]
    return pytest_of(*where, "-n", "auto", "--dist", "loadgroup", "--durations=10", *(["-k", k] if k else []))


@verb(help={"k": "Only the tests whose names match (pytest's -k)"})
def services(context, k=None):
    """
    Show on nodes what generator/services.toml says of each service, under sysv init and under systemd.

    invoke test.services
    invoke test.services -k haproxy

    nginx, apache2, haproxy, stunnel4, postgresql and ssh, and those that are never restarted, on Debian's nodes and on
    CentOS 6-like ones of a lab that comes up for it, with OpenSSL upgraded for real. The first time it builds these
    nodes' root file systems. Prints the time it took; exits as `invoke test` does.
    """
    import time

    began = time.monotonic()
    where = ["tests/lab/test_services.py", "tests/lab/test_never_restarted.py", "tests/lab/test_reboot.py"]
    code = pytest_of(*where, "-m", "table", "-v", "--no-header", *(["-k", k] if k else []))
    print(f"test.services took {time.monotonic() - began:.0f} s")
    return code


@verb(help={"k": "Only the tests whose names match (pytest's -k)"})
def cookbook(context, k=None):
    """
    Converge the cookbook on nodes as those do who have no Styptic: report, --why-run, recipe, wrapper cookbook.

    invoke test.cookbook

    `invoke test` has the wrapper of these. Exits as it does.
    """
    where = ["tests/lab/test_cookbook.py", "-m", "cookbook or not cookbook"]
    return pytest_of(*where, "-v", "--no-header", *(["-k", k] if k else []))


@verb(help={"k": "Only the tests whose names match (pytest's -k)"})
def rhel(context, k=None):
    """
    Run the tests that want CentOS 6-like nodes: Heartbleed patched by its own row, Chef's package resource over dnf.

    invoke test.rhel

    The first time it builds these nodes' root file system. Exits as `invoke test` does.
    """
    return pytest_of("tests/lab", "-m", "rhel", "-v", "--no-header", *(["-k", k] if k else []))


@verb(help={"k": "Only the tests whose names match (pytest's -k)"})
def targets(context, k=None):
    """
    Patch Debian and CentOS 6-like nodes by what `invoke render --target` writes: the script, the playbook, the state.

    invoke test.targets
    invoke test.targets -k ansible

    Ansible, ansible-lint and Salt are installed into venvs of their own when first used (.venv-ansible, .venv-salt).
    `invoke test` has the script on one node. Prints the time it took; exits as `invoke test` does.
    """
    import time

    began = time.monotonic()
    where = ["tests/lab/test_targets.py", "tests/lab/test_target_verdicts.py"]
    code = pytest_of(*where, "-m", "targets or not targets", "-v", "--no-header", *(["-k", k] if k else []))
    print(f"test.targets took {time.monotonic() - began:.0f} s")
    return code


def pytest_of(*words: str) -> int:
    """Run pytest in the checkout; return its exit code, 1 where no test ran."""
    import subprocess
    import sys

    from lab.host import ROOT

    code = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False).returncode
    return 1 if code == NO_TESTS else code


NO_TESTS = 5  # pytest.ExitCode.NO_TESTS_COLLECTED


def named(lab, name):
    """Return a node by the name the user gave. Raises LabError, naming those there are, for none or a wrong one."""
    from lab.host import LabError

    if not name:
        raise LabError(f"say which node: --node with one of {', '.join(sorted(lab.nodes))}.")
    return lab.node(name)


def show(lab) -> None:
    """Print the lab's nodes and how to use it."""
    from lab import goiardi, status

    for line in status.table(lab):
        print(line)
    print(f"Chef server {goiardi.URL}; settings for knife in {lab.chef_dir}; advisory {lab.advisory}")


#: `invoke test` is its default; the others are too long for every day.
tests = Collection("test", services, cookbook, rhel, targets)
tests.add_task(test, name="all", default=True)
collection = Collection("lab", up, status, ssh, add, reset, remove, down)
