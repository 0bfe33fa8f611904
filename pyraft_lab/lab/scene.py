"""A view for the drawing, and the changes from one view to the next.

::

    key scene ── change ── change ── change …     a chunk: one whole scene, then only changes
"""

from typing import Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from pyraft_lab.engine.log import Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.engine.state import (
    Candidate,
    Leader,
    PreCandidate,
    Probe,
    Progress,
    RaftState,
    Replicate,
    Reverted,
    SendSnapshot,
)
from pyraft_lab.engine.types import Vote
from pyraft_lab.lab.cluster_view import Clock, ClusterView, ServerView
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.wire import (
    ClockDrawing,
    Decision,
    IncomingSnapshot,
    Json,
    LogDrawing,
    MembershipDrawing,
    MessageDrawing,
    PeerProgress,
    RoleName,
    Scene,
    SceneEvent,
    ServerDrawing,
    SnapshotDrawing,
    TermRun,
    Voters,
)
from pyraft_lab.trace.record import ANSWERS, Fate, Flight
from pyraft_lab.trace.text import entry_name, message_name, server
from pyraft_lab.viz.theme import GLYPHS


def scene(view: ClusterView) -> Scene:
    """Everything at one moment."""
    return Scene(
        time=view.time,
        nodes={str(node): drawn(server) for node, server in view.servers.items()},
        flying=tuple(flight(one) for one in view.flying.values()),
        cuts=tuple(sorted(view.cuts)),
        decisions=decisions(view),
    )


def with_changes(event: SceneEvent, before: ClusterView, after: ClusterView) -> SceneEvent:
    """The event with its changes: the new values of changed fields."""
    nodes = {
        str(node): _differing(before.servers.get(node), server)
        for node, server in after.servers.items()
        if before.servers.get(node) is not server
    }
    return replace(
        event,
        nodes=nodes or UNSET,
        cuts=tuple(sorted(after.cuts)) if before.cuts != after.cuts else UNSET,
        decisions=_new_decisions(before, after),
    )


def _new_decisions(before: ClusterView, after: ClusterView) -> tuple[Decision, ...] | UnsetType:
    if before.servers == after.servers:
        return UNSET
    decided = decisions(after)
    return decided if decided != decisions(before) else UNSET


def _differing(before: ServerView | None, after: ServerView) -> Json:
    new = drawn(after)
    if before is None:
        return asdict(new)
    old = drawn(before)
    return {name: value for name, value in asdict(new).items() if getattr(old, name) != value}


# A server


def drawn(server: ServerView) -> ServerDrawing:
    """One server: Figure 2 in words and numbers, durable fields first."""
    state, role = server.state, server.state.role
    return ServerDrawing(
        up=server.up,
        silent=server.silent,
        paused=server.paused,
        rate=server.rate,
        term=state.term,
        vote=state.vote.node,
        log=_log(state.log),
        snapshot=_snapshot(state),
        stored=state.stored.index,
        role=_role_name(server),
        leader=state.leader,
        commit=state.committed,
        applied=state.applied,
        incoming=_incoming(state),
        building=state.building,
        halted=state.halted,
        clock=_clock(server.clock),
        longest=state.config.election_timeout[1],
        chunk=state.config.snapshot_chunk,
        members=_membership(state),
        digest=server.digest,
        holds=server.holds,
        granted=tuple(sorted(role.granted)) if isinstance(role, PreCandidate | Candidate) else None,
        refused=tuple(sorted(role.refused)) if isinstance(role, PreCandidate | Candidate) else None,
        peers=tuple(_peer(one) for one in role.progress) if isinstance(role, Leader) else None,
        round=role.round if isinstance(role, Leader) else None,
        lease=_lease(server),
        handover=role.transfer.to if isinstance(role, Leader) and role.transfer else None,
    )


def _role_name(server: ServerView) -> RoleName:
    name: RoleName = server.state.role_name if server.up else "down"
    return name


def _lease(server: ServerView) -> bool | None:
    """Whether a leader has a valid lease by the rule of this run; ``None`` if it does not lead or the rule fails."""
    if not isinstance(server.state.role, Leader):
        return None
    rules = RAFT if server.rules is None else server.rules
    try:
        return bool(rules.has_valid_lease(server.state))
    except Exception:  # noqa: BLE001 (a learner's rule may raise anything, and a picture never does)
        return None


def _log(log: Log) -> LogDrawing:
    runs = tuple(TermRun(run.index, run.term, run.node) for run in log.runs)
    return LogDrawing(start=log.start.index, last=log.last.index, runs=runs)


def _snapshot(state: RaftState) -> SnapshotDrawing | None:
    if state.disk.snapshot is None:
        return None
    last = state.disk.snapshot.last
    return SnapshotDrawing(last.index, last.term, state.disk.snapshot.size)


def _incoming(state: RaftState) -> IncomingSnapshot | None:
    if state.incoming is None:
        return None
    return IncomingSnapshot(state.incoming.offset, state.incoming.meta.size, state.incoming.meta.last.index)


def _clock(clock: Clock | None) -> ClockDrawing | None:
    return None if clock is None else ClockDrawing(clock.began, clock.ends)


def _membership(state: RaftState) -> MembershipDrawing:
    sets = voters(state.membership)
    return MembershipDrawing(sets=sets.sets, learners=sets.learners, at=state.membership_id.index)


def voters(membership: Membership) -> Voters:
    """Voter sets and learners."""
    sets = tuple(tuple(sorted(config)) for config in membership.configs)
    return Voters(sets=sets, learners=tuple(sorted(membership.learners)))


def _peer(progress: Progress) -> PeerProgress:
    """The leader's progress record of one peer."""
    found = PeerProgress(peer=progress.peer, matched=progress.matched, next=progress.next, pace="probe")
    match progress.state:
        case Probe():
            return found
        case Replicate(inflight=inflight):
            return replace(found, pace="pipeline", inflight=len(inflight))
        case SendSnapshot(meta=meta, offset=offset):
            return replace(found, pace="snapshot", offset=offset, size=meta.size, upto=meta.last.index)
        case Reverted():
            return replace(found, pace="halted")


# A message


def flight(one: Flight) -> MessageDrawing:
    """One message that was sent."""
    return MessageDrawing(
        id=one.id,
        src=one.src,
        dst=one.dst,
        sent=one.sent,
        due=one.due,
        kind=type(one.message).__name__,
        name=message_name(one.message),
        glyph=GLYPHS[type(one.message).__name__],
        answer=isinstance(one.message, ANSWERS),
        sign=yes_or_no(one.message),
        entries=len(one.message.entries) if isinstance(one.message, AppendRequest) else 0,
        says=tuple(_says(one.message)),
        cause=one.cause,
        copy=one.copy_of,
        to=one.reply_to,
        lost=None if one.fate is Fate.FLYING else str(one.fate),
    )


def yes_or_no(message: AnyMessage) -> Literal["+", "−", ""]:
    """Whether an answer says yes or no; nothing for a request."""
    match message:
        case VoteResponse(granted=granted) | PreVoteResponse(granted=granted):
            return "+" if granted else "−"
        case AppendAccepted() | HeartbeatResponse() | SnapshotResponse():
            return "+"
        case AppendRefused() | Outdated():
            return "−"
        case _:
            return ""


def _says(message: AnyMessage) -> list[tuple[str, str]]:
    """The fields of a message by name, as text."""
    said: list[tuple[str, str]] = [("vote", vote_name(message.vote))]
    match message:
        case AppendRequest(prev=prev, entries=entries, commit=commit):
            said += [("prev", entry_name(prev)), ("entries", str(len(entries))), ("commit", str(commit))]
        case AppendAccepted(matched=matched):
            said += [("matched", entry_name(matched))]
        case AppendRefused(prev=prev, hint=hint):
            said += [("prev", entry_name(prev)), ("hint", entry_name(hint))]
        case HeartbeatRequest(matched=matched, commit=commit, round=round):
            said += [("matched", entry_name(matched)), ("commit", str(commit)), ("round", str(round))]
        case HeartbeatResponse(round=round):
            said += [("round", str(round))]
        case SnapshotRequest(meta=meta, offset=offset, data=data):
            said += [("up to", entry_name(meta.last)), ("bytes", f"{offset}–{offset + len(data)} of {meta.size}")]
        case SnapshotResponse(last=last, offset=offset):
            said += [("up to", entry_name(last)), ("has", f"{offset} bytes")]
        case _:
            said += _asked(message)
    return said


def _asked(message: AnyMessage) -> list[tuple[str, str]]:
    match message:
        case VoteRequest(last=last) | PreVoteRequest(last=last):
            return [("log ends", entry_name(last))]
        case VoteResponse(granted=granted, last=last) | PreVoteResponse(granted=granted, last=last):
            return [("granted", "yes" if granted else "no"), ("log ends", entry_name(last))]
        case _:
            return []


def vote_name(vote: Vote) -> str:
    """A vote by its term and candidate.

    >>> vote_name(Vote(2, 1)), vote_name(Vote())
    ('term 2, for n1', 'term 0')
    """
    return f"term {vote.term}, for {server(vote.node)}" if vote.node else f"term {vote.term}"
