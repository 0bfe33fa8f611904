"""Safety of a single world: slow, simple predicates, and an example for your own.

Simulation and explorer judge the paper's properties at every step by themselves, with the past in mind
(:mod:`pyraft_lab.sim.safety`). What is here looks at one moment, and may be asked of whatever is at hand: a
simulation, its ``world``, or a world of the explorer, all of which have ``servers``, ``leaders`` and ``world[node]``::

    explore(3, invariants=invariants | {"my own": lambda world: len(world.leaders) < 2})
    sim.always("logs match", invariants["logs match"])
    invariants["logs match"](sim.world)
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from pyraft_lab.check.explore.explorer_state import ExplorerState
from pyraft_lab.engine.state import Leader, RaftState
from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.safety import logs_match as are_matching
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import World as SimulatedWorld

AnyWorld = ExplorerState | SimulatedWorld | Simulation
"""One that the explorer visits, that of a simulation (``sim.world``), or a simulation as it is now."""
Predicate = Callable[[AnyWorld], bool]


def one_leader_a_term(world: AnyWorld) -> bool:
    """Election safety (§5.2), as far as one world shows it."""
    terms = [state.term for state in _states(world) if isinstance(state.role, Leader)]
    return len(terms) == len(set(terms))


def logs_match(world: AnyWorld) -> bool:
    """Log matching (§5.3): the same entry at one index means the same log up to it."""
    return all(are_matching(a.log, b.log) for a, b in combinations(_states(world), 2))


def committed_agree(world: AnyWorld) -> bool:
    """State machine safety (§5.4.3): what two servers both call committed is the same."""
    return all(
        a.log.id_at(index) == b.log.id_at(index)
        for a, b in combinations(_states(world), 2)
        for index in _shared(a, b, min(a.committed, b.committed))
    )


def leader_completeness(world: AnyWorld) -> bool:
    """Leader completeness (§5.4): the leader of the highest term has every committed entry."""
    leaders = [state for state in _states(world) if isinstance(state.role, Leader)]
    if not leaders:
        return True
    leader = max(leaders, key=lambda state: state.vote)
    return all(
        other.term > leader.term or leader.log.id_at(index) == other.log.id_at(index)
        for other in _states(world)
        for index in _shared(leader, other, other.committed)
    )


invariants: Mapping[str, Predicate] = {
    "one leader a term": one_leader_a_term,
    "logs match": logs_match,
    "committed entries agree": committed_agree,
    "the newest leader knows all": leader_completeness,
}
"""Named predicates over a simulation, its world, or a world of the explorer."""


def _states(world: AnyWorld) -> tuple[RaftState, ...]:
    """The states of the servers that are up."""
    match world:
        case ExplorerState() | SimulatedWorld():
            return tuple(server.state for server in world.servers)
        case Simulation():
            return tuple(server.state for server in world.world.servers)
        case _:
            rule = "must be a simulation, its world, or a state of the explorer; of live nodes look at the trace"
            raise ConfigError("world", world, rule)


def _shared(a: RaftState, b: RaftState, upto: int) -> Iterator[int]:
    """The indexes that neither log has forgotten."""
    return iter(range(max(a.log.first_index, b.log.first_index), upto + 1))
