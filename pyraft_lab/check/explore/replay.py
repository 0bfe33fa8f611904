"""From a simulation to a search and back: its present moment as a start, and what was found as a simulation.

A replay identifies messages by their content: the explorer's messages have no numbers, and its snapshots other bytes.
"""

from collections.abc import Sequence
from typing import assert_never

from pyraft_lab.check.explore.exactly_once import MakeMachine
from pyraft_lab.check.explore.explorer_state import (
    Action,
    Ask,
    Compact,
    Crash,
    Deliver,
    Expire,
    ExplorerState,
    PathStep,
    Reconfigure,
    Silence,
    Submit,
    Sync,
    Transfer,
    event_of,
)
from pyraft_lab.check.explore.history_variables import HistoryVariables
from pyraft_lab.check.explore.leases import Round
from pyraft_lab.check.explore.server_state import SNAPSHOT, Message, ServerState, Write
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import Stored
from pyraft_lab.engine.messages import AnyMessage, SnapshotRequest
from pyraft_lab.engine.state import Leader, RaftState
from pyraft_lab.engine.timers import VOTE_LEASE
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.errors import PyraftError
from pyraft_lab.machine import KeyValue, Sessions, StateMachine
from pyraft_lab.sim import world as simulated
from pyraft_lab.sim.conditions import SECOND, Weather
from pyraft_lab.sim.disk import UnsyncedWrites
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import MessageId

ACTION_INTERVAL = 0.01
"""Virtual seconds between two acts of a replay."""
MANUAL_DELIVERY = Weather(latency=(1000.0, 1000.0), disk=(1000.0, 1000.0))
"""Nothing arrives before it is told to."""


# From a simulation


def start_from(simulation: Simulation) -> ExplorerState:
    """The present moment of a simulation as a start for searches, once every server is up and every link whole.

    Time and chance are left out: timers that run may run out in any order, messages arrive in any order or never.
    """
    origin = simulation.fork()
    origin.heal()
    for node in origin.nodes.values():
        if node.paused:
            origin.resume(node.id)
        if not node.up:
            origin.restart(node.id)
    nodes = [origin.world.nodes[id] for id in sorted(origin.world.nodes)]
    states = [node.state for node in nodes]
    newest = {state.vote: Round(state.term, state.id, role.round) for state, role in _leaders(states)}
    messages = (Message(flight.src, flight.dst, flight.message) for flight in origin.flying)
    return ExplorerState(
        servers=tuple(_local(node, newest.get(node.state.vote)) for node in nodes),
        messages=tuple(messages),
        history=_history(states),
        origin=origin,
    )


def _local(node: simulated.Node, newest: Round | None) -> ServerState:
    """A server as it is; with which round its vote lease began it does not say, so take its leader's newest one."""
    queue, timers = tuple(_write(node.id, batch) for batch in node.batches), frozenset(node.timers)
    return ServerState(node.state, node.synced, queue, timers, newest if VOTE_LEASE in timers else None)


def _write(node: NodeId, batch: UnsyncedWrites) -> Write:
    held = tuple(Message(node, one.dst, one.message) for one in batch.held)
    return Write(batch.commands, Stored(batch.image.vote, batch.image.log.last), held)


def _leaders(states: Sequence[RaftState]) -> Sequence[tuple[RaftState, Leader]]:
    """The states of leaders, each with its role."""
    return [(state, state.role) for state in states if isinstance(state.role, Leader)]


def _history(states: Sequence[RaftState]) -> HistoryVariables:
    """The past as far as the present shows it; by whom entries were committed is a guess that accuses nobody."""
    most = max(states, key=lambda one: (one.committed, -one.log.start.index))
    entries = most.log.slice(most.log.first_index, most.committed + 1)
    latest = max((one.vote.term, one.vote.node) for one in states)
    leaders = _leaders(states)
    return HistoryVariables(
        frozenset((one.term, one.id) for one, _ in leaders),
        entries,
        (latest,) * len(entries),
        most.log.start,
        over=frozenset(Round(one.term, one.id, role.expired_round) for one, role in leaders if one.config.vote_lease),
    )


# To a simulation


def replay(end: ExplorerState, engine: Engine, machine: MakeMachine = KeyValue) -> Simulation:
    """A simulation of the path to ``end``, step by step; everything that is still pending waits."""
    simulation = _new_simulation(end, engine, machine)
    for moment in end.path:
        simulation.wait(simulation.world.now + round(ACTION_INTERVAL * SECOND))
        _repeat(simulation, moment)
    return simulation


def _new_simulation(end: ExplorerState, engine: Engine, machine: MakeMachine) -> Simulation:
    if end.origin is not None:
        return end.origin.fork()
    first = end.servers[0].state
    members = first.membership_at(1)
    if members.is_joint:
        raise PyraftError(f"a simulation starts with one voter set, not with {members}; reach it in a stage of its own")
    return Simulation(
        nodes=members.voters,
        learners=members.learners,
        engine=engine,
        config=first.config,
        machine=machine if first.config.snapshot_chunk >= len(SNAPSHOT) else lambda: SessionsOfOneSize.like(machine()),
        weather=MANUAL_DELIVERY,
    )


class SessionsOfOneSize(Sessions):
    """Sessions whose snapshots are as long as those of a search, so that they travel in as many chunks."""

    @classmethod
    def like(cls, machine: StateMachine | Sessions) -> "SessionsOfOneSize":
        """The same machine with the same limits."""
        known = Sessions.of(machine)
        return cls(known.machine, expiry=known.expiry, most=known.most)

    def snapshot(self) -> bytes:
        """The snapshot, its own length before it and zeros behind it."""
        data = super().snapshot()
        return (len(data).to_bytes(4, "big") + data).ljust(len(SNAPSHOT), b"\0")

    def restore(self, data: bytes) -> None:
        """Replace machine and sessions by those of such a snapshot."""
        super().restore(data[4 : 4 + int.from_bytes(data[:4], "big")])


def _repeat(simulation: Simulation, moment: PathStep) -> None:
    match moment.act:
        case Silence():
            for flight in simulation.flying:
                simulation.drop(flight.id)
        case act:
            _act(simulation, act)
            _complete(simulation, act.node, instant=moment.instant)


def _act(simulation: Simulation, act: Action) -> None:
    match act:
        case Deliver(flight, again):
            message = _find(simulation, flight)
            if again:
                simulation.duplicate(message)
            simulation.take(simulated.Deliver(message))
        case Expire(node, timer):
            simulation.take(simulated.FireTimer(node, timer))
        case Sync(node):
            simulation.take(simulated.Sync(node))
        case Crash(node):
            simulation.crash(node)
            simulation.restart(node)
        case Submit() | Ask() | Transfer() | Reconfigure() | Compact():
            simulation.decide(simulated.Notify(act.node, event_of(act)))
        case _:
            assert_never(act)


def _complete(simulation: Simulation, node: NodeId, *, instant: bool) -> None:
    """The machine is at once, and so is an ``instant`` disk."""
    while at_once := [action for action in simulation.pending if _is_instant(action, node, instant=instant)]:
        simulation.take(at_once[0])


def _is_instant(action: simulated.Pending, node: NodeId, *, instant: bool) -> bool:
    match action:
        case simulated.Build(at) | simulated.SnapshotMissing(at):
            return at == node
        case simulated.Sync(at):
            return instant and at == node
        case _:
            return False


def _find(simulation: Simulation, message: Message) -> MessageId:
    """The first message under way that says what ``message`` says."""
    for flight in simulation.flying:
        if (flight.src, flight.dst) == (message.src, message.dst) and _is_same_message(flight.message, message.message):
            return flight.id
    raise PyraftError(f"the replay went another way: {message} is not under way")


def _is_same_message(one: AnyMessage, other: AnyMessage) -> bool:
    match one, other:
        case SnapshotRequest(), SnapshotRequest():
            return _told_by(one) == _told_by(other)
        case _:
            return one == other


def _told_by(request: SnapshotRequest) -> tuple[Vote, LogId, int, int]:
    return request.vote, request.meta.last, request.round, request.offset
