"""What `invoke nodes` and `invoke plan` print of nodes whose attributes are anybody's words."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invoke import Config, Context

from fleet import plan, text
from fleet.node import Node
from fleet.settings import Settings, load
from fleet.verbs import nodes as listing
from fleet.verbs import plan as planned
from generator import advisory

HOSTILE = "\x1b[2J\x1b]0;root\x07\u202e<b>\n" + "x" * 100_000
NODE = Node("web1", "production", "192.0.2.1", "debian", "12.5", {"openssl": "3.0.17-1", "libssl3": "3.0.17-1"})
NOW = 1_700_000_000.0
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def printed(capsys, *found) -> list[str]:
    listing.as_table(found)
    return capsys.readouterr().out.removesuffix("\n").split("\n")


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr(listing.time, "time", lambda: NOW)


def test_the_table_is_aligned(capsys):
    seen = replace(NODE, name="legacy-one", packages={}, address=None, platform=None, release=None, ohai_time=NOW)
    assert printed(capsys, NODE, seen) == [
        "NODE        ENVIRONMENT  ADDRESS    PLATFORM     OPENSSL                            SEEN",
        "web1        production   192.0.2.1  debian 12.5  libssl3=3.0.17-1 openssl=3.0.17-1  never",
        "legacy-one  production   -          -            -                                  0 s ago",
    ]


def hostile(text) -> Node:
    return Node(text, text, text, text, text, {text: text}, 1.0, text)


@given(ANY)
def test_whatever_a_node_says_is_one_line_of_the_table(text):
    with pytest.MonkeyPatch.context() as at:
        stream = io.StringIO()
        at.setattr("sys.stdout", stream)
        listing.as_table([hostile(text)])
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_a_hostile_node_stays_short_and_harmless(capsys):
    lines = printed(capsys, hostile(HOSTILE))
    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 1000 for line in lines)


def test_json_holds_what_the_server_said_and_moves_no_terminal(capsys):
    listing.as_json([NODE, hostile(HOSTILE)])
    out = capsys.readouterr().out
    first, second = json.loads(out)
    assert first == {
        "name": "web1", "environment": "production", "address": "192.0.2.1", "platform": "debian", "release": "12.5",
        "packages": {"openssl": "3.0.17-1", "libssl3": "3.0.17-1"}, "ohai_time": None, "policy_name": None,
        "reports_packages": False, "unindexed": False,
    }
    assert second["name"] == HOSTILE
    assert out.replace("\n", "").isprintable()
    assert out.isascii()


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (0, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7300, "2 h ago"), (3 * 86_400 + 5, "3 d ago"),
        (-500, "0 s ago"),
    ],
)
def test_how_long_ago_a_node_reported(before, said):
    assert text.aged(NOW - before, NOW) == said


@given(st.one_of(st.none(), st.floats()))
def test_no_time_is_a_surprise(moment):
    assert text.aged(moment, NOW).endswith((" ago", "never"))


def test_another_format_is_refused(capsys):
    with pytest.raises(SystemExit, match="1"):
        listing.nodes(Context(Config()), env="production", format="xml\x1b[2J")
    assert capsys.readouterr().err == "styptic: --format: 'xml?[2J' is neither table nor json.\n"


def test_a_plan_shows_order_and_reasons():
    web2 = replace(NODE, name="web2", release="7.11", platform="debian", packages={"openssl": "1.0.1e-2+deb7u4"})
    spared = replace(NODE, name="old1", platform="ubuntu", release="10.04")
    found = [NODE, web2, spared, replace(NODE, name="win1", platform="windows")]
    settings = Settings(env="production")
    made = plan.make(found, advisory.load(["heartbleed"]), settings)
    assert list(planned.nodes(made, settings)) == [
        "canary       web2  debian 7.11  vulnerable as of its last chef-client run: openssl 1.0.1e-2+deb7u4 is below "
        "1.0.1e-2+deb7u5, DSA-2896-1",
        "wave 2       web1  debian 12.5  not_affected as of its last chef-client run: libssl3 3.0.17-1 is newer than "
        "1.0.1f, the last OpenSSL that CVE-2014-0160 affects; openssl 3.0.17-1 is newer than 1.0.1f, the last OpenSSL "
        "that CVE-2014-0160 affects",
        "left out     old1  not_affected: CVE-2014-0160 does not affect openssl 3.0.17-1 on ubuntu 10.04: code not "
        "present; libssl3 3.0.17-1 is newer than 1.0.1f, the last OpenSSL that CVE-2014-0160 affects",
        "             win1  skipped: windows 12.5 is not a platform the cookbook patches",
    ]


def test_a_plan_shows_the_waves_and_the_groups_that_are_spread():
    web = [replace(NODE, name=f"web{n}", packages={}, group=f"zone-{n % 2}" if n else None) for n in range(4)]
    settings = load({"env": "production", "waves": "1,3,100%", "spread_by": "ec2.zone"})
    made = plan.make(web, advisory.load(["heartbleed"]), settings)
    assert [line.split("  unknown")[0] for line in planned.nodes(made, settings)] == [
        "wave 1       web0  debian 12.5  ec2.zone none", "wave 2       web1  debian 12.5  ec2.zone zone-1",
        "             web2  debian 12.5  ec2.zone zone-0", "wave 3       web3  debian 12.5  ec2.zone zone-1",
    ]


def test_a_plan_of_hostile_nodes_is_harmless():
    them = [replace(hostile(HOSTILE), name=f"{number}{HOSTILE}", policy_name=None) for number in range(3)]
    them[0] = replace(them[0], platform="debian")
    them[1] = replace(them[1], platform="debian", packages={"openssl": HOSTILE})
    them[0] = replace(them[0], group=HOSTILE)
    settings = Settings(env="production", spread_by=HOSTILE)
    made = plan.make(them, advisory.load(["heartbleed"]), settings)
    lines = list(planned.nodes(made, settings))
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
