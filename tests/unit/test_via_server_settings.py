"""What is said before a rollout through the Chef server: flags that make no sense with it, whom it leaves out, its way.
"""

from types import SimpleNamespace

import pytest

from fleet import plan
from fleet.errors import SettingsError
from fleet.node import Node, State
from fleet.settings import PATIENCE, Settings, load
from fleet.verbs import shared
from generator import advisory

THERE = {"via": "chef-server"}
HEARTBLEED = advisory.load(["heartbleed"])


@pytest.mark.parametrize("flags", [
    {"full_run": True}, {"reboot": True}, {"reboot_timeout": 60}, {"host_keys": "chef"}, {"ssh_user": "ops"},
    {"ssh_identity_file": "key"}, {"ssh_port": 22}, {"ssh_gateway": "jump"}, {"ssh_config": "config"}, {"sudo": True},
    {"concurrency": 5}, {"address_attribute": "fqdn"}, {"run_lock_timeout": 60}, {"step_timeout": 60},
])
def test_flags_about_connections_are_refused_and_settings_passed_over(flags):
    (name,) = flags
    flag = "--" + name.replace("_", "-")
    with pytest.raises(SettingsError) as refused:
        load(THERE | flags)
    assert str(refused.value) == (
        f"{flag} is about connections; --via chef-server makes none: leave one out."
    )
    if name != "reboot":  # which is no setting
        assert load(THERE, flags).via == "chef-server"
    assert load({"via": None, "reboot": True} | flags).via == "chef"


@pytest.mark.parametrize("flags", [{"keep": True}, {"poll": 5}])
def test_its_own_flags_are_refused_elsewhere(flags):
    with pytest.raises(SettingsError, match=r"^--(keep|poll) is about --via chef-server, and this goes another way"):
        load({"via": "shell"} | flags)
    assert load({"via": None}, flags | THERE).poll == flags.get("poll", 30)
    assert load({"via": None}, flags).via == "chef"


def test_a_node_has_two_intervals_of_its_chef_client_unless_a_time_is_said():
    assert load(THERE).timeout == PATIENCE == 5400
    assert load({"via": None}, THERE).timeout == PATIENCE
    assert load(THERE | {"timeout": 60}).timeout == load(THERE, {"timeout": 60}).timeout == 60
    assert load({}, THERE).timeout == load({"via": "chef"}).timeout == 1800  # of a verb that connects


def node(**keys) -> Node:
    return Node("web1", "production", platform="debian", release="7.8", **keys)


@pytest.mark.parametrize(("keys", "state"), [
    ({}, None), ({"address": "127.0.0.1"}, None), ({"policy_name": "web"}, State.SKIPPED),
])
def test_the_plan_wants_no_address_and_no_policy(keys, state):
    made = plan.make([node(**keys)], HEARTBLEED, Settings(via="chef-server"))
    assert [outcome.record.state for outcome in made.left_out] == ([state] if state else [])
    if state:
        (outcome,) = made.left_out
        assert outcome.record.error == (
            "it is under the policy web and takes cookbooks only from that policy's lock; not touched"
        )
        assert outcome.todo == "patch it over SSH, without --via chef-server"


@pytest.mark.parametrize(("keep", "said"), [(False, "and is taken out again"), (True, "and stays in them (--keep)")])
def test_the_question_says_how_it_goes_and_what_it_does_not_prove(keep, said):
    settings = Settings(env="production", via="chef-server", keep=keep, poll=7)
    made = plan.make([node()], HEARTBLEED, settings)
    lines = list(shared.heading(SimpleNamespace(url="https://chef.example"), settings, made, HEARTBLEED))
    assert "nodes        1 to edit; 0 left out" in lines
    assert f"converge     each node's whole run list, by its own chef-client: the recipe is put into it {said}" in lines
    assert "proof        what the cookbook records on the Chef server, read every 7 s; no SSH" in lines
