"""The settings of a rollout: flags over the environment's block over invoke.yaml over knife's own over our defaults."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from fleet.errors import SettingsError
from fleet.text import clean
from fleet.waves import DEFAULT, FIVE_PERCENT, Amount, Steps, amount, steps

EVERYWHERE = "*"
# Chef's own rule for an environment's name (Chef::Environment), which a flag taken for a value never meets.
ENVIRONMENT = re.compile(r"\*|[A-Za-z0-9_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a verb may be told. Times are in seconds, files are absolute, None is "not said"."""

    env: str | None = None
    query: str | None = None
    advisories: tuple[str, ...] = ()
    limit: int | None = None
    concurrency: int = 50
    waves: Steps = DEFAULT
    max_failures: Amount | None = None
    max_unreachable: Amount = FIVE_PERCENT
    pause: int | None = None
    confirm: bool = False
    spread_by: str | None = None
    max_per_group: int | None = None
    address_attribute: str | None = None
    full_run: bool = False
    via: str = "chef"
    latest: bool = False
    live: bool = False
    strict: bool = False
    include_unknown: bool = False
    accept_unpinned: bool = False
    ssh_user: str | None = None
    ssh_identity_file: str | None = None
    ssh_port: int | None = None
    ssh_gateway: str | None = None
    ssh_config: str | None = None
    sudo: bool = False
    yes: bool = False
    ticket: str | None = None
    no_lock: bool = False
    quiet: bool = False
    report: str | None = None
    run_lock_timeout: int = 600
    connect_timeout: int = 15
    timeout: int = 1800
    max_age: int = 86_400
    profile: str | None = None

    @property
    def environment(self) -> str | None:
        """The one environment that is meant; None for all of them or for whatever a query names."""
        return None if self.env == EVERYWHERE else self.env

    @property
    def whom(self) -> str:
        """Whom this is about, in words."""
        where = "every environment" if self.env == EVERYWHERE else self.env
        return ", ".join(part for part in (where, self.query and f"the query {self.query}") if part)


WEEK = 7 * 86_400
# The least and the most of each number; a time longer than a week is a slip, and some are more than a clock takes.
NUMBERS = {
    "limit": (1, None), "concurrency": (1, None), "ssh_port": (1, 65_535), "run_lock_timeout": (0, WEEK),
    "connect_timeout": (1, WEEK), "timeout": (1, WEEK), "max_per_group": (1, None),
}
AMOUNTS = {"max_failures", "max_unreachable"}  # a number of nodes, or a share of them: 3, 5%
DURATIONS = {"max_age", "pause"}  # may be written with a unit: 90min, 24h, 7d
UNITS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}
SWITCHES = {
    "full_run", "latest", "live", "strict", "include_unknown", "accept_unpinned", "confirm", "sudo", "yes", "no_lock",
    "quiet",
}
VIA = ("chef", "shell")  # what changes a node: chef-client, or the shell target in its place
FILES = {"report", "ssh_identity_file", "ssh_config"}
# What decides whom a command is about, or that it may run, is said on the command line and nowhere else.
FLAGS_ONLY = {"latest", "live", "env", "query", "limit", "yes", "accept_unpinned", "ticket"}
KNOWN = {field.name for field in fields(Settings)} - FLAGS_ONLY


def load(flags: Mapping[str, object], configured: Mapping[str, object] | None = None) -> Settings:
    """Return the settings for one command.

    `flags` are a verb's arguments (`advisory` repeated is `advisories`); None, False and [] mean "not given". Nothing
    is no value: `--limit "$N"` without an N must not mean every node. `configured` is invoke.yaml's `styptic` table;
    its `environments` holds a table an environment, which wins over the rest of it; a key without a value is not said.
    Raises SettingsError for an unknown key or a wrong value, naming where it stands.
    """
    given = {
        ("advisories" if name == "advisory" else name): value
        for name, value in flags.items() if value is not None and value is not False and value != []
    }
    table = dict(block_of({} if configured is None else configured, "styptic", also="environments"))
    environments = table.pop("environments", {})
    if not isinstance(environments, Mapping):
        raise SettingsError("invoke.yaml: styptic.environments must be a table with one block an environment.")
    merged: dict[str, object] = {}
    for name, block in {"": table, **environments}.items():
        where = f"styptic.environments.{name}" if name else "styptic"
        checked = {key: value_of(key, value, f"invoke.yaml: {where}.{key}") for key, value in block_of(block, where)}
        if name in ("", given.get("env")):
            merged |= checked
    merged |= {name: value_of(name, value, flag_of(name)) for name, value in given.items()}
    if "latest" in given and "advisories" in given:
        raise SettingsError("--latest is for before there is an advisory: give it, or --advisory, not both.")
    settings = Settings(**merged)
    if settings.max_per_group and not settings.spread_by:
        raise SettingsError("--max-per-group is about groups: say with --spread-by which attribute makes them.")
    if settings.full_run and settings.via != "chef":
        raise SettingsError("--full-run converges a run list, which is chef-client's: leave it or --via shell out.")
    if settings.env and not ENVIRONMENT.fullmatch(settings.env):
        raise SettingsError(f"--env: {clean(settings.env)!r} is not the name of a Chef environment.")
    return settings


def block_of(block: object, where: str, also: str | None = None) -> list[tuple[str, object]]:
    """Return what is said in one table of invoke.yaml (which may hold `also` as well), or say what is wrong with it."""
    if block is None:
        return []
    if not isinstance(block, Mapping):
        raise SettingsError(f"invoke.yaml: {where} must be a table.")
    if flags_only := sorted(FLAGS_ONLY & set(map(str, block))):
        flag = flag_of(flags_only[0])
        raise SettingsError(f"invoke.yaml: {where}.{flags_only[0]} is no setting: give {flag} each time.")
    if unknown := sorted(set(map(str, block)) - KNOWN - {also}):
        known = ", ".join(sorted(KNOWN))
        raise SettingsError(f"invoke.yaml: {where}.{clean(unknown[0])} is no setting; known are {known}.")
    return [(str(key), value) for key, value in block.items() if value is not None]


def value_of(name: str, value: object, where: str) -> object:
    """Return one setting's value in its own type; `where` names it in the sentence of a SettingsError."""
    if name == "advisories":
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)) or not all(isinstance(each, str) and each for each in names):
            raise SettingsError(f"{where} must be a list of advisory names or files.")
        return tuple(dict.fromkeys(names))
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise SettingsError(f"{where} must be true or false, not {clean(str(value))!r}.")
        return value
    if name in DURATIONS:
        return duration(value, where)
    if name == "waves":
        return steps(value, where)
    if name in AMOUNTS:
        return amount(value, where)
    if name in NUMBERS:
        return number(value, *NUMBERS[name], where)
    if not isinstance(value, str) or not value.strip() or value.startswith("-"):
        raise SettingsError(f"{where} wants a value, not {clean(str(value))!r}.")
    if name == "via" and value not in VIA:
        raise SettingsError(f"{where} is {' or '.join(VIA)}, not {clean(value)!r}.")
    return str(file_of(value, where)) if name in FILES else value


def file_of(value: str, where: str) -> Path:
    """Return the absolute path that a person wrote, ~ and ~user included."""
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # pathlib's word for a ~user that is nobody
        raise SettingsError(f"{where}: {clean(value)!r} names the home of a user there is not.") from error


def number(value: object, least: int, most: int | None, where: str) -> int:
    """Return a whole number of at least `least` and, if given, at most `most`."""
    try:
        found = int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    except ValueError:
        found = None
    if found is None or found < least or (most is not None and found > most):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise SettingsError(f"{where} must be a whole number {wanted}, not {clean(str(value))!r}.")
    return found


def duration(value: object, where: str) -> int:
    """Return a time in seconds, written as such or as a whole number with one of UNITS behind it."""
    said = re.fullmatch(r"(\d{1,9}) ?([a-z]*)", str(value).strip(), re.ASCII)
    if isinstance(value, bool) or not said or said[2] not in UNITS or int(said[1]) == 0:
        raise SettingsError(
            f"{where} must be seconds, or a number with a unit (90min, 24h, 7d), not {clean(str(value))!r}."
        )
    return int(said[1]) * UNITS[said[2]]


def flag_of(name: str) -> str:
    """Return the flag that carries a setting."""
    return "--advisory" if name == "advisories" else "--" + name.replace("_", "-")


def somebody_meant(settings: Settings) -> Settings:
    """Return the settings if they say whom they are about; raises SettingsError otherwise."""
    if not settings.env and not settings.query:
        raise SettingsError("say whom: --env ENVIRONMENT, or --query QUERY as knife search takes it.")
    return settings
