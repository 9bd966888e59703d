"""The lab's stand-in for chef-client keeps to the rules of a Chef run that Styptic's cookbook leans on.

These tests say what the stand-in does. They prove nothing about Chef. `invoke test` runs one of a kind, and
`invoke test.cookbook` all.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.chef import config, cookbook, server

NODE = "standin1"
TRACE = "/var/tmp/standin-trace"
LOCK = "/var/chef/cache/chef-client-running.pid"
more = pytest.mark.cookbook


@dataclass
class Client:
    """chef-client on a lab node that belongs to these tests, and the server it talks to."""

    lab: object
    chef: server.ChefServer
    books: Path

    def sh(self, script: str):
        """Run a shell script on the node."""
        return self.lab.exec(NODE, ["sh", "-c", script], capture_output=True, text=True, check=False)

    def book(self, name: str, recipe: str, **files: str) -> str:
        """Upload a cookbook with this default recipe, and files by segment; return its name, which its content ends."""
        name = f"{name}_{hashlib.sha256(repr((recipe, files)).encode()).hexdigest()[:8]}"
        path = self.books / name
        for segment, text in {"recipes": recipe, **files}.items():
            (path / segment).mkdir(parents=True, exist_ok=True)
            (path / segment / "default.rb").write_text(text)
        (path / "metadata.rb").write_text(f"name '{name}'\nversion '0.1.0'\n")
        cookbook.upload(self.chef, path)
        return name

    def run(self, *arguments: str):
        """Run chef-client; return what it printed, its exit code and, in order, what the recipe traced."""
        self.sh(f"rm -f {TRACE}")
        done = self.lab.exec(NODE, ["chef-client", *arguments], capture_output=True, text=True, check=False)
        return done, self.sh(f"cat {TRACE} 2>/dev/null").stdout.split()

    def saved(self) -> dict:
        """Return the node as the server has it."""
        return self.chef.get(f"/nodes/{NODE}")


@pytest.fixture(scope="module")
def client(lab, tmp_path_factory):
    if NODE not in lab.nodes:
        lab.add(NODE, base="light", init="sysv", environment="_default")
    settings = config.load(cwd=lab.chef_dir, env={"KNIFE_HOME": str(lab.chef_dir), "HOME": "/nonexistent"})
    with server.ChefServer(settings) as chef:
        yield Client(lab, chef, tmp_path_factory.mktemp("books"))
    lab.remove(NODE)


def append(word: str) -> str:
    """Return the Ruby that appends a word to the trace."""
    return f"::File.write('{TRACE}', \"{word}\\n\", mode: 'a')"


def notify(name: str, timing: str = ":delayed") -> str:
    """Return the line of a resource that notifies the block `name`."""
    return f"  notifies :run, 'ruby_block[{name}]', {timing}"


def block(name: str, *more: str, nothing: bool = True) -> str:
    """Return a ruby_block that appends its name to the trace."""
    lines = [f"ruby_block '{name}' do", f"  block {{ {append(name)} }}", *more]
    return "\n".join([*lines, *(["  action :nothing"] if nothing else []), "end", ""])


def test_says_first_that_it_is_a_stand_in(client):
    done, _ = client.run("--version")
    assert "stand-in for chef-client: lab equipment, not Chef" in done.stdout.splitlines()[0]
    assert done.returncode == 0


def test_delayed_actions_run_once_in_the_order_they_were_first_queued(client):
    name = client.book(
        "standin_delayed",
        block("one", notify("late"), notify("early", ":immediately"), nothing=False)
        + block("two", notify("later"), notify("late"), nothing=False)
        + block("later", notify("last"))
        + block("last")
        + block("late")
        + block("early")
        + block("listener", "subscribes :run, 'ruby_block[two]', :delayed")
        + block("warned", "subscribes :run, 'ruby_block[one]', :before"),
    )
    done, trace = client.run("-o", f"recipe[{name}]")
    expected = ["warned", "one", "early", "two", "late", "later", "listener", "last"]
    assert (done.returncode, trace) == (0, expected), done.stdout


def test_a_failed_converge_still_runs_what_was_queued_and_saves_nothing(client):
    before = client.saved()
    name = client.book(
        "standin_failing",
        f"Chef.event_handler {{ on(:run_failed) {{ |error| {append('handler')} }} }}\n"
        + "node.normal['standin']['failed'] = true\n"
        + block("first", notify("queued"), nothing=False)
        + "execute 'exit 7'\n"
        + block("unreached", nothing=False)
        + block("queued"),
    )
    done, trace = client.run("-r", f"recipe[{name}]")
    assert (done.returncode, trace) == (1, ["first", "queued", "handler"]), done.stdout
    assert f"execute[exit 7] ({name}::default line" in done.stdout
    assert client.saved() == before


def test_an_override_run_saves_nothing_and_a_full_run_saves_what_the_last_handler_set(client):
    told = "Chef.node.normal['standin']['told'] = Chef.node['standin']['word']"
    recipe = f"Chef.event_handler {{ on(:converge_complete) {{ {told} }} }}\n"
    name = client.book("standin_saving", recipe, attributes="default['standin']['word'] = 'spoken'\n")
    before = client.saved()
    done, _ = client.run("-o", f"recipe[{name}]")
    assert done.returncode == 0, done.stdout
    assert client.saved() == before

    done, _ = client.run("-r", f"recipe[{name}]")
    assert done.returncode == 0, done.stdout
    after = client.saved()
    assert after["run_list"] == [f"recipe[{name}]"]
    assert after["normal"]["standin"] == {"told": "spoken"}
    assert after["default"]["standin"] == {"word": "spoken"}
    assert after["automatic"]["platform"] == "debian"
    installed = client.sh("dpkg-query -Wf '${Version}' openssl").stdout
    assert after["automatic"]["packages"]["openssl"]["version"] == installed


def test_why_run_changes_nothing_and_exits_0(client):
    name = client.book(
        "standin_why",
        f"file '{TRACE}' do\n  content 'x'\n  notifies :run, 'ruby_block[told]'\nend\n"
        + "package 'no-such-package' do\n  action :upgrade\nend\n"
        + "execute 'touch /var/tmp/standin-trace'\n"
        + block("told"),
    )
    before = client.saved()
    done, trace = client.run("--why-run", "-r", f"recipe[{name}]")
    assert (done.returncode, trace) == (0, []), done.stdout
    assert f"Would create new file {TRACE}" in done.stdout
    assert "* ruby_block[told] action run" in done.stdout
    assert client.saved() == before


RESOURCE = f"""
provides :standin
unified_mode true
property :word, String, default: lazy {{ node['standin']['word'] }}, description: 'A word.', equal_to: %w(said unsaid)
property :count, Integer, default: 1, callbacks: {{ 'must not be negative' => ->(count) {{ count >= 0 }} }}

action :say do
  with_run_context :root do
    find_resource(:ruby_block, 'at the end') do
      block {{ {append('end')} }}
      action :nothing
    end
  end
  ruby_block 'inner' do
    block {{ {append('inner-#{new_resource.word}')} }}
    notifies :run, 'ruby_block[at the end]'
    notifies :run, 'ruby_block[of the action]'
  end
  ruby_block 'of the action' do
    block {{ {append('late')} }}
    action :nothing
  end
  {append('last-line')}
  helped
end

action :rest do
  return if new_resource.count == 1

  converge_by(['a thing', 'another']) {{ {append('rested')} }}
end

action_class do
  def helped
    {append('helped')}
  end
end
"""
SAYS = {"attributes": "default['standin']['word'] = 'said'\n", "resources": RESOURCE}


def test_a_custom_resource_converges_its_own_before_the_recipe_goes_on_and_roots_at_the_end_of_the_run(client):
    recipe = f"standin 'x' do\n{notify('told', ':immediately')}\nend\n" + block("told") + block("next", nothing=False)
    name = client.book("standin_custom", recipe, **SAYS)
    done, trace = client.run("-o", f"recipe[{name}]")
    expected = ["inner-said", "last-line", "helped", "late", "told", "next", "end"]
    assert (done.returncode, trace) == (0, expected), done.stdout


@more
def test_a_custom_resource_is_updated_only_by_what_its_actions_change(client):
    recipe = f"standin 'x' do\n  action :rest\n{notify('told')}\nend\n" + block("told")
    assert client.run("-o", client.book("standin_rest", recipe, **SAYS))[1] == []
    changing = recipe.replace(":rest\n", ":rest\n  count 2\n", 1)
    name = client.book("standin_rest", changing, **SAYS)
    assert client.run("-o", name)[1] == ["rested", "told"]
    done, trace = client.run("--why-run", "-o", name)
    assert trace == []
    assert "    - Would a thing\n    - Would another\n" in done.stdout
    assert "* ruby_block[told] action run" in done.stdout


@more
def test_a_property_is_validated(client):
    given = {
        "word 'loud'": 'Property word of standin[x] must be equal to one of: "said", "unsaid"! You passed "loud".',
        "word 7": "Property word of standin[x] must be one of: String! You passed 7.",
        "count(-1)": "Property count of standin[x] must not be negative! You passed -1.",
        "word lazy { 9 }": "Property word of standin[x] must be one of: String! You passed 9.",
    }
    attempt = "begin\n  standin('x') { %s }.run_action(:say)\nrescue => e\n  Chef::Log.warn(e.message)\nend"
    recipe = "\n".join(attempt % each for each in given)
    done, _ = client.run("-o", client.book("standin_invalid", recipe, **SAYS))
    assert [why for why in given.values() if why not in done.stdout] == []


@more
def test_a_failed_action_leaves_what_it_put_off_undone_and_the_runs_done(client):
    failing = RESOURCE.replace("  helped\n", "  raise 'on purpose'\n", 1)
    name = client.book("standin_broken", "standin 'x'\n", **{**SAYS, "resources": failing})
    done, trace = client.run("-o", name)
    assert (done.returncode, trace) == (1, ["inner-said", "last-line", "end"]), done.stdout
    assert f"standin[x] ({name}::default line 1) had an error: RuntimeError: on purpose" in done.stdout


@pytest.mark.parametrize(("resource", "named"), [
    ("provides :standin\naction(:say) { }\n", "unified_mode true"),
    pytest.param(
        "provides :standin\nunified_mode true\nload_current_value { }\naction(:say) { }\n", "load_current_value",
        marks=more,
    ),
    pytest.param("provides :standin\nunified_mode true\naction(:say) { some_helper(1) }\n", "some_helper", marks=more),
])
def test_a_custom_resource_stops_at_what_the_stand_in_does_not_know(client, resource, named):
    done, _ = client.run("-o", client.book("standin_unknown", "standin 'x'\n", resources=resource))
    assert done.returncode == 1
    assert f"`{named}'" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        ("frobnicate 'x' do\nend\n", "frobnicate"),
        pytest.param("some_helper(1)\n", "some_helper", marks=more),
        pytest.param("file '/var/tmp/x' do\n  unheard_of true\nend\n", "unheard_of", marks=more),
        pytest.param("service 'ssh' do\n  action :mask\nend\n", "mask", marks=more),
        ("begin\n  Chef::DataBag.load('x')\nrescue StandardError\n  nil\nend\n", "Chef::DataBag"),
        pytest.param("node.save\n", "node.save", marks=more),
        pytest.param("Chef.event_handler { on(:moon_rise) { } }\n", "moon_rise", marks=more),
        pytest.param(
            "ruby_block 'x' do\n  block { unheard_of_helper }\n  ignore_failure true\nend\n", "unheard_of_helper",
            marks=more,
        ),
    ],
)
def test_stops_at_what_it_does_not_know_and_names_it(client, recipe, named):
    name = client.book("standin_unknown", recipe)
    done, _ = client.run("-o", f"recipe[{name}]")
    assert done.returncode == 1
    assert f"`{named}'" in done.stdout.splitlines()[-1]


def test_an_unknown_flag_is_refused(client):
    done, _ = client.run("--recipe-url", "http://example.invalid/")
    assert done.returncode == 1
    assert "--recipe-url" in done.stdout


def test_a_role_in_the_run_list_is_refused(client):
    done, _ = client.run("-o", "role[base]")
    assert done.returncode == 1
    assert "role[base]" in done.stdout


def test_gives_up_at_once_when_another_run_holds_the_lock_and_no_waiting_is_wanted(client):
    name = client.book("standin_lock", block("ran", nothing=False))
    client.sh(f"rm -f {TRACE}")
    done = client.sh(f"flock {LOCK} chef-client --run-lock-timeout 0 -o {name}; echo $?; ls {TRACE} 2>&1")
    assert "Unable to acquire lock. Waited 0 seconds" in done.stdout
    assert "\n1\n" in done.stdout
    assert "No such file" in done.stdout


@more
def test_waits_for_the_lock_and_then_runs(client):
    name = client.book("standin_lock", block("ran", nothing=False))
    # The lock is let go once the client has said that it waits.
    done = client.sh(
        f"rm -f {TRACE} /var/tmp/out; exec 9>>{LOCK}; flock 9; chef-client -o {name} >/var/tmp/out 2>&1 9>&- & "
        "until grep -q 'will wait' /var/tmp/out; do :; done; "
        f"test ! -e {TRACE} && flock -u 9; wait $!; echo $?; cat {TRACE}"
    )
    assert done.stdout.split() == ["0", "ran"]


@more
def test_a_spoilt_file_in_the_cache_is_fetched_again(client):
    name = client.book("standin_cache", block("ran", nothing=False))
    client.run("-o", f"recipe[{name}]")
    client.sh(f"echo spoilt > /var/chef/cache/cookbooks/{name}/recipes/default.rb")
    done, trace = client.run("-o", f"recipe[{name}]")
    assert (done.returncode, trace) == (0, ["ran"]), done.stdout


def test_one_transaction_upgrades_exactly_the_packages_with_a_newer_candidate(client):
    status = "dpkg-query -Wf '${Package} ${Version}\\n' | sort"
    before = client.sh(status).stdout
    newer = client.sh("apt-cache policy openssl | sed -n 's/^  Candidate: //p'").stdout.strip()
    assert f"openssl {newer}\n" not in before, "the lab's node already has the newer openssl: nothing to test with"
    name = client.book("standin_package", "package %w{openssl tar} do\n  action :upgrade\nend\n")
    client.sh("rm -f /var/log/apt/history.log")
    done, _ = client.run("-o", f"recipe[{name}]")
    assert done.returncode == 0, done.stdout
    assert f"openssl {newer}\n" in client.sh(status).stdout
    history = client.sh("cat /var/log/apt/history.log").stdout
    assert history.count("Commandline: ") == 1
    assert "tar=" not in history

    done, _ = client.run("-o", f"recipe[{name}]")
    assert "    (up to date)" in done.stdout
    assert client.sh("grep -c Commandline /var/log/apt/history.log").stdout.strip() == "1"


def test_a_daemon_waits_runs_when_it_is_told_to_and_outlives_a_failure(client):
    """chef-client's documentation: USR1 wakes it, TERM ends it once its run has ended."""
    pid, log = "/run/standin.pid", "/var/log/standin.log"
    name = client.book("standin_daemon", f"{append('ran')}\nexecute 'test -e /run/may'\n")
    put = client.saved() | {"run_list": [f"recipe[{name}@0.1.0]"]}
    client.chef.put(f"/nodes/{NODE}", put)
    daemon = f"chef-client -d -i 3600 -s 60 -P {pid} -L {log}"
    assert client.sh(f"rm -f {TRACE}; {daemon}; until [ -s {pid} ]; do sleep 0.1; done").returncode == 0
    wake = f"kill -USR1 $(cat {pid}); until [ $(wc -l <{TRACE}) -eq %d ] && ! pgrep -P $(cat {pid}); do sleep 0.1; done"
    assert client.sh(f"touch {TRACE}; {wake % 1}").returncode == 0
    assert "execute[test -e /run/may]" in client.sh(f"cat {log}").stdout  # it failed, which saves nothing
    assert client.saved() == put
    assert client.sh(f"touch /run/may; {wake % 2}").returncode == 0
    assert client.saved()["automatic"]["recipes"] == [name, f"{name}::default"]
    assert client.saved()["run_list"] == put["run_list"]
    ended = client.sh(f"it=$(cat {pid}); kill $it; while [ -d /proc/$it ]; do sleep 0.1; done; ls {pid}")
    assert ended.returncode != 0
    client.chef.put(f"/nodes/{NODE}", client.saved() | {"run_list": []})
