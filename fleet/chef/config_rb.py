"""What a config.rb says: asked of ruby where there is one, else read as the subset that ruby_subset.py knows."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fleet.chef.ruby_subset import SubsetError, read
from fleet.errors import SettingsError

EVALUATOR = Path(__file__).with_name("config_eval.rb")
TIMEOUT = 20  # seconds; a config.rb that asks a password or a slow network must not hang a run without a word


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
    anything else comes as its text. Raises SettingsError naming file and line for a file that cannot be evaluated, or
    that takes longer than `timeout` seconds.
    """
    settings = {**settings, "knife": dict(settings.get("knife") or {})}
    more = sorted((directory / "config.d").glob("*.rb")) if (directory / "config.d").is_dir() else []
    files = [file for file in [path, *more] if file is not None]
    if not files:
        return settings, []
    ruby = shutil.which("ruby", path=env.get("PATH"))
    if ruby:
        return _by_ruby(ruby, path, directory, settings, cwd=cwd, env=env, timeout=timeout)
    return _by_subset(files, settings, env), files


def _by_ruby(ruby, path, directory, settings, *, cwd, env, timeout) -> tuple[dict, list[Path]]:
    request = {"files": [str(path)] if path else [], "directory": str(directory), "settings": settings}
    try:
        done = subprocess.run(
            # Debian's ruby reads RUBYOPT and gems; neither is needed, and both are slow.
            [ruby, "--disable=gems", str(EVALUATOR)], input=json.dumps(request, default=str).encode(),
            capture_output=True, cwd=cwd, env=dict(env), timeout=timeout, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SettingsError(f"{path or directory} was still being evaluated by ruby after {timeout:g} s") from error
    except OSError as error:
        raise SettingsError(f"{path or directory} could not be evaluated: {ruby}: {error.strerror}") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise SettingsError(f"{path or directory} could not be evaluated by {ruby}: {last}") from error
    if "error" in answer:
        line = f" line {answer['line']}" if answer.get("line") else ""
        raise SettingsError(f"{answer['file']}{line}: {answer['error']}")
    return answer["settings"], [Path(file) for file in answer["files"]]


def _by_subset(files: list[Path], settings: dict, env: Mapping[str, str]) -> dict:
    for file in files:
        try:
            calls = read(file.read_text(encoding="utf-8"), str(file), env, settings)
        except SubsetError as error:
            raise SettingsError(
                f"{file} line {error.line}: {error.text!r} is more than can be read without ruby; install it"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file} cannot be read: {error}") from error
        for call in calls:
            if call.key is not None and call.name == "knife":
                settings["knife"][call.key] = call.arguments[0]
            elif call.key is not None and call.name in ("Chef::Config", "ChefConfig::Config"):
                settings[call.key] = call.arguments[0]
            elif call.key is None and call.arguments:
                settings[call.name] = call.arguments[0] if len(call.arguments) == 1 else list(call.arguments)
    return settings
