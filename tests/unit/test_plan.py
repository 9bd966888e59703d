"""Whom to ask and in which order, by the shipped advisory on Heartbleed and what a Chef server says of nodes."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import plan, rollout
from fleet.node import Node, State
from fleet.settings import Settings
from fleet.text import clean
from generator import advisory

HEARTBLEED = advisory.load(["CVE-2014-0160"])
VULNERABLE = {"openssl": "1.0.1e-2+deb7u4", "libssl1.0.0": "1.0.1e-2+deb7u4"}
FIXED = {"openssl": "1.0.1e-2+deb7u5", "libssl1.0.0": "1.0.1e-2+deb7u5"}


def node(name="n1", platform="debian", release="7.11", packages=VULNERABLE, **other):
    return Node(name, "production", other.pop("address", "192.0.2.1"), platform, release, packages, **other)


def made(*nodes, advisories=HEARTBLEED, converge=True, **settings):
    found = plan.make(nodes, advisories, Settings(env="production", **settings), converge)
    heard = [each.name for each in found.asked] + [each.record.name for each in found.left_out]
    assert sorted(heard) == sorted(each.name for each in nodes), "every node is asked or left out, and once"
    assert all(outcome.record.wave == 0 and not outcome.converged for outcome in found.left_out)
    return found


def left_out(*nodes, **settings):
    (outcome,) = made(*nodes, **settings).left_out
    return outcome


def asked(*nodes, **settings):
    return [each.name for each in made(*nodes, **settings).asked]


def test_the_canary_is_the_first_that_has_something_to_patch():
    nodes = [node("n1", packages=FIXED), node("n2"), node("n3", packages={}), node("n4")]
    assert asked(*nodes) == ["n2", "n4", "n1", "n3"]


def test_a_fixed_version_is_asked_too():
    found = made(node(packages=FIXED))
    assert [each.name for each in found.asked] == ["n1"]
    assert found.verdicts["n1"].kind == "fixed"


@pytest.mark.parametrize(
    ("platform", "release", "packages"),
    [
        ("debian", "12.5", {"openssl": "3.0.15-1~deb12u1"}),
        ("debian", "trixie/sid", {"openssl": "1.0.1e-2"}),
        ("ubuntu", "14.04", {}),
        ("debian", None, {}),
        ("centos", "6.4", {}),
    ],
)
def test_a_release_that_no_row_speaks_of_as_a_whole_is_asked(platform, release, packages):
    assert asked(node(platform=platform, release=release, packages=packages)) == ["n1"]


@pytest.mark.parametrize(("platform", "release"), [("ubuntu", "10.04"), ("centos", "5.11"), ("redhat", "7.0")])
def test_a_release_that_is_not_affected_is_left_out_and_is_good(platform, release):
    package = {"redhat": "1:1.0.1e-34.el7", "centos": "0:0.9.8e-27.el5"}.get(platform, "0.9.8k-7ubuntu8")
    found = made(node(platform=platform, release=release, packages={"openssl": package}))
    (outcome,) = found.left_out
    assert outcome.record.state is State.NOT_AFFECTED
    assert "does not affect" in found.verdicts["n1"].reason


@pytest.mark.parametrize("version", ["1.0.1e-2+deb7u4", "1.0.1c-3ubuntu2.1~ppa1"])
def test_a_release_that_is_not_affected_is_asked_where_a_package_is_none_of_its_own(version):
    assert asked(node(platform="ubuntu", release="10.04", packages={"openssl": version})) == ["n1"]


def test_a_release_is_asked_where_another_advisory_affects_it():
    another = replace(HEARTBLEED[0], id="X-1", not_affected=())
    assert asked(node(platform="ubuntu", release="10.04"), advisories=[*HEARTBLEED, another]) == ["n1"]


@pytest.mark.parametrize("platform", ["windows", "mac_os_x", "freebsd", "alpine", "Debian", "\x1b[2Jx"])
def test_a_platform_the_cookbook_does_not_patch_is_skipped_with_the_reason(platform):
    outcome = left_out(node(platform=platform, release="10.0"))
    assert outcome.record.state is State.SKIPPED
    assert outcome.record.error == f"{clean(platform)} 10.0 is not a platform the cookbook patches"


@pytest.mark.parametrize("include_unknown", [False, True])
def test_a_node_that_the_search_does_not_find_is_unknown_and_in_the_report(include_unknown):
    outcome = left_out(Node("n1", "production", unindexed=True), include_unknown=include_unknown)
    assert outcome.record.state is State.UNKNOWN
    assert outcome.record.error == "the Chef server lists it in this environment, and its search does not find it"
    assert outcome.todo.startswith("run chef-client on it once, or have the index made anew")
    assert rollout.prepare((), [outcome]).exit_code == 2


def test_a_platform_never_reported_is_unknown_and_asked_only_if_told():
    silent = node(platform=None, release=None, packages={})
    outcome = left_out(silent)
    assert outcome.record.state is State.UNKNOWN
    assert outcome.todo == "run chef-client on it once, or give --include-unknown"
    assert left_out(silent, converge=False).todo == "run chef-client on it once"
    assert asked(silent, include_unknown=True) == ["n1"]


def test_a_node_under_a_policy_is_patched_unless_its_full_run_is_wanted():
    under = node(policy_name="web\x1b[31m")
    assert asked(under) == ["n1"]
    (outcome,) = made(under, full_run=True).left_out
    assert outcome.record.state is State.FAILED
    assert "under the policy web?[31m, whose lock says what its full run converges" in outcome.record.error
    assert outcome.todo == "add openssl_patch to the policy and push it, or leave --full-run out"
    assert asked(under, converge=False) == ["n1"]


@pytest.mark.parametrize("address", [None, ""])
def test_a_node_without_an_address_is_unreachable(address):
    outcome = left_out(node(address=address))
    assert outcome.record.state is State.UNREACHABLE
    assert outcome.record.error == "the Chef server has no address for it"
    assert "--address-attribute" in outcome.todo


def test_what_is_not_affected_needs_no_address_and_no_policy():
    spared = node(platform="ubuntu", release="10.04", address=None, policy_name="web", packages={})
    assert left_out(spared).record.state is State.NOT_AFFECTED


def test_a_limit_takes_those_first_that_are_vulnerable():
    nodes = [node("n1", packages=FIXED), node("n2", platform="windows"), node("n3"), node("n4"), node("n5")]
    found = made(*nodes, limit=2)
    assert [each.name for each in found.asked] == ["n3", "n4"]
    assert {each.record.name: each.record.error for each in found.left_out} == {
        "n1": "left for later by --limit 2",
        "n2": "windows 7.11 is not a platform the cookbook patches",
        "n5": "left for later by --limit 2",
    }
    assert asked(*nodes, limit=9) == ["n3", "n4", "n5", "n1"]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LocalHost.localdomain"])
def test_an_address_that_leads_back_here_is_no_node(address):
    (outcome,) = made(node("n1", address=address)).left_out
    assert outcome.record.state is State.UNREACHABLE
    assert outcome.record.error == f"its address is {address}: that is this machine"
    assert made(node("n1", address="localhost-3.example")).asked


def test_nobody_makes_an_empty_plan():
    assert made() == plan.Plan((), (), {})


TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
NODES = st.builds(
    node, platform=st.one_of(st.none(), TEXT, st.sampled_from(["debian", "ubuntu", "centos", "windows", "amazon"])),
    release=st.one_of(st.none(), TEXT, st.sampled_from(["7.11", "10.04", "6.5", "12.04"])),
    packages=st.dictionaries(st.one_of(TEXT, st.sampled_from(list(VULNERABLE))), TEXT, max_size=3),
    address=st.one_of(st.none(), TEXT), policy_name=st.one_of(st.none(), TEXT),
)


@given(st.lists(NODES, max_size=6), st.one_of(st.none(), st.integers(1, 6)), st.booleans())
def test_whatever_a_server_says_every_node_has_its_place(nodes, limit, converge):
    nodes = [replace(each, name=f"n{number}") for number, each in enumerate(nodes)]
    found = made(*nodes, limit=limit, converge=converge)
    assert limit is None or len(found.asked) <= limit
    kinds = [found.verdicts[each.name].kind == "vulnerable" for each in found.asked]
    assert kinds == sorted(kinds, reverse=True), "the vulnerable ones first"
    for vulnerable, among in itertools.groupby(found.asked, key=lambda each: found.verdicts[each.name].kind):
        names = [each.name for each in among]
        assert vulnerable != "vulnerable" or names == sorted(names)
    for outcome in found.left_out:
        assert outcome.record.error or outcome.record.state is State.NOT_AFFECTED
        assert (outcome.record.error or "").isprintable()
