"""Version constraints mean here what they mean to a Chef server (https://docs.chef.io/cookbook_versioning/#constraints)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.chef.pins import allows
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


@pytest.mark.parametrize("constraint", ["", "latest", "~ 1.0", "== 1.0", "1.0.0.0", ">= 1.0, < 2.0", "1.x"])
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
