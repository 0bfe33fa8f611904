"""Refinement: check that the specification of Raft (:mod:`.spec`) allows every step of a simulation.

A step of the engine maps to steps of the specification, which follow from its event, its commands and the change of
state; there is no search. Afterwards both must agree on term, vote, role, log, commit index, applied index and
configuration::

    engine   one AppendRequest with three entries     ──▶ one step
    spec     follow, accept, accept, accept, learn_commit, apply, write …   acknowledge, once it is on disk

It checks the paper's Raft: one vote a term, and a restarted leader becomes a follower.

>>> from pyraft_lab.sim.simulation import Simulation
>>> sim = Simulation(nodes=3, seed=7, checks=[Refinement()])
>>> sim.run(1)
>>> sim.violations
[]
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from typing import assert_never

from pyraft_lab.check.spec import Entry as SpecEntry
from pyraft_lab.check.spec import NotAllowed, Raft, Role, Server
from pyraft_lab.engine import state as engine
from pyraft_lab.engine.commands import (
    Append,
    Apply,
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
from pyraft_lab.trace.record import Flight, Kind, Record

NAME = "refines the specification"
_STORAGE = (SaveVote, Append, Truncate, Purge, SaveSnapshot, InstallSnapshot, WriteChunk)


class Refinement:
    """A checker that follows a simulation with the specification; it reports only the first difference.

    It follows up to the first torn crash: the specification knows no batch of which a part survives.
    """

    def __init__(self) -> None:
        self.spec, self.records, self.is_broken, self.is_over = Raft(), list[Record](), False, False

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The violation if the specification does not allow the record."""
        assert record.id < world.events, "a record is checked after it has happened"
        return self.check_record(record)

    def fork(self, world: World) -> "Refinement":
        """A checker that has seen the events before ``world``."""
        twin = Refinement()
        if world.events < len(self.records):
            for record in self.records[: world.events]:
                twin.check_record(record)
        else:  # the present, as nearly every fork: nothing to follow again
            twin.spec, twin.records = deepcopy(self.spec), self.records.copy()
            twin.is_broken, twin.is_over = self.is_broken, self.is_over
        return twin

    def check_record(self, record: Record) -> Sequence[Violation]:
        """As :meth:`check` without a world, for a trace from its beginning."""
        self.records.append(record)
        if record.kind is Kind.CRASH and record.detail:
            self.is_over = True  # a part of a batch survives, and the specification writes a batch as a whole
        if self.is_broken or self.is_over:
            return ()
        try:
            follow(self.spec, record)
        except NotAllowed as why:
            self.is_broken = True
            return (Violation(name=NAME, what=f"node {record.node}: {why}", event=record.id, time=record.time),)
        return ()


def refine(records: Iterable[Record]) -> tuple[Violation, ...]:
    """Check a whole trace (``trace.records``) from its beginning; returns no violation if every step is allowed."""
    judge = Refinement()
    return tuple(violation for record in records for violation in judge.check_record(record))


def follow(spec: Raft, record: Record) -> None:
    """Make the specification take the steps of a record; raises ``NotAllowed`` if it cannot."""
    step = record.step
    if record.kind is Kind.WIPE:
        spec.wipe(record.node)
    if step is not None:
        if isinstance(step.event, Stored):
            spec.sync(record.node)
        explain(spec, step)
        compare(spec, step)
    for flight in record.sent:
        binding_message(spec, flight)


# One step


def explain(spec: Raft, step: Step) -> None:
    """Make the specification take the same step as the engine; raises ``NotAllowed`` if it cannot."""
    _start(spec, step)
    _learn_term(spec, step)
    _campaign(spec, step.after)
    if isinstance(step.after.role, engine.Leader) and spec.servers[step.after.id].role is not Role.LEADER:
        spec.become_leader(step.after.id)
    if spec.servers[step.after.id].role is Role.LEADER:
        _rule(spec, step)
    if role_of(step.after.role) is Role.FOLLOWER:
        spec.step_down(step.after.id)
    _apply(spec, step)
    _write(spec, step)


def _start(spec: Raft, step: Step) -> None:
    """A server starts or receives the first configuration."""
    node = step.after.id
    match step.event:
        case Boot() if node in spec.servers:
            spec.restart(node)
        case Boot():
            spec.join(node, map(line, step.before.log))
        case Initialize() if len(step.after.log) > len(step.before.log):
            spec.initialize(node, line(step.after.log.entry(1)))
        case _:
            pass


def _learn_term(spec: Raft, step: Step) -> None:
    """Take over a message's term: vote for its candidate or follow its leader."""
    match step.event:
        case Receive(src, VoteRequest(vote=vote)) if _has_granted(step):
            spec.grant_vote(step.after.id, src, vote.term)
        case Receive(_, AppendRequest() | HeartbeatRequest() | SnapshotRequest() | TimeoutNow() as message):
            if message.vote.committed and message.vote.term >= step.before.term:
                spec.follow(step.after.id, message.vote.term)
                _follow_leader(spec, step, message)
        case _:
            pass


def _has_granted(step: Step) -> bool:
    return any(isinstance(answer, VoteResponse) and answer.granted for answer in _answers(step))


def _answers(step: Step) -> Iterator[object]:
    return (command.message for command in step.commands if isinstance(command, Send))


def _follow_leader(spec: Raft, step: Step, message: LeaderMessage) -> None:
    """A follower takes entries or a snapshot, and learns its leader's commit index."""
    node = step.after.id
    if isinstance(message, AppendRequest) and any(isinstance(answer, AppendAccepted) for answer in _answers(step)):
        for entry in message.entries:
            spec.accept(node, entry.index)
    for command in step.commands:
        if isinstance(command, InstallSnapshot):
            spec.install_snapshot(node, command.meta.last.index)
    if step.after.committed > spec.servers[node].committed:
        spec.learn_commit(node, step.after.committed)


def _campaign(spec: Raft, after: RaftState) -> None:
    """A new term without a message of a candidate or leader: the server's own campaign, or a term it learned of."""
    if after.term > spec.servers[after.id].term:
        if after.vote.node == after.id:
            spec.start_election(after.id)
        else:
            spec.update_term(after.id, after.term)


def _rule(spec: Raft, step: Step) -> None:
    """A leader appends and commits; it may have to commit one configuration before it appends the next."""
    node, committed = step.after.id, step.after.committed
    appended = [entry for command in step.commands if isinstance(command, Append) for entry in command.entries]
    if appended:
        _commit_if_possible(spec, node, min(committed, appended[0].index - 1))
    for entry in appended:
        spec.append(node, line(entry))
    if committed > spec.servers[node].committed:
        spec.commit(node, committed)


def _commit_if_possible(spec: Raft, node: NodeId, upto: Index) -> None:
    candidates = range(upto, spec.servers[node].committed, -1)
    index = next((index for index in candidates if spec.may_commit(node, index)), None)
    if index is not None:
        spec.commit(node, index)


def _apply(spec: Raft, step: Step) -> None:
    """Apply committed entries to the state machine."""
    for command in step.commands:
        if isinstance(command, Apply):
            spec.apply(step.after.id, command.entries[-1].index)


def _write(spec: Raft, step: Step) -> None:
    """Write the state after the step to the disk, as one image."""
    for command in step.commands:
        if isinstance(command, SaveSnapshot):
            spec.take_snapshot(step.after.id, command.meta.last.index)
    if any(isinstance(command, _STORAGE) for command in step.commands):
        spec.write(step.after.id)


# Promises


def binding_message(spec: Raft, flight: Flight) -> None:
    """A sent message that binds its server: a vote or an acknowledgement; duplicates add nothing."""
    if flight.copy_of is not None:
        return
    match flight.message:
        case VoteResponse(granted=True, asked=asked):
            spec.send_vote(flight.src, asked.node, asked.term)
        case AppendAccepted(vote=vote, matched=matched):
            spec.acknowledge(flight.src, vote.term, matched.index)
        case _:
            pass


# Agreement


def compare(spec: Raft, step: Step) -> None:
    """Compare engine and specification in the state of Figure 2; raises ``NotAllowed``, which names a difference."""
    after, server = step.after, spec.servers[step.after.id]
    if after.halted:
        raise NotAllowed(f"it stopped: {after.halted}")
    _agree("term", after.term, server.term)
    _agree("vote", *_votes(spec, after, server))
    _agree("role", role_of(after.role), server.role)
    _agree("last index", after.log.last.index, len(server.log))
    for command in step.commands:
        if isinstance(command, Append):
            for entry in command.entries:
                _agree(f"entry {entry.index}", line(entry), server.log[entry.index - 1])
    _agree("commit index", after.committed, server.committed)
    _agree("applied index", after.applied, server.applied)
    _agree("configuration", after.membership.configs, server.voters)


def _votes(spec: Raft, after: RaftState, server: Server) -> tuple[NodeId, NodeId]:
    """The two votes to compare: once it knows the term's leader, the engine's vote names that leader."""
    if after.vote.committed and after.term in spec.leaderships:
        return after.vote.node, spec.leaderships[after.term].leader
    return after.vote.node, server.voted_for


def _agree(what: str, engines: object, specs: object) -> None:
    if engines != specs:
        raise NotAllowed(f"its {what} is {engines}, where the specification has {specs}")


def line(entry: Entry) -> SpecEntry:
    """An engine's entry in the form of the specification."""
    payload = entry.payload
    return SpecEntry(entry.id.term, payload, payload.membership.configs if isinstance(payload, Configuration) else ())


def role_of(role: engine.Role) -> Role:
    """An engine's role in the form of the specification: pre-candidates and learners count as followers."""
    match role:
        case engine.Leader():
            return Role.LEADER
        case engine.Candidate():
            return Role.CANDIDATE
        case engine.Follower() | engine.Learner() | engine.PreCandidate():
            return Role.FOLLOWER
        case _:
            assert_never(role)
