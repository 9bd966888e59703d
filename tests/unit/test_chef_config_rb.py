"""A config.rb that cannot be evaluated is one sentence with its file and line, by ruby and without it."""

import os
import shutil
from pathlib import Path

import pytest

from fleet.chef import config_rb
from fleet.errors import SettingsError

RUBY = shutil.which("ruby")
needs_ruby = pytest.mark.skipif(not RUBY, reason="there is no ruby here to evaluate a config.rb")


def evaluated(path: Path, search_path: str, timeout: float = 20, **env):
    settings, _ = config_rb.evaluate(
        path, path.parent, {}, cwd=path.parent, env={"PATH": search_path, **env}, timeout=timeout
    )
    return settings


@pytest.fixture
def subset(tmp_path, monkeypatch):
    """Return a function that reads a config.rb without ruby."""
    monkeypatch.setattr(config_rb, "_EMBEDDED", ())

    def read(text: str, name: str = "config.rb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / "config.rb").touch()
        return evaluated(tmp_path / "config.rb", "/nonexistent")

    return read


@pytest.fixture
def ruby(tmp_path):
    """Return a function that has ruby evaluate a config.rb."""

    def read(text: str, **options):
        (tmp_path / "config.rb").write_text(text)
        return evaluated(tmp_path / "config.rb", os.environ["PATH"], **options)

    return read


@pytest.mark.parametrize("line", [
    "chef_server_url `hostname`", "if ENV['X']", "require 'json'", "Chef::Config.chef_server_url 'x'",
    "Chef::Config.chef_server_url = 'https://another'", "from_file 'another.rb'",
    "Chef::Config.from_file('x')", "knife.merge!({})", "knife 'x'", "chefdk[:x] = 1", "eval('x')",
    "http_proxy_pass 'p' * 2", "knife['http_proxy_pass'] += 'p'",
])
def test_without_ruby_what_is_no_literal_is_named_by_its_line(subset, tmp_path, line):
    with pytest.raises(SettingsError) as refused:
        subset(f"node_name 'a'\n{line}\n")
    assert str(refused.value) == (
        f"{tmp_path}/config.rb line 2 is more than can be read without ruby; install it"
    ), "and not a word of the line, which may hold a password"


def test_without_ruby_a_file_of_config_d_is_named_too(subset, tmp_path):
    with pytest.raises(SettingsError, match=rf"^{tmp_path}/config.d/1.rb line 1 is more"):
        subset("load 1", "config.d/1.rb")


def test_without_ruby_knife_takes_a_table(subset):
    told = "knife[:y] = 1\nknife({ ssh_user: 'ops' })\nknife[:x] = 1\n"
    assert subset(told)["knife"] == {"ssh_user": "ops", "x": 1}, "as Chef's own loader has it: a table is set whole"


def test_a_file_that_is_no_text_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(config_rb, "_EMBEDDED", ())
    (tmp_path / "config.rb").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"config\.rb is not UTF-8 text"):
        evaluated(tmp_path / "config.rb", "/nonexistent")
    (tmp_path / "knife.rb").mkdir()
    with pytest.raises(SettingsError, match=r"knife\.rb cannot be read: Is a directory"):
        evaluated(tmp_path / "knife.rb", "/nonexistent")


@needs_ruby
def test_ruby_evaluates_what_no_subset_could(ruby):
    settings = ruby("""
        require "json"
        puts "said on standard output"
        def user = %w[a d a].join
        node_name user
        chef_server_url(ENV.fetch("URL") { raise "no URL" })
        if node_name == "ada" then Chef::Config[:ssl_verify_mode] = :verify_none end
        Chef::Config.knife[:ssh_user] = node_name.upcase
        ChefConfig::Config.cookbook_path ["a", :b, 3, nil]
        knife[:nested] = { a: [1.5, true] }
        log_location STDOUT
    """, URL="https://x")
    assert settings["node_name"] == "ada"
    assert settings["chef_server_url"] == "https://x"
    assert settings["ssl_verify_mode"] == "verify_none"
    assert settings["cookbook_path"] == ["a", "b", 3, None]
    assert settings["knife"] == {"ssh_user": "ADA", "nested": {"a": [1.5, True]}}


@needs_ruby
def test_ruby_does_what_mixlib_config_does(ruby, tmp_path):
    (tmp_path / "another.rb").write_text("chef_server_url 'https://another'\n")
    settings = ruby("""
        chef_server_url "https://x"
        Chef::Config.from_file(File.join(__dir__, "another.rb"))
        configure { |c| c[:node_name] = "ada" }
        merge!(log_level: :info)
        self.environment = "production"
    """)
    assert settings["chef_server_url"] == "https://another"
    assert (settings["node_name"], settings["log_level"], settings["environment"]) == ("ada", "info", "production")


@needs_ruby
@pytest.mark.parametrize(("line", "said"), [
    ("from_yaml 'a.yml'", "NoMethodError: from_yaml is no setting"), ("key?(:x)", "NoMethodError: key? is no setting"),
    ("config_context(:x) { y 1 }", "NoMethodError: config_context is no setting"),
    ("raise 'no key'", "RuntimeError: no key"), ("node_name 'a", "SyntaxError: "), ("exit 3", "SystemExit: exit"),
    ("require 'none_such'", "LoadError: cannot load such file -- none_such"),
    ("Chef::Unknown.x", "NameError: uninitialized constant Chef::Unknown"), ("File.read('/none')", "Errno::ENOENT: "),
    ("node_name \"\\xff\"", "JSON::GeneratorError: "),
])
def test_ruby_names_file_line_and_reason(ruby, tmp_path, line, said):
    with pytest.raises(SettingsError) as refused:
        ruby(f"log_level :info\n{line}\n")
    where = f"{tmp_path}/config.rb" if "xff" in line else f"{tmp_path}/config.rb line "
    assert str(refused.value).startswith(where)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@needs_ruby
def test_a_config_rb_that_kills_ruby_or_waits_is_given_up(ruby, tmp_path):
    with pytest.raises(SettingsError, match=r"config.rb could not be evaluated by .*ruby: "):
        ruby("$stderr.puts 'gone'\nexit! 1")
    with pytest.raises(SettingsError, match=r"config.rb was still being evaluated by ruby after 0.5 s"):
        ruby("sleep", timeout=0.5)


@needs_ruby
def test_a_config_rb_that_asks_gets_no_answer(ruby):
    assert ruby("node_name(gets || 'nobody')")["node_name"] == "nobody"


def test_chefs_own_ruby_is_found_where_its_packages_put_it(tmp_path, monkeypatch):
    """A program that stands in for /opt/chef-workstation/embedded/bin/ruby, which cannot be installed here."""
    program = tmp_path / "bin" / "ruby"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho \'{"settings": {"knife": {}, "node_name": "embedded"}, "files": []}\'\n')
    program.chmod(0o755)
    monkeypatch.setattr(config_rb, "_EMBEDDED", (str(program.parent),))
    (tmp_path / "config.rb").write_text("raise")
    assert evaluated(tmp_path / "config.rb", "/nonexistent")["node_name"] == "embedded"
