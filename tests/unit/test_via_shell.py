"""`patch --via shell`: how the script is started, and what its exit codes mean beside its result."""

import pytest

from fleet import local_mode, plan, via_shell
from fleet.errors import SettingsError
from fleet.node import Node
from fleet.settings import Settings, load
from generator import advisory


class Said:
    def __init__(self, status):
        self.status = status


@pytest.mark.parametrize(("ended", "result", "code"), [
    (0, Said("success"), 0), (2, Said("success"), 0), (4, Said("success"), 0), (2, Said("failure"), 2), (2, None, 2),
    (4, None, 4), (1, Said("success"), 1), (137, Said("success"), 137),
])
def test_only_what_a_run_may_leave_is_no_failure(ended, result, code):
    assert via_shell.code(ended, result) == code


def test_the_node_is_named_and_the_program_comes_by_standard_input():
    words = via_shell.words("web1", 30)
    assert words[:2] == ["sh", "-c"]
    assert words[-3:] == ["30", "--node", "web1"]
    assert b"CVE-2014-0160" in via_shell.script(advisory.load(["CVE-2014-0160"]))


def test_a_run_list_and_a_script_exclude_each_other():
    assert load({"env": "production", "via": "shell"}).via == "shell"
    with pytest.raises(SettingsError, match="--full-run"):
        load({"env": "production", "via": "shell", "full_run": True})
    with pytest.raises(SettingsError, match="--via is chef or shell"):
        load({"env": "production", "via": "salt"})


def test_a_policy_concerns_chef_client_alone():
    node = Node("web1", "production", "10.0.0.1", "debian", "7.11", {"openssl": "1.0.1e-2+deb7u4"}, policy_name="base")
    settings = {via: Settings(env="production", via=via) for via in ("chef", "shell")}
    assert local_mode.wanted(node, settings["chef"])
    assert not local_mode.wanted(node, settings["shell"])
    for each in settings.values():
        assert plan.make([node], advisory.load(["CVE-2014-0160"]), each).asked == (node,)
