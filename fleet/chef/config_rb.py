"""What a config.rb says: asked of ruby where there is one, else read as the subset that ruby_subset.py knows."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fleet.chef import trust
from fleet.chef.ruby_subset import Call, SubsetError, read
from fleet.errors import SettingsError

EVALUATOR = Path(__file__).with_name("config_eval.rb")
TIMEOUT = 20  # seconds; a config.rb that asks a password or a slow network must not hang a run without a word
# Where Chef's own packages keep their ruby, which is on no PATH: https://docs.chef.io/workstation/install_workstation/
_EMBEDDED = tuple(f"/opt/{name}/embedded/bin" for name in ("chef-workstation", "cinc-workstation", "chef", "cinc"))
_CONFIG = ("Chef::Config", "ChefConfig::Config")


def evaluate(
    path: Path | None,
    directory: Path,
    settings: Mapping,
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float = TIMEOUT,
) -> tuple[dict, list[Path]]:
    """Return `settings` as `path` (None: no file), then config.d/*.rb of `directory`, change them, and the files read.

    `settings` are those of the credentials file, `knife` in it a table. A setting's value is what JSON can hold;
    anything else comes as its text. Raises SettingsError naming file and line for a file that cannot be evaluated, that
    others could have written, or that takes longer than `timeout` seconds.
    """
    settings = {**settings, "knife": dict(settings.get("knife") or {})}
    if path is None and not _config_d(settings, directory, cwd):
        return settings, []
    if path is not None:
        trust.check(path)
    ruby = shutil.which("ruby", path=os.pathsep.join([env.get("PATH", os.defpath), *_EMBEDDED]))
    if ruby:
        return _by_ruby(ruby, path, directory, settings, cwd=cwd, env=env, timeout=timeout)
    return _by_subset(path, directory, settings, cwd=cwd, env=env)


def _config_d(settings: Mapping, directory: Path, cwd: Path) -> list[Path]:
    """The files of config.d, as chef-config's Mixin::DotD lists them; config_eval.rb does the same."""
    place = cwd / str(settings.get("config_d_dir") or directory / "config.d")
    return sorted(file for file in place.glob("*.rb") if file.is_file() and not file.name.startswith("."))


def _by_ruby(ruby, path, directory, settings, *, cwd, env, timeout) -> tuple[dict, list[Path]]:
    request = {"files": [str(path)] if path else [], "directory": str(directory), "settings": settings}
    request["trusted"] = [str(trust.check(file)) for file in _config_d(settings, directory, cwd)]
    answer = _asked(ruby, request, path or directory, cwd=cwd, env=env, timeout=timeout)
    if "untrusted" in answer:  # config.rb names another config.d, which is run once it was looked at
        for file in answer["untrusted"]:
            trust.check(cwd / file)
        request["trusted"] = answer["untrusted"]
        answer = _asked(ruby, request, path or directory, cwd=cwd, env=env, timeout=timeout)
    if "settings" not in answer:
        line = f" line {answer['line']}" if answer.get("line") else ""
        why = answer.get("error", "it names other files each time it is run")
        raise SettingsError(f"{answer.get('file') or path or directory}{line}: {why}")
    return answer["settings"], [Path(file) for file in answer["files"]]


def _asked(ruby, request, what, *, cwd, env, timeout) -> dict:
    """Run the evaluator once, return what it answers."""
    try:
        done = subprocess.run(
            [ruby, str(EVALUATOR)], input=json.dumps(request, default=str).encode(),
            capture_output=True, cwd=cwd, env=dict(env), timeout=timeout, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SettingsError(f"{what} was still being evaluated by ruby after {timeout:g} s") from error
    except OSError as error:
        raise SettingsError(f"{what} could not be evaluated: {ruby}: {error.strerror}") from error
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise SettingsError(f"{what} could not be evaluated by {ruby}: {last}") from error


def _by_subset(path, directory, settings: dict, *, cwd, env) -> tuple[dict, list[Path]]:
    files = [path] if path else []
    for file in files:
        _apply(file, settings, env)
    more = _config_d(settings, directory, cwd)
    for file in more:
        _apply(trust.check(file), settings, env)
    return settings, files + more


def _apply(file: Path, settings: dict, env: Mapping[str, str]) -> None:
    """Change `settings` as one file says."""
    try:
        text = file.read_text(encoding="utf-8")
        for call in read(text, str(file), env, settings):
            if not _set(settings, call):
                raise SubsetError(call.line, "")
    except SubsetError as error:  # its text stays out of the sentence: a line of a config.rb may hold a password
        raise SettingsError(f"{file} line {error.line} is more than can be read without ruby; install it") from error
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is not UTF-8 text") from error


def _set(settings: dict, call: Call) -> bool:
    """Do what one statement says; False where it says something else than a setting."""
    values = call.arguments
    if call.key is not None:
        if call.name not in ("knife", *_CONFIG):
            return False
        (settings["knife"] if call.name == "knife" else settings)[call.key] = values[0]
    elif call.name == "knife":
        if len(values) != 1 or not isinstance(values[0], dict):
            return False
        settings["knife"] = dict(values[0])
    elif "." in call.name or "::" in call.name:
        return False
    elif values:
        settings[call.name] = values[0] if len(values) == 1 else list(values)
    return True
