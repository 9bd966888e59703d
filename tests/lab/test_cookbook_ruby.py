"""The rendered cookbook as Ruby: every file compiles without a warning, and RuboCop finds nothing by the rules that
Cookstyle shares with it. Ruby and RuboCop are those of a lab node, Debian's."""

import shutil
import subprocess
from pathlib import Path

import pytest

from generator import advisory, render

NODE, PLACE = "ruby1", "/root/cookbook"
RULES = Path(__file__).parents[1] / "data" / "rubocop.yml"
COMPILE = """
$VERBOSE = true
ARGV.each do |path|
  RubyVM::InstructionSequence.compile_file(path)
rescue SyntaxError => error
  warn error.message
end
puts ARGV.size
"""


@pytest.fixture(scope="module")
def inside(lab, tmp_path_factory):
    """Give a node the rendered cookbook and the rules; return who runs a program there."""
    place = tmp_path_factory.mktemp("ruby")
    render.cookbook(advisory.load(["CVE-2014-0160"]), place / render.NAME)
    shutil.copy(RULES, place)
    packed = subprocess.run(["tar", "-C", place, "-c", "."], capture_output=True, check=True).stdout
    if NODE not in lab.nodes:
        lab.add(NODE, environment="_default")
    unpack = f'mkdir -p "{PLACE}" && tar --no-same-owner -C "{PLACE}" -x'
    lab.exec(NODE, ["sh", "-c", unpack], input=packed, check=True)

    def run(script: str, *words: str) -> subprocess.CompletedProcess:
        return lab.exec(NODE, ["sh", "-c", f'cd "{PLACE}" && {script}', "sh", *words], capture_output=True, text=True)

    yield run
    lab.remove(NODE)


def compiled(inside, *names: str) -> tuple[str, str]:
    """Return how many files were compiled, and what Ruby said of them."""
    done = inside('ruby -e "$1" $(find . -name "${2:-*.rb}")', COMPILE, *names)
    return done.stdout.strip(), done.stderr


def linted(inside, *names: str) -> subprocess.CompletedProcess:
    done = inside('rubocop --cache false --config rubocop.yml --format emacs "$@"', *(names or (render.NAME,)))
    assert done.returncode in (0, 1), done.stderr
    return done


def test_every_file_of_the_cookbook_compiles_without_a_warning(inside):
    count, said = compiled(inside)
    files = list(render.TEMPLATES.rglob("*.rb")) + list(render.TEMPLATES.rglob("*.rb.j2"))
    assert (count, said) == (str(len(files)), "")


def test_what_is_no_ruby_or_dubious_is_told(inside):
    inside("mkdir wrong && echo 'def half(' > wrong/broken.rb_ && echo 'puts 1 if a = 1' > wrong/dubious.rb_")
    count, said = compiled(inside, "*.rb_")
    assert count == "2"
    assert "broken.rb_:1: syntax error" in said
    assert "dubious.rb_:1: warning: found `= literal' in conditional" in said


def test_rubocop_finds_nothing_in_the_cookbook(inside):
    done = linted(inside)
    assert done.stdout == ""
    assert done.stderr == ""


def test_rubocop_would_find_what_the_rules_forbid(inside):
    inside(r"""printf 'package "openssl" do\n  action :upgrade \n  unused = [1,2]\nend\n' > offence.rb""")
    done = linted(inside, "offence.rb")
    assert done.returncode == 1
    found = {line.split(": ")[2].removeprefix("[Correctable] ") for line in done.stdout.splitlines()}
    assert found == {
        "Style/StringLiterals", "Layout/TrailingWhitespace", "Lint/UselessAssignment", "Layout/SpaceAfterComma",
    }
