"""Safety in plain words over a small world: slow, obvious, and a pattern for predicates of one's own.

The explorer judges the paper's properties at every transition by itself; what stands here says the same about a
single world, spelt out, and may be given to it too::

    explore(3, invariants=invariants | {"my own": lambda world: len(world.leaders) < 2})
    invariants["logs match"](simulation.world)
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from pyraft_lab.check.worlds import World
from pyraft_lab.engine.state import Leader, RaftState
from pyraft_lab.sim.world import World as SimulatedWorld

AnyWorld = World | SimulatedWorld
"""One that the explorer visits, or that of a simulation (``sim.world``)."""
Predicate = Callable[[AnyWorld], bool]


def one_leader_a_term(world: AnyWorld) -> bool:
    """Election safety (§5.2), as far as one world shows it."""
    terms = [state.term for state in _states(world) if isinstance(state.role, Leader)]
    return len(terms) == len(set(terms))


def logs_match(world: AnyWorld) -> bool:
    """Log matching (§5.3): the same entry at one index means the same log up to it."""
    return all(_match(a, b) for a, b in combinations(_states(world), 2))


def committed_agree(world: AnyWorld) -> bool:
    """State machine safety (§5.4.3): what two servers both call committed is the same."""
    return all(
        a.log.id_at(index) == b.log.id_at(index)
        for a, b in combinations(_states(world), 2)
        for index in _shared(a, b, min(a.committed, b.committed))
    )


def newest_leader_knows_all(world: AnyWorld) -> bool:
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
    "the newest leader knows all": newest_leader_knows_all,
}
"""Named predicates over a world of the explorer or of a simulation."""


def _states(world: AnyWorld) -> tuple[RaftState, ...]:
    """The states of the servers that are up."""
    if isinstance(world, SimulatedWorld):
        return tuple(node.state for node in world.nodes.values() if node.up)
    return tuple(server.state for server in world.servers)


def _shared(a: RaftState, b: RaftState, upto: int) -> Iterator[int]:
    """The indexes that neither log has forgotten."""
    return iter(range(max(a.log.first_index, b.log.first_index), upto + 1))


def _match(a: RaftState, b: RaftState) -> bool:
    both = list(_shared(a, b, min(a.log.last.index, b.log.last.index)))
    same = [a.log.entry(index) == b.log.entry(index) for index in both]
    ids = [a.log.id_at(index) == b.log.id_at(index) for index in both]
    return all(all(same[: place + 1]) for place, equal in enumerate(ids) if equal)
