"""What the lab is made of: the key of its bases, whose chef-client its nodes get, and package lists that are old.

Needs no lab. No real chef-client is on the machine and its package lists are fresh: scripts stand in the place of both.
"""

import subprocess
import sys
from dataclasses import replace

import pytest

from lab import bases, client, host, mirror
from lab.host import ROOT, LabError


def test_a_base_is_named_by_the_versions_of_its_packages():
    apt = mirror.read(bases.packages())
    assert set(apt.packages) == set(bases.packages())
    web, light = (bases.directory(bases.BASES[name], apt) for name in ("web", "light"))
    assert bases.directory(bases.BASES["web"], replace(apt, packages=dict(apt.packages))) == web
    assert bases.directory(bases.BASES["web"], replace(apt, older="1")) != web
    other = replace(apt, packages={**apt.packages, "nginx": "1"})
    assert bases.directory(bases.BASES["web"], other) != web
    assert bases.directory(bases.BASES["light"], other) == light  # nginx is none of its packages
    assert light.name.startswith("light-")


def machine_with(client_at, tmp_path):
    """Run lab.client in a mount namespace whose PATH holds such a chef-client; return what it said, by line."""
    script = f"""
    mount -t tmpfs none /opt
    mkdir -p {client_at.rpartition("/")[0]} {tmp_path}/opt {tmp_path}/usr/bin /opt/on-path
    printf '#!/bin/sh\necho Chef Infra Client: 18.0.0\n' >{client_at}
    chmod +x {client_at}
    ln -s {client_at} /opt/on-path/chef-client
    PATH=/opt/on-path:$PATH exec {sys.executable} -c '
from pathlib import Path
from lab import client
print(client.copy_machines(Path("{tmp_path}")))
print(client.described().strip())
print(client.passed_over())'"""
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]
    done = subprocess.run(alone, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_chef_client_of_the_machine_is_taken_whole(tmp_path):
    assert machine_with("/opt/chef/bin/chef-client", tmp_path) == ["True", "Chef Infra Client: 18.0.0", "None"]
    assert (tmp_path / "opt/chef/bin/chef-client").is_file()
    assert (tmp_path / "usr/bin/chef-client").readlink().as_posix() == "/opt/chef/bin/chef-client"


def test_a_chef_client_that_cannot_be_copied_is_named(tmp_path):
    copied, described, said = machine_with("/opt/gems/bin/chef-client", tmp_path)
    assert (copied, described) == ("False", "none on the machine")
    assert said == (
        "/opt/on-path/chef-client is not in /opt/chef or /opt/cinc, so it cannot be copied into the nodes: "
        "they get another chef-client"
    )
    assert not (tmp_path / "opt/chef").exists()


def test_where_there_is_no_chef_client_none_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert client.passed_over() is None


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Put a script in the place of apt-get that refuses all until its lists are updated; return what it was asked."""
    asked = tmp_path / "asked"
    script = tmp_path / "apt-get"
    script.write_text(f"""#!/bin/sh
echo "$@" >>{asked}
case $2 in
update) touch {tmp_path}/fresh ;;
*) [ -e {tmp_path}/fresh ] || {{ echo "E: Failed to fetch openssl.deb  404  Not Found" >&2; exit 100; }} ;;
esac
""")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return lambda: [line.removeprefix("-q ") for line in asked.read_text().splitlines()]


def test_a_download_that_fails_is_tried_again_with_fresh_lists_and_says_so(apt, tmp_path, capsys):
    host.with_fresh_lists(lambda: host.download(tmp_path, "openssl=1"))
    assert apt() == ["download openssl=1", "update", "download openssl=1"]
    assert capsys.readouterr().out == (
        "lab: apt-get failed with 100: E: Failed to fetch openssl.deb  404  Not Found; updating apt's lists and trying "
        "once more\n"
    )
    host.with_fresh_lists(lambda: host.download(tmp_path, "openssl=1"))
    assert len(apt()) == 4, "nothing is updated where nothing fails"


def test_what_fails_with_fresh_lists_too_is_an_error(apt, tmp_path):
    def failing():
        raise LabError("mmdebstrap failed with 25")

    with pytest.raises(LabError, match="mmdebstrap failed with 25"):
        host.with_fresh_lists(failing)
    assert apt() == ["update"]
