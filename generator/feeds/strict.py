"""A feed's JSON, taken apart strictly: what is not as the feed writes it is an error that names the place."""

import json
import re
from typing import TypeVar

from generator.errors import FeedError

CVE = re.compile(r"CVE-\d{4}-\d{4,19}", re.ASCII)
#: Of one list in a record; the longest real ones (a kernel's packages by release) have some thousands.
MOST = 20_000
Kind = TypeVar("Kind", dict, list, str)
_NAMES = {dict: "an object", list: "a list", str: "text"}


def loads(data: bytes, feed: str) -> object:
    """Return the JSON in `data`; raises FeedError where it is none, or is nested or sized beyond reason."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is a plain ValueError
        raise FeedError(f"{feed} is not JSON: {_reason(error)}.") from error


def utf8(data: bytes, feed: str) -> str:
    """Return `data` as text; raises FeedError where it is not UTF-8, as JSON must be."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FeedError(f"{feed} is not JSON: {_reason(error)}.") from error


def get(data: dict, key: str, kind: type[Kind], where: str) -> Kind | None:
    """Return data[key], None where it is absent or null; raises FeedError where it is of another kind."""
    value = data.get(key)
    if value is None:
        return None
    if type(value) is not kind:
        raise FeedError(f"{where} is not as that feed writes it: {key} is not {_NAMES[kind]}.")
    return value


def objects(data: dict, key: str, where: str) -> list[dict]:
    """Return the list of objects data[key], [] where it is absent; raises FeedError for anything else in it."""
    return _all(data, key, dict, "objects", where)


def texts(data: dict, key: str, where: str) -> list[str]:
    """Return the list of texts data[key], [] where it is absent; raises FeedError for anything else in it."""
    return _all(data, key, str, "text", where)


def _all(data: dict, key: str, kind: type[Kind], called: str, where: str) -> list[Kind]:
    found = get(data, key, list, where) or []
    if len(found) > MOST:
        raise FeedError(f"{where} has more than {MOST} {key}: that is no record of one CVE.")
    if not all(type(each) is kind for each in found):
        raise FeedError(f"{where} is not as that feed writes it: {key} holds something else than {called}.")
    return found


def word(data: dict, key: str, where: str) -> str:
    """Return the text data[key] as one printable line, "" where it is absent; raises FeedError for another kind."""
    return line(get(data, key, str, where) or "")


def line(text: str, limit: int = 200) -> str:
    """Return `text` as one printable line of at most `limit` characters, fit for TOML and for a terminal."""
    words = " ".join(text[: 4 * limit].split())
    fit = "".join(char if char.isprintable() else "?" for char in words)
    return fit if len(fit) <= limit and len(text) <= 4 * limit else fit[: limit - 1] + "…"


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else line(str(error), 120)
