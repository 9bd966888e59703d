"""How a node ends: its state, and in a sentence each why and what to do, from what it said and what was proven."""

from collections.abc import Sequence

from fleet import live_seen, look
from fleet.converge import Result
from fleet.look import Look
from fleet.node import State
from fleet.report.record import Check
from fleet.text import clean
from generator.verdict import NEWEST

UNREAD = "every_process_could_be_looked_into"  # the check that fails with Look.unread, which is no fault of the patch


def of(
    verdict, now: Look, checks: Sequence[Check], result: Result | None, owed: Sequence[str], changed: bool = True
) -> tuple[State, str | None, str | None]:
    """Return the state, why, and what to do; the latter two are None where nothing is wrong.

    `now` is the node at its end and `verdict` what the advisories say of its packages; `result` is the converge's, None
    where there was none; `owed` are the sentences that say why it owes a reboot. `changed` is whether that converge
    upgraded or refreshed anything: on day zero nobody knows before it whether there is anything newer.
    """
    broken = [check for check in checks if check.outcome == "failed" and not (now.unread and check.name == UNREAD)]
    if bleeds := live_seen.said(checks, "failed"):
        return State.FAILED, "; ".join(bleeds), live_seen.TODO
    if verdict.kind == "vulnerable":
        todo = "see that its package mirror has the fixed version, then patch again" if result else "patch it"
        return State.FAILED, f"still vulnerable: {verdict.reason}", todo
    if owed:
        return State.REBOOT_REQUIRED, f"only a reboot helps: {'; '.join(owed[:5])}", "reboot it, then verify"
    if now.counted:
        return State.STALE, f"still running the old library: {look.named(now.counted)}", refresh(now, result)
    if broken:
        said = "; ".join(f"{check.name}: {clean(check.message, 200)}" for check in broken[:3])
        return (
            State.FAILED, f"{len(broken)} of {len(checks)} checks failed: {said}",
            "mend what they name, then patch again",
        )
    if verdict.kind == "unknown":
        return State.UNKNOWN, verdict.reason, None
    if unproven := live_seen.said(checks, "error"):
        return State.UNKNOWN, "; ".join(unproven), None
    if now.unread:
        todo = "see why root may not read their maps (another user namespace, a security module)"
        return State.UNKNOWN, f"{now.unread} processes could not be looked into, so none is called clean", todo
    if result and (changed or verdict.kind != NEWEST):
        return State.PATCHED, None, None
    return (State.ALREADY_PATCHED if verdict.kind in ("fixed", NEWEST) else State.NOT_AFFECTED), None, None


def refresh(now: Look, result: Result | None) -> str:
    """Return what a person does about the stale processes: the recipe's own commands where it has any."""
    commands = list(dict.fromkeys(each["command"] for each in result.not_touched)) if result else []
    if commands:
        return "; ".join(commands[:10])
    if all(each["kind"] == "session" for each in now.counted):
        return "have them log in anew, then verify"
    if result is None and any(each["kind"] in ("service", "init") for each in now.counted):
        return "patch it: services that the data names are refreshed"
    return "restart them, or reboot the node" if all(each["kind"] != "init" for each in now.counted) else "reboot it"
