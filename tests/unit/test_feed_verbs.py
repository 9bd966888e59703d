"""`invoke advisory.list`, `show`, `import` and `update`: what they print, write and exit with, over real HTTPS."""

import json
import os
import shutil
import ssl
from pathlib import Path

import pytest
from invoke import Program

from fleet import feeds
from fleet.verbs import advisory as verbs
from generator import advisory
from generator.feeds import debian, redhat, ubuntu

DATA = Path(__file__).parents[1] / "data" / "feeds"
SHIPPED = advisory.SHIPPED
CVE = "CVE-2022-0778"
RED_HAT = DATA / "redhat_CVE-2022-0778.json"


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    """Put two of the shipped advisories where a test may change them."""
    shelf = tmp_path / "advisories"
    shelf.mkdir()
    for name in ("CVE-2014-0160", "CVE-2022-3602"):
        shutil.copy(SHIPPED / f"{name}.toml", shelf)
    monkeypatch.setattr(advisory, "SHIPPED", shelf)
    return shelf


@pytest.fixture
def run(capsys):
    def run(*words: str) -> tuple[int, str, str]:
        """Return the exit code, what was printed and what was complained of."""
        try:
            Program(namespace=verbs.collection).run(["invoke", *words])
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def published(serve, answer, certificate, monkeypatch):
    """Serve what `published.files` holds by path, where the three feeds by CVE are looked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    files: dict[str, bytes] = {}
    server = serve(
        lambda asked: answer(body=files[asked.path]) if asked.path in files else answer(status=404), context=context
    )
    server.files = files
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for feed in feeds.BY_CVE:
        monkeypatch.setitem(feeds.BY_CVE, feed, f"{server.url}/{feed}" + ("" if feed == "debian" else "/{cve}"))
    return server


def test_list_tells_what_is_here_and_for_whom_there_is_no_row(run):
    code, out, _ = run("list")
    heading, first, second = out.splitlines()
    assert code == 0
    assert heading.split()[:3] == ["ID", "ALSO", "SEVERITY"]
    assert first.startswith("CVE-2014-0160  heartbleed     Important")
    assert "fedora, opensuse" in second


def test_list_and_show_as_json_are_whole(run):
    code, out, _ = run("list", "--json")
    first = json.loads(out)[0]
    assert (code, first["id"], first["aliases"]) == (0, "CVE-2014-0160", ["heartbleed"])
    assert first["rows"]["fixed"] == len(advisory.load(["heartbleed"])[0].fixed)
    code, out, _ = run("show", "heartbleed", "--json")
    shown = json.loads(out)
    assert shown["upstream"]["affected"] == [["1.0.1", "1.0.1f"]]
    assert {"distro": "rhel", "release": "6", "package": "openssl", "version": "0:1.0.1e-16.el6_5.7"}.items() <= next(
        row for row in shown["fixed"] if row["distro"] == "rhel"
    ).items()


def test_show_tells_every_row_and_every_source(run):
    code, out, _ = run("show", "CVE-2014-0160")
    held = advisory.load(["CVE-2014-0160"])[0]
    assert code == 0
    for row in held.fixed:
        [line] = [line for line in out.splitlines() if line.split()[:3] == [row.distro, row.release, row.package]]
        assert row.version in line
        assert row.advisory in line
    for source in {row.source for row in (*held.fixed, *held.not_affected)} | {held.upstream.source}:
        assert f"] {source}\n" in out


@pytest.mark.parametrize(("words", "said"), [
    (("show", "CVE-1999-0001"), "there is no advisory 'CVE-1999-0001'"), (("show", "--jsn"), "--jsn is no flag of"),
    (("import", "--dry"), "--dry is no flag of"), (("import", "no-such-file"), "no-such-file cannot be read"),
    (("import", "http://feed.example/x"), "write an https:// URL"), (("import", str(DATA)), "Is a directory"),
    (("import", str(DATA / "README.md")), "the record is not JSON"), (("import", "a\0b"), "cannot be read"),
    (("import", str(RED_HAT), "--cve", "0778"), "'0778' is no CVE"),
    (("import", str(RED_HAT), "--output", "x.json"), "does not end in .toml"),
    (("import", str(DATA / "debian_tracker.json")), "say which, --cve"),
    (("update", "--feed", "nvd"), "is none of debian"),
])
def test_what_is_asked_wrongly_is_a_sentence(run, shelf, words, said):
    code, out, complaint = run(*words)
    assert (code, out) == (1, "")
    assert said in complaint
    assert len(list(shelf.iterdir())) == 2


def test_import_begins_an_advisory_and_the_second_time_changes_nothing(run, shelf):
    code, out, _ = run("import", str(RED_HAT))
    path = shelf / f"{CVE}.toml"
    assert (code, out.splitlines()[-1]) == (0, f"began {path}")
    assert "  added      rhel 8 openssl: fixed in 1:1.1.1k-6.el8_5, RHSA-2022:1065" in out.splitlines()
    assert "  left out   no source package that the advisory is about: edk2" in out.splitlines()
    text = path.read_bytes()
    code, out, _ = run("import", str(RED_HAT), "--cve", CVE.lower())
    assert (code, out.splitlines()[-1], path.read_bytes()) == (0, f"unchanged {path}", text)
    [held] = advisory.load([CVE])
    assert {row.source_kind for row in held.fixed} == {"Red Hat's security data, from a file"}


def test_import_of_an_alias_goes_to_the_advisory_that_has_it(run, shelf):
    code, out, _ = run("import", str(DATA / "debian_tracker.json"), "--cve", "CVE-2014-0160", "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, f"would change {shelf / 'CVE-2014-0160.toml'}")
    assert feeds._home("CVE-2022-3786") == shelf / "CVE-2022-3602.toml"


def test_a_dry_run_writes_nothing(run, shelf):
    code, out, _ = run("import", str(RED_HAT), "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, f"would begin {shelf / f'{CVE}.toml'}")
    assert len(list(shelf.iterdir())) == 2


def test_a_disagreement_is_told_kept_and_exit_code_2(run, tmp_path):
    path = tmp_path / "ours.toml"
    run("import", str(RED_HAT), "--output", str(path))
    path.write_text(path.read_text().replace("1:1.1.1k-6.el8_5", "1:1.1.1k-7.el8_5"))
    before = path.read_text()
    code, out, _ = run("import", str(DATA / "osv_RLSA-2022_1065.json"), "--output", str(path))
    assert code == 2
    [told] = [line for line in out.splitlines() if line.startswith("  disagreed  rhel 8 openssl: ")]
    assert "fixed in 1:1.1.1k-6.el8_5, says https://api.osv.dev/v1/vulns/RLSA-2022:1065; " in told
    assert "fixed in 1:1.1.1k-7.el8_5, says https://access.redhat.com/" in told
    assert path.read_text() == before


def test_import_from_a_url_names_it_as_the_source(run, published):
    published.files["/redhat/" + CVE] = RED_HAT.read_bytes()
    code, _, _ = run("import", f"{published.url}/redhat/{CVE}")
    [held] = advisory.load([CVE])
    assert code == 0
    assert {(row.source, row.source_kind) for row in held.fixed} == {(f"{published.url}/redhat/{CVE}", redhat.FEED)}


def test_update_asks_each_feed_once_and_says_what_changed(run, shelf, published):
    for name in ("redhat", "ubuntu"):
        published.files[f"/{name}/{CVE}"] = (DATA / f"{name}_{CVE}.json").read_bytes()
    published.files["/debian"] = (DATA / "debian_tracker.json").read_bytes()
    run("import", f"{published.url}/redhat/{CVE}")
    published.requests.clear()
    code, out, complaint = run("update")
    assert (code, complaint) == (0, "")
    cves = ["CVE-2014-0160", CVE, "CVE-2022-3602"]
    by_cve = [f"/{name}/{cve}" for name in ("ubuntu", "redhat") for cve in cves]
    assert [asked.path for asked in published.requests] == ["/debian", *by_cve]
    assert "  added      debian bullseye openssl: fixed in 1.0.1g-1" in out.splitlines()
    assert out.splitlines()[-1] == "2 files changed"
    [held] = advisory.load([CVE])
    assert {row.source_kind for row in held.fixed} == {debian.FEED, ubuntu.FEED, redhat.FEED}
    assert run("update") == (0, "0 files changed\n", "")


def test_update_changes_what_its_source_says_otherwise_now(run, published):
    published.files[f"/redhat/{CVE}"] = RED_HAT.read_bytes()
    run("import", f"{published.url}/redhat/{CVE}")
    published.files[f"/redhat/{CVE}"] = RED_HAT.read_bytes().replace(b"1.1.1k-6.el8_5", b"1.1.1k-7.el8_5")
    for more in (("--dry-run",), ()):
        code, out, _ = run("update", "--feed", "redhat", "--advisory", CVE, *more)
        assert code == 0
        assert "  changed    rhel 8 openssl: fixed in 1:1.1.1k-7.el8_5; it was fixed in 1:1.1.1k-6.el8_5" in out
        assert out.splitlines()[-1] == ("1 file would change" if more else "1 file changed")
        [held] = advisory.load([CVE])
        assert ("1:1.1.1k-6.el8_5" in {row.version for row in held.fixed}) == bool(more)


def test_update_writes_over_nothing_that_somebody_wrote_meanwhile(run, published, monkeypatch):
    published.files[f"/redhat/{CVE}"] = RED_HAT.read_bytes()
    run("import", f"{published.url}/redhat/{CVE}")
    published.files[f"/redhat/{CVE}"] = RED_HAT.read_bytes().replace(b"1.1.1k-6.el8_5", b"1.1.1k-7.el8_5")
    [held] = advisory.load([CVE])
    mine, records = held.path.read_text() + "# a person's word\n", feeds.detect.records

    def edited(*asked) -> dict:
        held.path.write_text(mine)
        return records(*asked)

    monkeypatch.setattr(feeds.detect, "records", edited)
    code, out, complaint = run("update", "--feed", "redhat", "--advisory", CVE)
    assert (code, out.splitlines()[-1]) == (2, "0 files changed")
    assert "was changed while the feeds were asked, so nothing was written to it" in complaint
    assert held.path.read_text() == mine


def test_update_goes_on_without_a_feed_that_does_not_answer(run, published, monkeypatch):
    published.files["/debian"] = (DATA / "debian_tracker.json").read_bytes()
    published.files["/redhat/CVE-2014-0160"] = b"<html>maintenance</html>"
    monkeypatch.setitem(feeds.BY_CVE, "ubuntu", "https://feed.invalid/{cve}")
    code, out, complaint = run("update")
    assert code == 2
    assert complaint.count("feed.invalid") == 1, "a host that cannot be reached is asked again"
    assert "the record is not JSON" in complaint
    assert out.splitlines()[-1] == "1 file changed"


def test_osvs_records_are_asked_where_rows_came_from_them(shelf):
    path = shelf / f"{CVE}.toml"
    feeds.import_record(str(DATA / "osv_RLSA-2022_1065.json"))
    asked = []

    def get(url: str) -> bytes:
        asked.append(url)
        return (DATA / "osv_RLSA-2022_1065.json").read_bytes().replace(b"-6.el8_5", b"-7.el8_5")

    [done] = feeds.update(advisory.load([advisory.ALL]), ["osv"], get=get)
    assert asked == ["https://api.osv.dev/v1/vulns/RLSA-2022:1065"]
    assert (done.path, len(done.merged.changed)) == (path, 1)
    assert [row.version for row in advisory.read(path).fixed] == ["1:1.1.1k-7.el8_5"]


def test_what_a_feed_says_cannot_move_the_terminal(run, tmp_path):
    hostile = json.loads(RED_HAT.read_text())
    for said in hostile["affected_release"]:
        said["product_name"] = "Red Hat Enterprise Linux \x1b[2J\u202e"
        said["package"] += "\x1b]0;root\x07"
    path = tmp_path / "record.json"
    path.write_text(json.dumps(hostile))
    code, out, _ = run("import", str(path))
    assert code == 0
    assert all(line.isprintable() for line in out.splitlines())
