"""The cookbook on its own, converged on a node by chef-client as whoever has no Styptic would: report, why-run, default
recipe, again, and a wrapper cookbook."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.chef import cookbook
from fleet.converge import RESULT
from generator import advisory, render

NODE, ENVIRONMENT, VERSION = "cookbook1", "cookbook-alone", "0.9.1"
WRAPPER = Path(__file__).parents[1] / "data" / "cookbooks" / "wrapper"
REFRESH = "ruby_block[openssl_patch: refresh what is stale] action run"


@dataclass
class Alone:
    """A node and its chef-client."""

    operator: object

    def sh(self, script: str) -> str:
        return self.operator.sh(NODE, script)

    def run(self, *recipes: str, why: bool = False) -> str:
        """Run chef-client with these recipes alone; return what it printed. It must succeed."""
        words = ["chef-client", *(["--why-run"] if why else []), "-o", ",".join(f"recipe[{name}]" for name in recipes)]
        done = self.operator.lab.exec(NODE, words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def result(self) -> dict:
        return json.loads(self.sh(f"cat {RESULT}"))

    def seen(self) -> tuple[str, str, str]:
        """Return what a run could change: packages, the services' processes, what lies in the recipe's directory."""
        processes = "cat /run/nginx.pid /run/sshd.pid; pgrep nginx; stat -c %y /proc/$(cat /run/sshd.pid)/maps"
        written = f"ls -l --full-time {Path(RESULT).parent} || true"
        return self.operator.versions(NODE), self.sh(processes), self.sh(written)


@pytest.fixture(scope="module")
def alone(operator, tmp_path_factory):
    """Have the cookbook and its wrapper on the server under versions that no other test's node gets, and a node."""
    books = tmp_path_factory.mktemp("books")
    render.cookbook(advisory.load(["CVE-2014-0160"]), books / "openssl_patch")
    shutil.copytree(WRAPPER, books / "wrapper")
    for book in books.iterdir():
        metadata = book / "metadata.rb"
        text = re.sub(r"^version '.*'$", f"version '{VERSION}'", metadata.read_text(), flags=re.MULTILINE)
        # goiardi holds the cookbooks of a run list to the environment's versions, and not those they depend on.
        metadata.write_text(text.replace("depends 'openssl_patch'", f"depends 'openssl_patch', '= {VERSION}'"))
        cookbook.upload(operator.chef, book)
    operator.environment(ENVIRONMENT, openssl_patch=f"= {VERSION}", wrapper=f"= {VERSION}")
    operator.lab.add(NODE, base="web", environment=ENVIRONMENT)
    yield Alone(operator)
    operator.lab.remove(NODE)
    operator.chef.delete(f"/environments/{ENVIRONMENT}")
    for name in ("openssl_patch", "wrapper"):
        operator.chef.delete(f"/cookbooks/{name}/{VERSION}")


def test_a_wrapper_has_its_own_way_and_the_default_recipe_the_rest(alone):
    nginx = alone.operator.master(NODE)
    said = alone.run("wrapper")
    assert said.count(REFRESH) == 1
    assert said.count("reload service service[ssh (openssl_patch)]") == 1
    found = alone.result()
    assert (found["reloaded"], found["upgraded"], found["restarted"]) == (["ssh"], [], ["nginx"])
    assert found["packages_before"] != found["packages_after"]
    assert not {each["service"] for each in found["stale_after"]} & {"nginx", "ssh"}
    assert alone.operator.master(NODE) != nginx
    assert alone.sh("cat /run/told") == "told\n"

    said = alone.run("wrapper")
    assert re.search(r"finished, 0/\d+ resources updated", said)
    assert alone.sh("cat /run/told") == "told\n"


@pytest.mark.cookbook
def test_a_node_is_looked_at_and_then_refreshed_and_then_left_alone(alone):
    alone.operator.lab.reset(NODE)
    before = alone.seen()
    said = alone.run("openssl_patch", why=True)
    assert "- Would upgrade package libssl3 from " in said
    assert "- Would look again after the upgrade, and refresh what then runs the old library" in said
    assert alone.seen() == before

    # Somebody else upgrades: nothing is left to upgrade, and everything is left to refresh.
    alone.sh("apt-get -q -y upgrade >/dev/null 2>&1")
    before = alone.seen()
    said = alone.run("openssl_patch", why=True)
    nginx = before[1].split()[0]
    how = r"\(upgrade in place, then restart\)"
    assert re.search(rf"- Would refresh nginx {how}: PIDs {nginx}, .* run the deleted /\S+", said)
    assert "- Would refresh ssh (reload, then restart): PID " in said
    assert "Would upgrade package" not in said
    assert alone.seen() == before

    said = alone.run("openssl_patch::report")
    assert "openssl_patch[report] action report\n    (up to date)" in re.sub(r"\[\S+ WARN: .*\n", "", said)
    assert alone.seen()[:2] == before[:2]
    found = alone.result()
    assert (found["status"], found["actions"], found["reloaded"], found["upgraded"]) == ("success", ["report"], [], [])
    assert {each["service"] for each in found["stale_before"]} >= {"nginx", "ssh"}
    assert found["stale_after"] == found["stale_before"]
    assert {"service": "nginx", "command": "service nginx restart", "because": None} in found["not_touched"]

    said = alone.run("openssl_patch")
    assert said.count(REFRESH) == 1
    found = alone.result()
    assert (found["actions"], found["reloaded"], found["upgraded"], found["restarted"]) == (
        ["upgrade"], ["ssh"], ["nginx"], [])
    assert not {each["service"] for each in found["stale_after"]} & {"nginx", "ssh"}

    before = alone.seen()
    said = alone.run("openssl_patch")
    assert REFRESH not in said
    assert re.search(r"finished, 0/\d+ resources updated", said)
    assert alone.seen()[:2] == before[:2]


@pytest.mark.cookbook
@pytest.mark.parametrize(("attributes", "why"), [
    ({"strategy": "violent"}, 'strategy of openssl_patch[default] must be equal to one of: "gentle", "restart"'),
    ({"services": {"x": {"names": ["../x"]}}}, "services of openssl_patch[default] must have rows of"),
    ({"services": {"x": {"names": ["x"], "steps": [{"do": "kill"}]}}}, "must have steps that do reload, upgrade or"),
    ({"packages": {"debian": ["--no-check"]}}, "packages of openssl_patch[default] must be names of packages"),
])
def test_what_cannot_be_meant_is_refused_before_anything_changes(alone, attributes, why):
    environment = alone.operator.chef.get(f"/environments/{ENVIRONMENT}")
    before = alone.operator.versions(NODE)
    alone.operator.chef.put(
        f"/environments/{ENVIRONMENT}", {**environment, "override_attributes": {"openssl_patch": attributes}})
    done = alone.operator.lab.exec(NODE, ["chef-client", "-o", "openssl_patch"], capture_output=True, text=True)
    alone.operator.chef.put(f"/environments/{ENVIRONMENT}", environment)
    assert done.returncode == 1
    assert why in done.stdout
    assert "apt_update" not in done.stdout
    assert alone.operator.versions(NODE) == before
