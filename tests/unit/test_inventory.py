"""`invoke inventory`: what Ansible is told of the nodes, and what a node's own words cannot make of it."""

import json
from pathlib import Path

import pytest

from fleet import inventory
from fleet.errors import SettingsError
from fleet.node import Node
from fleet.ssh_settings import Jump, SshSettings


def listed(*nodes: Node, ssh: SshSettings = SshSettings()) -> tuple[dict, list[str]]:  # noqa: B008 - it is frozen
    text, left_out = inventory.ansible(nodes, ssh)
    return json.loads(text)["all"], left_out


def test_nodes_stand_in_all_and_in_the_group_of_their_environment():
    found, left_out = listed(Node("web1", "production", "10.0.0.1"), Node("web2", "prod-eu", "web2.example.org"))
    assert found["hosts"] == {"web1": {"ansible_host": "10.0.0.1"}, "web2": {"ansible_host": "web2.example.org"}}
    assert {name: set(group["hosts"]) for name, group in found["children"].items()} == {
        "env_production": {"web1"}, "env_prod_x2deu": {"web2"},
    }
    assert (found["vars"], left_out) == ({}, [])


@pytest.mark.parametrize("name", ["web[1:9]", "{{ lookup('pipe', 'id') }}", "a:22", "-oProxyCommand=x", "a b", "ä\n"])
def test_a_name_means_no_more_than_a_word(name):
    found, _ = listed(Node(name, name, "10.0.0.1"))
    (host,), (group,) = found["hosts"], found["children"]
    for word in (host, group):
        assert word[0].isalnum()
        assert word.isascii()
        assert not set(word) & set("[]{}:%'\" \n")


@pytest.mark.parametrize("address", [None, "-oProxyCommand=id", "{{ 1 }}", "a b", "127.1;id", "[::1]"])
def test_a_node_without_a_plain_address_is_left_out_and_named(address):
    found, left_out = listed(Node("web1", "production", address), Node("web2", "production", "10.0.0.2"))
    assert set(found["hosts"]) == {"web2"}
    assert len(left_out) == 1
    assert left_out[0].startswith("web1 is left out")


def test_of_two_names_that_are_one_when_escaped_none_is_lost_in_silence():
    found, left_out = listed(Node("a/", "e", "10.0.0.1"), Node("a_x2f", "e", "10.0.0.2"))
    assert len(found["hosts"]) == len(left_out) == 1


def test_what_was_said_about_ssh_goes_along():
    ssh = SshSettings("ops", Path("/k"), 2222, (Jump("gate", "me", 22), Jump("inner")), Path("/my config"))
    found, _ = listed(Node("web1", "production", "10.0.0.1"), ssh=ssh)
    assert found["vars"] == {
        "ansible_user": "ops", "ansible_port": 2222, "ansible_ssh_private_key_file": "/k",
        "ansible_ssh_common_args": "-F '/my config' -o ProxyJump=me@gate:22,inner",
    }


def test_a_setting_that_would_be_a_template_is_refused():
    with pytest.raises(SettingsError, match="template"):
        listed(Node("web1", "production", "10.0.0.1"), ssh=SshSettings("{{ x }}"))
