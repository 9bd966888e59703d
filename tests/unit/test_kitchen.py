"""kitchen.yml and kitchen.dokken.yml are YAML and name what is there. Needs no Test Kitchen: what it reads is read."""

from pathlib import Path

import pytest
from invoke.util import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["kitchen.yml", "kitchen.dokken.yml"])
def test_it_converges_the_cookbook_and_verifies_with_our_checks(name):
    kitchen = yaml.safe_load((ROOT / name).read_text())
    assert kitchen["verifier"] == {"name": "shell", "command": "tests/infra/run"}
    assert (ROOT / "tests" / "infra" / "run").stat().st_mode & 0o111
    assert [suite["run_list"] for suite in kitchen["suites"]] == [["recipe[openssl_patch]"]]
    assert len({platform["name"] for platform in kitchen["platforms"]}) == len(kitchen["platforms"]) > 2


@pytest.mark.parametrize("name", ["kitchen.yml", "kitchen.dokken.yml"])
def test_a_second_converge_finds_its_package_lists_fresh_however_long_the_first_took(name):
    suites = yaml.safe_load((ROOT / name).read_text())["suites"]
    assert [suite["attributes"] for suite in suites] == [{"openssl_patch": {"refresh_seconds": 86_400}}]
    attributes = (ROOT / "cookbooks" / "openssl_patch" / "attributes" / "default.rb").read_text()
    assert "default['openssl_patch']['refresh_seconds'] = " in attributes


def test_virtual_machines_run_chef_and_containers_run_dokken():
    drivers = {name: yaml.safe_load((ROOT / name).read_text()) for name in ("kitchen.yml", "kitchen.dokken.yml")}
    assert drivers["kitchen.yml"]["provisioner"]["name"] == "chef_infra"
    assert drivers["kitchen.dokken.yml"]["driver"]["name"] == "dokken"
