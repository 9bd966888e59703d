"""What `invoke render --target` writes, run for real on nodes: `invoke test.targets`.

`invoke test` has one of it: `invoke patch --via shell` on a node whose chef-client is gone, and the script once more.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from generator import probe
from lab.steady import Steady, half_asked
from lab.target_venvs import ANSIBLE, SALT

RESULT = "/var/lib/openssl_patch/result.json"
ACTIONS = ("reloaded", "upgraded", "ended", "restarted")
#: Base of each kind of node, and the advisories whose row is what patches it.
KINDS = {"debian": ("managed", ("LAB", "CVE-2014-0160")), "rhel": ("rhel", ("CVE-2014-0160",))}
SALT_CALL = "from salt.scripts import salt_call; salt_call()"
targets = pytest.mark.targets


@dataclass
class Patched:
    """A node that a target is run on, and where that target was rendered to."""

    operator: object
    name: str
    base: str
    place: str

    def sh(self, script: str) -> str:
        return self.operator.sh(self.name, script)

    def packages(self) -> str:
        return self.sh("rpm -qa 'openssl*' | sort" if self.base == "rhel" else "dpkg-query -W openssl libssl3")

    def stale(self) -> set[str]:
        found = probe.parse(self.sh("set +e\n" + probe.command()))
        return {each.service or each.command for each in found.counted}

    def state(self) -> str:
        """Return what no run that changes nothing may change: packages, and who runs since when."""
        services = "ps -eo pid,lstart,comm | grep -E 'nginx|httpd|apache2|haproxy|stunnel'; cat /run/sshd.pid"
        return self.packages() + self.sh(services)

    def result(self) -> dict:
        return json.loads(self.sh(f"cat {RESULT}"))


@contextlib.contextmanager
def node(operator, target: str, kind: str, init: str = "sysv", base: str | None = None) -> Iterator[Patched]:
    """Add a node of a kind, render a target for it, and take the node away again."""
    usual, advisories = KINDS[kind]
    name, base = f"target-{target}-{kind}", base or usual
    operator.lab.add(name, base=base, init=init, environment="staging")
    place = operator.home / name / ("openssl_patch.sh" if target == "shell" else "out")
    files = [str(operator.lab.advisory) if each == "LAB" else each for each in advisories]
    wanted = [word for each in files for word in ("--advisory", each)]
    try:
        if base == "rhel":
            operator.sh(name, "service postgresql stop")  # it is never restarted, and would leave the node stale
        done = operator.run("render", "--target", target, "--output", str(place), *wanted)
        assert done.returncode == 0, done.stderr
        yield Patched(operator, name, base, str(place))
    finally:
        operator.lab.remove(name)


def test_a_node_without_chef_client_is_patched_by_the_script_and_again_nothing_is_changed(operator):
    with node(operator, "shell", "debian", base="web") as found:
        found.sh("for name in chef-client cinc-client; do rm -f $(command -v $name); done; ! command -v chef-client")
        operator.indexed(found.name)
        done, nodes = operator.patch("--query", f"name:{found.name}", "--via", "shell")
        told = nodes[found.name]
        assert (done.returncode, told["state"]) == (0, "patched"), done.stdout + done.stderr
        assert sorted(told["actions"]) == ["reloaded ssh", "upgraded nginx in place"]
        assert "nginx" in {each["service"] for each in told["stale_before"]}
        assert found.stale() == set()
        before = found.state()
        code, said = script(found)
        assert (code, "nothing runs the old library" in said) == (0, True), said
        assert found.state() == before


def script(found: Patched, *words: str) -> tuple[int, str]:
    """Run the script on the node; return its exit code and what it said."""
    with open(found.place) as program:
        done = found.operator.lab.exec(
            found.name, ["sh", "-s", "--", *words], stdin=program, capture_output=True, text=True
        )
    assert done.stderr == ""
    return done.returncode, done.stdout


@targets
@pytest.mark.parametrize("kind", KINDS)
def test_shell(operator, kind):
    with node(operator, "shell", kind) as found:
        before = found.state()
        code, said = script(found, "--dry-run")
        assert (code, "would upgrade openssl" in said) == (2, True), said
        code, said = script(found, "--look")
        assert (code, "vulnerable: " in said) == (2, True), said
        assert found.state() == before
        code, said = script(found)
        assert code == 0, said
        assert "nothing runs the old library" in said
        assert "upgrading nginx in place" in said
        result = found.result()
        assert (result["status"], result["verdict"]["kind"]) == ("success", "fixed"), result
        assert result["packages_before"] != result["packages_after"]
        assert found.stale() == set()
        after = found.state()
        for words in ((), ("--refresh",), ("--dry-run",), ("--look",)):
            code, said = script(found, *words)
            assert code == 0, said
        assert [found.result()[key] for key in ACTIONS] == [[], [], [], []]
        assert found.state() == after


@targets
def test_shell_leaves_what_is_held_and_what_a_person_must_decide_about_and_says_so(operator):
    with node(operator, "shell", "debian") as found:
        found.sh("apt-mark hold libssl3")
        code, said = script(found)
        assert code == 2
        assert "libssl3 is held (apt-mark hold): `apt-mark unhold libssl3` lets it go" in said
        result = found.result()
        assert (result["status"], result["verdict"]["kind"]) == ("failure", "vulnerable")
        assert result["held"] == [
            {"package": "libssl3", "by": "apt-mark hold", "command": "apt-mark unhold libssl3"}
        ]
        found.sh("apt-mark unhold libssl3; sed -i 's/listen 443/lisssten 443/' /etc/nginx/sites-available/default")
        master = found.sh("cat /run/nginx.pid")
        code, said = script(found)
        assert code == 2
        assert "nginx is left as it runs, because its configuration test failed" in said
        assert found.sh("cat /run/nginx.pid") == master
        assert found.result()["status"] == "failure"


@targets
def test_shell_says_what_keeps_an_rpm_where_it_is(operator):
    with node(operator, "shell", "rhel") as found:
        openssl = found.sh("rpm -q openssl")
        for keep, told, free in (
            ("dnf -q versionlock add openssl", "openssl is held (dnf versionlock): `dnf versionlock delete openssl`",
             "dnf -q versionlock delete openssl"),
            ("echo 'exclude=openss*' >>/etc/dnf/dnf.conf", "openssl is held (exclude= in its settings): `dnf --disable",
             "sed -i /^exclude=/d /etc/dnf/dnf.conf"),
            ("mv /srv/rpm/repodata /srv/away", "dnf could not upgrade openssl ", "mv /srv/away /srv/rpm/repodata"),
        ):
            found.sh(keep)
            code, said = script(found)
            assert (code, told in said, "still vulnerable: openssl " in said) == (2, True, True), said
            assert found.sh("rpm -q openssl") == openssl
            found.sh(free)
        assert script(found)[0] == 0


@targets
def test_shell_asks_of_a_mirror_that_is_down_only_what_is_needed(operator):
    dead = "echo 'deb [trusted=yes] http://127.0.0.1:9/ ./' >>/etc/apt/sources.list.d/lab.list"
    with node(operator, "shell", "debian") as found:
        live = found.sh("cat /etc/apt/sources.list.d/lab.list")
        found.sh(f"rm -r /var/lib/apt/lists/*; : >/etc/apt/sources.list.d/lab.list; {dead}")
        code, said = script(found)
        assert code == 2
        assert "package lists could not be fetched: " in said
        assert "still vulnerable: " in said
        found.sh(f"echo '{live}' >/etc/apt/sources.list.d/lab.list; {dead}")
        code, said = script(found)
        assert (code, "package lists could not be fetched: " in said) == (0, True), said


@targets
def test_shell_waits_for_the_package_managers_lock_and_names_who_holds_it(operator):
    with node(operator, "shell", "debian") as found:
        before = found.packages()
        found.sh("""
cat >/root/hold.py <<'P'
import fcntl, os, time
held = [open(path, "w") for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock")]
for each in held:
    fcntl.lockf(each, fcntl.LOCK_EX)
open("/run/holds", "w").close()
time.sleep(60)
P
setsid python3 /root/hold.py </dev/null >/dev/null 2>&1 &
until [ -e /run/holds ]; do :; done""")
        with open(found.place) as program:
            done = operator.lab.exec(
                found.name, ["env", "OPENSSL_PATCH_LOCK_SECONDS=1", "sh", "-s"], stdin=program, capture_output=True,
                text=True,
            )
        assert done.returncode == 2, done.stdout
        assert "still holds its lock after 1 seconds" in done.stdout
        assert found.packages() == before


@targets
def test_shell_loses_no_request_and_ends_old_processes_that_serve_somebody_for_too_long(operator):
    with node(operator, "shell", "rhel") as found:
        address = operator.lab.node(found.name).address
        with (half_asked(address, 443), half_asked(address, 7443), Steady(address, 443) as nginx,
              Steady(address, 7443) as haproxy, open(found.place) as program):
            done = operator.lab.exec(
                found.name, ["env", "OPENSSL_PATCH_DRAIN_SECONDS=2", "sh", "-s"], stdin=program, capture_output=True,
                text=True,
            )
        assert done.returncode == 0, done.stdout
        result = found.result()
        assert sorted(result["ended"]) == ["haproxy", "nginx"]
        assert (result["upgraded"], {"nginx", "haproxy"} & set(result["restarted"])) == (["nginx"], set())
        assert nginx.count.failed + haproxy.count.failed == []


@pytest.fixture(scope="module")
def playbook(operator):
    """Return what runs the playbook on a node, found by the inventory of the Chef server's search."""
    ANSIBLE.ready(print)

    def run(found: Patched, *words: str) -> subprocess.CompletedProcess:
        told = operator.run("inventory", "--query", f"name:{found.name}", "--format", "ansible")
        assert told.returncode == 0, told.stderr
        inventory = operator.home / f"{found.name}.json"
        inventory.write_text(told.stdout)
        environment = {
            **os.environ, "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
            "ANSIBLE_NOCOLOR": "1", "HOME": str(operator.home), "PATH": f"{ANSIBLE.place / 'bin'}:{os.environ['PATH']}",
        }
        return subprocess.run(
            ["ansible-playbook", "-i", str(inventory), f"{found.place}/openssl_patch.yml", *words],
            env=environment, capture_output=True, text=True, check=False, cwd=operator.home,
        )

    return run


@targets
@pytest.mark.parametrize("kind", KINDS)
def test_ansible(operator, playbook, kind):
    with node(operator, "ansible", kind, "systemd" if kind == "debian" else "sysv") as found:
        operator.indexed(found.name)
        before = found.state()
        done = playbook(found, "--check")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "would upgrade openssl" in done.stdout
        assert found.state() == before
        done = playbook(found)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nothing runs the old library" in done.stdout
        assert found.stale() == set()
        assert "upgraded" in found.result()
        assert found.result()["upgraded"] == ["nginx"]
        after = found.state()
        for words in ((), ("--check",)):
            done = playbook(found, *words)
            assert (done.returncode, " changed=0 " in done.stdout) == (0, True), done.stdout
        assert found.state() == after


@targets
def test_ansible_fails_where_the_old_library_still_runs(operator, playbook):
    """A service without a row, as one of a user's own: it is named, and left running."""
    with node(operator, "ansible", "debian") as found:
        operator.indexed(found.name)
        done = playbook(found, "--extra-vars", json.dumps({"openssl_patch_services": []}))
        assert done.returncode == 2, done.stdout
        assert "to do: service nginx restart" in done.stdout
        assert {"nginx", "ssh"} <= found.stale()


@targets
def test_the_playbook_passes_ansible_lint_at_its_production_profile(operator):
    ANSIBLE.ready(print)
    place = operator.home / "lint"
    assert operator.run("render", "--target", "ansible", "--output", str(place), "--advisory", "all").returncode == 0
    environment = {**os.environ, "HOME": str(operator.home), "PATH": f"{ANSIBLE.place / 'bin'}:{os.environ['PATH']}"}
    lint = ["ansible-lint", "--profile", "production", "--offline", "--nocolor", "openssl_patch.yml"]
    done = subprocess.run(lint, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed: 0 failure(s), 0 warning(s)" in done.stdout + done.stderr


@pytest.fixture
def state(operator):
    """Return what puts Salt and a rendered state on a node, calls it there by salt-call --local, applies the state."""
    SALT.ready(print)
    (library,) = SALT.place.glob("lib/python3.*/site-packages")
    (version,) = library.parent.name.removeprefix("python").split()

    def put(found: Patched) -> None:
        there = found.sh("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").strip()
        if there != version:
            pytest.skip(f"Salt was installed for Python {version}, and the nodes have {there}")
        for source, target in ((str(library), "/opt/salt"), (found.place, "/srv/salt")):
            pack = ["tar", "-C", source, "--exclude=*.pyc", "-cf", "-", "."]
            with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
                unpack = ["sh", "-c", f"mkdir -p {target} && tar -C {target} -xf -"]
                assert operator.lab.exec(found.name, unpack, stdin=packed.stdout).returncode == 0

    def call(found: Patched, *words: str) -> tuple[int, dict[str, dict]]:
        # below a shell, as below a login's: who asks is not stale itself
        command = ["sh", "-c", '"$@"; exit', "sh", "env", "PYTHONPATH=/opt/salt", "python3", "-W", "ignore", "-c"]
        command += [SALT_CALL, "--local", "--out=json", "--file-root=/srv/salt", "--log-level=quiet"]
        command += ["--retcode-passthrough", *words]
        done = operator.lab.exec(found.name, command, capture_output=True, text=True)
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        answer = json.loads(done.stdout)["local"]
        assert isinstance(answer, dict), answer
        return done.returncode, answer

    def apply(found: Patched, *words: str) -> tuple[int, dict[str, dict]]:
        code, states = call(found, "state.apply", "openssl_patch", *words)
        return code, {each["__id__"]: each for each in states.values()}

    return put, call, apply


@targets
@pytest.mark.parametrize("kind", KINDS)
def test_salt(operator, state, kind):
    put, _, apply = state
    with node(operator, "salt", kind, "systemd" if kind == "debian" else "sysv") as found:
        put(found)
        before = found.state()
        code, states = apply(found, "test=True")
        assert {name: each["result"] for name, each in states.items()} == {
            "openssl_patch_packages": None, "openssl_patch_refresh": None,
        }, states
        assert found.state() == before
        code, states = apply(found)
        assert (code, all(each["result"] for each in states.values())) == (0, True), states
        assert "nothing runs the old library" in states["openssl_patch_refresh"]["changes"]["stdout"]
        assert found.stale() == set()
        after = found.state()
        for words in ((), ("test=True",)):
            code, states = apply(found, *words)
            assert (code, [each["changes"] for each in states.values()]) == (0, [{}, {}]), states
        assert found.state() == after


@targets
@pytest.mark.parametrize(("kind", "words"), [
    ("debian", ["pkg.install", 'pkgs=["openssl", "libssl3"]', "only_upgrade=True"]),
    ("rhel", ["pkg.upgrade", "openssl"]),
])
def test_salts_one_line_upgrades_and_leaves_the_rest_to_the_state(operator, state, kind, words):
    put, call, apply = state
    with node(operator, "salt", kind) as found:
        put(found)
        before = found.packages()
        code, changes = call(found, *words, "refresh=True")
        assert (code, "openssl" in changes) == (0, True), changes
        assert found.packages() != before
        assert "nginx" in found.stale()
        code, states = apply(found)
        assert (code, found.stale()) == (0, set()), states
