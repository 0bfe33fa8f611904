"""How costs grow with length, nodes and sessions: ``PYTHONPATH=. python -m tests.bench.scale`` (``--json`` for a file).

Microseconds of processor time, for an event of the simulator and for a committed entry of the engine alone (a write at
a time, without network and disk). What should stay flat is measured at both ends of the scale, in turn.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import NamedTuple

from pyraft_lab.command import encode
from pyraft_lab.engine.commands import Apply, Send, StorageCommand
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.events import Boot, Elect, Event, Propose, Receive, Stored
from pyraft_lab.engine.log import Configuration, Entry, Log, Normal
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Disk, Leader, RaftState
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.sim.simulation import Simulation

CONFIG = Config(snapshot_logs_since_last=None, pre_vote=False)
ROUNDS = 5
SIMULATOR, NODES = "simulator: an event", "more nodes: a committed entry"
SESSIONS = "more sessions: an applied command"
"""Titles of tables that the page of measurements explains."""
LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
WRITE = {"op": "incr", "key": "x"}
EVERY = 50
"""Events of the simulator between two writes."""


class Engines:
    """A cluster of engines alone: messages arrive in order, and every disk is instant."""

    def __init__(self, nodes: int, entries: int = 0) -> None:
        disk = Disk(vote=Vote(1), log=log_of(nodes, entries))
        self.engine = raft()
        self.states: dict[NodeId, RaftState] = {
            node: self.engine.start(node, disk, CONFIG) for node in range(1, nodes + 1)
        }
        self.events = self.applied = 0
        for node in self.states:
            self.run(node, Boot())
        self.run(1, Elect())
        assert isinstance(self.states[1].role, Leader), "nothing keeps node 1 from being elected"

    def write(self) -> None:
        """Commit one entry on every node."""
        self.run(1, Propose(requests=(1,), payloads=(Normal(b"x"),)))

    def run(self, node: NodeId, event: Event) -> None:
        """Handle an event and all that follows from it."""
        waiting = deque([(node, event)])
        while waiting:
            node, event = waiting.popleft()
            waiting.extend(self._step(node, event))

    def _step(self, node: NodeId, event: Event) -> Iterator[tuple[NodeId, Event]]:
        step = self.engine.step(self.states[node], event)
        self.states[node], self.events = step.after, self.events + 1
        self.applied += sum(len(one.entries) for one in step.commands if type(one) is Apply)
        if any(isinstance(one, StorageCommand) for one in step.commands):
            yield node, Stored(step.after.vote, step.after.log.last)
        for one in step.commands:
            if type(one) is Send:
                yield one.dst, Receive(node, one.message)


def log_of(nodes: int, entries: int) -> Log:
    """A log with the first membership and then this number of entries of term 1."""
    first = Entry(LogId(0, 1, 1), Configuration(Membership.of(range(1, nodes + 1))))
    return Log().append((first, *(Entry(LogId(1, 1, index), Normal(b"x")) for index in range(2, entries + 2))))


def cost(act: Callable[[], object], times: int) -> float:
    """Microseconds of processor time for one act."""
    began = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - began) / times * 1e6


def sessions_of(count: int) -> Callable[[], object]:
    """Apply one more command of one of the sessions, each in its turn, to a fork, as a simulation does."""
    machine = Sessions(KeyValue(), most=2 * count)
    place = 0

    def apply() -> None:
        nonlocal place, machine
        place, machine = place + 1, machine.fork()
        serial, client = divmod(place, count)
        payload = Normal(encode(WRITE, client=client + 1, serial=serial + 1, done=serial))
        machine.apply(Entry(LogId(1, 1, place), payload))

    for _ in range(count):
        apply()
    return apply


def in_turn(acts: Mapping[str, Callable[[], object]], times: int, rounds: int = ROUNDS) -> dict[str, float]:
    """The median cost of each act, measured in turn: what else the machine does hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            found[name].append(cost(act, times))
    return {name: median(costs) for name, costs in found.items()}


class Run(NamedTuple):
    """A simulated cluster under writes; ``record`` and ``checks`` as :class:`Simulation` has them."""

    sim: Simulation

    @classmethod
    def of(cls, *, record: bool, is_checked: bool = True, nodes: int = 5) -> "Run":
        """A cluster that has a leader."""
        sim = Simulation(nodes=nodes, seed=1, record=record, checks=None if is_checked else ())
        sim.run_until(lambda s: s.leader, timeout=30)
        return cls(sim)

    def events(self, count: int) -> float:
        """Microseconds of processor time for an event, over the next ``count``."""
        began, first = time.process_time(), self.sim.world.events
        while self.sim.world.events < first + count:
            self.sim.write(WRITE)
            for _ in range(EVERY):
                self.sim.step()
        return (time.process_time() - began) / (self.sim.world.events - first) * 1e6


def simulator(most: int) -> dict[str, float]:
    """Microseconds an event: recorded and not, checked and not; and of the last events of a long run."""
    ways = {
        "recorded, checked": Run.of(record=True),
        "not recorded, checked": Run.of(record=False),
        "neither": Run.of(record=False, is_checked=False),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, run in ways.items():
            found[name].append(run.events(2_000))
    rows = {name: median(costs) for name, costs in found.items()}
    long, short = Run.of(record=False), Run.of(record=False)
    long.events(most)
    pairs = [(long.events(2_000), short.events(2_000)) for _ in range(ROUNDS)]
    return rows | {f"after {most:,} events, ratio": median(later / early for later, early in pairs)}


def measure(most: int = LENGTHS[-1]) -> dict[str, dict[str, float]]:
    """Every row; ``most`` bounds the lengths, for a short look."""
    lengths = [length for length in LENGTHS if length <= most]
    logs = {f"{length:,} entries": Engines(5, length).write for length in lengths}
    clusters = {f"{nodes} nodes": Engines(nodes).write for nodes in (3, 5, 51)}
    sessions = {f"{length:,} sessions": sessions_of(length) for length in lengths}
    return {
        SIMULATOR: simulator(most),
        "long log: a committed entry": in_turn(logs, 200),
        NODES: in_turn(clusters, 50),
        SESSIONS: in_turn(sessions, 2_000),
    }


def main() -> None:
    """Print the rows; ``--json`` prints JSON, ``--short`` goes no further than 10,000."""
    found = measure(10_000 if "--short" in sys.argv else LENGTHS[-1])
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for title, rows in found.items():
        sys.stdout.write(f"{title}\n")
        for name, micros in rows.items():
            sys.stdout.write(f"  {name:32}{micros:12,.2f}\n")


if __name__ == "__main__":
    main()
