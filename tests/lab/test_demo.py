"""`invoke demo`: a lab comes up, is patched and goes down; and what the demo calls a broken promise."""

import copy
import json
import os
import signal
import subprocess
import sys

import pytest

from lab import demo, lock
from lab import lab as labs
from lab.host import ROOT, RUN

NGINX = {"pid": 7, "kind": "service", "command": "nginx", "service": "nginx", "library": "libssl.so.3"}
SESSION = NGINX | {"kind": "session", "service": None}
NODE = {
    "name": "web1", "environment": "production", "state": "patched", "stale_before": [NGINX, SESSION],
    "stale_after": [SESSION], "packages_before": {"openssl": "1"}, "packages_after": {"openssl": "2"}, "actions": [],
}
OTHERS = [NODE | {"name": name} for name in ("web2", "legacy1")]


def test_a_report_that_keeps_every_promise_breaks_none():
    assert list(demo.kept_promises({"nodes": [NODE, *OTHERS]}, untouched=True)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "stale"}, "web1 is stale"),
        ({"environment": "staging"}, "web1 of staging was touched"),
        ({"stale_before": [SESSION]}, "web1 had no stale service before"),
        ({"stale_after": [NGINX]}, "web1 still runs the old library"),
        ({"stale_after": [SESSION | {"kind": "init"}]}, "web1 still runs the old library"),
    ],
)
def test_each_broken_promise_is_named(change, said):
    assert list(demo.kept_promises({"nodes": [copy.deepcopy(NODE) | change, *OTHERS]}, untouched=True)) == [said]


@pytest.mark.parametrize("missing", ["web1", "web2", "legacy1"])
def test_a_report_that_lacks_a_node_is_a_broken_promise(missing):
    nodes = [node for node in (NODE, *OTHERS) if node["name"] != missing]
    assert list(demo.kept_promises({"nodes": nodes}, untouched=True)) == [f"{missing} is not in the report"]


def test_an_empty_report_and_a_touched_staging_node_are_broken_promises():
    assert list(demo.kept_promises({"nodes": []}, untouched=False)) == [
        "web1 is not in the report", "web2 is not in the report", "legacy1 is not in the report",
        "the staging node's packages changed",
    ]


def test_what_a_report_says_of_a_node_is_told_in_lines():
    assert list(demo.told({"nodes": [NODE | {"actions": ["restarted nginx"]}]})) == [
        "", "web1: patched", "  openssl 1 -> 2", "  stale after the upgrade: nginx, session", "  restarted nginx",
        "  stale at the end: session",
    ]


@pytest.fixture
def no_lab():
    labs.down()
    yield
    labs.down()


@pytest.mark.last
def test_the_demo_patches_production_shows_it_and_takes_its_lab_down(no_lab, machine, tmp_path):
    words = [sys.executable, "-m", "invoke", "demo", "--report", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    nodes = json.loads((tmp_path / "report.json").read_text())["nodes"]
    assert {node["name"]: node["state"] for node in nodes} == dict.fromkeys(("web1", "web2", "legacy1"), "patched")
    assert "web1: patched" in done.stdout.splitlines()
    assert (tmp_path / "junit.xml").is_file()
    assert machine.changes() == {}


@pytest.mark.last
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_takes_its_lab_down(no_lab, machine, tmp_path, sign, code):
    words = [sys.executable, "-m", "invoke", "demo", "--report", str(tmp_path)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as running:
        assert any(line.startswith("$ invoke patch") for line in running.stdout)
        os.killpg(running.pid, sign)  # as a terminal does
        said = running.stdout.read()
    assert running.returncode == code, said
    assert "Traceback" not in said
    lock.drop(lock.take(wait=False))
    assert not RUN.exists()
    assert machine.changes() == {}
