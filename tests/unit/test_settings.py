"""Settings: flags over an environment's block over invoke.yaml, each mistake named where it stands."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import SettingsError
from fleet.settings import FLAGS_ONLY, KNOWN, NUMBERS, SWITCHES, WEEK, Settings, load, somebody_meant
from fleet.verbs import shared
from fleet.waves import Amount


def refused(flags, configured=None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(flags, configured)
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def test_a_flag_wins_over_the_environment_over_the_rest():
    configured = {
        "concurrency": 5, "ssh_user": "root", "timeout": 60,
        "environments": {"production": {"ssh_user": "ops", "timeout": 70}, "staging": {"ssh_user": "dev"}},
    }
    found = load({"env": "production", "timeout": "80"}, configured)
    assert (found.concurrency, found.ssh_user, found.timeout) == (5, "ops", 80)
    assert load({"env": "staging"}, configured).ssh_user == "dev"
    assert load({"query": "name:web1"}, configured).ssh_user == "root", "a query is in no environment's block"


def test_what_nobody_says_is_the_default():
    assert load({"env": None, "advisory": [], "sudo": False}, None) == Settings()
    assert load({}, {"environments": None, "ssh_user": None}) == Settings()
    assert load({"env": "production"}, {"environments": {"production": None}}) == Settings(env="production")


def test_a_mistake_in_another_environments_block_is_found_too():
    said = refused({"env": "production"}, {"environments": {"staging": {"sshuser": "x"}}})
    assert said.startswith("invoke.yaml: styptic.environments.staging.sshuser is no setting; known are ")
    assert "ssh_user" in said


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ("production", "invoke.yaml: styptic must be a table."),
        (["a"], "invoke.yaml: styptic must be a table."),
        ({"environments": ["production"]}, "styptic.environments must be a table with one block an environment."),
        ({"environments": {"production": "yes"}}, "invoke.yaml: styptic.environments.production must be a table."),
        ({"environments": {"production": {"environments": {}}}}, "styptic.environments.production.environments is no"),
        ({"concurrency": "many"}, "invoke.yaml: styptic.concurrency must be a whole number of at least 1, not 'many'."),
        ({"concurrency": True}, "styptic.concurrency must be a whole number of at least 1, not 'True'."),
        ({"timeout": 1.5}, "styptic.timeout must be a whole number from 1 to 604800, not '1.5'."),
        ({"sudo": "yes"}, "invoke.yaml: styptic.sudo must be true or false, not 'yes'."),
        ({"ssh_user": 7}, "invoke.yaml: styptic.ssh_user wants a value, not '7'."),
        ({"advisories": {"a": 1}}, "invoke.yaml: styptic.advisories must be a list of advisory names or files."),
        ({"advisories": [""]}, "invoke.yaml: styptic.advisories must be a list of advisory names or files."),
        ({"bad\x1b[2J": 1}, "invoke.yaml: styptic.bad?[2J is no setting"),
        ({7: 1}, "invoke.yaml: styptic.7 is no setting"),
    ],
)
def test_a_mistake_in_invoke_yaml_is_named_by_its_key(configured, said):
    assert said in refused({}, configured)


@pytest.mark.parametrize("name", sorted(FLAGS_ONLY))
def test_what_decides_whom_and_whether_is_said_each_time(name):
    flag = "--" + name.replace("_", "-")
    assert refused({}, {name: "x"}) == f"invoke.yaml: styptic.{name} is no setting: give {flag} each time."
    assert name not in KNOWN


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"limit": "0"}, "--limit must be a whole number of at least 1, not '0'."),
        ({"limit": 0}, "--limit must be a whole number of at least 1, not '0'."),
        ({"limit": ""}, "--limit must be a whole number of at least 1, not ''."),
        ({"limit": "9" * 5000}, "--limit must be a whole number of at least 1, not '999"),
        ({"ssh_port": "70000"}, "--ssh-port must be a whole number from 1 to 65535, not '70000'."),
        ({"run_lock_timeout": "-1"}, "--run-lock-timeout must be a whole number from 0 to 604800, not '-1'."),
        ({"max_age": "2w"}, "--max-age must be seconds, or a number with a unit (90min, 24h, 7d), not '2w'."),
        ({"max_age": "0"}, "--max-age must be seconds, or a number with a unit (90min, 24h, 7d), not '0'."),
        ({"max_age": "-1h"}, "--max-age must be seconds, or a number with a unit (90min, 24h, 7d), not '-1h'."),
        ({"max_age": "1.5h"}, "--max-age must be seconds, or a number with a unit (90min, 24h, 7d), not '1.5h'."),
        ({"env": ""}, "--env wants a value, not ''."),
        ({"env": "--yes"}, "--env wants a value, not '--yes'."),
        ({"query": " "}, "--query wants a value, not ''."),
        ({"report": ""}, "--report wants a value, not ''."),
        ({"report": "~nobody-of-that-name/r"}, "--report: '~nobody-of-that-name/r' names the home of a user there is"),
        ({"advisory": [""]}, "--advisory must be a list of advisory names or files."),
        ({"waves": ""}, "--waves, each of it but a first `canary`, must be a number of nodes or a share of them"),
        ({"waves": "50%,10%"}, "--waves must grow from wave to wave"),
        ({"max_failures": "-1"}, "--max-failures must be a number of nodes or a share of them (3, 5%), not '-1'."),
        ({"max_unreachable": "101%"}, "--max-unreachable must be a number of nodes or a share of them"),
        ({"pause": "0"}, "--pause must be seconds, or a number with a unit (90min, 24h, 7d), not '0'."),
        ({"spread_by": ""}, "--spread-by wants a value, not ''."),
        ({"max_per_group": "0", "spread_by": "zone"}, "--max-per-group must be a whole number of at least 1, not '0'."),
        ({"max_per_group": "2"}, "--max-per-group is about groups: say with --spread-by which attribute makes them."),
        ({"reboot_timeout": "60"}, "--reboot-timeout is about --reboot, without which no node is rebooted: give both."),
        ({"env": "a b"}, "--env: 'a b' is not the name of a Chef environment."),
        ({"env": "$(id)"}, "--env: '$(id)' is not the name of a Chef environment."),
        ({"env": "**"}, "--env: '**' is not the name of a Chef environment."),
        ({"env": "production\n"}, "--env: 'production' is not the name of a Chef environment."),
    ],
)
def test_a_wrong_flag_is_named(flags, said):
    assert said in refused(flags)


@given(st.sampled_from(sorted(NUMBERS)), st.one_of(st.text(max_size=30), st.integers(), st.none(), st.floats()))
def test_a_number_is_within_its_bounds_or_refused(name, value):
    least, most = NUMBERS[name]
    try:
        found = getattr(load({name: value}), name)
    except SettingsError:
        return
    assert found is None or least <= found <= (most or found)


@given(st.dictionaries(st.sampled_from([*sorted(KNOWN), "environments", "else"]), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
), max_size=4))
def test_no_invoke_yaml_ends_in_a_surprise(configured):
    try:
        load({"env": "production"}, configured)
    except SettingsError as error:
        assert "invoke.yaml: styptic" in str(error)  # noqa: PT017 - most values are wrong, some are right


def test_values_come_in_their_own_types(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ops")
    found = load({
        "env": "production", "advisory": ["heartbleed", "a.toml", "heartbleed"], "limit": "3", "sudo": True,
        "report": "out", "ssh_identity_file": "~/key",
    })
    assert found.advisories == ("heartbleed", "a.toml")
    assert (found.limit, found.sudo, found.ssh_identity_file) == (3, True, "/home/ops/key")
    assert found.report == str(Path.cwd() / "out")
    assert load({}, {"advisories": "heartbleed"}).advisories == ("heartbleed",)
    assert load({"timeout": WEEK}).timeout == WEEK


def test_waves_and_what_stops_them_come_from_flags_and_from_invoke_yaml():
    flags = {"waves": "1,10%", "max_failures": "0", "pause": "10min"}
    found = load(flags, {"max_failures": "3%", "max_unreachable": 2})
    assert (found.waves, found.pause) == ((Amount(1), Amount(10, True)), 600)
    assert (found.max_failures, found.max_unreachable) == (Amount(0), Amount(2))
    found = load({}, {"waves": ["canary", 5, "50%"], "confirm": True, "spread_by": "ec2.zone", "max_per_group": 2})
    assert (found.waves, found.confirm) == ((None, Amount(5), Amount(50, True)), True)
    assert (found.spread_by, found.max_per_group) == ("ec2.zone", 2)


def test_flags_replace_the_configured_advisories():
    assert load({"advisory": ["mine.toml"]}, {"advisories": ["CVE-2014-0160"]}).advisories == ("mine.toml",)


@pytest.mark.parametrize(
    ("flags", "environment", "whom"),
    [
        ({"env": "production"}, "production", "production"),
        ({"env": "*"}, None, "every environment"),
        ({"query": "roles:web"}, None, "the query roles:web"),
        ({"env": "production", "query": "a:b OR c:d"}, "production", "production, the query a:b OR c:d"),
        ({"env": "*", "query": "roles:web"}, None, "every environment, the query roles:web"),
    ],
)
def test_whom_it_is_about(flags, environment, whom):
    found = somebody_meant(load(flags))
    assert (found.environment, found.whom) == (environment, whom)


def test_nobody_meant_is_an_error():
    with pytest.raises(SettingsError, match="say whom: --env ENVIRONMENT, or --query"):
        somebody_meant(Settings())


def test_day_zero_takes_the_place_of_advisories():
    found = load({"latest": True}, {"advisories": ["CVE-2014-0160"]})
    assert found.latest
    assert [each.id for each in shared.advisories_of(found)] == ["latest"]
    with pytest.raises(SettingsError, match="--latest is for before there is an advisory: give it, or --advisory"):
        load({"latest": True, "advisory": ["CVE-2014-0160"]})
    with pytest.raises(SettingsError, match=r"styptic\.latest is no setting: give --latest each time"):
        load({}, {"latest": True})


def test_every_setting_has_one_kind():
    kinds = [set(NUMBERS), SWITCHES]
    assert set.intersection(*kinds) == set()
    for name in set.union(*kinds):
        assert hasattr(Settings(), name)


@pytest.mark.parametrize(("said", "seconds"), [("90", 90), ("5min", 300), ("24h", 86_400), ("7 d", 604_800), (60, 60)])
def test_an_age_may_have_a_unit(said, seconds):
    assert load({"max_age": said}).max_age == seconds
    assert load({}, {"max_age": said}).max_age == seconds
    assert load({}).max_age == 86_400
