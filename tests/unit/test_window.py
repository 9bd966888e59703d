"""When a node could be bled: what logs, databases and earlier runs prove of it, and what they do not."""

from dataclasses import dataclass

import pytest

from fleet import window
from fleet.window import CLOSED, NEVER, OPEN, UNKNOWN, UNPROVEN, UNSEEN, Proof, Span
from generator.exposure import Event, Found

OLD, NEW = "3.0.1", "3.0.2"
KINDS = {OLD: "vulnerable", NEW: "fixed", "3.0.3": "fixed", "?": "unknown", "0.9": "not_affected"}


@dataclass
class Verdict:
    kind: str
    reason: str = "for a reason"


def judge(packages):
    kinds = [KINDS[version] for version in packages.values()]
    return Verdict(next((kind for kind in ("vulnerable", "unknown", "fixed") if kind in kinds), "not_affected"))


def event(at, version, before=None, package="libssl3", by=window.DPKG):
    return Event(at, package, version, before, by)


def of(*events, now=NEW, bleeding=None, proofs=(), offset=0, **found):
    return window.of(Found(5000, events=list(events), **found), {"libssl3": now}, judge, bleeding, proofs, offset)


def good(at):
    return Proof(at, True, "us")


def bad(at):
    return Proof(at, False, "us")


INSTALLED, UPGRADED = event(1000, OLD), event(2000, NEW, OLD)


def test_it_is_open_while_the_vulnerable_version_is_there():
    found = of(INSTALLED, now=OLD)
    assert (found.state, found.since.at, found.since.by, found.until) == (OPEN, 1000, "dpkg's log", None)
    assert found.limit.year == 9999


def test_the_upgrade_closes_nothing_until_something_shows_that_no_process_was_left():
    found = of(INSTALLED, UPGRADED)
    assert (found.state, found.since.at, found.replaced.at, found.until) == (UNPROVEN, 1000, 2000, None)
    assert found.limit.timestamp() == 2000
    assert of(INSTALLED, UPGRADED, bleeding="nginx").state == OPEN
    assert of(INSTALLED, UPGRADED, proofs=[good(1500)]).state == UNPROVEN  # that was before


@pytest.mark.parametrize(("proofs", "booted", "until", "by"), [
    ([good(3000), good(4000)], None, 3000, "us"),
    ([good(4000)], 2500, 2500, "the machine was started then"),
    ([good(4000)], 1500, 4000, "us"),
    ([bad(2500), good(2600), bad(3000), good(3000), good(4000)], None, 3000, "us"),
    ([good(1990)], None, 1990, "us"),  # two clocks are not the same to the second
])
def test_the_first_proof_after_it_closes_it(proofs, booted, until, by):
    found = of(INSTALLED, UPGRADED, proofs=proofs, booted=booted)
    assert (found.state, found.until.at, found.until.by) == (CLOSED, until, by)
    assert found.limit == found.until.time


def test_what_is_stale_after_the_proof_runs_a_fixed_version():
    later = event(4000, "3.0.3", NEW)
    found = of(INSTALLED, UPGRADED, later, now="3.0.3", bleeding="nginx", proofs=[good(3000)])
    assert found.state == CLOSED


def test_a_later_downgrade_opens_it_again():
    again = [INSTALLED, UPGRADED, event(3000, OLD, NEW)]
    assert of(*again, now=OLD, proofs=[good(2500)]).state == OPEN
    found = of(*again, event(4000, NEW, OLD), proofs=[good(2500)])
    assert (found.state, found.replaced.at) == (UNPROVEN, 4000)
    assert of(*again, event(4000, NEW, OLD), proofs=[good(2500), good(4500)]).until.at == 4500


def test_the_beginning_is_not_known_where_the_log_begins_later():
    found = of(UPGRADED, proofs=[good(3000)])
    assert (found.state, found.since, found.replaced.at) == (CLOSED, None, 2000)


def test_it_was_never_open_where_a_fixed_version_was_the_first():
    assert of(event(1000, NEW), event(2000, "3.0.3", NEW), now="3.0.3").state == NEVER
    assert of(event(1000, NEW, by="rpm's database")).state == UNSEEN  # what was there before is in no database
    assert of(event(1000, NEW), proofs=[bad(500)]).state == UNPROVEN
    assert of(now="0.9", bleeding="nginx").state == NEVER
    assert of(INSTALLED, event(2000, "0.9", OLD), now="0.9").state == UNPROVEN


def test_what_nothing_shows_is_unseen():
    found = of(lists={"libssl3": 1200})
    assert (found.state, found.limit, found.why) == (UNSEEN, None, "nothing shows which version it had before")
    assert of(proofs=[good(3000)]).until.at == 3000
    assert of(proofs=[bad(2000), good(3000)]).state == CLOSED
    assert of(now="?").state == UNKNOWN


def test_the_time_of_a_list_is_named_as_what_it_is():
    assert of(now=OLD).since is None
    since = of(now=OLD, lists={"libssl3": 1200}).since
    assert str(since) == "1970-01-01T00:20:00Z (the time of dpkg's list of its files)"


def test_a_clock_that_is_ahead_is_set_back():
    found = of(INSTALLED, UPGRADED, proofs=[good(1800)], offset=300, booted=2900)
    assert (found.since.at, found.replaced.at, found.until.at, found.offset) == (700, 1700, 1800, 300)


def test_a_version_that_another_architecture_still_has_is_there():
    both = [INSTALLED, INSTALLED, UPGRADED, event(4000, NEW, OLD)]
    found = of(*both, booted=2500)
    assert (found.state, found.since.at, found.replaced.at, found.until) == (UNPROVEN, 1000, 4000, None)
    assert of(*both, booted=4500).until.at == 4500


def test_a_package_that_was_removed_was_there():
    """As libssl1.1 is once a machine has libssl3: nothing of the new one was there before, and yet it could be bled."""
    gone = event(3000, None, OLD, package="libssl1.1")
    assert of(event(2000, NEW)).state == NEVER
    found = of(event(2000, NEW), gone)
    assert (found.state, found.replaced.at) == (UNPROVEN, 3000)


def test_spans_of_dnfs_log_and_of_one_that_is_not_whole():
    went = event(2001, None, OLD, by="dnf's log")
    assert window.spans([event(2000, NEW, by="dnf's log"), went], NEW) == [
        Span(OLD, None, 2001, "dnf's log"), Span(NEW, 2000, None, "dnf's log"),
    ]
    assert window.spans([INSTALLED], NEW) == [
        Span(OLD, 1000, None, "dpkg's log", True), Span(NEW, None, None, "the package manager"),
    ]
    assert of(INSTALLED, booted=1500).state == UNPROVEN  # it may have gone after the machine's start
    assert window.spans([INSTALLED], None) == [Span(OLD, 1000, None, "dpkg's log", True)]
