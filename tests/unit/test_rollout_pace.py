"""How fast a rollout goes: slow starts, slow nodes, and what thousands of nodes cost the controller."""

import asyncio
import time

from fleet import rollout, waves
from fleet.node import Node, State
from fleet.rollout import begun
from fleet.waves import Amount, Course

ALL = (Amount(100, True),)


def rolled(way, nodes, said=ALL, concurrency=50, **limits):
    going = rollout.prepare(nodes)
    course = Course(waves.cut(nodes, said), len(nodes), **limits)
    asyncio.run(
        rollout.run(going, nodes, way, concurrency=concurrency, ended=lambda _: None, course=course)
    )
    return going


def fleet(count):
    return [Node(f"n{number}", "production") for number in range(1, count + 1)]


def test_a_wave_starts_slowly_and_doubles_with_those_that_are_reached():
    full = asyncio.Event()
    order, seen = [], []  # who was sent, and how many had been whenever one was reached

    async def way(node, gate):
        order.append(node.name)
        for _ in range(20):  # long enough for all to be sent that may be
            await asyncio.sleep(0)
        if not full.is_set():
            seen.append(len(order))
        gate.enter(node.name)
        if len(order) == 40:
            full.set()
        await full.wait()
        return begun(node, 1, State.PATCHED)

    assert rolled(way, fleet(200), concurrency=40).exit_code == 0
    assert list(dict.fromkeys(seen)) == [rollout.START, 4 + 8, 4 + 8 + 16, 40]


def test_who_is_out_of_reach_makes_no_room_for_more():
    most, under_way = 0, 0

    async def way(node, gate):
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return begun(node, state=State.PATCHED if node.name == "n1" else State.UNREACHABLE)

    rolled(way, fleet(100), max_unreachable=Amount(100, True))
    assert most == rollout.START + 1


def test_each_wave_starts_slowly_anew():
    sent = {1: 0, 2: 0}
    numbers = {f"n{number}": 1 if number <= 40 else 2 for number in range(1, 81)}
    first = {}

    async def way(node, gate):
        sent[numbers[node.name]] += 1
        for _ in range(20):
            await asyncio.sleep(0)
        first.setdefault(numbers[node.name], sent[numbers[node.name]])
        return begun(node, gate.enter(node.name), State.PATCHED)

    rolled(way, fleet(80), (Amount(40),))
    assert first == {1: rollout.START, 2: rollout.START}


def test_a_slow_node_holds_no_free_slot():
    others, done = [], asyncio.Event()

    async def way(node, gate):
        wave = gate.enter(node.name)
        if node.name == "n2":
            await done.wait()
        else:
            others.append(node.name)
        if len(others) == 39:
            done.set()
        return begun(node, wave, State.PATCHED)

    assert rolled(way, fleet(40), (Amount(1), Amount(100, True)), concurrency=2).exit_code == 0


def test_five_thousand_nodes_cost_little():
    nodes = [
        Node(f"n{number:04}", "production", None, "debian", str(7 + number % 6), group=f"rack{number % 400}")
        for number in range(5000)
    ]

    async def way(node, gate):
        await asyncio.sleep(0)
        return begun(node, gate.enter(node.name), State.PATCHED)

    began = time.process_time()
    going = rolled(way, nodes, waves.DEFAULT, max_per_group=1)
    assert time.process_time() - began < 1
    assert going.exit_code == 0
