"""A random walk through a cluster's possible futures: whatever may happen may happen next, and no clock orders it.

The network and the disks are as slow as the walk likes, and every timer may run out at any moment; that is the world
for which Raft's safety is proved. For a while only some servers are awake, then others::

    awake  {1,2}   {2,3}   {1,3,4} …      what was sent to the sleeping waits, and arrives long after its time
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from msgspec import Struct

from pyraft_lab.engine.events import BuildSnapshot
from pyraft_lab.engine.membership import AddLearners, Batch, ReplaceVoters
from pyraft_lab.engine.messages import AppendRequest, TimeoutNow
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.conditions import Micros, chance
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import (
    Action,
    Call,
    Crash,
    Decision,
    Deliver,
    Drop,
    Duplicate,
    FireTimer,
    GiveUp,
    Invoke,
    Notify,
    Pending,
    Query,
    Reach,
    Reconfigure,
    Start,
    TransferLeadership,
    WakeClient,
    World,
    Write,
    actions,
)
from pyraft_lab.trace.record import Flight

EVENT_INTERVAL: Micros = 1000
"""Time between two events of a walk, so that its history has an order."""
PURPOSE = 20
"""The sequence of random numbers that walks draw from."""


class RandomWalk(Struct, frozen=True, kw_only=True):
    """How often a walk does each kind of thing, as shares of its ``steps``; the rest are messages, disks and timers.

    ``timers`` is the share of timers in that rest; ``awake_steps`` the number of steps for which the same servers take
    part; ``ignored_appends`` how often a leader's entries, or its ``TimeoutNow``, are left waiting;
    ``multi_voter_changes`` the share of membership changes that change more than one voter.
    """

    steps: int = 400
    awake_steps: int = 25
    timers: float = 0.06
    ignored_appends: float = 0.0
    crash: float = 0.02
    drop: float = 0.01
    duplicate: float = 0.01
    write: float = 0.06
    read: float = 0.0
    change: float = 0.0
    multi_voter_changes: float = 0.5
    snapshot: float = 0.0
    transfer: float = 0.0
    keys: int = 1

    def run(self, sim: Simulation) -> None:
        """Walk through one simulation until the steps are used up or an invariant is violated."""
        Walker(sim, self).run()


class Walker:
    """Walks through one simulation."""

    def __init__(self, sim: Simulation, walk: RandomWalk) -> None:
        self.sim, self.settings = sim, walk
        self.drawn = 0
        self.awake: frozenset[NodeId] = frozenset(sim.nodes)
        self.members = tuple(sim.nodes)
        self.client = 0

    def draw(self) -> float:
        """The next random number, from 0 to 1."""
        self.drawn += 1
        return chance(self.sim.seed, PURPOSE, 0, self.drawn)

    def choose(self, of: Sequence[Pending]) -> Pending:
        """One of them."""
        return of[int(self.draw() * len(of))]

    def run(self) -> None:
        """Walk until the steps are used up or an invariant is violated."""
        for count in range(self.settings.steps):
            if count % self.settings.awake_steps == 0:
                self.awake = self._some_nodes()
            action = self._decision() or self._pending()
            if action is not None:
                self.sim.force(action, self.sim.world.now + EVENT_INTERVAL)
            if self.sim.violations:
                return

    def _some_nodes(self) -> frozenset[NodeId]:
        """The servers that take part for a while; most of the time some do not."""
        luck = self.draw()
        return frozenset(node for node in self.members if self.draw() < 0.4 + luck) or frozenset(self.members)

    # What happens by itself

    def _pending(self) -> Action | None:
        world = self.sim.world
        waiting: tuple[list[Pending], list[Pending]] = ([], [])
        for action in actions(world):
            if self._concerns(world, action):
                waiting[isinstance(action, FireTimer)].append(action)
        others, timers = waiting
        if timers and (not others or self.draw() < self.settings.timers):
            return self.choose(timers)
        return self.choose(others) if others else None

    def _concerns(self, world: World, action: Pending) -> bool:
        """Whether it happens among those awake; clients do not ask again; leases and giving up are left to clocks."""
        match action:
            case Deliver(message):
                flight = world.flights[message]
                is_passed_over = (
                    isinstance(flight.message, (AppendRequest, TimeoutNow))
                    and self.draw() < self.settings.ignored_appends
                )
                return flight.dst in self.awake and self._may_arrive(flight) and not is_passed_over
            case WakeClient():
                return False
            case Reach(client, request):
                return world.asked.find(client, request).node in self.awake
            case FireTimer(node, timer):
                return node in self.awake and timer.kind is not TimerKind.LEASE
            case GiveUp():
                return False
            case _:
                return action.node in self.awake

    def _may_arrive(self, flight: Flight) -> bool:
        """Messages of a server that does not take part arrive rarely."""
        return flight.src in self.awake or self.draw() < 0.02

    # What somebody does

    def _decision(self) -> Decision | None:
        luck = self.draw()
        for share, make in self._draw_awake():
            luck -= share
            if luck < 0:
                return make()
        return None

    def _draw_awake(self) -> Iterator[tuple[float, Callable[[], Decision | None]]]:
        walk = self.settings
        yield walk.crash, self._crash
        yield walk.drop, partial(self._inject_fault, Drop)
        yield walk.duplicate, partial(self._inject_fault, Duplicate)
        yield walk.write, self._write
        yield walk.read, self._read
        yield walk.change, self._change
        yield walk.snapshot, self._snapshot
        yield walk.transfer, self._transfer

    def _node(self, of: Sequence[NodeId]) -> NodeId:
        return of[int(self.draw() * len(of))]

    def _crash(self) -> Decision | None:
        node = self._node(self.members)
        return Crash(node) if self.sim.nodes[node].up else Start(node)

    def _inject_fault(self, how: type[Drop] | type[Duplicate]) -> Decision | None:
        flights = self.sim.flying
        return how(flights[int(self.draw() * len(flights))].id) if flights else None

    def _leaders(self) -> list[NodeId]:
        nodes = self.sim.world.nodes.values()
        return [one.id for one in nodes if one.up and isinstance(one.state.role, Leader) and one.id in self.awake]

    def _ask(self, wish: Write | Query | Reconfigure | TransferLeadership, to: NodeId) -> Decision | None:
        self.client += 1
        return Invoke(Call(client=self.client, request=wish, to=to))

    def _write(self) -> Decision | None:
        leaders = self._leaders()
        if not leaders:
            return None
        key = f"k{int(self.draw() * self.settings.keys)}"
        return self._ask(Write({"op": "put", "key": key, "value": self.client}), self._node(leaders))

    def _read(self) -> Decision | None:
        leaders = self._leaders()
        return self._ask(Query(f"k{int(self.draw() * self.settings.keys)}"), self._node(leaders)) if leaders else None

    def _change(self) -> Decision | None:
        leaders = self._leaders()
        if not leaders:
            return None
        leader = self._node(leaders)
        voters = self.sim.nodes[leader].membership.voters
        if self.draw() >= self.settings.multi_voter_changes:
            chosen = voters ^ {self._node(self.members)}
        else:
            chosen = frozenset(node for node in self.members if self.draw() < 0.6)
        if not chosen:
            return None
        return self._ask(Reconfigure(Batch((AddLearners(chosen), ReplaceVoters(chosen)))), leader)

    def _snapshot(self) -> Decision | None:
        node = self._node(self.members)
        return Notify(node, BuildSnapshot()) if self.sim.nodes[node].up else None

    def _transfer(self) -> Decision | None:
        leaders = self._leaders()
        return self._ask(TransferLeadership(self._node(self.members)), self._node(leaders)) if leaders else None
