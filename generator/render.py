"""The cookbook from its templates: all or nothing; the same input, the same bytes; other content, another version."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator import minimum, packages, platforms, probe, services
from generator.advisory import Advisory
from generator.errors import RenderError
from generator.ruby import literal

NAME = "openssl_patch"
FIRST = "1.0.0"
TEMPLATES = Path(__file__).with_name("templates") / "cookbook"
_VERSION = re.compile(r"^version '(\d+)\.(\d+)\.(\d+)'$", re.MULTILINE)
_ENTRY = re.compile(r"^## (\d+\.\d+\.\d+)\n\n(.*?)\n(?=\n## |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The cookbook as it stands at `path` now; `changed` says that this rendering wrote it."""

    name: str
    version: str
    path: Path
    changed: bool


def cookbook(advisories: Sequence[Advisory], destination: Path, above: str | None = None) -> Rendered:
    """Render the cookbook for these advisories into the directory `destination`, which is its own and nobody else's.

    Files that are as they should be are left alone; changed content raises the version's last number and adds an entry
    to CHANGELOG.md, and so does a version that is not above `above`, where that is given. Raises RenderError, and then
    leaves what was there, when a template fails, when `destination` holds anything that is not ours, or when it cannot
    be written.
    """
    existing = _existing(destination)
    version, changelog = _state(existing, destination) if existing else (FIRST, [])
    about = f"Rendered for {', '.join(sorted(advisory.id for advisory in advisories))}."
    files = _files(advisories, version, changelog or [(version, about)])
    behind = above is not None and _numbers(version) <= _numbers(above)
    if files == existing and not behind:
        return Rendered(NAME, version, destination, changed=False)
    if existing or behind:
        version = _raised(max(version, above or version, key=_numbers))
        files = _files(advisories, version, [(version, about), *changelog])
    if existing and (strangers := sorted(existing.keys() - files.keys())):
        named = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        raise RenderError(f"{destination} holds what rendering would remove ({named}): move it away, then render again")
    _write(files, destination)
    return Rendered(NAME, version, destination, changed=True)


def _files(advisories: Sequence[Advisory], version: str, changelog: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    """Return path to content of the whole cookbook."""
    import jinja2  # here, because most verbs render nothing

    values = {
        "version": version,
        "changelog": [{"version": number, "text": text} for number, text in changelog],
        "advisories": sorted(advisory.id for advisory in advisories),
        "libraries": sorted({stem for advisory in advisories for stem in advisory.libraries}),
        "services": [each for _, each in sorted(services.load().items())],
        "packages": {family: list(names) for family, names in sorted(packages.upgraded(advisories).items())},
        "companions": {family: list(names) for family, names in sorted(packages.along(advisories).items())},
        "minimum": minimum.attribute(advisories),
        "origins": minimum.origins(),
        "strategy": "none" if {advisory.restart for advisory in advisories} == {"none"} else "gentle",
        "reboot": any(advisory.restart == "reboot" for advisory in advisories),
        "platforms": sorted(name for name, family in platforms.FAMILY.items() if family in platforms.PACKAGES),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML here; what goes into Ruby goes through `| ruby`
    )
    environment.filters["ruby"] = literal
    files = {"files/probe.sh": probe.text().encode()}
    for path in sorted(TEMPLATES.rglob("*")):
        name = path.relative_to(TEMPLATES).as_posix()
        if name.endswith(".j2"):
            try:
                files[name.removesuffix(".j2")] = environment.get_template(name).render(values).encode()
            except (jinja2.TemplateError, TypeError, ValueError) as error:
                line = f" line {error.lineno}" if getattr(error, "lineno", None) else ""
                raise RenderError(f"the template {name}{line} cannot be rendered: {error}") from error
        elif path.is_file():
            files[name] = path.read_bytes()
    return files


def _existing(destination: Path) -> dict[str, bytes] | None:
    """Return path to content of what stands at the destination, None where nothing does."""
    try:
        if not destination.exists():
            return None
        found = sorted(path for path in destination.rglob("*") if path.is_file())
        return {path.relative_to(destination).as_posix(): path.read_bytes() for path in found}
    except OSError as error:
        raise RenderError(f"{error.filename or destination} cannot be read: {error.strerror}") from error


def _state(existing: Mapping[str, bytes], destination: Path) -> tuple[str, list[tuple[str, str]]]:
    """Return the version and the changelog of a cookbook that was rendered here before."""
    metadata = existing.get("metadata.rb", b"").decode(errors="replace")
    version = _VERSION.search(metadata)
    if f"name '{NAME}'\nmaintainer 'The Styptic authors'" not in metadata or not version:
        raise RenderError(f"{destination} holds something else than the cookbook {NAME}: move it away and render again")
    changelog = _ENTRY.findall(existing.get("CHANGELOG.md", b"").decode(errors="replace"))
    return ".".join(version.groups()), changelog


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _raised(version: str) -> str:
    major, minor, patch = (*_numbers(version), 0, 0)[:3]
    return f"{major}.{minor}.{patch + 1}"


def _write(files: Mapping[str, bytes], destination: Path) -> None:
    """Put a directory with exactly these files at the destination; on any error what was there stands there again."""
    scratch = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=destination.parent))
        made, old = scratch / "new", scratch / "old"
        for name, content in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if destination.exists():
            os.rename(destination, old)
        try:
            os.rename(made, destination)
        except OSError:
            if old.exists():
                os.rename(old, destination)
            raise
    except OSError as error:
        raise RenderError(f"{destination} cannot be written: {error.strerror} ({error.filename})") from error
    finally:
        if scratch is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(scratch)
