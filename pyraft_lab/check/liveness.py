"""Liveness after healing: once everything works again, a cluster must come to rest, agree, and answer.

Safety says that nothing bad ever happens, and a cluster that does nothing at all is safe. So when every link is
whole, every server up and every disk sound for :func:`patience` seconds, this asks for what must then be true::

    faults … healed ── patience ──▶ one leader · members agree · clients answered ── patience ──▶ the same leader
                                                                     └ the last wishes, once more, are answered

A cluster at rest shows nothing of what goes wrong while it works: :func:`under_load` has a client go on writing, takes
a follower away, and brings it back to a log that was cut meanwhile.
"""

from collections.abc import Iterator, Sequence

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.state import Leader, Reverted
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.views import NodeView
from pyraft_lab.sim.world import Call, Query, Write

PROBE = -2
"""The client id under which they are asked."""
Broken = Iterator[tuple[str, str]]


def liveness_bound(config: Config) -> float:
    """How many seconds a healed cluster has to come right: twenty of its longest election timeouts."""
    return 20 * config.election_timeout[1]


def liveness(sim: Simulation) -> tuple[Violation, ...]:
    """What has not come right in a simulation that was healed, and then left alone for :func:`patience`.

    Looks at it as it is, and at a fork that goes on; the simulation itself stays where it is.
    """
    broken = list(is_settled(sim)) or list(stays_settled(sim.fork()))
    return tuple(Violation(name=name, what=what, event=sim.world.events - 1, time=sim.now) for name, what in broken)


# Now


def is_settled(sim: Simulation) -> Broken:
    """One leader, members that agree with it, clients that have their answers."""
    leader = sim.nodes[sim.leader] if sim.leader else None
    if leader is None:
        yield "a leader in the end", "everything is healed, and nobody leads"
    else:
        yield from _one_leads(sim, leader)
        yield from _membership_is_settled(leader)
        for id in sorted(leader.membership.nodes):
            yield from _agrees(sim, id, leader)
    for call in sim.calls:
        if not call.done:
            yield "answered in the end", f"client {call.call.client} still waits for its {call.call.request}"


def _one_leads(sim: Simulation, leader: NodeView) -> Broken:
    for id in sorted(leader.membership.nodes):
        if id in sim.nodes and id != leader.id and sim.nodes[id].up and sim.nodes[id].role == "leader":
            yield "one leader in the end", f"node {id} leads in term {sim.nodes[id].term}, beside node {leader.id}"
    if leader.id not in leader.membership.nodes:
        yield "one leader in the end", f"node {leader.id} leads a cluster that it was removed from"


def _membership_is_settled(leader: NodeView) -> Broken:
    if leader.membership.is_joint and leader.state.config.auto_leave:
        yield "no joint membership in the end", f"node {leader.id} still goes by {leader.membership}"
    if leader.membership != leader.state.committed_membership:
        yield "no joint membership in the end", f"{leader.membership} is not committed"


def _agrees(sim: Simulation, id: NodeId, leader: NodeView) -> Broken:
    """A member is up, follows, and has all that its leader has."""
    if id not in sim.nodes or not sim.nodes[id].up:
        why = sim.nodes[id].state.halted if id in sim.nodes else "it was never started"
        yield "everybody up in the end", f"node {id} is a member and down{why and ': ' + why}"
        return
    if _is_held_back(leader, id):
        yield "taken back in the end", f"node {id} lost its log, and the leader waits for `allow_revert({id})`"
        return
    node = sim.nodes[id]
    if (node.term, node.leader) != (leader.term, leader.id):
        yield "one leader in the end", f"node {id} follows {node.leader} in term {node.term}, not {leader.id}"
    mine, theirs = (node.log.last, node.commit, node.applied), (leader.log.last, leader.commit, leader.applied)
    if mine != theirs:
        yield "agreement in the end", f"node {id} has last, commit, applied {mine}; its leader {theirs}"
    elif node.sessions != leader.sessions:
        yield "agreement in the end", f"the machines of node {id} and node {leader.id} differ"


def _is_held_back(leader: NodeView, id: NodeId) -> bool:
    """Whether the leader sends nothing to a member that lacks what it had acknowledged, until an operator says so."""
    role = leader.state.role
    progress = role.of(id) if isinstance(role, Leader) else None
    return progress is not None and isinstance(progress.state, Reverted)


# From now on


def stays_settled(sim: Simulation) -> Broken:
    """The leader stays; the last write and the last read, asked once more, are answered soon. Drives ``sim`` on."""
    leader = sim.leader
    assert leader is not None, "a cluster at rest has a leader"
    term, wait = sim.nodes[leader].term, liveness_bound(sim.nodes[leader].state.config)
    last = {type(call.call.request): call.call.request for call in sim.calls}
    asked = [last[kind] for kind in (Write, Query) if kind in last]
    calls = [sim.call(Call(client=PROBE, request=wish, to=leader)) for wish in asked]
    sim.run(wait / 20)
    for call in calls:
        if not call.done:
            yield "answers in the end", f"a healed cluster leaves {call.call.request} unanswered for {wait / 20:g} s"
    sim.run(wait)
    if sim.leader != leader or sim.nodes[leader].term != term:
        yield "a leader that stays", f"node {leader} led in term {term}; now it is {sim.leader}, undisturbed"
    yield from is_settled(sim)


# Under steady load

LOAD = 100
"""Writes a second of the steady load."""


def under_load(sim: Simulation) -> tuple[Violation, ...]:
    """What does not keep up in a healed cluster to which a client goes on writing what was written last.

    A fork loses a follower, cuts the leader's log behind a snapshot, and gets the follower back. Within
    :func:`patience` it must have caught up with what was committed a longest election timeout ago, and every write must
    have been answered in that time. Without a write so far, or without a leader, there is nothing to ask.
    """
    last = next((call.call.request for call in reversed(sim.calls) if isinstance(call.call.request, Write)), None)
    broken = [] if last is None or sim.leader is None else list(_keeps_up(sim.fork(), last))
    return tuple(Violation(name=name, what=what, event=sim.world.events - 1, time=sim.now) for name, what in broken)


def _keeps_up(sim: Simulation, wish: Write) -> Broken:
    leader = sim.leader
    assert leader is not None, "load is put on a cluster that is led"
    wait = liveness_bound(sim.nodes[leader].state.config)
    others = sorted(set(sim.nodes[leader].membership.nodes) - {leader})
    everybody, members = {leader, *others}, sim.nodes[leader].membership
    for away in [id for id in others if members.is_quorum(everybody - {id})][:1]:
        sim.crash(away)
        _write_steadily(sim, wish, wait / 20)
        sim.snapshot(leader)
        _write_steadily(sim, wish, wait / 20)
        sim.purge(leader, sim.nodes[leader].commit)
        sim.restart(away)
    behind = _behind(sim, wish, others, wait / 20)
    for _ in range(20):
        if behind:
            behind = _behind(sim, wish, others, wait / 20)
    if sim.leader != leader:
        yield "a leader that stays", f"node {leader} led; under load node {sim.leader} does"
    yield from behind


def _behind(sim: Simulation, wish: Write, others: Sequence[NodeId], seconds: float) -> Sequence[tuple[str, str]]:
    """Who lacks, and which call waits for, what was there before another ``seconds`` of load."""
    due, asked = max(node.commit for node in sim.nodes.values()), sim.calls
    _write_steadily(sim, wish, seconds)
    lags = [id for id in others if sim.nodes[id].applied < due]
    late = sum(not call.done for call in asked)
    return [
        *(("keeps up under load", f"node {id} has not applied {due}, known {seconds:g} s ago") for id in lags),
        *([("answers under load", f"{late} calls wait for more than {seconds:g} s")] if late else []),
    ]


def _write_steadily(sim: Simulation, wish: Write, seconds: float) -> None:
    for _ in range(round(seconds * LOAD)):
        sim.call(Call(client=PROBE, request=wish))
        sim.run(1 / LOAD)
