"""Finding nodes: partial search, paged as each kind of server needs it, and knife's rules for queries and addresses.

Partial search is POST /search/INDEX (https://docs.chef.io/server/api_chef_server/#searchindex): only the keys asked for
travel, so 10,000 nodes stay small.
"""

import functools
import logging
import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from fleet import rivals
from fleet.chef.answers import reading
from fleet.errors import ChefServerError, IncompleteSearchError, NotFoundError, SettingsError
from fleet.node import Node
from fleet.text import clean
from fleet.within import begun
from generator import packages, platforms

PAGE = 1000  # rows a Chef Infra Server gives at most: https://docs.chef.io/chef_search/
CAP = 10_000  # where Chef Infra Server on OpenSearch stops counting (track_total_hits)
MOST = 10_000_000  # matches; a server that counts more than any fleet has would be paged for days
_EVERYTHING = 2**31 - 1
# What is not installed costs a null each.
OPENSSL_PACKAGES = tuple(sorted({name for names in platforms.PACKAGES.values() for name in names}))
# The package managers' own packages: a node without both reports no packages, one with either has no OpenSSL.
_WITNESSES = {"witness_dpkg": "dpkg", "witness_rpm": "rpm"}
_LONGEST = 1000  # characters of a value: no package manager and no platform writes as many, and 10,000 nodes are many
_MOST_ALIKE = 100  # of one rpm that is there several times
_LONGEST_KEY = 4000  # of a host key, see fleet.host_keys
# What Ohai keeps of sshd's host keys under keys.ssh (chef/ohai, lib/ohai/plugins/ssh_host_key.rb).
_HOST_KEYS = ("host_ed25519_public", "host_ecdsa_public", "host_ecdsa_type", "host_rsa_public")
_ADDRESSES = (("cloud", "public_hostname"), ("fqdn",), ("ipaddress",))
log = logging.getLogger(__name__)


def expand(query: str) -> str:
    """Return `query` as knife reads it: words without a colon are looked for in tags, roles, names and addresses.

    The rule is that of Chef's lib/chef/search/query.rb, which `knife ssh` and `knife search` share.
    """
    if ":" in query:
        return query
    fields = ("tags", "roles", "fqdn", "addresses", "policy_name", "policy_group")
    return " OR ".join(f"{field}:*{query}*" for field in fields)


def searched(environment: str | None, query: str | None) -> str:
    """Return what the server is asked for the nodes of `environment` (None or '*': of all) that match `query`.

    None or "" as the query matches all; one without a colon is expanded, see expand().
    """
    words = [f"chef_environment:{environment}"] if environment not in (None, "*") else []
    words += [f"({expand(query)})"] if query else []
    return " AND ".join(words) or "*:*"


def partial(server, index: str, query: str, keys: Mapping[str, Sequence[str]]) -> list[dict]:
    """Return one dictionary a match: at least `keys` (name to the path of an attribute), None where one is absent.

    Every object comes once. goiardi orders no pages among each other, so it is asked for a single one; a Chef Infra
    Server is paged by 1000, advancing by what was asked for, because deleted objects shorten a page, and going back by
    as many as left the index between two pages, because what comes behind them moved up. Raises
    IncompleteSearchError, with the rows there are, when the server's total is its cap or a page before the last is
    empty; ChefServerError for a query that the server cannot read, and an answer that is none.
    """
    rows_asked = _EVERYTHING if server.is_goiardi else PAGE
    body = {name: list(path) for name, path in keys.items()}
    names = set(keys)
    found: dict[str, dict] = {}
    start, total, empty = 0, 1, False
    while start < total and not empty:
        counted, asked = total, f"q={quote(query, safe='')}&rows={rows_asked}&start={start}"
        page = server.post(f"/search/{quote(index, safe='')}?{asked}", body)
        with reading(server, f"the search for {clean(query)!r}"):
            total, empty = int(page["total"]), not page["rows"]
            for row in page["rows"]:
                if row is not None:
                    data = row["data"]  # as it is where it is whole: there are many
                    whole = data.keys() >= names
                    found.setdefault(row["url"], data if whole else {name: data.get(name) for name in keys})
        if total > MOST:
            raise ChefServerError(f"{server.url} counts {total} matches of {clean(query)!r}: narrow the query")
        if start and total < counted:
            start, empty = max(0, start - (counted - total)), False
            continue
        start += rows_asked
        if total == CAP and start >= CAP:
            break
    rows = list(found.values())
    if total == CAP and not server.is_goiardi:
        raise _incomplete(
            f"{server.url} shows {CAP} matches of {clean(query)!r} and counts no further, so there may be more: "
            "narrow the query (AND name:a*, say)", rows,
        )
    if empty and start < total:
        raise _incomplete(
            f"{server.url} counts {total} matches of {clean(query)!r} and shows {len(rows)}, then an empty page: "
            "have its search index made anew (chef-server-ctl reindex), or narrow the query", rows,
        )
    return rows


def _incomplete(why: str, rows: list[dict]) -> IncompleteSearchError:
    error = IncompleteSearchError(why)
    error.rows = rows
    return error


def find_nodes(
    server,
    environment: str | None = None,
    query: str | None = None,
    address_attribute: str | None = None,
    package_names: Sequence[str] = OPENSSL_PACKAGES,
    group_attribute: str | None = None,
    host_keys: bool = False,
) -> list[Node]:
    """Return the nodes of `environment` (None or '*': of all) that match `query` (None: all), sorted by name.

    Only the paths that are needed are asked for, and the server's list of the environment meanwhile.

    A row that says another environment of itself than the one asked for is dropped: the index lags. `address_attribute`
    is knife's -a, dotted; without it knife[:ssh_attribute], then cloud.public_hostname, then fqdn, as in `knife ssh`,
    and, beyond knife, ipaddress. `package_names` are the packages whose versions are wanted, rpm's as
    epoch:version-release; `group_attribute` is a dotted path too, whose value is Node.group; with `host_keys` the keys
    that ohai has of sshd are asked for too, and nodes with one address know of each other. Raises NotFoundError for an
    unknown environment, naming those there are, SettingsError for a name that cannot be one. Nodes the index has missed
    are named in a warning, and are returned as Node.unindexed.
    """
    environment = None if environment == "*" else environment
    if environment is not None:
        check_environment(server, environment)
    paths = _address_paths(server, address_attribute)
    keys = {
        "name": ("name",), "environment": ("chef_environment",), "platform": ("platform",), "os": ("os",),
        "release": ("platform_version",), "ohai_time": ("ohai_time",), "policy_name": ("policy_name",),
        **{f"address_{number}": path for number, path in enumerate(paths)},
        **{f"package_{name}": ("packages", name) for name in package_names},
        **{key: ("packages", name, "version") for key, name in _WITNESSES.items()},
        **({"group": tuple(group_attribute.split("."))} if group_attribute else {}),
        **({name: ("keys", "ssh", name) for name in _HOST_KEYS} if host_keys else {}),
    }
    path = f"/environments/{environment}/nodes"
    listed = begun(lambda: server.get(path)) if environment is not None and not query else None
    incomplete = None
    try:
        rows = partial(server, "node", searched(environment, query), keys)
    except IncompleteSearchError as error:
        if query or environment is None:
            raise
        incomplete, rows = error, error.rows
    address_keys = [f"address_{number}" for number in range(len(paths))]
    package_keys = [(name, f"package_{name}") for name in package_names]
    named = (_node(row, address_keys, package_keys) for row in rows if row["name"] and isinstance(row["name"], str))
    nodes = {node.name: node for node in named if environment in (None, node.environment)}
    if listed is not None:
        with reading(server, f"GET {path}"):
            missing = sorted(listed.result().keys() - nodes.keys())
        _compare(server, environment, len(nodes), missing, incomplete)
        unseen = (Node(name, environment, unindexed=True) for each in missing if (name := _text(each, None)))
        nodes |= {node.name: node for node in unseen}
    ordered = [nodes[name] for name in sorted(nodes)]
    return rivals.named(ordered) if host_keys else ordered


def package_names(advisories: Sequence) -> tuple[str, ...]:
    """Return the packages that the advisories (generator.advisory) are about, on whatever release."""
    names = {name for each in advisories for name in each.named}
    return tuple(sorted(names.union(OPENSSL_PACKAGES if any(each.openssl for each in advisories) else ())))


def check_environment(server, environment: str) -> None:
    """Raise NotFoundError, naming the environments there are, unless `environment` is one of them."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", environment):
        raise SettingsError(f"{environment!r} cannot be the name of an environment: letters, digits, _ and - only")
    with reading(server, "GET /environments"):
        known = sorted(server.get("/environments").keys())
    if environment not in known:
        names = ", ".join(clean(name, 100) for name in known)
        raise NotFoundError(f"there is no environment {environment!r} on {server.url}; there are: {names}")


def _compare(
    server, environment: str, found: int, missing: Sequence[str], incomplete: IncompleteSearchError | None
) -> None:
    """Say which nodes the server knows in this environment and its search, which found so many, does not."""
    if not missing:
        return
    names = ", ".join(clean(name, 100) for name in missing[:10]) + (", ..." if len(missing) > 10 else "")
    if incomplete is not None:
        raise ChefServerError(
            f"the search of {server.url} ends at {found} nodes and leaves out {len(missing)} of environment "
            f"{environment} ({names}): go on in parts, with --query name:a* and so on"
        ) from incomplete
    log.warning(
        "%d nodes of environment %s are not in the server's search index, so nothing is known of them: %s",
        len(missing), environment, names,
    )


def _address_paths(server, attribute: str | None) -> tuple[tuple[str, ...], ...]:
    attribute = attribute or server.knife.get("ssh_attribute")
    return (tuple(str(attribute).split(".")),) if attribute else _ADDRESSES


def _node(row: Mapping, address_keys: Sequence[str], package_keys: Sequence[tuple[str, str]]) -> Node:
    found = (_text(row.get(key)) for key in address_keys)
    there = ((name, entry) for name, key in package_keys if (entry := row.get(key)) is not None)
    versions = {name: version for name, entry in there if (version := _version(entry))}
    return Node(
        name=_text(row["name"], None),
        environment=_text(row.get("environment")) or "_default",
        address=next((address for address in found if address), None),
        platform=_text(row.get("platform")) or _text(row.get("os")),
        release=_text(row.get("release")),
        packages=versions,
        ohai_time=_seconds(row.get("ohai_time")),
        policy_name=_text(row.get("policy_name")),
        reports_packages=bool(versions or any(row.get(key) for key in _WITNESSES)),
        group=_text(row.get("group")),
        host_keys={name: text for name in _HOST_KEYS if (text := _text(row.get(name), _LONGEST_KEY))},
    )


def _seconds(value) -> float | None:
    """A time as ohai has it; None for what is none, as infinity and a number beyond every float are."""
    try:
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
    except OverflowError:
        return None


def _version(package) -> str | None:
    """ohai's entry as one version: dpkg's is whole, rpm's comes in three parts (ohai, plugins/packages.rb).

    Of an rpm that is there more than once ohai lists every one in `versions`; the oldest counts, as on the node itself.
    """
    if not isinstance(package, Mapping):
        return None
    several = package.get("versions")
    if not isinstance(several, list):
        return _whole(package)
    entries = (package, *several[:_MOST_ALIKE])
    found = [version for entry in entries if isinstance(entry, Mapping) and (version := _whole(entry))]
    return functools.reduce(functools.partial(packages.older, "rpm"), found) if found else None


def _whole(entry: Mapping) -> str | None:
    version, release = _text(entry.get("version")), _text(entry.get("release"))
    if not version or not release:
        return version
    epoch = _text(entry.get("epoch"))
    return f"{epoch if epoch and epoch.isdecimal() else '0'}:{version}-{release}"


def _text(value, limit: int | None = _LONGEST) -> str | None:
    """A text or a whole number as text, without the half surrogate pairs that no file takes; None for anything else.

    What is longer than `limit` is cut, and is then what no node could have.
    """
    if type(value) is str and value.isascii() and 0 < len(value) < _LONGEST:  # nearly all of them
        return value
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text[:limit].encode(errors="replace").decode() or None
