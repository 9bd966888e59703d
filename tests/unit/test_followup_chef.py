"""Which of Chef's own keys are older than the patch: what `exposure` saw on nodes, held against what a server takes."""

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fleet import followup_chef_text, followup_seen
from fleet.chef import credentials
from fleet.chef.config import ChefConfig
from fleet.chef.credentials import CLIENTS, USERS, Key
from fleet.chef.server import ChefServer
from fleet.errors import AuthenticationError, ChefServerError, NotFoundError
from fleet.exposure_item import EXPOSED, REKEYED, UNKNOWN, Item, as_dict
from fleet.followup_chef import Judge
from fleet.followup_seen import NEWER, OLDER
from fleet.history import History
from fleet.journal import Journal
from fleet.node import Node
from fleet.ssh_settings import SshSettings

IDS = ["CVE-2014-0160"]
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
PATCHED = "2026-01-02T12:00:00.000Z"
CLIENT = "/etc/chef/client.pem"


@pytest.fixture(scope="module")
def keys():
    """Return private keys by name."""
    return {name: rsa.generate_private_key(65537, 2048) for name in ("old", "new", "ops", "other")}


def public(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sha256(key):
    return credentials.digest(public(key))


class Keys:
    """A Chef server of which only clients, users and their keys matter: `several` is whether it has more than one each.

    `held` is (kind, name) to key names and PEMs, in their order; `refused` is paths to a status.
    """

    def __init__(self, answer, several=True):
        self.answer, self.several = answer, several
        self.held: dict[tuple[str, str], dict[str, str]] = {}
        self.expired, self.refused = set(), {}

    def __call__(self, request):
        path = request.path.partition("?")[0]
        status, body = self.found(path) if path not in self.refused else (self.refused[path], {"error": ["no"]})
        return self.answer(status, json.dumps(body).encode())

    def found(self, path):
        kind, *rest = map(unquote, path.strip("/").split("/"))
        if not rest:
            return 200, {name: "uri" for which, name in self.held if which == kind}
        name, *rest = rest
        mine = self.held.get((kind, name))
        if mine is None:
            return 404, {"error": [f"{name} not found"]}
        if not rest or not self.several:  # goiardi answers .../keys with the client itself
            first = next(iter(mine.values()))
            return 200, {"name": name, "public_key": first, "validator": name.endswith("-validator")}
        if rest == ["keys"]:
            return 200, [{"name": each, "uri": "u", "expired": each in self.expired} for each in mine]
        return 200, {"name": rest[1], "public_key": mine[rest[1]], "expiration_date": "infinity"}


@pytest.fixture
def there(answer, keys):
    found = Keys(answer)
    found.held = {
        ("clients", "web1"): {"default": public(keys["old"])}, ("users", "ops"): {"default": public(keys["ops"])},
    }
    return found


@pytest.fixture
def config(serve, there, keys, tmp_path):
    pem = keys["ops"].private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    path = tmp_path / "ops.pem"
    path.write_text(pem)
    return ChefConfig(serve(there).url, "ops", pem, key_file=path, sources=(tmp_path / "credentials",))


@pytest.fixture
def chef(config):
    with ChefServer(config, pause=lambda _: None) as server:
        yield server


@pytest.fixture
def book(tmp_path):
    with Journal(tmp_path / "j.db") as book:
        yield book


def saw(book, run, key, verdict=EXPOSED, state="closed", node="web1", path=CLIENT, advisories=IDS):
    """Write down a run of `exposure` that saw a key on a node, until when which could be bled."""
    item = Item(node, path, ("chef-client",), verdict, "it was last written some day", key_sha256=key and sha256(key))
    until = {"at": PATCHED, "by": "us"} if state == "closed" else None
    book.begin(run, {"verb": "exposure", "advisories": advisories}, BEGAN + timedelta(hours=int(run[1:])))
    book.exposure(run, node, {"window": {"state": state, "until": until}, "items": [as_dict(item)]})


def judged(book, chef, config, *nodes):
    """Return what is said of the keys of nodes, each by kind and name."""
    with History(book.path) as history:
        seen = followup_seen.seen(history, IDS)
    nodes = nodes or (Node("web1", "production", "192.0.2.1"),)
    judge = Judge(chef, config, seen, SshSettings(user="root"), False, "styptic-20260103")
    return {(each.kind, each.name): each for each in judge.all(nodes)}


def dated(config, hour):
    """Have the operator's key file as it was written at an hour of the day of the patch."""
    when = (BEGAN + timedelta(hours=hour)).timestamp()
    os.utime(config.key_file, (when, when))


def test_a_key_from_before_the_patch_is_replaced_in_order(book, chef, config, keys):
    saw(book, "r1", keys["old"])
    found = judged(book, chef, config)["client", "web1"]
    assert (found.verdict, found.why) == (OLDER, "it was last written some day")
    assert [line.split()[0] for line in found.commands] == ["ssh", "knife", "ssh", "knife", "rm"]
    assert found.commands[1].startswith("knife client key create web1 --key-name styptic-20260103 --public-key")
    assert found.commands[3] == "knife client key delete web1 default"


def test_every_command_is_for_the_server_that_was_asked(book, chef, config, there, keys):
    """Another that knife knows may have clients of the same names, whose keys would go."""
    there.held["clients", "web1"] |= {"styptic-1": public(keys["new"])}
    there.held["clients", "shop-validator"] = {"default": public(keys["other"])}
    saw(book, "r1", keys["old"])
    dated(config, 11)
    for wanted, profile in ((set(), "default"), ({"--profile staging"}, "staging")):
        found = judged(book, chef, replace(config, profile=profile)).values()
        made = [line for each in found for line in each.commands if line.startswith("knife ")]
        assert len(made) >= 6
        assert {line[line.find("--profile"):] for line in made if "--profile" in line} == wanted
        assert all(bool(wanted) == ("--profile" in line) for line in made)


def test_a_server_with_one_key_each_has_it_registered_anew(book, chef, config, there, keys):
    there.several = False
    saw(book, "r1", keys["old"])
    dated(config, 11)
    found = judged(book, chef, config)
    assert "knife client reregister web1 --file web1.pem" in found["client", "web1"].commands[1]
    assert "knife user reregister ops --file" in found["operator", "ops"].commands[0]


def test_a_key_that_is_replaced_and_still_taken_is_told(book, chef, config, there, keys):
    """Whose old key was left on the server is as open as before."""
    there.held["clients", "web1"] |= {"styptic-1": public(keys["new"]), "ci": public(keys["other"])}
    saw(book, "r1", keys["old"])
    saw(book, "r2", keys["new"], REKEYED)
    found = judged(book, chef, config)
    assert found["client", "web1"].verdict == NEWER
    left = found["further key", "web1 default"]
    assert (left.verdict, left.commands) == (OLDER, ("knife client key delete web1 default",))
    other = found["further key", "web1 ci"]
    assert (other.verdict, other.commands) == (UNKNOWN, ())  # the node may use it, where somebody stopped half-way
    assert "did not use it 2026-01-02T02:00Z, and may by now: run `invoke exposure` again" in other.why
    there.expired |= {"default", "ci"}  # which open nothing any more
    assert not [each for each in judged(book, chef, config) if each[0] == "further key"]


def test_a_key_that_an_earlier_run_saw_is_old_whatever_its_file_says(book, chef, config, keys):
    saw(book, "r1", keys["old"])
    saw(book, "r2", keys["old"], REKEYED)
    found = judged(book, chef, config)["client", "web1"]
    assert found.verdict == OLDER
    assert f"{CLIENT} on web1, 2026-01-02T01:00Z" in found.why
    assert found.commands


def test_a_key_that_the_server_no_longer_takes_is_done_with(book, chef, config, there, keys):
    saw(book, "r1", keys["old"])
    there.held["clients", "web1"] = {"styptic-1": public(keys["new"])}
    found = judged(book, chef, config)["client", "web1"]
    assert (found.verdict, found.commands) == (NEWER, ())
    saw(book, "r2", keys["new"], node="web2")  # unless it is a leaked one as well
    found = judged(book, chef, config)["client", "web1"]
    assert found.verdict == OLDER
    assert "on web2" in found.why


def test_a_node_that_can_be_bled_still_gets_no_new_key(book, chef, config, keys):
    saw(book, "r1", keys["old"], state="open")
    found = judged(book, chef, config)["client", "web1"]
    assert (found.verdict, found.commands) == (OLDER, ())


def test_what_nobody_saw_is_unknown(book, chef, config, there, keys):
    saw(book, "r1", keys["old"], advisories=["CVE-2021-3712"])
    assert "nobody looked" in judged(book, chef, config)["client", "web1"].why
    saw(book, "r2", keys["old"], path="/etc/chef/validation.pem")
    assert "saw no key" in judged(book, chef, config)["client", "web1"].why
    gone = Node("gone", "production", "192.0.2.2")
    assert "no client of that name" in judged(book, chef, config, gone)["client", "gone"].why
    there.refused["/clients/web1/keys"] = 403
    found = judged(book, chef, config)["client", "web1"]
    assert (found.verdict, found.commands) == (UNKNOWN, ())
    assert "does not allow" in found.why


def test_an_encrypted_key_takes_the_place_of_all(book, chef, config, there, keys):
    there.held["clients", "web1"]["second"] = public(keys["other"])
    saw(book, "r1", None, UNKNOWN)
    found = judged(book, chef, config)["client", "web1"]
    assert found.verdict == UNKNOWN
    assert [line for line in found.commands if " delete " in line] == [
        "knife client key delete web1 default", "knife client key delete web1 second",
    ]


@pytest.mark.parametrize("name", ["-x", "web1;reboot", "a b", "é"])
def test_a_name_or_address_that_is_none_gets_no_command(book, chef, config, there, keys, name):
    there.held["clients", name] = {"default": public(keys["old"])}
    saw(book, "r1", keys["old"], node=name)
    saw(book, "r2", keys["old"])
    nodes = Node(name, "production", "192.0.2.1"), Node("web1", "production", "-oProxyCommand=x")
    found = [each for each in judged(book, chef, config, *nodes).values() if each.kind == "client"]
    assert [each.commands for each in found] == [(), ()]


def test_a_validator_that_was_on_a_node_before_the_patch(book, chef, config, there, keys):
    there.held["clients", "shop-validator"] = {"default": public(keys["other"])}
    name = "validator", "shop-validator"
    saw(book, "r1", keys["old"])
    found = judged(book, chef, config)[name]
    assert found.verdict == UNKNOWN
    assert found.commands == ("knife client delete shop-validator --delete-validators",)
    assert "where machines still register with it, `knife client reregister` gives it a new key" in found.why
    saw(book, "r2", keys["other"], path="/etc/chef/validation.pem")
    found = judged(book, chef, config)[name]
    assert (found.verdict, len(found.commands)) == (OLDER, 2)
    assert "it was on web1 before the patch" in found.why
    assert found.commands[1] == "ssh -l root -- 192.0.2.1 'sh -c '\"'\"'rm /etc/chef/validation.pem'\"'\"''"
    there.refused["/clients"] = 403
    assert judged(book, chef, config)["validator", "all"].verdict == UNKNOWN


@pytest.mark.parametrize(("hour", "state", "verdict"), [
    (11, "closed", OLDER), (13, "closed", NEWER), (13, "open", UNKNOWN), (11, "unproven", UNKNOWN),
])
def test_the_operators_key_is_as_old_as_its_file(book, chef, config, keys, hour, state, verdict):
    saw(book, "r1", keys["old"], state=state)
    dated(config, hour)
    found = judged(book, chef, config)["operator", "ops"]
    assert found.verdict == verdict
    assert bool(found.commands) == found.bad
    if found.bad:
        assert "knife user key delete ops default" in found.commands


def test_an_operator_whose_keys_an_organisation_does_not_list(book, chef, config, there, keys):
    there.refused["/users/ops/keys"] = 404
    saw(book, "r1", keys["old"])
    dated(config, 11)
    commands = judged(book, chef, config)["operator", "ops"].commands
    assert not [line for line in commands if "delete" in line or "reregister" in line]
    assert "knife user key list ops" in commands


def test_an_inline_key_has_no_date(book, chef, config, keys):
    saw(book, "r1", keys["old"])
    inline = ChefConfig(config.server_url, "ops", config.client_key, sources=config.sources)
    found = judged(book, chef, inline)["operator", "ops"]
    assert (found.verdict, found.commands) == (UNKNOWN, ())
    assert "credentials itself" in found.why


def test_a_signature_that_is_refused_ends_it(book, chef, config, there, keys):
    there.refused = {"/clients/web1/keys": 401}
    saw(book, "r1", keys["old"])
    with pytest.raises(AuthenticationError):
        judged(book, chef, config)


def test_what_a_server_says_of_keys(chef, there, keys):
    there.expired.add("default")
    assert credentials.keys_of(chef, CLIENTS, "web1") == (Key("default", sha256(keys["old"]), True),)
    there.held["clients", "web1"]["default"] = "no key"
    assert credentials.keys_of(chef, CLIENTS, "web1")[0].sha256 is None
    with pytest.raises(NotFoundError):
        credentials.keys_of(chef, CLIENTS, "nobody")
    assert (credentials.kind_of(chef, "ops"), credentials.kind_of(chef, "web1")) == (USERS, CLIENTS)
    there.refused["/clients/web1/keys"] = 405
    assert [key.name for key in credentials.keys_of(chef, CLIENTS, "web1")] == [None]


@pytest.mark.parametrize("answered", [7, [7], [{"uri": "u"}], [{"name": 7}]])
def test_an_answer_of_another_form_is_a_sentence(serve, answer, config, answered):
    url = serve(lambda _: answer(200, json.dumps(answered).encode())).url
    with ChefServer(ChefConfig(url, "ops", config.client_key), pause=lambda _: None) as chef, \
            pytest.raises(ChefServerError):
        credentials.keys_of(chef, CLIENTS, "web1")


def test_digests_are_openssls(keys, tmp_path):
    pem = tmp_path / "k.pem"
    pem.write_text(public(keys["old"]))
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", str(pem), "-outform", "DER"], check=True,
                         capture_output=True)
    told = subprocess.run(["openssl", "dgst", "-sha256"], input=der.stdout, check=True, capture_output=True, text=False)
    assert told.stdout.decode().split()[-1] == sha256(keys["old"])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(keys["old"].public_key())
        .serial_number(1).not_valid_before(BEGAN).not_valid_after(BEGAN + timedelta(days=1)).sign(keys["old"], SHA256())
    )
    assert credentials.digest(certificate.public_bytes(Encoding.PEM).decode()) == sha256(keys["old"])
    assert credentials.own_digest("no key") is None


def test_no_key_and_nothing_that_moves_a_terminal_is_shown(book, chef, config, keys):
    saw(book, "r1", keys["old"])
    dated(config, 13)
    found = list(judged(book, chef, config).values())
    shown = "\n".join(followup_chef_text.lines(found, "\x1b[2Jx", IDS, True))
    told = followup_chef_text.as_json(found, "x", "y", IDS)
    assert all(line.isprintable() for line in shown.splitlines())
    counts = "(1 older than the patch, 1 newer than the patch)"
    assert f"replace 1 of 2 keys of Chef's, after CVE-2014-0160 {counts}." in shown
    assert "the old key is deleted last" in shown
    for several in (found, [each for each in found if not each.bad]):
        assert "/opt/chef/embedded" in list(followup_chef_text.lines(several, "x", IDS, True))[-1]
    assert json.loads(told)["keys"][0]["commands"]
    assert "PRIVATE" not in shown + told
