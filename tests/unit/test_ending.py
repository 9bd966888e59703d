"""How a node ends, by what it said and what was proven."""

from types import SimpleNamespace

import pytest

from fleet import ending
from fleet.look import Look
from fleet.node import State
from fleet.report.record import Check
from generator import probe

SAYS = {
    kind: SimpleNamespace(kind=kind, reason=reason) for kind, reason in {
        "fixed": "it is", "newest": "nobody says so", "unknown": "who knows", "vulnerable": "libssl3 3.0 is below 3.1",
    }.items()
}
NONE_READ = Check(ending.UNREAD, "failed", "2 processes could not be looked into")
PASSED = (Check("packages_are_fixed", "passed", ""),)
RESULT = SimpleNamespace(not_touched=({"service": "postgresql", "command": "service postgresql restart"},))


def stale(kind: str, service: str | None = None) -> dict:
    return {"pid": 7, "kind": kind, "service": service, "command": "x", "library": "/l.so"}


def now(*processes: dict, unread: int = 0, kinds=probe.COUNTED) -> Look:
    return Look(0, "web1", None, {}, processes, unread, kinds)


@pytest.mark.parametrize(("verdict", "look", "result", "owed", "state", "said"), [
    ("fixed", now(), RESULT, (), State.PATCHED, None),
    ("fixed", now(), None, (), State.ALREADY_PATCHED, None),
    ("fixed", now(stale("session")), RESULT, (), State.PATCHED, None),
    ("fixed", now(stale("session"), kinds=probe.STRICT), RESULT, (), State.STALE, "still running the old library"),
    ("fixed", now(stale("service"), kinds=frozenset()), RESULT, (), State.PATCHED, None),
    ("fixed", now(stale("init")), RESULT, ("PID 1 is old",), State.REBOOT_REQUIRED, "only a reboot helps: PID 1"),
    ("fixed", now(), RESULT, ("kernel 1 runs",), State.REBOOT_REQUIRED, "only a reboot helps: kernel 1 runs"),
    ("vulnerable", now(), RESULT, ("PID 1 is old",), State.FAILED, "still vulnerable: libssl3 3.0 is below 3.1"),
    ("fixed", now(unread=2), RESULT, (), State.UNKNOWN, "2 processes could not be looked into"),
    ("fixed", now(unread=2), None, (), State.UNKNOWN, "2 processes could not be looked into"),
    ("fixed", now(stale("service", "x"), unread=2), None, (), State.STALE, "still running the old library: x"),
    ("unknown", now(), RESULT, (), State.UNKNOWN, "who knows"),
    ("newest", now(), RESULT, (), State.PATCHED, None),
    ("newest", now(), None, (), State.ALREADY_PATCHED, None),
])
def test_the_worst_that_is_so_is_how_it_ends(verdict, look, result, owed, state, said):
    checks = (*PASSED, NONE_READ) if look.unread else PASSED
    found, why, _ = ending.of(SAYS[verdict], look, checks, result, owed)
    assert found is state
    assert why is None if said is None else why.startswith(said)


@pytest.mark.parametrize(("verdict", "state"), [("newest", State.ALREADY_PATCHED), ("fixed", State.PATCHED)])
def test_on_day_zero_a_converge_that_changed_nothing_found_the_node_patched(verdict, state):
    assert ending.of(SAYS[verdict], now(), PASSED, RESULT, (), changed=False)[0] is state


def test_a_check_that_fails_is_named_in_full():
    handshake = Check("tls_is_answered[443]", "failed", "nothing answers a TLS handshake on port 443, nginx's before")
    state, why, todo = ending.of(SAYS["fixed"], now(), (*PASSED, handshake), RESULT, ())
    assert (state, todo) == (State.FAILED, "mend what they name, then patch again")
    assert why == f"1 of 2 checks failed: tls_is_answered[443]: {handshake.message}"


@pytest.mark.parametrize(("look", "result", "todo"), [
    (now(stale("service", "postgresql")), RESULT, "service postgresql restart"),
    (now(stale("service", "nginx")), None, "patch it: services that the data names are refreshed"),
    (now(stale("session"), kinds=probe.STRICT), None, "have them log in anew, then verify"),
    (now(stale("orphan")), None, "restart them, or reboot the node"),
])
def test_what_to_do_about_what_is_stale(look, result, todo):
    assert ending.of(SAYS["fixed"], look, PASSED, result, ())[2] == todo
