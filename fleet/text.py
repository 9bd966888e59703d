"""Makes text that somebody else wrote fit for a terminal, a log line or a report."""

import math
import unicodedata
from collections.abc import Container, Iterator, Sequence

from fleet.redact import redacted

# Unicode's controls, formats (bidirectional overrides, zero widths), surrogates, private use, unassigned, separators.
UNFIT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str, limit: int = 300) -> str:
    """Return `text` as one line of at most `limit` characters without anything that moves a cursor or hides text, and
    without what looks like a secret.

    White space runs become one space, unfit characters become `?`, and what is cut off is marked with an ellipsis.
    """
    words = redacted(" ".join(text[: 4 * limit].split()))
    if words.isprintable():  # which none of these is
        fit = words
    else:
        fit = "".join("?" if unicodedata.category(char) in UNFIT else char for char in words)
    return fit if len(fit) <= limit and len(text) <= 4 * limit else fit[: limit - 1] + "…"


def last_lines(output: bytes, count: int = 6, limit: int = 300) -> str:
    """Return the last `count` lines of a program's output that say something, cleaned and joined with ` | `."""
    text = redacted(output[-16_384:].decode(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip()]
    return " | ".join(clean(line, limit) for line in lines[-count:])


def aligned(rows: Sequence[Sequence[str]], right: Container[int] = (), limit: int = 120) -> Iterator[str]:
    """Yield rows of as many cells each as lines of aligned columns; the columns numbered in `right` hold numbers.

    Cells are cleaned, and cut to `limit` characters.
    """
    cells = [[clean(cell, limit) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = zip(range(len(row)), row, widths, strict=True)
        yield "  ".join(cell.rjust(width) if at in right else cell.ljust(width) for at, cell, width in padded).rstrip()


def aged(moment: float | None, now: float) -> str:
    """Return how long before `now` a moment was, in one unit; both in seconds since the epoch, None is never."""
    if moment is None or not math.isfinite(moment):
        return "never"
    seconds = max(0, int(now - moment))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
