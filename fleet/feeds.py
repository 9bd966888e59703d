"""Advisories from what distributions publish: one record imported, or all that are here refreshed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fleet.download import BOUND, download
from fleet.errors import DownloadError, SettingsError
from fleet.settings import file_of
from fleet.text import clean
from generator import advisory
from generator.advisory import Advisory
from generator.errors import FeedError
from generator.feeds import debian, detect, merge, osv, redhat, save, strict, ubuntu
from generator.feeds.merge import Merged
from generator.feeds.record import Record

#: The feeds that are asked by CVE: where each publishes its record, {cve} in its place.
BY_CVE = {"debian": debian.URL, "ubuntu": ubuntu.URL, "redhat": redhat.URL}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record merged into the advisory at `path`; `begun` says that there was none before."""

    path: Path
    record: Record
    merged: Merged
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """A URL that gave no record, and why in one sentence; `missing` says that its feed has none of that CVE.

    `path` is an advisory's file that was left as it is, whatever was merged.
    """

    url: str
    why: str
    missing: bool = False
    path: Path | None = None


def import_record(where: str, cve: str | None = None, output: str | None = None, dry: bool = False) -> Outcome:
    """Merge the record at `where`, a file or an https:// URL, into its advisory and return what that changed.

    `cve` says which one where the record is of several; `output` is the advisory's file, by default that of the shipped
    advisory which has the CVE for its id or an alias, or a new one beside them. Nothing is written where nothing
    changed, or for a `dry` run. Raises FeedError, DownloadError, SettingsError, and AdvisoryError for a shipped file.
    """
    if cve is not None and not strict.CVE.fullmatch(cve := cve.upper()):
        raise SettingsError(f"--cve: {clean(cve, 60)!r} is no CVE such as CVE-2014-0160.")
    data, source = _fetched(where)
    record = detect.record(data, cve, source)
    path = file_of(output, "--output") if output else _home(record.cve)
    if path.suffix.lower() != ".toml":
        raise SettingsError(f"--output: {clean(str(path))} does not end in .toml, as an advisory does.")
    text = _read(path)
    merged = merge.merge(merge.begun(record) if text is None else text, record)
    if merged.text != text and not dry:
        save.save(path, merged.text)
    return Outcome(path, record, merged, begun=text is None)


def update(
    advisories: Iterable[Advisory], feeds: Sequence[str], dry: bool = False, get: Callable[[str], bytes] = download
) -> Iterator[Outcome | Trouble]:
    """Refresh advisories from these feeds (keys of BY_CVE, or osv) and yield what came of each record as it comes.

    Each URL is asked once: Debian's for all CVEs together, Ubuntu's and Red Hat's once a CVE, and OSV's records where a
    row names one as its source. A host that cannot be reached is asked no second time. Each file is written once, when
    all its feeds were asked, and not at all in a `dry` run, nor where somebody changed it meanwhile. Raises FeedError
    where one cannot be read or written.
    """
    about = {name: each for each in advisories if not each.lab and (name := cve_of(each))}
    texts = {name: _read(each.path) or "" for name, each in about.items()}
    before, away = dict(texts), set()
    for url, names in _asked(about, feeds).items():
        host = urlsplit(url).hostname
        if host in away:
            continue
        try:
            found = detect.records(get(url), names, url)
        except DownloadError as error:
            if not error.reached:
                away.add(host)
            yield Trouble(url, str(error), missing=error.status in (404, 410))
            continue
        except FeedError as error:
            yield Trouble(url, str(error))
            continue
        for name, record in found.items():
            try:
                merged = merge.merge(texts[name], record)
            except FeedError as error:
                yield Trouble(url, f"{about[name].path}: {error}")
                continue
            texts[name] = merged.text
            yield Outcome(about[name].path, record, merged)
    for name, text in texts.items():
        path = about[name].path
        if text == before[name] or dry:
            continue
        if (_read(path) or "") != before[name]:
            why = f"{path} was changed while the feeds were asked, so nothing was written to it: update it again."
            yield Trouble("", why, path=path)
        else:
            save.save(path, text)


def cve_of(each: Advisory) -> str | None:
    """Return the CVE that an advisory is about, by its id or an alias."""
    names = (name.upper() for name in (each.id, *each.aliases))
    return next((name for name in names if strict.CVE.fullmatch(name)), None)


def _home(cve: str) -> Path:
    """Return the file of the shipped advisory that a CVE names, where it would stand if there is none."""
    named = advisory.SHIPPED / f"{cve}.toml"
    if named.exists():
        return named
    others = advisory.load([advisory.ALL])
    return next((each.path for each in others if cve in (each.id.upper(), *map(str.upper, each.aliases))), named)


def _asked(about: dict[str, Advisory], feeds: Sequence[str]) -> dict[str, list[str]]:
    """Return {URL: CVEs} in the order they are asked: each feed's in turn."""
    asked: dict[str, list[str]] = {}
    for feed in feeds:
        for name, each in sorted(about.items()):
            for url in [BY_CVE[feed].format(cve=name)] if feed in BY_CVE else _of_osv(each):
                asked.setdefault(url, []).append(name)
    return asked


def _of_osv(each: Advisory) -> list[str]:
    """Return the OSV records that an advisory's rows name as their source."""
    beginning = osv.URL.format(id="")
    sources = {row.source for row in (*each.fixed, *each.not_affected, *each.never_fixed)}
    return sorted(source for source in sources if source.startswith(beginning))


def _fetched(where: str) -> tuple[bytes, str]:
    """Return a URL's bytes and the URL, or a file's and "". Raises SettingsError for a file that cannot be read."""
    if "://" in where:
        return download(where), where
    path = file_of(where, "the record")
    try:
        with path.open("rb") as file:
            data = file.read(BOUND + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"{clean(str(path))} cannot be read: {why}; name a file or an https:// URL.") from error
    if len(data) > BOUND:
        raise SettingsError(f"{clean(str(path))} is larger than {BOUND} bytes, which is more than is read.")
    return data, ""


def _read(path: Path) -> str | None:
    """Return an advisory's text, None where there is no such file. Raises FeedError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FeedError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
