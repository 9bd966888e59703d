"""The rules of the house that a machine can hold: arrows, sizes, and help for every verb."""

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"generator": {"generator"}, "fleet": {"fleet", "generator"}, "lab": {"lab", "fleet", "generator"}}
OURS = {"generator", "fleet", "lab", "tasks", "tests"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for found in ast.walk(ast.parse(path.read_text())):
        if isinstance(found, ast.Import):
            rooms |= {alias.name.split(".")[0] for alias in found.names}
        elif isinstance(found, ast.ImportFrom) and not found.level:
            rooms.add((found.module or "").split(".")[0])
    return rooms & OURS


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_one_way(room):
    modules = tracked(f"{room}/*.py")
    assert modules
    wrong = {str(path.relative_to(ROOT)): extra for path in modules if (extra := imported_rooms(path) - ROOMS[room])}
    assert wrong == {}


def test_checks_that_users_run_need_the_generator_alone():
    modules = tracked("tests/infra/*.py")
    assert modules
    wrong = {path.name: extra for path in modules if (extra := imported_rooms(path) - {"generator"})}
    assert wrong == {}


def test_pychef_is_imported_in_one_place():
    importers = set()
    for path in tracked("*.py"):
        for found in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(found, ast.Import):
                names = [alias.name for alias in found.names]
            elif isinstance(found, ast.ImportFrom) and not found.level:
                names = [found.module or ""]
            if any(name.split(".")[0] == "chef" for name in names):
                importers.add(str(path.relative_to(ROOT)))
    assert importers == {"fleet/chef/compat.py"}


def test_no_file_holds_two_things():
    sources = tracked("*.py", "*.rb", "*.j2", "*.sh", "bootstrap", "lab/chef_client/*")
    written = [path for path in sources if ROOT / "cookbooks" not in path.parents]  # what is rendered has its sources
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in written}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def every_verb():
    """Return the verbs by the names that users give: `test` is the default of a collection with others beside it."""
    import tasks

    return sorted(next(iter(aliases), name) for name, aliases in tasks.ns.task_names.items())


@pytest.mark.parametrize("verb", every_verb())
def test_every_verb_teaches(verb):
    import tasks

    task = tasks.ns[verb]
    assert (task.__doc__ or "").strip(), f"{verb} has no docstring"
    arguments = {argument.name for argument in task.get_arguments()}
    flags = {name.replace("-", "_") for name in arguments}
    documented = {name.replace("-", "_") for name in task.help}
    assert flags - documented == set(), f"{verb} has flags without help"


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def invocations(text: str) -> list[list[str]]:
    """Return the words of every `invoke VERB ...` in a text, as far as the code or the line goes."""
    found = re.findall(r"\binvoke +(?:--help +)?([a-z][^`#\n]*)", text)
    return [shlex.split(each.removesuffix("...").strip()) for each in found]


def wrong_in(words: list[str]) -> list[str]:
    """Return what an invocation says that its verb does not know."""
    import tasks

    verb, *rest = words
    if verb not in every_verb():
        return [f"there is no verb {verb}"]
    flags = {name for argument in tasks.ns[verb].get_arguments() for name in argument.names}
    return [f"{verb} has no {word}" for word in rest if word.startswith("-") and word.lstrip("-") not in flags]


@pytest.mark.parametrize("verb", every_verb())
def test_every_verb_shows_how_it_is_called(verb):
    import tasks

    shown = invocations(tasks.ns[verb].__doc__)
    assert verb in [words[0] for words in shown], f"{verb} has no example"
    assert [wrong for words in shown for wrong in wrong_in(words)] == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_what_the_documents_invoke_is_there(document):
    assert [wrong for words in invocations(document.read_text()) for wrong in wrong_in(words)] == []


def test_the_documents_invoke_something():
    assert ["patch", "--env", "production", "--advisory", "CVE-2014-0160"] in invocations(documents()[0].read_text())


@pytest.mark.parametrize("verb", every_verb())
def test_every_verb_is_named_in_the_documents(verb):
    texts = [path.read_text() for path in documents()]
    invoked = {words[0] for text in texts for words in invocations(text)}
    assert verb in invoked or any(f"`{verb}`" in text for text in texts)


def test_the_linter_is_content():
    done = subprocess.run(["ruff", "check", "--no-cache", "."], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
