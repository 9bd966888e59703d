"""The cookbook: the same input the same bytes, other content another version, all or nothing, values as literals."""

import re
import shutil
from pathlib import Path

import pytest

from fleet.chef import cookbook_files
from generator import advisory, platforms, render
from generator.errors import RenderError
from generator.ruby import literal

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def heartbleed():
    return advisory.load(["CVE-2014-0160"])


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_committed_cookbook_is_what_the_templates_give(heartbleed, tmp_path):
    committed = ROOT / "cookbooks" / "openssl_patch"
    copy = tmp_path / "openssl_patch"
    shutil.copytree(committed, copy)
    done = render.cookbook(heartbleed, copy)
    assert not done.changed, "run `invoke render` and commit what it writes"
    assert content(copy) == content(committed)


def test_rendering_twice_changes_nothing(heartbleed, tmp_path):
    path = tmp_path / "openssl_patch"
    first = render.cookbook(heartbleed, path)
    assert (first.version, first.changed) == ("1.0.0", True)
    before = {each: (each.stat().st_ino, each.stat().st_mtime_ns) for each in path.rglob("*")}
    second = render.cookbook(heartbleed, path)
    assert (second.version, second.changed) == ("1.0.0", False)
    assert {each: (each.stat().st_ino, each.stat().st_mtime_ns) for each in path.rglob("*")} == before
    assert [each.name for each in tmp_path.iterdir()] == ["openssl_patch"]


def test_changed_content_raises_the_version_and_says_so(heartbleed, tmp_path):
    path = tmp_path / "openssl_patch"
    render.cookbook(heartbleed, path)
    (path / "recipes" / "default.rb").write_text("# edited by hand\n")
    assert render.cookbook(heartbleed, path).version == "1.0.1"
    assert "edited by hand" not in (path / "recipes" / "default.rb").read_text()
    (path / "files" / "probe.sh").write_text("")
    assert render.cookbook(heartbleed, path).version == "1.0.2"
    headings = re.findall(r"^## (.*)$", (path / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings == ["1.0.2", "1.0.1", "1.0.0"]
    assert "version '1.0.2'" in (path / "metadata.rb").read_text()
    assert not render.cookbook(heartbleed, path).changed


@pytest.mark.parametrize("template", ["{{ nothing_of_that_name }}", "{% if %}", "{{ services | no_such_filter }}"])
def test_a_failing_template_leaves_the_old_cookbook_whole(heartbleed, tmp_path, monkeypatch, template):
    path = tmp_path / "openssl_patch"
    render.cookbook(heartbleed, path)
    before = content(path)
    templates = tmp_path / "templates"
    shutil.copytree(render.TEMPLATES, templates)
    (templates / "recipes" / "other.rb.j2").write_text(template)
    monkeypatch.setattr(render, "TEMPLATES", templates)
    with pytest.raises(RenderError, match=r"the template recipes/other\.rb\.j2 .*cannot be rendered"):
        render.cookbook(heartbleed, path)
    assert content(path) == before


def test_a_full_disk_leaves_the_old_cookbook_whole(heartbleed, tmp_path, monkeypatch):
    path = tmp_path / "openssl_patch"
    render.cookbook(heartbleed, path)
    (path / "recipes" / "default.rb").write_text("# old\n")
    before = content(path)
    really = render.os.rename

    def full(source, target):
        if target == path and source.name == "new":
            raise OSError(28, "No space left on device", str(target))
        really(source, target)

    monkeypatch.setattr(render.os, "rename", full)
    with pytest.raises(RenderError, match="No space left"):
        render.cookbook(heartbleed, path)
    assert content(path) == before
    assert [each.name for each in tmp_path.iterdir()] == ["openssl_patch"]


def test_somebody_elses_directory_is_left_alone(heartbleed, tmp_path):
    (tmp_path / "metadata.rb").write_text("name 'nginx'\nversion '1.0.0'\n")
    with pytest.raises(RenderError, match="something else"):
        render.cookbook(heartbleed, tmp_path)
    assert content(tmp_path) == {"metadata.rb": b"name 'nginx'\nversion '1.0.0'\n"}


@pytest.mark.parametrize("name", ["recipes/stray.rb", ".git/config", "spec/unit/mine_spec.rb"])
def test_what_rendering_would_remove_stops_it(heartbleed, tmp_path, name):
    path = tmp_path / "openssl_patch"
    render.cookbook(heartbleed, path)
    (path / "recipes" / "default.rb").write_text("# old\n")
    (path / name).parent.mkdir(parents=True, exist_ok=True)
    (path / name).write_text("mine\n")
    before = content(path)
    with pytest.raises(RenderError, match=re.escape(f"holds what rendering would remove ({name})")):
        render.cookbook(heartbleed, path)
    assert content(path) == before


def test_a_cookbook_of_the_same_name_by_somebody_else_is_left_alone(heartbleed, tmp_path):
    metadata = "name 'openssl_patch'\nmaintainer 'ops'\nversion '3.2.1'\n"
    (tmp_path / "metadata.rb").write_text(metadata)
    with pytest.raises(RenderError, match="something else"):
        render.cookbook(heartbleed, tmp_path)
    assert content(tmp_path) == {"metadata.rb": metadata.encode()}


def test_a_version_goes_above_the_one_given(heartbleed, tmp_path):
    path = tmp_path / "openssl_patch"
    assert render.cookbook(heartbleed, path, above="1.0.9").version == "1.0.10"
    assert render.cookbook(heartbleed, path, above="1.0.9") == render.Rendered("openssl_patch", "1.0.10", path, False)
    assert render.cookbook(heartbleed, path, above="1.0.10").version == "1.0.11"
    assert render.cookbook(heartbleed, path, above="2.1").version == "2.1.1"
    headings = re.findall(r"^## (.*)$", (path / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings == ["2.1.1", "1.0.11", "1.0.10"]


def test_a_node_gets_what_it_needs_of_the_cookbook_and_no_more(heartbleed, tmp_path):
    path = render.cookbook(heartbleed, tmp_path / "openssl_patch").path
    uploaded = cookbook_files.load(path)
    assert {"recipes/default.rb", "recipes/report.rb", "resources/default.rb", "files/probe.sh"} <= {*uploaded.files}
    at_home = {each for each in content(path) if each.startswith(("spec/", "documentation/"))}
    at_home |= {".rspec", ".rubocop.yml", "Policyfile.rb", "chefignore"}
    assert content(path).keys() - uploaded.files.keys() == at_home
    assert uploaded.metadata["recipes"] == {"openssl_patch": "", "openssl_patch::report": ""}
    assert {"debian", "ubuntu", "redhat", "centos", "fedora", "amazon", "rocky", "almalinux", "oracle"} <= set(
        uploaded.metadata["platforms"])
    assert uploaded.metadata["chef_versions"] == [[">= 15.3"]]
    assert all(uploaded.metadata[url].startswith("https://") for url in ("source_url", "issues_url"))


def test_the_resources_page_has_every_property_and_action():
    resource = (render.TEMPLATES / "resources" / "default.rb").read_text()
    page = (render.TEMPLATES / "documentation" / "openssl_patch.md.j2").read_text()
    properties = re.findall(r"^property :(\w+)", resource, re.MULTILINE)
    table = page.partition("## Properties")[2].partition("###")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == properties
    assert re.findall(r"^\| `:(\w+)` \|", page, re.MULTILINE) == re.findall(r"^action :(\w+)", resource, re.MULTILINE)
    declared = resource.split("\nproperty ")[1:]
    assert [each.split(",")[0] for each in declared if " description: " not in each or " default: " not in each] == []
    assert [each.split(",")[0] for each in declared if "callbacks: {" not in each and "equal_to: " not in each] == []


def test_every_value_in_ruby_goes_through_the_filter():
    templates = list(render.TEMPLATES.rglob("*.rb.j2"))
    assert templates
    for path in templates:
        values = re.findall(r"\{\{(.*?)\}\}", path.read_text())
        assert values
        assert [value for value in values if not value.strip().endswith("| ruby")] == []


def test_the_cookbook_knows_the_packages_of_every_release_that_an_advisory_can_name():
    releases = [platforms.Release("debian", name) for name in platforms.CODENAMES.values()]
    releases += [platforms.Release("ubuntu", f"{year}.04") for year in range(10, 27)]
    releases += [platforms.Release("rhel", str(major)) for major in range(5, 11)]
    releases += [platforms.Release("amazon", name) for name in ("1", "2", "2023")]
    for release in releases:
        family = {"ubuntu": "debian"}.get(release.distro, release.distro)
        assert set(platforms.binary_packages(release, "openssl")) <= set(platforms.PACKAGES[family]), release
    assert set(platforms.PACKAGES) == set(platforms.FAMILY.values()) - {"alpine"}  # the cookbook knows no apk
    assert all(platforms.is_openssl(name) for names in platforms.PACKAGES.values() for name in names)


@pytest.mark.parametrize(("value", "ruby"), [
    (None, "nil"), (True, "true"), (False, "false"), (7, "7"), ("plain", "'plain'"), ("it's", r"'it\'s'"),
    ("back\\slash", r"'back\\slash'"), ('a"; system("id"); "', "'a\"; system(\"id\"); \"'"), ("#{id}", "'#{id}'"),
    (["libssl3", "/usr/sbin/sshd", "-t"], "%w(libssl3 /usr/sbin/sshd -t)"), (["one"], "['one']"),
    (["a", "b) + system('id') + %w(c"], r"['a', 'b) + system(\'id\') + %w(c']"), (["a", ""], "['a', '']"),
    ("\\'; id; '", "'\\\\\\'; id; \\''"), ([], "[]"), (("a", 1), "['a', 1]"), ({}, "{}"),
    ({"a": [True]}, "{ 'a' => [true] }"),
])
def test_literals(value, ruby):
    assert literal(value) == ruby


@pytest.mark.parametrize("value", ["\0", "\ud800", 1.5, {"a": object()}])
def test_what_has_no_literal_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        literal(value)


