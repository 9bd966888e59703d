"""What generator/services.toml says of each service, seen on nodes: `invoke test.services`.

`invoke test` has one of it: nginx, upgraded in place under systemd while a client asks it, and one that goes wrong.
"""

import contextlib
import json
import socket
import ssl

import pytest

from fleet.push import COOKBOOK
from generator import probe
from generator.shell import join
from lab import full
from lab.steady import Steady

INITS = ("systemd", "sysv")
#: What a converge does to each that is stale, by the name that result.json has for it.
DONE = {"nginx": "upgraded", "apache2": "restarted", "haproxy": "reloaded", "stunnel4": "restarted", "ssh": "reloaded"}
MASTERS = {
    "nginx": "/run/nginx.pid", "apache2": "/run/apache2/apache2.pid", "haproxy": "/run/haproxy.pid",
    "stunnel4": "/run/stunnel4/lab.pid", "postgresql": "/run/postgresql/15-main.pid", "ssh": "/run/sshd.pid",
}
ACTIONS = ("reloaded", "upgraded", "restarted")
UPGRADE = "apt-get -qq update; apt-get -qqy install openssl libssl3"
# Another file in each library's place, so that whoever maps the one before is stale once more.
REPLACE = r"""
for name in libssl.so.3 libcrypto.so.3; do
    file=$(echo /usr/lib/*-linux-gnu/$name)
    cp -p $file $file.new
    echo . >>$file.new
    mv $file.new $file
done
"""


class Node:
    """A node of these tests, and what can be asked of it."""

    def __init__(self, operator, name: str) -> None:
        self.operator, self.name = operator, name
        self.address = operator.lab.nodes[name].address

    def sh(self, script: str) -> str:
        return self.operator.sh(self.name, script)

    def masters(self) -> dict[str, str]:
        """Return the main process of each service that has one."""
        script = "; ".join(f"! test -s {file} || echo {name} $(head -n 1 {file})" for name, file in MASTERS.items())
        return dict(line.split() for line in self.sh(script).splitlines())

    def stale(self) -> dict[str, list[str]]:
        """Return the PIDs of stale processes by service; PostgreSQL's own without one by their user's name."""
        found = {}
        for each in probe.parse(self.sh("set +e\n" + probe.command())).counted:
            name = (each.service or each.user).partition("@")[0]
            found.setdefault({"postgres": "postgresql"}.get(name, name), []).append(str(each.pid))
        return found

    def children(self, master: str) -> set[str]:
        return set(self.sh(f"pgrep -P {master} || true").split())

    def converge(self) -> tuple[str, dict]:
        """Run chef-client; return what it printed and the recipe's result."""
        said = self.sh("chef-client --once --no-color -o 'recipe[openssl_patch]'")
        return said, json.loads(self.sh("cat /var/lib/openssl_patch/result.json"))

    def until(self, script: str) -> None:
        """Wait until a shell command succeeds on the node."""
        self.sh(join(["timeout", "20", "sh", "-c", f"until {script}; do sleep 0.1; done"]))


@pytest.fixture(scope="module")
def environment(operator, uploads):
    """Push the cookbook as it is now; return an environment whose nodes get it and no other."""
    advisories = ("--advisory", str(operator.lab.advisory), "--advisory", "CVE-2014-0160")
    done = operator.run("push", *advisories, "--accept-unpinned", KNIFE_HOME=operator.settings("services"))
    assert done.returncode == 0, done.stdout + done.stderr
    version = done.stdout.split()[1].rstrip(":")
    operator.environment("services", **{COOKBOOK: f"= {version}"})
    yield "services"
    operator.chef.delete("/environments/services")


@contextlib.contextmanager
def added(operator, name: str, base: str, init: str, environment: str):
    """Add a node, and take it away again."""
    operator.lab.add(name, base=base, init=init, environment=environment)
    try:
        yield Node(operator, name)
    finally:
        operator.lab.remove(name)


@pytest.fixture(scope="module")
def web(operator, environment):
    """Upgrade nginx in place under systemd while a client asks; return the node and what came of it."""
    with added(operator, "services-web", "web", "systemd", environment) as node:
        before = node.masters()
        with Steady(node.address, 443) as client:
            first = node.converge()
        yield {"node": node, "before": before, "first": first, "count": client.count, "again": node.converge()}


def test_nginx_is_upgraded_in_place_and_systemd_follows(web):
    node, (said, result) = web["node"], web["first"]
    assert (result["status"], result["upgraded"]) == ("success", ["nginx"]), said
    assert "nginx" not in result["reloaded"] + result["restarted"]
    assert "nginx" in {each["service"] for each in result["stale_before"]}
    assert node.stale() == {}
    master = node.masters()["nginx"]
    assert master != web["before"]["nginx"]
    shown = node.sh("systemctl show -p MainPID -p ActiveState -p NRestarts nginx").split()
    assert set(shown) == {f"MainPID={master}", "ActiveState=active", "NRestarts=0"}
    assert not node.sh(f"ls -d /run/nginx.pid.oldbin /proc/{web['before']['nginx']} 2>/dev/null || true")


def test_no_request_is_lost_meanwhile(web):
    assert web["count"].failed == []
    assert web["count"].answered == web["count"].asked > 50


def test_a_second_converge_changes_nothing(web):
    said, result = web["again"]
    assert [result[key] for key in (*ACTIONS, "reexecuted", "stale_before")] == [[], [], [], False, []], said


def test_a_service_that_answers_no_handshake_any_more_fails_its_node_by_name(operator, environment):
    """Its configuration is sound, and has another port than when it was started."""
    with added(operator, "services-tls", "web", "sysv", environment) as node:
        node.sh("sed -i 's/443 ssl/8444 ssl/' /etc/nginx/sites-available/default; nginx -t -q")
        operator.indexed("services-tls")
        settings = {"KNIFE_HOME": operator.settings("services")}
        done, nodes = operator.reported("patch", "--yes", "--query", "name:services-tls", **settings)
    found = nodes["services-tls"]
    assert (done.returncode, found["state"]) == (2, "failed"), done.stdout + done.stderr
    assert "upgraded nginx in place" in found["actions"]
    assert "nothing answers a TLS handshake on port 443" in found["error"]


@pytest.mark.table
def test_what_cannot_be_upgraded_in_place_is_restarted(operator, environment):
    """systemd would not find the new main process of a unit without PIDFile=."""
    with added(operator, "services-nopid", "web", "systemd", environment) as node:
        unit = "/etc/systemd/system/nginx.service.d"
        node.sh(f"mkdir {unit}; printf '[Service]\nPIDFile=\n' >{unit}/nopid.conf; systemctl daemon-reload")
        said, result = node.converge()
        assert (result["status"], result["upgraded"]) == ("success", []), said
        assert "nginx" in result["restarted"]
        assert "its unit has no PIDFile=" in said
        assert node.stale() == {}


@pytest.mark.table
@pytest.mark.parametrize("init", INITS)
def test_an_upgrade_that_somebody_began_is_brought_to_its_end(operator, environment, init):
    with added(operator, f"services-begun-{init}", "web", init, environment) as node:
        node.sh(UPGRADE)
        old = node.masters()["nginx"]
        node.sh(f"kill -USR2 {old}")
        node.until("test -s /run/nginx.pid.oldbin -a -s /run/nginx.pid")
        new = node.masters()["nginx"]
        said, result = node.converge()
        assert (result["status"], result["upgraded"], node.stale()) == ("success", ["nginx"], {}), said
        assert node.masters()["nginx"] == new != old


@pytest.fixture(scope="module", params=INITS)
def drained(request, operator, environment):
    """Converge while clients ask nginx and haproxy at a steady rate, and others never end what they ask for."""
    there = operator.chef.get(f"/environments/{environment}")
    operator.chef.post("/environments", there | {
        "name": "services-drain", "default_attributes": {"openssl_patch": {"drain_seconds": 2}},
    })
    name = f"services-drain-{request.param}"
    try:
        with added(operator, name, "full", request.param, "services-drain") as node:
            before = node.masters()
            with (half_asked(node.address, 443), half_asked(node.address, 7443),
                  Steady(node.address, 443) as nginx, Steady(node.address, 7443) as haproxy):
                said, result = node.converge()
            yield {"said": said, "result": result, "before": before, "after": node.masters(), "stale": node.stale(),
                   "failed": nginx.count.failed + haproxy.count.failed}
    finally:
        operator.chef.delete("/environments/services-drain")


@contextlib.contextmanager
def half_asked(address: str, port: int):
    """Hold a TLS connection with a request that has no end."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (socket.create_connection((address, port), timeout=10) as plain,
          context.wrap_socket(plain, server_hostname=address) as held):
        held.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n")
        yield


@pytest.mark.table
class TestDraining:
    """Old processes that serve somebody for longer than drain_seconds."""

    def test_they_are_ended_and_nothing_is_restarted_for_them(self, drained):
        result = drained["result"]
        assert result["status"] == "success", drained["said"]
        assert sorted(result["ended"]) == ["haproxy", "nginx"]
        assert "nginx" in result["upgraded"]
        assert "haproxy" in result["reloaded"]
        assert not {"nginx", "haproxy"} & set(result["restarted"])
        assert set(drained["stale"]) == {"postgresql"}
        assert drained["after"]["nginx"] != drained["before"]["nginx"]

    def test_no_other_request_is_lost_meanwhile(self, drained):
        assert drained["failed"] == []


@pytest.fixture(scope="module", params=INITS)
def row(request, operator, environment):
    """Make every service stale and reload it; converge, twice; make all stale again and restart it."""
    with added(operator, f"services-{request.param}", "full", request.param, environment) as node:
        seen = {"node": node, "init": request.param, "masters": node.masters(), "children": {}}
        node.sh(UPGRADE)
        seen["stale"] = node.stale()
        reload(node, seen)
        seen["stale after reload"] = node.stale()
        seen["converge"], seen["after"], seen["masters after"] = node.converge(), node.stale(), node.masters()
        seen["again"], seen["masters again"] = node.converge(), node.masters()
        seen["tls"] = {service: answers(node.address, port) for service, port in full.TLS.items()}
        node.sh(REPLACE)
        seen["stale again"] = node.stale()
        for service in DONE:
            node.sh(f"service {service} restart")
        seen["stale after restart"] = node.stale()
        yield seen


def reload(node: Node, seen: dict) -> None:
    """Reload who is said to need more than that, and wait until the reload has done what it does."""
    for service in ("nginx", "apache2"):
        before = node.children(seen["masters"][service])
        node.sh(f"service {service} reload")
        node.until(f"! ps -p {','.join(before)} >/dev/null")
        seen["children"][service] = node.children(seen["masters"][service])
    node.sh("service stunnel4 reload")
    node.until("test $(grep -c 'Configuration successful' /var/log/stunnel4/lab.log) -ge 2")
    node.sh("service postgresql reload")
    node.until("grep -q 'received SIGHUP' /var/log/postgresql/*.log")


@pytest.mark.table
class TestTable:
    """Every row on a node that has them all, under both inits."""

    @pytest.mark.parametrize("service", MASTERS)
    def test_the_upgrade_of_the_package_leaves_it_stale(self, row, service):
        assert row["masters"][service] in row["stale"][service]

    @pytest.mark.parametrize("service", ["nginx", "apache2", "stunnel4", "postgresql"])
    def test_a_reload_is_not_enough(self, row, service):
        assert row["masters"][service] in row["stale after reload"][service]
        assert row["children"].get(service, set()) <= set(row["stale after reload"][service])

    @pytest.mark.parametrize(("service", "done"), DONE.items())
    def test_its_step_is_taken_and_is_enough(self, row, service, done):
        said, result = row["converge"]
        assert result["status"] == "success", said
        assert [key for key in ACTIONS if service in result[key]] == [done]
        assert service not in row["after"]
        if done != "reloaded":  # a new process for each; who is reloaded may keep its own
            assert row["masters after"][service] != row["masters"][service]
        if service in row["tls"]:
            assert row["tls"][service]

    def test_nothing_stays_stale_but_what_is_never_restarted(self, row):
        assert set(row["after"]) == {"postgresql"}

    def test_postgresql_is_left_running_and_named(self, row):
        _, result = row["converge"]
        assert row["masters after"]["postgresql"] == row["masters"]["postgresql"]
        assert row["masters"]["postgresql"] in {each["pid"] for each in result["stale_after"]}
        assert any("postgres" in each["command"] for each in result["not_touched"])
        assert not any("postgresql" in result[key] for key in ACTIONS)

    def test_a_second_converge_refreshes_nothing(self, row):
        said, result = row["again"]
        assert [result[key] for key in ACTIONS] == [[], [], []], said
        assert row["masters again"] == row["masters after"]

    @pytest.mark.parametrize("service", DONE)
    def test_a_restart_is_clean(self, row, service):
        assert service in row["stale again"]
        assert service not in row["stale after restart"]

    def test_systemd_knows_each_by_its_main_process(self, row):
        if row["init"] != "systemd":
            pytest.skip("systemd alone has main processes")
        node, masters = row["node"], row["node"].masters()
        for service in ("nginx", "apache2", "haproxy", "ssh"):
            assert node.sh(f"systemctl show -p MainPID {service}").strip() == f"MainPID={masters[service]}"
        assert node.sh("systemctl list-units --failed --no-legend --plain") == ""


def answers(address: str, port: int) -> bool:
    """Return whether a TLS service answers one request."""
    with Steady(address, port, connections=1) as client:
        pass
    return client.count.failed == []
