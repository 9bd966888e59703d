"""What is said about SSH, and what is taken for an address."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import SettingsError
from fleet.settings import Settings
from fleet.ssh import SshSettings, settings_for
from fleet.ssh_settings import Jump, is_address, jumps_of


@pytest.mark.parametrize("address", [
    "10.0.0.1", "::1", "2001:db8::7", "web1", "web-1.example.com", "3com.example", "a" * 63 + ".example", "1.a",
])
def test_what_is_an_address(address):
    assert is_address(address)


@pytest.mark.parametrize("address", [
    "", "-oProxyCommand=id", "$(id)", "`id`", "a b", "a\n", "\na", "web1;id", "web1/x", "root@web1", "web1:22", "a..b",
    ".a", "a.", "-a", "a-", "a.-b", "a" * 64, "a." * 127 + "aa", "fe80::1%eth0", "fe80::1%$(id)", "2130706433", "1.2.3",
    "0x7f.1", "127.0.0.0x1", "300.1.1.1", "wéb", "web_1", "web1\x00",
])
def test_what_is_none(address):
    assert not is_address(address)


@given(st.one_of(st.text(), st.text("aA0.-:%x[]_ $(\n", max_size=12)))
def test_nothing_but_letters_digits_dots_hyphens_and_colons_passes(text):
    if is_address(text):
        assert not text.startswith("-")
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:")


@given(st.ip_addresses())
def test_every_ip_address_passes(address: ipaddress.IPv4Address | ipaddress.IPv6Address):
    assert is_address(str(address))


def test_flags_win_over_knifes_own(tmp_path):
    key = tmp_path / "key"
    key.write_text("x")
    knife = {"ssh_user": "chef", "ssh_port": "2222", "ssh_gateway": "bob@gate:2022", "ssh_identity_file": str(key)}
    assert settings_for(Settings(), {}) == SshSettings()
    assert settings_for(Settings(connect_timeout=3), knife) == SshSettings(
        "chef", key, 2222, (Jump("gate", "bob", 2022),), None, 3
    )
    found = settings_for(Settings(ssh_user="ops", ssh_port=22, ssh_gateway="other", ssh_config=str(key)), knife)
    assert found == SshSettings("ops", key, 22, (Jump("other"),), key)


@pytest.mark.parametrize(("knife", "says"), [
    ({"ssh_port": "many"}, r"knife\[:ssh_port\] must be a port"), ({"ssh_port": 70000}, "must be a port"),
    ({"ssh_identity_file": "/nowhere"}, r"knife\[:ssh_identity_file\] names /nowhere, which cannot be read: No such"),
    ({"ssh_config": "/"}, r"knife\[:ssh_config\] names /, which cannot be read"),
    ({"ssh_identity_file": "~nobody-of-that-name/k"},
     r"knife\[:ssh_identity_file\]: '~nobody-of-that-name/k' names the home of a user there is not\.$"),
    ({"ssh_gateway": "-oProxyCommand=id"}, r"knife\[:ssh_gateway\] must be \[user@\]host"),
    ({"ssh_gateway": "gate:99999"}, "must be a port"), ({"ssh_gateway": "a b"}, "must be"),
])
def test_what_is_wrong_is_named(knife, says):
    with pytest.raises(SettingsError, match=says):
        settings_for(Settings(), knife)


@pytest.mark.parametrize(("text", "jumps"), [
    ("gate", [Jump("gate")]), ("bob@gate:2022", [Jump("gate", "bob", 2022)]), ("[::1]:22", [Jump("::1", None, 22)]),
    ("ssh://bob@gate:22/", [Jump("gate", "bob", 22)]), ("a, b@c", [Jump("a"), Jump("c", "b")]),
])
def test_gateways(text, jumps):
    assert jumps_of(text, "--ssh-gateway") == tuple(jumps)


def test_a_tilde_is_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text("")
    assert settings_for(Settings(), {"ssh_config": "~/config"}).config == Path(tmp_path / "config")
