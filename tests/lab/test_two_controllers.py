"""Two operators patch one environment at the same moment, each from a controller with a journal of its own."""

import contextlib
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Barrier

import pytest

from fleet.chef import lock
from fleet.history import History
from tests.lab.faults import Victim
from tests.lab.tiny import ADVISORY, BUILD, GOOD, RESET, upgrades

ENVIRONMENT = "two-controllers"
NAMES = ("two-controllers-1", "two-controllers-2")
LIMIT = 120  # seconds
ROUNDS = 10  # in `invoke test.faults`


@pytest.fixture(scope="module")
def nodes(operator):
    operator.environment(ENVIRONMENT)
    with contextlib.ExitStack() as added:
        added.callback(operator.chef.delete, f"/environments/{ENVIRONMENT}")
        for name in NAMES:
            operator.lab.add(name, environment=ENVIRONMENT)
            added.callback(operator.lab.remove, name)
            operator.sh(name, BUILD)
        operator.indexed(*NAMES)
        yield [Victim(operator.lab, name) for name in NAMES]


@pytest.fixture
def controllers(operator, tmp_path):
    """Return two operators: on two machines as far as their journals and reports know."""
    (tmp_path / "TINY-1.toml").write_text(ADVISORY)
    made = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        made.append(replace(operator, home=tmp_path / name))
    return made


@pytest.mark.faults
@pytest.mark.parametrize("turn", range(1, ROUNDS + 1), ids="round {}".format)
def test_one_patches_and_the_other_is_told(turn, operator, nodes, controllers, tmp_path):
    for node in nodes:
        node.sh(RESET)
    nodes[0].sh("rm -rf /run/halted /run/go /run/stands")
    nodes[0].halts("unpacked")  # so that the one is at work until the other has ended
    start = Barrier(2)

    def patch(controller):
        start.wait(LIMIT)
        return controller.run(
            "patch", "--yes", "--env", ENVIRONMENT, "--advisory", str(tmp_path / "TINY-1.toml"), "--via", "shell",
            "--waves", "100%", "--run-lock-timeout", "1", "--report", str(controller.home / "report"),
        )

    with ThreadPoolExecutor(2) as pool:
        going = {pool.submit(patch, controller): controller for controller in controllers}
        try:
            nodes[0].await_halt()
            (refused,), (winning,) = wait(going, LIMIT, FIRST_COMPLETED)
        finally:
            nodes[0].let_go()
    said, won = refused.result(), winning.result()
    assert (said.returncode, won.returncode) == (3, 0), said.stdout + said.stderr + won.stdout + won.stderr
    with History(going[winning].home / "journal.db") as history:
        run = history.run()
        assert {node.name: node.state for node in history.nodes(run.id)} == dict.fromkeys(NAMES, "patched")
    assert f"{ENVIRONMENT} is being patched by " in said.stderr
    assert f"run {run.id}; nothing was changed" in said.stderr
    assert said.stdout == ""
    assert not (going[refused].home / "report" / "report.json").exists()
    for node in nodes:
        assert upgrades(node.sh("cat /var/log/dpkg.log")) == 1
        assert node.sh("dpkg-query -W -f '${Version}' libtiny1") == GOOD
    assert lock.read(operator.chef, ENVIRONMENT) is None
