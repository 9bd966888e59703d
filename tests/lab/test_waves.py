"""Waves on real nodes: a dead canary is replaced, a failure before the last wave spares the rest, a second run goes on.
"""

import pytest

NAMES = ("waves-1", "waves-2", "waves-3")
DEAD = "waves-0"  # stands only on the Chef server, at an address where no sshd listens
HOW = ("--env", "waves", "--via", "shell", "--waves", "1,2,100%", "--max-unreachable", "1")


@pytest.fixture(scope="module")
def rolled(operator):
    """Make the nodes, of which the second cannot be patched; patch them."""
    operator.environment("waves")
    for name in NAMES:
        operator.lab.add(name, base="light", init="sysv", environment="waves")
    alike = operator.chef.get("/nodes/waves-1")["automatic"]  # so that search data calls it vulnerable, too
    operator.paper(DEAD, "waves", alike | {"fqdn": "10.77.0.1"})
    operator.indexed(DEAD, *NAMES)
    operator.sh("waves-2", "mv /usr/bin/apt-get /usr/bin/apt-got")
    yield operator.patch(*HOW)
    for name in NAMES:
        operator.lab.remove(name)
    operator.chef.delete(f"/nodes/{DEAD}")
    operator.chef.delete("/environments/waves")


def ends(nodes):
    return {name: (node["state"], node["wave"]) for name, node in nodes.items()}


def test_a_failure_before_the_last_wave_spares_the_rest(rolled):
    done, nodes = rolled
    assert done.returncode == 3, done.stdout + done.stderr
    assert ends(nodes) == {
        DEAD: ("unreachable", 0), "waves-1": ("patched", 1), "waves-2": ("failed", 2), "waves-3": ("skipped", 0),
    }
    lines = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert lines[: lines.index("waves-2") + 1] == [
        "wave 1 of 3: until 1 of 4 nodes are changed", DEAD, "waves-1",
        "wave 2 of 3: until 2 of 4 nodes are changed", "waves-2",
    ]
    assert "Stopped: waves-2 failed in wave 2, and none may before the last; 1 of 4 nodes" in done.stdout


@pytest.mark.faults
def test_a_second_run_goes_on_with_what_is_left(operator, rolled):
    assert rolled[0].returncode == 3
    operator.sh("waves-2", "mv /usr/bin/apt-got /usr/bin/apt-get")
    done, nodes = operator.patch(*HOW)
    assert done.returncode == 2, done.stdout + done.stderr
    found = ends(nodes)
    assert (found[DEAD], found["waves-1"]) == (("unreachable", 0), ("already_patched", 0))
    # Both are looked at, as the first turned out to need nothing: one has the place, the other the next wave's.
    assert sorted(found[name] for name in ("waves-2", "waves-3")) == [("patched", 1), ("patched", 2)]
