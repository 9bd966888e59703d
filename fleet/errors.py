"""What can go wrong between here and a node: children of StypticError that a caller can act on."""

from generator.errors import StypticError


class SettingsError(StypticError, ValueError):
    """A setting or a flag is missing, wrong or contradicts another; the message names where it stands."""


class ChefServerError(StypticError):
    """The Chef server refused or failed; the message carries the server's own words, `status` its HTTP status.

    `again` says whether another attempt could end otherwise.
    """

    status: int | None = None
    again = False


class AuthenticationError(ChefServerError):
    """The server does not accept our signature: wrong name, wrong key, or a clock that is off."""


class NotFoundError(ChefServerError):
    """The server has no such object."""


class ConflictError(ChefServerError):
    """The server holds something else under this name: a frozen cookbook version, say."""


class ChangedError(ConflictError):
    """Somebody else changed an object while we were about to; reading it anew says what it is now."""

    again = True


class PinError(ConflictError):
    """An environment's constraint would give its nodes another version of the cookbook than ours."""


class IncompleteSearchError(ChefServerError):
    """The server's search ends before its matches do; `rows` are those it gave."""

    rows: list[dict] = []  # noqa: RUF012 - set by who raises it


class ServerUnreachableError(ChefServerError, ConnectionError):
    """The server did not answer: name, port, network, TLS or time-out."""

    again = True


class LockError(ChefServerError):
    """The server keeps no lock for us; nothing was changed."""


class LockedError(LockError):
    """Another run holds the lock on an environment: nothing was changed, as where a rollout is stopped at once."""

    exit_code = 3


class NoNodesError(StypticError):
    """The search matched no node. knife ssh ends with 10 then, and so do we."""

    exit_code = 10


class NothingToResumeError(StypticError):
    """The run ended with 0, and so does who asks to resume it."""

    exit_code = 0


class StoppedError(StypticError):
    """The rollout was stopped before anything was changed on this node."""


class NotYetError(StypticError):
    """The wave that is going has no place for this node; nothing was changed on it, and its turn comes."""


class UnreachableError(StypticError, ConnectionError):
    """No connection to a node came about; nothing was changed on it."""


class NodeError(StypticError):
    """A step on a node failed after the connection stood."""


class HookError(StypticError):
    """A hook could not be started, failed or took too long; the message says how, in the hook's own last words."""


class LostError(NodeError):
    """The connection to a node broke in a step on it; what it ran may still run there."""


class LiveError(StypticError):
    """No program can be had here that asks nodes from outside."""


class DownloadError(StypticError, ConnectionError):
    """A URL gave no whole answer; `reached` says that its server answered, and `status` with which HTTP status."""

    reached = False
    status: int | None = None


class NodeTimeoutError(NodeError, TimeoutError):
    """A step on a node did not end within its time."""
