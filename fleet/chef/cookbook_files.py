"""A cookbook on disk: which files belong to it, their checksums, and the manifest a Chef server wants of them."""

import fnmatch
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from fleet.chef.metadata import compile_metadata, load_json, with_recipes
from fleet.errors import SettingsError

# The segments of manifests in API 0 and 1: https://docs.chef.io/server/api_chef_server/#cookbooksnameversion
SEGMENTS = (
    "recipes", "attributes", "libraries", "resources", "providers", "templates", "files", "definitions", "root_files",
)


@dataclass(frozen=True, slots=True)
class Cookbook:
    """One version of a cookbook: `files` maps each path in it to its content, metadata.json included."""

    name: str
    version: str
    metadata: dict = field(repr=False)
    files: dict[str, bytes] = field(repr=False)

    @property
    def checksums(self) -> dict[str, str]:
        """Each path's MD5 in hexadecimal, which is how a Chef server names content."""
        return {path: hashlib.md5(data, usedforsecurity=False).hexdigest() for path, data in self.files.items()}

    @property
    def sha256(self) -> str:
        """The SHA-256, in hexadecimal, over paths, lengths and contents in path order."""
        digest = hashlib.sha256()
        for path, data in sorted(self.files.items()):
            digest.update(f"{path}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()

    def manifest(self, api_version: str) -> dict:
        """Return the manifest to PUT, frozen: segments for API 0 and 1, `all_files` from 2 on."""
        body = {
            "name": f"{self.name}-{self.version}",
            "cookbook_name": self.name,
            "version": self.version,
            "json_class": "Chef::CookbookVersion",
            "chef_type": "cookbook_version",
            "frozen?": True,
            "metadata": self.metadata,
        }
        records = [(_segment(path), _record(path, checksum)) for path, checksum in sorted(self.checksums.items())]
        if int(api_version) >= 2:
            body["all_files"] = [{**each, "name": f"{segment}/{each['name']}"} for segment, each in records]
        else:
            body |= {segment: [each for of, each in records if of == segment] for segment in SEGMENTS}
        return body


def load(directory: Path) -> Cookbook:
    """Return the cookbook in `directory`, its metadata.json compiled from metadata.rb where it has none.

    Files that chefignore names (the cookbook's own, or the one beside it) are left out, as knife leaves them out.
    Raises SettingsError for a directory that is no cookbook, or metadata that cannot be read.
    """
    directory = Path(directory)
    files = {path: _read(directory / path) for path in paths(directory)}
    # Paths outside the segments travel in no manifest of API 0 and 1, and no node needs them.
    files = {path: data for path, data in files.items() if _segment(path) in SEGMENTS}
    ruby, compiled = directory / "metadata.rb", directory / "metadata.json"
    if "metadata.json" in files:
        metadata = load_json(_text(files["metadata.json"], compiled), str(compiled))
    elif "metadata.rb" in files:
        metadata = compile_metadata(_text(files["metadata.rb"], ruby), str(ruby))
    else:
        raise SettingsError(f"{directory} has neither metadata.rb nor metadata.json, so it is no cookbook")
    recipes = [path.removeprefix("recipes/") for path in files if path.startswith("recipes/") and path.endswith(".rb")]
    metadata = with_recipes(metadata, recipes)
    files.setdefault("metadata.json", (json.dumps(metadata, indent=2, sort_keys=True) + "\n").encode())
    return Cookbook(metadata["name"], metadata["version"], metadata, files)


def paths(directory: Path) -> list[str]:
    """Return the cookbook's paths below `directory`, with slashes, sorted, without what chefignore names.

    Folders whose name begins with a dot are no part of a cookbook. Raises SettingsError where there is no directory.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise SettingsError(f"there is no cookbook at {directory}: render it first")
    ignored = _chefignore(directory)
    found = (path for path in directory.rglob("*") if path.is_file())
    relative = sorted(path.relative_to(directory).as_posix() for path in found)
    hidden = re.compile(r"\.[^/]*/")
    return [path for path in relative if not hidden.match(path) and not any(_matches(path, each) for each in ignored)]


def _matches(path: str, pattern: str) -> bool:
    """Ruby's File.fnmatch without flags: * crosses slashes, and no wildcard takes a dot at the beginning."""
    return fnmatch.fnmatchcase(path, pattern) and not (path.startswith(".") and pattern[0] in "*?[")


def _chefignore(directory: Path) -> list[str]:
    """The patterns of the nearest chefignore, as Chef reads it in lib/chef/cookbook/chefignore.rb."""
    chefignore = next((place / "chefignore" for place in (directory, directory.parent)
                       if (place / "chefignore").is_file()), None)
    if chefignore is None:
        return []
    lines = (line.strip() for line in _text(_read(chefignore), chefignore).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _segment(path: str) -> str:
    return path.split("/")[0] if "/" in path else "root_files"


def _record(path: str, checksum: str) -> dict[str, str]:
    parts = path.split("/")
    specificity = "default"
    if parts[0] in ("templates", "files"):
        specificity = "root_default" if len(parts) == 2 else parts[1]
    return {"name": parts[-1], "path": path, "checksum": checksum, "specificity": specificity}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text") from error
