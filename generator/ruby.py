"""The one place where values become Ruby."""

import re
from collections.abc import Mapping

#: Words that %w() takes as they are: Ruby, doc/syntax/literals.rdoc.
_WORD = re.compile(r"[A-Za-z0-9_./:+-]+")


def literal(value: object) -> str:
    """Return `value` as a Ruby literal that evaluates to it and to nothing else.

    Takes None, booleans, integers, strings, lists, tuples and mappings of these. Strings come single-quoted, where Ruby
    interpolates nothing and reads `\\\\` and `\\'` alone as escapes (Ruby: doc/syntax/literals.rdoc); a list of plain
    words comes as Cookstyle wants it, %w(). Raises TypeError for any other type, ValueError for a string that is no
    Unicode text or holds a NUL.
    """
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a string with a NUL byte has no place in a cookbook")
        value.encode()  # raises for a lone surrogate, which no UTF-8 file can carry
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, (list, tuple)):
        if len(value) > 1 and all(isinstance(each, str) and _WORD.fullmatch(each) for each in value):
            return f"%w({' '.join(value)})"
        return f"[{', '.join(literal(each) for each in value)}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{literal(key)} => {literal(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    raise TypeError(f"{type(value).__name__} has no Ruby literal here")
