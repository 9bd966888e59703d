"""What a node's way leaves in the journal. The connections are made up here; tests/lab takes the way on real nodes."""

import asyncio
from types import SimpleNamespace

import pytest

from fleet.change import Change
from fleet.errors import NotYetError
from fleet.line import Line
from fleet.node import Node
from fleet.patch import Patcher
from fleet.rollout import Gate, begun
from fleet.settings import Settings
from fleet.ssh import Answer
from fleet.trip import Trip
from fleet.waves import Wave

NODE = Node("web1", "production", "192.0.2.1")
DIFF = "".join(f"+ line {number} of somebody's recipe, {'long' * 100}\n" for number in range(50)).encode()


def patcher(journal, connections=None, **settings) -> Patcher:
    return Patcher(connections, journal, "r1", Settings(**settings), [], None, lambda *_: None)


class Converging:
    """A node whose chef-client says so much and ends with `code`, and leaves no result."""

    def __init__(self, code: int):
        self.said = b"styptic-converge 1 ended %03d\n" % code + DIFF

    async def run(self, argv, **_):
        return Answer(1, b"", b"", False) if argv[0] == "cat" else Answer(0, self.said, b"", False)


@pytest.mark.parametrize(("code", "kept"), [(0, False), (35, False), (37, False), (1, True), (213, True)])
def test_what_chef_client_printed_is_kept_of_a_run_that_failed_alone(journal, code, kept):
    trip = Trip(patcher(journal, full_run=True), NODE, begun(NODE), Gate())
    done = asyncio.run(trip.change(Converging(code), SimpleNamespace(packages={})))
    assert done == Change(code, DIFF, None)
    (told,) = [detail for _, name, detail in journal.steps("r1", "web1") if name == "read the result"]
    assert told["exit_code"] == code
    if not kept:
        assert told["output"] is None
        return
    lines = told["output"].split(" | ")
    assert [line.split()[2] for line in lines] == [str(number) for number in range(50 - len(lines), 50)]
    assert 10 <= len(lines) <= 20
    assert {len(line) for line in lines} == {300}


class Silent:
    """Connections that never come about; `asked` is set once one was asked for."""

    def __init__(self):
        self.asked = asyncio.Event()

    async def connect(self, node):
        self.asked.set()
        await asyncio.Event().wait()


def test_an_interruption_stays_one_where_the_journal_cannot_be_written(journal):
    async def interrupted():
        silent = Silent()
        going = asyncio.create_task(patcher(journal, silent)(NODE, Gate()))
        await silent.asked.wait()
        journal.close()
        going.cancel()
        await going

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())


def test_a_node_whose_wave_has_not_begun_is_sent_back_and_says_so_in_the_journal(journal, monkeypatch):
    told = []
    taken = patcher(journal, Silent())
    taken.tell = lambda *step: told.append(step)
    line = Line([NODE])
    line.begin(Wave(1, "nobody", 0, (), last=False))

    async def go(trip):  # what a real node would come to after it was looked at
        trip.turn()

    monkeypatch.setattr(Trip, "go", go)
    with pytest.raises(NotYetError):
        asyncio.run(taken(NODE, Gate(line)))
    steps = ["ask for a place in the wave", "wait for its wave"]
    assert [name for _, name, _ in journal.steps("r1", "web1")] == steps
    assert told == [("web1", steps[0]), ("web1", "")]
