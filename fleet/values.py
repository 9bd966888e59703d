"""What a setting's value says: a whole number within bounds, a time with or without a unit."""

import re

from fleet.errors import SettingsError
from fleet.text import clean

WEEK = 7 * 86_400  # seconds; a time longer than that is a slip, and some are more than a clock takes
UNITS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}


def number(value: object, least: int, most: int | None, where: str) -> int:
    """Return a whole number of at least `least` and, if given, at most `most`."""
    try:
        found = int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    except ValueError:
        found = None
    if found is None or found < least or (most is not None and found > most):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise SettingsError(f"{where} must be a whole number {wanted}, not {clean(str(value))!r}.")
    return found


def duration(value: object, where: str) -> int:
    """Return a time in seconds, written as such or as a whole number with one of UNITS behind it."""
    said = re.fullmatch(r"(\d{1,9}) ?([a-z]*)", str(value).strip(), re.ASCII)
    if isinstance(value, bool) or not said or said[2] not in UNITS or int(said[1]) == 0:
        raise SettingsError(
            f"{where} must be seconds, or a number with a unit (90min, 24h, 7d), not {clean(str(value))!r}."
        )
    return int(said[1]) * UNITS[said[2]]
