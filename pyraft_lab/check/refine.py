"""The second judge: every step of a simulation has to be something the model of Raft allows (:mod:`.model`).

A step of the engine is explained by acts of the model, which its event, its commands and the difference it made name;
nothing is searched for. Afterwards both must agree on term, vote, role, log, commit index and configuration::

    engine   one AppendRequest with three entries     ──▶ one step
    model    follow, accept, accept, accept, hear_commit, write …   acknowledge, once it is on disk

It judges Raft as the paper has it: one vote a term, and a leader that restarts follows.

>>> from pyraft_lab.sim.simulation import Simulation
>>> sim = Simulation(nodes=3, seed=7, checks=[Refinement()])
>>> sim.run(1)
>>> sim.violations
[]
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from pyraft_lab.check.spec import Impossible, Line, Model, Role, Server
from pyraft_lab.engine import state as engine
from pyraft_lab.engine.commands import (
    Append,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SaveVote,
    Send,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.events import Boot, Initialize, Receive, Stored
from pyraft_lab.engine.log import Configuration, Entry
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRequest,
    HeartbeatRequest,
    LeaderMessage,
    SnapshotRequest,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import Flight, Record

NAME = "refines the model"
_STORAGE = (SaveVote, Append, Truncate, Purge, SaveSnapshot, InstallSnapshot, WriteChunk)


class Refinement:
    """Follows a simulation with the model; a checker like any other, which falls silent after its first finding."""

    def __init__(self) -> None:
        self.model, self.records, self.is_broken = Model(), list[Record](), False

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """What of the record the model cannot explain."""
        assert record.id < world.events, "a record is judged once it has happened"
        return self.judge(record)

    def fork(self, world: World) -> "Refinement":
        """A judge that has seen what happened before ``world``."""
        twin = Refinement()
        for record in self.records[: world.events]:
            twin.judge(record)
        return twin

    def judge(self, record: Record) -> Sequence[Violation]:
        """As :meth:`check`, without a world: for a trace from its beginning."""
        self.records.append(record)
        if self.is_broken:
            return ()
        try:
            follow(self.model, record)
        except Impossible as why:
            self.is_broken = True
            return (Violation(name=NAME, what=f"node {record.node}: {why}", event=record.id, time=record.time),)
        return ()


def refine(records: Iterable[Record]) -> tuple[Violation, ...]:
    """Judge a whole trace (``trace.records``) from its beginning; nothing is found where all can be explained."""
    judge = Refinement()
    return tuple(violation for record in records for violation in judge.judge(record))


def follow(model: Model, record: Record) -> None:
    """Let the model go where the record says; raises ``Impossible`` where it cannot."""
    step = record.step
    if step is not None:
        if isinstance(step.event, Stored):
            model.sync(record.node)
        explain(model, step)
        compare(model, step)
    for flight in record.sent:
        promise(model, flight)


# One step


def explain(model: Model, step: Step) -> None:
    """Let the model do what the engine did."""
    _begin(model, step)
    _hear(model, step)
    _campaign(model, step.after)
    if isinstance(step.after.role, engine.Leader) and model.servers[step.after.id].role is not Role.LEADER:
        model.lead(step.after.id)
    if model.servers[step.after.id].role is Role.LEADER:
        _rule(model, step)
    if role_of(step.after.role) is Role.FOLLOWER:
        model.rest(step.after.id)
    _write(model, step)


def _begin(model: Model, step: Step) -> None:
    """A server starts, or is given the first configuration."""
    node = step.after.id
    match step.event:
        case Boot() if node in model.servers:
            model.restart(node)
        case Boot():
            model.join(node, map(line, step.before.log))
        case Initialize() if len(step.after.log) > len(step.before.log):
            model.found(node, line(step.after.log.entry(1)))
        case _:
            pass


def _hear(model: Model, step: Step) -> None:
    """What a message brings: a candidate to vote for, or a leader to follow."""
    match step.event:
        case Receive(src, VoteRequest(vote=vote)) if _has_granted(step):
            model.grant(step.after.id, src, vote.term)
        case Receive(_, AppendRequest() | HeartbeatRequest() | SnapshotRequest() | TimeoutNow() as message):
            if message.vote.committed and message.vote.term >= step.before.term:
                model.follow(step.after.id, message.vote.term)
                _obey(model, step, message)
        case _:
            pass


def _has_granted(step: Step) -> bool:
    return any(isinstance(answer, VoteResponse) and answer.granted for answer in _answers(step))


def _answers(step: Step) -> Iterator[object]:
    return (command.message for command in step.commands if isinstance(command, Send))


def _obey(model: Model, step: Step, message: LeaderMessage) -> None:
    """A follower takes entries or a snapshot, and hears how far its leader has committed."""
    node = step.after.id
    if isinstance(message, AppendRequest) and any(isinstance(answer, AppendAccepted) for answer in _answers(step)):
        for entry in message.entries:
            model.accept(node, entry.index)
    for command in step.commands:
        if isinstance(command, InstallSnapshot):
            model.install(node, command.meta.last.index)
    if step.after.committed > model.servers[node].commit:
        model.hear_commit(node, step.after.committed)


def _campaign(model: Model, after: RaftState) -> None:
    """A term that no message of a candidate or a leader explains: the server's own, or one it heard of."""
    if after.term > model.servers[after.id].term:
        if after.vote.node == after.id:
            model.time_out(after.id)
        else:
            model.learn(after.id, after.term)


def _rule(model: Model, step: Step) -> None:
    """A leader appends and commits. It may have to commit one configuration before it appends the next."""
    node, committed = step.after.id, step.after.committed
    appended = [entry for command in step.commands if isinstance(command, Append) for entry in command.entries]
    if appended:
        _commit_if_possible(model, node, min(committed, appended[0].index - 1))
    for entry in appended:
        model.append(node, line(entry))
    if committed > model.servers[node].commit:
        model.commit(node, committed)


def _commit_if_possible(model: Model, node: NodeId, upto: Index) -> None:
    candidates = range(upto, model.servers[node].commit, -1)
    index = next((index for index in candidates if model.may_commit(node, index)), None)
    if index is not None:
        model.commit(node, index)


def _write(model: Model, step: Step) -> None:
    """What the step changed goes to the disk, as one image."""
    for command in step.commands:
        if isinstance(command, SaveSnapshot):
            model.compact(step.after.id, command.meta.last.index)
    if any(isinstance(command, _STORAGE) for command in step.commands):
        model.write(step.after.id)


# Promises


def promise(model: Model, flight: Flight) -> None:
    """What leaves a server and binds it: a vote, an acknowledgement. A copy binds no more than its original."""
    if flight.copy_of is not None:
        return
    match flight.message:
        case VoteResponse(granted=True, asked=asked):
            model.promise_vote(flight.src, asked.node, asked.term)
        case AppendAccepted(vote=vote, matched=matched):
            model.acknowledge(flight.src, vote.term, matched.index)
        case _:
            pass


# Agreement


def compare(model: Model, step: Step) -> None:
    """Both must agree on all that the paper's Figure 2 keeps; raises ``Impossible`` naming what differs."""
    after, server = step.after, model.servers[step.after.id]
    if after.halted:
        raise Impossible(f"it stopped: {after.halted}")
    _agree("term", after.term, server.term)
    _agree("vote", *_votes(model, after, server))
    _agree("role", role_of(after.role), server.role)
    _agree("last index", after.log.last.index, len(server.log))
    for command in step.commands:
        if isinstance(command, Append):
            for entry in command.entries:
                _agree(f"entry {entry.index}", line(entry), server.log[entry.index - 1])
    _agree("commit index", after.committed, server.commit)
    _agree("configuration", after.membership.configs, server.voters)


def _votes(model: Model, after: RaftState, server: Server) -> tuple[NodeId, NodeId]:
    """Once a leader of the term is known, the engine names it in its vote, whoever it voted for."""
    if after.vote.committed and after.term in model.reigns:
        return after.vote.node, model.reigns[after.term].leader
    return after.vote.node, server.voted_for


def _agree(what: str, engines: object, models: object) -> None:
    if engines != models:
        raise Impossible(f"its {what} is {engines}, where the model has {models}")


def line(entry: Entry) -> Line:
    """An entry as the model has it."""
    payload = entry.payload
    return Line(entry.id.term, payload, payload.membership.configs if isinstance(payload, Configuration) else ())


def role_of(role: engine.Role) -> Role:
    """A role as the model has it: who only asks for a vote in advance, or only listens, follows."""
    match role:
        case engine.Leader():
            return Role.LEADER
        case engine.Candidate():
            return Role.CANDIDATE
        case engine.Follower() | engine.Learner() | engine.PreCandidate():
            return Role.FOLLOWER
        case _:
            assert_never(role)
