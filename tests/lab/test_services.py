"""What generator/services.toml says of each service, seen on nodes: `invoke test.services`.

`invoke test` has one of it: nginx, upgraded in place under systemd while a client asks it, and one that goes wrong.
"""


import pytest

from lab import full
from lab.steady import Steady, half_asked
from lab.witness import ACTIONS, Witness

INITS = ("systemd", "sysv")
#: What a converge does to each that is stale, by Debian's name for it, and the name that result.json has for it.
DONE = {"nginx": "upgraded", "apache2": "restarted", "haproxy": "reloaded", "stunnel4": "restarted", "ssh": "reloaded"}


@pytest.fixture(scope="module")
def web(added):
    """Upgrade nginx in place under systemd while a client asks; return the node and what came of it."""
    with added("services-web", "web", "systemd") as node:
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


def test_a_service_that_answers_no_handshake_any_more_fails_its_node_by_name(operator, added):
    """Its configuration is sound, and has another port than when it was started."""
    with added("services-tls", "web", "sysv") as node:
        node.sh("sed -i 's/443 ssl/8444 ssl/' /etc/nginx/sites-available/default; nginx -t -q")
        operator.indexed("services-tls")
        settings = {"KNIFE_HOME": operator.settings("services")}
        done, nodes = operator.reported("patch", "--yes", "--query", "name:services-tls", **settings)
    found = nodes["services-tls"]
    assert (done.returncode, found["state"]) == (2, "failed"), done.stdout + done.stderr
    assert "upgraded nginx in place" in found["actions"]
    assert "nothing answers a TLS handshake on port 443, where nginx did before" in found["error"]


@pytest.mark.table
def test_what_cannot_be_upgraded_in_place_is_restarted(added):
    """systemd would not find the new main process of a unit without PIDFile=."""
    with added("services-nopid", "web", "systemd") as node:
        unit = "/etc/systemd/system/nginx.service.d"
        node.sh(f"mkdir {unit}; printf '[Service]\nPIDFile=\n' >{unit}/nopid.conf; systemctl daemon-reload")
        said, result = node.converge()
        assert (result["status"], result["upgraded"]) == ("success", []), said
        assert "nginx" in result["restarted"]
        assert "its unit has no PIDFile=" in said
        assert node.stale() == {}


@pytest.mark.table
@pytest.mark.parametrize("init", INITS)
def test_an_upgrade_that_somebody_began_is_brought_to_its_end(added, init):
    with added(f"services-begun-{init}", "web", init) as node:
        node.upgrade()
        old = node.masters()["nginx"]
        node.sh(f"kill -USR2 {old}")
        node.until("test -s /run/nginx.pid.oldbin -a -s /run/nginx.pid")
        new = node.masters()["nginx"]
        said, result = node.converge()
        assert (result["status"], result["upgraded"], node.stale()) == ("success", ["nginx"], {}), said
        assert node.masters()["nginx"] == new != old


@pytest.fixture(scope="module", params=INITS)
def drained(request, operator, environment, added):
    """Converge while clients ask nginx and haproxy at a steady rate, and others never end what they ask for."""
    there = operator.chef.get(f"/environments/{environment}")
    operator.chef.post("/environments", there | {
        "name": "services-drain", "default_attributes": {"openssl_patch": {"drain_seconds": 2}},
    })
    name = f"services-drain-{request.param}"
    try:
        with added(name, "full", request.param, "services-drain") as node:
            before = node.masters()
            with (half_asked(node.address, 443), half_asked(node.address, 7443),
                  Steady(node.address, 443) as nginx, Steady(node.address, 7443) as haproxy):
                said, result = node.converge()
            yield {"said": said, "result": result, "before": before, "after": node.masters(), "stale": node.stale(),
                   "failed": nginx.count.failed + haproxy.count.failed}
    finally:
        operator.chef.delete("/environments/services-drain")


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


@pytest.fixture(scope="module", params=[(base, init) for base in ("full", "rhel") for init in INITS], ids="-".join)
def row(request, added):
    """Make every service stale and reload it; converge, twice; make all stale again and restart it."""
    base, init = request.param
    with added(f"services-{base}-{init}", base, init) as node:
        seen = {"node": node, "init": init, "masters": node.masters(), "children": {}}
        node.upgrade()
        seen["stale"] = node.stale()
        reload(node, seen)
        seen["stale after reload"] = node.stale()
        seen["converge"], seen["after"], seen["masters after"] = node.converge(), node.stale(), node.masters()
        seen["again"], seen["masters again"] = node.converge(), node.masters()
        seen["tls"] = {service: answers(node.address, port) for service, port in full.TLS.items()}
        node.replace()
        seen["stale again"] = node.stale()
        for service in DONE:
            node.sh(f"service {node.named(service)} restart")
        seen["stale after restart"] = node.stale()
        yield seen


def reload(node: Witness, seen: dict) -> None:
    """Reload who is said to need more than that, and wait until the reload has done what it does."""
    for service in (node.named("nginx"), node.named("apache2")):
        before = node.children(seen["masters"][service])
        node.sh(f"service {service} reload")
        node.until(f"! ps -p {','.join(before)} >/dev/null")
        seen["children"][service] = node.children(seen["masters"][service])
    node.sh(f"service {node.named('stunnel4')} reload")
    node.until("test $(grep -c 'Configuration successful' /var/log/stunnel4/lab.log) -ge 2")
    node.sh("service postgresql reload")
    node.until("grep -q 'received SIGHUP' /var/log/postgresql/*.log")


@pytest.mark.table
class TestTable:
    """Every row on nodes that have them all: Debian's and those of Red Hat's kind, each under both inits."""

    @pytest.mark.parametrize("service", [*DONE, "postgresql"])
    def test_the_upgrade_of_the_package_leaves_it_stale(self, row, service):
        name = row["node"].named(service)
        assert row["masters"][name] in row["stale"][name]

    @pytest.mark.parametrize("service", ["nginx", "apache2", "stunnel4", "postgresql"])
    def test_a_reload_is_not_enough(self, row, service):
        name = row["node"].named(service)
        assert row["masters"][name] in row["stale after reload"][name]
        assert row["children"].get(name, set()) <= set(row["stale after reload"][name])

    @pytest.mark.parametrize(("service", "done"), DONE.items())
    def test_its_step_is_taken_and_is_enough(self, row, service, done):
        name, (said, result) = row["node"].named(service), row["converge"]
        assert result["status"] == "success", said
        assert [key for key in ACTIONS if name in result[key]] == [done]
        assert name not in row["after"]
        if done != "reloaded":  # a new process for each; who is reloaded may keep its own
            assert row["masters after"][name] != row["masters"][name]
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
        name = row["node"].named(service)
        assert name in row["stale again"]
        assert name not in row["stale after restart"]

    def test_systemd_knows_each_by_its_main_process(self, row):
        if row["init"] != "systemd":
            pytest.skip("systemd alone has main processes")
        node, masters = row["node"], row["node"].masters()
        for service in map(node.named, ("nginx", "apache2", "haproxy", "ssh")):
            assert node.sh(f"systemctl show -p MainPID {service}").strip() == f"MainPID={masters[service]}"
        assert node.sh("systemctl list-units --failed --no-legend --plain") == ""


def answers(address: str, port: int) -> bool:
    """Return whether a TLS service answers one request."""
    with Steady(address, port, connections=1) as client:
        pass
    return client.count.failed == []
