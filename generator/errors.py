"""The root of every error Styptic raises on purpose, and the generator's own children of it."""


class StypticError(Exception):
    """Something that can happen did: one sentence that says what, and what to do.

    The front door prints the sentence and exits with `exit_code`; nobody sees a traceback for it.
    """

    exit_code = 1


class AdvisoryError(StypticError, ValueError):
    """An advisory is unknown, unreadable or wrong: the message names file, key and reason."""


class FeedError(StypticError, ValueError):
    """A feed's record is not as that feed writes it, or cannot be merged; no file was changed."""


class RenderError(StypticError):
    """A template could not be rendered; what stood at the destination stands there unchanged."""


class ProbeError(StypticError, ValueError):
    """What a node sent back is not a whole answer of the probe; it is never read as clean."""
