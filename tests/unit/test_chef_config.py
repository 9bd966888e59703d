"""The settings are those knife would use, from the files knife would read, in knife's order.

Each test that reads a config.rb does it twice: by ruby and by the literal subset; by ruby only where there is one. In
tests/lab Chef's own loader says the same of the same files.
"""

import shutil
from pathlib import Path

import pytest

from fleet.chef import config, config_rb
from fleet.errors import SettingsError

URL = "https://chef.example/organizations/acme"
RUBY = shutil.which("ruby")


class Home:
    """A user's files: `write(path, text)` below the home, `load()` from a directory below it."""

    def __init__(self, path: Path, search_path: str):
        self.path, self.search_path = path, search_path

    def write(self, path: str, text: str = "") -> Path:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def load(self, profile=None, cwd=".", **env) -> config.ChefConfig:
        (self.path / cwd).mkdir(parents=True, exist_ok=True)
        return config.load(profile, cwd=self.path / cwd, env={"HOME": str(self.path), "PATH": self.search_path, **env})


@pytest.fixture(params=["subset", "ruby"])
def home(request, tmp_path, monkeypatch):
    if request.param == "ruby" and not RUBY:
        pytest.skip("there is no ruby here to evaluate a config.rb")
    monkeypatch.setattr(config_rb, "_EMBEDDED", ())
    made = Home(tmp_path / "ada", str(Path(RUBY).parent) if request.param == "ruby" else "/nonexistent")
    made.write("key.pem", "KEY")
    return made


def credentials(*profiles: str) -> str:
    return "".join(
        f"[{name}]\nclient_name = '{name}'\nclient_key = 'key-of-{name}.pem'\nchef_server_url = 'https://{name}.example'\n"
        for name in profiles
    )


def test_credentials_alone_are_enough(home):
    more = "ssl_verify_mode = ':verify_none'\n[default.knife]\nssh_user = 'ops'\n"
    home.write(".chef/credentials", credentials("default") + more)
    home.write(".chef/key-of-default.pem", "KEY")
    found = home.load()
    assert (found.server_url, found.client_name, found.client_key) == ("https://default.example", "default", "KEY")
    assert (found.ssl_verify, found.profile, found.knife) == (False, "default", {"ssh_user": "ops"})
    assert found.sources == (home.path / ".chef/credentials",)
    assert "KEY" not in repr(found)


@pytest.mark.parametrize(("profile", "env", "context", "used"), [
    ("dev", {"CHEF_PROFILE": "prod"}, "lab\n", "dev"), (None, {"CHEF_PROFILE": "prod"}, "lab\n", "prod"),
    (None, {}, "lab\n", "lab"), (None, {}, None, "default"),
])
def test_the_profile_is_the_flags_the_environments_the_contexts_or_default(home, profile, env, context, used):
    names = ("default", "dev", "prod", "lab")
    home.write(".chef/credentials", credentials(*names))
    for name in names:
        home.write(f".chef/key-of-{name}.pem", name)
    if context is not None:
        home.write(".chef/context", context)
    found = home.load(profile, **env)
    assert (found.profile, found.client_name, found.client_key) == (used, used, used)


@pytest.mark.parametrize(("profile", "env", "context", "asked"), [
    ("x", {}, None, "--profile"), (None, {"CHEF_PROFILE": "x"}, None, r"\$CHEF_PROFILE"), (None, {}, "x", "context"),
])
def test_an_unknown_profile_names_those_there_are_and_who_asked(home, profile, env, context, asked):
    home.write(".chef/credentials", credentials("prod", "dev"))
    if context:
        home.write(".chef/context", context)
    with pytest.raises(SettingsError, match=rf"no profile 'x' \(asked for by .*{asked}\) in .*; it has: dev, prod"):
        home.load(profile, **env)


@pytest.mark.parametrize(("text", "said"), [
    ("[default\n", "not readable as TOML: .*line 1"),
    ("default = " + "[" * 9000, "not readable as TOML"),
    ("default = 1", r"'default' .* is not a table: write \[default\]"),
    ("[default]\nnode_name='a'\nclient_name='b'", "both client_name and node_name"),
    ("[default]\nknife = 'x'", r"knife in profile 'default' .* write \[default.knife\]"),
    ("[other]\nclient_name = 'a'", "no Chef server is configured"),
])
def test_wrong_credentials_are_named(home, text, said):
    path = home.write(".chef/credentials", text)
    with pytest.raises(SettingsError, match=said) as refused:
        home.load()
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", ["client_key", "trusted_certs_dir", "cookbook_path"])
def test_a_path_that_is_none_is_named(home, name):
    home.write(".chef/credentials", f"[default]\nchef_server_url = '{URL}'\n{name} = \"a\\u0000b\"\n")
    if name != "client_key":
        home.write(".chef/user.pem", "key")
    with pytest.raises(SettingsError, match=r"a.x00b' in knife's settings is no path: it has a NUL character"):
        home.load()


def test_an_inline_key(home):
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n"
    home.write(".chef/credentials", f"[default]\nclient_name='a'\nchef_server_url='{URL}'\nclient_key='''\n{pem}'''\n")
    assert home.load().client_key == pem
    assert home.load().key_file is None


PLACES = ["knife-home/config.rb", "knife-home/knife.rb", "a/b/config.rb", "a/b/knife.rb", "a/.chef/config.rb",
          "a/.chef/knife.rb", "home/.chef/config.rb", "home/.chef/knife.rb"]


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_first_config_rb_in_knifes_order_is_read(home, first):
    for number, place in list(enumerate(PLACES))[first:]:
        home.write(place, f"chef_server_url 'https://{number}.example'\nclient_key '{home.path}/key.pem'\n")
    (home.path / "knife-home").mkdir(exist_ok=True)
    env = {"KNIFE_HOME": str(home.path / "knife-home")} if first < 2 else {}
    found = home.load(cwd="a/b", HOME=str(home.path / "home"), **env)
    assert found.server_url == f"https://{first}.example"
    assert found.sources == (home.path / PLACES[first],)


def test_only_the_nearest_chef_directory_upwards_counts(home):
    home.write("a/.chef/config.rb", f"chef_server_url '{URL}'")
    home.write("a/b/.chef/other", "")
    with pytest.raises(SettingsError, match="no Chef server is configured") as refused:
        home.load(cwd="a/b/c", HOME=str(home.path / "nobody"))
    assert str(home.path / "a/b/.chef/config.rb") in str(refused.value)
    assert str(home.path / "a/.chef/config.rb") not in str(refused.value)


def test_knife_home_is_home_to_the_credentials_too(home):
    """knife sets PathHelper.per_tool_home_environment, so that another user's key never mixes in."""
    home.write(".chef/credentials", credentials("default"))
    home.write("lab/config.rb", f"chef_server_url '{URL}'\nnode_name 'lab'\nclient_key '{home.path}/key.pem'\n")
    found = home.load(KNIFE_HOME=str(home.path / "lab"))
    assert (found.client_name, found.sources) == ("lab", (home.path / "lab/config.rb",))
    home.write("chef/.chef/config.rb", f"chef_server_url '{URL}'\nnode_name 'c'\nclient_key '{home.path}/key.pem'\n")
    found = home.load(cwd="/", KNIFE_HOME=str(home.path / "gone"), CHEF_HOME=str(home.path / "chef"))
    assert (found.client_name, found.sources) == ("c", (home.path / "chef/.chef/config.rb",))


CONFIG = """
current_dir = File.dirname(__FILE__)
log_level                :info
node_name                "ada"
client_key               "#{current_dir}/ada.pem"
chef_server_url          "https://chef.example/organizations/#{ENV['ORG'] || 'acme'}/"
cookbook_path            ["#{current_dir}/../cookbooks", 'other']
ssl_verify_mode          :verify_peer
ssl_ca_file              "#{current_dir}/ca.pem"
knife[:ssh_user] = 'ops'
knife[:ssh_port] = 2222
knife[:editor] = "/usr/bin/vim -f"
Chef::Config[:http_proxy] = 'proxy.example:3128'
no_proxy 'localhost, *.inside.example'
"""


def test_a_config_rb_as_they_are_written(home):
    home.write("work/.chef/config.rb", CONFIG)
    home.write("work/.chef/ada.pem", "ADA")
    for name in ("b.crt", "a.pem", "notes.txt"):
        home.write(f"work/.chef/trusted_certs/{name}")
    found = home.load(cwd="work/deep", ORG="umbrella")
    chef = home.path / "work/.chef"
    assert (found.server_url, found.client_name) == ("https://chef.example/organizations/umbrella", "ada")
    assert (found.client_key, found.ssl_verify, found.ssl_ca_file) == ("ADA", True, chef / "ca.pem")
    assert found.cookbook_path == (home.path / "work/cookbooks", home.path / "work/deep/other")
    assert found.knife == {"ssh_user": "ops", "ssh_port": 2222, "editor": "/usr/bin/vim -f"}
    assert found.trusted_certs == (chef / "trusted_certs/a.pem", chef / "trusted_certs/b.crt")
    assert found.proxies == {"http": "http://proxy.example:3128", "no_proxy": "localhost,.inside.example"}


def test_config_rb_wins_over_credentials_and_config_d_over_both(home):
    more = "ssl_verify_mode = 'verify_none'\n[default.knife]\nssh_user = 'a'\nssh_port = 1\n"
    home.write(".chef/credentials", credentials("default") + more)
    home.write(".chef/key-of-default.pem", "KEY")
    two = "chef_server_url 'https://two.example'"
    home.write(".chef/config.rb", f"{two}\nknife[:ssh_user] = 'b'\nknife[:x] = node_name\n")
    home.write(".chef/config.d/20.rb", "knife[:ssh_user] = 'd'")
    home.write(".chef/config.d/10.rb", "knife[:ssh_user] = 'c'\nssl_verify_mode :verify_peer")
    home.write(".chef/config.d/.hidden.rb", "knife[:ssh_user] = 'e'")
    found = home.load()
    assert (found.server_url, found.client_name, found.ssl_verify) == ("https://two.example", "default", True)
    assert found.knife == {"ssh_user": "d", "ssh_port": 1, "x": "default"}
    names = [source.relative_to(home.path / ".chef").as_posix() for source in found.sources]
    assert names == ["credentials", "config.rb", "config.d/10.rb", "config.d/20.rb"]


def test_config_d_can_be_elsewhere_and_alone(home):
    home.write(".chef/config.d/10.rb", f"chef_server_url '{URL}'\nclient_key '{home.path}/key.pem'\nnode_name 'd'")
    assert home.load().client_name == "d"
    home.write(".chef/config.rb", f"config_d_dir '{home.path}/more'\nchef_server_url '{URL}'")
    home.write("more/10.rb", f"client_key '{home.path}/key.pem'\nnode_name 'more'")
    assert home.load().client_name == "more"


@pytest.mark.parametrize(("files", "used"), [
    (["work/.chef/ada.pem", ".chef/ada.pem", "work/.chef/user.pem"], "work/.chef/ada.pem"),
    ([".chef/ada.pem", "work/.chef/user.pem", ".chef/user.pem"], ".chef/ada.pem"),
    (["work/.chef/user.pem", ".chef/user.pem"], "work/.chef/user.pem"), ([".chef/user.pem"], ".chef/user.pem"),
])
def test_default_keys(home, files, used):
    home.write("work/.chef/config.rb", f"chef_server_url '{URL}'\nnode_name 'ada'")
    for file in files:
        home.write(file, file)
    found = home.load(cwd="work")
    assert (found.client_key, found.key_file) == (used, home.path / used)


def test_no_key_names_every_place(home):
    home.write("work/.chef/config.rb", f"chef_server_url '{URL}'\nnode_name 'ada'")
    with pytest.raises(SettingsError, match="no key for 'ada'") as refused:
        home.load(cwd="work")
    for place in ("work/.chef/ada.pem", ".chef/ada.pem", "work/.chef/user.pem", ".chef/user.pem"):
        assert str(home.path / place) in str(refused.value)


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\xff\x00", "not a PEM file")])
def test_a_key_that_cannot_be_read_is_named(home, content, said):
    key = home.path / "ada.pem"
    home.write(".chef/config.rb", f"chef_server_url '{URL}'\nclient_key '{key}'")
    if content:
        key.write_bytes(content)
    with pytest.raises(SettingsError, match=said) as refused:
        home.load()
    assert f"{home.path}/.chef/config.rb names {key}" in str(refused.value)


@pytest.mark.parametrize(("text", "said"), [
    ("node_name 'a'", "no chef_server_url in .*config.rb; set it there"),
    ("chef_server_url 'chef.example'", "must be an http"),
    ("chef_server_url 'chefzero://localhost'", "must be an http"),
    ("chef_server_url 'https://[::1'", "must be an http"), ("chef_server_url 'https://chef:443s/'", "must be an http"),
    (f"chef_server_url '{URL}'\nconfig_d_dir 5", "no client_key in"),
    (f"chef_server_url '{URL}'\nnode_name \"a\\nb\"", "node_name is"),
    (f"chef_server_url '{URL}'\nChef::Config[:knife] = 'x'", "knife is no table"),
])
def test_settings_that_cannot_be_are_named_with_their_file(home, text, said):
    home.write(".chef/config.rb", text)
    with pytest.raises(SettingsError, match=said) as refused:
        home.load()
    assert "config.rb" in str(refused.value)


def test_nothing_at_all_names_every_place(home):
    with pytest.raises(SettingsError, match="no Chef server is configured: none of these is there: ") as refused:
        home.load(cwd="work")
    for place in (".chef/credentials", "work/config.rb", "work/knife.rb", ".chef/config.rb", ".chef/knife.rb"):
        assert str(home.path / place) in str(refused.value)


@pytest.mark.parametrize(("config_rb_says", "env", "proxies"), [
    ("", {}, {}),
    ("", {"http_proxy": "http://a:1", "NO_PROXY": "c"}, {"http": "http://a:1", "no_proxy": "c"}),
    ("", {"HTTPS_PROXY": "b:2"}, {"https": "https://b:2"}),
    ("https_proxy 'http://b:2'\nno_proxy 'c,d'", {}, {"https": "http://b:2", "no_proxy": "c,d"}),
    ("https_proxy 'b:2'\nhttps_proxy_user 'ad:a'\nhttps_proxy_pass 'p@ss'", {}, {"https": "https://ad%3Aa:p%40ss@b:2"}),
    ("http_proxy 'x:1'\nno_proxy 'y'", {"http_proxy": "a:1", "no_proxy": "b"}, {"http": "http://a:1", "no_proxy": "b"}),
    ("http_proxy 'x:1'", {"http_proxy": ""}, {}),
    ("no_proxy '*'", {}, {"no_proxy": "*"}),
])
def test_proxies_come_from_the_variables_before_the_files(home, config_rb_says, env, proxies):
    home.write(".chef/config.rb", f"chef_server_url '{URL}'\nclient_key '{home.path}/key.pem'\n{config_rb_says}\n")
    assert home.load(**env).proxies == proxies
