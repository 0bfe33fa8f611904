"""Liveness under standing faults: a majority whose servers reach each other must get on, whatever else is broken.

After healing everything, a part is broken again, and stays so. A client goes on writing, and a new learner is added::

    a follower alone     ──▶ nothing changes          a follower that is not heard, or does not hear ──▶ nothing changes
    the leader alone     ──▶ another one leads        leader ✂ follower, both reach all others       ──▶ nothing changes
    a slow disk          ──▶ nothing changes          a fifth of all messages is lost                ──▶ slower

Bounds are in virtual time, counted in longest election timeouts.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from pyraft_lab.check.liveness import at_rest, disconnect
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import Call, Write

PROBE = -3
"""The client id of these writes."""
LOAD = 20
"""Writes per second."""
SETTLING, JUDGED = 10, 10
"""Longest election timeouts until the cluster must get on, and those in which it is then watched."""
COMMAND = {"op": "put", "key": "standing", "value": 1}
Setup = Callable[[Simulation, NodeId, NodeId], None]
"""Breaks a part of a healed cluster: given the leader, and a follower that its majority can spare."""


def standing(sim: Simulation) -> tuple[Violation, ...]:
    """The liveness violations of a healed cluster in which one fault stays; the seed says which.

    ``sim`` does not change. Without a leader, or where no follower can be spared, there is nothing to judge.
    """
    leader = sim.leader
    if leader is None or not isinstance(sim.nodes[leader].state.role, Leader):
        return ()
    spared = _spared(sim, leader)
    if spared is None:
        return ()
    names = [name for name in SETUPS if sim.nodes[leader].state.config.vote_lease or name != CUT_OFF]
    name = names[int(chance(sim.seed, Purpose.FAULT, 3, 0) * len(names))]
    broken = list(_gets_on(at_rest(sim), name, leader, spared))
    return tuple(Violation(name=what, what=how, event=sim.world.events - 1, time=sim.now) for what, how in broken)


def _spared(sim: Simulation, leader: NodeId) -> NodeId | None:
    """A voter besides the leader without which there is a majority, with and without the leader's own vote."""
    membership = sim.nodes[leader].membership
    everybody = {node for node in membership.nodes if node in sim.nodes and sim.nodes[node].up}
    followers = sorted(membership.voters & everybody - {leader})
    return next((node for node in followers if membership.is_quorum(everybody - {node})), None)


def _gets_on(sim: Simulation, name: str, leader: NodeId, spared: NodeId) -> Iterator[tuple[str, str]]:
    unit = sim.nodes[leader].state.config.election_timeout[1]
    newcomer = max(sim.nodes) + 1
    SETUPS[name](sim, leader, spared)
    joining = sim.add_learner(newcomer)
    calls = [*_write_steadily(sim, SETTLING * unit)]
    terms, due = _term(sim), max(node.commit for node in sim.nodes.values())
    calls += _write_steadily(sim, JUDGED * unit)
    where = f"with {name} (leader {leader}, follower {spared})"
    late = [call for call in calls if not call.done and call.invoked < sim.now - JUDGED * unit]
    if late:
        yield "gets on under standing faults", f"{where}, {len(late)} writes wait for more than {JUDGED * unit:g} s"
    if _is_calm(sim, leader, name) and _term(sim) > terms:
        yield "no election storm", f"{where}, the term goes on from {terms} to {_term(sim)}"
    is_cut_off = name == ISOLATED and bool(sim.world.cuts)  # if the others can do without it
    if is_cut_off and sim.nodes[leader].role == "leader" and sim.nodes[leader].state.config.check_quorum:
        yield "leaders without a quorum step down", f"{where}, node {leader} still leads term {sim.nodes[leader].term}"
    if _is_calm(sim, leader, name) and name not in (ISOLATED, SLOW) and sim.nodes[leader].role == "leader":
        yield from _returns_quietly(sim, leader, where, unit)
    if not joining.done:
        yield "membership changes end", f"{where}, the learner {newcomer} is still not added"
    elif joining.ok and sim.nodes[newcomer].applied < due:
        yield "learners catch up", f"{where}, the learner {newcomer} has not applied {due}"


def _returns_quietly(sim: Simulation, leader: NodeId, where: str, unit: float) -> Iterator[tuple[str, str]]:
    """A follower that was cut off does not depose the leader when it returns: its pre-votes were refused (§9.6)."""
    term, healed = sim.nodes[leader].term, sim.fork()
    healed.heal()
    healed.run(JUDGED * unit)
    if healed.leader != leader or healed.nodes[leader].term != term:
        yield (
            "returning servers do not disturb",
            f"{where} and then healed, node {healed.leader} leads instead of {leader}",
        )


def _is_calm(sim: Simulation, leader: NodeId, name: str) -> bool:
    """Whether nothing in configuration or setup permits another election."""
    config = sim.nodes[leader].state.config
    return config.vote_lease and config.pre_vote and name != LOSS


def _term(sim: Simulation) -> int:
    """The term of the running leader, else the highest of all."""
    leader = sim.leader
    return sim.nodes[leader].term if leader is not None else max(node.term for node in sim.nodes.values())


def _write_steadily(sim: Simulation, seconds: float) -> Iterator[ClientCall]:
    for _ in range(round(seconds * LOAD)):
        yield sim.call(Call(client=PROBE, request=Write(COMMAND)))
        sim.run(1 / LOAD)


# What is broken


def _alone(sim: Simulation, node: NodeId) -> None:
    for other in sim.nodes:
        if other != node:
            disconnect(sim, node, other)


def _follower_alone(sim: Simulation, _leader: NodeId, spared: NodeId) -> None:
    _alone(sim, spared)


def _leader_alone(sim: Simulation, leader: NodeId, _spared: NodeId) -> None:
    membership = sim.nodes[leader].membership
    rest = {node for node in membership.nodes if node in sim.nodes and sim.nodes[node].up} - {leader}
    if membership.is_quorum(rest) and not membership.is_quorum({leader}):
        _alone(sim, leader)


def _unheard(sim: Simulation, _leader: NodeId, spared: NodeId) -> None:
    for other in sim.nodes:
        if other != spared:
            sim.cut(spared, other)


def _deaf(sim: Simulation, _leader: NodeId, spared: NodeId) -> None:
    for other in sim.nodes:
        if other != spared:
            sim.cut(other, spared)


def _separated(sim: Simulation, leader: NodeId, spared: NodeId) -> None:
    disconnect(sim, leader, spared)


def _slow(sim: Simulation, _leader: NodeId, spared: NodeId) -> None:
    sim.break_disk(spared, slow=100.0)


def _lossy(sim: Simulation, _leader: NodeId, _spared: NodeId) -> None:
    sim.weather = replace(sim.weather, loss=0.2, reorder=0.2)


CUT_OFF, LOSS, ISOLATED = "leader and follower separated", "messages lost", "the leader alone"
SLOW = "a slow disk"
SETUPS: Mapping[str, Setup] = {
    "a follower alone": _follower_alone,
    ISOLATED: _leader_alone,
    "a follower that is not heard": _unheard,
    "a follower that does not hear": _deaf,
    CUT_OFF: _separated,
    SLOW: _slow,
    LOSS: _lossy,
}
"""What stays broken, by its name."""
