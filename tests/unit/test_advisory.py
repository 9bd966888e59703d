"""Advisories from TOML: what is shipped, what a name finds, and every mistake by file, key and reason."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator import advisory
from generator.advisory import Fixed, NeverFixed, NotAffected, Package, Upstream
from generator.errors import AdvisoryError

WHOLE = '''
id = "TEST-1"
title = "a test"
coverage = """nothing
else"""
libraries = ["libssl"]
services = ["nginx"]

[upstream]
affected = [["1.0.1", "1.0.1f"]]
fixed = ["1.0.1g"]
source = "https://example.org/upstream"

[[fixed]]
distro = "debian"
release = "wheezy"
package = "openssl"
version = "1.0.1e-2+deb7u5"
source = "https://example.org/debian"

[[not_affected]]
distro = "rhel"
release = "6.0..6.4"
package = "openssl"
reason = "openssl 1.0.0"
source = "https://example.org/rhel"
'''


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes, name: str = "test.toml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def mistakes_of(path: Path) -> str:
    with pytest.raises(AdvisoryError) as caught:
        advisory.load([str(path)])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(advisory.SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_what_is_shipped(path):
    found = advisory.read(path)
    assert found.id == path.stem
    assert not found.lab
    sources = [row.source for row in (*found.fixed, *found.not_affected)]
    assert sources
    assert all(source.startswith("https://") for source in (*sources, found.upstream.source))


def test_no_name_means_two_shipped_advisories():
    found = [advisory.read(path) for path in advisory.SHIPPED.glob("*.toml")]
    names = [name.lower() for each in found for name in {each.id, *each.aliases}]
    assert sorted(set(names)) == sorted(names)


def test_heartbleed():
    (found,) = advisory.load(["CVE-2014-0160"])
    assert found.severity == "Important"
    assert found.libraries == ("libssl", "libcrypto")
    assert "reissue keys" in found.follow_up
    assert found.upstream.affected == (("1.0.1", "1.0.1f"),)
    assert (len(found.fixed), len(found.not_affected)) == (12, 5)
    rows = {(row.distro, row.release, row.package): row for row in found.fixed}
    assert len(rows) == 12
    assert rows["debian", "wheezy", "openssl"] == Fixed(
        "debian", "wheezy", "openssl", "1.0.1e-2+deb7u5", "DSA-2896-1",
        "https://github.com/CVEDB/security-tracker/blob/32127b7f220cd2d9fd9d0a5bb4affaa90a079ad9/data/DSA/list", None,
    )
    assert rows["rhel", "6", "openssl"].version == "0:1.0.1e-16.el6_5.7"
    assert rows["amazon", "1", "openssl"].version == "1:1.0.1e-37.66.amzn1"
    assert {row.distro for row in found.fixed if row.source_kind} == {"fedora", "opensuse"}
    assert [(row.distro, row.release, row.package) for row in found.not_affected] == [
        ("ubuntu", "10.04", "openssl"), ("rhel", "5", "openssl"), ("rhel", "6.0..6.4", "openssl"),
        ("rhel", "7", "openssl"), ("rhel", "6", "openssl098e"),
    ]


@pytest.mark.parametrize("name", ["cve-2014-0160", "CVE-2014-0160", "heartbleed", "HeartBleed"])
def test_names_in_any_case(name):
    assert [each.id for each in advisory.load([name])] == ["CVE-2014-0160"]


def test_a_file_beside_a_shipped_one_in_the_order_asked_for(written):
    path = written(WHOLE)
    shipped = str(advisory.SHIPPED / "CVE-2014-0160.toml")
    found = advisory.load([str(path), "heartbleed", "CVE-2014-0160", shipped])
    assert [each.id for each in found] == ["TEST-1", "CVE-2014-0160"]
    test = found[0]
    assert test.path == path
    assert test.coverage == "nothing else"
    assert (test.aliases, test.severity, test.follow_up, test.lab) == ((), None, None, False)
    assert test.fixed[0].advisory is None
    assert test.not_affected == (
        NotAffected("rhel", "6.0..6.4", "openssl", "openssl 1.0.0", "https://example.org/rhel"),
    )


def test_what_may_be_left_out_and_lab_equipment(written):
    upstream = WHOLE[WHOLE.index("[upstream]"):WHOLE.index("[[fixed]]")]
    (found,) = advisory.load([str(written(WHOLE.replace(upstream, "").replace("coverage", "lab = true\ncoverage", 1)))])
    assert found.upstream is None
    assert found.lab


def test_a_changed_file_is_another_advisory(written):
    (before,) = advisory.load([str(written(WHOLE))])
    (after,) = advisory.load([str(written(WHOLE.replace("deb7u5", "deb7u9")))])
    assert hash(before) == hash(after)
    assert before != after


@pytest.mark.parametrize("name", ["all", "ALL"])
def test_all_are_every_shipped_one_and_cheap_to_read(name):
    began = time.process_time()
    found = advisory.load([name, "heartbleed"])
    assert time.process_time() - began < 1
    assert [each.path for each in found] == advisory.shipped()
    assert [each.id for each in found if each.restart != "service"] == ["CVE-2022-1292"]
    assert {each.id for each in found if each.follow_up} == {
        "CVE-2014-0160", "CVE-2021-3712", "CVE-2023-0286", "CVE-2024-5535"
    }


def test_what_else_a_file_may_say(written):
    extra = """
[[package]]
distro = "opensuse"
package = "openssl-1_1"
binary = ["libopenssl1_1"]
source = "https://example.org/package"

[[never_fixed]]
distro = "opensuse"
release = "15.5"
package = "openssl-1_1"
reason = "nobody cares"
source = "https://example.org/never"
source_kind = "hearsay"
"""
    (found,) = advisory.load([str(written(
        WHOLE.replace("coverage", 'restart = "reboot"\ncoverage', 1)
        .replace('affected = [["1.0.1", "1.0.1f"]]', 'before = [["0", "1.0.1g"]]\nsince = "0.9.8"') + extra
    ))])
    assert (found.restart, found.latest) == ("reboot", False)
    assert found.upstream == Upstream((), ("1.0.1g",), "https://example.org/upstream", (("0", "1.0.1g"),), "0.9.8")
    assert found.packages == (Package("opensuse", None, "openssl-1_1", ("libopenssl1_1",), "https://example.org/package"),)
    assert found.never_fixed == (
        NeverFixed("opensuse", "15.5", "openssl-1_1", "nobody cares", "https://example.org/never", "hearsay"),
    )
    assert found.named == {"libopenssl1_1"}
    assert [found.concerns(name) for name in ("libopenssl1_1", "libssl3", "xz-utils")] == [True, True, False]


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AdvisoryError, match=r"no advisory 'CVE-1'; there is CVE-2014-0160 or heartbleed.*\.toml"):
        advisory.load(["CVE-1"])


def test_two_files_with_one_id(written):
    one, two = written(WHOLE), written(WHOLE.replace("a test", "another"), "other.toml")
    with pytest.raises(AdvisoryError) as caught:
        advisory.load([str(one), str(two)])
    assert str(caught.value) == f"{two}: id: TEST-1 is that of {one} too; ask for one of the two"


@pytest.mark.parametrize(("content", "reason"), [
    ("id = ", "is not TOML: Invalid value (at end of document)"),
    (b'id = "\xff"', "is not UTF-8, as TOML must be: invalid start byte at byte 6"),
    ('id = "a"\nid = "b"', "is not TOML: Cannot overwrite a value"),
    ("id = " + "9" * 5000, "is not TOML: Exceeds the limit"),
    ("id = " + "[" * 5000, "is not TOML: "),
])
def test_what_is_no_toml(written, content, reason):
    path = written(content)
    assert mistakes_of(path).startswith(f"{path}: {reason}")


def test_what_cannot_be_read(tmp_path):
    assert mistakes_of(tmp_path / "absent.toml") == f"{tmp_path}/absent.toml: cannot be read: No such file or directory"
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    assert "loop.toml: cannot be read: Too many levels of symbolic links" in mistakes_of(tmp_path / "loop.toml")
    assert "no advisory 'a\\x00.toml'" in mistakes_of(Path("a\0.toml"))
    assert mistakes_of(Path("~nobody-here/a.toml")) == "~nobody-here/a.toml: cannot be read: No such file or directory"
    (tmp_path / "a.toml").mkdir()
    assert mistakes_of(tmp_path / "a.toml") == f"{tmp_path}/a.toml: cannot be read: Is a directory"


FIXED_2 = '\n[[fixed]]\ndistro = "rhel"\nrelease = "6"\npackage = "openssl"\nversion = "1-1"\nsource = "x"\n'


@pytest.mark.parametrize(("old", "new", "mistake"), [
    ('id = "TEST-1"\n', "", "id: is missing; it is text"),
    ('"TEST-1"', '"../x"', "id: '../x' has characters that do not belong there"),
    ('"a test"', "3", "title: must be text, not 3"),
    ('"a test"', '" "', "title: is empty"),
    ('"a test"', '"a\\ntest"', r"title: must be one line of printable text, not 'a\ntest'"),
    ('"a test"', '"a\\u001b[2Jtest"', r"title: must be one line of printable text, not 'a\x1b[2Jtest'"),
    ("coverage = ", "covers = ", "covers: is no key here; the keys are aliases, coverage, fixed,"),
    ("coverage = ", "covers = ", "coverage: is missing; it is text"),
    ('"a test"', '"a test"\naliases = ["bleed", "bleed"]', "aliases: 'bleed' is there twice"),
    ('"a test"', '"a test"\nlab = "yes"', "lab: must be true or false, not 'yes'"),
    ('"a test"', '"a test"\nseverity = ["high"]', "severity: must be text, not ['high']"),
    ('["libssl"]', '"libssl"', "libraries: must be a list of text, not 'libssl'"),
    ('["libssl"]', "[]", "libraries: is empty"),
    ('["libssl"]', '["libssl*"]', "libraries: 'libssl*' has characters that do not belong there"),
    ('["nginx"]', '["nginx", 2]', "services: must hold text alone, not 2"),
    ('["nginx"]', '["nginxx"]', "services: 'nginxx' is not in services.toml, which has apache2,"),
    ('["nginx"]', '["a\\"; system(\\"id\\"); \\""]', "services: 'a\"; system(\"id\"); \"' has characters that"),
    ('["1.0.1g"]', '["1.0.1g-beta"]', "[upstream] fixed: '1.0.1g-beta' is no release of OpenSSL such as 1.0.1f"),
    ('"1.0.1f"]', '"1.0"]', "[upstream] affected: '1.0' is no release of OpenSSL such as 1.0.1f"),
    ('["1.0.1", "1.0.1f"]', '["1.0.1f", "1.0.1"]', "[upstream] affected: 1.0.1f comes after 1.0.1; the first release"),
    ('["1.0.1", "1.0.1f"]', '"1.0.1f"', "[upstream] affected: must hold [first, last] pairs, not '1.0.1f'"),
    ('[["1.0.1", "1.0.1f"]]', "[]", "[upstream] affected: is empty"),
    ('source = "https://example.org/upstream"\n', "", "[upstream] source: is missing; it is text"),
    ('distro = "debian"', 'distro = "debain"', "[[fixed]] 1 distro: 'debain' is none of debian, ubuntu, rhel, amazon"),
    ('distro = "rhel"', 'distro = "centos"', "[[not_affected]] 1 distro: 'centos' is none of debian,"),
    ('distro = "rhel"', 'distro = "centos"', "alpine (rhel is the name for its rebuilds too)"),
    ('"wheezy"', '"7"', "[[fixed]] 1 release: '7' is no release of debian, which is a code name: squeeze, wheezy,"),
    ('"6.0..6.4"', '"6.4 and earlier"', "[[not_affected]] 1 release: '6.4 and earlier' is no release of rhel"),
    ('package = "openssl"\nversion', 'package = "libssl1.0.0"\nversion',
     "[[fixed]] 1 package: 'libssl1.0.0' is no source package of OpenSSL known on debian wheezy"),
    ('"1.0.1e-2+deb7u5"', '"deb7u5"', "[[fixed]] 1 version: 'deb7u5' is not a version that dpkg writes"),
    ('"1.0.1e-2+deb7u5"', '"1.0.1e-2 deb7u5"', "[[fixed]] 1 version: '1.0.1e-2 deb7u5' is not a version that dpkg"),
    ('"1.0.1e-2+deb7u5"', "1.0", "[[fixed]] 1 version: must be text, not 1.0"),
    ('version = "1.0.1e-2+deb7u5"\n', "", "[[fixed]] 1 version: is missing; it is text"),
    ('source = "https://example.org/debian"\n', "", "[[fixed]] 1 source: is missing; it is text"),
    ("\n[[not_affected]]", 'x = 1\n[[not_affected]]', "[[fixed]] 1 x: is no key here; the keys are advisory, distro,"),
    ('reason = "openssl 1.0.0"\n', "", "[[not_affected]] 1 reason: is missing; it is text"),
    ('"6.0..6.4"', '"6"', "[[not_affected]] 1 release: rhel 6 is in a [[fixed]] row too"),
    ('"a test"', '"a test"\nrestart = "sometimes"', "restart: 'sometimes' is none of service, reboot, none"),
    ('fixed = ["1.0.1g"]', 'fixed = ["1.0.1g"]\nsince = "0"', "[upstream] since: '0' is no release of OpenSSL"),
    ('affected = [["1.0.1", "1.0.1f"]]\n', "", "[upstream] affected: is missing; it is a list of [first, last] pairs"),
    ('affected = [["1.0.1", "1.0.1f"]]', 'before = [["1.0.1h", "1.0.1g"]]', "[upstream] before: 1.0.1h comes after"),
    ('affected = [["1.0.1", "1.0.1f"]]', 'affected = [["0", "1.0.1f"]]', "[upstream] affected: '0' is no release"),
    ('["libssl"]', '["liblzma"]', "[[fixed]] 1 package: 'openssl' is no source package of this advisory: no"),
    ('["libssl"]', '["liblzma"]', "[upstream] affected: '1.0.1f' is no release of a library such as 5.6.1 or 9.8p1"),
    ('\n[[fixed]]\ndistro = "debian"', '\n[[never_fixed]]\ndistro = "rhel"\nrelease = "6"\npackage = "openssl"\n'
     'reason = "old"\nsource = "x"\n[[fixed]]\ndistro = "debian"',
     "[[never_fixed]] 1 release: rhel 6 is in a [[fixed]] row too"),
    ('\n[[fixed]]\ndistro = "debian"', '\n[[package]]\ndistro = "debain"\nrelease = "7"\n[[fixed]]\ndistro = "debian"',
     "[[package]] 1 distro: 'debain' is none of debian,"),
    ('\n[[fixed]]\ndistro = "debian"', '\n[[package]]\ndistro = "debian"\nrelease = "7"\n[[fixed]]\ndistro = "debian"',
     "[[package]] 1 release: '7' is no release of debian"),
    ('\n[[fixed]]\ndistro = "debian"', '\n[[package]]\ndistro = "debian"\npackage = "nodejs"\nbinary = ["nodejs"]\n'
     'source = "x"\n[[fixed]]\ndistro = "debian"', "[[package]] 1 binary: 'nodejs' is no package of OpenSSL's, nor"),
])
def test_a_mistake_is_named_by_file_key_and_reason(written, old, new, mistake):
    assert old in WHOLE
    path = written(WHOLE.replace(old, new) + FIXED_2)
    said = mistakes_of(path)
    assert mistake in said
    assert said.startswith(f"{path}: ")


@pytest.mark.parametrize(("extra", "mistake"), [
    ('fixed = "1.0"', "fixed: must be tables [[fixed]], not '1.0'"),
    ("fixed = [1]", "fixed: must be tables [[fixed]], not 1"),
    ('upstream = "1.0"', "upstream: must be a table [upstream], not '1.0'"),
    ("", "fixed: is missing; without a [[fixed]], a [[not_affected]], a [[never_fixed]] or an [upstream] nothing is"),
])
def test_tables_that_are_none(written, extra, mistake):
    head = WHOLE[:WHOLE.index("[upstream]")]
    assert f": {mistake}" in mistakes_of(written(head + extra))


def test_all_mistakes_of_all_files_at_once(written):
    one = written(WHOLE.replace('"wheezy"', '"7"').replace("title", "titel"))
    two = written("", "empty.toml")
    with pytest.raises(AdvisoryError) as caught:
        advisory.load([str(one), "nonsense", str(two)])
    said = str(caught.value)
    for part in (f"{one}: title: is missing", f"{one}: titel: is no key", f"{one}: [[fixed]] 1 release: '7'",
                 "no advisory 'nonsense'", f"{two}: id: is missing", f"{two}: coverage: is missing"):
        assert part in said


def test_importing_pays_for_no_version_comparison():
    code = "import sys, generator.advisory, generator.versions; print([m for m in sys.modules if 'univers' in m])"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
