"""A write whose answer is lost: its leader crashes when all followers have the entry, and the client asks again.

::

    client  ─ append ▶ leader ── entry ──▶ followers    leader ✗      client ─ what became of it? ▶ next leader
                                                                             └ (unknown) append ▶ once more?
"""

from msgspec import Struct

from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.simulation import Simulation

CLIENT = 1
APPEND = {"op": "append", "key": "x", "value": "a"}
LONGEST = 5.0
"""Virtual seconds in which another leader is elected and the client has asked it."""


class LostAnswerScenario(Struct, frozen=True):
    """A client appends to a key, and then once more while its leader crashes."""

    def run(self, sim: Simulation) -> None:
        """Run it; the seed says who leads."""
        leader = sim.run_until(lambda s: s.leader)
        assert leader is not None, "run_until waits for one"
        first = sim.write(APPEND, client=CLIENT)
        sim.run_until(lambda _: first.done)
        target = sim.nodes[leader].log.last.index + 1
        second = sim.write(APPEND, client=CLIENT)
        followers = [node for node in sim.nodes if node != leader]
        sim.run_until(lambda s: all(_has(s, node, target) for node in followers) or second.done)
        if not second.done:
            sim.crash(leader)
        sim.run_until(lambda _: second.done, timeout=LONGEST)
        last = sim.read("x", client=CLIENT)
        sim.run_until(lambda _: last.done, timeout=LONGEST)


def _has(sim: Simulation, node: NodeId, target: int) -> bool:
    return sim.nodes[node].log.last.index >= target
