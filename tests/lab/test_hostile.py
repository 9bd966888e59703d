"""Nodes that mean harm: what they call themselves, what they print, how much of it, and what they leave to be read.

Nothing of it runs here, nothing breaks a table or a report, and neither memory nor time goes without a bound.
"""

import csv
import io
import json
import os
import select
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from generator.probe import FIRST, LAST
from lab.front import Front, Reply
from lab.host import ROOT
from tests.lab.faults import ALONE

MOST = 100 * 2**20  # bytes that a node prints
MEMORY = 300 * 2**20  # bytes that the controller, or a process of its own, may have in memory
LIMIT = 240  # seconds for a rollout, on a machine that does other things too
ROOM = 990_000  # bytes, of which an answer may have 1,000,000
SHADOW = "styptic:$6$canary$Q1w2E3r4T5"
ENDLESS = "hostile-endless"
CLIENT = "client=$(command -v chef-client); rm $client; cat >$client; chmod 755 $client"
RESULT = "/var/lib/openssl_patch/result.json"
LEAVE = f"mkdir -p {RESULT.rpartition('/')[0]}; rm -f {RESULT}"
LOUD = f"yes \"$(cat /root/payload)\" | head -c {MOST}"
FORGED = "cat /root/answer; exit 0"  # in the place of every command
faults = pytest.mark.faults


@dataclass(frozen=True, slots=True)
class Hostile:
    """A node: `does` is its login's .bashrc where `login` says so, else its chef-client; `answer` what it forges."""

    name: str
    does: str
    said: str
    login: bool = False
    answer: Callable[[str], str] = str
    state: str = "failed"


def look(name: str, packages: str = "package\tdpkg\topenssl\t1\tinstall ok installed\n", probe: str = "") -> str:
    """Return an answer as a node gives it that is looked at (fleet.look), with these lines in it."""
    return (
        f"styptic-look 1\nuid\t0\nname\t{name}\nclient\t/usr/bin/chef-client\n{packages}packages\tdpkg\n"
        f"{FIRST}\n{probe}unread\t0\n{LAST}\n"
    )


def many(text: str) -> str:
    """Return as many stale processes of hostile names as one answer has room for."""
    row = f"\torphan\t{text}\t{text}\t/{text}\t\t\t{text}\n"
    return look("", probe="".join(f"stale\t{pid}{row}" for pid in range(1, ROOM // (len(row.encode()) + 12))))


def versions(_: str) -> str:
    """Return as many versions of a package, each to be compared with the one before."""
    row = "package\tdpkg\topenssl\t1.{}~a+b\tinstall ok installed\n"
    return look("", packages="".join(row.format(number) for number in range(ROOM // (len(row) + 6))))


NODES = (
    Hostile("hostile-login", LOUD, "it answered with more than 1000000 bytes", login=True),
    Hostile("hostile-complaint", f"{LOUD} >&2", "it answered with more than 1000000 bytes", login=True),
    Hostile("hostile-check", f"[ -e /run/once ] && {LOUD}; touch /run/once",
            "a check's command printed more than", login=True),
    Hostile("hostile-client", f"{LOUD}; exit 1", "chef-client ended with 1: "),
    Hostile("hostile-result", f"{LEAVE}; {LOUD} >{RESULT}", "left no result of this run"),
    Hostile("hostile-deep", f"{LEAVE}; head -c 500000 /dev/zero | tr '\\0' '[' >{RESULT}",
            "is not what the recipe writes"),
    Hostile("hostile-link", f"{LEAVE}; ln -s /etc/shadow {RESULT}", "is not what the recipe writes"),
    Hostile("hostile-many", FORGED, "did not say which of its ports answer TLS", login=True, answer=many),
    Hostile("hostile-versions", FORGED, "did not say which of its ports answer TLS", login=True, answer=versions),
    Hostile("hostile-version", FORGED, "names a version that no package manager writes", login=True,
            answer=lambda text: look("", f"package\tdpkg\topenssl\t{text}\tinstall ok installed\n")),
    Hostile("hostile-called", FORGED, " by its own client.rb", login=True, answer=look, state="unreachable"),
    Hostile("hostile-words", f"{LEAVE}; cp /root/result.json {RESULT}; exit 1", "chef-client ended with 1: "),
)
PAPER = ("hostile-paper", "hostile-renamed")  # stand only on the Chef server
NAME = "../../../../tmp/hostile-renamed/"  # and then the payload
SMALL = Hostile("hostile-small", f"{LEAVE}; cat /root/payload; cp /root/result.json {RESULT}; exit 1",
                "chef-client ended with 1: ")  # for every day


class Page(HTMLParser):
    """What a browser makes elements of: tags, their attributes, and the scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.scripts = set(), set(), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.scripts += [""] if tag == "script" else []

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


@dataclass
class Ended:
    """A rollout's end: its exit code, what it said, its report's nodes, and the most memory that it had, in bytes."""

    code: int
    said: str
    home: Path
    memory: int
    seconds: float

    @property
    def nodes(self) -> dict[str, dict]:
        found = json.loads((self.home / "report" / "report.json").read_text())["nodes"]
        return {node["name"]: node for node in found}


def patch(operator, knife: str, *words: str) -> Ended:
    """Patch, and measure what it takes: the most memory of it, and of each process it waited for, see getrusage(2)."""
    setting = {"KNIFE_HOME": knife, "STYPTIC_STATE": str(operator.home / "journal.db")}
    advisories = ("--advisory", str(operator.lab.advisory), "--advisory", "CVE-2014-0160")
    words = ("patch", "--yes", *advisories, "--report", str(operator.home / "report"), *words)
    began = time.monotonic()
    with (operator.home / "said").open("w+b") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "invoke", *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            env=os.environ | setting,
        )
        descriptor = os.pidfd_open(process.pid)
        if not select.select([descriptor], [], [], LIMIT)[0]:
            process.kill()
        os.close(descriptor)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode()
    return Ended(process.returncode, text, operator.home, used.ru_maxrss * 1024, time.monotonic() - began)


@pytest.fixture(scope="module")
def pwned(tmp_path_factory):
    """Return a file that nobody may make."""
    return tmp_path_factory.mktemp("pwned") / "pwned"


@pytest.fixture(scope="module")
def payload(pwned):
    """Return what nodes say: for a shell, a terminal, a page, a path, and no text at all."""
    return (
        f"$(touch {pwned})`touch {pwned}`\" ;touch {pwned} #'|&&touch {pwned}"
        "<img src=x onerror=alert(1)><script>alert(1)</script>]]>"
        "\x1b[2J\x1b]0;owned\x07\x1b[31m\r../../../etc/passwd\x00\u202e{{7*7}}%(x)s"
    ).encode() + b"\xff\xfe\xc3\x28"


def write(operator, name: str, path: str, content: bytes) -> None:
    operator.lab.exec(name, ["sh", "-c", f"cat >{path}"], input=content, check=True)


def arm(operator, payload: bytes, hostile: Hostile) -> None:
    """Put a node's hostility in place."""
    name = hostile.name
    write(operator, name, "/root/payload", payload + b"\n")
    text = payload.decode(errors="replace")
    write(operator, name, "/root/result.json", json.dumps({
        "format": 2, "node": name, "status": text, "error": text, "cookbook_version": text, "stale_before": [
            {"pid": 1, "kind": text, "command": text, "service": text, "library": text}
        ], **{key: [text] * 200 for key in ("reloaded", "upgraded", "ended", "restarted", "reboot")},
        "reexecuted": text, "not_touched": [{"service": text, "command": text}] * 200,
    }).encode())
    text = text.translate(dict.fromkeys(map(ord, "\t\r\n\0"), "_"))
    write(operator, name, "/root/answer", hostile.answer(text).encode())
    if hostile.login:
        write(operator, name, "/root/.bashrc", hostile.does.encode() + b"\n")
    else:
        script = f"#!/bin/sh\n{hostile.does}\n".encode()
        operator.lab.exec(name, ["sh", "-ec", CLIENT], input=script, check=True)


def nothing_broke(ended: Ended, pwned: Path, names) -> None:
    """Hold that nobody here did what a node said, that all that was written can be read, and that it is not long."""
    assert not pwned.exists()
    assert "Traceback" not in ended.said
    assert {char for char in ended.said if not char.isprintable()} <= {"\n"}
    assert max(map(len, ended.said.splitlines())) < 3000
    assert set(ended.nodes) == set(names)
    report = ended.home / "report"
    assert ET.fromstring((report / "junit.xml").read_bytes()).tag == "testsuites"  # noqa: S314 - ours
    rows = list(csv.reader(io.StringIO((report / "nodes.csv").read_text())))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == len(names) + 1
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    page = Page((report / "report.html").read_text())
    assert "img" not in page.tags
    assert "onerror" not in page.attributes
    assert not [script for script in page.scripts if "alert(1)" in script]
    files = [path for path in ended.home.rglob("*") if path.is_file() and "cookbooks" not in path.parts]
    assert len(files) >= 5
    assert max(path.stat().st_size for path in files) < 2 * 2**20
    assert not [path for path in files if SHADOW.encode() in path.read_bytes()]
    assert ended.memory < MEMORY, f"{ended.memory / 2**20:.0f} MiB"
    assert ended.seconds < LIMIT


@pytest.fixture(scope="module")
def rolled(operator, environment, payload):
    """Patch all of these nodes at once, and those of PAPER, one by a name that no server takes; return how it ended."""
    names = [hostile.name for hostile in NODES]
    text = payload.decode(errors="replace").replace("\0", "")
    paper = {
        "platform": "debian", "platform_version": text, "fqdn": text, "ohai_time": text,
        "packages": {"openssl": {"version": text}, "dpkg": {"version": "1"}},
    }
    operator.lab.add_light(names, environment)
    renamed = json.dumps(NAME + text).strip('"').encode()

    def rename(_: str, ask: Callable[[], Reply]) -> Reply | None:
        return (found := ask()) and replace(found, body=found.body.replace(PAPER[1].encode(), renamed))

    try:
        for name in PAPER:
            operator.paper(name, environment, paper | ({"fqdn": "10.77.0.1"} if name == PAPER[1] else {}))
        for hostile in NODES:
            arm(operator, payload, hostile)
        fix = "apt-get -qqy install openssl libssl3 >/dev/null 2>&1; service ssh restart"
        operator.sh("hostile-check", fix)  # so that the checks come right after the first look
        operator.sh("hostile-link", f"echo '{SHADOW}' >>/etc/shadow")
        operator.indexed(*names, *PAPER)
        with Front() as front:
            front.rule = rename
            yield patch(operator, operator.settings(environment, front.url), "--env", environment, *ALONE)
    finally:
        operator.lab.remove(*names)
        for name in PAPER:
            operator.chef.delete(f"/nodes/{name}")


def test_the_payload_is_one(payload, tmp_path, pwned):
    harmless = payload.replace(str(pwned).encode(), str(tmp_path / "pwned").encode())
    subprocess.run(["sh", "-c", b'echo "' + harmless.replace(b"\0", b"")], capture_output=True, check=False)
    assert (tmp_path / "pwned").exists()
    assert {"img", "script"} <= Page(payload.decode(errors="replace")).tags


def test_one_of_them(operator, environment, payload, pwned, added):
    with added(SMALL.name, "light", "sysv"):
        arm(operator, payload, SMALL)
        operator.indexed(SMALL.name)
        ended = patch(operator, operator.settings(environment), "--env", environment, "--query", f"name:{SMALL.name}")
    assert ended.code == 2, ended.said
    nothing_broke(ended, pwned, [SMALL.name])
    assert SMALL.said in ended.nodes[SMALL.name]["error"]
    assert "<img src=x" in ended.nodes[SMALL.name]["error"]


@faults
def test_nothing_of_it_runs_or_breaks_anything(rolled, pwned):
    assert rolled.code == 2, rolled.said
    (renamed,) = rolled.nodes.keys() - {hostile.name for hostile in NODES} - {PAPER[0]}
    nothing_broke(rolled, pwned, [*(hostile.name for hostile in NODES), PAPER[0], renamed])
    assert renamed.startswith(NAME)
    assert not Path("/tmp/hostile-renamed").exists()
    assert {rolled.nodes[name]["state"] for name in (PAPER[0], renamed)} == {"unreachable"}
    print(f"{rolled.memory / 2**20:.0f} MiB at most, {rolled.seconds:.0f} s")


@faults
@pytest.mark.parametrize("hostile", NODES, ids=lambda hostile: hostile.name)
def test_each_ends_in_one_sentence(rolled, hostile):
    node = rolled.nodes[hostile.name]
    assert node["state"] == hostile.state
    assert hostile.said in node["error"]
    assert node["error"].isprintable()
    assert len(node["error"]) <= 1500


@faults
def test_output_without_an_end_ends_with_the_nodes_time(operator, environment, payload, pwned):
    operator.environment(ENDLESS)
    operator.lab.add(ENDLESS, environment=ENDLESS)
    try:
        arm(operator, payload, Hostile(ENDLESS, "yes \"$(cat /root/payload)\"", "", login=True))
        operator.indexed(ENDLESS)
        how = ("--env", ENDLESS, "--via", "shell", "--timeout", "10")
        ended = patch(operator, operator.settings(environment), *how)
        assert ended.code == 2, ended.said
        assert ended.nodes[ENDLESS]["error"] == "timed out in look after 10 s (nothing was changed on it)"
        nothing_broke(ended, pwned, [ENDLESS])
        print(f"{ended.memory / 2**20:.0f} MiB at most, {ended.seconds:.0f} s")
    finally:
        operator.lab.remove(ENDLESS)
        operator.chef.delete(f"/environments/{ENDLESS}")
