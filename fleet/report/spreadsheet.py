"""A cell of CSV that a spreadsheet takes for text."""

from fleet.text import clean

# What a spreadsheet takes for a formula, in full width too, which East Asian ones do; a tab or a line break at the
# beginning, which some skip, is gone by then: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
MOST = 30_000  # characters; 32,767 is what a cell of Excel holds:
# https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3


def cell(value: str, most: int = MOST) -> str:
    """Return a text as one line of at most `most` characters; what would be a formula has an apostrophe before it."""
    text = clean(value, most)
    return f"'{text}" if text.startswith(FORMULA) else text
