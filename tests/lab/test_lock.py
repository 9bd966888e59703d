"""One operator at a time in an environment, by the real Chef server; who was killed leaves a lock and a journal."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from fleet import who
from fleet.chef import lock
from fleet.chef.lock import Holder
from fleet.errors import LockedError
from lab import network, registry
from lab.host import ROOT

ENVIRONMENT = "locked"
AUTOMATIC = {"ipaddress": network.MACHINE, "platform": "debian", "platform_version": "12.5"}


@pytest.fixture(scope="module")
def nobody(operator):
    """Return a port at which the environment's one node never answers."""
    operator.environment(ENVIRONMENT)
    operator.paper("locked1", ENVIRONMENT, AUTOMATIC)
    operator.indexed("locked1")
    with socket.create_server((network.MACHINE, 0)) as silent:
        silent.settimeout(60)
        yield silent
    operator.chef.delete("/nodes/locked1")
    operator.chef.delete(f"/environments/{ENVIRONMENT}")


def patch(silent):
    return [
        "patch", "--env", ENVIRONMENT, "--advisory", "CVE-2014-0160", "--via", "shell", "--include-unknown", "--yes",
        "--ssh-port", str(silent.getsockname()[1]), "--ticket", "OPS-7",
    ]


@contextlib.contextmanager
def patching(operator, silent):
    """Give a patch that waits for its node, and what it says."""
    setting = {"KNIFE_HOME": str(operator.lab.chef_dir), "STYPTIC_STATE": str(operator.home / "journal.db")}
    with subprocess.Popen(
        [sys.executable, "-m", "invoke", *patch(silent)], cwd=ROOT, env=os.environ | setting, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as run:
        try:
            connection, _ = silent.accept()
            with connection:
                yield run
        finally:
            run.kill()


def test_a_killed_run_keeps_others_out_until_its_lock_is_broken(operator, nobody):
    with patching(operator, nobody) as run:
        holder = lock.read(operator.chef, ENVIRONMENT)
        assert (holder.owner, holder.host, holder.client, holder.ticket) == (who.user(), who.host(), "admin", "OPS-7")
        refused = operator.run(*patch(nobody))
        assert (refused.returncode, refused.stdout) == (3, "")
        assert f"{ENVIRONMENT} is being patched by {who.operator()} (Chef client admin, ticket OPS-7)" in refused.stderr
        standing = operator.run("status")
        assert standing.stdout.startswith(f"run          {holder.run} is running\n")
        assert "at work      locked1  connect, " in standing.stdout
        alive = operator.run("unlock", "--env", ENVIRONMENT, "--yes")
        assert (alive.returncode, f"alive on this machine, as process {run.pid}" in alive.stderr) == (1, True)
        run.kill()
    told = json.loads(operator.run("status", "--json").stdout)
    assert (told["run"], told["stage"], [each["step"] for each in told["at_work"]]) == (
        holder.run, "broken off", ["connect"],
    )
    assert operator.run(*patch(nobody)).returncode == 3
    broken = operator.run("unlock", "--env", ENVIRONMENT, "--yes")
    assert broken.returncode == 0
    assert f"is locked by {who.operator()}" in broken.stdout
    assert lock.read(operator.chef, ENVIRONMENT) is None


def test_an_interrupted_run_gives_its_lock_back(operator, nobody):
    with patching(operator, nobody) as run:
        assert lock.read(operator.chef, ENVIRONMENT) is not None
        for _ in range(2):
            run.send_signal(signal.SIGTERM)
            run.stderr.readline()
        run.communicate(timeout=60)
    assert run.returncode == 130
    assert lock.read(operator.chef, ENVIRONMENT) is None


def test_of_several_at_the_same_moment_one_has_it(lab):
    start = Barrier(4)

    def attempts(number):
        won = []
        with registry.connect() as chef:
            chef.contact()
            for turn in range(4):
                holder = Holder(f"race-{turn}", str(number), "here", "admin", "", str(number))
                start.wait(60)
                with contextlib.suppress(LockedError), lock.held(chef, [holder], pytest.fail):
                    won.append(turn)
                    start.wait(60)
                if turn not in won:
                    start.wait(60)
        return won

    with ThreadPoolExecutor(4) as operators:
        assert sorted(turn for won in operators.map(attempts, range(4)) for turn in won) == [0, 1, 2, 3]
