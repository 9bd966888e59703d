"""`invoke patch` told wrong, or at the wrong moment: one sentence, the right exit code, and nothing changed."""

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.chef import cookbook, pins
from fleet.push import COOKBOOK
from generator import advisory, render
from lab import keys

#: Nodes that stand only on the Chef server; their sshd would be the Chef server's machine, where none listens.
DEBIAN = {"platform": "debian", "platform_version": "12", "fqdn": "10.77.0.1"}
OFF = 3600  # seconds


class Late(BaseHTTPRequestHandler):
    """A Chef server whose clock is an hour behind ours: it takes no signature, and its Date header tells."""

    def do_GET(self):
        self.send_response(401)
        self.end_headers()
        self.wfile.write(json.dumps({"error": ["Timestamp out of bounds"]}).encode())

    def date_time_string(self, timestamp=None):
        return formatdate(time.time() - OFF, usegmt=True)

    def log_message(self, *_):
        """Stay silent."""


@pytest.fixture(scope="module")
def place(operator, uploads):
    """Make environments, nodes, settings and files that are good and bad; return what the words below stand for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Late) as late:
        thread = threading.Thread(target=late.serve_forever)
        thread.start()
        home = operator.home
        keys.make_chef(home / "other.pem")
        (home / "broken.toml").write_text('id = "X-1"\ntitle = \n')
        (home / "wrong.toml").write_text('id = "X-1"\ntitle = "x"\nlibraries = "libssl"\nservices = []\n')
        nodes = {"input-1": "input", "input-2": "input-too"}
        paper = {"input-policy": "input", "pinned-input": "input-pinned", "carrier-input": "input-free"}
        for name in ("input", "input-too", "input-free"):
            operator.environment(name)
        operator.environment("input-pinned", openssl_patch="= 0.0.1")
        for name, environment in nodes.items():
            operator.lab.add(name, environment=environment)
        # goiardi knows no policies: the node says it in an attribute, where the search finds it the same.
        operator.paper("input-policy", "input", DEBIAN | {"policy_name": "web"})
        operator.paper("pinned-input", "input-pinned", DEBIAN)
        operator.paper("carrier-input", "input-free", DEBIAN, ["recipe[openssl_patch]"])
        operator.indexed(*nodes, *paper)
        yield {
            "good": operator.settings("good"), "dead": operator.settings("dead", "http://127.0.0.1:9"),
            "otherkey": operator.settings("otherkey", key=home / "other.pem"),
            "late": operator.settings("late", f"http://127.0.0.1:{late.server_port}"),
            "advisory": str(operator.lab.advisory), "home": str(home), "late_url": f"http://127.0.0.1:{late.server_port}",
        }
        for name in nodes:
            operator.lab.remove(name)
        for name in paper:
            operator.chef.delete(f"/nodes/{name}")
        for name in {*nodes.values(), *paper.values()}:
            operator.chef.delete(f"/environments/{name}")
        late.shutdown()
        thread.join()


#: What is wrong: the settings, the words, the exit code, what the one sentence holds.
REFUSED = {
    "the server is out of reach": (
        "dead", "--env input --yes --advisory {advisory}", 1,
        ["the Chef server does not answer at http://127.0.0.1:9", "check chef_server_url"],
    ),
    "the key is another's": (
        "otherkey", "--env input --yes --advisory {advisory}", 1,
        ["does not accept the signature of 'admin'", "check that node_name and client_key belong together"],
    ),
    "the clock is off": (
        "late", "--env input --yes --advisory {advisory}", 1,
        ["{late_url} does not accept the signature of 'admin': Timestamp out of bounds",
         f"our clock is {OFF // 10}", "s ahead of the server's", "set it right (NTP)"],  # 3600 s, or one more
    ),
    "the environment is unknown": (
        "good", "--env inputt --yes --advisory {advisory}", 1,
        ["there is no environment 'inputt'", "there are: ", " input, ", " production, "],
    ),
    "no node matches": (
        "good", "--query name:input-none --yes --advisory {advisory}", 10, ["no node of", "name:input-none"],
    ),
    "the advisory is unknown": (
        "good", "--env input --yes --advisory CVE-1999-9999", 1, ["CVE-1999-9999", "CVE-2014-0160"],
    ),
    "the advisory is no TOML": (
        "good", "--env input --yes --advisory {home}/broken.toml", 1, ["{home}/broken.toml", "line 2"],
    ),
    "the advisory has a wrong key": (
        "good", "--env input --yes --advisory {home}/wrong.toml", 1, ["{home}/wrong.toml", "libraries", "list"],
    ),
    "nobody can be asked": (
        "good", "--env input --advisory {advisory}", 1,
        ["there is no terminal to ask at, so nothing was changed", "--yes"],
    ),
    "nobody can be asked about everywhere": (
        "good", "--env * --query name:input-* --advisory {advisory}", 1, ["there is no terminal to ask at", "--yes"],
    ),
    "the environment pins another version": (
        "good", "--env input-pinned --yes --advisory {advisory}", 1,
        ["environment input-pinned pins openssl_patch to '= 0.0.1'", "no node was touched"],
    ),
    "a node carries the recipe unpinned": (
        "good", "--env input --yes --advisory {advisory}", 1,
        ["carrier-input (input-free)", "nothing was uploaded", "--accept-unpinned"],
    ),
}


def nodes_as_they_are(operator):
    """Return what a patch would change on the nodes and on the server."""
    asked = "dpkg-query -W; ls /var/lib/openssl_patch /var/chef 2>&1 || true"
    return operator.uploaded(), [operator.sh(name, asked) for name in ("input-1", "input-2")]


@pytest.fixture(scope="module")
def refusals(operator, place):
    """Run them all, two at a time; return how each ended, and what was on nodes and server before and after."""
    def run(name):
        settings, words, *_ = REFUSED[name]
        state = operator.home / f"{list(REFUSED).index(name)}.db"
        return operator.run(
            "patch", *words.format(**place).split(), KNIFE_HOME=place[settings], STYPTIC_STATE=str(state)
        )

    before = nodes_as_they_are(operator)
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(REFUSED, pool.map(run, REFUSED), strict=True))
    return done, before, nodes_as_they_are(operator)


@pytest.mark.parametrize("name", REFUSED)
def test_it_ends_in_one_sentence_and_its_exit_code(place, refusals, name):
    done = refusals[0][name]
    *_, code, said = REFUSED[name]
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("styptic: ")
    for words in said:
        assert words.format(**place) in done.stderr


def test_nothing_was_changed_by_any_of_them(refusals):
    _, before, after = refusals
    assert before == after


@pytest.fixture(scope="module")
def frozen(operator, place, refusals):
    """Freeze a version on the server that is ours by its number and another's by its content; return it."""
    advisories = advisory.load([str(operator.lab.advisory), "CVE-2014-0160"])
    ours = operator.home / "good" / "cookbooks" / COOKBOOK
    highest = next(iter(operator.uploaded()), None)
    version = render.cookbook(advisories, ours, above=highest).version
    theirs = operator.home / "theirs"
    shutil.copytree(ours, theirs)
    (theirs / "recipes" / "default.rb").write_text("log 'of another checkout'\n")
    assert cookbook.upload(operator.chef, theirs).version == version
    return version, operator.uploaded()[version]


@pytest.fixture(scope="module")
def locked_out(operator, place, frozen):
    """Patch as a user whose sudo wants a password, with the unpinned node accepted."""
    words = ("--query", "name:input-1", "-x", "locked", "--sudo", "--yes", "--accept-unpinned")
    return operator.reported("patch", *words, KNIFE_HOME=place["good"])


def test_a_sudo_that_wants_a_password_is_named(operator, place, locked_out):
    done, nodes = locked_out
    assert done.returncode == 2, done.stdout + done.stderr
    assert nodes["input-1"]["state"] == "failed"
    assert "its sudo wants a password, and nobody is asked for one" in nodes["input-1"]["error"]
    assert "nothing was changed on it" in nodes["input-1"]["error"]
    assert done.stderr == ""


def test_accepting_unpinned_nodes_goes_on(operator, frozen, locked_out):
    assert pins.numbers(next(iter(operator.uploaded()))) > pins.numbers(frozen[0])


@pytest.fixture(scope="module")
def full_run(operator, place, locked_out):
    """Patch a node by its whole run list, which is empty."""
    words = ("--query", "name:input-1 OR name:input-policy", "--full-run", "--yes")
    return operator.reported("patch", *words, KNIFE_HOME=place["good"])


def test_a_full_run_without_the_recipe_says_so(operator, full_run):
    done, nodes = full_run
    assert done.returncode == 2, done.stdout + done.stderr
    assert nodes["input-1"]["state"] == "failed"
    assert "chef-client ended well and left no result of this run" in nodes["input-1"]["error"]
    assert "to do: its run list does not hold recipe[openssl_patch]: add it, or patch without --full-run" in done.stdout


@pytest.fixture(scope="module")
def everywhere(operator, place, full_run):
    """Patch what a query names in every environment; return that, and the cookbook of its report."""
    words = ("--env", "*", "--query", "name:input-*", "--yes")
    done, nodes = operator.reported("patch", *words, KNIFE_HOME=place["good"])
    report = json.loads((operator.home / "report" / "report.json").read_text())
    return done, nodes, report["cookbook"]


def test_every_environment_is_reached(everywhere):
    done, nodes, _ = everywhere
    assert done.returncode == 2, done.stdout + done.stderr
    assert {name: (node["environment"], node["state"]) for name, node in nodes.items()} == {
        "input-1": ("input", "patched"), "input-2": ("input-too", "patched"), "input-policy": ("input", "unreachable"),
    }


def test_a_frozen_version_of_other_content_is_passed_by_a_higher_one(operator, frozen, everywhere):
    version, files = frozen
    used = everywhere[2]["version"]
    assert pins.numbers(used) > pins.numbers(version)
    assert operator.uploaded()[version] == files, "and left alone"
    for name in ("input-1", "input-2"):
        assert json.loads(operator.sh(name, "cat /var/lib/openssl_patch/result.json"))["cookbook_version"] == used


def test_a_node_under_a_policy_is_told_what_its_full_run_converges(full_run):
    done, nodes = full_run
    assert nodes["input-policy"]["error"] == (
        "it is under the policy web, whose lock says what its full run converges; nothing was changed on it"
    )
    assert "to do: add openssl_patch to the policy and push it, or leave --full-run out" in done.stdout


def test_and_without_a_full_run_it_is_connected_to(everywhere):
    assert everywhere[1]["input-policy"]["error"].startswith("10.77.0.1: connection refused")
