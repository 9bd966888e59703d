"""No key and no password gets into what is written or shown, and what is written is its owner's alone."""

import os
import stat
from pathlib import Path

import pytest

from lab import keys
from lab.host import RUN

NODE = "secrets-1"
PASSWORD, TOKEN = "Zq9-hunter2", "Zq9.t0ken"
#: chef-client as one that fails and shows what others configured, the node's own key among it.
LEAKY = rf"""#!/bin/sh
echo '+  db_password: {PASSWORD}'
cat /etc/chef/client.pem
echo 'FATAL: GET https://ops:{PASSWORD}@repo.example/deb with Authorization: Bearer {TOKEN} failed, --token {TOKEN}'
exit 1
"""


def pieces(key: str) -> set[str]:
    """Every 40 characters that follow each other in a private key's base64, as in its lines and as in one."""
    body = [line for line in key.splitlines() if line and not line.startswith("-----")]
    return {text[at : at + 40] for text in (*body, "".join(body)) for at in range(len(text) - 39)}


@pytest.fixture(scope="module")
def leaky(operator, environment, added):
    """Patch a node whose chef-client fails and tells; return what was said and the files by name."""
    with added(NODE, "light", "sysv"):
        there = operator.sh(NODE, "cat /etc/chef/client.pem")
        replace = 'client=$(command -v chef-client); rm "$client"; cat >"$client"; chmod 755 "$client"'
        operator.lab.exec(NODE, ["sh", "-ec", replace], input=LEAKY, text=True, check=True)
        config = operator.home / "ssh_config"
        config.write_text((RUN / "ssh_config").read_text().replace(f"{RUN}/known_hosts", f"{operator.home}/none"))
        words = ("--env", environment, "--ssh-config", str(config), "--host-keys", "chef")
        settings = {"KNIFE_HOME": operator.settings("secrets")}
        operator.indexed(NODE)
        before = os.umask(0)  # for the verbs alone: the lab's own files are others' too
        try:
            patched, nodes = operator.reported("patch", "--yes", *words, **settings)
        finally:
            os.umask(before)
    return nodes[NODE], patched.stdout + patched.stderr, kept(operator.home), there


def kept(home: Path) -> dict[Path, bytes]:
    """What stands in the files that a run left, settings of the test and the cookbook excepted."""
    ours = [path for path in home.rglob("*") if path.is_file() and not {"cookbooks", "secrets"} & set(path.parts)]
    return {path: path.read_bytes() for path in ours if path.name != "ssh_config"}


def test_the_node_fails_and_it_is_said_why_without_the_secrets(leaky):
    node = leaky[0]
    assert node["state"] == "failed"
    assert node["error"] == (
        "chef-client ended with 1: + db_password: [redacted] | [redacted] | FATAL: GET https://[redacted]@repo.example/"
        "deb with Authorization: Bearer [redacted] failed, --token [redacted]"
    )


def test_no_file_and_no_line_holds_a_key_or_a_password(operator, leaky):
    _, said, files, there = leaky
    assert {path.name for path in files} >= {"journal.db", "report.json", "junit.xml", "known_hosts"}
    private = (there, (operator.lab.chef_dir / "admin.pem").read_text(), (RUN / "key").read_text())
    secrets = {PASSWORD, TOKEN}.union(*map(pieces, private))
    assert len(secrets) > 1000
    texts = {"what was said": said.encode()} | {str(path): content for path, content in files.items()}
    found = {name for name, text in texts.items() if any(secret.encode() in text for secret in secrets)}
    assert found == set()


def test_every_file_is_its_owners_alone_whatever_the_umask(operator, leaky):
    files = leaky[2]
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files}
    assert len(modes) >= 4
    assert set(modes.values()) == {"0o600"}, modes
    assert stat.S_IMODE((operator.home / "report").stat().st_mode) == 0o700


def test_a_key_that_were_there_would_be_found(tmp_path):
    keys.make_chef(tmp_path / "client.pem")
    key = (tmp_path / "client.pem").read_text()
    assert {len(piece) for piece in pieces(key)} == {40}
    assert any(piece in key for piece in pieces(key))
    assert any(piece in "".join(key.splitlines()) for piece in pieces(key) if piece not in key)
