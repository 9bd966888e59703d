"""A node's run list on the Chef server: read and written back with every other key of the node's object as it was.

GET and PUT of /nodes/NAME (https://docs.chef.io/server/api_chef_server/#nodesname) exchange the whole object, and no
header says which state of it is meant: the last writer wins. So an object is read again right before it is written,
and once more afterwards. PyChef's Node.save knows neither that nor a node's policy_name.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from urllib.parse import quote

from fleet.chef.answers import ODD
from fleet.errors import ChangedError, ChefServerError, ServerUnreachableError
from fleet.text import clean

ABSENT = object()  # what a run list says of a recipe that it does not bring
# Chef's lib/chef/run_list/run_list_item.rb: a recipe with or without a version, or in an old spelling the bare name.
_ITEM = re.compile(r"(?:recipe\[([^\]@]+)(?:@([0-9]+(?:\.[0-9]+){1,2}))?\]|([^@\[\]]+)(?:@([0-9]+(?:\.[0-9]+){1,2}))?)")
_ROLE = re.compile(r"role\[([^\]]+)\]")
ROLES = 200  # of one node: each is asked for, and a node writes its own run list


def entry(cookbook: str, version: str) -> str:
    """Return the run list's item that converges this version of the cookbook's default recipe.

    The version is in it, so that a higher one that somebody pushes meanwhile is not what converges; the environment's
    constraints hold beside it, because chef-client hands `NAME@VERSION` to the same solver (Chef,
    lib/chef/run_list/versioned_recipe_list.rb).
    """
    return f"recipe[{cookbook}@{version}]"


def read(server, name: str) -> dict:
    """Return a node's object, each value such that it is written back as it was read.

    Raises NotFoundError, other ChefServerErrors, and one for an object that no reading leaves whole.
    """
    content = server.request("GET", _path(name)).content
    try:
        found = json.loads(content, parse_float=_finite, parse_constant=_refuse)
        if found["name"] != name:
            raise ValueError("it is another node's")
        items(found)
    except ODD as error:
        raise _unwritable(server, name, error) from error
    return found


def items(found: dict) -> list[str]:
    """Return the items of the run list in a node's object. Raises TypeError for one that is none."""
    listed = found.get("run_list", [])
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise TypeError("its run list is no list of texts")
    return list(listed)


def write(server, found: dict, wanted: Sequence[str]) -> None:
    """Write a node's object back as `read` gave it, with this run list in the place of its own.

    Raises ChangedError, with nothing written, where the object is another by now; ChangedError too where the run list
    is another right after it was written, because somebody wrote at the same moment (a chef-client that saves its node
    at the end of a run, say); ChefServerError.
    """
    name = found["name"]
    try:
        if read(server, name) != found:
            raise ChangedError(f"somebody else changed the object of the node {clean(name, 100)} meanwhile")
        try:
            # One attempt: a second would overwrite what somebody wrote after the first.
            server.put(_path(name), {**found, "run_list": list(wanted)}, again=False)
        except ServerUnreachableError:
            if items(read(server, name)) != list(wanted):
                raise
    except RecursionError as error:  # what can just be read may be too deep to be compared or written
        raise _unwritable(server, name, error) from error
    if items(read(server, name)) != list(wanted):
        raise ChangedError(f"somebody else changed the run list of the node {clean(name, 100)} at the same moment")


def version(listed: Sequence[str], cookbook: str, role: Callable[[str], Sequence[str]] = lambda _: ()) -> object:
    """Return at which version a run list brings the default recipe of a cookbook: text, None for any, or ABSENT.

    `role` returns the run list of a role, which may name others. Of several the first that names a version decides.
    Raises ChefServerError where there are more than ROLES of them.
    """
    found, seen, left = ABSENT, set(), [*reversed(listed)]
    while left:
        item = left.pop()
        if named := _ROLE.fullmatch(item):
            if item in seen:
                continue
            seen.add(item)
            if len(seen) > ROLES:
                raise ChefServerError(f"its run list names more than {ROLES} roles, and they are not all asked for")
            left += reversed(role(named[1]))
        elif (recipe := _ITEM.fullmatch(item)) and (recipe[1] or recipe[3]) in (cookbook, f"{cookbook}::default"):
            said = recipe[2] or recipe[4]
            found = said if said or found is ABSENT else found
            if said:
                break
    return found


class Roles:
    """The run lists of roles in an environment, each asked for once; a role that cannot be read brings nothing."""

    def __init__(self, server):
        self.server = server
        self.known: dict[tuple[str, str], list[str]] = {}

    def of(self, environment: str) -> Callable[[str], list[str]]:
        """Return what gives a role's run list in this environment."""
        def listed(name: str) -> list[str]:
            if (name, environment) not in self.known:
                self.known[name, environment] = self.ask(name, environment)
            return self.known[name, environment]

        return listed

    def ask(self, name: str, environment: str) -> list[str]:
        """Return a role's run list; an environment's own takes the place of the default (Chef, lib/chef/role.rb)."""
        try:
            found = self.server.get(f"/roles/{quote(name, safe='')}")
            return items({"run_list": (found.get("env_run_lists") or {}).get(environment, found.get("run_list", []))})
        except (ChefServerError, *ODD):
            return []


def _unwritable(server, name: str, error: Exception) -> ChefServerError:
    return ChefServerError(
        f"the object of the node {clean(name, 100)} on {server.url} cannot be written back as it is "
        f"({clean(str(error), 100)}), so its run list was not changed: mend it (knife node show -F json)"
    )


def _path(name: str) -> str:
    return f"/nodes/{quote(name, safe='')}"


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"a number is too large: {digits[:20]}")
    return number


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
