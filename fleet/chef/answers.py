"""Reading what a Chef server answered: another form than the API's is one sentence, whatever it would set off."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleet.errors import ChefServerError
from generator.errors import StypticError

# What taking JSON of an unknown form apart can raise: a missing key, a number for a list, 1e999 as an int, too many [.
ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


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
