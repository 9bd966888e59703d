"""Who is next, and who may be changed: the line of a rollout's nodes, and the places that a wave has."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence

from fleet.node import Node, State
from fleet.waves import NOTHING_BEGUN, Begun, Wave, release_of

UNTOUCHED = (State.UNREACHABLE, State.SKIPPED)


class Line:
    """Nodes in their order: `waiting` to be sent, or `under_way`; who ended is in neither.

    In a wave so many nodes are looked at as it has places, and one more for each that turned out to need nothing: so
    those hold nobody up, and few are looked at whose turn has not come. Each of a canary wave's releases is a lane of
    its own; a lane without a place sends nobody. Of one group no more than `max_per_group` are under way, whatever they
    turn out to need.

    Where a rollout is resumed, what is `begun` goes first, in a wave without places: who has one from before keeps it,
    and who turns out to need a change after all waits for another wave.
    """

    def __init__(self, nodes: Sequence[Node], max_per_group: int | None = None, begun: Begun = NOTHING_BEGUN):
        self.nodes = list(nodes)
        self.waiting = {node.name: number for number, node in enumerate(nodes)}
        self.under_way: dict[str, int] = {}
        self.max_per_group = max_per_group
        self.groups: Counter = Counter()
        self.changing: set[str] = set()  # those under way that have a place
        self.begun = begun
        self.good = set(begun.changed)  # those changed before that have not turned out to need anything
        self.changed = len(begun.at_work) + len(self.good)  # places taken in all waves
        self.tried = {release_of(node) for node in nodes if node.name in self.good}  # releases that had their canary

    def wants(self, wave: Wave) -> bool:
        """True if there is somebody to send in a wave: an earlier part of the rollout may have done its work."""
        if wave.again:
            return not self.begun.names.isdisjoint(self.waiting)
        if wave.releases:
            return not self.lanes(wave).isdisjoint(release_of(self.nodes[number]) for number in self.waiting.values())
        return wave.last or wave.until > self.changed

    def lanes(self, wave: Wave) -> frozenset:
        """Return the releases that still want a canary."""
        return wave.releases - self.tried

    def begin(self, wave: Wave) -> None:
        """Form up for a wave. Nobody is under way."""
        self.again = wave.again
        self.left = dict.fromkeys(self.lanes(wave), 1) if wave.releases else {None: wave.until - self.changed}
        self.looking: Counter = Counter()
        self.idle: Counter = Counter()  # nodes that needed nothing, by lane
        self.keys = {}
        # Nodes alike in lane and group are told apart by their order alone; `heads` has the first of each such queue.
        self.queues: dict[tuple, list[int]] = defaultdict(list)
        for name, number in self.waiting.items():
            node = self.nodes[number]
            lane = release_of(node) if wave.releases else None
            if lane in self.left and (not self.again or name in self.begun.names):
                self.keys[name] = (lane, node.group if self.max_per_group else None)
                heapq.heappush(self.queues[self.keys[name]], number)
        self.heads = [(queue[0], number, key) for number, (key, queue) in enumerate(self.queues.items())]
        heapq.heapify(self.heads)

    def next(self) -> Node | None:
        """Send the first node that may go now; None where nobody may."""
        blocked, found = [], None
        while self.heads and found is None:
            head = number, tie, key = heapq.heappop(self.heads)
            queue = self.queues[key]
            if not queue or queue[0] != number:
                continue  # it went under another head
            if not self.may_go(*key):
                blocked.append(head)
                continue
            heapq.heappop(queue)
            if queue:
                heapq.heappush(self.heads, (queue[0], tie, key))
            found = self.nodes[number]
        for head in blocked:
            heapq.heappush(self.heads, head)
        if found:
            lane, group = self.keys[found.name]
            self.under_way[found.name] = self.waiting.pop(found.name)
            if self.again and found.name in self.begun.at_work:
                self.changing.add(found.name)
            else:
                self.looking[lane] += 1
            self.groups[group] += 1
        return found

    def rest(self) -> list[Node]:
        """Return those that wait, in their order."""
        return [self.nodes[number] for number in sorted(self.waiting.values())]

    def may_go(self, lane: object, group: object) -> bool:
        """True if another node of this lane and group may be sent."""
        if self.max_per_group and self.groups[group] >= self.max_per_group:
            return False
        return self.again or self.left[lane] > max(0, self.looking[lane] - self.idle[lane])

    def admit(self, name: str) -> bool:
        """Give a node that is under way a place, so that it may be changed; False where none is left."""
        lane, _ = self.keys[name]
        if name in self.changing:
            return True
        if self.again or not self.left[lane]:
            return False
        self.left[lane] -= 1
        self.looking[lane] -= 1
        self.changing.add(name)
        self.changed += 1
        return True

    def back(self, name: str) -> None:
        """Take back a node that was given no place: it waits where it stood before."""
        number, key = self.under_way.pop(name), self.keys[name]
        self.waiting[name] = number
        self.looking[key[0]] -= 1
        self.groups[key[1]] -= 1
        if self.again:  # the place it had does not count, because it needs another
            self.changed -= name in self.good
            self.good.discard(name)
            return
        heapq.heappush(self.queues[key], number)
        if self.queues[key][0] == number:
            heapq.heappush(self.heads, (number, -1 - number, key))

    def ended(self, name: str, state: State) -> None:
        """Hear how a node ended. A place on which nothing was changed after all is free again."""
        number = self.under_way.pop(name)
        lane, group = self.keys[name]
        self.groups[group] -= 1
        if name not in self.changing:
            self.looking[lane] -= 1
            self.idle[lane] += state not in (*UNTOUCHED, State.FAILED)
        else:
            self.changing.remove(name)
            if state in UNTOUCHED:
                self.left[lane] += 1
                self.changed -= 1
            else:
                self.tried.add(release_of(self.nodes[number]))
