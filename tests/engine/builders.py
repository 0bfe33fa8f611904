"""Values with defaults: states as the paper draws them, events in a word, and questions to a step.

The membership stands in a snapshot of nothing, so that a log can be written as in the paper, by its terms:
``[1, 1, 2]``. Entries were created by node 1 unless a pair (term, node) says otherwise.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Append,
    Apply,
    Command,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SaveVote,
    Send,
    StorageCommand,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, Elect, Event, Fire, Propose, Receive, Stored
from pyraft_lab.engine.log import Entry, Log, Normal, Payload, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Candidate, Disk, Follower, Leader, PreCandidate, Progress, RaftState, Step
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, VOTE_LEASE
from pyraft_lab.engine.types import ORIGIN, Index, LogId, NodeId, Term, Vote

VOTERS = (1, 2, 3)
FIRST = LogId(0, 1, 1)
"""The entry of Initialize, which every voter of these tests holds."""
STORAGE = (SaveVote, Append, Truncate, SaveSnapshot, Purge, WriteChunk, InstallSnapshot)
EAGER = Config(pre_vote=False, check_quorum=False, vote_lease=False)
"""The paper's Raft and nothing else: no pre-vote, no leases."""

Terms = Iterable[Term | tuple[Term, NodeId]]
M = TypeVar("M")
C = TypeVar("C")

# Logs


def id_of(index: Index, term: Term | tuple[Term, NodeId] = 1) -> LogId:
    """The id of an entry; ``(term, node)`` where another node than 1 created it."""
    return LogId(*term, index) if isinstance(term, tuple) else LogId(term, 1, index)


def entry(index: Index, term: Term | tuple[Term, NodeId] = 1, payload: Payload | None = None) -> Entry:
    """An entry that says where it stands, unless a payload is given."""
    id = id_of(index, term)
    return Entry(id, payload or Normal(f"{id.term}.{index}".encode()))


def entries(terms: Terms, first: Index = 1) -> tuple[Entry, ...]:
    """Consecutive entries of these terms."""
    return tuple(entry(first + place, term) for place, term in enumerate(terms))


def log(terms: Terms) -> Log:
    """A log, given by its terms."""
    return Log().append(entries(terms))


def terms(state: RaftState | Log) -> list[Term]:
    """A log as the paper draws it."""
    return [one.id.term for one in (state if isinstance(state, Log) else state.log)]


def last_of(given: Terms) -> LogId:
    """The id of the last entry of such a log."""
    return log(given).last


# States


def disk(
    given: Terms = (),
    *,
    vote: Vote | None = None,
    voters: Iterable[NodeId] = VOTERS,
    learners: Iterable[NodeId] = (),
    membership: Membership | None = None,
) -> Disk:
    """A disk with this log; the vote is that of the log's last term unless one is given."""
    members = membership or Membership.of(voters, learners=learners)
    written = log(given)
    founding = SnapshotMeta(last=ORIGIN, membership=members) if members.configs else None
    return Disk(vote=vote or Vote(written.last.term), log=written, snapshot=founding)


def follower(
    id: NodeId = 2,
    given: Terms = (),
    *,
    term: Term | None = None,
    voted_for: NodeId = 0,
    leader: NodeId = 0,
    has_heard_leader: bool = False,
    committed: Index = 0,
    config: Config = EAGER,
    rules: Rules = RAFT,
    **members: Any,
) -> RaftState:
    """A node at rest: a follower, or a learner where ``learners`` names it.

    With ``leader`` it follows that leader of ``term``; ``has_heard_leader`` as if it had heard from it just now.
    """
    written = tuple(given)
    term = last_of(written).term if term is None else term
    vote = Vote(term, leader or voted_for, bool(leader))
    quiet = replace(config, enable_elect=False, leader_restore=False)
    booted = step(start(id, disk(written, vote=vote, **members), quiet), Boot(), rules).after
    role = replace(cast("Follower", booted.role), leader=leader, has_heard_leader=has_heard_leader)
    return replace(booted, config=config, role=role, committed=committed, applied=committed)


def pre_candidate(id: NodeId = 1, given: Terms = (), *, config: Config = EAGER, **more: Any) -> RaftState:
    """A node that has asked whether it could win the term after ``term``."""
    asked = after(follower(id, given, config=config, **more), Elect(pre_vote=True))
    assert isinstance(asked.role, PreCandidate), "a single voter asks nobody"
    return asked


def candidate(
    id: NodeId = 1, given: Terms = (), *, term: Term | None = None, config: Config = EAGER, **more: Any
) -> RaftState:
    """A node that stands for election in ``term`` (the next, unless one is given); its own vote is on disk."""
    before = None if term is None else term - 1
    standing = after(follower(id, given, term=before, config=config, **more), Elect())
    stored = after(standing, all_stored(standing))
    assert isinstance(stored.role, (Candidate, Leader)), "a voter was asked to campaign"
    return stored


def leader(
    id: NodeId = 1, given: Terms = (), *, term: Term | None = None, durable: bool = True, **more: Any
) -> RaftState:
    """The leader of ``term`` (the next, unless one is given), just elected.

    Its no-op ends its log, and is on its own disk where ``durable``.
    """
    standing = candidate(id, given, term=term, **more)
    peers = sorted(standing.membership.voters - {id})
    elected = after(standing, *(grant(peer, standing.term, to=id) for peer in peers))
    assert isinstance(elected.role, Leader), "everybody granted"
    return after(elected, all_stored(elected)) if durable else elected


def streaming(state: RaftState, *peers: NodeId) -> RaftState:
    """This leader after ``peers`` (all, where none is named) acknowledged its whole log."""
    named = peers or tuple(one.peer for one in leadership(state).progress)
    return after(state, *(accepted(peer, state) for peer in named))


# Events


def all_stored(state: RaftState) -> Stored:
    """The disk has caught up with everything issued so far."""
    return Stored(state.vote, state.log.last)


def vote_request(
    src: NodeId = 1, term: Term = 1, last: LogId = ORIGIN, *, transfer: bool = False, pre: bool = False
) -> Receive:
    """A candidate's request, or with ``pre`` a pre-candidate's question."""
    vote = Vote(term, src)
    if pre:
        return Receive(src, PreVoteRequest(vote=vote, last=last))
    return Receive(src, VoteRequest(vote=vote, last=last, transfer=transfer))


def grant(src: NodeId, term: Term = 1, *, to: NodeId = 1, last: LogId = FIRST) -> Receive:
    """``src`` has voted for ``to``."""
    vote = Vote(term, to)
    return Receive(src, VoteResponse(vote=vote, asked=vote, granted=True, last=last))


def refusal(src: NodeId, term: Term = 1, *, to: NodeId = 1, vote: Vote | None = None, last: LogId = ORIGIN) -> Receive:
    """``src`` refuses ``to`` the vote of ``term``; ``vote`` is its own."""
    mine = vote or Vote(term, src)
    return Receive(src, VoteResponse(vote=mine, asked=Vote(term, to), granted=False, last=last))


def pre_grant(src: NodeId, term: Term = 1, *, to: NodeId = 1, vote: Vote | None = None) -> Receive:
    """``src`` would vote for ``to`` in ``term``; ``vote`` is its own today."""
    mine = vote or Vote(term - 1)
    return Receive(src, PreVoteResponse(vote=mine, asked=Vote(term, to), granted=True, last=ORIGIN))


def pre_refusal(
    src: NodeId, term: Term = 1, *, to: NodeId = 1, vote: Vote | None = None, last: LogId = ORIGIN
) -> Receive:
    """``src`` would refuse ``to`` in ``term``; ``vote`` is its own today."""
    mine = vote or Vote(term - 1)
    return Receive(src, PreVoteResponse(vote=mine, asked=Vote(term, to), granted=False, last=last))


def append_request(
    src: NodeId = 1,
    term: Term = 1,
    prev: LogId = ORIGIN,
    given: Sequence[Entry] = (),
    *,
    commit: Index = 0,
    round: int = 1,
) -> Receive:
    """AppendEntries from the leader of ``term``."""
    vote = Vote(term, src, committed=True)
    return Receive(src, AppendRequest(vote=vote, prev=prev, entries=tuple(given), commit=commit, round=round))


def heartbeat(
    src: NodeId = 1, term: Term = 1, matched: LogId = ORIGIN, *, commit: Index = 0, round: int = 1
) -> Receive:
    """A heartbeat of the leader of ``term``."""
    vote = Vote(term, src, committed=True)
    return Receive(src, HeartbeatRequest(vote=vote, matched=matched, commit=commit, round=round))


def accepted(src: NodeId, state: RaftState, index: Index | None = None, *, round: int | None = None) -> Receive:
    """``src`` tells the leader ``state`` that it holds everything up to ``index`` (all, unless one is named)."""
    matched = state.log.id_at(state.log.last.index if index is None else index)
    assert matched is not None, "only what the leader's log holds can be acknowledged"
    return Receive(src, AppendAccepted(vote=state.vote, matched=matched, round=_round(state, round)))


def refused(src: NodeId, state: RaftState, prev: LogId, hint: LogId = ORIGIN, *, round: int | None = None) -> Receive:
    """``src`` tells the leader ``state`` that it lacks ``prev``, and what it has."""
    return Receive(src, AppendRefused(vote=state.vote, prev=prev, hint=hint, round=_round(state, round)))


def heard(src: NodeId, state: RaftState, *, round: int | None = None) -> Receive:
    """``src`` answers the heartbeat of this round of the leader ``state``."""
    return Receive(src, HeartbeatResponse(vote=state.vote, round=_round(state, round)))


def propose(*commands: str | bytes, first: int = 1) -> Propose:
    """Clients' writes; their requests are numbered from ``first``."""
    payloads = tuple(Normal(one.encode() if isinstance(one, str) else one) for one in commands)
    return Propose(requests=tuple(range(first, first + len(payloads))), payloads=payloads)


def receive(src: NodeId, message: AnyMessage) -> Receive:
    """Any message."""
    return Receive(src, message)


def _round(state: RaftState, round: int | None) -> int:
    return leadership(state).round if round is None else round


TIMEOUT, BEAT, LEASE_OVER = Fire(ELECTION), Fire(HEARTBEAT), Fire(VOTE_LEASE)
"""The timers that tests fire most."""

# Acts


def run(state: RaftState, *events: Event, rules: Rules = RAFT) -> list[Step]:
    """One step after the other."""
    steps: list[Step] = []
    for event in events:
        steps.append(step(steps[-1].after if steps else state, event, rules))
    return steps


def after(state: RaftState, *events: Event, rules: Rules = RAFT) -> RaftState:
    """The state after these events."""
    return reduce(lambda so_far, event: step(so_far, event, rules).after, events, state)


# Questions


def commands(turn: Step | Iterable[Step], kind: type[C]) -> list[C]:
    """The commands of one kind."""
    steps = [turn] if isinstance(turn, Step) else turn
    return [command for one in steps for command in one.commands if isinstance(command, kind)]


def storage(turn: Step | Iterable[Step]) -> list[StorageCommand]:
    """What is to be written."""
    return cast("list[StorageCommand]", commands(turn, cast("type[Command]", STORAGE)))


def sends(turn: Step | Iterable[Step], dst: NodeId | None = None) -> list[Send]:
    """What is sent, with its receiver and whether it waits for the disk."""
    return [send for send in commands(turn, Send) if dst in (None, send.dst)]


def sent(turn: Step | Iterable[Step], kind: type[M], dst: NodeId | None = None) -> list[M]:
    """The messages of one kind (to one receiver)."""
    return [send.message for send in sends(turn, dst) if isinstance(send.message, kind)]


def answers(turn: Step) -> list[AnyMessage]:
    """What goes back to the sender of the message that was received."""
    assert isinstance(turn.event, Receive), "only a message is answered"
    return [send.message for send in sends(turn, turn.event.src)]


def applied(turn: Step | Iterable[Step]) -> list[Index]:
    """The indexes handed to the state machine, in order."""
    return [one.index for apply in commands(turn, Apply) for one in apply.entries]


def leadership(state: RaftState) -> Leader:
    """The leadership of a node that leads."""
    assert isinstance(state.role, Leader), f"node {state.id} is a {type(state.role).__name__}"
    return state.role


def progress(state: RaftState, peer: NodeId) -> Progress:
    """What a leader knows of a peer."""
    known = state.progress_of(peer)
    assert known is not None, f"node {peer} is not replicated to"
    return known
