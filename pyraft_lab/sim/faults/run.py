"""Run a plan: its faults start and end in virtual time while clients work; then everything is healed.

::

    faults   ──▷ crash ───◁  ▷ partition ──────◁   ▷ storm ─…   healed      quiet
    clients  ─w──r──w───c──────w──r───r──w──────c────w──r──w────────────────────────────▶ time
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from heapq import heappop, heappush
from itertools import permutations
from typing import assert_never

from msgspec import UNSET
from msgspec.structs import replace

from pyraft_lab.arguments import instance, number
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Configuration
from pyraft_lab.engine.membership import AddLearners, Batch, Membership, RemoveLearners, ReplaceVoters
from pyraft_lab.engine.rules import Rules
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.conditions import SECOND, Micros, Weather
from pyraft_lab.sim.disk import NO_DISK_FAULTS
from pyraft_lab.sim.faults import plan as faults
from pyraft_lab.sim.faults.plan import AnyFault, NodeOrLeader, Plan, checked
from pyraft_lab.sim.links import links_between
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.workload import Clients, Load
from pyraft_lab.sim.world import Node
from pyraft_lab.trace.record import Record

Act = Callable[[], object]
STALE, FIRST_NEW_CLIENT = "stale", 10_000
"""The key that is written at isolated servers, and the first client that does so."""
WATCHED = 0.0005
"""Seconds between two looks at a server that is to crash with unsynced writes."""


class PlanRun:
    """A plan while it runs on a simulation: its scheduled callbacks, and the present weather."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.usual = sim.weather
        self.began = sim.world.now
        self._storms: list[faults.Storm] = []
        self._due: list[tuple[Micros, int, Act]] = []
        self._count = 0

    def at(self, seconds: float, act: Act) -> None:
        """Schedule a callback for that many seconds after the start."""
        self._count += 1
        heappush(self._due, (self.began + round(seconds * SECOND), self._count, act))

    def start_fault(self, fault: AnyFault) -> None:
        """Start a fault now, and schedule its end."""
        end = self._start(fault)
        if isinstance(fault, faults.TimedFault) and fault.lasts is not None and end is not None:
            self.at(fault.at + fault.lasts, end)

    def run(self, seconds: float) -> None:
        """Run everything that is due by then; a violated invariant ends the run."""
        stop = self.began + round(seconds * SECOND)
        while self._due and self._due[0][0] <= stop and not self.sim.violations:
            time, _, act = heappop(self._due)
            self.sim.run((time - self.sim.world.now) / SECOND)
            if not self.sim.violations:
                act()
        if not self.sim.violations:
            self.sim.run((stop - self.sim.world.now) / SECOND)

    # How each fault starts; the returned function ends it

    def _start(self, fault: AnyFault) -> Act | None:
        match fault:
            case faults.Elect() | faults.Transfer() | faults.Snapshot() | faults.Members() | faults.Learners():
                self._operate(fault)
                return None
            case faults.Storm() | faults.Partition() | faults.Isolate() | faults.Cut() | faults.Hold() | faults.Late():
                return self._disturb(fault)
            case _:
                victim = self._node(fault.node)
                return None if victim is None else self._break_node(fault, victim)

    def _disturb(self, fault: faults.NetworkFault) -> Act | None:
        """Begin a fault of the network; returns what ends it, or ``None`` if nothing has to."""
        match fault:
            case faults.Storm():
                self._storms.append(fault)
                self._set_weather()
                return partial(self._calm, fault)
            case faults.Partition():
                return self._part(fault)
            case faults.Isolate(node=who, writes=writes):
                return self._isolate(self._node(who), writes)
            case faults.Cut(src=src, dst=dst):
                return self._cut([(src, dst)])
            case faults.Hold() if self.sim.world.held:
                return None
            case faults.Hold():
                self.sim.hold()
                return self.sim.release
            case faults.Late():
                self._delay(fault)
                return None
            case _:
                assert_never(fault)

    def _break_node(self, fault: faults.NodeFault, node: NodeId) -> Act | None:
        sim = self.sim
        match fault:
            case faults.Crash() if sim.nodes[node].up:
                return self._crash(fault, node)
            case faults.Wipe(allowed=allowed) if sim.nodes[node].up:
                sim.crash(node)
                sim.wipe(node)
                return partial(self._take_back, node, allowed=allowed)
            case faults.Replace() if self._may_replace(node):
                sim.crash(node)
                sim.wipe(node)
                return partial(self._take_back, node, allowed=True)
            case faults.Pause(late=late) if self._running(node):
                sim.pause(node)
                return partial(self._resume, node, late)
            case faults.Drift(rate=rate):
                sim.drift(node, rate)
                return partial(sim.drift, node, 1.0)
            case faults.Skew(by=by):
                sim.skew(node, by)
                return None
            case faults.Disk(slow=slow, full=full, corrupt=corrupt, lying=lying):
                sim.break_disk(node, slow=slow, full=full, corrupt=corrupt, lying=lying)
                return partial(self._mend, node)
            case _:
                return None

    def _operate(self, fault: faults.OperatorAction) -> None:
        match fault:
            case faults.Elect(nodes=nodes):
                for rival in self._running(*nodes):
                    self.sim.elect(rival)
            case faults.Transfer(to=to):
                self.sim.transfer(to)
            case faults.Snapshot(node=who):
                for builder in self._running(who):
                    self.sim.snapshot(builder)
            case faults.Members(voters=voters, retain=retain):
                self._change(frozenset(voters), retain=retain)
            case faults.Learners(nodes=nodes, leave=leave):
                self._change_learners(frozenset(nodes), leave=leave)
            case _:
                assert_never(fault)

    # The details

    def _node(self, who: NodeOrLeader) -> NodeId | None:
        """The server that a fault names, if there is one."""
        node = self.sim.leader if who == "leader" else who
        return node if node in self.sim.nodes else None

    def _running(self, *whos: NodeOrLeader) -> list[NodeId]:
        """Those of the servers that run."""
        nodes = [node for who in whos if (node := self._node(who)) is not None]
        return [node for node in nodes if self.sim.nodes[node].up and not self.sim.nodes[node].paused]

    def _crash(self, fault: faults.Crash, node: NodeId) -> Act | None:
        """Crash a server; one that is to have unsynced writes is looked at again every half millisecond."""
        if fault.unsynced and not self.sim.world.nodes[node].batches and fault.lasts:
            later = replace(fault, node=node, at=fault.at + WATCHED, lasts=max(0.0, fault.lasts - WATCHED))
            self.at(later.at, partial(self.start_fault, later))
            return None
        self.sim.crash(node, torn=fault.torn)
        return partial(self._restart, node)

    def _may_replace(self, node: NodeId) -> bool:
        """Whether a server runs, and no server's log or disk names it as a member."""
        return self.sim.nodes[node].up and not any(
            node in membership.nodes
            for server in self.sim.world.nodes.values()
            for membership in memberships_of(server)
        )

    def _restart(self, node: NodeId) -> None:
        if not self.sim.nodes[node].up:
            self.sim.restart(node)

    def _take_back(self, node: NodeId, *, allowed: bool) -> None:
        self._restart(node)
        if allowed:
            self.sim.allow_revert(node)

    def _mend(self, node: NodeId) -> None:
        """Repair a disk, and restart a server that stopped because of it."""
        self.sim.mend_disk(node)
        if self.sim.nodes[node].state.halted:
            self._restart(node)

    def _resume(self, node: NodeId, late: float) -> None:
        if self.sim.nodes[node].paused:
            self.sim.resume(node, late=late)

    def _part(self, fault: faults.Partition) -> Act:
        """Partition in one action if no link is cut; else keep the links cut that already were."""
        links = links_between(fault.groups, self.sim.nodes)
        if not links or self.sim.world.cuts:
            return self._cut(links)
        self.sim.partition(*fault.groups, name=fault.name)
        return partial(self.sim.heal, *links)

    def _cut(self, links: Iterable[tuple[NodeId, NodeId]]) -> Act:
        """Cut the links that are whole; the end heals only those."""
        fresh = [link for link in links if link not in self.sim.world.cuts]
        for src, dst in fresh:
            self.sim.cut(src, dst)
        return partial(self.sim.heal, *fresh) if fresh else lambda: None

    def _delay(self, fault: faults.Late) -> None:
        """Delay the newest messages that are on their way, or copies of them."""
        for flight in self.sim.flying[-fault.most :] if fault.most else ():
            message = flight.id
            if fault.copies:
                message = self.sim.duplicate(flight.id).sent[0].id
            self.sim.delay(message, fault.by)

    def _isolate(self, lonely: NodeId | None, writes: int) -> Act:
        """Cut all links of a server; clients that still write to it are new, so that their sessions are their own."""
        end = self._cut(link for link in permutations(self.sim.nodes, 2) if lonely in link)
        for count in range(writes if lonely is not None else 0):
            command = {"op": "put", "key": STALE, "value": count}
            self.sim.write(command, to=lonely, client=FIRST_NEW_CLIENT + len(self.sim.calls))
        return end

    def _calm(self, storm: faults.Storm) -> None:
        self._storms.remove(storm)
        self._set_weather()

    def _set_weather(self) -> None:
        """The weather of all present storms: the newest counts, and on a link the newest that names it."""
        weather, links = self.usual, self.usual.links
        for storm in self._storms:
            weather = replace(weather, **storm.changes)
            links += () if storm.links is UNSET else storm.links
        self.sim.weather = replace(weather, links=links)

    def _change_learners(self, nodes: frozenset[NodeId], *, leave: bool) -> None:
        if not leave:
            self._start_new(nodes)
        self.sim.change_membership(RemoveLearners(nodes) if leave else AddLearners(nodes))

    def _start_new(self, nodes: frozenset[NodeId]) -> None:
        for node in sorted(nodes - set(self.sim.nodes)):
            self.sim.add_node(node)

    def _change(self, voters: frozenset[NodeId], *, retain: bool) -> None:
        self._start_new(voters)
        self.sim.change_membership(Batch((AddLearners(voters), ReplaceVoters(voters))), retain=retain)


def memberships_of(server: Node) -> Iterator[Membership]:
    """Every membership that a server's log or disk names."""
    for disk in (server.state.disk, server.synced, *(batch.image for batch in server.batches)):
        yield from (entry.payload.membership for entry in disk.log if isinstance(entry.payload, Configuration))
        if disk.snapshot is not None:
            yield disk.snapshot.membership


def simulate_plan(
    plan: Plan,
    *,
    rules: Rules | None = None,
    load: Load | None = None,
    quiet: float = 8.0,
    observers: Iterable[Callable[[Record], None]] = (),
) -> Simulation:
    """Run a plan on a new cluster, heal it and run ``quiet`` seconds more; returns the simulation."""
    plan = plan.validated()
    config, weather = plan.config_from(Config()), plan.weather_from(Weather())
    sim = Simulation(plan.nodes, plan.seed, rules=rules, config=config, weather=weather)
    for observer in observers:
        sim.watch(observer)
    run_plan(sim, plan, seconds=plan.seconds, load=load, quiet=quiet)
    return sim


def run_plan(
    sim: Simulation,
    plan: Plan | Iterable[AnyFault],
    *,
    seconds: float,
    load: Load | None = None,
    quiet: float | None = 8.0,
) -> None:
    """Inject a plan's faults for ``seconds`` while clients work, then heal all and run ``quiet`` seconds more.

    With ``quiet=None`` nothing is healed. A violated invariant ends the run at once.
    """
    number("seconds", seconds)
    if quiet is not None:
        number("quiet", quiet)
    performance = PlanRun(instance("sim", sim, Simulation))
    for fault in plan.validated().faults if isinstance(plan, Plan) else checked(plan):
        performance.at(fault.at, partial(performance.start_fault, fault))
    if load is not None:
        Clients(sim, load).join(performance.at)
    performance.run(seconds)
    if quiet is not None and not sim.violations:
        heal_all(sim, performance.usual)
        sim.run(quiet)


def heal_all(sim: Simulation, weather: Weather) -> None:
    """Heal everything: weather without faults, all links, clocks and disks right, every server up."""
    sim.weather = weather.without_faults()
    sim.heal()
    if sim.world.held:
        sim.release()
    for id, node in sim.nodes.items():
        if node.node.disk_faults != NO_DISK_FAULTS:
            sim.mend_disk(id)
        if node.paused:
            sim.resume(id)
        if node.node.rate != 1:
            sim.drift(id, 1.0)
        if not node.up:
            sim.restart(id)
