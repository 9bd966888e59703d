"""A feed's rows in an advisory's file: the same record twice is the same file, and nothing that stood there is lost."""

import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import advisory
from generator.errors import FeedError
from generator.feeds import detect, merge, save
from generator.feeds.record import KINDS, Reading, Record, Row

DATA = Path(__file__).parents[1] / "data" / "feeds"
CVE = "CVE-2022-0778"
OURS = '''# Ours. Nobody's program may lose this line.
id = "CVE-2022-0778"
title = "A certificate makes OpenSSL loop for ever" # not the feed's words
coverage = """what we looked up"""
libraries = ["libssl", "libcrypto"]
services = ["nginx"]

[[fixed]]
# seen on our own mirror
distro = "debian"
release = "bullseye"
package = "openssl"
version = "1.1.1k-1+deb11u2" # backported
source = "https://example.org/dsa"
# and again in June

# What follows was never affected.
[[not_affected]]
distro = "ubuntu"
release = "22.04"
package = "openssl"
reason = "ours says so"
source = "https://example.org/jammy"
'''


def record(*rows, source: str = "https://feed.example/x", feed: str = "a feed") -> Record:
    reading = Reading(feed, CVE, source)
    for kind, *words in rows:
        getattr(reading, kind)(*words)
    return reading.record("what the feed calls it", "high")


def imported(name: str) -> Record:
    return detect.record((DATA / name).read_bytes(), CVE, "https://feed.example/" + name)


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.json")))
@pytest.mark.parametrize("begin", ["ours", "new", "shipped"])
def test_importing_twice_gives_the_same_file(name, begin, tmp_path):
    found = imported(name)
    shipped = (advisory.SHIPPED / f"{CVE}.toml").read_text()
    text = {"ours": OURS, "new": merge.begun(found), "shipped": shipped}[begin]
    once = merge.merge(text, found)
    twice = merge.merge(once.text, found)
    assert twice.text == once.text
    assert (twice.added, twice.changed, twice.disagreed) == ((), (), once.disagreed)
    assert twice.agreed == once.agreed + len(once.added)
    save.save(tmp_path / "x.toml", once.text)
    held = advisory.read(tmp_path / "x.toml")
    assert {(row.distro, row.release, row.package) for kind in KINDS for row in getattr(held, kind)} >= {
        row.key for row in once.added
    }


def test_all_feeds_in_any_order_agree_on_what_is_fixed():
    names = sorted(path.name for path in DATA.glob("*.json"))
    ends = []
    for order in (names, names[::-1]):
        text = merge.begun(imported("redhat_CVE-2022-0778.json"))
        for name in order:
            done = merge.merge(text, imported(name))
            assert done.disagreed == ()
            text = done.text
        held = tomllib.loads(text)
        ends.append({(kind, row["distro"], row["release"], row["package"]) for kind in KINDS for row in held[kind]})
    assert ends[0] == ends[1]


def test_a_new_row_stands_with_its_kind_and_names_who_said_it():
    done = merge.merge(OURS, record(("fixed", "ubuntu", "20.04", "openssl", "1.1.1f-1ubuntu2.12", "USN-5328-1")))
    assert done.text == OURS.replace("# and again in June\n\n", '''# and again in June

[[fixed]]
distro = "ubuntu"
release = "20.04"
package = "openssl"
version = "1.1.1f-1ubuntu2.12"
advisory = "USN-5328-1"
source = "https://feed.example/x"
source_kind = "a feed"

''')
    assert [str(row) for row in done.added] == ["ubuntu 20.04 openssl"]


def test_a_kind_that_was_not_there_comes_last():
    done = merge.merge(OURS, record(("never_fixed", "debian", "stretch", "openssl", "end of life")))
    assert done.text == OURS + '''
[[never_fixed]]
distro = "debian"
release = "stretch"
package = "openssl"
reason = "end of life"
source = "https://feed.example/x"
source_kind = "a feed"
'''


def test_what_agrees_changes_nothing():
    done = merge.merge(OURS, record(
        ("fixed", "debian", "bullseye", "openssl", "0:1.1.1k-1+deb11u2"),
        ("not_affected", "ubuntu", "22.04", "openssl", "in other words"),
    ))
    assert (done.text, done.agreed) == (OURS, 2)


@pytest.mark.parametrize("row", [
    ("fixed", "debian", "bullseye", "openssl", "1.1.1n-0+deb11u1"),
    ("not_affected", "debian", "bullseye", "openssl", "never affected"),
    ("fixed", "ubuntu", "22.04", "openssl", "3.0.2-0ubuntu1.1"),
])
def test_what_another_source_says_otherwise_is_told_and_kept(row):
    done = merge.merge(OURS, record(row))
    assert (done.text, done.added, done.changed) == (OURS, (), ())
    [told] = done.disagreed
    assert str(told).endswith(("says https://example.org/dsa", "says https://example.org/jammy"))
    assert "https://feed.example/x" in str(told)


def test_a_source_may_change_its_own_word_and_a_persons_comments_stay():
    ours = OURS.replace("https://example.org/dsa", "https://feed.example/x")
    done = merge.merge(ours, record(("fixed", "debian", "bullseye", "openssl", "1.1.1n-0+deb11u1")))
    assert done.text == ours.replace("1.1.1k-1+deb11u2", "1.1.1n-0+deb11u1")
    [told] = done.changed
    assert (told.row.said, told.kept) == ("fixed in 1.1.1n-0+deb11u1", "fixed in 1.1.1k-1+deb11u2")


def test_the_advisory_of_a_version_goes_with_it():
    one = merge.merge(OURS, record(("fixed", "ubuntu", "20.04", "openssl", "1-1", "USN-1-1")))
    two = merge.merge(one.text, record(("fixed", "ubuntu", "20.04", "openssl", "1-2")))
    assert "USN-1-1" not in two.text
    assert 'version = "1-2"' in two.text


def test_a_source_may_change_the_kind_of_its_row():
    one = merge.merge(OURS, record(("never_fixed", "debian", "stretch", "openssl", "ignored")))
    two = merge.merge(one.text, record(("fixed", "debian", "stretch", "openssl", "1.1.0l-1~deb9u5")))
    held = tomllib.loads(two.text)
    assert "never_fixed" not in held
    assert [row["release"] for row in held["fixed"]] == ["bullseye", "stretch"]
    assert "Nobody's program may lose this line" in two.text
    assert len(two.changed) == 1


def test_a_row_with_a_persons_comment_does_not_change_its_kind():
    ours = OURS.replace("https://example.org/dsa", "https://feed.example/x")
    done = merge.merge(ours, record(("not_affected", "debian", "bullseye", "openssl", "never affected")))
    assert (done.text, len(done.disagreed)) == (ours, 1)


def test_a_package_that_the_advisory_is_not_about_is_told():
    done = merge.merge(OURS, record(
        ("fixed", "debian", "bookworm", "nodejs", "18-1"), ("fixed", "debian", "bookworm", "xz-utils", "5.4.1-0.2"),
    ))
    assert done.text == OURS
    assert done.left_out == {merge.NO_PACKAGE: ("nodejs", "xz-utils")}


XZ = '''id = "CVE-2022-0778"
title = "of another library"
coverage = "a test"
libraries = ["liblzma"]
services = ["ssh"]

[[package]]
distro = "debian"
package = "xz-utils"
binary = ["liblzma5"]
source = "https://packages.debian.org/source/sid/xz-utils"
'''


def test_another_librarys_packages_are_those_of_its_file(tmp_path):
    done = merge.merge(XZ, record(
        ("fixed", "debian", "sid", "xz-utils", "5.6.1+really5.4.5-1"), ("fixed", "debian", "sid", "openssl", "1-1"),
        ("fixed", "ubuntu", "22.04", "xz-utils", "1-1"),
    ))
    assert [(str(row), row.version) for row in done.added] == [("debian sid xz-utils", "5.6.1+really5.4.5-1")]
    save.save(tmp_path / "xz.toml", done.text)


def test_an_advisory_of_a_library_that_is_unknown_is_not_begun():
    with pytest.raises(FeedError, match=r"is about xz-utils, whose libraries Styptic does not know: write a file"):
        merge.begun(record(("fixed", "debian", "sid", "xz-utils", "5.6.1+really5.4.5-1")))


def test_a_new_advisory_says_what_it_does_not_know(tmp_path):
    found = imported("redhat_CVE-2022-0778.json")
    path = tmp_path / f"{CVE}.toml"
    save.save(path, merge.merge(merge.begun(found), found).text)
    held = advisory.read(path)
    assert (held.id, held.severity) == (CVE, "Important")
    assert held.title == "openssl: Infinite loop in BN_mod_sqrt() reachable when parsing certificates"
    assert "a release without a row" in held.coverage
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(("text", "why"), [
    ("id = ", "is no TOML"), ('id = "CVE-1999-0001"\n', "the file is about CVE-1999-0001"),
    ('id = "CVE-2022-0778"\nfixed = [{distro = "debian"}]\n', r"as \[\[fixed\]\] tables"), ("", "is about None"),
])
def test_a_file_that_nothing_can_be_merged_into(text, why):
    with pytest.raises(FeedError, match=why):
        merge.merge(text, record())


def test_a_flood_of_rows_is_refused():
    rows = [("fixed", "rhel", f"8.{number}-eus", "openssl", "1:1.1.1k-6.el8") for number in range(merge.MOST + 1)]
    assert len(merge.merge(OURS, record(*rows[1:])).added) == merge.MOST
    with pytest.raises(FeedError, match="has more than 500 rows of its packages"):
        merge.merge(OURS, record(*rows))


def test_an_alias_names_the_file_too():
    ours = OURS.replace('id = "CVE-2022-0778"', 'id = "loop"\naliases = ["cve-2022-0778"]')
    assert merge.merge(ours, record(("fixed", "debian", "sid", "openssl", "1-1"))).added


def test_what_would_be_no_advisory_is_not_written(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(OURS)
    with pytest.raises(FeedError, match=r"so nothing was: .*x\.toml: coverage: is missing") as caught:
        save.save(path, OURS.replace("coverage", "cover"))
    assert ".new" not in str(caught.value)
    assert path.read_text() == OURS
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path):
    path, link = tmp_path / "x.toml", tmp_path / "link.toml"
    path.write_text("")
    path.chmod(0o640)
    link.symlink_to(path)
    save.save(link, OURS)
    assert link.is_symlink()
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (OURS, 0o640)


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedError, match=r"x\.toml cannot be written: "):
        save.save(tmp_path / "file" / "x.toml", OURS)


ROWS = st.lists(st.tuples(
    st.sampled_from(["bullseye", "bookworm", "trixie", "sid"]), st.sampled_from(["1-1", "1-2", None]),
    st.sampled_from(["https://a.example", "https://b.example"]),
), max_size=8)


@settings(max_examples=25, deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_whatever_is_merged_stays_valid_and_is_never_silent(batches):
    """Any records in any order: the file parses, each release has one row, and what changed was told."""
    text = OURS
    for rows in batches:
        by_source: dict[str, dict[str, tuple]] = {}
        for release, version, source in rows:
            row = ("fixed", "debian", release, "openssl", version) if version else (
                "not_affected", "debian", release, "openssl", "no")
            by_source.setdefault(source, {})[release] = row
        for source, said in by_source.items():
            before = tomllib.loads(text)
            done = merge.merge(text, record(*said.values(), source=source))
            held = tomllib.loads(done.text)
            all_of = [(row["distro"], row["release"], row["package"]) for kind in KINDS for row in held.get(kind, [])]
            assert len(all_of) == len(set(all_of))
            assert len(all_of) == len([row for kind in KINDS for row in before.get(kind, [])]) + len(done.added)
            assert (done.text == text) == (not done.added and not done.changed)
            assert done.agreed + len(done.added) + len(done.changed) + len(done.disagreed) == len(said)
            assert done.text.startswith("# Ours. Nobody's program may lose this line.\n")
            assert "# What follows was never affected.\n" in done.text
            text = done.text


VALUES = st.recursive(
    st.sampled_from([CVE, "debian", "sid", "openssl", "libssl", "1-1", "https://feed.example/x"]) | st.integers()
    | st.booleans(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["distro", "release", "package", "version", "reason", "source"]), inner, max_size=6), max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "aliases", "libraries", "package", *KINDS]), VALUES, max_size=7))
def test_any_toml_is_merged_into_or_a_sentence(values):
    text = tomlkit.dumps({"id": CVE} | values)
    try:
        done = merge.merge(text, record(("fixed", "debian", "sid", "openssl", "1-1")))
    except FeedError as error:
        said = str(error)
    else:
        said = "merged"
        tomllib.loads(done.text)
    assert said.isprintable()


def test_a_row_is_told_by_what_it_says():
    row = Row("fixed", "debian", "sid", "openssl", "1-1", None, None, "https://a.example", "a feed")
    assert (str(row), row.said) == ("debian sid openssl", "fixed in 1-1")
    assert replace(row, kind="never_fixed", version=None, reason="ignored").said == "never fixed (ignored)"
