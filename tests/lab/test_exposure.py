"""`invoke exposure` on real nodes: certificates from before and after the patch, with new keys and with old ones."""

import base64
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from lab.witness import Witness

NAME = "exposure-web"
SERVER = "server { listen %d ssl; ssl_certificate %s; ssl_certificate_key %s; root /var/www/html; }"
PEM = Encoding.PEM, PrivateFormat.PKCS8


def key_of(kind="ec"):
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)


def certificate_of(key, name, age):
    """Make a certificate of a key that was issued so long ago, in PEM."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - age)
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    )


def pem_of(key, encryption=None):
    """Return a private key in PEM."""
    return key.private_bytes(*PEM, encryption or NoEncryption()).decode()


def put(node, files, touch="now"):
    """Write files on a node, path to text; `touch` is what touch(1) takes for their time."""
    lines = []
    for path, text in files.items():
        encoded = base64.b64encode(text.encode()).decode()
        lines += [f"mkdir -p {os.path.dirname(path)}", f"echo {encoded} | base64 -d >{path}"]
        lines += [f"touch -d '{touch}' {path}"]
    node.sh("\n".join(lines))


def secrets_of(keys):
    """Return what would betray a private key, wherever it stood: its parts as numbers, in DER, in base64 and in PEM."""
    for key in keys:
        numbers = key.private_numbers()
        parts = [numbers.private_value] if hasattr(numbers, "private_value") else [numbers.d, numbers.p, numbers.q]
        for part in parts:
            raw = part.to_bytes((part.bit_length() + 7) // 8)
            yield from (raw, raw.hex().encode(), raw.hex().upper().encode(), str(part).encode())
            yield from (base64.b64encode(raw[at:])[:24] for at in range(3))
        lines = pem_of(key).splitlines()[1:-1]
        # The first line of an EC key names its curve, which is no secret.
        yield from (line.encode() for line in (lines[1:] if len(lines) > 3 else lines[1:2]))


@pytest.fixture(scope="module")
def keys():
    """Return the private keys that the node has."""
    names = ("old", "same", "new", "before", "pair", "shut")
    return {name: key_of("rsa" if name == "pair" else "ec") for name in names}


@pytest.fixture(scope="module")
def environment(operator):
    """Make an environment whose nodes no other test asks."""
    operator.environment("exposure")
    yield "exposure"
    operator.chef.delete("/environments/exposure")


@pytest.fixture(scope="module")
def added(operator, environment):
    """Make the node."""
    operator.lab.add(NAME, base="web", init="sysv", environment=environment)
    yield Witness(operator.lab, NAME)
    operator.lab.remove(NAME)


@pytest.fixture(scope="module")
def node(operator, added, keys, leaking):
    """Give the node certificates, patch it past us, prove it, and replace some of them."""
    week, nginx = timedelta(days=7), "/etc/nginx/tls"
    pair = certificate_of(keys["pair"], "pair.example", week) + pem_of(keys["pair"])
    put(added, {
        **{f"{nginx}/{name}.key": pem_of(keys[name]) for name in ("old", "same")},
        **{f"{nginx}/{name}.pem": certificate_of(keys[name], f"{name}.example", week) for name in ("old", "same")},
        f"{nginx}/new.pem.bak": certificate_of(keys["before"], "new.example", week),
        "/etc/haproxy/pair.pem": pair, "/etc/haproxy/haproxy.cfg": "frontend lab\n bind :7443 ssl crt pair.pem\n",
    }, "7 days ago")
    # The lab's root file systems come without the log that a machine which was installed has.
    log = "2026-01-02 03:04:05 install %s:amd64 <none> %s\n"
    said = added.sh("dpkg-query -W -f '${Package} ${Version}\\n' openssl libssl3")
    put(added, {"/var/log/dpkg.log": "".join(log % tuple(line.split()) for line in said.splitlines())})
    added.sh("apt-get -qqy install openssl libssl3; for name in nginx ssh; do service $name restart; done")
    operator.indexed(NAME)
    proven = operator.run("verify", "--query", f"name:{NAME}", "--advisory", str(leaking))
    assert proven.returncode == 0, proven.stdout + proven.stderr
    later = timedelta(seconds=-2)  # a certificate's times are whole seconds
    servers = [
        SERVER % (9000 + number, f"tls/{name}.pem", f"{nginx}/{name}.key")
        for number, name in enumerate(("old", "same", "new"))
    ]
    put(added, {
        f"{nginx}/same.pem": certificate_of(keys["same"], "same.example", later),
        f"{nginx}/new.pem": certificate_of(keys["new"], "new.example", later), f"{nginx}/new.key": pem_of(keys["new"]),
        "/srv/tls/shut.key": pem_of(keys["shut"], BestAvailableEncryption(b"secret")),
        "/etc/nginx/sites-enabled/lab": "\n".join(servers),
    }, "2 seconds")  # what was written in the second of the proof counts as written before it
    return added


def asked(operator, leaking, *words, **environment):
    """Run `invoke exposure` on the node; return it, and what it says of the node and of each certificate, by path."""
    done = operator.run("exposure", "--query", f"name:{NAME}", "--advisory", str(leaking), "--json", *words,
                        **environment)
    found, = json.loads(done.stdout)["nodes"]
    return done, found, {item["path"]: item for item in found["certificates"]}


@pytest.fixture(scope="module")
def first(operator, node, leaking):
    """Ask once, with a directory of the user's and a report."""
    return asked(operator, leaking, "--directory", "/srv/tls", "--report", str(operator.home / "leaked"))


def test_each_certificate_is_what_it_is(first):
    done, found, items = first
    assert done.returncode == 2, done.stdout + done.stderr
    assert {path: item["verdict"] for path, item in items.items()} == {
        "/etc/nginx/tls/old.pem": "exposed", "/etc/nginx/tls/same.pem": "reissued with the same key",
        "/etc/nginx/tls/new.pem": "rekeyed", "/etc/haproxy/pair.pem": "exposed",
        "/etc/ssl/certs/ssl-cert-snakeoil.pem": "exposed", "/srv/tls/shut.key": "unknown",
        "/etc/chef/client.pem": "exposed",
    }
    same = items["/etc/nginx/tls/same.pem"]
    assert (same["services"], same["names"], same["exposed"], same["key_reused"]) == (
        ["nginx"], ["same.example"], True, True,
    )
    assert items["/etc/haproxy/pair.pem"]["services"] == ["haproxy"]
    assert "new.pem.bak; revoke that one" in items["/etc/nginx/tls/new.pem"]["sentence"]
    assert "encrypted" in items["/srv/tls/shut.key"]["sentence"]
    window = found["window"]
    assert (window["state"], window["since"]["at"], window["clock_ahead"]) == ("closed", "2026-01-02T03:04:05.000Z", 0)
    assert window["since"]["at"] < window["replaced"]["at"] < window["until"]["at"]


def test_no_key_leaves_the_node(operator, first, keys):
    done, _, items = first
    told = operator.run("show", "--node", NAME)
    assert "certificates and keys are exposed" in told.stdout
    paths = [*operator.home.glob("journal.db*"), *(operator.home / "leaked").iterdir()]
    assert {"journal.db", "exposure.json"} <= {path.name for path in paths}
    written = [path.read_bytes() for path in paths]
    everything = b"\0".join([*written, done.stdout.encode(), done.stderr.encode(), told.stdout.encode()])
    assert items["/etc/nginx/tls/same.pem"]["key_sha256"].encode() in everything
    assert b"PRIVATE KEY" not in everything
    assert [each for each in secrets_of(keys.values()) if each in everything] == []


@pytest.mark.exposure
def test_a_key_that_an_earlier_run_saw_is_known_again(operator, node, first, keys, leaking):
    assert first[2]["/etc/haproxy/pair.pem"]["verdict"] == "exposed"
    later = timedelta(seconds=-2)
    put(node, {"/etc/haproxy/pair.pem": certificate_of(keys["pair"], "pair.example", later) + pem_of(keys["pair"])})
    _, _, items = asked(operator, leaking)
    assert items["/etc/haproxy/pair.pem"]["verdict"] == "reissued with the same key"


@pytest.mark.exposure
def test_the_recipes_own_result_is_a_proof_where_the_journal_has_none(operator, node, first, leaking):
    said = node.sh("dpkg-query -W -f '${Package} ${Version}\\n' openssl libssl3")
    result = {"status": "success", "stale_after": [], "unread": 0, "finished": datetime.now(UTC).isoformat(),
              "packages_after": dict(line.split() for line in said.splitlines())}
    put(node, {"/var/lib/openssl_patch/result.json": json.dumps(result)})
    elsewhere = {"STYPTIC_STATE": str(operator.home / "another.db")}
    _, found, items = asked(operator, leaking, **elsewhere)
    assert found["window"]["until"]["by"] == "the recipe's result on the node"
    # Whatever was issued before that counts as exposed.
    assert items["/etc/nginx/tls/new.pem"]["verdict"] == "exposed"
    node.sh("rm /var/lib/openssl_patch/result.json")
    done, found, items = asked(operator, leaking, **elsewhere)
    assert (done.returncode, found["window"]["state"], found["window"]["until"]) == (2, "unproven", None)
    assert items["/etc/nginx/tls/old.pem"]["verdict"] == "exposed"
    assert items["/etc/nginx/tls/new.pem"]["verdict"] == "unknown"


def heartbleed(operator, name):
    """Run `invoke exposure` for Heartbleed on a node; return the exit code and what it says of it."""
    done = operator.run("exposure", "--query", f"name:{name}", "--advisory", "heartbleed", "--json")
    found, = json.loads(done.stdout)["nodes"]
    return done.returncode, found


@pytest.fixture
def other(operator, environment, request):
    """Make a node of the base that the test names."""
    name = f"exposure-{request.param}"
    operator.lab.add(name, base=request.param, init="sysv", environment=environment)
    operator.indexed(name)
    yield Witness(operator.lab, name)
    operator.lab.remove(name)


@pytest.mark.exposure
@pytest.mark.parametrize("other", ["rhel"], indirect=True)
def test_heartbleed_itself_on_every_service_of_a_node_patched_by_us(operator, other, keys):
    other.sh("service postgresql stop")  # which no patch restarts
    code, found = heartbleed(operator, other.name)
    chef, item = sorted(found["certificates"], key=lambda item: item["path"])
    assert (chef["path"], chef["verdict"]) == ("/etc/chef/client.pem", "exposed")
    assert (code, item["verdict"], found["window"]["state"]) == (2, "exposed", "open")
    assert item["services"] == ["apache2", "dovecot", "haproxy", "nginx", "postgresql", "stunnel"]
    assert "patch it first" in item["sentence"]
    assert found["window"]["since"]["by"] == "rpm's database"
    whom = ("--query", f"name:{other.name}", "--advisory", "heartbleed")
    done = operator.run("patch", "--yes", "--no-lock", "--via", "shell", *whom)
    assert done.returncode == 0, done.stdout + done.stderr
    code, found = heartbleed(operator, other.name)
    _, item = sorted(found["certificates"], key=lambda item: item["path"])
    window = found["window"]
    assert (code, item["verdict"], window["state"], window["replaced"]["by"]) == (2, "exposed", "closed", "dnf's log")
    assert window["replaced"]["at"] < window["until"]["at"]
    later = certificate_of(keys["new"], "a.example", timedelta(seconds=-2))
    put(other, {item["path"]: later, "/etc/ssl/private/ssl-cert-snakeoil.key": pem_of(keys["new"])})
    for path in ("/etc/ssl/private/lab-pair.pem", "/etc/stunnel/lab.pem"):
        put(other, {path: later + pem_of(keys["new"])})
    put(other, {"/etc/chef/client.pem": pem_of(keys["before"])})  # as new as the others
    code, found = heartbleed(operator, other.name)
    assert (code, found["state"]) == (0, "already_patched"), found
    assert [item["verdict"] for item in found["certificates"]] == ["rekeyed", "rekeyed"]


@pytest.mark.exposure
@pytest.mark.parametrize("other", ["legacy"], indirect=True)
def test_a_node_without_an_openssl_that_works_says_so(operator, other):
    """As the lab's Debian 7-like ones are, whose openssl knows its version and nothing else."""
    code, found = heartbleed(operator, other.name)
    assert (code, found["state"], found["window"]["state"]) == (2, "failed", "open")
    assert ["no openssl that works" in item["sentence"] for item in found["certificates"]] == [True]


def test_the_greps_would_find_a_key(keys):
    """What the first test asserts could fail."""
    for key in keys.values():
        text = pem_of(key).encode()
        assert [each for each in secrets_of([key]) if each in text]
        der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        assert [each for each in secrets_of([key]) if each in der]
