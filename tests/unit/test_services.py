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
    ('names = ["nginx"]', "", "nginx.names must be"),
    ('names = ["nginx"]', "names = []", "nginx.names must be"),
    ('names = ["nginx"]', 'names = ["a; id"]', "nginx.names must be"),
    ('names = ["nginx"]', 'names = "nginx"', "nginx.names must be"),
    ("restart = true", "restart = 1", "nginx.restart must be true or false"),
    ("restart = true", "restart = true\nreboot = true", "nginx.reboot is not known"),
    ("restart = true", "restart = true\ntest = [1]", "nginx.test must be a list of words"),
    ('source = "seen"', 'source = ""', "nginx.source must say"),
    ("[nginx]", "other = 1\n[nginx]", "other is not a table"),
])
def test_every_mistake_is_named(tmp_path, old, new, said):
    path = tmp_path / "services.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(AdvisoryError, match=said) as raised:
        services.load(path)
    assert str(path) in str(raised.value)


def test_a_good_file_of_ones_own(tmp_path):
    path = tmp_path / "services.toml"
    path.write_text(GOOD)
    assert services.load(path)["nginx"].test == ()
