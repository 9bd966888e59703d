"""One question for all who wait: who hears what, and that a fault leaves nobody waiting."""

import asyncio

import pytest

from fleet.errors import ChefServerError
from fleet.poll import Poll


def polled(answers, *waits, heard=lambda _: None):
    """Return what each of `waits`, a name and the row it knows, heard; answers come in turn, the last one for ever."""
    left = list(answers)

    def ask(names):
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def go():
        async with Poll(ask, 0.001, heard) as poll:
            return await asyncio.gather(*(poll.changed(*wait) for wait in waits), return_exceptions=True), poll

    return asyncio.run(go())


def test_a_row_is_told_once_it_is_another():
    old, new = ({"name": "a", "n": number} for number in (1, 2))
    other = {"name": "b", "n": 1}
    told, _ = polled([[old], [old, other], [new, {"name": "nobody"}]], ("a", old), ("b", None))
    assert told == [new, other]


def test_a_question_that_fails_told_nothing_and_is_heard_of_once():
    heard = []
    row = {"name": "a"}
    errors = [ChefServerError("no answer"), ChefServerError("still none")]
    told, poll = polled([*errors, [row]], ("a", None), heard=heard.append)
    assert (told, heard, poll.trouble) == ([row], ["no answer"], None)


def test_a_fault_of_ours_leaves_nobody_waiting():
    told, poll = polled([ZeroDivisionError("a fault")], ("a", None), ("b", None))
    assert [type(each) for each in told] == [ZeroDivisionError, ZeroDivisionError]

    async def late():
        await poll.changed("a", None)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(late())


def test_nobody_is_asked_about_who_does_not_wait():
    asked = []

    async def go():
        async with Poll(lambda names: asked.append(names) or [{"name": name} for name in "ab"], 0.001) as poll:
            await poll.changed("a", None)
            await poll.changed("b", None)

    asyncio.run(go())
    assert asked == [["a"], ["b"]]
