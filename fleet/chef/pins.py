"""Which version of a cookbook nodes would get: the constraint of their environment, and the server's solver."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from fleet.chef.answers import reading, word
from fleet.chef.search import partial
from fleet.errors import ChefServerError, IncompleteSearchError, NotFoundError, PinError
from fleet.text import clean

_OPERATORS = {
    "=": lambda ours, theirs: ours == theirs,
    ">": lambda ours, theirs: ours > theirs,
    "<": lambda ours, theirs: ours < theirs,
    ">=": lambda ours, theirs: ours >= theirs,
    "<=": lambda ours, theirs: ours <= theirs,
}
_NUMBERS = r"[0-9]{1,19}(?:\.[0-9]{1,19}){0,2}"  # a server keeps each in 64 bits


def constraint(server, environment: str, name: str) -> str | None:
    """Return the constraint (`= 1.2.3`) that `environment` puts on cookbook `name`, None when it puts none.

    Raises NotFoundError for an unknown environment.
    """
    path = f"/environments/{quote(environment, safe='')}"
    with reading(server, f"GET {path}"):
        pinned = (server.get(path).get("cookbook_versions") or {}).get(name)
        return None if pinned is None else word(pinned)


def resolved_version(server, environment: str, name: str) -> str | None:
    """Return the version of cookbook `name` that nodes of `environment` would get, by the server's own solver.

    None when they would get none: no such cookbook, or no version that the constraints allow. Raises NotFoundError for
    an unknown environment. https://docs.chef.io/server/api_chef_server/#environmentsnamecookbook_versions
    """
    path = f"/environments/{quote(environment, safe='')}/cookbook_versions"
    try:
        solved = server.post(path, {"run_list": [name]})
    except ChefServerError as error:
        if error.status == 412:
            return None
        raise
    with reading(server, f"POST {path}"):
        found = solved.get(name)
        return None if found is None else word(found["version"])


def check_constraint(server, environment: str, name: str, version: str) -> None:
    """Raise PinError if `environment` has a constraint that `version` of `name` does not meet, uploaded or not."""
    pinned = constraint(server, environment, name)
    if pinned is not None and not allows(pinned, version):
        raise PinError(
            f"environment {environment} pins {name} to {clean(pinned, 100)!r}, so its nodes would not get {version}: "
            f"{_advice(environment)}"
        )


def check_solution(server, environment: str, name: str, version: str) -> None:
    """Raise PinError unless the server's solver gives nodes of `environment` this uploaded `version` of `name`."""
    resolved = resolved_version(server, environment, name)
    if resolved == version:
        return
    pinned = constraint(server, environment, name)
    by = f"its pin is {clean(pinned, 100)!r}" if pinned else "it has no pin"
    got = f"{name} {clean(resolved, 100)} and not" if resolved else f"no {name} at all, not even"
    raise PinError(f"nodes of environment {environment} would get {got} {version} ({by}): {_advice(environment)}")


def _advice(environment: str) -> str:
    return f"change the pin (knife environment edit {environment}) or leave the environment out; no node was touched"


def unpinned_nodes(server, name: str, version: str) -> list[tuple[str, str]]:
    """Return (node, environment) of every node that would converge `version` of `name` by itself once it is uploaded.

    Such a node, of whatever environment, has a recipe of `name` in its run list or in the recipes of its last converge.
    It is pinned, and left out, if its environment's constraint is an exact one (somebody named that version) or does
    not allow `version`, if its run list says `@version`, or if it is under a policyfile, whose lock decides. Sorted by
    environment and name.
    """
    keys = {
        "name": ("name",), "environment": ("chef_environment",), "run_list": ("run_list",), "recipes": ("recipes",),
        "policy": ("policy_name",),
    }
    try:
        rows = partial(server, "node", f"recipes:{name}* OR run_list:*{name}*", keys)
    except IncompleteSearchError as error:  # more than anybody will read: the first 10,000 do
        rows = error.rows
    carriers: dict[str, list[str]] = {}
    with reading(server, f"the search for nodes with {name}"):
        for row in rows:
            if not row["policy"] and _carries(row, name):
                carriers.setdefault(word(row["environment"] or "_default"), []).append(word(row["name"]))
    return [
        (node, environment)
        for environment in sorted(carriers) if not _pinned(server, environment, name, version)
        for node in sorted(carriers[environment])
    ]


def _pinned(server, environment: str, name: str, version: str) -> bool:
    try:
        pinned = constraint(server, environment, name)
    except NotFoundError:  # deleted under its nodes, which pins nothing
        return False
    return pinned is not None and (_parts(pinned)[0] == "=" or not allows(pinned, version))


def _carries(row: Mapping, name: str) -> bool:
    """True if the row's run list or recipes hold a recipe of the cookbook that is not held to one version."""
    recipe = rf"{re.escape(name)}(?:::[\w-]+)?"
    items = row["run_list"] if isinstance(row["run_list"], list) else []
    listed = [found for item in items if (found := re.fullmatch(rf"recipe\[{recipe}(@[\d.]+)?\]", str(item)))]
    if listed:
        return any(found[1] is None for found in listed)
    recipes = row["recipes"] if isinstance(row["recipes"], list) else []
    return any(re.fullmatch(recipe, str(item)) for item in recipes)


def allows(constraint: str, version: str) -> bool:
    """True if `version` meets the constraint, by Chef's rules (https://docs.chef.io/cookbook_versioning/#constraints).

    Raises ChefServerError for a constraint that is none.
    """
    operator, wanted = _parts(constraint)
    ours, theirs = numbers(version), numbers(wanted)
    if operator == "~>":  # the last number shown may grow, those before it may not
        fixed = wanted.count(".") or 1
        return theirs <= ours and ours[:fixed] == theirs[:fixed]
    return _OPERATORS[operator](ours, theirs)


def _parts(constraint: str) -> tuple[str, str]:
    found = re.fullmatch(rf"\s*(=|>=|<=|~>|>|<)?\s*({_NUMBERS})\s*", constraint)
    if not found:
        shown = clean(constraint, 100)
        raise ChefServerError(f"an environment has the version constraint {shown!r}, which is none: mend it there")
    return found[1] or "=", found[2]


def numbers(version: str) -> tuple[int, ...]:
    """Return a cookbook's version, x.y or x.y.z, as numbers that order it. Raises ValueError for what is none."""
    if not re.fullmatch(_NUMBERS, version):
        raise ValueError(f"{clean(version, 100)!r} is no version of a cookbook")
    return tuple([*(int(number) for number in version.split(".")), 0, 0][:3])
