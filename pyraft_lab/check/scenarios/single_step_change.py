"""The single-step membership bug: two leaders change the membership before an entry of their own term is committed.

The counterexample of 2015 to single-server changes, with four voters A B C D and a learner E::

    A leads, alone           adds E       A: {A,B,C,D,E}
    B leads, heard by C      removes A    B: {B,C,D}  committed by B and C
    A, D and E are together  A wins three of its five votes, and lacks a committed entry
"""

from collections.abc import Iterable

from msgspec import Struct

from pyraft_lab.engine.membership import AddVoters, RemoveVoters
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import Timeout
from pyraft_lab.sim.controls import OPERATOR
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Call, Reconfigure


class SingleStepChangeScenario(Struct, frozen=True):
    """The single-step membership bug with five servers; the last is a learner."""

    def run(self, sim: Simulation) -> None:
        """Produce the bug; if the rules prevent it, nothing but two elections happens."""
        a, b, c, d, e = sim.nodes
        sim.run_until(lambda s: s.leader)
        sim.run(0.5)
        _make_leader(sim, a, sim.nodes)
        sim.partition({a}, {b, c, d, e})
        sim.call(Call(client=OPERATOR, request=Reconfigure(AddVoters(frozenset({e}))), to=a))
        _make_leader(sim, b, {b, c, d})
        sim.partition({b, c}, {a}, {d}, {e})
        sim.call(Call(client=OPERATOR, request=Reconfigure(RemoveVoters(frozenset({a}))), to=b))
        sim.run(0.1)
        _make_leader(sim, a, {a, d, e})


def _make_leader(sim: Simulation, node: NodeId, among: Iterable[NodeId]) -> None:
    """Let ``node`` campaign among some servers until it leads, at most eight times."""
    here = set(among)
    sim.partition(here, set(sim.nodes) - here)
    for _ in range(8):
        if sim.nodes[node].role == "leader" and sim.leader == node:
            return
        sim.elect(node)
        try:
            sim.run_until(lambda s: s.leader == node or s.violations, timeout=0.1)
        except Timeout:
            continue
