"""A cookbook on disk becomes the manifest its server wants, whatever API that speaks."""

import hashlib
import json

import pytest

from fleet.chef import cookbook_files
from fleet.errors import SettingsError

METADATA = """
name 'openssl_patch'
version '1.2.3'
chef_version '>= 15.3', '< 20'
supports 'debian'
supports 'redhat', '>= 6'
"""
FILES = {
    "metadata.rb": METADATA, "README.md": "# Read", "attributes/default.rb": "a", "recipes/default.rb": "r",
    "recipes/verify.rb": "v",
    "files/probe.sh": "#!/bin/sh", "files/default/a.txt": "a", "files/debian-12/a.txt": "d", "templates/x.erb": "x",
    "templates/default/deep/y.erb": "y", "libraries/helper.rb": "h", "resources/thing.rb": "t",
}


@pytest.fixture
def book(tmp_path):
    """Return a function that writes the files of a cookbook and returns its directory."""

    def write(files: dict = FILES):
        for path, text in files.items():
            (tmp_path / "book" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "book" / path).write_text(text)
        return tmp_path / "book"

    return write


def test_the_manifest_of_api_0_and_1(book):
    loaded = cookbook_files.load(book())
    for version in ("0", "1"):
        manifest = loaded.manifest(version)
        assert "all_files" not in manifest
        assert {
            "name": "openssl_patch-1.2.3", "cookbook_name": "openssl_patch", "version": "1.2.3", "frozen?": True,
            "json_class": "Chef::CookbookVersion", "chef_type": "cookbook_version",
        }.items() <= manifest.items()
        segments = {name: value for name, value in manifest.items() if isinstance(value, list)}
        assert set(segments) == {
            "recipes", "attributes", "libraries", "resources", "providers", "templates", "files", "definitions",
            "root_files",
        }
        assert {each["path"]: (each["name"], each["specificity"]) for each in segments["files"]} == {
            "files/probe.sh": ("probe.sh", "root_default"), "files/default/a.txt": ("a.txt", "default"),
            "files/debian-12/a.txt": ("a.txt", "debian-12"),
        }
        assert {each["path"]: (each["name"], each["specificity"]) for each in segments["templates"]} == {
            "templates/x.erb": ("x.erb", "root_default"), "templates/default/deep/y.erb": ("y.erb", "default"),
        }
        assert {each["name"] for each in segments["root_files"]} == {"metadata.json", "metadata.rb", "README.md"}
        assert segments["recipes"][0] == {
            "name": "default.rb", "path": "recipes/default.rb", "specificity": "default",
            "checksum": hashlib.md5(b"r", usedforsecurity=False).hexdigest(),
        }


def test_the_manifest_of_api_2(book):
    manifest = cookbook_files.load(book()).manifest("2")
    assert set(manifest) == {
        "name", "cookbook_name", "version", "json_class", "chef_type", "frozen?", "metadata", "all_files",
    }, "a Chef Infra Server refuses keys it does not know"
    names = {each["path"]: each["name"] for each in manifest["all_files"]}
    assert names["recipes/default.rb"] == "recipes/default.rb"
    assert names["files/debian-12/a.txt"] == "files/a.txt"
    assert names["metadata.json"] == "root_files/metadata.json"
    assert set(names) == {*FILES, "metadata.json"}


def test_the_sha256_is_of_paths_and_contents_and_nothing_else(book):
    before = cookbook_files.load(book()).sha256
    path = book()
    path.rename(path.with_name("moved"))
    (path.with_name("moved") / "README.md").touch()
    assert cookbook_files.load(path.with_name("moved")).sha256 == before
    others = [{"README.md": "# Red"}, {"README2.md": ""}, {"recipes/default.rb": "", "recipes/default.rbr": ""}]
    assert len({before, *(cookbook_files.load(book({**FILES, **changed})).sha256 for changed in others)}) == 4


def test_metadata_json_is_compiled_as_knife_does(book):
    loaded = cookbook_files.load(book())
    compiled = json.loads(loaded.files["metadata.json"])
    assert compiled == loaded.metadata
    assert compiled["platforms"] == {"debian": ">= 0.0.0", "redhat": ">= 6"}
    assert compiled["chef_versions"] == [["< 20", ">= 15.3"]]
    assert compiled["recipes"] == {"openssl_patch": "", "openssl_patch::verify": ""}
    assert compiled["providing"] == {"openssl_patch": ">= 0.0.0", "openssl_patch::verify": ">= 0.0.0"}
    assert None not in compiled.values()
    assert compiled["license"] == "All rights reserved"


def test_a_metadata_json_of_the_cookbooks_own_is_kept(book):
    text = '{"name": "a", "version": "1.0", "license": null, "recipes": {"a::x": "does x"}}'
    loaded = cookbook_files.load(book({"metadata.json": text, "recipes/x.rb": "x"}))
    assert loaded.files["metadata.json"] == text.encode()
    assert (loaded.version, loaded.metadata["recipes"]) == ("1.0.0", {"a::x": "does x"})
    assert "license" not in loaded.metadata, "a server refuses null where it wants text"


@pytest.mark.parametrize("where", ["book", "."])
def test_chefignore_is_honoured(book, tmp_path, where):
    path = book({
        **FILES, "recipes/default.rb~": "", "files/deep/er/x.swp": "", "test/integration/a.rb": "", "spec/a.rb": "",
        ".kitchen/logs/x": "", ".git/config": "", ".rubocop.yml": "", "templates/.hidden.swp": "", "Berksfile": "",
    })
    (tmp_path / where / "chefignore").write_text("# editors\n*~\n*.swp\n\n  Berksfile  \n.rubocop.yml\nchefignore\n")
    assert set(cookbook_files.load(path).files) == {*FILES, "metadata.json"}


def test_no_wildcard_of_chefignore_takes_a_dot_at_the_beginning(book):
    path = book({**FILES, ".foodcritic": "", "chefignore": "*\n!x"})
    assert cookbook_files.paths(path) == [".foodcritic"]


@pytest.mark.parametrize(("files", "said"), [
    ({"recipes/default.rb": ""}, "has neither metadata.rb nor metadata.json"),
    ({"metadata.rb": "version '1.0.0'"}, r"metadata.rb has no usable name"),
    ({"metadata.rb": "name 'a/b'"}, r"metadata.rb has no usable name"),
    ({"metadata.rb": "name 'a'\nversion '1.0.0.0'"}, r"metadata.rb has the version '1.0.0.0': it must be x.y or x.y.z"),
    ({"metadata.rb": "name 'a'\nversion '1.0-beta'"}, "has the version"),
    ({"metadata.rb": "name 'a'\n\nversion File.read('V')"}, r"metadata.rb line 3 is more Ruby than can be read"),
    ({"metadata.rb": "name 'a'\nflavour 'b'"}, r"metadata.rb line 2: flavour with 1 values is not known here"),
    ({"metadata.rb": "name 'a'\nsupports %w(a b)"}, r"metadata.rb line 2: supports is not set in a way"),
    ({"metadata.json": "{"}, r"metadata.json is not readable as JSON"),
    ({"metadata.json": "[]"}, r"metadata.json is not a JSON object"),
])
def test_what_is_no_cookbook_is_named_with_file_line_and_reason(book, files, said):
    with pytest.raises(SettingsError, match=said) as refused:
        cookbook_files.load(book(files))
    assert "book" in str(refused.value)


def test_no_directory_and_no_text(tmp_path, book):
    with pytest.raises(SettingsError, match=r"there is no cookbook at .*none: render it first"):
        cookbook_files.load(tmp_path / "none")
    path = book()
    (path / "metadata.rb").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"metadata\.rb is not UTF-8 text"):
        cookbook_files.load(path)
    (path / "recipes/gone.rb").symlink_to("/proc/self/mem")
    with pytest.raises(SettingsError, match=r"gone\.rb cannot be read"):
        cookbook_files.load(path)
