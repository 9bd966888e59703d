"""Version constraints mean here what they mean to a Chef server (https://docs.chef.io/cookbook_versioning/#constraints)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.chef import cookbook, pins
from fleet.chef.config import ChefConfig
from fleet.chef.pins import allows
from fleet.chef.server import ChefServer
from fleet.errors import ChefServerError

versions = st.tuples(*[st.integers(0, 12)] * 3)


@pytest.mark.parametrize(("constraint", "allowed", "refused"), [
    ("= 1.2.3", ["1.2.3"], ["1.2.4", "1.2.2"]), ("1.2.3", ["1.2.3"], ["1.2.4"]), ("= 1.2", ["1.2.0", "1.2"], ["1.2.1"]),
    ("> 1.2.3", ["1.2.4", "2.0.0", "1.10.0"], ["1.2.3", "1.2.2"]),
    (">= 1.2.3", ["1.2.3", "1.12.0"], ["1.2.2", "0.9.9"]), (" >=1.0 ", ["1.0.0"], []),
    ("< 1.10.0", ["1.9.9", "1.2.0"], ["1.10.0", "1.11.0"]), ("<= 1.2", ["1.2.0", "1.1.9"], ["1.2.1"]),
    ("~> 1.2.3", ["1.2.3", "1.2.99"], ["1.2.2", "1.3.0", "2.0.0"]), ("~> 1.2", ["1.2.0", "1.99.0"], ["1.1.9", "2.0.0"]),
    ("~> 1", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.0"]), ("~>0.0.1", ["0.0.1", "0.0.2"], ["0.1.0", "0.0.0"]),
])
def test_constraints(constraint, allowed, refused):
    assert [version for version in allowed + refused if allows(constraint, version)] == allowed


@pytest.mark.parametrize("constraint", [
    "", "latest", "~ 1.0", "== 1.0", "1.0.0.0", ">= 1.0, < 2.0", "1.x", "9" * 5000, "= 1.\u0664",
])
def test_what_is_no_constraint_is_an_error(constraint):
    with pytest.raises(ChefServerError, match="which is none"):
        allows(constraint, "1.0.0")


def words(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@given(versions, versions)
def test_each_operator_is_the_order_of_numbers(ours, theirs):
    told = {sign: allows(f"{sign} {words(theirs)}", words(ours)) for sign in ("=", "<", ">", "<=", ">=")}
    assert told == {
        "=": ours == theirs, "<": ours < theirs, ">": ours > theirs, "<=": ours <= theirs, ">=": ours >= theirs,
    }


@given(versions, versions, st.integers(2, 3))
def test_the_pessimistic_operator_lies_between_two_others(ours, theirs, shown):
    shown_numbers = theirs[:shown]
    below = (*shown_numbers[:-2], shown_numbers[-2] + 1)
    between = allows(f">= {words(shown_numbers)}", words(ours)) and allows(f"< {words(below)}", words(ours))
    assert allows(f"~> {words(shown_numbers)}", words(ours)) == between


READERS = {
    "constraint": lambda chef: pins.constraint(chef, "production", "book"),
    "solver": lambda chef: pins.resolved_version(chef, "production", "book"),
    "unpinned": lambda chef: pins.unpinned_nodes(chef, "book", "1.0.0"),
    "versions": lambda chef: cookbook.versions(chef, "book"),
}


def row(**data) -> dict:
    return {"total": 1, "rows": [{"url": "/nodes/a", "data": {"run_list": ["recipe[book]"], **data}}]}


@pytest.mark.parametrize(("reader", "answered"), [
    *[(reader, odd) for reader in READERS for odd in ([], [1], ["book"])],
    *[("constraint", {"cookbook_versions": odd}) for odd in ([1], 7, {"book": 7}, {"book": ["= 1.0.0"]}, {"book": {}})],
    *[("solver", {"book": odd}) for odd in (7, [], {}, {"version": 7}, {"version": None}, "1.0.0")],
    *[("versions", {"book": odd}) for odd in (7, {}, {"versions": 7}, {"versions": [{}]})],
    *[("versions", {"book": {"versions": [{"version": odd}]}}) for odd in (7, "1.x", "9" * 5000, "1.0\n", "1_0.0")],
    *[("unpinned", row(**odd)) for odd in ({}, {"name": 7}, {"name": "a", "environment": ["b"]}, {"name": "\ud800"})],
])
def test_an_answer_of_another_form_is_one_sentence(serve, answer, pem, reader, answered):
    with (
        ChefServer(ChefConfig(serve(answer(body=json.dumps(answered).encode())).url, "ada", pem)) as chef,
        pytest.raises(ChefServerError, match=r"answered .* with something else than a Chef server does"),
    ):
        READERS[reader](chef)


def test_what_a_row_lacks_it_does_not_have(serve, answer, pem):
    with ChefServer(ChefConfig(serve(answer(body=json.dumps(row(name="a")).encode())).url, "ada", pem)) as chef:
        assert pins.unpinned_nodes(chef, "book", "1.0.0") == [("a", "_default")]
