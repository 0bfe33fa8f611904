"""Scenes in which a server has something to decide: rivals, a log behind, late and conflicting entries, Figure 8."""

from pyraft_lab.exercises import puzzles
from pyraft_lab.exercises.server_exercise import STORY, led
from pyraft_lab.exercises.server_exercise import late_message as late
from pyraft_lab.exercises.server_exercise import shorter_log as behind
from pyraft_lab.exercises.server_exercise import two_candidates as rivals
from pyraft_lab.sim.simulation import Simulation

__all__ = ["behind", "conflict", "figure_8", "late", "led", "rivals"]


def conflict() -> Simulation:
    """n2 alone holds an entry of term 1 that n1 died with; n3 leads term 2 and has another one there."""
    sim = Simulation(nodes=5, seed=1, config=STORY)
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
    sim = puzzles.figure_8()
    sim.partition({1, 3, 4}, {2}, {5})
    sim.elect(1)
    sim.run(0.1)
    sim.elect(1)
    for node in (3, 4):
        sim.run_until(lambda s: s.nodes[node].log.last.index == 3, timeout=1)  # noqa: B023 (it is called at once)
        sim.cut(1, node)
    return sim
