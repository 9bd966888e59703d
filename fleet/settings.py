"""The settings of a rollout: flags over the environment's block over invoke.yaml over knife's own over our defaults."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from fleet import hooks
from fleet.errors import SettingsError
from fleet.hooks import Hooks
from fleet.text import clean
from fleet.values import WEEK, duration, number
from fleet.waves import DEFAULT, Amount, Steps, amount, steps

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
    max_unreachable: Amount | None = None
    pause: int | None = None
    confirm: bool = False
    spread_by: str | None = None
    max_per_group: int | None = None
    hooks: Hooks = hooks.NONE
    hooked_elsewhere: tuple[str, ...] = ()  # other environments than the one that is meant that have hooks of their own
    address_attribute: str | None = None
    full_run: bool = False
    via: str = "chef"
    poll: int = 30
    keep: bool = False
    latest: bool = False
    live: bool = False
    strict: bool = False
    reboot: bool = False
    reboot_timeout: int = 600
    include_unknown: bool = False
    accept_unpinned: bool = False
    ssh_user: str | None = None
    ssh_identity_file: str | None = None
    ssh_port: int | None = None
    ssh_gateway: str | None = None
    ssh_config: str | None = None
    host_keys: str = "known"
    sudo: bool = False
    yes: bool = False
    ticket: str | None = None
    no_lock: bool = False
    quiet: bool = False
    report: str | None = None
    run_lock_timeout: int = 600
    connect_timeout: int = 15
    timeout: int = 1800
    step_timeout: int | None = None
    max_age: int = 86_400
    certificate_directories: tuple[str, ...] = ()
    followup: str | None = None  # a shop's own items of the follow-up list
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


# The least and the most of each number.
NUMBERS = {
    "limit": (1, None), "concurrency": (1, None), "ssh_port": (1, 65_535), "run_lock_timeout": (0, WEEK),
    "connect_timeout": (1, WEEK), "timeout": (1, WEEK), "step_timeout": (1, WEEK), "reboot_timeout": (1, WEEK),
    "max_per_group": (1, None), "poll": (1, WEEK),
}
AMOUNTS = {"max_failures", "max_unreachable"}  # a number of nodes, or a share of them: 3, 5%
DURATIONS = {"max_age", "pause"}  # may be written with a unit: 90min, 24h, 7d
SWITCHES = {
    "full_run", "keep", "latest", "live", "strict", "reboot", "include_unknown", "accept_unpinned", "confirm", "sudo",
    "yes", "no_lock", "quiet",
}
# What changes a node: chef-client, the shell target in its place, or its own chef-client's next run.
VIA = ("chef", "shell", "chef-server")
# What is about a connection, or what goes over one, and makes no sense where none is made.
CONNECTED = {
    "full_run", "reboot", "reboot_timeout", "host_keys", "ssh_user", "ssh_identity_file", "ssh_port", "ssh_gateway",
    "ssh_config", "sudo", "concurrency", "address_attribute", "run_lock_timeout", "step_timeout",
}
UNCONNECTED = {"keep", "poll"}  # and the other way round
# Seconds for a node whose chef-client runs by itself: two of its intervals of 30 min, their splay, and the run.
PATIENCE = 5400
HOST_KEYS = ("known", "chef")  # which host keys are trusted: those of known_hosts, or what a node reported besides
CHOICES = {"via": VIA, "host_keys": HOST_KEYS}
REPEATED = {"advisory": "advisories", "directory": "certificate_directories"}  # flags by the setting that has them all
FILES = {"report", "ssh_identity_file", "ssh_config", "followup"}
# What decides whom a command is about, or that it may run, is said on the command line and nowhere else.
FLAGS_ONLY = {"latest", "live", "env", "query", "limit", "yes", "accept_unpinned", "ticket", "reboot"}
KNOWN = {field.name for field in fields(Settings)} - FLAGS_ONLY - {"hooked_elsewhere"}


def load(flags: Mapping[str, object], configured: Mapping[str, object] | None = None) -> Settings:
    """Return the settings for one command.

    `flags` are a verb's arguments (`advisory` repeated is `advisories`, see REPEATED); None, False and [] mean "not
    given". Nothing is no value: `--limit "$N"` without an N must not mean every node. `configured` is invoke.yaml's
    `styptic` table; its `environments` holds a table an environment, which wins over the rest of it; a key without a
    value is not said.
    Raises SettingsError for an unknown key or a wrong value, naming where it stands.
    """
    given = {
        REPEATED.get(name, name): value
        for name, value in flags.items() if value is not None and value is not False and value != []
    }
    table = dict(block_of({} if configured is None else configured, "styptic", also="environments"))
    environments = table.pop("environments", {})
    if not isinstance(environments, Mapping):
        raise SettingsError("invoke.yaml: styptic.environments must be a table with one block an environment.")
    merged: dict[str, object] = {}
    hooked = []
    for name, block in {"": table, **environments}.items():
        where = f"styptic.environments.{name}" if name else "styptic"
        checked = {key: value_of(key, value, f"invoke.yaml: {where}.{key}") for key, value in block_of(block, where)}
        if name in ("", given.get("env")):
            merged |= checked
        elif "hooks" in checked:
            hooked.append(name)
    merged |= {name: value_of(name, value, flag_of(name)) for name, value in given.items()}
    if "latest" in given and "advisories" in given:
        raise SettingsError("--latest is for before there is an advisory: give it, or --advisory, not both.")
    settings = Settings(**merged, hooked_elsewhere=tuple(hooked))

    def said(name: str) -> str:
        return flag_of(name) if name in given else f"invoke.yaml: styptic.{name}"

    if settings.max_per_group and not settings.spread_by:
        which = said("max_per_group")
        raise SettingsError(f"{which} is about groups: say with --spread-by which attribute makes them.")
    if "via" in flags:
        settings = via_server(settings, given, "timeout" in merged)
    if settings.full_run and settings.via == "shell":
        which = said("full_run")
        raise SettingsError(f"{which} converges a run list, which is chef-client's: leave it or --via shell out.")
    if "reboot_timeout" in given and not settings.reboot:
        raise SettingsError("--reboot-timeout is about --reboot, without which no node is rebooted: give both.")
    if settings.env and not ENVIRONMENT.fullmatch(settings.env):
        raise SettingsError(f"--env: {clean(settings.env)!r} is not the name of a Chef environment.")
    return settings


def via_server(settings: Settings, given: Iterable[str], timed: bool) -> Settings:
    """Return the settings of a verb that changes nodes, with the time that --via chef-server needs unless one is said.

    Raises SettingsError where a flag was `given` that makes no sense there, or only there. What invoke.yaml has for
    other rollouts is passed over.
    """
    there = settings.via == "chef-server"
    for name in sorted((CONNECTED if there else UNCONNECTED).intersection(given)):
        if there:
            raise SettingsError(f"{flag_of(name)} is about connections; --via chef-server makes none: leave one out.")
        raise SettingsError(f"{flag_of(name)} is about --via chef-server, and this goes another way: leave it out.")
    return replace(settings, timeout=PATIENCE) if there and not timed else settings


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
    if name == "certificate_directories":
        from generator.exposure import DIRECTORY

        places = [value] if isinstance(value, str) else value
        if not isinstance(places, (list, tuple)) or not all(map(DIRECTORY.fullmatch, map(str, places))):
            raise SettingsError(f"{where} must be absolute paths of letters, digits and /_.@+-.")
        return tuple(dict.fromkeys(map(str, places)))
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise SettingsError(f"{where} must be true or false, not {clean(str(value))!r}.")
        return value
    if name in DURATIONS:
        return duration(value, where)
    if name == "waves":
        return steps(value, where)
    if name == "hooks":
        return hooks.parse(value, where)
    if name in AMOUNTS:
        return amount(value, where)
    if name in NUMBERS:
        return number(value, *NUMBERS[name], where)
    if not isinstance(value, str) or not value.strip() or value.startswith("-"):
        raise SettingsError(f"{where} wants a value, not {clean(str(value))!r}.")
    if name in CHOICES and value not in CHOICES[name]:
        raise SettingsError(f"{where} is {' or '.join(CHOICES[name])}, not {clean(value)!r}.")
    return str(file_of(value, where)) if name in FILES else value


def file_of(value: str, where: str) -> Path:
    """Return the absolute path that a person wrote, ~ and ~user included."""
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # pathlib's word for a ~user that is nobody
        raise SettingsError(f"{where}: {clean(value)!r} names the home of a user there is not.") from error


def flag_of(name: str) -> str:
    """Return the flag that carries a setting."""
    flags = {setting: flag for flag, setting in REPEATED.items()}
    return "--" + flags.get(name, name).replace("_", "-")


def somebody_meant(settings: Settings) -> Settings:
    """Return the settings if they say whom they are about; raises SettingsError otherwise."""
    if not settings.env and not settings.query:
        raise SettingsError("say whom: --env ENVIRONMENT, or --query QUERY as knife search takes it.")
    return settings
