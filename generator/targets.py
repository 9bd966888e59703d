"""What the nodes that Chef does not reach are patched with: one shell script, a playbook or a Salt state around it.

The same knowledge as the cookbook's: the advisories' rows by generator/minimum.py, the packages by platforms.py, the
services by services.toml, the probe by probe.sh. templates/shell holds the program; Ansible and Salt upgrade by their
own modules and have the program do what only it knows: what is stale, and which step is next.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from generator import minimum, packages, platforms, probe, services
from generator.advisory import Advisory
from generator.errors import RenderError
from generator.services import Service, Step
from generator.shell import quote

TEMPLATES = Path(__file__).with_name("templates")
SCRIPT = "openssl_patch.sh"
#: Chef's platform families whose package managers the targets know: apt, yum, dnf.
FAMILIES = ("debian", "rhel", "fedora", "amazon")
NONE = "-"  # an empty field of a row
MARK = "Rendered by Styptic for "  # stands in every rendered file


def shell(advisories: Sequence[Advisory]) -> dict[str, str]:
    """Return {file name: content} of the script: POSIX sh, whole in one file. Raises RenderError."""
    return {SCRIPT: _rendered("shell", f"{SCRIPT}.j2", advisories)}


def ansible(advisories: Sequence[Advisory]) -> dict[str, str]:
    """Return {path: content} of the playbook, its variables and the script it runs. Raises RenderError."""
    return {
        "openssl_patch.yml": _rendered("ansible", "openssl_patch.yml.j2", advisories),
        "vars/openssl_patch.yml": _rendered("ansible", "vars.yml.j2", advisories),
        f"files/{SCRIPT}": shell(advisories)[SCRIPT],
    }


def salt(advisories: Sequence[Advisory]) -> dict[str, str]:
    """Return {path below a file root: content} of the state and the script it runs. Raises RenderError."""
    return {
        "openssl_patch/init.sls": _rendered("salt", "init.sls.j2", advisories),
        f"openssl_patch/{SCRIPT}": shell(advisories)[SCRIPT],
    }


#: Ansible and Salt read Jinja themselves.
OTHER_SIGNS = {
    "variable_start_string": "[[", "variable_end_string": "]]", "block_start_string": "[%", "block_end_string": "%]",
    "comment_start_string": "[#", "comment_end_string": "#]",
}
#: What `invoke render --target` knows, to what renders it.
TARGETS: Mapping[str, Callable[[Sequence[Advisory]], dict[str, str]]] = MappingProxyType(
    {"shell": shell, "ansible": ansible, "salt": salt}
)


def service_facts(service: Service) -> list[str]:
    """Return what the script is told of a service, a line a fact: `names nginx`, `step restart`, ...

    Words are parted by blanks, the steps in their order. Raises RenderError for a word of a test that holds one.
    """
    for word in service.test:
        if not word or set(word) & set(" \t\n*?["):
            raise RenderError(f"{service.name}: {word!r} in its test is no word of the script: mend services.toml")
    facts = [f"names {' '.join(service.names)}"]
    facts += [f"test {' '.join(service.test)}"] if service.test else []
    facts += [f"step {_step(step)}" for step in service.steps]
    facts += [f"systemd {service.systemd}"] if service.systemd else []
    facts += ["spares_graphical yes"] if service.spares_graphical else []
    facts += [f"because {service.because}"] if service.because else []
    return facts


def _step(step: Step) -> str:
    said = {key: ",".join(value) if isinstance(value, tuple) else value for key, value in step.data.items()}
    return " ".join([said.pop("do"), *(f"{key}={value}" for key, value in said.items())])


def _rendered(target: str, template: str, advisories: Sequence[Advisory]) -> str:
    """Return one template's text."""
    import jinja2  # here, because most verbs render nothing

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES / target), undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True, autoescape=False,  # noqa: S701 - no HTML here; words go through `| sh` and `| json`
        **({} if target == "shell" else OTHER_SIGNS),
    )
    environment.filters |= {"sh": quote, "inner": lambda text: quote(f" {text}")[2:-1], "json": _json}
    environment.globals["part"] = lambda name: (TEMPLATES / target / name).read_text().rstrip("\n")
    try:
        return environment.get_template(template).render(_values(advisories))
    except (jinja2.TemplateError, OSError, TypeError, ValueError) as error:
        line = f" line {error.lineno}" if getattr(error, "lineno", None) else ""
        raise RenderError(f"the template {target}/{template}{line} cannot be rendered: {error}") from error


def _json(value: object) -> str:
    """Return a value as JSON on one line, which YAML reads as itself."""
    import json

    return json.dumps(value)


def _values(advisories: Sequence[Advisory]) -> dict[str, object]:
    said = minimum.attribute(advisories)
    families = {name: family for name, family in sorted(platforms.FAMILY.items()) if family in FAMILIES}
    distros = {name: platforms.distro_of(name) for name in families}
    ranges = []
    for name, rows in said.items():
        upstream = rows["upstream"] or {}
        ranges += [(name, kind, *pair) for kind in ("affected", "before", "fixed") for pair in upstream.get(kind, ())]
        ranges += [(name, "since", upstream["since"], NONE)] if upstream.get("since") else []
    names = [advisory.id for advisory in sorted(advisories, key=lambda each: each.id)]
    about = textwrap.wrap(f"{MARK}{', '.join(names)}; not edited by hand.", 110, break_on_hyphens=False)
    return {
        "advisories": names,
        "rendered": "\n".join(f"# {line}" for line in about),
        "reboot": "1" if any(advisory.restart == "reboot" for advisory in advisories) else "",
        "libraries": sorted({stem for advisory in advisories for stem in advisory.libraries}),
        "packages": {family: list(packages.upgraded(advisories)[family]) for family in FAMILIES},
        "companions": {family: list(packages.along(advisories)[family]) for family in FAMILIES},
        "distros": distros,
        "families": families,
        "probe": probe.text(),
        "probe_first": probe.FIRST,
        "services": [
            {"name": name, "facts": service_facts(each)} for name, each in sorted(services.load().items())
        ],
        "rows": _lines(
            (name, kind, row["distro"], row["release"], row["stream"], ",".join(row.get("minors", ())),
             ",".join(row["packages"]), row.get("version"), " ".join((row.get("advisory") or row["reason"]).split()))
            for name, rows in said.items() for kind in ("fixed", "never_fixed", "not_affected") for row in rows[kind]
            if row["distro"] in distros.values()
        ),
        "about": _lines((name, " ".join(names)) for name, names in _about(said).items()),
        "affected": _lines(ranges),
    }


def _about(said: Mapping[str, Mapping]) -> dict[str, Sequence[str]]:
    """Return the packages that each advisory is about, where not all of them are about OpenSSL's."""
    openssl = sorted({name for names in platforms.PACKAGES.values() for name in names})
    mixed = any(rows["packages"] for rows in said.values())
    return {name: rows["packages"] or openssl for name, rows in said.items()} if mixed else {}


def _lines(rows: Iterable[Sequence[str | None]]) -> str:
    """Return rows as lines, their fields parted by blanks; an empty one is NONE."""
    return "\n".join(" ".join(field or NONE for field in row) for row in rows)


def write(files: Mapping[Path, str]) -> bool:
    """Write rendered files, each whole or not at all; return whether one changed.

    Raises RenderError, before anything is written, where one of them stands there and was not rendered by this.
    """
    changed = {}
    for path, text in files.items():
        try:
            existing = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        except OSError as error:
            raise RenderError(f"{path} cannot be read: {error.strerror}") from error
        if existing and MARK not in existing:
            raise RenderError(f"{path} holds something that was not rendered: move it away, or give another --output")
        if existing != text:
            changed[path] = text
    for path, text in changed.items():
        beside = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
            beside.chmod(0o755 if path.suffix == ".sh" or text.startswith("#!") else 0o644)
            beside.replace(path)
        except OSError as error:
            raise RenderError(f"{path} cannot be written: {error.strerror}") from error
    return bool(changed)
