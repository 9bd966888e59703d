"""Reading answers: whatever one node put into its attributes, the others' are read."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.chef import answers

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)), max_leaves=20,
)


@given(VALUES)
def test_json_is_read_as_json_is(value):
    assert answers.decoded(json.dumps(value).encode()) == value


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_that_is_too_long_is_infinite(sign):
    assert answers.decoded(f'{{"a": {sign}{"9" * 5000}, "b": {sign}7}}'.encode()) == {
        "a": float(f"{sign}inf"), "b": int(f"{sign}7"),
    }
    assert math.isfinite(answers.decoded(b"9" * answers.DIGITS))


@settings(deadline=None, max_examples=20)
@given(VALUES, st.integers(0, 3))
def test_what_lies_too_deep_is_none_and_its_neighbours_are_there(value, brackets):
    opened, closed = [(b"[", b"]"), (b'{"a":', b"}"), (b'[1,"]",', b"]"), (b'{"\\"[{":[', b"]}")][brackets]
    deep = opened * 20_000 + b"0" + closed * 20_000
    found = answers.decoded(b'{"before": %s, "deep": %s, "after": %s}' % (
        json.dumps(value).encode(), deep, json.dumps(value, ensure_ascii=False).encode(errors="replace"),
    ))
    assert found["before"] == value
    assert set(found) == {"before", "deep", "after"}


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"]" * 100_000, b"[" * 100_000 + b"]", b"\xff", b"nul"])
def test_what_is_no_json_is_an_error(content):
    with pytest.raises(ValueError, match=r"."):
        answers.decoded(content)
