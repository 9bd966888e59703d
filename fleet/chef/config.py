"""Where the Chef server is and who we are there, read from what knife reads, in knife's order.

The order is that of Chef's WorkstationConfigLoader (https://docs.chef.io/workstation/knife_setup/): the profile of
~/.chef/credentials first, then the first config.rb or knife.rb of $KNIFE_HOME, the current directory, the nearest .chef
upwards and ~/.chef, then config.d/*.rb beside it; what is read later wins. Beyond knife, what others could have written
is refused and not run: see trust.py.
"""

import os
import pwd
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from fleet.chef import trust
from fleet.chef.config_rb import evaluate
from fleet.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ChefConfig:
    """The settings of one Chef server.

    `client_key` is PEM text and `proxies` may hold a password: neither is ever shown. `key_file` is where the key was
    read, None for one that is given inline. `ssl_verify` is False for
    `ssl_verify_mode :verify_none`; `trusted_certs` are extra certificates (files) to trust; `proxies` has the keys
    http, https and no_proxy as far as they are set; `knife` is knife's own table, keys without colon; `cookbook_path`
    are directories; `sources` the files all this was read from.
    """

    server_url: str
    client_name: str
    client_key: str = field(repr=False)
    ssl_verify: bool = True
    ssl_ca_file: Path | None = None
    trusted_certs: tuple[Path, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    knife: Mapping[str, object] = field(default_factory=dict, repr=False)
    cookbook_path: tuple[Path, ...] = ()
    sources: tuple[Path, ...] = ()
    profile: str = "default"
    key_file: Path | None = None


def load(profile: str | None = None, *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> ChefConfig:
    """Return the settings knife would use; `profile` is its --profile, `cwd` and `env` default to the process's own.

    Raises SettingsError naming the file (and the line, where there is one) for whatever cannot be read or is somebody
    else's, and naming every place that was looked at when nothing says where the server is.
    """
    env = os.environ if env is None else env
    cwd = Path(cwd or Path.cwd()).absolute()
    home = _home(env)
    dot_chef = home / ".chef"
    profile, chosen_by = _profile(profile, env, dot_chef)
    credentials = dot_chef / "credentials"
    settings = _credentials(credentials, profile, chosen_by)
    sources = [credentials] if credentials.is_file() and settings else []
    candidates = _candidates(cwd, env, dot_chef)
    found = next((path for path in candidates if os.path.exists(path)), None)
    settings, read = evaluate(found, found.parent if found else dot_chef, settings, cwd=cwd, env=env)
    sources += read
    if not isinstance(settings["knife"], dict):
        raise SettingsError(f"knife is no table in {_names(sources)}: set its keys, knife[:ssh_user] and so on")
    if settings["knife"].get("ssh_config"):
        trust.check(_path(settings["knife"]["ssh_config"], cwd))
    url = str(settings.get("chef_server_url") or "").strip()
    if not url:
        _no_server(sources, credentials, candidates)
    if not _is_url(url):
        raise SettingsError(f"chef_server_url is {url!r} in {_names(sources)}: it must be an http:// or https:// URL")
    name = str(settings.get("node_name") or _user())
    if not (name.isascii() and name.isprintable()):  # it travels in a header
        raise SettingsError(f"node_name is {name!r} in {_names(sources)}: no Chef client or user has such a name")
    directory = found.parent if found else dot_chef
    key, key_file = _key(settings, name, directory, dot_chef, cwd, sources)
    return ChefConfig(
        server_url=url.rstrip("/"),
        client_name=name,
        client_key=key,
        ssl_verify=str(settings.get("ssl_verify_mode") or "verify_peer").lstrip(":") != "verify_none"
        or bool(settings.get("verify_api_cert")),
        ssl_ca_file=_path(settings["ssl_ca_file"], cwd) if settings.get("ssl_ca_file") else None,
        trusted_certs=_trusted(_path(settings.get("trusted_certs_dir") or directory / "trusted_certs", cwd)),
        proxies=_proxies(settings, env),
        knife=settings["knife"],
        cookbook_path=tuple(_path(path, cwd) for path in _listed(settings.get("cookbook_path"))),
        sources=tuple(sources),
        profile=profile,
        key_file=key_file,
    )


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # [::1 without its end, or a port that is none
        return False


def _home(env: Mapping[str, str]) -> Path:
    """Where knife looks for .chef: the first of these that is a directory (chef-config, PathHelper.all_homes)."""
    named = [env[name] for name in ("KNIFE_HOME", "CHEF_HOME", "HOME") if env.get(name)]
    return Path(next((home for home in named if os.path.isdir(home)), named[0] if named else os.path.expanduser("~")))


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError as error:
        raise SettingsError("no node_name is set, and this user id has no name to take instead") from error


def _profile(asked: str | None, env: Mapping[str, str], dot_chef: Path) -> tuple[str, str]:
    context = dot_chef / "context"
    if asked is not None:
        return asked, "--profile"
    if "CHEF_PROFILE" in env:
        return env["CHEF_PROFILE"], "$CHEF_PROFILE"
    if context.is_file():
        return _text(context).strip(), str(context)
    return "default", "default"


def _credentials(path: Path, profile: str, chosen_by: str) -> dict:
    """The profile's table, with config.rb's names for its keys."""
    profiles = {}
    if path.is_file():
        try:
            profiles = tomllib.loads(_text(path))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise SettingsError(f"{path} is not readable as TOML: {error}") from error
    table = profiles.get(profile)
    if table is None and profile != "default":
        known = ", ".join(sorted(profiles)) or "none"
        raise SettingsError(f"there is no profile {profile!r} (asked for by {chosen_by}) in {path}; it has: {known}")
    if not isinstance(table, dict | None):
        raise SettingsError(f"{profile!r} in {path} is not a table: write [{profile}] above its settings")
    settings = dict(table or {})
    if "client_name" in settings:
        if "node_name" in settings:
            raise SettingsError(f"profile {profile!r} in {path} has both client_name and node_name: keep client_name")
        settings["node_name"] = settings.pop("client_name")
    if not isinstance(settings.get("knife", {}), dict):
        raise SettingsError(f"knife in profile {profile!r} in {path} is not a table: write [{profile}.knife]")
    key = settings.get("client_key")
    if isinstance(key, str) and key.lstrip().startswith("-----BEGIN"):
        settings["client_key_contents"] = settings.pop("client_key")
    elif isinstance(key, str):
        settings["client_key"] = str(path.parent / os.path.expanduser(key))
    return settings


def _candidates(cwd: Path, env: Mapping[str, str], dot_chef: Path) -> list[Path]:
    directories = [Path(env["KNIFE_HOME"])] if env.get("KNIFE_HOME") else []
    directories.append(cwd)
    directories += [up / ".chef" for up in (cwd, *cwd.parents) if os.path.isdir(up / ".chef")][:1]
    directories.append(dot_chef)
    return [directory / name for directory in dict.fromkeys(directories) for name in ("config.rb", "knife.rb")]


def _key(
    settings: Mapping, name: str, directory: Path, dot_chef: Path, cwd: Path, sources: list[Path]
) -> tuple[str, Path | None]:
    """The client's key as PEM text, and its file: given inline (no file), named, or one of knife's default files."""
    if settings.get("client_key_contents"):
        return str(settings["client_key_contents"]), None
    if settings.get("client_key"):
        path = _path(settings["client_key"], cwd)
        said = f"client_key in {_names(sources)} names"
    else:
        places = [place / file for file in (f"{name}.pem", "user.pem") for place in (directory, dot_chef)]
        path = next((place for place in places if place.is_file()), None)
        said = "the key found by its name is"
        if path is None:
            looked = ", ".join(str(place) for place in dict.fromkeys(places))
            raise SettingsError(f"no key for {name!r}: no client_key in {_names(sources)}, nor is there {looked}")
    try:
        return path.read_text(encoding="ascii"), path
    except UnicodeDecodeError as error:
        raise SettingsError(f"{said} {path}, which is not a PEM file") from error
    except OSError as error:
        raise SettingsError(f"{said} {path}, which cannot be read: {error.strerror}") from error


def _trusted(directory: Path) -> tuple[Path, ...]:
    """The certificates knife trusts besides the system's: *.crt and *.pem, as `knife ssl fetch` writes them."""
    if not directory.is_dir():
        return ()
    return tuple(sorted(path for path in directory.iterdir() if path.suffix in (".crt", ".pem") and path.is_file()))


def _proxies(settings: Mapping, env: Mapping[str, str]) -> dict[str, str]:
    """http, https and no_proxy; the environment wins over the files, as in ChefConfig::Config.export_proxies."""
    proxies = {}
    for scheme in ("http", "https"):
        names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
        named = next((env[name] for name in names if name in env), None)  # set to nothing, it means no proxy
        configured = settings.get(f"{scheme}_proxy")
        if named is None and configured:
            named = str(configured)
            user, password = (settings.get(f"{scheme}_proxy_{part}") for part in ("user", "pass"))
            head, separator, rest = named.rpartition("://")
            if user:
                secret = f":{quote(str(password), safe='')}" if password else ""
                rest = f"{quote(str(user), safe='')}{secret}@{rest}"
            named = f"{head if separator else scheme}://{rest}"
        if named:
            proxies[scheme] = named if "://" in named else f"{scheme}://{named}"
    bypass = env.get("no_proxy") or env.get("NO_PROXY") or settings.get("no_proxy")
    hosts = [host.strip() for part in _listed(bypass) for host in str(part).split(",")]
    if any(hosts):
        # Chef reads *.example.com as a glob, requests knows the end of a name only.
        proxies["no_proxy"] = ",".join(host.removeprefix("*") or "*" for host in hosts if host)
    return proxies


def _no_server(sources: list[Path], credentials: Path, candidates: list[Path]) -> None:
    looked = ", ".join(str(path) for path in (credentials, *candidates))
    if sources:
        raise SettingsError(f"no chef_server_url in {_names(sources)}; set it there as for knife (looked at: {looked})")
    raise SettingsError(f"no Chef server is configured: none of these is there: {looked}; see `knife configure`")


def _listed(value) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _names(sources: list[Path]) -> str:
    return " and ".join(str(path) for path in sources) or "any file"


def _path(value, cwd: Path) -> Path:
    if "\0" in str(value):
        raise SettingsError(f"{str(value)!r} in knife's settings is no path: it has a NUL character")
    return Path(os.path.normpath(cwd / os.path.expanduser(str(value))))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text") from error
