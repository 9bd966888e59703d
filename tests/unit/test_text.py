"""clean() makes any text fit for one line of a terminal, whoever wrote it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.text import UNFIT, clean, last_lines

# Any code point, lone surrogates too: what a node sends is decoded by rules it does not know.
ANY = st.text(st.characters(exclude_categories=()), max_size=400)
LIMITS = st.integers(1, 120)


@given(ANY, LIMITS)
def test_any_text_becomes_one_bounded_line_that_moves_nothing(text, limit):
    found = clean(text, limit)
    assert len(found) <= limit
    assert found.splitlines() in ([], [found])
    assert {unicodedata.category(char) for char in found}.isdisjoint(UNFIT)
    assert clean(found, limit) == found


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100))
def test_what_is_fit_stays_as_it_is(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\x1b[2J\x1b]0;root\x07", "?[2J?]0;root?"),
        ("abc\u202egnp.exe", "abc?gnp.exe"),
        ("zero\u200bwidth\ufeff", "zero?width?"),
        ("a\r\nb\u2028c\x0bd\x85e", "a b c d e"),
        ("  \t\n ", ""),
        ("\udcff", "?"),
        ("größer 日本", "größer 日本"),
    ],
)
def test_what_hides_or_moves_text_is_replaced(text, found):
    assert clean(text) == found


def test_what_is_cut_off_is_marked():
    assert clean("a" * 11, 10) == "a" * 9 + "…"
    assert clean("a" * 10, 10) == "a" * 10
    assert clean("a" + " " * 100_000 + "b", 10) == "a…"
    assert len(clean("x" * 10**8)) == 300


@given(st.binary(max_size=300))
def test_the_last_lines_of_any_output_are_one_line(output):
    found = last_lines(output, 3, 40)
    assert len(found) <= 3 * 40 + 2 * len(" | ")
    assert clean(found) == found


def test_the_last_lines_that_say_something():
    assert last_lines(b"one\ntwo\n\n  \nthree\n\n", 2) == "two | three"
    assert last_lines(b"\n \n") == ""
    assert last_lines(b"x" * 10**7, 1, 20) == "x" * 19 + "…"
