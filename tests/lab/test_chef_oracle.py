"""Chef's own Ruby, in a lab node, as the judge of what fleet/chef writes anew: signatures and the order of settings."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fleet.chef import config, config_rb
from fleet.chef.compat import Key
from fleet.chef.signing import PROTOCOLS, sign
from fleet.errors import SettingsError
from generator import shell

VERIFY = r"""
require "json"
require "openssl"
require "mixlib/authentication/signatureverification"

Request = Struct.new(:env, :method, :path, :raw_post) do
  def params
    {}
  end
end

asked = JSON.parse($stdin.read)
key = OpenSSL::PKey::RSA.new(asked["key"])
puts JSON.generate(asked["requests"].map { |request|
  env = request["headers"].to_h { |name, value| ["HTTP_" + name.tr("-", "_").upcase, value] }.merge("HTTP_HOST" => "x")
  request = Request.new(env, *request.values_at("method", "path", "body"))
  verifier = Mixlib::Authentication::SignatureVerification.new(request)
  name = verifier.authenticate_request(key)&.name
  [name, verifier.valid_signature?, verifier.valid_timestamp?, verifier.valid_content_hash?]
})
"""

LOAD = r"""
require "json"
require "tmpdir"
require "fileutils"
require "chef-config/workstation_config_loader"

def settings
  found = ChefConfig::Config
  key = found.client_key_contents || (found.key?(:client_key) && File.read(found.client_key))
  ca_file = found.ssl_ca_file && File.expand_path(found.ssl_ca_file)
  { url: found.chef_server_url, name: found.node_name, key: key, knife: found.knife.save(false), ca_file: ca_file,
    verify: found.ssl_verify_mode != :verify_none,
    cookbooks: found.key?(:cookbook_path) ? Array(found.cookbook_path) : [],
    trusted: Dir.glob(File.join(found.trusted_certs_dir, "*.{crt,pem}")).sort }
end

puts JSON.generate(JSON.parse($stdin.read).map { |each|
  Dir.mktmpdir do |directory|
    root = File.realpath(directory)
    each["files"].each do |path, text|
      FileUtils.mkdir_p(File.dirname(File.join(root, path)))
      File.write(File.join(root, path), text.gsub("ROOT", root))
    end
    read, write = IO.pipe
    child = fork do
      Dir.chdir(FileUtils.mkdir_p(File.join(root, each["cwd"])).last)
      ENV.keys.grep(/\A(KNIFE|CHEF)_/).each { |name| ENV.delete(name) }
      each["env"].merge("PWD" => Dir.pwd).each { |name, value| ENV[name] = value.gsub("ROOT", root) }
      ChefConfig::PathHelper.per_tool_home_environment = "KNIFE_HOME" # as knife does
      answer = begin
        ChefConfig::WorkstationConfigLoader.new(nil, profile: each["profile"]).load
        settings
      rescue ChefConfig::ConfigurationError
        "refused"
      end
      write.puts JSON.generate(answer).gsub(root, "ROOT")
      exit! 0
    end
    write.close
    Process.wait(child)
    JSON.parse(read.read)
  end
})
"""


@pytest.fixture(scope="module")
def ruby(lab):
    """Return a function that runs a Ruby program in a node, JSON in and JSON out."""
    node = next(iter(lab.nodes))

    def run(program: str, given):
        done = lab.exec(
            node, ["ruby", "-e", program], input=json.dumps(given), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_chefs_own_code_verifies_our_signatures(ruby):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ours = Key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    requests, expected = [], []

    def ask(valid, method, path, body="", user="ada", now=None, header=None, **changed):
        """Sign a request, change it, and expect Chef to find its signature, its time and its content valid or not."""
        headers = sign(ours, user, method, path, body.encode(), protocol=protocol, api_version="1", now=now)
        request = {"headers": {**headers, **(header or {})}, "method": method, "path": path, "body": body}
        requests.append({**request, **{name.removesuffix("_"): value for name, value in changed.items()}})
        expected.append([user if all(valid) else None, *valid])

    good, forged = (True, True, True), (False, True, True)
    for protocol in PROTOCOLS:
        ask(good, "GET", "/organizations/acme/nodes")
        ask(good, "POST", "/search//node/", '{"name":["näme"]}', user="a" * 60)
        ask(good, "DELETE", "/")
        ask(forged, "GET", "/nodes", path_="/nodes/web1")
        ask(forged, "GET", "/nodes", method_="PUT")
        ask((False, True, False), "PUT", "/nodes", "{}", body_="{ }")
        ask((True, False, True), "GET", "/nodes", now=datetime.now(UTC) - timedelta(hours=1))
        ask(forged if protocol == "1.3" else good, "GET", "/nodes", header={"X-Ops-Server-API-Version": "2"})
    assert ruby(VERIFY, {"key": public, "requests": requests}) == expected


def credentials(*names: str, more: str = "") -> str:
    """Return a credentials file with these profiles; `more` ends the last."""
    return "".join(
        f"[{name}]\nclient_name = '{name}'\nclient_key = '{name}.key'\nchef_server_url = 'https://{name}.example'\n"
        for name in names
    ) + more


def knife_rb(name: object, more: str = "") -> str:
    """Return a config.rb of that name; its key is in ROOT/keys."""
    return f"chef_server_url 'https://{name}.example'\nnode_name '{name}'\nclient_key 'ROOT/keys/{name}'\n{more}\n"


PEM = "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n"
INLINE = f"[default]\nclient_name = 'a'\nchef_server_url = 'https://x'\nclient_key = '''\n{PEM}'''\n"
KEYS = {f"keys/{name}": f"key {name}" for name in [*range(8), "ada"]}
PLACES = {
    place: knife_rb(number) for number, place in enumerate([
        "kh/config.rb", "kh/knife.rb", "w/d/config.rb", "w/d/knife.rb", "w/.chef/config.rb", "w/.chef/knife.rb",
        "home/.chef/config.rb", "home/.chef/knife.rb",
    ])
}
PROFILES = {
    **{f"home/.chef/{name}.key": name for name in ("default", "dev", "prod", "lab")},
    "home/.chef/credentials": credentials("default", "dev", "prod", "lab"),
}
KH = {"kh/.chef/credentials": credentials("kh"), "kh/.chef/context": "kh", "kh/.chef/kh.key": "kh"}
BARE = "chef_server_url 'https://x'\nnode_name 'ada'\n"
FULL = """
current_dir = File.dirname(__FILE__)
node_name "ada"
client_key "#{current_dir}/../../keys/ada"
chef_server_url "https://chef.example/organizations/acme"
cookbook_path ["#{current_dir}/../cookbooks", "relative"]
ssl_ca_file "#{current_dir}/ca.pem"
ssl_verify_mode :verify_none
knife[:ssh_user] = "ops"
"""
MORE = "ssl_verify_mode = ':verify_none'\n[default.knife]\nssh_user = 'a'\nssh_port = 2\n"
OVER = "chef_server_url 'https://two.example'\nknife[:ssh_user] = 'b'\nssl_verify_mode :verify_peer\n"

# name: files, the --profile, the environment
CASES = {
    **{
        f"the first is {place}": (dict(list(PLACES.items())[at:]), None, {"KNIFE_HOME": "ROOT/kh"} if at < 2 else {})
        for at, place in enumerate(PLACES)
    },
    "KNIFE_HOME is home": ({**PROFILES, **KH}, None, {"KNIFE_HOME": "ROOT/kh"}),
    "KNIFE_HOME is no directory": (PROFILES, None, {"KNIFE_HOME": "ROOT/none"}),
    "CHEF_HOME is home": ({**PROFILES, "ch/.chef/config.rb": knife_rb(0)}, None, {"CHEF_HOME": "ROOT/ch"}),
    "default profile": (PROFILES, None, {}),
    "profile by flag": (PROFILES, "dev", {"CHEF_PROFILE": "prod"}),
    "profile by variable": ({**PROFILES, "home/.chef/context": "lab"}, None, {"CHEF_PROFILE": "prod"}),
    "profile by context": ({**PROFILES, "home/.chef/context": " lab\n"}, None, {}),
    "inline key": ({"home/.chef/credentials": INLINE}, None, {}),
    "an inline key stays": ({"home/.chef/credentials": INLINE, "w/d/config.rb": knife_rb(0)}, None, {}),
    "config.rb over credentials": (
        {**PROFILES, "home/.chef/credentials": credentials("default", more=MORE), "w/.chef/config.rb": OVER}, None, {},
    ),
    "config.d over config.rb": ({
        "w/.chef/config.rb": knife_rb(0), "w/.chef/config.d/b.rb": "node_name 'b'",
        "w/.chef/config.d/a.rb": "node_name 'a'", "w/.chef/config.d/.c.rb": "node_name 'c'",
        "home/.chef/config.d/d.rb": "node_name 'd'",
    }, None, {}),
    "config.d alone": ({"home/.chef/config.d/a.rb": knife_rb(0)}, None, {}),
    "config.d elsewhere": ({"w/d/knife.rb": knife_rb(0, "config_d_dir 'ROOT/e'"), "e/a.rb": "node_name 'e'"}, None, {}),
    "everything": ({
        "w/.chef/config.rb": FULL, "w/.chef/trusted_certs/a.crt": "", "w/.chef/trusted_certs/b.pem": "",
        "w/.chef/trusted_certs/c.txt": "",
    }, None, {}),
    "key by name, beside config.rb": (
        {"w/.chef/config.rb": BARE, "w/.chef/ada.pem": "1", "home/.chef/ada.pem": "2", "w/.chef/user.pem": "3"},
        None, {},
    ),
    "key by name, at home": (
        {"w/.chef/config.rb": BARE, "home/.chef/ada.pem": "2", "w/.chef/user.pem": "3"}, None, {},
    ),
    "knife as a table": (
        {"w/d/config.rb": knife_rb(0, "knife[:x] = 1\nknife({ ssh_user: 'b' })\nknife[:y] = 2\n")}, None, {},
    ),
    "user.pem": ({"w/.chef/config.rb": BARE, "home/.chef/user.pem": "4"}, None, {}),
    "refused: unknown profile": (PROFILES, "none", {}),
    "refused: two names": ({"home/.chef/credentials": "[default]\nnode_name='a'\nclient_name='b'\n"}, None, {}),
    "refused: no TOML": ({"home/.chef/credentials": "[default\n"}, None, {}),
    "refused: no URL": ({"w/d/config.rb": "chef_server_url 'x'"}, None, {}),
    "refused: no Ruby": ({"w/d/config.rb": "node_name ["}, None, {}),
}


# What only ruby can read.
COMPUTED = """
require "json"
url = %w{dev prod}.include?(ENV["STAGE"]) ? "https://#{ENV["STAGE"]}.example" : "https://x"
chef_server_url url
node_name JSON.parse('["ada"]').first
client_key File.expand_path("../../../keys/#{node_name}", __FILE__)
knife[:ssh_port] = 22 + 1 if url.end_with?("example")
knife({ ssh_user: "ops" })
"""
RUBY_CASES = {
    "computed": ({"w/d/config.rb": COMPUTED}, None, {"STAGE": "prod"}),
    "refused: raise": ({"w/d/config.rb": f"{BARE}raise 'no key today'\n"}, None, {}),
    "refused: exit": ({"w/d/config.rb": f"{BARE}exit 3\n"}, None, {}),
}


@pytest.fixture(scope="module")
def cases():
    return {
        name: {
            "files": {"home/.chef/here": "", **KEYS, **files}, "profile": profile, "cwd": "w/d",
            "env": {"HOME": "ROOT/home", **env},
        }
        for name, (files, profile, env) in (CASES | RUBY_CASES).items()
    }


@pytest.fixture(scope="module")
def theirs(ruby, cases):
    """What Chef's own loader makes of every case."""
    found = dict(zip(cases, ruby(LOAD, list(cases.values())), strict=True))
    assert {name for name, said in found.items() if said == "refused"} == {
        name for name in cases if name.startswith("refused")
    }
    return found


@pytest.fixture(scope="module")
def roots(lab, cases, tmp_path_factory):
    """Put every case's files into a directory of its own, here and in the node under the same name."""
    place = tmp_path_factory.mktemp("settings")
    roots = {name: place / str(number) for number, name in enumerate(cases)}
    for name, case in cases.items():
        for path, text in case["files"].items():
            (roots[name] / path).parent.mkdir(parents=True, exist_ok=True)
            (roots[name] / path).write_text(text.replace("ROOT", str(roots[name])))
        (roots[name] / case["cwd"]).mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(["tar", "-cC", "/", str(place).lstrip("/")], capture_output=True, check=True).stdout
    node = next(iter(lab.nodes))
    lab.exec(node, ["tar", "-xC", "/"], input=packed, check=True)
    yield roots
    lab.exec(node, ["rm", "-rf", str(place)], check=True)


@pytest.fixture(scope="module")
def rubys_path(lab, tmp_path_factory):
    """Return a directory whose `ruby` is the node's own, for a machine that has none."""
    place = tmp_path_factory.mktemp("bin")
    pid = (next(iter(lab.nodes.values())).identity / "pid").read_text().strip()
    inside = 'PATH=/usr/bin:/bin; export PATH; cd "$1" && exec ruby -e "$2"'
    enter = [shutil.which("nsenter"), "--target", pid, "--mount", "--uts", "--ipc", "--net", "--pid"]
    command = shell.join([*enter, "/bin/sh", "-c", inside, "sh"])
    (place / "ruby").write_text(f'#!/bin/sh\nexec {command} "$PWD" "$({shutil.which("cat")} "$1")"\n')
    (place / "ruby").chmod(0o755)
    return place


def loaded(case: dict, root: Path, path: Path) -> dict | str:
    """Return what fleet.chef.config makes of a case, in the words of LOAD; `path` is all there is on PATH."""
    env = {name: value.replace("ROOT", str(root)) for name, value in case["env"].items()}
    try:
        found = config.load(case["profile"], cwd=root / case["cwd"], env={"PATH": str(path), **env})
    except SettingsError:
        return "refused"
    said = {
        "url": found.server_url, "name": found.client_name, "key": found.client_key, "knife": found.knife,
        "ca_file": found.ssl_ca_file, "verify": found.ssl_verify, "cookbooks": found.cookbook_path,
        "trusted": found.trusted_certs,
    }
    return json.loads(json.dumps(said, default=str).replace(str(root), "ROOT"))


def test_settings_read_without_ruby_are_those_of_chefs_own_loader(cases, theirs, roots, monkeypatch):
    monkeypatch.setattr(config_rb, "_EMBEDDED", ())
    ours = {name: loaded(cases[name], roots[name], roots[name] / "none") for name in CASES}
    assert ours == {name: theirs[name] for name in CASES}


def test_settings_evaluated_by_ruby_are_those_of_chefs_own_loader(cases, theirs, roots, rubys_path):
    assert {name: loaded(cases[name], roots[name], rubys_path) for name in cases} == theirs


def evaluated(lab, tmp_path, text: str) -> tuple[dict, str]:
    """Run the evaluator itself in a node on one config.rb; return its answer, and what it printed beside it."""
    name, file = next(iter(lab.nodes)), f"/root/{tmp_path.name}.rb"
    lab.exec(name, ["tee", file], input=text, text=True, stdout=subprocess.DEVNULL, check=True)
    done = lab.exec(
        name, ["ruby", "-e", config_rb.EVALUATOR.read_text()], capture_output=True, text=True, check=True,
        input=json.dumps({"files": [file], "directory": None, "settings": {"node_name": "ada", "knife": {"a": 1}}}),
    )
    lab.exec(name, ["rm", file], check=True)
    return json.loads(done.stdout), done.stderr


def test_the_evaluator_knows_chefs_own_constant_and_lets_a_file_print(lab, tmp_path):
    text = """
puts "reading"
Chef::Config[:client_key] = "/keys/#{ChefConfig::Config[:node_name]}.pem"
Chef::Config.log_level = :info
knife[:b] = { deep: [nil, 1.5, :word] }
"""
    answer, printed = evaluated(lab, tmp_path, text)
    assert printed == "reading\n"
    said = answer["settings"]
    assert (said["client_key"], said["log_level"], said["node_name"]) == ("/keys/ada.pem", "info", "ada")
    assert said["knife"] == {"a": 1, "b": {"deep": [None, 1.5, "word"]}}


@pytest.mark.parametrize(("text", "error", "line"), [
    ("a 1\nb 2\nraise ArgumentError, 'no key today'\n", "ArgumentError: no key today", "3"),
    ("a 1\nrequire 'no/such/file'\n", "LoadError: cannot load such file -- no/such/file", "2"),
    ("a 1\nexit 3\n", "SystemExit: exit", "2"),
    ("a [\n", "SyntaxError:", "1"),
])
def test_an_error_of_the_evaluator_names_its_line(lab, tmp_path, text, error, line):
    answer, _ = evaluated(lab, tmp_path, text)
    assert answer["error"].startswith(error)
    assert (answer["file"], answer["line"]) == (f"/root/{tmp_path.name}.rb", line)
