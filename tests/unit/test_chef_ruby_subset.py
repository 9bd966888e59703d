"""The part of Ruby that is read without ruby means what Ruby means; the rest is an error with its line."""

import pytest

from fleet.chef.ruby_subset import SubsetError, read

HOME = {"HOME": "/home/ada", "CHEF_USER": "ada"}


def value(text: str):
    (call,) = read(f"x {text}", "/home/ada/.chef/config.rb", HOME)
    return call.arguments[0] if len(call.arguments) == 1 else list(call.arguments)


@pytest.mark.parametrize(("ruby", "means"), [
    ("'a'", "a"), ('"a"', "a"), (r"'it\'s a \\ and \n'", "it's a \\ and \\n"),
    (r'"tab\tline\nquote\" \#{x}"', 'tab\tline\nquote" #{x}'),
    (":verify_none", "verify_none"), (':"with space"', "with space"),
    ("42", 42), ("-1", -1), ("1_000", 1000), ("0.5", 0.5),
    ("true", True), ("false", False), ("nil", None), ("STDOUT", "STDOUT"),
    ("['a', \"b\",]", ["a", "b"]), ("[\n  'a', # one\n  'b'\n]", ["a", "b"]), ("[]", []),
    ("%w(a b  c)", ["a", "b", "c"]),
    ("%w[a\n b]", ["a", "b"]), ("({ 'a' => 1, :b => [2], c: { d: nil } })", {"a": 1, "b": [2], "c": {"d": None}}),
    ("'a', 'b'", ["a", "b"]), ("('a')", "a"), ("(\n'a',\n'b'\n)", ["a", "b"]),
    ("ENV['CHEF_USER']", "ada"), ("ENV['NONE']", None), ("ENV['NONE'] || 'else'", "else"),
    ('"#{ENV[\'CHEF_USER\']}.pem"', "ada.pem"),
    ("ENV['CHEF_USER'] || 'a' + 'b'", "ada"), ("ENV['NONE'] || 'a' + 'b'", "ab"), ("false || nil || 3", 3),
    ("__FILE__", "/home/ada/.chef/config.rb"), ("__dir__", "/home/ada/.chef"),
    ("File.dirname(__FILE__)", "/home/ada/.chef"),
    ("File.join(__dir__, 'a', '/b')", "/home/ada/.chef/a/b"), ("File.expand_path('~/x')", "/home/ada/x"),
    ("File.expand_path('../x', __FILE__)", "/home/ada/.chef/x"), ("Dir.home + '/x'", "/home/ada/x"),
    ("[1] + [2]", [1, 2]),
    ("'a' \\\n + 'b'", "ab"), ('"a\\\nb"', "ab"),
    ("File.join('https://chef/', '/a', 'b')", "https://chef/a/b"), ("File.join('a//', 'b')", "a//b"),
    ("File.dirname('/a/b/')", "/a"), ("File.dirname('a')", "."), ("File.dirname('/')", "/"),
])
def test_means_what_ruby_means(ruby, means):
    assert value(ruby) == means


def test_variables_and_settings_can_be_read_back():
    text = """
        # a comment; with "quotes"
        current_dir = File.dirname(__FILE__)
        user = ENV['CHEF_USER']
        node_name user; log_level :info
        client_key "#{current_dir}/#{node_name}.pem"
        knife[:ssh_user] = user
        Chef::Config[:cookbook_path] = ["#{current_dir}/../cookbooks"]
    """
    calls = [(call.name, call.key, call.arguments, call.line) for call in read(text, "/c/config.rb", HOME)]
    assert calls == [
        ("node_name", None, ("ada",), 5), ("log_level", None, ("info",), 5), ("client_key", None, ("/c/ada.pem",), 6),
        ("knife", "ssh_user", ("ada",), 7), ("Chef::Config", "cookbook_path", (["/c/../cookbooks"],), 8),
    ]


@pytest.mark.parametrize("ruby", [
    "x `id`", "x $stdin", "x [1, 2].first", "x 'a'.upcase", "x File.read('a')", "x File.exist?('a')", "x unknown",
    "x 'a' if ENV['CHEF_USER']", "x 1 ? 2 : 3", "x ENV.fetch('HOME')", "x <<EOF", "x %w(a).map { |a| a }", "x -> { 1 }",
    "if ENV['CHEF_USER']", "unless nil", "require 'json'", "load 'other.rb'", "eval 'x 1'", "end", "begin",
    "raise 'no'", "__END__", "x 'a' + 1", "x knife[:a]", "knife[:a] ||= 1", "knife[:a] += 1", "x = y",
    "x 'a' 'b'", "x(1", "x [1", "x 'a",
    "@x = 1", "x = 1 if true", r'x "\u00e9"', r'x "\x41"', r'x "\0"', 'x "#{`id`}"', 'x "#{1 if true}"',
    "Chef::Config.x = 1", "self.x = 1", "knife.x = 1", "from_file 'b.rb'", "merge!({ x: 1 })", "key? 'x'",
    "x 022", "x 1__0", "x 22_", f"x {'9' * 5000}", f"x {'[' * 5000}", 'x "#{true}"', 'x "#{[1]}"', 'x "#$b"', 'x "#@b"',
    'x "#{1"', r"x %w(a\ b)", "x ENV[3]", "x ENV[['a']]", "x File.expand_path('~bob/x')",
    "x 1 == 2", "x !true", "x { |y| 1 }", "x do", "x File.dirname(1)", "x File.join(*parts)", "x ENV", "=begin",
])
def test_anything_else_is_an_error_with_its_line(ruby):
    with pytest.raises(SubsetError) as refused:
        read(f"a 1\n\n  {ruby}\nb 2\n", "config.rb", HOME)
    assert refused.value.line >= 3
    assert str(refused.value).startswith(f"line {refused.value.line} is more Ruby than can be read without ruby: ")


def test_a_literal_over_several_lines_is_named_by_the_line_that_is_none():
    with pytest.raises(SubsetError) as refused:
        read("a [\n  'x',\n  `id`,\n]\n")
    assert (refused.value.line, refused.value.text) == (3, "`id`,")
