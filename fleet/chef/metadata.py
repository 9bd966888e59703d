"""metadata.rb as the dictionary a Chef server stores, the one `knife cookbook metadata` compiles.

Fields and defaults are those of Chef's lib/chef/cookbook/metadata.rb (https://docs.chef.io/config_rb_metadata/). Only
literal metadata.rb files are read: ours is, and ruby need not be there.
"""

import json
import re
from collections.abc import Mapping

from fleet.chef.ruby_subset import SubsetError, read
from fleet.errors import SettingsError

_TEXTS = (
    "name", "description", "long_description", "maintainer", "maintainer_email", "license", "version", "source_url",
    "issues_url",
)
_CONSTRAINTS = {"supports": "platforms", "depends": "dependencies"}
_REQUIREMENTS = {"chef_version": "chef_versions", "ohai_version": "ohai_versions"}
_DEFAULTS = {"license": "All rights reserved", "version": "0.0.0"}


def compile_metadata(text: str, path: str) -> dict:
    """Return the metadata that the metadata.rb `text` makes; `path` is for errors alone.

    Raises SettingsError naming the line that is no literal or no field we know, and a missing or malformed name or
    version.
    """
    metadata: dict = {field: _DEFAULTS.get(field, "") for field in _TEXTS}
    metadata |= {name: {} for name in ("platforms", "dependencies", "providing", "recipes")}
    metadata |= {"chef_versions": [], "ohai_versions": [], "gems": [], "privacy": False, "eager_load_libraries": True}
    try:
        calls = read(text, path)
    except SubsetError as error:
        raise SettingsError(f"{path} {error}") from error
    for call in calls:
        if call.key is not None or not all(isinstance(argument, (str, bool)) for argument in call.arguments):
            raise SettingsError(f"{path} line {call.line}: {call.name} is not set in a way that is understood here")
        if call.name in _TEXTS and len(call.arguments) == 1:
            metadata[call.name] = str(call.arguments[0])
        elif call.name in _CONSTRAINTS and len(call.arguments) in (1, 2):
            whom, constraint = (*call.arguments, ">= 0.0.0")[:2]
            metadata[_CONSTRAINTS[call.name]][whom] = constraint
        elif call.name in _REQUIREMENTS and call.arguments:
            metadata[_REQUIREMENTS[call.name]].append(sorted(call.arguments))
        elif call.name == "gem" and call.arguments:
            metadata["gems"].append(list(call.arguments))
        elif call.name in ("privacy", "eager_load_libraries") and len(call.arguments) == 1:
            metadata[call.name] = call.arguments[0] is True
        else:
            values = len(call.arguments)
            raise SettingsError(f"{path} line {call.line}: {call.name} with {values} values is not known here")
    return checked(metadata, path)


def load_json(text: str, path: str) -> dict:
    """Return the metadata of a metadata.json; `path` is for errors alone. Raises SettingsError as above."""
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{path} is not readable as JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise SettingsError(f"{path} is not a JSON object")
    # A server refuses null where it wants text.
    return checked({key: value for key, value in metadata.items() if value is not None}, path)


def checked(metadata: Mapping, path: str) -> dict:
    """Return `metadata` if it has a name and a version that a Chef server takes, else raise SettingsError."""
    name, version = metadata.get("name"), metadata.get("version")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise SettingsError(f"{path} has no usable name: letters, digits, _, . and - only")
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+(\.\d+)?", version):
        raise SettingsError(f"{path} has the version {version!r}: it must be x.y or x.y.z, in numbers")
    return {**metadata, "version": version if version.count(".") == 2 else f"{version}.0"}  # as Chef::Version writes it


def with_recipes(metadata: Mapping, recipes: list[str]) -> dict:
    """Return `metadata` with what the cookbook's recipes (paths below recipes/) add to it."""
    name = metadata["name"]
    names = [name if recipe == "default.rb" else f"{name}::{recipe.removesuffix('.rb')}" for recipe in sorted(recipes)]
    return {
        **metadata,
        "recipes": metadata.get("recipes") or dict.fromkeys(names, ""),
        "providing": metadata.get("providing") or dict.fromkeys(names, ">= 0.0.0"),
    }
