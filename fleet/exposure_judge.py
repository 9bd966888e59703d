"""Which certificates and keys are exposed: those that were on a node while it could be bled, and what has their key."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet.exposure import Facts
from fleet.exposure_certificate import Certificate
from fleet.exposure_item import EXPOSED, REISSUED, REKEYED, SAFE, UNKNOWN, Item
from fleet.window import CLOSED, NEVER, OPEN, UNPROVEN, UNSEEN, Moment
from generator.exposure import ENCRYPTED, UNREAD, File

#: Where any file may lie: that a certificate of an authority is there makes it nobody's here.
STORES = frozenset({"directory", "letsencrypt"})


@dataclass(frozen=True, slots=True)
class Leaked:
    """A key that was on a node while it could be bled: by the earliest certificate of it, or (serial None) its file.

    `earlier` is one that an earlier run saw, `about` whether that was about an advisory that is asked for now.
    """

    node: str
    path: str
    issued: datetime
    serial: str | None = None
    sha256: str | None = None
    earlier: bool = False
    about: bool = True

    def __str__(self) -> str:
        if self.serial:
            return f"the certificate {self.serial} of {day(self.issued)} in {self.path} on {self.node}"
        if self.earlier:
            return f"{self.path} on {self.node}, where an earlier run saw it"
        return f"{self.path} on {self.node}, which was last written {day(self.issued)}"


#: What earlier runs saw certified on a node: name to the keys' digests, each with the earliest date.
Before = Mapping[str, Mapping[str, datetime]]


def leaked(facts: Iterable[Facts], earlier: Mapping[str, Leaked]) -> dict[str, Leaked]:
    """Return the keys that may have leaked, by the SHA-256 of their public half: of all nodes and of `earlier` runs.

    What an earlier run thought of a node that was asked now counts as far as its window goes, known better by now; of
    another node, where it was about one of the same advisories.
    """
    facts = list(facts)
    limits = {each.node.name: each.window.limit for each in facts}
    found = {
        digest: seen for digest, seen in earlier.items()
        if (seen.about if (limit := limits.get(seen.node)) is None else seen.issued <= limit)
    }
    for each in facts:
        for digest, seen in _of_node(each, each.window.limit) if each.window.limit else ():
            known = found.get(digest)
            # A certificate tells more than a file's time does.
            if known is None or (known.serial is None, known.issued) > (seen.serial is None, seen.issued):
                found[digest] = seen
    return found


def _of_node(facts: Facts, limit: datetime) -> Iterator[tuple[str, Leaked]]:
    here = keys_of(facts)
    for path, sha256 in ((path, one) for path, inside in facts.by_file.items() for one in inside):
        certificate = facts.certificates[sha256]
        ours = not certificate.authority or certificate.key_sha256 in here
        if certificate.key_sha256 and ours and certificate.issued <= limit:
            yield certificate.key_sha256, Leaked(
                facts.node.name, path, certificate.issued, certificate.serial, sha256
            )
    for digest, file in here.items():
        when = written(facts, file)
        if when and when <= limit:
            yield digest, Leaked(facts.node.name, file.path, when)


def written(facts: Facts, file: File | None) -> datetime | None:
    """Return when a file was last written, by our clock; None where that is not known."""
    if file is None or file.mtime is None:
        return None
    return datetime.fromtimestamp(file.mtime, UTC) - timedelta(seconds=facts.window.offset)


def keys_of(facts: Facts) -> dict[str, File]:
    """Return the files of a node's private keys by the SHA-256 of their public half; one in use wins."""
    files = sorted(facts.found.files.values(), key=lambda file: file.used)
    return {key: file for file in files for key in file.keys if key not in _SHUT}


def items(facts: Facts, keys: Mapping[str, Leaked], before: Before) -> list[Item]:
    """Return what is to be said of a node's certificates and keys, one each.

    `keys` are leaked()'s, `before` is what earlier runs saw on this node.
    """
    judge = _Judge(facts, keys, before)
    return [*judge.certificates(), *judge.bare_keys(), *judge.gaps()]


class _Judge:
    """Judges what is on one node."""

    def __init__(self, facts: Facts, keys: Mapping[str, Leaked], before: Before):
        self.facts, self.keys, self.before = facts, keys, before
        self.here = keys_of(facts)
        self.services: dict[str, set[str]] = {}
        self.listed: set[str] = set()
        for named in facts.found.named:
            if named.real:
                self.services.setdefault(named.real, set()).add(named.service)

    def certificates(self) -> Iterable[Item]:
        """Yield the certificates of services: the first of each file, and whichever have their key here."""
        places: dict[str, list[str]] = {}
        for file in (file for file in self.facts.found.files.values() if file.used):
            for number, sha256 in enumerate(self.facts.by_file[file.path]):
                certificate = self.facts.certificates[sha256]
                stored = certificate.authority and self.services.get(file.path, set()) <= STORES
                if certificate.key_sha256 in self.here or (number == 0 and not stored):
                    places.setdefault(sha256, []).append(file.path)
        for sha256, paths in sorted(places.items(), key=lambda each: each[1]):
            certificate = self.facts.certificates[sha256]
            verdict, why = self.verdict(certificate)
            self.listed.add(certificate.key_sha256)
            yield Item(
                self.facts.node.name, paths[0], tuple(sorted(set().union(*(self.services.get(p, ()) for p in paths)))),
                verdict, why, certificate.subject, certificate.names, certificate.issuer, certificate.serial, sha256,
                certificate.key_sha256, certificate.not_before, certificate.not_after,
            )

    def verdict(self, certificate: Certificate) -> tuple[str, str]:
        """Return a certificate's verdict, and what it rests on."""
        window, seen = self.facts.window, self.keys.get(certificate.key_sha256)
        if window.state == OPEN:
            return EXPOSED, "the node can be bled still: patch it first"
        if window.limit and certificate.issued <= window.limit:
            return EXPOSED, f"issued {day(certificate.issued)}, and the node could be bled until {self.end}"
        if seen and (seen.sha256 == certificate.sha256 or seen.issued > certificate.issued):
            return EXPOSED, f"it was on a node that could be bled: {seen}"
        if seen:
            return REISSUED, f"its key is that of {seen}"
        if window.state == CLOSED:
            return self.newer(certificate)
        if window.state == NEVER:
            return SAFE, f"the node could not be bled: {window.why}"
        if window.state == UNSEEN and window.until and certificate.issued > window.until.time:
            return SAFE, f"issued after {window.until}"
        return UNKNOWN, self.doubt()

    def newer(self, certificate: Certificate) -> tuple[str, str]:
        """Return the verdict on a certificate from after the patch whose key was nowhere before it."""
        if old := sorted(self.older(certificate)):
            return REKEYED, f"its key is not that of {old[0]}; revoke that one, if that was not done"
        if when := written(self.facts, self.here.get(certificate.key_sha256)):
            return REKEYED, f"no older certificate was seen, and its key was written {day(when)}, after {self.end}"
        return UNKNOWN, "neither an older certificate nor the file of its key was seen, to tell whether the key is new"

    def older(self, certificate: Certificate) -> Iterable[str]:
        """Yield what is known of certificates from before the patch for the same names with another key."""
        key, names, limit = certificate.key_sha256, set(certificate.names), self.facts.window.limit
        for path, inside in self.facts.by_file.items():
            for other in (self.facts.certificates[one] for one in inside):
                if other.key_sha256 != key and other.issued <= limit and names & set(other.names):
                    yield f"the certificate {other.serial} in {path}"
        for name in certificate.names:
            if any(digest != key and issued <= limit for digest, issued in self.before.get(name, {}).items()):
                yield f"what an earlier run saw for {name}"

    @property
    def end(self) -> Moment | None:
        """Until when the node could be bled, as far as that is known."""
        return self.facts.window.until or self.facts.window.replaced

    def doubt(self) -> str:
        """Return why nothing can be said of what is newer than the fixed version."""
        window = self.facts.window
        if window.state == UNPROVEN:
            since = f"the fixed version came {window.replaced}" if window.replaced else "the fixed version is installed"
            return f"{since}, and nothing shows when the last process stopped to run the old one"
        return window.why or "nothing is known of when the node could be bled"

    def bare_keys(self) -> Iterable[Item]:
        """Yield keys in use whose certificate was not listed, and sshd's: they have no date but their file's."""
        used = sorted((file for file in self.facts.found.files.values() if file.used), key=lambda file: file.path)
        # As many certificates without a key as keys that cannot be read are taken for theirs, and were judged.
        judged = sum(key in _SHUT for file in used for key in file.keys) <= len(self.listed - self.here.keys())
        for file in used:
            keys = [hashlib.sha256(file.host_key).hexdigest()] if file.host_key else file.keys
            for digest in dict.fromkeys(keys):
                if digest in self.listed or (judged and digest in _SHUT):
                    continue
                if digest in _SHUT:
                    verdict, why, digest = UNKNOWN, _SHUT[digest], None
                else:
                    verdict, why = self.key_verdict(file, digest)
                services = tuple(sorted(self.services.get(file.path, ())))
                yield Item(self.facts.node.name, file.path, services, verdict, why, key_sha256=digest)

    def key_verdict(self, file: File, digest: str) -> tuple[str, str]:
        """Return the verdict on a key without a certificate."""
        window, when, seen = self.facts.window, written(self.facts, file), self.keys.get(digest)
        if window.state == OPEN:
            return EXPOSED, "the node can be bled still: patch it first"
        if seen and (seen.serial or seen.earlier or seen.path != file.path):
            return EXPOSED, f"it is the key of {seen}"
        if window.limit and when and when <= window.limit:
            return EXPOSED, f"it was last written {day(when)}, and the node could be bled until {self.end}"
        if window.state == NEVER:
            return SAFE, f"the node could not be bled: {window.why}"
        if window.state == CLOSED and when:
            return REKEYED, f"it was written {day(when)}, after {self.end}"
        return UNKNOWN, self.doubt() if window.state != CLOSED else "nothing shows when the key was made"

    def gaps(self) -> Iterable[Item]:
        """Yield what could not be looked at."""
        found = self.facts.found
        whys: dict[str | None, str] = {
            named.path: f"{named.by} names it, and there is no such file" for named in found.named if named.real is None
        }
        for file in found.files.values():
            if file.used and not file.known:
                whys[file.path] = "it holds no certificate or private key that openssl can read there"
            elif file.used and not file.whole:
                whys[file.path] = "only its first megabyte was read"
        several = list(self.facts.unread)
        if found.mute:
            several.append("there is no openssl that works on the node, so none of its files was read: install it")
        if found.left:
            several.append(f"{found.left} files or configurations were too many, or strangely named, and not read")
        if found.elsewhere:
            several.append(f"{found.elsewhere} processes of containers map the library; what they have was not read")
        for path, why in whys.items():
            yield Item(self.facts.node.name, path, (), UNKNOWN, why)
        for why in several:
            yield Item(self.facts.node.name, None, (), UNKNOWN, why)


_SHUT = {
    ENCRYPTED: "the private key is encrypted and was not read", UNREAD: "the private key could not be read by openssl",
}


def day(moment: datetime) -> str:
    """Return a moment to the minute, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
