"""One look at a node: really asked of a shell here, and never believed where it is not whole."""

import json
import os
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import look
from fleet.errors import NodeError
from fleet.text import clean
from generator.errors import ProbeError

HEAD = "styptic-look 1\nuid\t0\nclock\t1700000000\nclient\t/usr/bin/chef-client\n"
PACKAGES = "package\tdpkg\tlibssl3\t3.0.15-1\tinstall ok installed\npackages\tdpkg\n"
STALE = "stale\t7\tservice\tnginx\troot\t/usr/lib/libssl.so.3\tnginx: master process\n"
WHOLE = HEAD + PACKAGES + "styptic-probe 1\n" + STALE + "unread\t2\nend\n"
RESULT = {
    "format": 1, "status": "success", "error": None, "cookbook_version": "1.0.0", "started": "2026-01-02T03:04:05Z",
    "stale_before": [{"pid": "7", "kind": "service", "command": "nginx", "service": "nginx", "library": "/l.so"}],
    "reloaded": ["nginx"], "restarted": ["nginx"], "reexecuted": True,
    "not_touched": [{"service": "", "command": "kill 8"}],
}


def result(**changes) -> bytes:
    return json.dumps(RESULT | changes).encode()


def test_a_real_shell_gives_a_whole_answer():
    started = int(time.time())
    done = subprocess.run(["sh", "-s"], input=look.script(), capture_output=True, timeout=60, check=True)
    found = look.parse(done.stdout)
    assert found.uid == os.getuid()
    assert started <= found.clock <= time.time()
    assert found.unread >= 0


def test_everything_is_read():
    found = look.parse(WHOLE.encode())
    assert (found.uid, found.clock, found.client, found.unread) == (0, 1_700_000_000, "/usr/bin/chef-client", 2)
    assert found.packages == {"libssl3": "3.0.15-1"}
    assert found.stale == ({
        "pid": 7, "kind": "service", "command": "nginx: master process", "service": "nginx",
        "library": "/usr/lib/libssl.so.3",
    },)
    assert found.counted == found.stale


def test_sessions_and_the_one_who_asks_do_not_count():
    lines = [STALE.replace("service\tnginx", f"{kind}\t") for kind in ("session", "own", "init", "orphan")]
    answer = WHOLE.replace(STALE, "".join(lines))
    found = look.parse(answer.encode())
    assert [each["kind"] for each in found.stale] == ["session", "init", "orphan"], "a login is listed"
    assert [each["kind"] for each in found.counted] == ["init", "orphan"]


def test_the_advisories_libraries_are_what_the_probe_looks_for():
    assert b"PROBE_LIBRARIES='liblzma libssl'" in look.script(["liblzma", "libssl"])


def test_a_node_without_chef_client_says_none():
    assert look.parse(WHOLE.replace("client\t/usr/bin/chef-client\n", "").encode()).client is None


def test_what_stands_before_the_answer_is_passed_over():
    banner = "Welcome\nuid\t0\nclock\t1\npackage\tdpkg\topenssl\t9\tinstall ok installed\n"
    assert look.parse((banner + WHOLE).encode()) == look.parse(WHOLE.encode())


@given(st.integers(0, len(WHOLE) - 2))
def test_an_answer_cut_short_is_never_believed(length):
    with pytest.raises(ProbeError):
        look.parse(WHOLE[:length].encode())


@given(st.binary(max_size=300))
def test_any_answer_is_read_or_refused(noise):
    for answer in (noise, HEAD.encode() + noise, HEAD.encode() + PACKAGES.encode() + b"styptic-probe 1\n" + noise):
        with pytest.raises(ProbeError) as caught:
            look.parse(answer)
        assert clean(str(caught.value), 2000) == str(caught.value)


@pytest.mark.parametrize("uid", ["", "root", "9" * 5000])
def test_a_user_that_is_no_number_is_refused(uid):
    with pytest.raises(ProbeError, match="did not say its user and its clock"):
        look.parse(WHOLE.replace("uid\t0", f"uid\t{uid}").encode())


def test_a_hostile_command_name_is_cleaned():
    answer = WHOLE.replace("nginx: master process", "\x1b]0;root\x07" + "x" * 10_000)
    (process,) = look.parse(answer.encode()).stale
    assert process["command"].startswith("?]0;root?xxx")
    assert len(process["command"]) == 300


def converge(tmp_path, client: str | None, how: str):
    """Run the converge's program with `client` for chef-client, made up here: what matters is how it is called."""
    if client:
        (tmp_path / "chef-client").write_text(f"#!/bin/sh\n{client}\n")
        (tmp_path / "chef-client").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["sh", "-c", look.CONVERGE, "sh", "600", how]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_the_recipe_alone_or_the_whole_run_list(tmp_path):
    client = 'for word; do printf "<%s>" "$word"; done; printf oops >&2; exit 35'
    done = converge(tmp_path, client, "only")
    assert done.stdout == "<--once><--no-color><--run-lock-timeout><600><-o><recipe[openssl_patch]>oops"
    assert (done.returncode, done.stderr) == (35, "")
    assert converge(tmp_path, client, "full").stdout == "<--once><--no-color><--run-lock-timeout><600>oops"


def test_a_node_whose_client_is_gone_ends_with_127(tmp_path):
    paths = look.CONVERGE.replace(look.PATHS, str(tmp_path / "none")).replace("$PATH", str(tmp_path))
    done = subprocess.run(["/bin/sh", "-c", paths, "sh", "600", "only"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 127


def test_the_recipes_result_is_read():
    found = look.result_of(result())
    assert found.actions == ["reloaded nginx", "restarted nginx", "re-executed init"]
    assert found.stale_before[0]["pid"] == 7
    assert found.not_touched == ({"service": None, "command": "kill 8"},)
    assert found.error is None


def test_what_the_recipe_says_is_cleaned_and_bounded():
    found = look.result_of(result(error="\x1b[31m" + "x" * 10_000, restarted=["a\nb"] * 2000))
    assert found.error.startswith("?[31mxxx")
    assert len(found.error) == 600
    assert found.restarted == ("a b",) * 1000


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"null", b"7", b"{", b"\xff\xfe", b"[" * 100_000, result(format=2), result(stale_before=7),
        result(stale_before="abc"), result(stale_before=[{}]), result(stale_before={"a": 1}), result(reloaded="nginx"),
        result(restarted=None), result(not_touched=["x"]), result(not_touched=None),
        result().replace(b'"pid": "7"', b'"pid": 1e999'), result().replace(b'"pid": "7"', b'"pid": NaN'),
    ],
)
def test_what_the_recipe_does_not_write_is_refused(answer):
    with pytest.raises(NodeError, match=r"result\.json on the node is not what the recipe writes"):
        look.result_of(answer)


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*RESULT, "pid"]), inner)),
    max_leaves=8,
), st.sampled_from(sorted(set(RESULT) - {"format"})))
def test_no_result_ends_in_a_surprise(value, key):
    try:
        found = look.result_of(result(**{key: value}))
    except NodeError:
        return
    assert isinstance(found, look.Result)
    assert all(clean(action) == action for action in found.actions)
