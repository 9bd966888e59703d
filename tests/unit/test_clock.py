"""The limits of a node's way: the whole of it, and each step."""

import asyncio

import pytest

from fleet.clock import Clock


def run_out(limits, *steps, held=False):
    """Return which limit ended these steps, None where none did; the last of them goes on for a second."""
    async def go():
        nonlocal clock
        async with Clock(*limits) as clock:
            for step in steps:
                clock.step(step)
                await asyncio.sleep(0.04)
            if held:
                with clock.held(), clock.held():
                    clock.step("prove")
                    await asyncio.sleep(0.2)
                clock.step("last")
            else:
                await asyncio.sleep(1)

    clock = None
    try:
        asyncio.run(go())
    except TimeoutError:
        return clock.ran_out
    return None


@pytest.mark.parametrize(("limits", "ended"), [
    ((0.1,), 0.1), ((0.1, None), 0.1), ((5, 0.1), 0.1), ((0.15, 5), 0.15), ((2,), None),
])
def test_the_limit_that_is_met_first_ends_it(limits, ended):
    assert run_out(limits, "look") == ended


def test_each_step_has_the_whole_of_its_limit():
    assert run_out((0.5, 0.1), "look", "see what it serves", "converge", "connect anew") == 0.5


def test_a_connection_has_a_limit_of_its_own():
    assert run_out((0.3, 0.1), "connect") == 0.3


def test_what_is_waited_for_others_does_not_count():
    assert run_out((0.15, 0.1), "look", held=True) is None
