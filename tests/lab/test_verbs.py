"""The steps of a patch as verbs of their own: what plan, nodes, push and render say, and what they leave alone."""

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from fleet.push import COOKBOOK
from lab import advisory, mirror
from lab.host import ROOT

LOG = "/run/sshd-connections.log"


@pytest.fixture(scope="module")
def watched(operator, uploads):
    """Add a node whose sshd writes down every connection; return settings and words for the verbs."""
    operator.environment("verbs")
    operator.lab.add("verbs-1", environment="verbs")
    operator.sh("verbs-1", f"echo 'SSHD_OPTS=\"-E {LOG} -o LogLevel=VERBOSE\"' >/etc/default/ssh; service ssh restart")
    operator.indexed("verbs-1")
    unheard_of = advisory.text(replace(mirror.read(), newer="999")).replace("LAB-CURRENT", "LAB-VERBS")
    (operator.home / "verbs.toml").write_text(unheard_of)
    yield {"KNIFE_HOME": operator.settings("verbs")}, ("--advisory", str(operator.home / "verbs.toml"))
    operator.lab.remove("verbs-1")
    operator.chef.delete("/environments/verbs")


def connections(operator) -> int:
    """Return how many connections the node's sshd has taken, one of our own now included, which proves the count."""
    counted = f"grep -c '^Connection from ' {LOG} || true"
    before = int(operator.sh("verbs-1", counted))
    with socket.create_connection((operator.lab.nodes["verbs-1"].address, 22), timeout=5) as door:
        assert door.recv(4) == b"SSH-"
    after = int(operator.sh("verbs-1", counted))
    assert after == before + 1
    return after


@pytest.fixture
def untouched(operator, watched):
    """Hold that a test leaves the server, the node, the checkout and the settings' directory as they are."""
    def state():
        files = sorted((operator.home / "verbs").rglob("*"))
        kept = [path.read_bytes() for path in sorted((ROOT / "cookbooks").rglob("*")) if path.is_file()]
        return operator.uploaded(), operator.chef.get("/nodes/verbs-1"), files, kept

    before, count = state(), connections(operator)
    yield
    assert state() == before
    assert connections(operator) == count + 1


@pytest.mark.usefixtures("untouched")
def test_plan_says_what_a_patch_would_do_and_changes_nothing(operator, watched):
    settings, words = watched
    done = operator.run("plan", "--env", "verbs", *words, **settings)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "whom         verbs\nadvisories   LAB-VERBS: Lab equipment: " in said
    assert "\nnodes        1 to connect to; 0 left out\n" in said
    assert f"cookbook     {COOKBOOK} " in said
    assert ", would be uploaded\n" in said
    assert "\nwaves        1: a canary: verbs-1\n" in said
    assert "canary       verbs-1  " in said
    assert " vulnerable as of its last chef-client run: " in said
    script = operator.run("plan", "--env", "verbs", "--via", "shell", *words, **settings).stdout
    assert "converge     no: a shell script over SSH\n" in script
    assert "\ncookbook " not in script, "none is pushed"


@pytest.mark.usefixtures("untouched")
def test_nodes_lists_them_as_the_server_knows_them(operator, watched):
    done = operator.run("nodes", "--env", "verbs", **watched[0])
    assert done.returncode == 0, done.stderr
    head, line = done.stdout.splitlines()
    assert head.split() == ["NODE", "ENVIRONMENT", "ADDRESS", "PLATFORM", "OPENSSL", "SEEN"]
    assert line.split()[:3] == ["verbs-1", "verbs", "verbs-1"]
    for package in operator.versions("verbs-1").replace(":amd64", "").replace(":arm64", "").splitlines():
        assert package.replace("\t", "=") in line.split()
    done = operator.run("nodes", "--query", "name:verbs-*", "--format", "json", **watched[0])
    assert [(node["name"], node["environment"]) for node in json.loads(done.stdout)] == [("verbs-1", "verbs")]


def test_push_sends_the_cookbook_once_and_touches_no_node(operator, watched):
    settings, words = watched
    before, count = operator.uploaded(), connections(operator)
    first = operator.run("push", "--env", "verbs", *words, **settings)
    assert first.returncode == 0, first.stderr
    version, = operator.uploaded().keys() - before.keys()
    assert first.stdout.startswith(f"{COOKBOOK} {version}: uploaded to {operator.chef.url}, ")
    there = operator.chef.get(f"/cookbooks/{COOKBOOK}/{version}")
    assert there["frozen?"] is True
    second = operator.run("push", "--env", "verbs", *words, **settings)
    assert (second.returncode, second.stdout) == (0, f"{COOKBOOK} {version}: already on {operator.chef.url}\n")
    assert operator.chef.get(f"/cookbooks/{COOKBOOK}/{version}") == there
    assert {key: files for key, files in operator.uploaded().items() if key != version} == before
    assert connections(operator) == count + 1


def test_rendering_the_checkout_anew_changes_no_file(tmp_path):
    """In a copy, so that a cookbook which is behind its templates fails here and is not mended by a test."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))

    def files():
        return {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.suffix != ".pyc"}

    before = files()
    words = [sys.executable, "-m", "invoke", "render"]
    done = subprocess.run(words, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f": unchanged in {copy}/cookbooks/{COOKBOOK}\n")
    assert files() == before
