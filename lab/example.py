"""A made-up run, as the report of a real one holds it: for screenshots and for measuring the page. No node is real."""

import dataclasses
import random
from datetime import UTC, datetime, timedelta

from fleet.exposure_item import EXPOSED, REISSUED, Item, as_dict
from fleet.node import NodeRecord, State
from fleet.report.record import NOT_TOUCHED, Check, Outcome, Run

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RELEASES = (
    ("debian", "12.5", "libssl3", "3.0.20-1~deb12u2", "3.0.22-1~deb12u2"),
    ("debian", "7.4", "libssl1.0.0", "1.0.1e-2+deb7u4", "1.0.1e-2+deb7u5"),
    ("centos", "6.5", "openssl", "1.0.1e-16.el6_5.4", "1.0.1e-16.el6_5.7"),
)
SERVICES = (("nginx", "upgraded nginx in place"), ("ssh", "reloaded ssh"), ("stunnel4", "restarted stunnel4"),
            ("postgresql", "restarted postgresql"), ("haproxy", "restarted haproxy"))
CHECKS = ("no_vulnerable_package", "no_stale_process", "services_run", "tls_answers", "no_unowned_copy",
          "every_process_could_be_looked_into")
ENDS = (
    (State.FAILED, "chef-client ended with 1: E: Unable to locate package (nothing was changed on it)",
     "see that its package mirror has the fixed version, then patch again"),
    (State.STALE, "still running the old library: /opt/billing/bin/billingd", "restart them, or reboot the node"),
    (State.REBOOT_REQUIRED, "only a reboot helps: PID 1 runs the old library", "reboot it, then verify"),
    (State.UNREACHABLE, "Connection refused (nothing was changed on it)", None),
    (State.UNKNOWN, "no row for its release; it was left alone", "give --include-unknown to patch it all the same"),
)


def run(nodes: int = 60, seed: int = 1) -> Run:
    """Return a run of so many nodes, of which about one in twenty needs a person: the same for the same `seed`."""
    dice = random.Random(seed)  # noqa: S311 - an example
    outcomes, clock = [], 0.0
    for number in range(nodes):
        wave = 1 if number < 3 else 2 if number < max(4, nodes // 10) else 3
        clock += dice.uniform(0.2, 1.2) if number not in (3, nodes // 10) else 20.0
        outcomes.append(_outcome(dice, number, wave, clock))
    finished = BEGAN + timedelta(seconds=clock + 12)
    described = {"id": "CVE-2014-0160", "title": "Heartbleed: TLS heartbeats read past the end of memory",
                 "severity": "high", "follow_up": "reissue keys and certificates, revoke the old ones"}
    cookbook = {"name": "openssl_patch", "version": "1.0.0", "sha256": "5c1e" * 16}
    return Run(
        "20260102T030405Z-1a2b", "example", "chef_environment:example", ("CVE-2014-0160",), cookbook, BEGAN, finished,
        2, tuple(sorted(outcomes, key=lambda each: each.record.name)), "ada@admin1.example", "OPS-7",
        server="https://chef.example/organizations/example", described=(described,),
        versions={"styptic": "0.1.0", "python": "3.11.4", "asyncssh": "2.24.1"},
        exposure=tuple(_certificate(number) for number in range(2)), followup=_followup(),
    )


def _outcome(dice: random.Random, number: int, wave: int, clock: float) -> Outcome:
    platform, release, package, before, after = RELEASES[number % 3]
    record = NodeRecord(
        f"{('web', 'db', 'legacy')[number % 3]}{number:04}.example", f"192.0.2.{number % 254 + 1}", "example", platform,
        release, wave, State.PATCHED, {package: before}, {package: after}, seconds=dice.uniform(2.5, 9),
        started=BEGAN + timedelta(seconds=clock),
    )
    chosen = dice.sample(SERVICES, k=dice.randint(1, 3))
    record.stale_before = [
        {"pid": dice.randint(200, 30_000), "kind": "service", "command": name, "service": name,
         "library": "/usr/lib/libssl.so"} for name, _ in chosen
    ]
    record.actions = [action for _, action in chosen]
    checks = tuple(Check(name, "passed") for name in CHECKS)
    if wave == 3 and number % 19 == 0:
        return _bad(record, checks, *ENDS[number // 19 % len(ENDS)])
    if number % 11 == 0 and wave == 3:
        record.state, record.packages_before, record.actions = State.ALREADY_PATCHED, {package: after}, []
        record.stale_before, record.wave = [], 0
    return Outcome(record, checks)


def _bad(record: NodeRecord, checks: tuple[Check, ...], state: State, error: str, todo: str | None) -> Outcome:
    record.state, record.error = state, error
    if state in (State.FAILED, State.UNREACHABLE, State.UNKNOWN):
        record.packages_after, record.actions, record.stale_before, checks = record.packages_before, [], [], ()
    if state is State.STALE:
        record.stale_after = [{"pid": 4711, "kind": "orphan", "command": "/opt/billing/bin/billingd", "service": None,
                               "library": "/usr/lib/libssl.so"}]
        checks = (Check(CHECKS[1], "failed", "/opt/billing/bin/billingd maps a deleted library"), *checks[2:])
    return Outcome(record, checks, todo)


def stopped(run: Run) -> Run:
    """Return the run as it would be, had a limit stopped it before its last wave."""
    for outcome in run.outcomes:
        record = outcome.record
        if record.wave == 3:
            record.state, record.wave, record.started, record.seconds = State.SKIPPED, 0, None, 0.0
            record.error = f"{NOT_TOUCHED}the canary web0000.example failed"
    return dataclasses.replace(run, exit_code=3)


def unfinished(run: Run) -> Run:
    """Return the run as the journal has one that was killed."""
    return dataclasses.replace(run, finished=None, exit_code=None, stage="broken off")


def _certificate(number: int) -> dict:
    name = f"{('web', 'db')[number]}{number:04}.example"
    verdict, why, issued = (
        (EXPOSED, "it was issued before the node was patched", BEGAN - timedelta(days=200)),
        (REISSUED, "it was issued after the node was patched, for a key from before", BEGAN + timedelta(hours=2)),
    )[number]
    return as_dict(Item(
        name, f"/etc/ssl/{name}.pem", ("nginx",), verdict, why, f"CN={name}", (name, f"www.{name}"), "CN=Example CA",
        "4f2a" * 8, "a1b2" * 16, "c3d4" * 16, issued, issued + timedelta(days=36_500),
    ))


def _followup() -> tuple[dict, ...]:
    return (
        {"item": "service-passwords", "title": "Change the passwords of services", "by": "ada@admin1.example",
         "why": "they passed through memory that leaked", "done_at": "2026-01-02T05:00:00.000Z", "note": "OPS-8"},
        {"item": "sessions", "title": "Expire all session cookies", "why": "whoever has one is logged in",
         "done_at": None, "by": None, "note": None},
    )
