"""The cookbook's way to the Chef server: rendered, weighed against pins and unpinned nodes, uploaded."""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleet import local_mode
from fleet.errors import SettingsError
from fleet.node import Node
from fleet.settings import Settings
from fleet.text import clean

COOKBOOK = "openssl_patch"
CHECKOUT = Path(__file__).resolve().parents[1]
NAMED = 50  # nodes; more of them are counted


@dataclass(frozen=True, slots=True)
class Pushed:
    """The cookbook as it stands on the server; `changed`: this push put it there, sending `files` files.

    `archive` is fleet.local_mode's for nodes that do not take it from there, empty where there is none of these.
    """

    name: str
    version: str
    sha256: str
    changed: bool
    files: int
    archive: bytes = field(default=b"", repr=False)


def destination(config) -> Path:
    """Return where the cookbook is rendered: knife's first cookbook_path, or the checkout's own cookbooks/."""
    return (config.cookbook_path[0] if config.cookbook_path else CHECKOUT / "cookbooks") / COOKBOOK


def prepared(server, advisories: Sequence, path: Path, environments: Iterable[str]):
    """Render the cookbook to `path` so that nodes of these environments get it; say whether the server has it.

    Returns generator.render.Rendered and a boolean. The version goes above every one on the server where the server
    holds ours with other files, or nodes would get a higher one, which another checkout pushed.
    """
    from fleet.chef import cookbook, pins
    from generator import render

    rendered = render.cookbook(advisories, path)
    standing = cookbook.standing(server, path)
    highest = next(iter(cookbook.versions(server, COOKBOOK)), rendered.version)
    overtaken = pins.numbers(highest) > pins.numbers(rendered.version) and (
        standing != "same"
        or any(pins.resolved_version(server, each, COOKBOOK) != rendered.version for each in environments)
    )
    if standing == "other" or overtaken:
        return render.cookbook(advisories, path, above=highest), False
    return rendered, standing == "same"


def foreseen(server, advisories: Sequence, path: Path, environments: Iterable[str]):
    """Return what `prepared` would, by rendering a copy elsewhere."""
    with tempfile.TemporaryDirectory(prefix="styptic-") as scratch:
        copy = Path(scratch) / COOKBOOK
        if path.is_dir():
            shutil.copytree(path, copy)
        return prepared(server, advisories, copy, environments)


def push(server, config, advisories: Sequence, environments: Iterable[str], accept_unpinned: bool) -> Pushed:
    """Render the cookbook, upload it if the server does not have it, and see that its nodes would get this version.

    `environments` are those whose nodes are to get it. Raises PinError where one of them holds another version,
    SettingsError where unpinned nodes of any environment would converge the upload by themselves (unless accepted),
    both before anything is uploaded; RenderError and ChefServerError as they come.
    """
    from fleet.chef import cookbook, pins

    path = destination(config)
    environments = sorted(set(environments))
    rendered, there = prepared(server, advisories, path, environments)
    for environment in environments:
        pins.check_constraint(server, environment, COOKBOOK, rendered.version)
    if not there and not accept_unpinned:
        refuse_unpinned(pins.unpinned_nodes(server, COOKBOOK, rendered.version))
    uploaded = cookbook.upload(server, path)
    for environment in environments:
        pins.check_solution(server, environment, COOKBOOK, rendered.version)
    return Pushed(rendered.name, rendered.version, uploaded.sha256, uploaded.changed, uploaded.files_sent)


def served(nodes: Iterable[Node], settings: Settings) -> set[str]:
    """Return the environments of those nodes that take the cookbook from the Chef server."""
    return {node.environment for node in nodes if not local_mode.wanted(node, settings)}


def for_nodes(server, config, advisories: Sequence, nodes: Sequence[Node], settings: Settings) -> Pushed:
    """Have the cookbook ready for these nodes: pushed for those that take it from the server, packed for those that
    converge it in local mode; where all do, nothing is uploaded. Raises what `push` does.
    """
    from fleet.chef import cookbook_files
    from generator import render

    environments = served(nodes, settings)
    if environments:
        pushed = push(server, config, advisories, environments, settings.accept_unpinned)
    else:
        rendered = render.cookbook(advisories, destination(config))
        sha256 = cookbook_files.load(rendered.path).sha256
        pushed = Pushed(rendered.name, rendered.version, sha256, changed=False, files=0)
    if not any(local_mode.wanted(node, settings) for node in nodes):
        return pushed
    files = cookbook_files.load(destination(config)).files
    return replace(pushed, archive=local_mode.archive(pushed.name, files))


def refuse_unpinned(nodes: Sequence[tuple[str, str]]) -> None:
    """Raise if there are any: they would converge an upload within their chef-client's interval."""
    if nodes:
        them = "it" if len(nodes) == 1 else "them"
        raise SettingsError(
            f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'} with {COOKBOOK} in the run list and no pin would "
            f"converge the upload within half an hour, outside every wave: {in_words(nodes)}; nothing was uploaded: "
            f"pin {COOKBOOK} to an exact version for {them} (knife environment edit), or go on with --accept-unpinned."
        )


def in_words(nodes: Sequence[tuple[str, str]]) -> str:
    """Return (node, environment) pairs as a phrase that names the first NAMED of them and counts the rest."""
    said = ", ".join(f"{clean(name, 100)} ({clean(environment, 100)})" for name, environment in nodes[:NAMED])
    return said + (f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else "")
