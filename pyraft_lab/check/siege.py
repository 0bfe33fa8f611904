"""A siege of leases: leaders are cut off, deposed and tricked while somebody goes on reading from them by their lease.

A lease read asks nobody, so it rests on clocks: no clock of the cluster is further off here than the configuration
allows for, and every trick has to fail::

    cut off     ──▶ leader ✂ {rival, friend}; the rival campaigns every millisecond
    restarted   ──▶ and the friend is started anew, so that it may have forgotten whom it promised what
    transferred ──▶ the leader hands over, and does not hear how that ends
    delayed     ──▶ the last answers to the leader's heartbeats come late, and nothing else gets through
"""

from collections.abc import Callable

from pyraft_lab.engine.messages import HeartbeatResponse
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.controls import OPERATOR
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.weather import Purpose, Weather, chance
from pyraft_lab.sim.world import Call, HandOver

FAST = Weather(latency=(0.0004, 0.001), disk=(0.0001, 0.0003))
"""So fast that a new leader is at work before the old one's lease is over, if anybody lets it."""
SLOW, QUICK = 0.95, 1.04
"""The leader's clock and the others' run as differently as the default ``clock_drift`` still allows for."""
LASTS = 240
"""Milliseconds of one trick."""
KEY = "x"


def besiege(sim: Simulation, rounds: int = 4) -> None:
    """Try a trick after the other on three servers; the seed says which, and who is the rival."""
    sim.weather = FAST
    for count in range(rounds):
        leader = sim.run_until(lambda s: s.leader)
        sim.run(0.3)
        if sim.leader == leader and not sim.violations:
            tricks = (cut_off, restarted, transferred, delayed)
            luck = chance(sim.seed, Purpose.FAULT, 1, count)
            siege(sim, leader, count, tricks[int(luck * len(tricks))])
        sim.heal()
        sim.run(0.7)


def siege(
    sim: Simulation, leader: NodeId, count: int, trick: Callable[[Simulation, NodeId, NodeId, NodeId], None]
) -> None:
    """One trick: read from the old leader and write through a new one."""
    rival, friend = [node for node in sim.nodes if node != leader]
    for node in sim.nodes:
        sim.drift(node, SLOW if node == leader else QUICK)
    sim.run(0.05 + 0.05 * chance(sim.seed, Purpose.FAULT, 2, count))
    trick(sim, leader, rival, friend)
    written = False
    for millisecond in range(LASTS):
        if sim.leader == rival and not written:
            call = sim.write({"op": "put", "key": KEY, "value": count}, to=rival)
            sim.run(0.005)
            written = call.ok
        elif sim.leader != rival and millisecond % 4 == 0:
            sim.elect(rival)
        if written:
            sim.read(KEY, to=leader, policy="lease", client=1)
        sim.run(0.001)


def cut_off(sim: Simulation, leader: NodeId, rival: NodeId, friend: NodeId) -> None:
    """Nobody hears the leader, and it hears nobody."""
    sim.partition({leader}, {rival, friend})


def restarted(sim: Simulation, leader: NodeId, rival: NodeId, friend: NodeId) -> None:
    """Besides, a follower has a short rest."""
    cut_off(sim, leader, rival, friend)
    sim.crash(friend)
    sim.restart(friend)


def transferred(sim: Simulation, leader: NodeId, rival: NodeId, friend: NodeId) -> None:
    """The leader gives its office away, takes that back too late, and does not hear of its successor."""
    sim.cut(rival, leader)
    sim.transfer(rival)
    sim.run(0.002)
    sim.call(Call(client=OPERATOR, wish=HandOver(leader), to=leader))
    cut_off(sim, leader, rival, friend)


def delayed(sim: Simulation, leader: NodeId, rival: NodeId, friend: NodeId) -> None:
    """What is last answered to the leader's heartbeats takes a tenth of a second."""
    answers = sim.run_until(lambda s: [one for one in s.flying if isinstance(one.message, HeartbeatResponse)])
    for flight in answers:
        sim.delay(flight.id, 0.1)
    for src, dst in ((leader, rival), (leader, friend), (rival, leader)):
        sim.cut(src, dst)
