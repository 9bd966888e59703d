"""--host-keys chef: what a node reports is a key or nothing, and counts only where nobody knows the host."""

import asyncio
import base64
import os
import stat
import subprocess
import threading

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fleet import rivals, settings
from fleet.errors import SettingsError
from fleet.host_keys import KINDS, keys_of
from fleet.known_hosts import Entry, Known, OurHosts, load
from fleet.node import Node
from fleet.ssh_settings import settings_for

ALL = {
    "host_ed25519_public": asyncssh.generate_private_key("ssh-ed25519").convert_to_public(),
    "host_ecdsa_public": asyncssh.generate_private_key("ecdsa-sha2-nistp384").convert_to_public(),
    "host_rsa_public": asyncssh.generate_private_key("ssh-rsa", key_size=2048).convert_to_public(),
}
OTHER = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def base(key) -> str:
    """The base64 that .pub files and ohai hold of a key."""
    return key.export_public_key().decode().split()[1]


REPORTED = {name: base(key) for name, key in ALL.items()} | {"host_ecdsa_type": "ecdsa-sha2-nistp384"}


def test_what_ohai_reports_is_taken():
    assert keys_of(REPORTED) == tuple(ALL.values())
    assert keys_of({}) == ()


def test_an_ecdsa_key_is_of_the_type_that_is_said():
    assert ALL["host_ecdsa_public"] not in keys_of(REPORTED | {"host_ecdsa_type": "ecdsa-sha2-nistp256"})
    assert ALL["host_ecdsa_public"] in keys_of({"host_ecdsa_public": REPORTED["host_ecdsa_public"]})


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_key_of_another_kind_is_none(name, other):
    assert bool(keys_of({name: REPORTED[other]})) == (name == other)


@pytest.mark.parametrize("change", [
    lambda text: text + "\n", lambda text: " " + text, lambda text: text + "\n* ssh-ed25519 " + text,
    lambda text: "@cert-authority * " + text, lambda text: "ssh-ed25519 " + text, lambda text: text + " comment",
    lambda text: text[:-4], lambda text: text + "AAAA", lambda text: text + "====", lambda text: text * 100,
    lambda text: text.replace("A", "А"), lambda text: text.replace("A", "-"), lambda text: "",
], ids=range(13))
@pytest.mark.parametrize("name", KINDS)
def test_what_is_not_exactly_a_key_is_none(name, change):
    assert keys_of({name: change(REPORTED[name])}) == ()


def made_rsa(bits: int, exponent: int = 65537) -> str:
    """An RSA key of so many bits as ohai has it; its modulus is no product of primes, which nobody can tell."""
    numbers = rsa.RSAPublicNumbers(exponent, (1 << bits) - 1)
    def mpint(number):
        blob = number.to_bytes(number.bit_length() // 8 + 1)
        return len(blob).to_bytes(4) + blob
    return base64.b64encode(b"\0\0\0\7ssh-rsa" + mpint(numbers.e) + mpint(numbers.n)).decode()


@pytest.mark.parametrize(("bits", "exponent", "good"), [
    (2048, 65537, True), (1024, 3, True), (16_384, 65537, True), (1023, 65537, False), (16_385, 65537, False),
    (512, 65537, False), (2048, 2**32 + 1, False), (4096, 2**4000 + 1, False),
])
def test_an_rsa_key_is_of_a_size_that_an_sshd_has(bits, exponent, good):
    assert bool(keys_of({"host_rsa_public": made_rsa(bits, exponent)})) == good


@examples(deadline=None)  # a busy machine is no failure
@given(
    st.dictionaries(st.sampled_from(sorted(REPORTED)), st.one_of(
        st.text(max_size=200), st.binary(max_size=200).map(lambda blob: base64.b64encode(blob).decode()),
        st.tuples(st.sampled_from(sorted(ALL)), st.integers(0, 400), st.binary(max_size=4)).map(
            lambda said: base64.b64encode(
                (blob := ALL[said[0]].public_data)[: said[1]] + said[2] + blob[said[1] + len(said[2]) :]
            ).decode()
        ),
    )),
)
def test_whatever_is_reported_every_line_that_is_written_is_one_host_and_one_key(reported):
    keys = keys_of(reported)
    text = Entry("web1.example.com", 2222, keys, "web1").text()
    lines = text.splitlines()
    assert len(lines) == len(keys)
    for line, key in zip(lines, keys, strict=True):
        host, kind, data, node = line.split(" ")
        assert (host, node) == ("[web1.example.com]:2222", "web1")
        assert data in reported.values()
        assert asyncssh.import_public_key(f"{kind} {data}") == key


@pytest.mark.parametrize(("name", "comment"), [("web1", "web1"), ("a\n* ssh-rsa AAAA", "styptic"), ("", "styptic")])
def test_a_nodes_name_adds_no_line(name, comment):
    assert Entry("10.0.0.1", None, (OTHER,), name).text() == f"10.0.0.1 ssh-ed25519 {base(OTHER)} {comment}\n"


@pytest.mark.parametrize(("one", "other"), [
    ("10.0.0.1", "::ffff:10.0.0.1"), ("2001:db8::1", "2001:DB8:0:0:0:0:0:1"), ("Web1.example.com", "web1.EXAMPLE.com"),
    ("10.0.0.1", " 10.0.0.1 "),
])
def test_of_two_nodes_with_one_address_each_knows(one, other):
    nodes = rivals.named([Node("a", "e", one), Node("b", "e", other), Node("c", "e", "10.9.9.9"), Node("d", "e")])
    assert [node.rivals for node in nodes] == [("b",), ("a",), (), ()]


def known(user: str = "", ours: str | None = None, tmp_path=None) -> Known:
    """Known hosts of these lines."""
    found = Known((), asyncssh.SSHKnownHosts())
    load(found.hosts, user)
    if ours is not None:
        (tmp_path / "known_hosts").write_text(ours)
        found.ours = OurHosts(tmp_path / "known_hosts")
        found.ours.read()
    return found


@pytest.mark.parametrize("line", [
    "Web1.Example.com {}", "*.example.com {}", "[Web1.Example.com]:2222 {}", "@cert-authority *.EXAMPLE.com {}",
    "other,web1.example.com {}", "2001:db8::1 {}", "2001:DB8:0::1 {}", "::FFFF:10.0.0.1 {}", "10.0.0.0/8 {}",
    "10.0.0.1 {}",
])
@pytest.mark.parametrize("whose", ["user", "ours"])
def test_every_spelling_of_a_host_that_is_known_is_known(line, whose, tmp_path):
    found = known(**{"user": "", "ours": "", whose: line.format("ssh-ed25519 " + base(OTHER), "")}, tmp_path=tmp_path)
    names = [("web1.EXAMPLE.com", 2222), ("2001:DB8:0:0::1", None), ("::ffff:10.0.0.1", None)]
    assert any(found.holds(*name) for name in names)
    assert not found.holds("web9.example.org", None)


def test_a_revoked_line_makes_no_host_known():
    assert not known(f"@revoked * ssh-ed25519 {base(OTHER)}").holds("web1", None)


def test_what_is_revoked_for_a_host_with_its_port_is(tmp_path):
    line = f"@revoked [web1]:2222 ssh-ed25519 {base(OTHER)}\n"
    for text in (line, line + f"web1 ssh-ed25519 {base(OTHER)}\n"):
        found = known(text)
        assert OTHER in found.trusted("WEB1", "", 2222)[2]
        assert found.trusted("web1", "", 2223)[2] == found.trusted("web1", "", None)[2] == []


def entry(host="10.0.0.1", key=OTHER, node="web1") -> Entry:
    return Entry(host, None, (key,), node)


def test_our_file_is_the_owners_alone_and_keeps_what_a_person_wrote(tmp_path):
    path = tmp_path / "state" / "known_hosts"
    before = os.umask(0)
    try:
        asyncio.run(OurHosts(path).add(entry()))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        path.write_bytes(b"# mine \xff\nweb9 ssh-rsa what\n@revoked * x")
        asyncio.run(OurHosts(path).add(entry("10.0.0.2")))
    finally:
        os.umask(before)
    assert path.read_bytes() == b"# mine \xff\nweb9 ssh-rsa what\n@revoked * x\n" + entry("10.0.0.2").text().encode()
    assert [each.name for each in path.parent.iterdir()] == ["known_hosts"]


def test_ssh_keygen_reads_it_and_removes_from_it(tmp_path):
    path = tmp_path / "known_hosts"
    ours = OurHosts(path)
    asyncio.run(ours.add(Entry("web1", 2222, tuple(ALL.values()), "web1")))
    words = ["ssh-keygen", "-f", path, "-F", "[web1]:2222", "-l"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said.count("SHA256:") == 3
    assert [key.get_fingerprint() for key in ALL.values() if key.get_fingerprint() not in said] == []
    subprocess.run(["ssh-keygen", "-f", path, "-R", "[web1]:2222"], capture_output=True, check=True)
    ours.read()
    assert not any(ours.hosts.match("web1", "", 2222))


def test_many_entries_at_once_are_few_writings_and_all_there(tmp_path, monkeypatch):
    ours, written = OurHosts(tmp_path / "known_hosts"), []
    monkeypatch.setattr(
        "fleet.known_hosts.write_whole", lambda path, content: written.append(path) or path.write_bytes(content)
    )

    async def many():
        places = asyncio.Semaphore(20)

        async def one(number):
            async with places:
                await ours.add(entry(f"10.0.0.{number}"))

        await asyncio.gather(*map(one, range(1, 101)))

    asyncio.run(many())
    assert len(written) <= 100 / 20 * 2 + 1
    again = OurHosts(ours.path)
    again.read()
    for hosts in (ours.hosts, again.hosts):
        assert all(hosts.match(f"10.0.0.{number}", "", None)[0] == [OTHER] for number in range(1, 101))


def test_processes_that_write_at_once_lose_nothing_and_the_first_key_stays(tmp_path):
    """Threads here, each with its own file descriptor: flock(2) keeps them apart as it does processes."""
    path, mine = tmp_path / "known_hosts", ALL["host_ed25519_public"]

    def write(number):
        ours = OurHosts(path)
        for turn in range(5):
            ours.write([entry(f"10.{number}.0.{turn}"), entry("10.9.9.9", (OTHER, mine)[number % 2])])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ours = OurHosts(path)
    ours.read()
    names = [f"10.{number}.0.{turn}" for number in range(4) for turn in range(5)]
    assert [name for name in names if ours.hosts.match(name, "", None)[0] != [OTHER]] == []
    assert len(ours.hosts.match("10.9.9.9", "", None)[0]) == 1


def test_a_file_that_cannot_be_written_is_a_sentence_for_all_who_wait(tmp_path):
    (tmp_path / "file").write_text("")
    ours = OurHosts(tmp_path / "file" / "known_hosts")

    async def many():
        return await asyncio.gather(*(ours.add(entry(f"10.0.0.{n}")) for n in range(3)), return_exceptions=True)

    found = asyncio.run(many())
    assert len(found) == 3
    for each in found:
        assert isinstance(each, SettingsError)
        assert "file/known_hosts cannot be written: " in str(each)


def test_the_flag_is_one_of_two_and_leads_to_ssh():
    assert settings_for(settings.load({"host_keys": "chef"}), {}).host_keys is True
    assert settings_for(settings.Settings(), {}).host_keys is False
    with pytest.raises(SettingsError, match=r"^--host-keys is known or chef, not 'yes'\.$"):
        settings.load({"host_keys": "yes"})
