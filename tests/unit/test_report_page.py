"""report.html as its source: what a node says adds no tag to it, and who cannot see it finds their way.

tests/browser looks at it in a real Chromium.
"""

import base64
import hashlib
import itertools
import re
import unicodedata
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.node import State
from fleet.report import html
from fleet.report.record import Check
from fleet.text import UNFIT, clean
from lab import example

RUN = example.run(60)
# Elements without an end, and those whose end may be left out: https://html.spec.whatwg.org/multipage/syntax.html
VOID = {"meta", "br", "input", "path"}
OPEN = {"dt", "dd"}
HOSTILE = [
    "</script><script>hit()</script>", "</style><script>hit()</script>", "<img src=x onerror=hit()>",
    "\" onclick=hit()", "javascript:hit()", "{{ 7 * 7 }}", "\u202egnp.exe", "\x1b[2J\x07\x00", "]]>", "<!--",
    "&lt;b&gt;", "x" * 100_000,
]


class Parsed(HTMLParser):
    """A page taken apart: `tags` are (name, attributes) in their order, `texts` (the elements around, text)."""

    def __init__(self, page: bytes):
        super().__init__()
        self.tags, self.texts, self.around = [], [], []
        self.feed(page.decode())
        self.close()
        assert self.around == [], "an element was not closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        assert len(dict(attributes)) == len(attributes), f"an attribute of {tag} twice"
        if self.around and self.around[-1] in OPEN and tag in OPEN:
            self.around.pop()
        if tag not in VOID:
            self.around.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self.around[-1] in OPEN and self.around[-1] != tag:
            self.around.pop()
        assert self.around.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if data.strip():
            self.texts.append((tuple(self.around), data.strip()))

    def all(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag == name]

    def under(self, name: str) -> list[str]:
        """Return the texts right within elements of a name."""
        return [text for around, text in self.texts if around[-1] == name]

    @property
    def bare(self) -> list:
        """The page without what a node may say: tags and the names of their attributes."""
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]


def parsed(run=RUN) -> Parsed:
    return Parsed(html.as_bytes(run))


def spoken(text: str):
    """Return a run whose nodes, and whatever else others write, say `text`."""
    run = example.run(4)
    for number, outcome in enumerate(run.outcomes):
        record = outcome.record
        record.name, record.address, record.platform, record.release = f"{number}{text}", text, text, text
        record.packages_before, record.packages_after, record.actions = {text: text}, {text: f"{text}2"}, [text]
        record.stale_before = record.stale_after = [{"service": text, "command": text, "kind": text, "pid": 1}]
        record.error, record.note, outcome.todo, record.state = text, text, text, State.STALE
        outcome.checks = (Check(text, "failed", text),)
    certificate = dict.fromkeys(run.exposure[0], text) | {"names": [text], "exposed": True}
    return replace(
        run, exposure=(certificate,), followup=(dict.fromkeys(run.followup[0], text),), environment=text, ticket=text,
        operator=text, advisories=(text,), described=({"id": text, "title": text, "follow_up": text},), server=text,
        cookbook=dict.fromkeys(("name", "version", "sha256"), text), versions={"styptic": text}, query=text, run=text,
    )


@cache
def plain() -> list:
    return parsed(spoken("plain")).bare


@given(st.text().filter(clean) | st.sampled_from(HOSTILE))  # what says nothing is left out, tags and all
@settings(max_examples=40, deadline=None)
def test_what_others_say_adds_no_tag_and_nothing_unseen(text):
    page = html.as_bytes(spoken(text))
    assert Parsed(page).bare == plain()
    kinds = {unicodedata.category(character) for character in page.decode() if character != "\n"}
    assert kinds & UNFIT == set()
    assert len(page) < 1_000_000


def test_what_others_say_is_shown_as_they_wrote_it():
    name = HOSTILE[0]
    texts = [text for _, text in parsed(spoken(name)).texts]
    assert f"0{name}" in texts
    assert texts.count(name) >= 10


def test_the_policy_lets_our_own_style_and_script_work_and_nothing_else():
    page = html.as_bytes(RUN).decode()
    (policy,) = [each["content"] for each in parsed().all("meta") if each.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert (rules.pop("base-uri"), rules.pop("form-action")) == ("'none'", "'none'")
    for tag in ("style", "script"):
        (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        found = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert rules.pop(f"{tag}-src") == f"'sha256-{found}'"
    assert rules == {}


def test_it_asks_nobody_for_anything():
    page = parsed()
    asking = {"src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "style"}
    for tag, attributes in page.tags:
        assert not asking & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "form"} == set()
    outside = [each["href"] for each in page.all("a") if not each["href"].startswith("#")]
    assert outside == ["https://www.cve.org/CVERecord?id=CVE-2014-0160"], "which a person may follow"
    assert set(re.findall(r"url\([^)]*\)|@import", html.as_bytes(RUN).decode())) == {"url(#hatch1)", "url(#hatch2)"}


@pytest.mark.parametrize("advisory", ["LAB-CURRENT", "CVE-2014-0160\"><b>", "CVE-1-1", "javascript:CVE-2014-0160"])
def test_what_is_no_cve_has_no_link(advisory):
    assert html.link(advisory) is None


def test_who_cannot_see_it_finds_their_way():
    page = parsed()
    assert page.all("html") == [{"lang": "en"}]
    assert page.under("title")[:1] == ["patch of example, 2026-01-02 03:04 UTC"]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("header")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), "no level is left out"
    assert {each.get("scope") for each in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == len(page.all("table")) >= 3
    named = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(named) == len(set(named))
    pointed = [
        target for _, attributes in page.tags for key in ("aria-labelledby", "aria-describedby", "aria-controls")
        for target in attributes.get(key, "").split()
    ]
    pointed += [each["href"][1:] for each in page.all("a") if each["href"].startswith("#")]
    assert pointed
    assert set(pointed) <= set(named)
    assert len(page.under("label")) == len(page.all("input")) + len(page.all("select")) == 2
    assert [each for _, each in page.tags if each.get("role") == "status"] == [{"id": "shown", "role": "status"}]
    for each in page.all("svg"):
        assert each["role"] == "img"
        assert each["aria-labelledby"]


def test_without_a_script_every_node_is_there_and_no_control():
    page = parsed()
    rows = [attributes for attributes in page.all("tr") if "data-state" in attributes]
    assert len(rows) == 60
    assert not any("hidden" in attributes for attributes in rows)
    assert page.all("button") == []
    assert [each["class"] for each in page.all("div") if "hidden" in each] == ["controls"]
    assert {name for name in page.under("th") if name.endswith(".example")} == {
        outcome.record.name for outcome in RUN.outcomes
    }


def test_the_verdict_comes_first_and_then_what_needs_a_person():
    page = parsed()
    counts = "1 stale, 1 reboot required, 1 unreachable, 52 patched, 5 already patched"
    assert page.under("h1") == [f"example: 3 of 60 nodes are not good ({counts})."]
    assert page.under("h2") == [
        "What needs a person", "Nodes at risk", "What may have leaked", "Services", "Nodes", "This run",
    ]
    assert page.under("h3")[:3] == [
        "still running the old library: /opt/billing/bin/billingd", "only a reboot helps: PID 1 runs the old library",
        "Connection refused (nothing was changed on it)",
    ]
    assert "restart them, or reboot the node" in page.under("p")


def test_what_there_is_nothing_of_is_left_out():
    good = replace(example.run(2), exposure=(), followup=(), described=())
    assert parsed(good).under("h2") == ["Nodes at risk", "Services", "Nodes", "This run"]
    for outcome in good.outcomes:
        outcome.record.state, outcome.record.actions, outcome.record.stale_before = State.NOT_AFFECTED, [], []
    assert parsed(good).under("h2") == ["Nodes", "This run"]
    assert parsed(replace(good, outcomes=())).under("h2") == ["Nodes", "This run"]


def test_each_node_has_its_before_and_after():
    page = parsed()
    facts = page.under("dd")
    assert "libssl3 3.0.20-1~deb12u2 → 3.0.22-1~deb12u2" in facts
    assert {"upgraded nginx in place", "reloaded ssh", "restarted stunnel4"} <= set(facts)
    assert "no_stale_process failed: /opt/billing/bin/billingd maps a deleted library" in facts
    assert "/opt/billing/bin/billingd" in page.under("th"), "among the services, as one that still runs it"


def test_the_run_tells_what_it_was_made_with():
    facts = parsed().under("dd")
    assert {"styptic 0.1.0", "python 3.11.4", "openssl_patch 1.0.0", "5c1e" * 16} <= set(facts)
    assert "ada@admin1.example, ticket OPS-7" in facts


def test_certificates_at_risk_are_listed_and_the_others_counted():
    exposed, reused = RUN.exposure
    fine = reused | {"exposed": False, "key_reused": False, "node": "fine1"}
    unknown = fine | {"exposed": None, "node": "unknown1"}
    page = parsed(replace(RUN, exposure=(unknown, fine, exposed, fine)))
    listed = [text.removesuffix(":") for text in page.under("bdi") if text in (exposed["node"], "fine1", "unknown1")]
    assert listed[-2:] == [exposed["node"], "unknown1"]
    assert "2 certificates are not at risk and not listed; report.json has all." in page.under("p")
    assert exposed["key_sha256"] in page.under("dd")


def test_a_long_curve_is_drawn_to_its_end():
    paths = [each["d"] for each in parsed(example.run(400)).all("path") if each.get("class") == "line"]
    assert [path.endswith(f"H{width - 14}") for path, width in zip(paths, html.WIDTHS, strict=True)] == [True, True]
    assert max(map(len, paths)) > html.MOST
