"""Returning servers: one that was removed, or deposed, comes back, or a leader that removes itself is needed (§6).

::

    added again     ──▶ a server is removed, loses its disk and is added again; an answer of its first life arrives
    removed leader  ──▶ of two servers the leader removes itself, crashes, and alone has the entry that says so
    deposed leader  ──▶ an isolated leader has entries of its own; its disk syncs the next vote after they are replaced
    resumed leader  ──▶ a leader restarts and leads on in its term; an answer from before its restart arrives
    resumed orders  ──▶ a leader restarts during a transfer and leads on; its order to campaign arrives only now

The first must not count as a copy. The second must campaign although its last membership does not name it: the other
server's log is behind, so nobody else can win. The third must not count entries that are no longer in its log, the
fourth no round that it began before, and the fifth must not rely on a lease that the order may override.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

from msgspec import Struct

from pyraft_lab.check.liveness import disconnect
from pyraft_lab.engine.membership import RemoveLearners, ReplaceVoters
from pyraft_lab.engine.messages import AppendAccepted, AppendRequest, HeartbeatRequest, HeartbeatResponse, TimeoutNow
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import Timeout
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Deliver
from pyraft_lab.trace.record import Flight

CLIENT = 1
FAST = Weather(latency=(0.0004, 0.001), disk=(0.0001, 0.0003))
"""So fast that a server is removed and added again between two heartbeats."""
LATE = 60.0
"""Seconds that the old answer would be on its way; it is delivered by hand."""
SLOW = 2000.0
"""How much slower the deposed leader's disk is: a sync takes longer than the leader waits before it sends again."""
LONGEST = 2.0
"""Virtual seconds until something that must happen first has happened."""


class ReturningServerScenario(Struct, frozen=True):
    """One such return, by its name."""

    name: str = "added again"

    @property
    def knobs(self) -> Mapping[str, bool]:
        """The settings that it needs."""
        return {"leader_restore": True} if self.name.startswith("resumed") else {}

    def run(self, sim: Simulation) -> None:
        """Run it; where the rules prevent what must come first, nothing returns."""
        leader = sim.run_until(lambda s: s.leader)
        assert leader is not None, "run_until waits for one"
        _write(sim)
        if not sim.violations and sim.leader == leader:
            with suppress(Timeout):
                _ACTS[self.name](sim, leader)
        sim.heal()
        for node in sim.nodes:
            if not sim.nodes[node].up:
                sim.restart(node)
        _write(sim)


def _write(sim: Simulation) -> None:
    call = sim.write({"op": "append", "key": "x", "value": "a"}, client=CLIENT)
    with suppress(Timeout):
        sim.run_until(lambda _: call.done, timeout=LONGEST)


def _added_again(sim: Simulation, leader: NodeId) -> None:
    membership, sim.weather = sim.nodes[leader].membership, FAST
    node = max(sorted(membership.learners) or set(membership.voters) - {leader})
    sim.run_until(lambda s: [one for one in s.flying if isinstance(one.message, HeartbeatRequest)], timeout=LONGEST)
    sim.write({"op": "append", "key": "x", "value": "a"}, client=CLIENT)
    answers = sim.run_until(lambda s: _answers(s, node), timeout=LONGEST)
    old = sim.duplicate(answers[-1].id).sent[0].id
    sim.delay(old, LATE)
    rest = membership.voters - {node}
    removed = sim.change_membership(RemoveLearners(frozenset({node})) if node in membership.learners else rest)
    sim.run_until(lambda _: removed.done, timeout=LONGEST)
    sim.crash(node)
    sim.wipe(node)
    sim.add_learner(node)
    sim.run_until(lambda s: node in s.nodes[leader].membership.nodes, timeout=LONGEST)
    sim.force(Deliver(old), sim.world.now)
    _write(sim)
    sim.restart(node)
    sim.run(LONGEST / 10)
    if node in membership.voters:
        sim.change_membership(ReplaceVoters(membership.voters))
        sim.run(LONGEST / 10)


def _answers(sim: Simulation, node: NodeId) -> list[Flight]:
    return [one for one in sim.flying if one.src == node and isinstance(one.message, AppendAccepted)]


def _removed_leader(sim: Simulation, leader: NodeId) -> None:
    other = min(sim.nodes[leader].membership.voters - {leader})
    pair = sim.change_membership(ReplaceVoters(frozenset({leader, other})))
    sim.run_until(lambda _: pair.done, timeout=LONGEST)
    sim.change_membership(ReplaceVoters(frozenset({other})))
    sim.run_until(lambda s: leader not in s.nodes[leader].membership.voters, timeout=LONGEST)
    for flight in sim.flying:
        if flight.src == leader and isinstance(flight.message, AppendRequest):
            sim.drop(flight.id)
    sim.cut(leader, other)
    sim.run_until(lambda s: not s.world.nodes[leader].batches, timeout=LONGEST)
    sim.crash(leader)


def _deposed_leader(sim: Simulation, leader: NodeId) -> None:
    """The next leader's heartbeat arrives first, and its entries before the vote that came with it is synced."""
    rest = set(sim.nodes) - {leader}
    sim.partition({leader}, rest)
    for _ in range(3):
        sim.write({"op": "put", "key": "y", "value": 1}, to=leader, client=CLIENT + 1 + len(sim.calls))
    sim.run_until(lambda s: s.leader in rest, timeout=LONGEST)
    sim.run(LONGEST / 10)
    sim.break_disk(leader, slow=SLOW)
    sim.heal()
    with suppress(Timeout):
        for _ in range(20):
            flights = sim.run_until(lambda s: [one for one in s.flying if one.dst == leader], timeout=LONGEST)
            if any(isinstance(one.message, HeartbeatRequest) for one in flights):
                break
            for flight in flights:
                sim.drop(flight.id)
    sim.run(LONGEST)
    sim.mend_disk(leader)


def _resumed_leader(sim: Simulation, leader: NodeId) -> None:
    """Wait until its rounds would be where they were, if it counted them from the start again."""
    answered = sim.run_until(lambda s: [one for one in s.flying if _answered_round(one)], timeout=LONGEST)[-1]
    old = sim.duplicate(answered.id).sent[0].id
    sim.delay(old, LATE)
    _restart(sim, leader)
    disconnect(sim, leader, answered.src)
    sim.run(_answered_round(answered) * sim.nodes[leader].state.config.heartbeat_interval)
    sim.heal((answered.src, leader))
    sim.force(Deliver(old), sim.world.now)


def _answered_round(flight: Flight) -> int:
    return flight.message.round if isinstance(flight.message, HeartbeatResponse) else 0


def _restart(sim: Simulation, leader: NodeId) -> None:
    """Restart a leader before anybody misses it; one that does not resume lets the others elect."""
    term = sim.nodes[leader].term
    sim.crash(leader)
    sim.run(0.005)
    sim.restart(leader)
    sim.run_until(lambda s: (s.leader, s.nodes[leader].term) == (leader, term), timeout=0.01)


def _resumed_orders(sim: Simulation, leader: NodeId) -> None:
    """The target of the transfer holds what its order says and hears heartbeats; the others are cut off meanwhile."""
    target, *rest = sorted(sim.nodes[leader].membership.voters - {leader})
    sim.weather = FAST
    sim.transfer(target)
    orders = sim.run_until(lambda s: [one for one in s.flying if isinstance(one.message, TimeoutNow)], timeout=LONGEST)
    sim.delay(orders[-1].id, LATE)
    _restart(sim, leader)
    for node in rest:
        disconnect(sim, leader, node)
    for _ in range(60):
        for flight in sim.flying:
            if flight.dst == target and isinstance(flight.message, AppendRequest):
                sim.drop(flight.id)
        sim.run(0.001)
    sim.force(Deliver(orders[-1].id), sim.world.now)
    disconnect(sim, leader, target)
    sim.run(0.01)


_ACTS: Mapping[str, Callable[[Simulation, NodeId], None]] = {
    "added again": _added_again,
    "removed leader": _removed_leader,
    "deposed leader": _deposed_leader,
    "resumed leader": _resumed_leader,
    "resumed orders": _resumed_orders,
}


RETURNS = tuple(_ACTS)
"""The names of all returns."""
