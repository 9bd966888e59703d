"""PyChef, unmodified, on a Python it was not made for: it imports cleanly, once, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fleet.chef.compat import Key, SSLError

ROOT = Path(__file__).parents[2]
BORROWED = ("Mapping", "MutableMapping", "Sequence")


def fresh(program: str, tmp_path: Path) -> str:
    """Run a program in a new Python where every warning is an error and nothing was compiled before."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", f"pycache_prefix={tmp_path}", "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_imports_without_a_warning_and_leaves_the_interpreter_as_it_was(tmp_path):
    said = fresh(
        f"""
import collections, sys
before = {{name for name in {BORROWED} if hasattr(collections, name)}}
from fleet.chef.compat import chef, load
assert load() is load() is chef is sys.modules["chef"]
assert {{name for name in {BORROWED} if hasattr(collections, name)}} == before
assert "pkg_resources" not in sys.modules
print(chef.ChefAPI.__module__, chef.api.Key.__module__)
""",
        tmp_path,
    )
    assert said.split() == ["chef.api", "fleet.chef.compat"]


def test_a_pkg_resources_that_is_there_stays_there(tmp_path):
    fresh(
        """
import sys, types
mine = sys.modules["pkg_resources"] = types.ModuleType("pkg_resources")
import fleet.chef.compat
assert sys.modules["pkg_resources"] is mine
""",
        tmp_path,
    )


def test_threads_that_ask_at_once_get_the_same_module(tmp_path):
    said = fresh(
        """
import sys, threading
import fleet.chef.compat as compat
for name in [name for name in sys.modules if name.split(".")[0] == "chef"]:
    del sys.modules[name]
start, found = threading.Barrier(8), []
def ask():
    start.wait()
    found.append(compat.load())
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), len(set(map(id, found))), found[0] is sys.modules["chef"])
""",
        tmp_path,
    )
    assert said.split() == ["8", "1", "True"]


def test_a_failed_import_leaves_nothing_and_can_be_tried_again(tmp_path):
    fresh(
        f"""
import collections, sys
sys.modules["chef.node"] = None # what makes an import of it fail
try:
    import fleet.chef.compat
except ImportError:
    pass
else:
    raise AssertionError("it imported")
assert [name for name in sys.modules if name.split(".")[0] == "chef"] == []
assert [name for name in {BORROWED} if hasattr(collections, name)] == []
import fleet.chef.compat
assert fleet.chef.compat.chef.Node
""",
        tmp_path,
    )


def test_pychefs_own_objects_work_on_a_server_of_ours(serve, answer, pem):
    from fleet.chef.compat import chef
    from fleet.chef.config import ChefConfig
    from fleet.chef.server import ChefServer

    node = b'{"name": "web1", "chef_environment": "production", "run_list": ["recipe[a]"], "normal": {"a": {"b": 1}}}'
    server = serve(answer(body=node))
    with ChefServer(ChefConfig(server.url, "ada", pem)) as api:
        found = chef.Node("web1", api=api)
        assert (found.attributes["a"]["b"], found.run_list) == (1, ["recipe[a]"])


def pem_of(key, form=PrivateFormat.PKCS8, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize("pem", [
    pem_of(RSA), pem_of(RSA, PrivateFormat.TraditionalOpenSSL), pem_of(RSA).replace(b"\n", b"\r\n"),
    b"Bag Attributes\n    friendlyName: ada\n" + pem_of(RSA),
], ids=["pkcs8", "traditional", "dos", "bag"])
def test_reads_a_private_key_however_it_is_written(pem):
    key = Key(pem)
    assert not key.public
    assert key.key.private_numbers() == RSA.private_numbers()
    assert repr(key) == "<private RSA key>"


@pytest.mark.parametrize(("pem", "said"), [
    (pem_of(RSA, encryption=BestAvailableEncryption(b"x")), "encrypted"),
    (pem_of(RSA, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")), "encrypted"),
    (pem_of(RSA, PrivateFormat.OpenSSH), r"in OpenSSH's own form; .*ssh-keygen -p -m PEM"),
    (pem_of(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
    (pem_of(RSA)[:300], "no RSA key in PEM form"),
    (b"ssh-rsa AAAA ada@example.com", "no RSA key in PEM form"),
    (b"", "no RSA key in PEM form"),
], ids=["encrypted", "encrypted-traditional", "openssh", "ec", "cut", "ssh", "nothing"])
def test_says_why_a_key_is_none(pem, said):
    with pytest.raises(SSLError, match=said):
        Key(pem)


def test_a_public_key_cannot_sign():
    key = Key(RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert key.public
    for sign in (key.sign, key.private_encrypt):
        with pytest.raises(SSLError, match="public key"):
            sign(b"text")


def test_a_key_too_small_for_a_text_says_so():
    with pytest.raises(SSLError, match="too small"):
        Key(pem_of(RSA)).private_encrypt(b"x" * (256 - 11 + 1))  # PKCS #1 v1.5 takes 11 bytes of the key's 256
