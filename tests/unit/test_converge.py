"""How chef-client is started on a node, and what the recipe's result is taken for."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import converge, look
from fleet.errors import NodeError
from fleet.text import clean

RESULT = {
    "format": 2, "status": "success", "error": None, "cookbook_version": "1.0.0", "node": "web1",
    "stale_before": [{"pid": "7", "kind": "service", "command": "nginx", "service": "nginx", "library": "/l.so"}],
    "reloaded": ["haproxy"], "upgraded": ["nginx"], "ended": ["nginx"], "restarted": ["apache2"],
    "reexecuted": True,
    "not_touched": [{"service": "", "command": "kill 8"}], "reboot": ["PID 1 is old"],
}


def result(**changes) -> bytes:
    return json.dumps(RESULT | changes).encode()


def run(tmp_path, client: str | None, how: str):
    """Run the converge's program with `client` for chef-client, made up here: what matters is how it is called."""
    if client:
        (tmp_path / "chef-client").write_text(f"#!/bin/sh\n{client}\n")
        (tmp_path / "chef-client").chmod(0o755)
    (tmp_path / "result.json").write_text("{}")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["sh", "-c", converge.SCRIPT.replace(converge.RESULT, str(tmp_path / "result.json")), "sh", "600", how]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_the_recipe_alone_or_the_whole_run_list(tmp_path):
    client = 'for word; do printf "<%s>" "$word"; done; printf oops >&2; exit 35'
    done = run(tmp_path, client, "only")
    assert done.stdout == "<--once><--no-color><--run-lock-timeout><600><-o><recipe[openssl_patch]>oops"
    assert (done.returncode, done.stderr) == (35, "")
    assert not (tmp_path / "result.json").exists(), "what an earlier run left is not this run's"
    assert run(tmp_path, client, "full").stdout == "<--once><--no-color><--run-lock-timeout><600>oops"


def test_a_node_whose_client_is_gone_ends_with_127(tmp_path):
    paths = converge.SCRIPT.replace(look.PATHS, str(tmp_path / "none")).replace("$PATH", str(tmp_path))
    done = subprocess.run(["/bin/sh", "-c", paths, "sh", "600", "only"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 127


def test_the_recipes_result_is_read():
    found = converge.result_of(result())
    assert found.actions == [
        "reloaded haproxy", "upgraded nginx in place", "ended old processes of nginx", "restarted apache2",
        "re-executed init",
    ]
    assert found.stale_before[0]["pid"] == 7
    assert found.not_touched == ({"service": None, "command": "kill 8"},)
    assert found.reboot == ("PID 1 is old",)
    assert found.error is None


def test_what_the_recipe_says_is_cleaned_and_bounded():
    many = ["a\nb"] * 2000
    found = converge.result_of(result(error="\x1b[31m" + "x" * 10_000, restarted=many, reboot=many))
    assert found.error.startswith("?[31mxxx")
    assert len(found.error) == 600
    assert found.restarted == ("a b",) * 1000
    assert found.reboot == ("a b",) * 20


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"null", b"7", b"{", b"\xff\xfe", b"[" * 100_000, result(format=1), result(stale_before=7),
        result(stale_before="abc"), result(stale_before=[{}]), result(stale_before={"a": 1}), result(reloaded="nginx"),
        result(restarted=None), result(upgraded=None), result(ended=7), result(not_touched=["x"]),
        result(not_touched=None), result(reboot="yes"), result(reboot=None), result(ended=[""]),
        result().replace(b'"pid": "7"', b'"pid": 1e999'), result().replace(b'"pid": "7"', b'"pid": NaN'),
    ],
)
def test_what_the_recipe_does_not_write_is_refused(answer):
    with pytest.raises(NodeError, match=r"result\.json on the node is not what the recipe writes"):
        converge.result_of(answer)


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*RESULT, "pid"]), inner)),
    max_leaves=8,
), st.sampled_from(sorted(set(RESULT) - {"format"})))
def test_no_result_ends_in_a_surprise(value, key):
    try:
        found = converge.result_of(result(**{key: value}))
    except NodeError:
        return
    assert isinstance(found, converge.Result)
    assert all(clean(action) == action for action in found.actions)
