"""A Chef server that holds nodes and nothing else, for tests that need to say what happens between two requests; and
nodes sent their way through it."""

import asyncio
import copy
import itertools
import json
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from fleet import rollout, via_server
from fleet.clock import Clock
from fleet.node import Node
from fleet.settings import Settings
from fleet.via_server import ViaServer
from fleet.waves import Amount, Course, cut
from generator import advisory

VERSION = "1.0.7"
ENTRY = f"recipe[openssl_patch@{VERSION}]"
ALL = (Amount(100, True),)
OLD, NEW = {"libssl1.0.0": "1.0.1e-2+deb7u4"}, {"libssl1.0.0": "1.0.1e-2+deb7u5"}


def last_run(number: int = 1, **changes) -> dict:
    """Return what the cookbook records of the run of that number, with some of it changed."""
    found = {
        "format": 2, "node": "web1", "status": "success", "error": None, "cookbook_version": VERSION,
        "actions": ["upgrade"], "advisories": ["CVE-2014-0160"], "started": f"2026-01-01T00:{number:02}:00Z",
        "finished": f"2026-01-01T00:{number:02}:09Z", "packages_before": OLD, "packages_after": NEW,
        "verdict": {"kind": "fixed", "reasons": ["fixed"]}, "held": [], "stale_before": [], "stale_after": [],
        "reloaded": ["nginx"], "upgraded": [], "ended": [], "restarted": [], "reexecuted": False, "not_touched": [],
        "reboot": [], "unread": 0, "own_copies": [],
    }
    return found | changes


class ChefNodes:
    """Answers a unit test's `serve` as a Chef server does, with `nodes` by name and `roles`.

    The search sees `index` where that is set, else the nodes as they are. `before` maps a method and path to what is
    called, once each, before the next such requests are answered; `polled` hears of every search, before it is. What a
    method and path are `refused` with is a status, 0 for no answer at all.
    """

    def __init__(self, answer):
        self.answer, self.nodes, self.roles = answer, {}, {}
        self.index: dict | None = None
        self.before: dict[tuple[str, str], list[Callable]] = {}
        self.refused: dict[tuple[str, str], int] = {}
        self.polled: Callable[[], None] = lambda: None
        self.asked: list[tuple[str, str]] = []

    def add(self, name: str, run_list=(), **keys) -> dict:
        """Put a node there that reported a moment ago; return its object."""
        automatic = {"ohai_time": 4e9, "platform": "debian", "platform_version": "7.8"} | keys.pop("automatic", {})
        self.nodes[name] = {
            "name": name, "chef_environment": "production", "json_class": "Chef::Node", "chef_type": "node",
            "automatic": automatic, "normal": {"tags": ["a"]}, "default": {}, "override": {},
            "run_list": list(run_list), **keys,
        }
        return self.nodes[name]

    def run(self, name: str, number: int = 1, run_list=None, **changes) -> None:
        """Have a node's chef-client run as it does: with the run list of its beginning, which it saves at its end."""
        node = self.nodes[name]
        began = node["run_list"] if run_list is None else run_list
        node["run_list"] = list(began)
        node["automatic"]["ohai_time"] += 1
        node["default"] = {}
        if any("openssl_patch" in item for item in began):
            node["default"] = {"openssl_patch": {"last_run": last_run(number, node=name, **changes)}}

    def puts(self) -> int:
        """Return how many writes there were."""
        return sum(method == "PUT" for method, _ in self.asked)

    def __call__(self, request):
        path = urlsplit(request.path).path
        self.asked.append((request.method, path))
        for happens in self.before.get((request.method, path), [])[:1]:
            self.before[request.method, path].pop(0)
            happens()
        if path == "/search/node":
            self.polled()
        if (status := self.refused.get((request.method, path))) is not None:
            return self.answer(status, b'{"error": ["not now"]}')
        status, body = self.done(request, path)
        return self.answer(status, json.dumps(body).encode())

    def done(self, request, path):
        _, kind, name = (*path.split("/"), None)[:3]
        if kind == "search":
            return 200, self.search(request)
        if kind == "environments":
            return 200, {"production": ""}
        there = {"nodes": self.nodes, "roles": self.roles}[kind]
        if unquote(name) not in there:
            return 404, {"error": ["no such object"]}
        if request.method == "PUT":
            there[unquote(name)] = json.loads(request.body)
        return 200, there[unquote(name)]

    def search(self, request):
        (query,) = parse_qs(urlsplit(request.path).query)["q"]
        names = {word.removeprefix("name:").replace("\\", "") for word in query.split() if word.startswith("name:")}
        nodes = self.nodes if self.index is None else self.index
        rows = []
        for node in nodes.values():
            if node["name"] in names or "chef_environment:production" in query:
                seen = node | node["default"] | node["normal"] | node["automatic"]
                data = {key: reached(seen, way) for key, way in json.loads(request.body).items()}
                rows.append({"url": f"/nodes/{node['name']}", "data": data})
        return {"total": len(rows), "start": 0, "rows": copy.deepcopy(rows)}


def reached(found, way):
    """Return what is at the end of a path of keys, None where one is missing."""
    for key in way:
        found = found.get(key) if isinstance(found, dict) else None
    return found


class Hasty(Clock):
    """A clock whose time is up when a test says so."""

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        return await super().__aenter__()

    def run_out(self) -> None:
        """Let the time be up; may be called from any thread."""
        self.loop.call_soon_threadsafe(self.way.reschedule, self.loop.time())


def roll(
    there, chef, journal, aside, steps=ALL, stop=None, packages=OLD, earlier=None, hasty=False, **settings
):
    """Send the nodes that are `there` through a server's `chef` for Heartbleed; return the rollout.

    `stop` is called with what cancels it, `aside` takes what is said besides, `packages` are what each node reported.
    With `hasty` the time of each node that waits is up at the third poll.
    """
    clocks: list[Hasty] = []

    def clock(seconds):
        clocks.append(Hasty(seconds))
        return clocks[-1]

    polled, polls = there.polled, itertools.count(1)

    def poll():
        polled()
        if hasty and next(polls) == 3:
            for each in clocks:
                each.run_out()

    there.polled = poll
    settings = Settings(**{"poll": 0.01, "timeout": 30} | settings)
    nodes = [Node(name, "production", None, "debian", "7.8", packages) for name in sorted(there.nodes)]
    going = rollout.prepare(nodes)
    course = Course(cut(nodes, steps), len(nodes), settings.max_failures, settings.max_unreachable)
    tell = aside.append

    async def travel():
        found = advisory.load(["heartbleed"])
        async with ViaServer(chef, settings, journal, "r1", found, VERSION, lambda *_: None, tell, earlier) as way:
            if stop:
                task, loop = asyncio.current_task(), asyncio.get_running_loop()
                stop(lambda: loop.call_soon_threadsafe(task.cancel))
            await rollout.run(going, nodes, way, concurrency=len(nodes), ended=lambda _: None, course=course)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(via_server, "Clock", clock)
            asyncio.run(travel())
    except asyncio.CancelledError:
        going.interrupted = True
    return going


def states(going) -> dict[str, str]:
    """Return how each node of a rollout ended."""
    return {name: outcome.record.state.value for name, outcome in going.outcomes.items()}
