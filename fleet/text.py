"""Makes text that somebody else wrote fit for a terminal, a log line or a report."""

import unicodedata

# Unicode's controls, formats (bidirectional overrides, zero widths), surrogates, private use, unassigned, separators.
UNFIT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str, limit: int = 300) -> str:
    """Return `text` as one line of at most `limit` characters without anything that moves a cursor or hides text.

    White space runs become one space, unfit characters become `?`, and what is cut off is marked with an ellipsis.
    """
    words = " ".join(text[: 4 * limit].split())
    fit = "".join("?" if unicodedata.category(char) in UNFIT else char for char in words)
    return fit if len(fit) <= limit and len(text) <= 4 * limit else fit[: limit - 1] + "…"


def last_lines(output: bytes, count: int = 6, limit: int = 300) -> str:
    """Return the last `count` lines of a program's output that say something, cleaned and joined with ` | `."""
    lines = [line for line in output[-16_384:].decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(clean(line, limit) for line in lines[-count:])
