"""Stale-read scenarios: a leader is cut off and replaced while a client continues to read from it.

A lease read asks nobody, so it rests on clocks: no clock of the cluster is further off here than the configuration
allows for. A read by index asks a quorum. No setup may produce a stale read with either::

    cut off     ──▶ leader ✂ {rival, friends}; the rival campaigns repeatedly
    divided     ──▶ {leader, an ally} ✂ {rival, friends}
    restarted   ──▶ cut off, and the friends are restarted, so that they may have forgotten a promise
    transferred ──▶ the leader starts a transfer, cancels it too late, and does not hear of its successor
    delayed     ──▶ the last answers to the leader's heartbeats come late, and nothing else arrives
    paused      ──▶ the leader is paused meanwhile, and is then asked before it handles its overdue timers
    late order  ──▶ the transfer failed long ago, and its order to campaign arrives only now
    dozing      ──▶ the friends heard nothing for longer than a vote lease, the rival heard the leader just now
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, get_args

from msgspec import Struct

from pyraft_lab.check.liveness import disconnect
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.messages import HeartbeatResponse, TimeoutNow
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import Timeout
from pyraft_lab.sim.conditions import SECOND, Purpose, Weather, chance
from pyraft_lab.sim.controls import OPERATOR
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Call, Resume, TransferLeadership
from pyraft_lab.trace.record import Flight

FAST = Weather(latency=(0.0004, 0.001), disk=(0.0001, 0.0003))
"""So fast that a new leader can write before the old one's lease expires, if a quorum elects it."""
SLOW, QUICK = 0.95, 1.04
"""The rates of the leader's clock and of the others: they differ as much as the default ``clock_drift`` allows."""
DURATION = 240
"""Milliseconds that one scenario takes."""
WAKE_DELAY = 0.1
"""Seconds after which a leader that was paused handles its overdue timers."""
LATE = 0.3
"""Seconds that a late order is on its way."""
KEY = "x"
Setup = Literal["cut off", "divided", "restarted", "transferred", "delayed", "paused", "late order", "dozing"]
SETUPS: tuple[Setup, ...] = get_args(Setup)


class StaleReadScenario(Struct, frozen=True):
    """One stale-read scenario, by its setup; a client reads from the old leader by ``policy``."""

    setup: Setup = "cut off"
    policy: ReadPolicy = "lease"

    def run(self, sim: Simulation) -> None:
        """Elect a leader with short delays, let it lead for a while, then cut it off; the seed decides when."""
        sim.weather = FAST
        leader = sim.run_until(lambda s: s.leader)
        assert leader is not None, "run_until waits for one"
        sim.run(0.3)
        rival, *friends = [node for node in sim.nodes if node != leader]
        for node in sim.nodes:
            sim.drift(node, SLOW if node == leader else QUICK)
        sim.run(0.05 + 0.05 * chance(sim.seed, Purpose.FAULT, 1, 0))
        _ACTS[self.setup](sim, leader, rival, friends)
        depose(sim, leader, rival, self.policy)


def depose(sim: Simulation, leader: NodeId, rival: NodeId, policy: ReadPolicy) -> None:
    """Let the rival campaign until it leads, write to it, and continue to read from the old leader."""
    written = None
    for millisecond in range(DURATION):
        if written is None and sim.leader == rival:
            written = sim.write({"op": "put", "key": KEY, "value": 1}, to=rival)
        elif sim.leader != rival and millisecond % 4 == 0:
            sim.elect(rival)
        if written is not None and written.ok:
            sim.read(KEY, to=leader, policy=policy, client=1)
        sim.run(0.001)


def cut_off(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """The leader can reach no other server, and no other server can reach it."""
    sim.partition({leader}, {rival, *friends})


def divided(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """One server stays with the leader: the last, which may be a learner."""
    *others, ally = friends
    sim.partition({leader, ally}, {rival, *others})


def restarted(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """The leader is cut off, and the other servers restart, so they lose what is not on disk."""
    cut_off(sim, leader, rival, friends)
    for friend in friends:
        sim.crash(friend)
        sim.restart(friend)


def transferred(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """The leader transfers leadership and cancels the transfer; its successor's messages do not reach it."""
    sim.cut(rival, leader)
    sim.call(Call(client=OPERATOR, request=TransferLeadership(rival), to=leader))
    sim.run(0.002)
    sim.call(Call(client=OPERATOR, request=TransferLeadership(leader), to=leader))
    cut_off(sim, leader, rival, friends)


def delayed(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """The last answers to the leader's heartbeats take a tenth of a second."""
    answers = sim.run_until(lambda s: [one for one in s.flying if isinstance(one.message, HeartbeatResponse)])
    for flight in answers:
        sim.delay(flight.id, 0.1)
    for node in (rival, *friends):
        sim.cut(leader, node)
    sim.cut(rival, leader)


def paused(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """The leader is paused until it is deposed; only its overdue timers can tell it when it resumes."""
    cut_off(sim, leader, rival, friends)
    sim.pause(leader)
    for _ in range(DURATION // 4):
        if sim.leader != rival:
            sim.elect(rival)
        sim.run(0.004)
    sim.decide(Resume(leader, round(WAKE_DELAY * SECOND)))


def late_order(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """A TimeoutNow takes longer than the transfer; meanwhile the leader leads on, and holds new leases."""
    sim.call(Call(client=OPERATOR, request=TransferLeadership(rival), to=leader))
    with suppress(Timeout):
        for flight in sim.run_until(_orders, timeout=0.1):
            sim.delay(flight.id, LATE)
    sim.call(Call(client=OPERATOR, request=TransferLeadership(leader), to=leader))
    sim.run(LATE - 0.03)
    for node in friends:
        disconnect(sim, leader, node)
    sim.cut(rival, leader)
    sim.run(0.04)


def _orders(sim: Simulation) -> list[Flight]:
    return [one for one in sim.flying if isinstance(one.message, TimeoutNow)]


def dozing(sim: Simulation, leader: NodeId, rival: NodeId, friends: Sequence[NodeId]) -> None:
    """A friend sleeps until its vote lease is over, and wakes when the rival, whose lease runs, campaigns."""
    sleeper = friends[0]
    sim.pause(sleeper)
    sim.run(2 * sim.nodes[sleeper].state.config.election_timeout[0])
    cut_off(sim, leader, rival, friends)
    sim.decide(Resume(sleeper, round(WAKE_DELAY * SECOND)))


_ACTS: Mapping[Setup, Callable[[Simulation, NodeId, NodeId, Sequence[NodeId]], None]] = {
    "cut off": cut_off,
    "divided": divided,
    "restarted": restarted,
    "transferred": transferred,
    "delayed": delayed,
    "paused": paused,
    "late order": late_order,
    "dozing": dozing,
}
