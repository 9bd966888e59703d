"""Takes out of a text what looks like a secret: programs on nodes print what others configured.

It knows the commonest forms and no others: private keys as PEM, passwords in URLs, Authorization headers, and values
whose name says what they are.
"""

import re

GONE = "[redacted]"
# Nearly no text has any of these, and then nothing is looked for.
SIGNS = ("pass", "pwd", "secret", "token", "key", "credential", "authorization", "://")

BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
BODY = re.compile(r"[A-Za-z0-9+/=\\\s]*")
BASE64 = re.compile(r"[A-Za-z0-9+/=]*")
WHOLE = 40  # characters of a line of base64 at least, but for the last
MARGIN = " \t\r+-"  # what Chef's diff of a file puts before a line

# Every repetition is bounded or cannot overlap with what follows: a node chooses what is searched.
WORD = r"pass(?:word|wd|phrase)|(?<![a-z])pass|_pwd|secret|token|credential|(?:api|access|private|encryption)[_-]?key"
# What stands behind a name whose value is on the next line: YAML's | and >, a shell's \.
BREAK = r"(?:(?:[|>][+-]?|\\)\s{1,40})?"
VALUE = r"""(?!\[redacted\]|(?:[|>][+-]?|\\)\s)(?:\\?"[^"\n]*"|'[^'\n]*'|[^\s,;&]+)"""
NAME = rf"(?:{WORD})(?![\w-]{{0,20}}(?:file|path|dir))[\w-]{{0,20}}"
PATTERNS = [
    (re.compile(r"(://)[^/\s@:]*:[^/\s@]+@"), rf"\1{GONE}@"),
    (re.compile(r"(authorization\\?[\"']?\s{0,2}[:=]\s{0,40}\\?[\"']?(?:[a-z]{1,20}\s{1,40})?)[^\s\"']+", re.I),
     rf"\1{GONE}"),
    (re.compile(rf"(--[a-z0-9-]{{0,30}}{NAME}[ =]{BREAK}){VALUE}", re.I), rf"\1{GONE}"),
    (re.compile(rf"({NAME}\\?[\"']?\]?\s{{0,2}}(?:=>|=(?!>)|:)\s{{0,40}}{BREAK})(?!\s){VALUE}", re.I), rf"\1{GONE}"),
]


def redacted(text: str) -> str:
    """Return `text` with `[redacted]` in place of each value that looks like a secret."""
    low = text.lower()
    if not any(sign in low for sign in SIGNS):
        return text
    if "private key-----" in low:
        text = without_private_keys(text)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def without_private_keys(text: str) -> str:
    """Return `text` without the private keys in it, also those of which only the first or the last part is there."""
    kept, at, ends = [], 0, True
    first = END.search(text)
    begin = BEGIN.search(text)
    if first and (begin is None or first.start() < begin.start()):
        kept, at = [before_tail(text[: first.start()]), GONE], first.end()
    while begin:
        end = END.search(text, begin.end()) if ends else None
        ends = end is not None  # where there is none, there is none further on
        kept += [text[at : begin.start()], GONE]
        at = end.end() if end else BODY.match(text, begin.end()).end()
        begin = BEGIN.search(text, at)
    return "".join([*kept, text[at:]])


def before_tail(text: str) -> str:
    """Return `text` without the lines of base64 that it ends with: the last part of a key."""
    lines = text.split("\n")
    full = 0  # characters of a line that is whole; the last one may be shorter, and the first where it was cut
    while lines and BASE64.fullmatch(line := lines[-1].strip(MARGIN)) and (len(line) >= full or len(lines) == 1):
        lines.pop()
        full = WHOLE if line else full
    return "".join(f"{line}\n" for line in lines)
