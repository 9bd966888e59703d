"""What somebody else could have written is not run: a config.rb by Ruby, an ssh_config by its ProxyCommand."""

import os
import re
import shutil
from pathlib import Path

import pytest

from fleet.chef import config, config_rb
from fleet.errors import SettingsError

URL = "https://chef.example/organizations/acme"
RUBY = shutil.which("ruby")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


@pytest.fixture(params=["subset", "ruby"])
def load(request, tmp_path, monkeypatch):
    """Return a function that loads the settings in tmp_path/a/b, without ruby and with it."""
    if request.param == "ruby" and not RUBY:
        pytest.skip("there is no ruby here to evaluate a config.rb")
    monkeypatch.setattr(config_rb, "_EMBEDDED", ())
    (tmp_path / "key.pem").write_text("KEY")
    path = str(Path(RUBY).parent) if request.param == "ruby" else "/nonexistent"
    return lambda: config.load(cwd=tmp_path / "a/b", env={"HOME": str(tmp_path / "home"), "PATH": path})


def write(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def settings(place: Path) -> str:
    return f"chef_server_url '{URL}'\nclient_key '{place}/key.pem'\nknife[:ssh_config] = '{place}/ssh/config'\n"


@pytest.mark.parametrize(("planted", "config_rb"), [
    ("a/.chef/config.rb", "a/.chef/config.rb"), ("a/.chef", "a/.chef/config.rb"),
    ("a/.chef/knife.rb", "a/.chef/knife.rb"), ("a/b/config.rb", "a/b/config.rb"), ("a/b", "a/b/config.rb"),
    ("a/.chef/config.d/1.rb", "a/.chef/config.rb"), ("a/.chef/config.d", "a/.chef/config.rb"),
    ("more/1.rb", "a/.chef/config.rb"), ("more", "a/.chef/config.rb"),
    ("ssh/config", "a/.chef/config.rb"), ("ssh", "a/.chef/config.rb"), ("home/.chef/config.d/1.rb", None),
])
@pytest.mark.parametrize("fault", ["group", "everybody", pytest.param("owner", marks=as_root)])
def test_what_others_could_have_written_is_named_and_not_read(load, tmp_path, planted, config_rb, fault):
    (tmp_path / "a/b").mkdir(parents=True)
    write(tmp_path / "ssh/config", "Host *\n")
    if config_rb:
        more = f"config_d_dir '{tmp_path}/more'\n" if planted.startswith("more") else ""
        write(tmp_path / config_rb, settings(tmp_path) + more)
    if ".d/" in planted or planted.endswith(".d") or planted.startswith("more"):
        file = planted if planted.endswith(".rb") else f"{planted}/1.rb"
        write(tmp_path / file, f"File.write('{tmp_path}/ran', '')")
    path = tmp_path / planted
    if fault == "owner":
        os.chown(path, 65_534, -1)
    else:
        path.chmod(path.stat().st_mode | (0o020 if fault == "group" else 0o002))
    with pytest.raises(SettingsError, match=rf"^{re.escape(str(path))} .* and not read: .*chown it and chmod") as said:
        load()
    assert bool(re.search(r" is (nobody|user 65534)'s ", str(said.value))) == (fault == "owner")
    assert not (tmp_path / "ran").exists()


def test_below_a_directory_that_all_may_write_to_ours_is_read(load, tmp_path):
    """As in /tmp: what counts is whose the file and its own directory are, and links of ours may lead to them."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a").chmod(0o1777)
    write(tmp_path / "real/config.rb", settings(tmp_path))
    (tmp_path / "a/.chef").symlink_to(tmp_path / "real")
    assert load().server_url == URL
    (tmp_path / "real").chmod(0o777)
    said = rf"^{tmp_path}/real \(for {tmp_path}/a/.chef/config.rb\) is .*'s with mode 0777 and not read"
    with pytest.raises(SettingsError, match=said):
        load()


@as_root
def test_somebody_elses_link_to_our_files_is_not_followed(load, tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    write(tmp_path / "real/config.rb", settings(tmp_path))
    (tmp_path / "a/.chef").symlink_to(tmp_path / "real")
    os.chown(tmp_path / "a/.chef", 65_534, -1, follow_symlinks=False)
    with pytest.raises(SettingsError, match=rf"^{tmp_path}/a/.chef \(for {tmp_path}/a/.chef/config.rb\) is "):
        load()
