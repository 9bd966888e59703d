"""Nodes of Red Hat's kind: what they are, Heartbleed patched by its own row, and Chef's package resource over dnf.

`invoke test.rhel`, because their root file system is built only when somebody asks for it.
"""

import hashlib
import json

import pytest

from fleet.chef import cookbook
from lab import rhel

pytestmark = pytest.mark.rhel

PACKAGES = "rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' 'openssl*'"
OLD = {"openssl": rhel.VULNERABLE, "openssl-devel": rhel.VULNERABLE, "openssl098e": rhel.COMPAT[0]}
NEW = {"openssl": rhel.FIXED, "openssl-devel": rhel.FIXED, "openssl098e": rhel.COMPAT[1]}
#: Makes the mirror's index anew; an overlay cannot rename the directory that it had.
INDEX = f"rm -r {rhel.REPOSITORY}/repodata; createrepo_c --quiet {rhel.REPOSITORY}; dnf -q makecache"
#: The package that owns the library which process PID maps.
OWNER = r"rpm -qf --qf '%{NAME}' $(sed -n 's|.* \(/.*/libcrypto[^ ]*\)$|\1|p' /proc/PID/maps | head -n 1)"


def versions(node) -> dict[str, str]:
    """Return a node's OpenSSL packages, name to version-release."""
    return dict(line.split() for line in node.sh(PACKAGES).splitlines())


@pytest.fixture(scope="module")
def environment(operator, uploads):
    """Make an environment that pins nothing: `patch` uploads the cookbook itself."""
    operator.environment("rhel")
    yield "rhel"
    operator.chef.delete("/environments/rhel")


@pytest.fixture(scope="module", params=["systemd", "sysv"])
def node(request, operator, added):
    """Make a node without PostgreSQL, which no patch restarts."""
    name = f"rhel-{request.param}"
    with added(name, "rhel", request.param) as node:
        node.sh("service postgresql stop")
        operator.indexed(name)
        yield node


def test_it_is_what_it_says(operator, node):
    said = operator.chef.get(f"/nodes/{node.name}")["automatic"]
    assert (said["platform"], said["platform_family"], said["platform_version"]) == ("centos", "rhel", "6.5")
    package = said["packages"]["openssl"]
    assert f"{package['epoch']}:{package['version']}-{package['release']}" == f"0:{rhel.VULNERABLE}"
    assert node.sh("ls /usr/bin/dpkg* /usr/bin/apt* /var/lib/dpkg 2>/dev/null || true") == ""
    masters = node.masters()
    for service in ("nginx", "httpd", "haproxy", "stunnel", "sshd"):
        assert node.sh(OWNER.replace("PID", masters[service])) == "openssl", service


def test_heartbleeds_own_row_patches_it(operator, node):
    assert versions(node) == OLD
    report = operator.home / node.name
    done = operator.run("patch", "--yes", "--advisory", "CVE-2014-0160", "--query", f"name:{node.name}", "--report",
                        str(report), KNIFE_HOME=operator.settings("rhel"))
    assert done.returncode == 0, done.stdout + done.stderr
    found, = json.loads((report / "report.json").read_text())["nodes"]
    assert found["state"] == "patched"
    assert versions(node) == NEW
    assert f"openssl 0:{rhel.VULNERABLE} -> 0:{rhel.FIXED}" in done.stdout
    actions = {"upgraded nginx in place", "restarted httpd", "reloaded haproxy", "restarted stunnel", "reloaded sshd"}
    assert actions <= set(found["actions"])
    assert node.stale() == {}


@pytest.fixture(scope="module")
def converge(operator, added, tmp_path_factory):
    """Return what has a node converge a recipe of one package resource, and the node."""
    books = tmp_path_factory.mktemp("books")
    with added("rhel-package", "rhel", "sysv") as node:
        made = set()

        def run(names: str, *lines: str, why_run: bool = False) -> tuple[int, str]:
            """Converge `package names`; return chef-client's exit code and what it printed."""
            recipe = "\n".join([f"package {names} do", "  action :upgrade", *lines, "end\n"])
            name = f"rhel_package_{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"
            path = books / name / "recipes"
            path.mkdir(parents=True, exist_ok=True)
            path.joinpath("default.rb").write_text(recipe)
            path.with_name("metadata.rb").write_text(f"name '{name}'\nversion '0.1.0'\n")
            cookbook.upload(operator.chef, path.parent)
            made.add(name)
            words = ["chef-client", "--once", "--no-color", "-o", f"recipe[{name}]"]
            more = ["--why-run"] if why_run else []
            done = node.lab.exec(node.name, [*words, *more], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

        yield node, run
    for name in made:
        operator.chef.delete(f"/cookbooks/{name}/0.1.0")


@pytest.fixture
def old(converge):
    """Bring the node's packages back to what they were."""
    node, _ = converge
    yield node
    node.sh("dnf -qy downgrade openssl openssl-devel openssl098e || true")
    assert versions(node) == OLD


def transactions(node) -> int:
    """Return how many transactions dnf has had."""
    return int(node.sh("dnf history list | grep -c '^ *[0-9]' || true"))


def test_one_transaction_upgrades_exactly_what_has_a_newer_candidate(converge, old):
    _, run = converge
    before = transactions(old)
    code, said = run("%w{openssl centos-release}", "  flush_cache [:before]", why_run=True)
    wanted = f"upgrade package openssl from openssl-0:{rhel.VULNERABLE}."
    assert code == 0, said
    assert wanted in said
    assert (versions(old), transactions(old)) == (OLD, before)
    code, said = run("%w{openssl centos-release}", "  flush_cache [:before]")
    assert code == 0, said
    assert wanted in said
    assert "package centos-release" not in said
    assert versions(old) == NEW | {"openssl098e": rhel.COMPAT[0]}  # openssl-devel wants the same openssl
    assert transactions(old) == before + 1
    code, said = run("'openssl'")
    assert (code, transactions(old)) == (0, before + 1), said
    assert "(up to date)" in said


def test_a_package_that_nobody_offers_is_named(converge):
    _, run = converge
    code, said = run("%w{openssl no-such-package}")
    assert code == 1
    assert "No candidate version available for no-such-package" in said


def test_a_locked_package_has_no_newer_candidate(converge, old):
    _, run = converge
    old.sh("dnf -q versionlock add openssl")
    code, said = run("'openssl'")
    old.sh("dnf -q versionlock clear")
    assert (code, versions(old)) == (0, OLD), said


def test_a_repository_that_is_switched_off_offers_nothing(converge, old):
    _, run = converge
    code, said = run("'openssl'", "  options '--disablerepo=lab'")
    assert (code, versions(old)) == (0, OLD), said


def test_what_the_repositories_no_longer_have_is_downgraded_unless_told_otherwise(converge, old):
    """As Chef's own resources do: allow_downgrade is true unless a recipe says otherwise."""
    node, run = converge
    node.upgrade()
    node.sh(f"mkdir /root/aside; mv {rhel.REPOSITORY}/*-{rhel.FIXED}.* /root/aside; {INDEX}")
    try:
        assert run("'openssl'", "  allow_downgrade false")[0] == 0
        assert versions(node)["openssl"] == rhel.FIXED
        code, said = run("'openssl'")
        assert code == 0, said
        assert versions(node)["openssl"] == rhel.VULNERABLE
    finally:
        node.sh(f"mv /root/aside/* {rhel.REPOSITORY}; {INDEX}")
