"""The lab itself: nodes that are what they say, and a machine that is afterwards what it was."""

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import replace

import asyncssh
import pytest

from fleet.chef import search
from generator import advisory, versions
from lab import cgroups, host, legacy, lock, mirror, network, registry
from lab import lab as labs
from lab.host import ROOT, RUN, LabError
from lab.lab import FLEET, Lab

FLEET_NAMES = [name for name, *_ in FLEET]


def sh(lab, name, script, **options):
    """Run a shell script on a node; return what it printed."""
    return lab.exec(name, ["sh", "-c", script], check=True, capture_output=True, text=True, **options).stdout


def openssl(lab, name):
    """Return a node's OpenSSL packages, name to version."""
    query = "dpkg-query --show --showformat '${Package} ${Version}\\n' openssl 'libssl[0-9]*'"
    return dict(line.split() for line in sh(lab, name, query).splitlines())


@pytest.fixture(scope="module")
def fresh(lab):
    """The lab with its own nodes as they come up."""
    for name in FLEET_NAMES:
        lab.reset(name)
    return lab


@pytest.fixture
def node(lab):
    """A node that a test may spoil."""
    yield lab.add("spoilt", base="light", environment="_default")
    lab.remove("spoilt")


@pytest.mark.parametrize("name", FLEET_NAMES)
def test_every_node_takes_a_login_by_its_name_and_checks_out_by_its_host_key(lab, name):
    async def login():
        async with asyncssh.connect(name, config=[RUN / "ssh_config"], agent_path=None) as connection:
            return (await connection.run("hostname; id -un", check=True)).stdout.split()

    assert asyncio.run(login()) == [name, "root"]


def test_sudo_asks_one_user_for_a_password_and_not_the_other(lab):
    assert sh(lab, "web2", "sudo -u ops sudo -n id -u").strip() == "0"
    refused = lab.exec("web2", ["sudo", "-u", "locked", "sudo", "-n", "id"], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "password is required" in refused.stderr


@pytest.mark.parametrize(("name", "init"), [(name, init) for name, _, init, _ in FLEET])
def test_every_node_has_a_service_manager_of_its_own(lab, name, init):
    assert sh(lab, name, "cat /proc/1/comm").strip() == {"systemd": "systemd", "sysv": "tini"}[init]
    if init == "systemd":
        assert sh(lab, name, "systemctl is-active ssh nginx").split() == ["active", "active"]
        assert sh(lab, name, "systemctl list-units --failed --no-legend") == ""
    else:
        service = "stunnel4" if name == "legacy1" else "nginx"
        assert "is running" in sh(lab, name, f"service {service} status")


def test_no_node_sees_another_or_has_a_way_out(lab):
    assert "default" not in sh(lab, "web2", "ip route")
    seen = sh(lab, "web2", "cat /proc/[0-9]*/comm")
    assert "goiardi" not in seen
    assert "systemd" not in seen


@pytest.mark.parametrize("name", ["web1", "web2", "staging1"])
def test_the_web_nodes_answer_tls(lab, name):
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # their certificate is Debian's snakeoil
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((lab.nodes[name].address, 443), timeout=5) as plain,
        trusting.wrap_socket(plain) as secure,
    ):
        assert secure.version() in ("TLSv1.2", "TLSv1.3")


def test_the_advisory_is_lab_equipment_and_calls_old_vulnerable_and_new_fixed(fresh):
    found, = advisory.load([str(fresh.advisory)])
    assert found.lab
    fixed, = found.fixed
    for name in ("web1", "web2", "staging1"):
        assert versions.verdict(found, *platform(name), openssl(fresh, name)).kind == "vulnerable"
        candidates = sh(fresh, name, "apt-cache policy openssl libssl[0-9]* | sed -n 's/^  Candidate: //p'").split()
        assert set(candidates) == {fixed.version}
        upgraded = dict.fromkeys(openssl(fresh, name), fixed.version)
        assert versions.verdict(found, *platform(name), upgraded).kind == "fixed"


def test_heartbleeds_own_row_is_about_the_legacy_node(fresh):
    heartbleed, = advisory.load(["CVE-2014-0160"])
    has = openssl(fresh, "legacy1")
    packages = {name: has[name] for name in ("openssl", "libssl1.0.0")}
    assert packages == dict.fromkeys(packages, legacy.VULNERABLE)
    assert versions.verdict(heartbleed, *platform("legacy1"), packages).kind == "vulnerable"
    assert sh(fresh, "legacy1", "apt-cache policy openssl | sed -n 's/^  Candidate: //p'").strip() == legacy.FIXED


def platform(name):
    """Return platform and version that the Chef server has for a node."""
    with registry.connect() as server:
        automatic = server.get(f"/nodes/{name}")["automatic"]
    return automatic["platform"], automatic["platform_version"]


def test_a_reload_leaves_the_old_library_in_the_legacy_service_and_a_restart_does_not(lab):
    lab.add("legacy2", base="legacy", environment="_default")
    stale = "grep -lE 'lib(ssl|crypto).*deleted' /proc/$(cat /run/stunnel4.pid)/maps || true"
    try:
        sh(lab, "legacy2", "apt-get -qq install openssl libssl1.0.0 2>/dev/null")
        assert openssl(lab, "legacy2")["libssl1.0.0"] == legacy.FIXED
        sh(lab, "legacy2", "service stunnel4 reload")
        assert sh(lab, "legacy2", stale) != ""
        sh(lab, "legacy2", "service stunnel4 restart")
        assert sh(lab, "legacy2", stale) == ""
        sh(lab, "legacy2", "service stunnel4 status")
    finally:
        lab.remove("legacy2")


def test_the_chef_server_knows_what_is_on_the_nodes(fresh):
    with registry.connect() as server:
        production = {node.name: node for node in search.find_nodes(server, environment="production")}
        staging = {node.name for node in search.find_nodes(server, environment="staging")}
    assert {"web1", "web2", "legacy1"} <= set(production)
    assert "staging1" in staging
    for name in ("web1", "web2", "legacy1"):
        assert production[name].address == name
        assert production[name].packages.items() >= openssl(fresh, name).items()


def test_the_settings_for_knife_are_found_from_the_checkout_and_are_for_the_owner_alone(lab):
    assert (ROOT / ".chef").resolve() == lab.chef_dir
    assert RUN.stat().st_mode & 0o777 == 0o700
    for secret in (lab.chef_dir / "admin.pem", RUN / "key", lab.nodes["web1"].identity / "client.pem",
                   RUN / "ssh_config"):
        assert secret.stat().st_mode & 0o077 == 0


def test_chef_client_runs_on_a_node_and_saves_it(lab, node):
    done = lab.exec(node.name, ["chef-client"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    with registry.connect() as server:
        saved = server.get(f"/nodes/{node.name}")
    assert saved["automatic"]["ipaddress"] == node.address


def test_a_reset_drops_what_was_done_to_a_node_and_keeps_its_keys(lab, node):
    before = openssl(lab, node.name)
    key = "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/chef/client.pem"
    keys = sh(lab, node.name, key)
    sh(lab, node.name, "touch /root/mark; apt-get -qq install openssl 2>/dev/null")
    assert openssl(lab, node.name) != before
    with registry.connect() as server:
        server.put(f"/nodes/{node.name}", server.get(f"/nodes/{node.name}") | {"normal": {"mark": 1}})
        lab.reset(node.name)
        assert "mark" not in server.get(f"/nodes/{node.name}")["normal"]
    assert openssl(lab, node.name) == before
    assert sh(lab, node.name, "ls /root") == ""
    assert sh(lab, node.name, key) == keys


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"name": "web1"}, "has a node web1 already"),
        ({"name": "Web9"}, "'Web9'"),
        ({"name": "../x"}, "'../x'"),
        ({"name": "x", "base": "windows"}, "no base 'windows'"),
        ({"name": "x", "init": "upstart"}, "'upstart'"),
    ],
)
def test_a_wrong_node_is_refused_by_name(lab, arguments, named):
    with pytest.raises(LabError, match=named):
        lab.add(**arguments)
    assert set(FLEET_NAMES) <= set(Lab.current().nodes)


def test_a_nodes_environment_is_made_where_it_is_not_there():
    with registry.connect() as chef:
        for _ in range(2):
            registry.environment(chef, "lab-made")
        try:
            search.check_environment(chef, "lab-made")
        finally:
            chef.delete("/environments/lab-made")


def run_verb(*words):
    """Run a verb as a user does; return exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_status_lists_every_node_with_its_openssl_and_says_which_is_off(lab, node):
    lab.exec(node.name, ["sh", "-c", "kill -KILL -1"])  # tini ends with its last child
    cgroups.wait_empty(cgroups.top() / node.name)
    code, said, _ = run_verb("lab.status")
    lines = {line.split()[0]: line for line in said.splitlines()}
    assert code == 0
    assert all(f"openssl={openssl(lab, name)['openssl']}" in lines[name] for name in FLEET_NAMES)
    assert lines[node.name].endswith("(off)")
    lab.reset(node.name)
    assert sh(lab, node.name, "hostname") == f"{node.name}\n"


def test_lab_ssh_runs_a_command_and_ends_with_its_code(lab):
    assert run_verb("lab.ssh", "--node", "web2", "--command", "hostname; exit 7")[:2] == (7, "web2\n")
    code, _, said = run_verb("lab.ssh", "--node", "web77")
    assert (code, said) == (1, f"styptic: the lab has no node 'web77'; it has {', '.join(sorted(lab.nodes))}.\n")


def test_a_second_lab_is_refused_with_whose_the_first_is(lab):
    with pytest.raises(LabError, match=r"a lab is up already \(by .*process [0-9]+.*invoke lab\.down"):
        Lab.up()
    code, said, complaint = run_verb("lab.up")
    assert (code, said) == (1, "")
    assert complaint.count("\n") == 1
    assert sh(lab, "web1", "hostname") == "web1\n"


def test_without_a_second_version_in_the_mirror_the_first_is_repacked_and_installs(lab, node, tmp_path):
    for archive in (lab.repository / "current").glob("*.deb"):
        shutil.copy(archive, tmp_path)
    found = mirror.read()
    assert replace(found, older="1", newer=None).fixed == "1+lab1"
    newer = f"{found.fixed}+lab1"
    for archive in list(tmp_path.glob("*.deb")):
        mirror.repack(archive, newer)
    made = list(tmp_path.glob("*.deb"))
    assert len(made) == 2
    for number, archive in enumerate(made):
        lab.exec(node.name, ["sh", "-c", f"cat > /root/{number}.deb"], input=archive.read_bytes(), check=True)
    sh(lab, node.name, "dpkg --install /root/*.deb && apt-get check && openssl version")
    assert set(openssl(lab, node.name).values()) == {newer}


@pytest.mark.parametrize(
    ("route", "free"), [("10.0.0.0/8", False), ("10.77.3.4/32", False), ("10.76.0.0/16", True), ("0.0.0.0/1", True)]
)
def test_a_machine_that_uses_the_labs_network_is_left_alone(route, free):
    script = (
        "ip link add one type veth peer name two; ip addr add 192.0.2.1/24 dev one; ip link set one up; "
        f"ip link set two up; ip route add {route} via 192.0.2.9 && "
        f"exec {sys.executable} -c 'from lab import network; network.check_free()'"
    )
    alone = ["unshare", "--net", "sh", "-c", script]
    done = subprocess.run(alone, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is free, done.stderr
    assert free or f"is in use on this machine ({route.removesuffix('/32')} on one)" in done.stderr


def links():
    """Return the names of the machine's links."""
    return {link["ifname"] for link in json.loads(host.run("ip", "-json", "link"))}


@pytest.mark.last
def test_down_leaves_the_machine_as_it_was(lab, machine):
    assert network.CABLE in links()
    assert labs.down() is True
    assert machine.changes() == {}
    assert labs.down() is False
    with pytest.raises(LabError, match=r"no lab is up; `invoke lab\.up`"):
        Lab.current()


@pytest.mark.last
def test_a_lab_killed_half_way_up_ends_by_itself_and_down_clears_the_rest(machine):
    coming = subprocess.Popen(
        [sys.executable, "-c", "from lab.lab import Lab; Lab.up()"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with coming:
        assert any("starting" in line for line in coming.stdout)
        with pytest.raises(LabError, match="up"):
            Lab.up()
        coming.kill()
    lock.drop(lock.take(wait=True))  # taken when the last process that held it has ended
    cgroups.wait_empty(cgroups.top())
    labs.down()
    assert machine.changes() == {}


@pytest.mark.last
def test_ten_nodes_are_up_within_ten_seconds_and_a_killed_lab_comes_up_again(machine):
    began = time.monotonic()
    lab = Lab.up(more=6)
    assert time.monotonic() - began < 10
    assert len(lab.nodes) == 10
    assert sh(lab, "light6", "hostname") == "light6\n"
    labs.sweep()
    assert Lab.current().holder == lab.holder
    os.kill(lab.holder, signal.SIGKILL)
    cgroups.wait_empty(cgroups.top())
    with pytest.raises(LabError, match="has been killed"):
        Lab.current()
    again = Lab.up()
    assert sorted(again.nodes) == sorted(FLEET_NAMES)
    assert sh(again, "web1", "hostname") == "web1\n"
    os.kill(again.holder, signal.SIGKILL)
    cgroups.wait_empty(cgroups.top())
    labs.sweep()
    assert machine.changes() == {}
