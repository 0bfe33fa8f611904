"""Liveness after healing: once everything works again, a cluster must settle, agree and answer.

Safety says that nothing bad happens, and a cluster that does nothing is safe. So when all links, servers and disks have
worked for :func:`liveness_bound` seconds, these checks ask for what must then be true::

    faults … healed ── bound ──▶ one leader · members agree · clients answered ── bound ──▶ the same leader
                                                                  └ the last write and read, repeated, are answered

An idle cluster does not show faults that appear only under load: :func:`under_load` keeps a client writing, stops a
follower, and restarts it after the leader's log was purged.
"""

from collections.abc import Iterator, Sequence

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.state import Leader, Reverted, SendSnapshot
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.conditions import SECOND, Weather
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.views import NodeView
from pyraft_lab.sim.world import Call, Query, Request, Write

PROBE = -2
"""The client id of these writes and reads."""
Broken = Iterator[tuple[str, str]]
USUAL = Weather()
"""The conditions of a simulation that is given none."""


def liveness_bound(config: Config) -> float:
    """Seconds that a healed cluster has to settle: twenty of its longest election timeouts."""
    return 20 * config.election_timeout[1]


def permits_disruption(config: Config, weather: Weather = USUAL) -> bool:
    """Whether removed or returning servers may depose a leader again and again: there is no pre-vote and no lease.

    A leader whose answers come later than its lease ends has none between two rounds. Liveness is not judged then: a
    server that was removed, and does not know, campaigns (§6).
    """
    lease = config.election_timeout[0] * (1 - config.clock_drift)
    slowest = config.heartbeat_interval + 2 * weather.latency[-1]
    return not (config.pre_vote or (config.vote_lease and slowest < lease))


def ends_liveness(config: Config) -> bool:
    """Whether a knob ends liveness by itself: no elections, or no heartbeats, so that idle followers campaign."""
    return not (config.enable_elect and config.enable_heartbeat)


STEADY = 16
"""Entries that a leader must be able to have on their way for a steady load to be no more than it can carry."""


def is_throttled(config: Config) -> bool:
    """Whether tiny windows or limits permit less than the steady loads of these checks: writes then may wait."""
    entry = 64  # bytes of a small command in its session
    a_message = min(config.max_append_entries, max(1, config.max_append_bytes // entry))
    on_their_way = min(a_message * config.max_inflight, max(1, config.max_inflight_bytes // entry) + a_message)
    return config.max_uncommitted_bytes is not None or on_their_way < STEADY


def liveness(sim: Simulation) -> tuple[Violation, ...]:
    """The liveness violations of a simulation that was healed and then ran for :func:`liveness_bound` seconds.

    It checks a fork that is :func:`at_rest`, and goes on with it; the simulation itself does not change.
    """
    rested = at_rest(sim)
    broken = list(is_settled(rested)) or list(stays_settled(rested))
    return tuple(Violation(name=name, what=what, event=sim.world.events - 1, time=sim.now) for name, what in broken)


def at_rest(sim: Simulation) -> Simulation:
    """A fork of a healed simulation in which nothing is late that the conditions had made late.

    Syncs that began on a slow disk have ended, and the cluster has had its time since; what goes in tiny pieces has
    been carried to the members that lacked it.
    """
    fork = sim.fork()
    config = next(iter(fork.nodes.values())).state.config
    left = max(0.0, *(node.busy / SECOND - fork.now for node in fork.world.nodes.values()))
    fork.run(left + (liveness_bound(config) if left > fork.weather.disk[-1] else 0.0))
    applied = -1
    while is_throttled(config) and (now := sum(node.applied for node in fork.nodes.values())) > applied:
        applied = now
        fork.run(2 * config.election_timeout[1])
    return fork


# Now


def is_settled(sim: Simulation) -> Broken:
    """Violations in the present state: there is one leader, members agree with it, clients have their answers."""
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
    """Violations of one member: it is up, follows the leader, and has the same log and state."""
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
    yield from _is_compact(node)


def _is_compact(node: NodeView) -> Broken:
    """Violations of a member whose log grows without limit: no snapshot where one is due, or nothing purged (§7)."""
    state, config, covered = node.state, node.state.config, node.state.snapshot_last.index
    due, kept = config.snapshot_logs_since_last, covered - state.log.start.index
    if due is not None and state.applied - covered >= due:
        yield (
            "logs are compacted in the end",
            f"node {node.id} has applied {state.applied}, and a snapshot to {covered}",
        )
    peers = state.role.progress if isinstance(state.role, Leader) else ()
    waiting = any(isinstance(one.state, (SendSnapshot, Reverted)) for one in peers)
    if kept >= config.keep_logs + config.purge_batch and not waiting:
        yield "logs are compacted in the end", f"node {node.id} keeps {kept} entries that its snapshot covers"


def _is_held_back(leader: NodeView, id: NodeId) -> bool:
    """Whether the leader sends a member nothing, since it lost acknowledged entries and waits for an operator."""
    progress = leader.state.progress_of(id)
    return progress is not None and isinstance(progress.state, Reverted)


# From now on


def stays_settled(sim: Simulation) -> Broken:
    """Violations from now on: the leader stays, and the repeated last write and read are answered. Runs ``sim``."""
    leader = sim.leader
    assert leader is not None, "a cluster at rest has a leader"
    config, term = sim.nodes[leader].state.config, sim.nodes[leader].term
    wait, wishes = liveness_bound(config), [call.call.request for call in sim.calls]
    last = {type(wish): wish for wish in wishes}
    asked = [last[kind] for kind in (Write, Query) if kind in last]
    calls = [sim.call(Call(client=PROBE, request=wish, to=leader)) for wish in asked]
    sim.run(wait / 20)
    for call in calls:
        if not call.done:
            yield "answers in the end", f"a healed cluster leaves {call.call.request} unanswered for {wait / 20:g} s"
    sim.run(wait)
    if sim.leader != leader or sim.nodes[leader].term != term:
        yield "a leader that stays", f"node {leader} led in term {term}; now it is {sim.leader}, undisturbed"
    yield from list(is_settled(sim)) or list(keeps_leader(sim.fork())) or hands_over(sim)


def keeps_leader(sim: Simulation) -> Broken:
    """Violations at rest where a follower and its leader are separated for a while: nobody deposes a leader (§9.6).

    The others reach both, and the follower's log is as up-to-date as theirs. Only their vote leases keep the peace: a
    pre-vote that passes over them raises a term that the leader learns when the link is whole again. Runs ``sim``.
    """
    leader = sim.leader
    assert leader is not None, "a cluster at rest has a leader"
    state = sim.nodes[leader].state
    members, term, wait = state.membership, state.term, 4 * state.config.election_timeout[1]
    spared = [one for one in sorted(members.voters - {leader}) if members.is_quorum(members.voters - {one})]
    if not spared or leader not in members.voters or not state.config.vote_lease:
        return
    disconnect(sim, leader, spared[0])
    sim.run(wait)
    if state.config.pre_vote:
        sim.heal()
        sim.run(wait)
    if (sim.leader, sim.nodes[leader].term) != (leader, term):
        yield (
            "a leader that stays",
            f"nodes {leader} and {spared[0]} were separated for {wait:g} s; now {sim.leader} leads, not {leader}",
        )


def disconnect(sim: Simulation, one: NodeId, other: NodeId) -> None:
    """Cut the link between two servers in both directions."""
    sim.cut(one, other)
    sim.cut(other, one)


def hands_over(sim: Simulation) -> Broken:
    """Violations of a transfer at rest: its target leads within four longest election timeouts. Runs ``sim``."""
    leader = sim.leader
    assert leader is not None, "a cluster at rest has a leader"
    state = sim.nodes[leader].state
    for target in sorted(state.membership.voters - {leader})[:1]:
        asked, wait = sim.transfer(target), 4 * state.config.election_timeout[1]
        sim.run(wait)
        if sim.leader != target:
            said = f"; {asked.error}" if asked.error else ""
            yield (
                "transfers succeed",
                f"node {leader} was to transfer to {target}; after {wait:g} s {sim.leader} leads{said}",
            )


# Under steady load

LOAD = 100
"""Writes per second of the steady load, where the disks are fast enough."""
SHARE = 0.5
"""The share of a disk's time that the steady load may take: each write is synced by itself."""


def under_load(sim: Simulation) -> tuple[Violation, ...]:
    """The liveness violations of a healed cluster while a client repeats the last write.

    In a fork a follower stops, the leader purges its log up to a snapshot, and the follower restarts. Within
    :func:`liveness_bound` seconds it must have caught up with the commit index of one longest election timeout ago, and
    every write must have been answered in that time. It begins :func:`at_rest`. There is nothing to check without
    an earlier write or a leader, or while an operator waits for another leader or membership.
    """
    last = next((call.call.request for call in reversed(sim.calls) if _may_be_repeated(call.call.request)), None)
    is_operated = any(not call.done and not isinstance(call.call.request, (Write, Query)) for call in sim.calls)
    if not isinstance(last, Write) or sim.leader is None or is_operated:
        return ()
    broken = list(_keeps_up(at_rest(sim), last))
    return tuple(Violation(name=name, what=what, event=sim.world.events - 1, time=sim.now) for name, what in broken)


def _may_be_repeated(request: Request) -> bool:
    """Whether the state stays as large as it is if a request is repeated."""
    command = request.command if isinstance(request, Write) else None
    return isinstance(request, Write) and not (isinstance(command, dict) and command.get("op") == "append")


def _keeps_up(sim: Simulation, wish: Write) -> Broken:
    leader = sim.leader
    assert leader is not None, "only a cluster with a leader is put under load"
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
    """Run ``seconds`` more of load; violations by nodes and calls that still lack what was committed before."""
    due, asked = max(node.commit for node in sim.nodes.values()), sim.calls
    _write_steadily(sim, wish, seconds)
    lags = [id for id in others if sim.nodes[id].applied < due]
    late = sum(not call.done for call in asked)
    return [
        *(("keeps up under load", f"node {id} has not applied {due}, known {seconds:g} s ago") for id in lags),
        *([("answers under load", f"{late} calls wait for more than {seconds:g} s")] if late else []),
    ]


def _write_steadily(sim: Simulation, wish: Write, seconds: float) -> None:
    rate = min(LOAD, SHARE / (sum(sim.weather.disk) / 2))
    for _ in range(round(seconds * rate)):
        sim.call(Call(client=PROBE, request=wish))
        sim.run(1 / rate)
