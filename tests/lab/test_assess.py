"""`invoke assess` against a Chef server: what its search says of nodes that say anything, and what a node says."""

import csv
import io
import json
import time

import pytest

DEBIAN = {"platform": "debian", "platform_version": "7.11", "fqdn": "10.77.0.1"}
DEEP = "DEEP"
HOSTILE = {
    "assess-escape": {"platform": "\x1b[2J\x1b]0;root\x07", "platform_version": "<script>alert(1)</script>"},
    "assess-large": DEBIAN | {"packages": {"openssl": {"version": "1" * 900_000}}},
    "assess-types": DEBIAN | {"platform_version": {"a": 1}, "ohai_time": "x", "packages": ["openssl"]},
    "assess-entry": DEBIAN | {"packages": {"openssl": "1.0.1e", "libssl1.0.0": {"version": ["1"]}}},
    "assess-number": DEBIAN | {"ohai_time": 10**4000},
    "assess-deep": DEBIAN | {"packages": {"openssl": DEEP}},
}


@pytest.fixture(scope="module")
def fleet(operator):
    """Make an environment with a real node, a node that reports no packages, and some that lie."""
    operator.environment("assess")
    operator.lab.add("assess-1", environment="assess")
    operator.paper("assess-silent", "assess", DEBIAN | {"ohai_time": time.time() - 100_000})
    for name, automatic in HOSTILE.items():
        body = json.dumps({
            "name": name, "chef_environment": "assess", "json_class": "Chef::Node", "chef_type": "node",
            "automatic": automatic, "normal": {}, "default": {}, "override": {}, "run_list": [],
        })
        operator.chef.request("POST", "/nodes", data=body.replace(f'"{DEEP}"', "[" * 3000 + "]" * 3000))
    operator.indexed("assess-1", "assess-silent", *HOSTILE)
    yield ("--env", "assess", "--advisory", str(operator.lab.advisory), "--advisory", "CVE-2014-0160")
    for name in ("assess-silent", *HOSTILE):
        operator.chef.delete(f"/nodes/{name}")
    operator.lab.remove("assess-1")
    operator.chef.delete("/environments/assess")


def test_one_search_tells_of_every_node_whatever_some_say(operator, fleet):
    done = operator.run("assess", *fleet)
    assert done.returncode == 2, done.stderr
    lines = done.stdout.splitlines()
    assert all(line.isprintable() and len(line) < 2000 for line in lines)
    [vulnerable] = [line for line in lines if "  vulnerable  " in line]
    assert vulnerable.startswith("assess-1  vulnerable  ")
    assert any(line.startswith("assess-silent  old  it last reported 1 d ago") for line in lines)
    [hidden] = [line for line in lines if "disabled_plugins" in line]
    assert "assess-silent" in hidden
    assert lines[-1].startswith("assess: 8 nodes by what ohai reported last, 2 advisories: 1 vulnerable, 6 unknown, 1 ")
    found = json.loads(operator.run("assess", *fleet, "--json").stdout)
    assert {node["name"] for node in found["nodes"]} == {"assess-1", "assess-silent", *HOSTILE}
    assert sum(row["vulnerable"] for row in found["table"]) == 1
    rows = list(csv.DictReader(io.StringIO(operator.run("assess", *fleet, "--csv").stdout)))
    assert {row["node"]: row["verdict"] for row in rows} == {node["name"]: node["verdict"] for node in found["nodes"]}


def test_live_asks_the_nodes_themselves(operator, fleet):
    operator.sh("assess-1", "sed -i 's/^\\(Version: \\).*/\\19.9.9-1/' /var/lib/dpkg/status")
    done = operator.run("assess", "--query", "name:assess-1 OR name:assess-silent", *fleet, "--live", "--json")
    assert done.returncode == 2, done.stderr
    found = json.loads(done.stdout)
    node, silent = found["nodes"]
    assert (node["name"], node["verdict"], node["old"]) == ("assess-1", "fixed", False)
    assert set(node["packages"].values()) == {"9.9.9-1"}
    assert silent["verdict"] == "unknown"
    assert "10.77.0.1" in json.dumps(silent["reasons"])
