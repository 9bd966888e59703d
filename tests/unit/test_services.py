"""services.toml is whole, and what is wrong with one is named."""

import pytest

from generator import services
from generator.errors import AdvisoryError

GOOD = """
[nginx]
names = ["nginx"]
reload_is_enough = false
restart = true
source = "seen"
"""


def test_the_shipped_data_holds_what_was_seen():
    found = services.load()
    assert {name: (each.reload_is_enough, each.restart) for name, each in found.items()} == {
        "nginx": (False, True), "apache2": (False, True), "haproxy": (True, True), "stunnel4": (False, True),
        "postgresql": (False, False), "ssh": (True, True),
    }
    every_name = [name for each in found.values() for name in each.names]
    assert len(every_name) == len(set(every_name)), "a unit belongs to one row"
    assert found["apache2"].names == ("apache2", "httpd")
    assert found["nginx"].test == ("nginx", "-t", "-q")


@pytest.mark.parametrize(("old", "new", "said"), [
    ("[nginx]", "[nginx", "cannot be read"),
    ('names = ["nginx"]', "", "[nginx] names: is missing; it is a list of text"),
    ('names = ["nginx"]', "names = []", "[nginx] names: is empty"),
    ('names = ["nginx"]', 'names = ["a; id"]', "[nginx] names: 'a; id' has characters that do not belong there"),
    ('names = ["nginx"]', 'names = "nginx"', "[nginx] names: must be a list of text, not 'nginx'"),
    ("restart = true", "", "[nginx] restart: is missing; it is true or false"),
    ("restart = true", "restart = 1", "[nginx] restart: must be true or false, not 1"),
    ("restart = true", "restart = true\nreboot = true", "[nginx] reboot: is no key here; the keys are names, "),
    ("restart = true", "restart = true\ntest = [1]", "[nginx] test: must hold text alone, not 1"),
    ('source = "seen"', 'source = ""', "[nginx] source: is empty"),
    ("[nginx]", "other = 1\n[nginx]", "other: must be a table [other], not 1"),
])
def test_every_mistake_is_named(tmp_path, old, new, said):
    path = tmp_path / "services.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(AdvisoryError) as raised:
        services.load(path)
    assert str(raised.value).startswith(str(path))
    assert said in str(raised.value)


def test_all_mistakes_are_named_at_once(tmp_path):
    path = tmp_path / "services.toml"
    path.write_text(GOOD.replace("restart = true", "restart = 1") + "[apache2]\nnames = []\n")
    with pytest.raises(AdvisoryError) as raised:
        services.load(path)
    assert len(str(raised.value).split(f"{path}: ")) == 1 + 5


def test_a_good_file_of_ones_own(tmp_path):
    path = tmp_path / "services.toml"
    path.write_text(GOOD)
    assert services.load(path)["nginx"].test == ()


def test_a_test_may_say_a_word_twice(tmp_path):
    path = tmp_path / "services.toml"
    path.write_text(GOOD + 'test = ["nginx", "-t", "-c", "/a b", "-c", "/c"]\n')
    assert services.load(path)["nginx"].test == ("nginx", "-t", "-c", "/a b", "-c", "/c")
