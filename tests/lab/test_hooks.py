"""Hooks on real nodes: who is taken out and put back, who stays out, and clients of HAProxy, who notice nothing."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import full
from lab.host import ROOT
from lab.steady import Steady

FINE, KEPT, LOST = NAMES = ("hooks-fine", "hooks-kept", "hooks-lost")
ALL_AT_ONCE = ("--waves", "100%", "--max-failures", "100%", "--via", "shell")
# On this machine; the node named hooks-kept cannot be taken out.
DRAIN = r"""#!/bin/sh
printf '%s|' "$@" "$STYPTIC_STEP" "$STYPTIC_ENVIRONMENT" "$STYPTIC_NODE" "$STYPTIC_ADDRESS" >>"$1"
echo >>"$1"
[ "$2" != hooks-kept ] || { echo 'the pool keeps it'; exit 1; }
"""
# On the node, in its PATH; the one named hooks-lost cannot be put back. The package is asked for what it is by then.
RETURN = r"""cat >/usr/local/bin/put-back <<'S'
#!/bin/sh
echo "$*|$STYPTIC_STEP|$(id -u)|$(dpkg-query -W -f '${Version}' libssl3)" >>/root/returned
[ "$1" != hooks-lost ] || { echo 'the pool will not have it'; exit 1; }
S
chmod 755 /usr/local/bin/put-back
"""


def configured(path: Path, hooks: dict) -> str:
    """Return a file in invoke.yaml's place that has these hooks."""
    path.write_text(json.dumps({"styptic": {"hooks": hooks}}))  # JSON is YAML
    return str(path)


@pytest.fixture(scope="module")
def hooked(operator, tmp_path_factory):
    """Patch three nodes with hooks; return what came of it, and the file that the drain writes into."""
    place = tmp_path_factory.mktemp("hooks")
    drain, drained = place / "drain.sh", place / "drained"
    drain.write_text(DRAIN)
    drain.chmod(0o755)
    operator.environment("hooks")
    for name in NAMES:
        operator.lab.add(name, environment="hooks")
        operator.sh(name, RETURN)
    operator.indexed(*NAMES)
    said = configured(place / "invoke.json", {
        "drain": {"run": [str(drain), str(drained)]}, "return": {"run": ["put-back"], "where": "node", "timeout": 20},
    })
    before = operator.sh(KEPT, "dpkg-query -W -f '${Version}' libssl3")
    done, nodes = operator.reported("patch", "--yes", "--env", "hooks", *ALL_AT_ONCE, INVOKE_RUNTIME_CONFIG=said)
    yield done, nodes, drained.read_text(), before
    for name in NAMES:
        operator.lab.remove(name)
    operator.chef.delete("/environments/hooks")


def test_a_node_is_taken_out_before_it_is_changed_and_put_back_once_proven(operator, hooked):
    done, nodes, drained, before = hooked
    assert done.returncode == 2, done.stdout + done.stderr
    assert nodes[FINE]["state"] == "patched", nodes[FINE]["error"]
    address = nodes[FINE]["address"]
    (line,) = (line for line in drained.splitlines() if f"|{FINE}|" in line)
    assert line.split("|")[1:] == [FINE, address, "drain", "hooks", FINE, address, ""]
    after = nodes[FINE]["packages_after"]["libssl3"]
    assert before != after
    assert operator.sh(FINE, "cat /root/returned") == f"{FINE} {address}|return|0|{after}\n"
    shown = operator.run("show", "--node", FINE).stdout
    steps = ["see what it serves", "drain", "converge", "prove", "return", "returned"]
    assert sorted(steps, key=shown.index) == steps


def test_a_node_whose_drain_fails_is_untouched_and_needs_a_person(operator, hooked):
    done, nodes, _, before = hooked
    assert (nodes[KEPT]["state"], nodes[KEPT]["wave"]) == ("skipped", 1)
    assert nodes[KEPT]["error"] == (
        "the drain hook ended with 1: the pool keeps it; nothing was changed on it, and it was returned"
    )
    assert operator.sh(KEPT, "cat /root/returned").endswith(f"|return|0|{before}\n")
    assert f"  {KEPT} (skipped): the drain hook ended with 1: the pool keeps it" in done.stdout
    assert "    to do: see why its drain fails, then patch again" in done.stdout


def test_a_node_whose_return_fails_has_failed_and_its_command_is_told(hooked):
    done, nodes, _, _ = hooked
    assert nodes[LOST]["state"] == "failed"
    assert nodes[LOST]["error"] == (
        "patched, but not returned: the return hook ended with 1: the pool will not have it"
    )
    address = nodes[LOST]["address"]
    assert f"to do: return it: on {LOST}: STYPTIC_NODE={LOST} STYPTIC_ADDRESS={address} " in done.stdout
    assert f" STYPTIC_STEP=return put-back {LOST} {address}\n" in done.stdout


@pytest.mark.faults
def test_a_node_that_needs_nothing_is_neither_taken_out_nor_put_back(operator, hooked, tmp_path):
    assert hooked[1][FINE]["state"] == "patched"
    never = {"drain": {"run": ["false"]}, "return": {"run": ["false"]}}
    done, nodes = operator.reported(
        "patch", "--yes", "--query", f"name:{FINE}", *ALL_AT_ONCE,
        INVOKE_RUNTIME_CONFIG=configured(tmp_path / "invoke.json", never),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert nodes[FINE]["state"] == "already_patched"


KILLS = r"""#!/bin/sh
echo "$STYPTIC_STEP" >>"$1"
[ "$STYPTIC_STEP" = drain ] || [ -e "$1.killed" ] || { : >"$1.killed"; kill -KILL "$PPID"; }
"""


@pytest.mark.faults
def test_a_node_that_was_out_when_its_run_was_killed_is_returned_by_a_resume(operator, tmp_path):
    name, hook, ran = "hooks-cut", tmp_path / "hook.sh", tmp_path / "ran"
    hook.write_text(KILLS)
    hook.chmod(0o755)
    both = {"run": [str(hook), str(ran)]}
    said = configured(tmp_path / "invoke.json", {"drain": both, "return": both})
    operator.environment(name)
    operator.lab.add(name, environment=name)
    operator.indexed(name)
    try:
        killed, _ = operator.reported("patch", "--yes", "--env", name, *ALL_AT_ONCE, INVOKE_RUNTIME_CONFIG=said)
        assert killed.returncode == -signal.SIGKILL
        assert ran.read_text().split() == ["drain", "return"]
        done = operator.run("patch", "--resume", "--yes", INVOKE_RUNTIME_CONFIG=said)
    finally:
        operator.lab.remove(name)
        operator.chef.delete(f"/environments/{name}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran.read_text().split() == ["drain", "return", "return"], "patched by then, so it is not drained anew"
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith(f"{name}  ")] == ["patched"]


POOL = ("hooks-web1", "hooks-web2")
BALANCER = "hooks-lb"
# HAProxy by itself would ask another server where one refuses; without that, whatever a server loses is seen.
HAPROXY = r"""cat >/etc/haproxy/haproxy.cfg <<'C'
global
    daemon
    user haproxy
    group haproxy
    stats socket ipv4@0.0.0.0:9999 level admin
    log ring@events format raw local0
ring events
    format raw
    size 65536
defaults
    mode http
    retries 0
    option http-server-close
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend lab
    bind :7443 ssl crt /etc/ssl/private/lab-pair.pem
    default_backend web
backend web
    log global
    default-server ssl verify none check inter 1s fall 3 rise 2
C
for server in SERVERS; do echo "    server $server" | tr @ ' ' >>/etc/haproxy/haproxy.cfg; done
service haproxy restart
"""


@pytest.fixture(scope="module")
def pool(operator):
    """Two nodes with apache2, and HAProxy in front of them; return its address, and what asks it for its events."""
    operator.environment("hooks-pool")
    for name in POOL:
        operator.lab.add(name, base="full", environment="hooks-pool")
        operator.sh(name, "for other in nginx haproxy postgresql; do service $other stop; done")
    operator.lab.add(BALANCER, base="full", environment="_default")
    port = full.TLS["apache2"]
    servers = " ".join(f"{name}@{operator.lab.nodes[name].address}:{port}" for name in POOL)
    operator.sh(BALANCER, HAPROXY.replace("SERVERS", servers))
    operator.indexed(*POOL)
    yield operator.lab.nodes[BALANCER].address
    for name in (*POOL, BALANCER):
        operator.lab.remove(name)
    operator.chef.delete("/environments/hooks-pool")


def asked(address: str, question: str) -> str:
    """Return what HAProxy answers."""
    return subprocess.run(
        [sys.executable, ROOT / "examples/haproxy/ask.py", f"{address}:9999", question], capture_output=True, text=True,
        check=True, timeout=20,
    ).stdout


@pytest.mark.faults
def test_no_client_of_haproxy_notices_a_patch(operator, pool, tmp_path):
    words = [f"{pool}:9999", "web"]
    said = configured(tmp_path / "invoke.json", {
        "drain": {"run": ["examples/haproxy/drain.sh", *words]},
        "return": {"run": ["examples/haproxy/return.sh", *words]},
    })
    with Steady(pool, full.TLS["haproxy"], connections=5, rate=20) as client:
        done, nodes = operator.reported(
            "patch", "--yes", "--env", "hooks-pool", "--waves", "1,100%", "-C", "1", INVOKE_RUNTIME_CONFIG=said,
        )
        assert client.wait(100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {node["state"] for node in nodes.values()} == {"patched"}
    assert all("restarted apache2" in node["actions"] for node in nodes.values())
    assert client.count.failed == []
    assert client.count.asked == client.count.answered > 200
    events = asked(pool, "show events events")
    for name in POOL:
        assert events.count(f"Server web/{name} enters drain state") == 1
        assert events.count(f"Server web/{name} is UP (leaving forced drain)") == 1
    states = asked(pool, "show servers state web").splitlines()[2:]
    assert [line.split()[5:7] for line in states if line] == [["2", "0"]] * len(POOL)


@pytest.mark.faults
def test_the_example_keeps_the_last_server_in_and_leaves_maintenance_to_others(operator, pool):
    first, second = POOL

    def example(name: str, node: str) -> tuple[int, str]:
        words = [ROOT / f"examples/haproxy/{name}.sh", f"{pool}:9999", "web", node, operator.lab.nodes[node].address]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout.strip() + done.stderr.strip()

    assert asked(pool, f"set server web/{first} state maint").strip() == ""
    try:
        assert example("drain", second) == (1, f"{second} is the last of web that answers; it stays in")
        assert example("drain", first) == (0, f"{first} is in maintenance and gets no requests")
        assert example("return", first) == (
            0, f"{first} is in maintenance, which somebody else began; it is left there"
        )
        assert asked(pool, "show servers state web").splitlines()[2].split()[6] == "1"
    finally:
        asked(pool, f"set server web/{first} state ready")
    assert example("return", first) == example("return", first) == (0, "")


@pytest.mark.faults
def test_the_same_restart_without_a_drain_loses_requests(operator, pool):
    with Steady(pool, full.TLS["haproxy"], connections=5, rate=20) as client:
        operator.sh(POOL[0], "service apache2 restart")
    assert client.count.failed, "then the test before shows nothing"
