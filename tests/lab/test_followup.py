"""Chef's own key of a node is replaced by the commands that `followup.chef` prints, and crossed off the list."""

import json
import os
import subprocess
import sys

import pytest

from lab.host import ROOT
from lab.witness import Witness

NAME = "followup-1"
CLIENT = "/etc/chef/client.pem"
# There is no knife without Chef's own packages. This one knows `knife client reregister NAME --file FILE`, and sends
# what Chef's sends for it: a PUT with private_key, by version 0 of the API (lib/chef/api_client_v1.rb).
KNIFE = f"""#!{sys.executable}
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from fleet.chef import config
from fleet.chef.server import ChefServer
client, reregister, name, flag, file = sys.argv[1:]
assert (client, reregister, flag) == ("client", "reregister", "--file"), sys.argv
with ChefServer(config.load()) as server:
    body = json.dumps(dict(name=name, admin=False, validator=False, private_key=True))
    answer = server.request("PUT", f"/clients/{{name}}", {{"X-Ops-Server-API-Version": "0"}}, body)
    open(file, "w").write(answer.json()["private_key"])
"""


@pytest.fixture(scope="module")
def node(operator, leaking):
    """Make a node, patch it past us, prove it, and see what may have leaked on it."""
    operator.environment("followup")
    try:
        operator.lab.add(NAME, base="light", init="sysv", environment="followup")
        try:
            there = Witness(operator.lab, NAME)
            operator.indexed(NAME)
            there.sh("apt-get -qqy install openssl libssl3; service ssh restart")
            whom = ("--env", "followup", "--advisory", str(leaking))
            proven = operator.run("verify", *whom, "--report", str(operator.home / "report"))
            assert proven.returncode == 0, proven.stdout + proven.stderr
            seen = operator.run("exposure", *whom)
            assert seen.returncode == 2, seen.stdout + seen.stderr
            assert "`invoke followup.chef` has the commands" in seen.stdout
            yield there
        finally:
            operator.lab.remove(NAME)
    finally:
        operator.chef.delete("/environments/followup")


def keys(operator, leaking):
    """Return the exit code of `invoke followup.chef`, and what it says of each key, by kind."""
    done = operator.run("followup.chef", "--env", "followup", "--advisory", str(leaking), "--json")
    assert done.stdout, done.stderr
    return done.returncode, {each["kind"]: each for each in json.loads(done.stdout)["keys"]}


def public(operator):
    return operator.chef.get(f"/clients/{NAME}")["public_key"]


@pytest.mark.exposure
def test_a_nodes_key_is_replaced_by_what_is_printed(operator, node, leaking):
    code, found = keys(operator, leaking)
    assert (code, found["client"]["verdict"], found["client"]["name"]) == (2, "older than the patch", NAME)
    assert found["validator"]["commands"] == ["knife client delete chef-validator --delete-validators"]
    assert found["operator"]["name"] == "admin"
    before, place = public(operator), operator.home / "by-hand"
    (place / "bin").mkdir(parents=True)
    (place / "bin/knife").write_text(KNIFE)
    (place / "bin/knife").chmod(0o755)
    setting = {"KNIFE_HOME": str(operator.lab.chef_dir), "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
    for line in found["client"]["commands"]:
        done = subprocess.run(["sh", "-c", line], cwd=place, env={**os.environ, **setting}, capture_output=True,
                              text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert public(operator) != before
    assert node.sh(f"openssl pkey -in {CLIENT} -pubout").split() == public(operator).split()
    assert node.sh("ls /etc/chef; stat -c %a /etc/chef/client.pem").split() == ["client.pem", "client.rb", "600"]
    assert [path.name for path in place.iterdir()] == ["bin"]
    node.sh("chef-client --why-run")  # which authenticates with it
    _, found = keys(operator, leaking)
    assert (found["client"]["verdict"], found["client"]["commands"]) == ("newer than the patch", [])


def test_the_list_is_crossed_off_and_the_report_says_so(operator, node, leaking):
    whom = ("--env", "followup", "--advisory", str(leaking))
    done = operator.run("followup.done", *whom, "--item", "chef-keys", "--note", "OPS-8")
    assert done.returncode == 0, done.stderr
    listed = operator.run("followup.list", *whom)
    assert listed.returncode == 2
    assert "7 of 8 things are left to do" in listed.stdout
    report = json.loads(operator.run("report", "--format", "json").stdout)
    said = {each["item"]: each["note"] for each in report["followup"] if each["done_at"]}
    assert (len(report["followup"]), said) == (8, {"chef-keys": "OPS-8"})
    page = operator.run("report", "--output", str(operator.home / "report.html"))
    assert page.returncode == 0, page.stderr
    assert "OPS-8" in (operator.home / "report.html").read_text()
