"""What is believed of a reboot. The nodes are made up: no machine can be rebooted here, and tests/lab has real ones."""

import asyncio
from types import SimpleNamespace

import pytest

from fleet import reboot
from fleet.errors import NodeError, NodeTimeoutError, SettingsError, UnreachableError
from fleet.node import Node, State
from fleet.served import NOTHING, Served
from fleet.settings import Settings, load
from fleet.ssh import Answer

NODE = Node("web1", "production", "192.0.2.1")
OLD, NEW = "1a6c0a3e-94bf-4e0c-8d6f-0f3a1c55ad01", "f0a7c6d2-1b0e-4b53-9d27-64d4e5a1be02"


def answer(text="", rc=0, truncated=False):
    return Answer(rc, text.encode(), b"", truncated)


class Machine:
    """A node's connections and commands: each of them does what comes next in `script`; `over` is set at its end."""

    def __init__(self, *script):
        self.script = list(script)
        self.over = asyncio.Event()
        self.open = 0

    def next(self):
        done = self.script.pop(0)
        if not self.script:
            self.over.set()
        if isinstance(done, Exception):
            raise done
        return done

    async def connect(self, node):
        self.next()
        self.open += 1
        return self

    async def run(self, argv, **_):
        return self.next()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.open -= 1


def waiting(machine, serves=NOTHING):
    steps = []
    patcher = SimpleNamespace(connections=machine, settings=Settings(reboot=True))
    trip = SimpleNamespace(patcher=patcher, node=NODE, step=lambda name, **detail: steps.append((name, detail)))
    return reboot.Return(trip, OLD, serves), steps


@pytest.mark.parametrize("said", ["", "nonsense", OLD.upper(), OLD + "\n" + NEW, OLD + "x", "١" * 8 + OLD[8:]])
def test_what_is_no_boot_id_is_refused(said):
    with pytest.raises(NodeError, match="holds no boot id"):
        asyncio.run(reboot.boot_id(Machine(answer(said))))


@pytest.mark.parametrize("given", [answer(OLD, rc=1), answer(OLD, truncated=True)])
def test_a_boot_id_that_came_with_an_error_or_not_whole_is_refused(given):
    with pytest.raises(NodeError, match="holds no boot id"):
        asyncio.run(reboot.boot_id(Machine(given)))


@pytest.mark.parametrize(
    "end", [answer(), answer(rc=143), answer(rc=129), NodeError("the connection broke"), NodeTimeoutError("no end")]
)
def test_a_connection_that_breaks_over_the_order_is_no_refusal(end):
    asyncio.run(reboot.order(Machine(end), sudo=False))


@pytest.mark.parametrize("rc", [1, 127])
def test_a_refused_order_is_told_in_the_nodes_own_words(rc):
    with pytest.raises(NodeError, match=rf"`shutdown -r now` ended with {rc} on it: \?\[31mblocked by a job"):
        asyncio.run(reboot.order(Machine(answer("\x1b[31mblocked by a job\n", rc=rc)), sudo=False))


def test_only_another_boot_id_is_a_reboot(monkeypatch):
    monkeypatch.setattr(reboot, "PAUSE", 0)
    machine = Machine(
        "connected", answer(OLD),  # still going down
        UnreachableError("refused."), "connected", NodeError("the connection broke."),
        "connected", answer(NEW), answer(),
    )
    wait, steps = waiting(machine)
    assert asyncio.run(wait.over()) is machine
    assert machine.script == []
    assert machine.open == 1  # the one that was returned
    assert steps == [("wait for what it served", {"boot_id": NEW})]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (["connected", answer(OLD)], "it answers with the boot id it had before, so it has not rebooted"),
        ([UnreachableError("web1: refused.")], "no connection to it comes about: web1: refused"),
        (["connected", NodeError("no answer.")], "it breaks off: no answer"),
    ],
)
def test_how_far_a_node_came_is_known_at_every_moment(script, told):
    wait, steps = waiting(Machine(*script))

    async def for_a_moment():
        going = asyncio.create_task(wait.over())
        await wait.trip.patcher.connections.over.wait()
        await asyncio.sleep(0)  # and it takes in what it was told
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(for_a_moment())
    assert wait.at == told
    assert steps == []


def test_what_is_lacking_is_named_and_what_is_new_is_not():
    before = Served((443, 8443), ("nginx", "haproxy"))
    assert reboot.lacking(before, Served((443,), ("haproxy", "ssh"))) == ["TLS on port 8443", "nginx"]
    assert reboot.lacking(before, before) == []
    assert reboot.lacking(NOTHING, before) == []


def test_nobody_is_rebooted_who_was_not_asked_for_or_is_in_order():
    def trip(state, converge=True, **settings):
        patcher = SimpleNamespace(settings=Settings(**settings), converge=converge)
        return SimpleNamespace(patcher=patcher, outcome=SimpleNamespace(record=SimpleNamespace(state=state)))

    untouched = Machine()  # has no answer to anything
    for state in State:
        asyncio.run(reboot.mend(trip(state), untouched, None, NOTHING))
        asyncio.run(reboot.mend(trip(state, converge=False, reboot=True), untouched, None, NOTHING))
        if state not in (State.REBOOT_REQUIRED, State.STALE):
            asyncio.run(reboot.mend(trip(state, reboot=True), untouched, None, NOTHING))


def test_a_reboot_is_asked_for_each_time_and_its_limit_may_be_set():
    assert load({"reboot": True}).reboot
    assert load({}, {"reboot_timeout": 900}).reboot_timeout == 900
    with pytest.raises(SettingsError, match=r"styptic\.reboot is no setting: give --reboot each time"):
        load({}, {"reboot": True})
