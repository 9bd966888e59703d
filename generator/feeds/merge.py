"""A feed's rows into an advisory's TOML: nothing that stands there is lost, and who said what stays.

A row that is new is added. One that says the same changes nothing. One that says something else replaces only what its
own source said before; what another source or a person wrote is kept, and the disagreement is told. So is a row that
would go to another kind's tables and leave a person's comment behind.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, Table, Whitespace
from tomlkit.toml_document import TOMLDocument

from generator import numbering, platforms
from generator.errors import FeedError
from generator.feeds.record import KINDS, Record, Row

NO_PACKAGE = "no source package that the advisory is about"
#: Rows of one record; the longest real ones, with every stream of RHEL or of Ubuntu, have less than a hundred.
MOST = 500
# What a new advisory of OpenSSL begins with.
_LIBRARIES = ("libssl", "libcrypto")
_SERVICES = ("apache2", "haproxy", "nginx", "postgresql", "ssh", "stunnel4")
_COVERAGE = """
Only what the feeds that the rows name say of the releases and packages that Styptic knows. What is not here is unknown:
a release without a row, a fix that is not out yet, a program that carries a copy of its own.
"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row of a feed and what the advisory holds in its place: `kept`, in words, with the source that said it."""

    row: Row
    kept: str
    source: str

    def __str__(self) -> str:
        return f"{self.row}: {self.row.said}, says {self.row.source}; {self.kept}, says {self.source}"


@dataclass(frozen=True, slots=True)
class Merged:
    """The advisory's text with a record in it, and what that changed.

    `added` are new rows; `changed` those whose own source says something else now; `agreed` counts what stood there
    already; `disagreed` was kept as it was.
    """

    text: str
    added: tuple[Row, ...]
    changed: tuple[Conflict, ...]
    agreed: int
    disagreed: tuple[Conflict, ...]
    left_out: Mapping[str, tuple[str, ...]]


def begun(record: Record) -> str:
    """Return the beginning of a new advisory for the record's CVE, without its rows.

    Raises FeedError where the record has no row of a package whose libraries are known here.
    """
    named = sorted({row.package for row in record.rows})
    if not any(_of_openssl(row) for row in record.rows):
        packages = ", ".join(named[:5]) or "no package of a known release"
        raise FeedError(
            f"{record.feed} of {record.cve} is about {packages}, whose libraries Styptic does not know: write a file "
            "with id, title, coverage, libraries, services and each [[package]], and import into it with --output."
        )
    severity = [f"severity = {_quoted(record.severity)} # {record.feed}"] if record.severity else []
    return "\n".join([
        "# Begun by `invoke advisory.import`; each row names the feed that said it.",
        f"id = {_quoted(record.cve)}",
        f"title = {_quoted(record.title or f'{record.cve} in {named[0]}')}",
        *severity,
        f'coverage = """{_COVERAGE}"""',
        f"libraries = {tomlkit.item(list(_LIBRARIES)).as_string()}",
        f"services = {tomlkit.item(list(_SERVICES)).as_string()}",
        "",
    ])


def merge(text: str, record: Record) -> Merged:
    """Return the advisory `text` (TOML) with the record's rows in it; without a change it is the same text.

    Raises FeedError where `text` is no TOML, is about another CVE, or does not write its rows as [[tables]].
    """
    document = _document(text)
    names = [document.get("id"), *document.get("aliases", ())]
    if record.cve.lower() not in [str(name).lower() for name in names]:
        raise FeedError(f"{record.feed} speaks of {record.cve}, and the file is about {names[0]}.")
    added, changed, disagreed, agreed, unknown = [], [], [], 0, {}
    known, rows = _known(document), _held(document)  # a record has one row a key, so these stay true
    for row in record.rows:
        if not known(row):
            unknown[row.package] = None
            continue
        if len(added) + len(changed) + len(disagreed) + agreed >= MOST:
            raise FeedError(f"{record.feed} of {record.cve} has more than {MOST} rows of its packages: no CVE has.")
        held = rows.get(row.key, ())
        if not held:
            _append(document, row)
            added.append(row)
        elif any(_same(kind, table, row) for kind, table in held):
            agreed += 1
        elif own := next((each for each in held if _may_change(*each, row)), None):
            changed.append(Conflict(row, _words(*own), row.source))
            _replace(document, *own, row)
        else:
            disagreed.append(Conflict(row, _words(*held[0]), str(held[0][1].get("source"))))
    left_out = dict(record.left_out) | ({NO_PACKAGE: tuple(unknown)} if unknown else {})
    text = tomlkit.dumps(document).rstrip("\n") + "\n" if added or changed else text
    return Merged(text, tuple(added), tuple(changed), agreed, tuple(disagreed), left_out)


def _quoted(text: str) -> str:
    return tomlkit.string(text).as_string()


def _document(text: str) -> TOMLDocument:
    try:
        document = tomlkit.parse(text.rstrip("\n") + "\n")
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise FeedError(f"the file to merge into is no TOML: {error}.") from error
    for kind in (*KINDS, "package"):
        if kind in document and not isinstance(document[kind], AoT):
            raise FeedError(f"the file to merge into does not write {kind} as [[{kind}]] tables: write it so first.")
    for key in ("aliases", "libraries"):
        if not isinstance(document.get(key, []), list):
            raise FeedError(f"the file to merge into has {key} that are no list: make it one first.")
    return document


def _words_of(table: Mapping, *keys: str) -> tuple[str | None, ...]:
    """Return the texts under these keys, None for what is none; what is wrong with a file its reader tells."""
    values = (table.get(key) for key in keys)
    return tuple(str(value) if isinstance(value, str) else None for value in values)


def _of_openssl(row: Row) -> bool:
    return bool(platforms.binary_packages(platforms.Release(row.distro, row.release), row.package))


def _known(document: TOMLDocument) -> Callable[[Row], bool]:
    """Return what says of a row whether the advisory is about its package, as generator.advisory will have it."""
    openssl = any(name in _LIBRARIES for name in document.get("libraries", ()))
    tables = {_words_of(each, "distro", "package", "release") for each in document.get("package", ())}

    def known(row: Row) -> bool:
        releases = (row.release, platforms.stream_of(row.release)[0], None)
        own = any((row.distro, row.package, release) in tables for release in releases)
        return own or (openssl and _of_openssl(row))

    return known


def _held(document: TOMLDocument) -> dict[tuple, list[tuple[str, Table]]]:
    """Return the rows of the file, each with its kind, by what they are about (as Row.key)."""
    found: dict[tuple, list[tuple[str, Table]]] = {}
    for kind in KINDS:
        for table in document.get(kind, ()):
            found.setdefault(_words_of(table, "distro", "release", "package"), []).append((kind, table))
    return found


def _same(kind: str, table: MutableMapping, row: Row) -> bool:
    """Return whether a row of the file says what the feed says; a version may be written in another way."""
    if kind != row.kind or kind != "fixed":
        return kind == row.kind
    scheme, theirs = platforms.SCHEME[row.distro], table.get("version")
    try:
        return numbering.parsed(scheme, str(theirs)).whole == numbering.parsed(scheme, row.version).whole
    except (ValueError, TypeError):
        return False


def _may_change(kind: str, table: Table, row: Row) -> bool:
    """Return whether a row may take another's place: its source said it, and no person's comment would be lost."""
    items = [item for _, item in table.value.body if not isinstance(item, Whitespace)]
    commented = any(isinstance(item, Comment) or item.trivia.comment for item in items)
    return table.get("source") == row.source and (kind == row.kind or not commented)


def _words(kind: str, table: Mapping) -> str:
    if kind == "fixed":
        return f"fixed in {table.get('version')}"
    return " ".join(f"{kind.replace('_', ' ')} ({table.get('reason')})".split())


def _table(row: Row) -> Table:
    table = tomlkit.table()
    for key in ("distro", "release", "package", "version", "reason", "advisory", "source", "source_kind"):
        if (value := getattr(row, key)) is not None:
            table.add(key, value)
    return table


def _append(document: TOMLDocument, row: Row) -> None:
    table, follows = _table(row), []
    if row.kind in document:
        follows = _about_what_follows(document[row.kind][-1])
    else:
        _end(document)
        document.append(row.kind, tomlkit.aot())
    for item in follows or [tomlkit.nl()]:
        table.add(item)
    document[row.kind].append(table)
    table.trivia.indent = ""  # tomlkit's own blank line before it, which stands there already


def _replace(document: TOMLDocument, kind: str, table: Table, row: Row) -> None:
    """Put the row in the place of what its source said before."""
    if kind != row.kind:
        rows = document[kind]
        rows.remove(table)
        if not rows:
            document.remove(kind)
        _append(document, row)
        return
    for key in ("version", "reason", "advisory"):
        value = getattr(row, key)
        if value is not None:
            table[key] = value
        elif key == "advisory" and key in table:
            del table[key]  # it was the one of the other version


def _about_what_follows(table: Table) -> list[Whitespace | Comment]:
    """Take the comments off a table's end that a blank line parts from it: they are about the table that comes next."""
    body = table.value.body
    end = max((at for at, (key, _) in enumerate(body, 1) if key is not None), default=0)
    blank = next((at for at in range(end, len(body)) if isinstance(body[at][1], Whitespace)), len(body))
    taken = [item for _, item in body[blank:]]
    del body[blank:]
    table.add(tomlkit.nl())
    return taken if any(isinstance(item, Comment) for item in taken) else []


def _end(part: TOMLDocument | Table) -> None:
    """See that a blank line ends the file, or its last table, before another is added."""
    body = part.body if isinstance(part, TOMLDocument) else part.value.body
    last = body[-1][1] if body else None
    if isinstance(last, AoT):
        _end(last[-1])
    elif isinstance(last, Table):
        _end(last)
    elif last is not None and not isinstance(last, Whitespace):
        part.add(tomlkit.nl())
