"""Which settings a resume has from its run, which may be given anew, and which are refused."""

import json
from pathlib import Path

import pytest

from fleet.errors import SettingsError
from fleet.kept import again, kept
from fleet.settings import load
from fleet.waves import Amount

FLAGS = {
    "env": "production", "advisory": ["heartbleed", "own.toml"], "waves": "canary,2,50%", "via": "shell",
    "ssh_user": "ops", "sudo": True, "max_failures": "5%", "pause": "10min", "yes": True, "quiet": True,
    "report": "out", "run_lock_timeout": "0", "ticket": "OPS-7", "limit": "9", "spread_by": "zone",
    "max_per_group": "2",
}


def about(flags=None, configured=None) -> dict:
    """Return what the journal has of a run that was begun with these."""
    flags = FLAGS if flags is None else flags
    return json.loads(json.dumps({"settings": kept(load(flags, configured), flags)}))


def resumed(flags=None, configured=None, run=None):
    return again("r1", run or about(), flags or {}, configured or {})


def test_without_any_flag_it_goes_on_as_it_was_told():
    settings, before = resumed(), load(FLAGS)
    assert settings.advisories == ("heartbleed", str(Path("own.toml").absolute()))
    for name in ("env", "waves", "via", "ssh_user", "sudo", "max_failures", "pause", "report", "run_lock_timeout",
                 "ticket", "limit", "spread_by", "max_per_group"):
        assert getattr(settings, name) == getattr(before, name), name
    assert (settings.yes, settings.quiet) == (False, False), "an agreement is given anew"


def test_what_says_how_may_be_given_anew():
    settings = resumed({"max_failures": "3", "ssh_user": "root", "concurrency": "7", "reboot": True, "yes": True})
    assert (settings.max_failures, settings.ssh_user, settings.concurrency) == (Amount(3), "root", 7)
    assert (settings.reboot, settings.yes, settings.env) == (True, True, "production")


@pytest.mark.parametrize(("flags", "said"), [
    ({"env": "staging"}, "--env: run r1 is about production, and a resume goes on with that"),
    ({"advisory": ["heartbleed"]}, "--advisory: run r1 is about heartbleed, /"),
    ({"limit": "10"}, "--limit: run r1 is about 9,"),
    ({"latest": True}, "--latest: run r1 is about no latest,"),
    ({"query": "role:web"}, "--query: run r1 is about no query,"),
    ({"waves": "1,100%"}, "--waves: run r1 is about canary,2,50%,"),
    ({"strict": True}, "--strict: run r1 is about no strict,"),
    ({"ticket": "OPS-8"}, "--ticket: run r1 is about OPS-7,"),
    ({"via": "chef"}, "--via: run r1 is about shell,"),
])
def test_what_says_whom_or_what_is_the_runs_own(flags, said):
    with pytest.raises(SettingsError) as refused:
        resumed(flags)
    assert str(refused.value).startswith(said)
    assert "leave it out, or start a run of its own without --resume" in str(refused.value)


def test_the_same_said_again_is_no_other():
    same = {"env": "production", "advisory": ["own.toml", "heartbleed"], "waves": "canary,2,50%", "limit": "9"}
    assert resumed(same).env == "production"


def test_invoke_yaml_as_it_is_now_says_how_and_not_what():
    configured = {"advisories": ["CVE-2022-0778"], "waves": "1,100%", "via": "chef", "ssh_port": 2222, "ssh_user": "x"}
    settings = resumed(configured=configured)
    assert (settings.via, settings.ssh_port, settings.ssh_user) == ("shell", 2222, "ops")
    assert settings == again("r1", about(), {"ssh_port": "2222"}, {})


def test_day_zero_stays_day_zero():
    run = about({"env": "production", "latest": True}, {"advisories": ["heartbleed"]})
    settings = resumed(configured={"advisories": ["heartbleed"]}, run=run)
    assert settings.latest


def test_a_pause_takes_the_place_of_being_asked():
    run = about({"env": "production", "confirm": True})
    assert resumed(run=run).confirm
    assert not resumed({"pause": "60"}, run=run).confirm


@pytest.mark.parametrize("settings", [None, 7, {}, {"what": {}, "how": 7}, {"what": {"odd": 1}, "how": {}}])
def test_a_run_of_another_version_is_refused(settings):
    with pytest.raises(SettingsError, match="was begun by another version of Styptic"):
        again("r1", {"settings": settings}, {}, {})


@pytest.mark.parametrize("settings", [
    {"what": {"limit": "\x1b[2J"}, "how": {}}, {"what": {"env": "production"}, "how": {"odd\x1b": 1}},
])
def test_a_spoilt_journal_is_a_sentence(settings):
    with pytest.raises(SettingsError) as refused:
        again("r1", {"settings": settings}, {}, {})
    assert str(refused.value).startswith("the journal, run r1")
    assert str(refused.value).isprintable()


def test_no_key_and_no_password_is_kept():
    run = about({"env": "production", "ssh_identity_file": "~/.ssh/id", "yes": True})
    assert run["settings"]["how"] == {"ssh_identity_file": str(Path("~/.ssh/id").expanduser())}
