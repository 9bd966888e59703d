"""Reading what a Chef server answered: another form than the API's is one sentence, whatever it would set off."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.errors import ChefServerError
from generator.errors import StypticError

# What taking JSON of an unknown form apart can raise: a missing key, a number for a list, 1e999 as an int, too many [.
ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

DEEPEST = 100  # levels of an answer that are read; a node's attributes may have more, and the others' count too
DIGITS = 300  # of a whole number: what is longer is no float, and Python reads no more than 4300
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def decoded(content: bytes):
    """Return the JSON of an answer; raises ValueError for what is none.

    One node's attribute must not cost the answer on 10,000 others: a whole number that is too long is infinite, and
    what is nested too deeply is None.
    """
    try:
        return json.loads(content, parse_int=_whole)
    except RecursionError:
        return json.loads(_shallow(content), parse_int=_whole)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= DIGITS else -math.inf if digits.startswith("-") else math.inf


def _shallow(content: bytes) -> bytes:
    """Return JSON with a null in place of whatever lies deeper than DEEPEST."""
    parts, depth, taken = [], 0, 0
    for found in _BRACKETS.finditer(content):
        if found[0] in b"[{":
            depth += 1
            if depth == DEEPEST + 1:
                parts += [content[taken:found.start()], b"null"]
        elif found[0] in b"]}":
            if depth == DEEPEST + 1:
                taken = found.end()
            depth -= 1
    return b"".join([*parts, content[taken:]])


@contextmanager
def reading(server, asked: str) -> Iterator[None]:
    """Raise ChefServerError for whatever an answer of an unknown form sets off in this block; `asked` says for what."""
    try:
        yield
    except StypticError:
        raise
    except ODD as error:
        raise ChefServerError(
            f"{server.url} answered {asked} with something else than a Chef server does: check chef_server_url"
        ) from error


def word(value) -> str:
    """Return a text as it is; raises TypeError for anything else, and for what no text can be written with."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    value.encode()  # half a surrogate pair, which JSON can spell, ends here and not in a file or a header
    return value
