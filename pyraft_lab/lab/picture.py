"""A static picture of the Lab as a file; ``python -m pyraft_lab.lab.picture FILE`` makes the one of the README."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pyraft_lab.lab.opening import open_session
from pyraft_lab.lab.session import SimulationSession
from pyraft_lab.sim.simulation import Simulation

ASKED = "The answer of n2 is still on its way. Can entry 7 be lost now, whichever server crashes next?"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture to the given file."""
    (target,) = sys.argv[1:] if arguments is None else arguments
    svg, _ = SimulationSession(scene()).picture()
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg + "\n", encoding="utf-8")
    return 0


def session() -> SimulationSession:
    """The run of the picture as a Lab, which plays until the entry on its way is committed, and asks about it."""
    made = SimulationSession(scene())
    open_session(made, "full", lambda sim: not is_uncommitted(sim), ASKED)
    return made


def scene() -> Simulation:
    """A moment with many features: a new leader after a crash, a write on its way, a shorter log."""
    sim = Simulation(nodes=5, seed=7)
    sim.run_until(lambda s: s.leader)
    for value in range(1, 4):
        call = sim.write({"op": "put", "key": "x", "value": value})
        while not call.done:
            sim.step()
    sim.crash(1)
    sim.run_until(lambda s: s.leader)
    sim.run(0.05)
    sim.write({"op": "put", "key": "y", "value": 1})
    sim.run_until(is_uncommitted)
    sim.run(0.007)
    return sim


def is_uncommitted(sim: Simulation) -> bool:
    """Whether the leader has appended an entry that it has not committed yet."""
    leader = sim.nodes[sim.leader] if sim.leader else None
    return leader is not None and leader.state.log.last.index > leader.state.committed


if __name__ == "__main__":
    sys.exit(main())
