"""services.toml is whole, and what is wrong with one is named."""

import pytest

from generator import services
from generator.errors import AdvisoryError

GOOD = """
[nginx]
names = ["nginx"]
restart = true
[[nginx.steps]]
do = "upgrade"
pid_file = "/run/nginx.pid"
old_suffix = ".oldbin"
begin = "USR2"
finish = ["WINCH", "QUIT"]
source = "seen"
[[nginx.steps]]
do = "restart"
source = "seen"
"""
NEVER = '[dbus]\nnames = ["dbus"]\nrestart = false\nbecause = "why"\nsource = "seen"\n'


def test_the_shipped_data_holds_what_was_seen():
    found = services.load()
    assert {name: [step.do for step in each.steps] for name, each in found.items() if each.steps} == {
        "nginx": ["upgrade", "restart"], "apache2": ["restart"], "haproxy": ["reload", "restart"],
        "stunnel4": ["restart"], "ssh": ["reload", "restart"], "systemd-journald": ["restart"],
        "systemd-logind": ["restart"], "dovecot": ["restart"], "named": ["restart"], "unbound": ["restart"],
        **{f"systemd-{name}": ["restart"] for name in ("udevd", "networkd", "resolved", "timesyncd", "oomd",
                                                       "hostnamed", "localed", "timedated")},
    }
    assert {name for name, each in found.items() if not each.restart} == {
        "postgresql", "mysql", "corosync", "docker", "dbus", "openvpn",
    }
    every_name = [name for each in found.values() for name in each.names]
    assert len(every_name) == len(set(every_name)), "a unit belongs to one row"
    assert found["apache2"].names == ("apache2", "httpd")
    assert found["nginx"].test == ("nginx", "-t", "-q")


def test_systemds_own_are_restarted_from_the_version_on_that_its_source_names():
    found = {name: (each.systemd, each.spares_graphical) for name, each in services.load().items() if each.systemd}
    assert found == {"systemd-journald": (220, False), "systemd-logind": (234, True)}


def test_who_ends_what_it_has_begun_may_be_ended():
    ends = {(name, step.do): step.end for name, each in services.load().items() for step in each.steps if step.end}
    assert ends == {("nginx", "upgrade"): "TERM", ("haproxy", "reload"): "TERM"}


def test_a_step_says_what_its_taker_needs():
    upgrade, restart = services.load()["nginx"].steps
    assert upgrade.data == {
        "do": "upgrade", "pid_file": "/run/nginx.pid", "old_suffix": ".oldbin", "begin": "USR2",
        "finish": ("WINCH", "QUIT"), "end": "TERM",
    }
    assert restart.data == {"do": "restart"}


@pytest.mark.parametrize(("old", "new", "said"), [
    ("[nginx]", "[nginx", "cannot be read"),
    ('names = ["nginx"]', "", "[nginx] names: is missing; it is a list of text"),
    ('names = ["nginx"]', "names = []", "[nginx] names: is empty"),
    ('names = ["nginx"]', 'names = ["a; id"]', "[nginx] names: 'a; id' has characters that do not belong there"),
    ('names = ["nginx"]', 'names = "nginx"', "[nginx] names: must be a list of text, not 'nginx'"),
    ("restart = true", "", "[nginx] restart: is missing; it is true or false"),
    ("restart = true", "restart = 1", "[nginx] restart: must be true or false, not 1"),
    ("restart = true", "restart = true\nreboot = true", "[nginx] reboot: is no key here; the keys are because, "),
    ("restart = true", "restart = true\ntest = [1]", "[nginx] test: must hold text alone"),
    ("restart = true", 'restart = true\ntest = ["a"]', "[nginx] source: is missing; it says where the test or"),
    ("restart = true", 'restart = true\nsource = ""', "[nginx] source: is empty"),
    ("restart = true", 'restart = true\nbecause = "x"', "[nginx] because: says why it is not restarted, where"),
    ("restart = true", "restart = true\nsystemd = 234", "[nginx] because: says why it is not restarted, where"),
    ("restart = true", "restart = true\nsystemd = 0", "[nginx] systemd: must be above 0, not 0"),
    ("restart = true", "restart = false\nsystemd = 9", "[nginx] systemd: says from when on it may be restarted"),
    ("restart = true", "restart = true\nspares_graphical = true", "[nginx] spares_graphical: is for systemd's own"),
    ("restart = true", "restart = false", "[nginx] steps: must have no restart, where restart is false"),
    ("restart = true", "restart = false", "[nginx] because: says why it is not restarted, where restart is false or"),
    ('do = "restart"', 'do = "reload"', "[nginx] steps: must go from gentle to harsh, each once (reload, upgrade, re"),
    ('do = "restart"', 'do = "reload"', "[nginx] steps: must end with a restart, where restart is true"),
    ('do = "restart"', 'do = "reboot"', "[nginx] [[steps]] 2 do: 'reboot' has characters that do not belong there"),
    ('do = "restart"', "", "[nginx] [[steps]] 2 do: is missing; it is text"),
    ('begin = "USR2"', "", "[nginx] [[steps]] 1 begin: is missing; it is text"),
    ('begin = "USR2"', 'begin = "usr2; id"', "[nginx] [[steps]] 1 begin: 'usr2; id' has characters"),
    ('"/run/nginx.pid"', '"nginx.pid"', "[nginx] [[steps]] 1 pid_file: 'nginx.pid' has characters"),
    ('".oldbin"', '"/../x"', "[nginx] [[steps]] 1 old_suffix: '/../x' has characters"),
    ('["WINCH", "QUIT"]', "[]", "[nginx] [[steps]] 1 finish: is empty"),
    ('begin = "USR2"', 'begin = "USR2"\nend = "9"', "[nginx] [[steps]] 1 end: '9' has characters"),
    ('do = "restart"', 'do = "restart"\nend = "TERM"', "[nginx] [[steps]] 2 end: is no key here"),
    ('do = "restart"', 'do = "reload"\nend = "TERM"', "[nginx] [[steps]] 2 pid_file: is missing"),
    ('do = "restart"', 'do = "restart"\npid_file = "/run/x"', "[nginx] [[steps]] 2 pid_file: is no key here"),
    ('do = "restart"\nsource = "seen"', 'do = "restart"', "[nginx] [[steps]] 2 source: is missing"),
    ("[nginx]", "other = 1\n[nginx]", "other: must be a table [other], not 1"),
])
def test_every_mistake_is_named(tmp_path, old, new, said):
    path = tmp_path / "services.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(AdvisoryError) as raised:
        services.load(path)
    assert str(raised.value).startswith(str(path))
    assert said in str(raised.value)


def test_all_mistakes_are_named_at_once(tmp_path):
    path = tmp_path / "services.toml"
    path.write_text(GOOD.replace("restart = true", "restart = 1") + NEVER.replace('["dbus"]', "[]"))
    with pytest.raises(AdvisoryError) as raised:
        services.load(path)
    assert "[nginx] restart" in str(raised.value)
    assert "[dbus] names" in str(raised.value)


def test_a_good_file_of_ones_own(tmp_path):
    path = tmp_path / "services.toml"
    path.write_text(GOOD + NEVER)
    found = services.load(path)
    assert (found["nginx"].test, found["nginx"].because) == ((), None)
    assert (found["dbus"].steps, found["dbus"].because) == ((), "why")


def test_a_service_may_be_reloaded_and_never_restarted(tmp_path):
    path = tmp_path / "services.toml"
    path.write_text(NEVER + '[[dbus.steps]]\ndo = "reload"\nsource = "seen"\n')
    assert [step.do for step in services.load(path)["dbus"].steps] == ["reload"]


def test_a_test_may_say_a_word_twice(tmp_path):
    path = tmp_path / "services.toml"
    more = 'restart = true\nsource = "seen"\ntest = ["nginx", "-t", "-c", "/a b", "-c", "/c"]'
    path.write_text(GOOD.replace("restart = true", more))
    assert services.load(path)["nginx"].test == ("nginx", "-t", "-c", "/a b", "-c", "/c")
