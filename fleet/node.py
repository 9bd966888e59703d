"""A node as the rollout sees it, and the states it can end in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Where a node stands. Every node of a rollout ends in one of these, and is counted once."""

    PENDING = "pending"
    UNREACHABLE = "unreachable"
    NOT_AFFECTED = "not_affected"
    UNKNOWN = "unknown"
    ALREADY_PATCHED = "already_patched"
    PATCHED = "patched"
    REBOOT_REQUIRED = "reboot_required"
    STALE = "stale"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def good(self) -> bool:
        """True for a node that needs nobody: exit code 0 asks that every node not skipped is so."""
        return self in (State.PATCHED, State.ALREADY_PATCHED, State.NOT_AFFECTED)


@dataclass(frozen=True, slots=True)
class Node:
    """What the Chef server's search says of a node. Untrusted: it chooses whom to ask and proves nothing.

    `packages` are the packages it was asked for that ohai reported, name to version; `reports_packages` is whether it
    reported any package at all. `ohai_time` is when the node last reported, in seconds since the epoch, None when it
    never did. `group` is its value of the attribute that `--spread-by` names. With `--host-keys chef`, `host_keys` are
    the host keys of its sshd as ohai has them, Ohai's name to text, and `rivals` the nodes with the same address.
    One that is `unindexed` is in the server's list of its environment and not in its search: the rest is not known.
    """

    name: str
    environment: str
    address: str | None = None
    platform: str | None = None
    release: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    ohai_time: float | None = None
    policy_name: str | None = None
    reports_packages: bool = False
    group: str | None = None
    host_keys: Mapping[str, str] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()
    unindexed: bool = False


@dataclass(slots=True)
class NodeRecord:
    """One node's line in the report: what was found, what was done, how it ended.

    Packages are name to version; stale processes are dictionaries with pid, kind, command, service and library
    (`stale_before` once the packages are upgraded and before anything was refreshed, `stale_after` over a fresh
    connection at the end); `seconds` is the wall-clock time this node took; `wave` counts from 1, 0 is no wave.
    `note` is what has to be known of a good end that is not as good as it looks.
    """

    name: str
    address: str | None
    environment: str
    platform: str | None
    release: str | None
    wave: int = 0
    state: State = State.PENDING
    packages_before: dict[str, str] = field(default_factory=dict)
    packages_after: dict[str, str] = field(default_factory=dict)
    stale_before: list[dict] = field(default_factory=list)
    stale_after: list[dict] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    note: str | None = None
    started: datetime | None = None

    @property
    def left_alone(self) -> bool:
        """True for a node that counts neither as good nor as bad: it was skipped before it had a place in a wave."""
        return self.state is State.SKIPPED and not self.wave

    @property
    def kept_in(self) -> bool:
        """True for a node that was skipped in its place in a wave, because its drain failed: it needs a person."""
        return self.state is State.SKIPPED and bool(self.wave)
