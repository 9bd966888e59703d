"""What was seen of a TLS service from outside, and what it means for the node's proof."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.report.record import OUTSIDE, Check

#: What a person does about a port that bleeds.
TODO = "stop or upgrade what listens there now; its keys may have leaked: replace them and its certificates after"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The first certificate of a chain: whose it is, and from when until when (UTC) it holds."""

    subject: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """One port as it answered. What was not told is None.

    `bleeds` is whether it answered a heartbeat with memory; `protocol` the highest it speaks, in words; `unreached`
    why no connection came about; `trouble` why a question had no answer.
    """

    port: int
    bleeds: bool | None = None
    protocol: str | None = None
    certificates: tuple[Certificate, ...] = ()
    unreached: str | None = None
    trouble: str | None = None


def checks(seen: Seen, by: str, now: datetime | None = None) -> list[Check]:
    """Return the checks of one port; `by` names the program that asked.

    Only a heartbeat fails the node, and a heartbeat that was not answered for sure is an "error": nothing is proven.
    A port that is not reached from here and a certificate out of its time are told as skipped.
    """
    port = seen.port
    if seen.unreached is not None:
        return [Check(f"{OUTSIDE}[{port}]", "skipped", f"port {port} is not reached from here: {seen.unreached}")]
    if seen.bleeds:
        heartbeat = ("failed", f"answers a heartbeat with memory it should not (CVE-2014-0160), port {port}")
    elif seen.bleeds is None:
        why = seen.trouble or "it was not told"
        heartbeat = ("error", f"port {port}: whether a heartbeat gives memory away (CVE-2014-0160) is unknown: {why}")
    else:
        heartbeat = ("passed", f"port {port} gives no memory away (CVE-2014-0160), says {by}")
    protocol = ("passed", f"port {port} speaks {seen.protocol}") if seen.protocol else (
        "skipped", f"port {port}: the protocol was not told by {by}"
    )
    certificate = of_certificates(seen, now or datetime.now(UTC))
    found = {"heartbeat": heartbeat, "protocol": protocol, "certificate": certificate}
    return [Check(f"{OUTSIDE}_{what}[{port}]", *said) for what, said in found.items()]


def of_certificates(seen: Seen, now: datetime) -> tuple[str, str]:
    """Return what is to say of a port's certificates: of the one that ends first."""
    if not seen.certificates:
        return "skipped", f"port {seen.port}: no certificate was told"
    first = min(seen.certificates, key=lambda each: each.ends)
    late = max(seen.certificates, key=lambda each: each.begins)
    if first.ends < now:
        return "skipped", f"port {seen.port}: the certificate of {first.subject} expired on {first.ends:%Y-%m-%d}"
    if late.begins > now:
        begins = f"{late.begins:%Y-%m-%d}"
        return "skipped", f"port {seen.port}: the certificate of {late.subject} is not valid before {begins}"
    return "passed", f"port {seen.port}: the certificate of {first.subject} is valid until {first.ends:%Y-%m-%d}"


def said(found: Iterable[Check], *outcomes: str) -> list[str]:
    """Return what those of these checks say that asked from outside, and had one of these outcomes (none: any)."""
    return [
        check.message for check in found
        if check.name.startswith(OUTSIDE) and (not outcomes or check.outcome in outcomes)
    ]
