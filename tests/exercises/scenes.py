"""Scenes in which a server has something to decide: rivals, a log behind, late and conflicting entries, Figure 8."""

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.sim.simulation import Simulation

PLAIN = Config(pre_vote=False, enable_elect=False)
"""Nobody stands for election but by order."""
FIGURE_8 = Config(enable_elect=False, pre_vote=False, vote_lease=False, check_quorum=False, max_append_entries=1)
"""And entries travel one by one."""


def rivals() -> Simulation:
    """n1 and n3 stand for election at the same moment; n2 decides between them."""
    sim = Simulation(nodes=3, seed=1, config=PLAIN)
    sim.elect(1)
    sim.elect(3)
    return sim


def led() -> Simulation:
    """n1 leads three servers, and all logs are equal."""
    sim = Simulation(nodes=3, seed=1, config=PLAIN)
    sim.elect(1)
    sim.run(0.2)
    return sim


def behind() -> Simulation:
    """n3 missed an entry, and stands for election all the same; n2 heard n1 long ago."""
    sim = led()
    sim.partition({1, 2}, {3})
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.2)
    sim.partition({1}, {2, 3})
    sim.run(0.5)
    sim.elect(3)
    return sim


def late() -> Simulation:
    """An append with one entry is on its way twice to n2, and another one follows the first copy."""
    sim = led()
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(lambda s: any(_to_2(s)), timeout=1)
    sim.duplicate(_to_2(sim)[0])
    sim.delay(max(_to_2(sim)), 0.2)
    sim.run(0.05)
    sim.write({"op": "put", "key": "x", "value": 2})
    return sim


def _to_2(sim: Simulation) -> list[int]:
    return [
        flight.id
        for flight in sim.flying
        if flight.dst == 2 and isinstance(flight.message, AppendRequest) and flight.message.entries
    ]


def conflict() -> Simulation:
    """n2 alone holds an entry of term 1 that n1 died with; n3 leads term 2 and has another one there."""
    sim = Simulation(nodes=5, seed=1, config=PLAIN)
    sim.elect(1)
    sim.run(0.2)
    sim.partition({1, 2}, {3, 4, 5})
    sim.write({"op": "put", "key": "x", "value": 1}, to=1)
    sim.run(0.03)
    sim.crash(1)
    sim.run(0.5)
    sim.elect(3)
    sim.run(0.2)
    sim.heal()
    return sim


def figure_8() -> Simulation:
    """Figure 8 up to (c): n1 leads term 3 again and gets acknowledgements for its entry of term 1."""
    sim = Simulation(nodes=5, seed=8, config=FIGURE_8)
    sim.elect(1)
    sim.run(0.1)
    sim.partition({1, 2}, {3, 4, 5})
    sim.write({"op": "put", "key": "x", "value": 1}, to=1)
    sim.run(0.05)
    sim.crash(1)
    sim.partition({2}, {3, 4, 5})
    sim.elect(5)
    sim.run_until(lambda s: s.leader == 5, timeout=1)
    sim.partition({1}, {2}, {3}, {4}, {5})
    sim.run(0.02)
    sim.crash(5)
    sim.restart(1)
    sim.partition({1, 3, 4}, {2}, {5})
    sim.elect(1)
    sim.run(0.1)
    sim.elect(1)
    for node in (3, 4):
        sim.run_until(lambda s: s.nodes[node].log.last.index == 3, timeout=1)  # noqa: B023 (it is called at once)
        sim.cut(1, node)
    return sim
