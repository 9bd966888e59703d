"""The cookbook on the Chef server: uploaded once and frozen, never overwritten with other content."""

import hashlib
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleet.chef.answers import reading, word
from fleet.chef.cookbook_files import SEGMENTS, Cookbook, load
from fleet.chef.pins import numbers
from fleet.errors import ChefServerError, ConflictError, NotFoundError
from fleet.text import clean

_COMMITS = 5  # a Chef Infra Server can need a moment to see files just stored; one attempt a second


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload came to: `changed` is False when the server had it all and frozen; `sha256` is the cookbook's."""

    name: str
    version: str
    sha256: str
    changed: bool
    files_sent: int


def upload(server, path: Path, pause: Callable[[float], None] = time.sleep) -> Uploaded:
    """Put the cookbook in directory `path` on `server`, frozen, sending only the files it does not have.

    A version that is there with the same content is left as it is, or frozen if an interrupted upload left it unfrozen.
    Raises ConflictError, naming the version, when it is there with other content; ChefServerError with the server's
    words when it does not take it; SettingsError for a directory that is no cookbook. `pause` is called with the
    seconds between two attempts to complete a sandbox.
    """
    cookbook = load(path)
    there = _there(server, cookbook)
    if there is not None:
        _same(server, cookbook, there)
        if there.get("frozen?"):
            return Uploaded(cookbook.name, cookbook.version, cookbook.sha256, changed=False, files_sent=0)
    sent = _send_files(server, cookbook, pause)
    server.contact()
    target = f"/cookbooks/{cookbook.name}/{cookbook.version}"
    try:
        server.put(target, cookbook.manifest(server.api_version))
    except ConflictError:
        # Another upload, or our own first attempt, froze it meanwhile: good if it froze the same.
        there = _there(server, cookbook)
        if there is None:
            raise
    else:
        there = _there(server, cookbook)
    if there is None:
        raise ChefServerError(f"{server.url} took {cookbook.name} {cookbook.version} and has none now: push it again")
    _same(server, cookbook, there)
    return Uploaded(cookbook.name, cookbook.version, cookbook.sha256, changed=True, files_sent=sent)


def standing(server, path: Path) -> str:
    """Return how the cookbook in `path` stands on the server: `absent`, the `same`, or its version with `other` files.

    Raises SettingsError for a directory that is no cookbook.
    """
    cookbook = load(path)
    there = _there(server, cookbook)
    if there is None:
        return "absent"
    return "other" if _differing(server, cookbook, there) else "same"


def versions(server, name: str) -> list[str]:
    """Return the versions of cookbook `name` on the server, the highest first; none for an unknown one."""
    try:
        answer = server.get(f"/cookbooks/{name}?num_versions=all")
    except NotFoundError:
        return []
    with reading(server, f"GET /cookbooks/{name}"):
        return sorted((word(each["version"]) for each in answer[name]["versions"]), key=numbers, reverse=True)


def _there(server, cookbook: Cookbook) -> dict | None:
    try:
        return server.get(f"/cookbooks/{cookbook.name}/{cookbook.version}")
    except NotFoundError:
        return None


def _same(server, cookbook: Cookbook, there: dict) -> None:
    """Raise ConflictError unless the server's manifest names exactly our files."""
    if differing := _differing(server, cookbook, there):
        names = ", ".join(clean(path, 100) for path in differing[:3]) + (", ..." if len(differing) > 3 else "")
        raise ConflictError(
            f"{server.url} has {cookbook.name} {cookbook.version} with other content ({names}) and it is not "
            "overwritten: give it a higher version in metadata.rb"
        )


def _differing(server, cookbook: Cookbook, there: dict) -> list[str]:
    """Return the paths in which the server's manifest is another than ours."""
    with reading(server, f"GET /cookbooks/{cookbook.name}/{cookbook.version}"):
        lists = [there.get(segment) for segment in (*SEGMENTS, "all_files")]
        theirs = {word(record["path"]): record["checksum"] for records in lists for record in records or ()}
    ours = cookbook.checksums
    return sorted(path for path in theirs.keys() | ours.keys() if theirs.get(path) != ours.get(path))


def _send_files(server, cookbook: Cookbook, pause) -> int:
    """Store the contents the server lacks through a sandbox; return how many were sent.

    https://docs.chef.io/server/api_chef_server/#sandboxes
    """
    contents = {hashlib.md5(data, usedforsecurity=False).hexdigest(): data for data in cookbook.files.values()}
    sandbox = server.post("/sandboxes", {"checksums": dict.fromkeys(contents)})
    with reading(server, "POST /sandboxes"):
        asked = sandbox["checksums"].items()
        missing = [(word(wanted["url"]), checksum) for checksum, wanted in asked if wanted.get("needs_upload")]
        files = [(url, checksum, contents[checksum]) for url, checksum in missing]
        sandbox_id = word(sandbox["sandbox_id"])
    for url, checksum, content in files:
        digest = b64encode(bytes.fromhex(checksum)).decode()
        headers = {"Content-Type": "application/x-binary", "Content-MD5": digest, "Accept": "application/json"}
        server.put_file(url, content, headers)
    _commit(server, sandbox_id, cookbook, pause)
    return len(files)


def _commit(server, sandbox_id: str, cookbook: Cookbook, pause) -> None:
    """Complete the sandbox; goiardi answers 503 while files are missing, which no waiting mends."""
    for attempt in range(1, _COMMITS + 1):
        try:
            server.put(f"/sandboxes/{sandbox_id}", {"is_completed": True}, again=False)
        except ChefServerError as error:
            if attempt == _COMMITS or server.is_goiardi or error.status != 400:
                which = f"{cookbook.name} {cookbook.version}"
                raise ChefServerError(f"{which} is half uploaded, no node gets it: {error}; push it again") from error
            pause(1)
        else:
            return
