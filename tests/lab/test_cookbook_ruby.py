"""The rendered cookbook as Ruby: every file compiles without a warning, and RuboCop finds nothing by the rules that
Cookstyle shares with it; and what it takes for a step that was taken, a main process, a service of its rows. Ruby and
RuboCop are those of a lab node, Debian's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from generator import advisory, render

NODE, PLACE = "ruby1", "/root/cookbook"
DATA = Path(__file__).parents[1] / "data"
RULES, REFRESH = DATA / "rubocop.yml", DATA / "refresh.rb"
ROWS = {
    "apache2": {"names": ["apache2", "httpd"], "steps": [{"do": "restart"}]},
    "haproxy": {"names": ["haproxy"], "steps": [{"do": "reload"}, {"do": "restart"}]},
    "mysql": {"names": ["mysql", "mariadb"], "steps": [], "because": "it ends every session"},
}
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
    for path in (RULES, REFRESH):
        shutil.copy(path, place)
    packed = subprocess.run(["tar", "-C", place, "-c", "."], capture_output=True, check=True).stdout
    if NODE not in lab.nodes:
        lab.add(NODE, environment="_default")
    unpack = f'mkdir -p "{PLACE}" && tar --no-same-owner -C "{PLACE}" -x'
    lab.exec(NODE, ["sh", "-c", unpack], input=packed, check=True)

    def run(script: str, *words: str, input: str | None = None) -> subprocess.CompletedProcess:
        words = ["sh", "-c", f'cd "{PLACE}" && {script}', "sh", *words]
        return lab.exec(NODE, words, capture_output=True, text=True, input=input)

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
    files = [*render.TEMPLATES.rglob("*.rb"), *render.TEMPLATES.rglob("*.rb.j2"), REFRESH]
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


def refreshed(inside, stale: dict, reloads: tuple = (), rows: dict = ROWS) -> tuple[list, list, list]:
    """Return the steps that the cookbook took, who is left, with its reason, and which of the processes go on.

    All `reloads` were before the steps. A process without a PID is begun.
    """
    asked = json.dumps({"rows": rows, "reloads": reloads, "stale": stale})
    done = inside(f'ruby "{REFRESH.name}" "$PWD/{render.NAME}"', input=asked)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return said["done"], said["left"], said["alive"]


def test_another_cookbooks_reload_is_no_step_that_was_taken(inside):
    done, left, _ = refreshed(inside, {"apache2": 7, "haproxy": 8}, ("apache2", "haproxy"))
    assert (done, left) == (["restart apache2", "reload haproxy"], [])
    done, left, _ = refreshed(inside, {"haproxy": 8}, ("haproxy (openssl_patch)",))
    assert (done, left) == (["restart haproxy"], [])


def test_an_instance_is_left_to_a_person_and_its_template_as_it_runs(inside):
    done, left, _ = refreshed(inside, {"apache2@site": 7, "mysql@a": 8, "mariadb": 9})
    assert done == []
    assert left == [["apache2@site", None], ["mysql@a", "it ends every session"], ["mariadb", "it ends every session"]]


@pytest.mark.parametrize(("held", "alive"), [("4194305", [True]), ("1", [False])])
def test_old_processes_are_ended_only_beside_a_main_process_that_is_there(inside, held, alive):
    """A PID file that somebody left holds no process: what is stale may then be the main process itself."""
    inside('echo "$1" >left.pid', held)
    steps = [{"do": "reload", "end": "TERM", "pid_file": f"{PLACE}/left.pid"}]
    rows = {"stunnel": {"names": ["stunnel"], "steps": steps}}
    assert refreshed(inside, {"stunnel": None}, rows=rows)[2] == alive


@pytest.mark.parametrize(("kind", "graphical"), [("tty", "false"), ("wayland", "true")])
def test_a_session_is_asked_for_its_kind_and_not_the_fifo_by_which_logind_sees_its_end(inside, kind, graphical):
    script = """
mkdir -p sessions && printf 'TYPE=%s\\n' "$1" >sessions/1 && rm -f sessions/1.ref && mkfifo sessions/1.ref || exit
exec 8<>sessions/1.ref # as the session's own process holds it
timeout 10 ruby -r"./$2/libraries/systemd.rb" -e "$3" 8>&-
"""
    ask = "OpensslPatch::Systemd.send(:remove_const, :SESSIONS); OpensslPatch::Systemd::SESSIONS = 'sessions/*'\n"
    done = inside(script, kind, render.NAME, ask + "p OpensslPatch::Systemd.graphical?")
    assert done.stdout == f"{graphical}\n", done.stderr
