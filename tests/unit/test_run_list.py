"""A node's run list is written back with all else of the node's object, on top of what is there at that moment."""

import copy

import pytest

from fleet.chef import run_list
from fleet.chef.config import ChefConfig
from fleet.chef.run_list import ABSENT
from fleet.chef.server import ChefServer
from fleet.errors import ChangedError, ChefServerError, NotFoundError, ServerUnreachableError
from tests.chef_nodes import ENTRY


def test_every_other_key_is_written_back_as_it_was(there, chef):
    there.add(
        "web1", ["role[web]"], policy_group="canary", somebodys={"key": [1.5, None, 2**70, "\ud83d half", 1e300]},
        normal={"deep": {"er": {"still": True}}},
    )
    before = copy.deepcopy(there.nodes["web1"])
    run_list.write(chef, run_list.read(chef, "web1"), ["role[web]", ENTRY])
    assert there.nodes["web1"] == before | {"run_list": ["role[web]", ENTRY]}
    assert there.asked == [("GET", "/nodes/web1")] * 2 + [("PUT", "/nodes/web1"), ("GET", "/nodes/web1")]


def test_a_change_between_reading_and_writing_is_noticed_and_nothing_written(there, chef):
    node = there.add("web1")
    found = run_list.read(chef, "web1")
    node["normal"]["tags"].append("somebody's")
    with pytest.raises(ChangedError, match=r"somebody else changed the object of the node web1 meanwhile"):
        run_list.write(chef, found, [ENTRY])
    assert there.puts() == 0


def test_a_run_that_saves_its_node_right_after_the_write_is_noticed(there, chef):
    there.add("web1", ["recipe[base]"])
    found = run_list.read(chef, "web1")
    there.before["GET", "/nodes/web1"] = [lambda: None, lambda: there.run("web1", run_list=["recipe[base]"])]
    with pytest.raises(ChangedError, match="at the same moment"):
        run_list.write(chef, found, ["recipe[base]", ENTRY])
    assert there.nodes["web1"]["run_list"] == ["recipe[base]"]


def test_a_write_whose_answer_is_lost_counts_if_it_was_done(serve, answer, pem, there):
    there.add("web1")
    lost = {"done": True}

    def losing(request):
        done = there(request) if request.method != "PUT" or lost["done"] else None
        return answer(0) if request.method == "PUT" else done

    with ChefServer(ChefConfig(serve(losing).url, "ops", pem), pause=lambda _: None) as chef:
        run_list.write(chef, run_list.read(chef, "web1"), [ENTRY])
        assert there.nodes["web1"]["run_list"] == [ENTRY]
        lost["done"] = False
        with pytest.raises(ServerUnreachableError):
            run_list.write(chef, run_list.read(chef, "web1"), [])
    assert there.nodes["web1"]["run_list"] == [ENTRY]
    assert there.puts() == 1  # and never a second attempt, which would overwrite what somebody wrote in between


@pytest.mark.parametrize("body", [
    b'{"name": "web1", "run_list": [], "automatic": {"n": 1e999}}',
    b'{"name": "web1", "run_list": [], "automatic": {"n": NaN}}',
    b'{"name": "web1", "run_list": [], "automatic": {"n": ' + b"9" * 5000 + b"}}",
    b'{"name": "web1", "run_list": [], "automatic": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"name": "web1", "run_list": "recipe[a]"}', b'{"name": "web1", "run_list": [7]}',
    b'{"name": "web2", "run_list": []}', b"[]", b"<html>",
])
def test_what_cannot_be_written_back_as_it_is_is_not_read(serve, answer, pem, body):
    with ChefServer(ChefConfig(serve(answer(200, body)).url, "ops", pem)) as chef, pytest.raises(
        ChefServerError, match=r"the object of the node web1 on \S+ cannot be written back as it is .* not changed"
    ):
        run_list.read(chef, "web1")


def test_a_node_that_is_not_there_is_said_so(chef):
    with pytest.raises(NotFoundError):
        run_list.read(chef, "../environments/x")


def test_an_object_that_is_too_deep_to_be_written_is_one_sentence_at_every_depth(serve, answer, pem):
    """The depth at which Python can read and no longer write is another with each of its versions."""
    server = serve(answer())
    with ChefServer(ChefConfig(server.url, "ops", pem)) as chef:
        for depth in range(900, 1001):
            body = b'{"name": "web1", "run_list": [], "n": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
            server.answer = lambda _, body=body: answer(200, body)
            with pytest.raises(ChefServerError):  # nobody writes this server: the run list is another afterwards
                run_list.write(chef, run_list.read(chef, "web1"), [ENTRY])


def test_more_roles_than_anybody_has_are_not_asked_for():
    asked = []
    named = [f"role[r{number}]" for number in range(run_list.ROLES + 1)]
    assert run_list.version(named[1:] * 2, "openssl_patch", lambda name: asked.append(name) or []) is ABSENT
    assert asked == [f"r{number}" for number in range(1, run_list.ROLES + 1)]
    with pytest.raises(ChefServerError, match="names more than 200 roles"):
        run_list.version(named, "openssl_patch")


@pytest.mark.parametrize(("items", "expected"), [
    ([], ABSENT), (["recipe[base]", "role[web]", "recipe[openssl_patch::report]"], ABSENT),
    (["recipe[openssl_patch]"], None), (["recipe[openssl_patch::default]"], None), (["openssl_patch"], None),
    (["recipe[openssl_patch@1.0.6]"], "1.0.6"), (["openssl_patch@1.0"], "1.0"), (["role[shop]"], None),
    (["recipe[openssl_patch]", "recipe[openssl_patch::default@1.0.6]"], "1.0.6"), (["role[pinned]"], "1.0.5"),
    (["role[loop]"], ABSENT), (["role[loop]", "role[shop]"], None), (["recipe[openssl_patch_more]"], ABSENT),
    (["something [else]", ""], ABSENT),
])
def test_whether_a_run_list_brings_the_recipe(items, expected):
    roles = {"shop": ["role[inner]"], "inner": ["recipe[openssl_patch]"], "loop": ["role[loop]"],
             "pinned": ["recipe[openssl_patch@1.0.5]"]}
    assert run_list.version(items, "openssl_patch", lambda name: roles.get(name, [])) == expected


def test_roles_are_asked_for_once_and_an_environments_own_run_list_counts(there, chef):
    there.roles["web"] = {
        "run_list": ["recipe[nginx]"], "env_run_lists": {"production": ["recipe[openssl_patch]"], "empty": []},
    }
    there.roles["odd"] = {"run_list": 7}
    roles = run_list.Roles(chef)
    asked = {name: roles.of(name) for name in ("production", "staging", "empty")}
    for _ in range(2):
        assert asked["production"]("web") == ["recipe[openssl_patch]"]
        assert asked["staging"]("web") == ["recipe[nginx]"]
        assert asked["empty"]("web") == asked["staging"]("odd") == asked["staging"]("missing") == []
    assert there.asked.count(("GET", "/roles/web")) == 3
    assert there.asked.count(("GET", "/roles/missing")) == 1


def test_the_entry_is_one_that_chef_reads():
    """Chef's lib/chef/run_list/run_list_item.rb takes a version of two or three numbers behind an @."""
    assert run_list.entry("openssl_patch", "1.0.7") == "recipe[openssl_patch@1.0.7]"
    assert run_list.version([run_list.entry("openssl_patch", "1.0.7")], "openssl_patch") == "1.0.7"
