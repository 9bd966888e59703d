"""What an advisory says of what leaks by it: four of the shipped ones, each with its source; mistakes are named."""

import pytest

from generator import advisory, overview
from generator.errors import AdvisoryError

TEXT = """
id = "TEST-LEAK"
title = "Equipment of a test"
coverage = "nothing"
libraries = ["libssl", "libcrypto"]
services = ["nginx"]
[leaks]
{leaks}
[upstream]
before = [["0", "1.0.1g"]]
fixed = ["1.0.1g"]
source = "this test"
"""
WHOLE = 'what = "memory"\nlibraries = ["libssl"]\nsource = "this test"'


def test_the_shipped_ones_by_which_memory_leaks():
    leaking = {each.id: each.leaks for each in advisory.load([advisory.ALL]) if each.leaks}
    assert {name: leaks.libraries for name, leaks in leaking.items()} == {
        "CVE-2014-0160": ("libssl",), "CVE-2021-3712": ("libcrypto",), "CVE-2023-0286": ("libcrypto",),
        "CVE-2024-5535": ("libssl",),
    }
    assert all(leaks.source for leaks in leaking.values())


def test_what_leaks_has_a_list_of_what_to_do_and_the_other_way_round():
    for each in advisory.load([advisory.ALL]):
        assert bool(each.leaks) == bool(each.follow_up), each.id


def test_it_is_shown():
    heartbleed, = advisory.load(["heartbleed"])
    said = " ".join(" ".join(overview.page(heartbleed)).split())
    assert "leaks memory of processes that map libssl: https://www.openssl.org/news/secadv/20140407.txt" in said
    assert overview.whole(heartbleed)["leaks"]["what"] == "memory"


def test_one_of_ones_own(tmp_path):
    path = tmp_path / "leak.toml"
    path.write_text(TEXT.format(leaks=WHOLE))
    found, = advisory.load([str(path)])
    assert (found.leaks.what, found.leaks.libraries, found.leaks.source) == ("memory", ("libssl",), "this test")


@pytest.mark.parametrize(("leaks", "mistake"), [
    (WHOLE.replace("memory", "beer"), r"\[leaks\] what: 'beer' is none of memory"),
    (WHOLE.replace('"libssl"', '"libz"'), r"\[leaks\] libraries: 'libz' is none of its libraries, libssl, libcrypto"),
    (WHOLE.replace('["libssl"]', "[]"), r"\[leaks\] libraries: is empty"),
    ('what = "memory"\nlibraries = ["libssl"]', r"\[leaks\] source: is missing"),
    (WHOLE + "\nsince = 1", r"\[leaks\] since: is no key here"),
])
def test_mistakes_are_named(tmp_path, leaks, mistake):
    path = tmp_path / "leak.toml"
    path.write_text(TEXT.format(leaks=leaks))
    with pytest.raises(AdvisoryError, match=mistake):
        advisory.read(path)
