"""The main job on real nodes: `invoke patch --env production`, what it proves, and what it leaves alone."""

import os
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

from lab.host import ROOT, RUN

PRODUCTION = ("legacy1", "web1", "web2")
GONE = ("service", "init")


@pytest.fixture(scope="module")
def before(operator):
    """Make the lab's nodes new, and keep what the tests compare with."""
    for name in (*PRODUCTION, "staging1"):
        operator.lab.reset(name)
    return {
        "masters": {name: operator.master(name) for name in ("web1", "web2")},
        "staging": operator.versions("staging1") + operator.master("staging1"),
        "objects": {name: operator.chef.get(f"/nodes/{name}") for name in (*PRODUCTION, "staging1")},
        "legacy": operator.sh("legacy1", "cat /run/stunnel4.pid"),
    }


@pytest.fixture(scope="module")
def patched(operator, before):
    """Patch production once; every test below looks at what came of it."""
    done, nodes = operator.patch("--env", "production")
    return done, nodes


def test_every_node_is_patched_and_said_so_in_one_line(patched):
    done, nodes = patched
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: node["state"] for name, node in nodes.items()} == dict.fromkeys(PRODUCTION, "patched")
    lines = done.stdout.splitlines()
    assert [sum(line.startswith(f"{name}  patched  ") for line in lines) for name in PRODUCTION] == [1, 1, 1]
    assert lines[-3] == "production: 3 of 3 nodes are good and verified (3 patched)."
    assert lines[-2].startswith("CVE-2014-0160 may have leaked before: reissue keys and certificates")
    assert lines[-1].startswith("`invoke exposure --env production --advisory CVE-2014-0160` says ")


def test_each_had_a_stale_service_before_and_none_after(patched):
    _, nodes = patched
    for name, service, done in (
        ("web1", "nginx", "upgraded nginx in place"), ("web2", "nginx", "upgraded nginx in place"),
        ("legacy1", "stunnel4", "restarted stunnel4"),
    ):
        stale = nodes[name]["stale_before"]
        assert service in {each["service"] for each in stale if each["kind"] == "service"}
        assert [each for each in nodes[name]["stale_after"] if each["kind"] in GONE] == []
        assert [action for action in nodes[name]["actions"] if service in action] == [done]
    kinds = {each["service"] or each["command"].split()[0] for each in nodes["web1"]["stale_before"]}
    assert {"/lib/systemd/systemd", "systemd-journald"} <= kinds
    assert "re-executed init" in nodes["web1"]["actions"]


def test_packages_went_from_the_older_to_the_fixed_version(operator, patched):
    _, nodes = patched
    for name in PRODUCTION:
        record = nodes[name]
        assert record["packages_before"].keys() == record["packages_after"].keys()
        assert record["packages_before"] != record["packages_after"]
        for package, version in record["packages_after"].items():
            assert f"{package}\t{version}\n" in operator.versions(name).replace(":amd64", "").replace(":arm64", "")
    assert nodes["legacy1"]["packages_before"]["libssl1.0.0"] == "1.0.1e-2+deb7u4"
    assert nodes["legacy1"]["packages_after"]["libssl1.0.0"] == "1.0.1e-2+deb7u5"


def test_services_have_new_processes_that_answer(operator, before, patched):
    assert patched[0].returncode == 0
    for name, master in before["masters"].items():
        assert operator.master(name) != master
        assert operator.sh(name, "curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1/") in ("200", "403")
    assert operator.sh("legacy1", "cat /run/stunnel4.pid") != before["legacy"]


def test_nothing_of_another_environment_was_touched(operator, before, patched):
    assert "staging1" not in patched[1]
    assert operator.versions("staging1") + operator.master("staging1") == before["staging"]


def test_no_node_object_was_saved(operator, before, patched):
    assert patched[0].returncode == 0
    assert {name: operator.chef.get(f"/nodes/{name}") for name in before["objects"]} == before["objects"]


def test_the_checks_are_in_junit(operator, patched):
    assert patched[0].returncode == 0
    suites = ET.parse(operator.home / "report" / "junit.xml").getroot()  # noqa: S314 - our own file
    assert [suite.get("name") for suite in suites] == list(PRODUCTION)
    assert suites.get("failures") == suites.get("errors") == "0"
    for suite in suites:
        names = {case.get("name").split("[")[0] for case in suite}
        assert {"state patched", "packages_are_fixed", "no_service_runs_the_old_library"} <= names


@pytest.mark.parametrize("user", ["root", "ops"])
def test_kitchens_verifier_finds_a_patched_node_good(operator, patched, user):
    """Needs no Test Kitchen: the variables that its shell verifier sets are set by hand."""
    assert patched[0].returncode == 0
    done = subprocess.run(
        [ROOT / "tests" / "infra" / "run", "--tls-port=443"], capture_output=True, text=True, check=False,
        env={
            **os.environ, "KITCHEN_HOSTNAME": operator.lab.nodes["web1"].address, "KITCHEN_PORT": "22",
            "KITCHEN_USERNAME": user, "KITCHEN_SSH_KEY": str(RUN / "key"),
            "STYPTIC_ADVISORIES": str(operator.lab.advisory),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r" (\d+) passed", done.stdout)[1]) >= 7


def test_the_result_is_for_root_alone(operator, patched):
    assert patched[0].returncode == 0
    assert operator.sh("web1", "stat -c '%a %U' /var/lib/openssl_patch /var/lib/openssl_patch/result.json").split() == [
        "700", "root", "600", "root",
    ]


def test_no_secret_is_in_what_was_written_or_said(operator, patched):
    done, _ = patched
    told = done.stdout + done.stderr
    for path in operator.home.rglob("*"):
        told += path.read_bytes().decode(errors="replace") if path.is_file() else ""
    assert "PRIVATE KEY" not in told
    assert (operator.lab.chef_dir / "admin.pem").read_text().splitlines()[1] not in told


def test_again_there_is_nothing_to_do(operator, patched):
    assert patched[0].returncode == 0
    state = "cat /run/nginx.pid; dpkg-query -W; stat -c '%y' /var/lib/openssl_patch/result.json"
    before = {name: operator.sh(name, state) for name in ("web1", "web2")}
    done, nodes = operator.patch("--env", "production")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {node["state"] for node in nodes.values()} == {"already_patched"}
    assert {name: operator.sh(name, state) for name in before} == before
    done, nodes = operator.verify("--env", "production")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {node["state"] for node in nodes.values()} == {"already_patched"}


def test_a_node_upgraded_by_hand_keeps_its_stale_nginx_until_it_is_patched(operator, patched):
    assert patched[0].returncode == 0
    operator.lab.reset("web2")
    operator.sh("web2", "apt-get -q update; apt-get -qy install openssl 'libssl*[0-9]$' || apt-get -qy dist-upgrade")
    upgraded, master = operator.versions("web2"), operator.master("web2")
    done, nodes = operator.verify("--query", "name:web2")
    assert (done.returncode, nodes["web2"]["state"]) == (2, "stale")
    assert operator.master("web2") == master
    done, nodes = operator.patch("--query", "name:web2")
    assert (done.returncode, nodes["web2"]["state"]) == (0, "patched"), done.stdout
    assert "upgraded nginx in place" in nodes["web2"]["actions"]
    assert operator.versions("web2") == upgraded
    assert operator.master("web2") != master


def test_verify_finds_a_vulnerable_node_and_leaves_it_so(operator, before):
    state = operator.versions("staging1") + operator.master("staging1")
    done, nodes = operator.verify("--env", "staging")
    assert (done.returncode, nodes["staging1"]["state"]) == (2, "failed")
    assert "still vulnerable" in nodes["staging1"]["error"]
    assert operator.versions("staging1") + operator.master("staging1") == state


def test_a_user_with_sudo_patches_too(operator, patched):
    assert patched[0].returncode == 0
    operator.lab.reset("web2")
    done, nodes = operator.patch("--query", "name:web2", "-x", "ops", "--sudo")
    assert (done.returncode, nodes["web2"]["state"]) == (0, "patched"), done.stdout


def test_a_full_run_converges_the_run_list_and_saves_what_it_found(operator, patched):
    assert patched[0].returncode == 0
    operator.lab.reset("web2")
    node = operator.chef.get("/nodes/web2")
    operator.chef.put("/nodes/web2", {**node, "run_list": ["recipe[openssl_patch]"]})
    done, nodes = operator.patch("--query", "name:web2", "--full-run", "--accept-unpinned")
    assert (done.returncode, nodes["web2"]["state"]) == (0, "patched"), done.stdout
    saved = operator.chef.get("/nodes/web2")
    assert saved["run_list"] == ["recipe[openssl_patch]"]
    assert saved["default"]["openssl_patch"]["last_run"]["status"] == "success"
    assert saved["default"]["openssl_patch"]["last_run"]["upgraded"] == ["nginx"]
    operator.lab.reset("web2")
