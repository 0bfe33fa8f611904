"""A moment as plain JSON, and what changed from one to the next: all that the drawing knows.

::

    key scene ── change ── change ── change …     a reel: whole once, then only what is new
"""

from typing import Any

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
from pyraft_lab.engine.rules import lease_holds
from pyraft_lab.engine.state import (
    Candidate,
    Halted,
    Installing,
    Leader,
    Pipeline,
    PreCandidate,
    Probe,
    Progress,
    RaftState,
)
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.moment import Clock, Moment, Server
from pyraft_lab.trace.record import ANSWERS, Fate, Flight
from pyraft_lab.trace.words import message_name
from pyraft_lab.viz.theme import GLYPHS

Json = dict[str, Any]


def scene(moment: Moment) -> Json:
    """Everything at one moment."""
    return {
        "time": moment.time,
        "nodes": {str(node): drawn(server) for node, server in moment.servers.items()},
        "flying": [flight(one) for one in moment.flying.values()],
        "cuts": sorted(map(list, moment.cuts)),
        "decisions": decisions(moment),
    }


def change(before: Moment, after: Moment) -> Json:
    """What a later moment shows that an earlier one does not: the new values of fields that differ."""
    found: Json = {}
    nodes = {
        str(node): _differing(before.servers.get(node), server)
        for node, server in after.servers.items()
        if before.servers.get(node) is not server
    }
    if nodes:
        found["nodes"] = nodes
    if before.cuts != after.cuts:
        found["cuts"] = sorted(map(list, after.cuts))
    if before.servers != after.servers and (decided := decisions(after)) != decisions(before):
        found["decisions"] = decided
    return found


def _differing(before: Server | None, after: Server) -> Json:
    old, new = drawn(before) if before is not None else {}, drawn(after)
    return {key: value for key, value in new.items() if key not in old or old[key] != value}


# A server


def drawn(server: Server) -> Json:
    """One server: Figure 2 in words and numbers, durable fields first."""
    state = server.state
    return {
        "up": server.up,
        "silent": server.silent,
        "paused": server.paused,
        "rate": server.rate,
        "term": state.term,
        "vote": state.vote.node,
        "log": _log(state.log),
        "snapshot": [state.disk.snapshot.last.index, state.disk.snapshot.last.term, state.disk.snapshot.size]
        if state.disk.snapshot
        else None,
        "stored": state.stored.index,
        "role": state.role_name if server.up else "down",
        "leader": state.leader,
        "commit": state.committed,
        "applied": state.applied,
        "incoming": [state.incoming.offset, state.incoming.meta.size, state.incoming.meta.last.index]
        if state.incoming
        else None,
        "building": state.building,
        "halted": state.halted,
        "clock": _clock(server.clock),
        "longest": state.config.election_timeout[1],
        "chunk": state.config.snapshot_chunk,
        "members": _membership(state),
        "digest": server.digest,
        "holds": server.holds,
        **_of_role(state),
    }


def _log(log: Log) -> Json:
    """Terms by runs: ``[first index, term, leader]``; what an entry says is in the reel's book."""
    return {
        "start": log.start.index,
        "last": log.last.index,
        "runs": [[run.index, run.term, run.node] for run in log.runs],
    }


def _clock(clock: Clock | None) -> list[float | None] | None:
    return None if clock is None else [clock.began, clock.ends]


def _membership(state: RaftState) -> Json:
    """The membership the server goes by; ``at`` is the entry that began it."""
    return {**sets(state.membership), "at": state.membership_id.index}


def sets(membership: Membership) -> Json:
    """Voter sets and learners."""
    return {"sets": [sorted(config) for config in membership.configs], "learners": sorted(membership.learners)}


def _of_role(state: RaftState) -> Json:
    """What only some roles have; the same keys for all, so that a change of role clears them."""
    empty: Json = {"granted": None, "refused": None, "peers": None, "round": None, "lease": None, "handover": None}
    match state.role:
        case PreCandidate(granted=granted, refused=refused) | Candidate(granted=granted, refused=refused):
            return {**empty, "granted": sorted(granted), "refused": sorted(refused)}
        case Leader() as role:
            handover = role.handover.to if role.handover else None
            peers = [_peer(one) for one in role.progress]
            return {**empty, "peers": peers, "round": role.round, "lease": lease_holds(state), "handover": handover}
        case _:
            return empty


def _peer(progress: Progress) -> Json:
    """What the leader knows of one peer."""
    found: Json = {"peer": progress.peer, "matched": progress.matched, "next": progress.next}
    match progress.pace:
        case Probe():
            return {**found, "pace": "probe"}
        case Pipeline(inflight=inflight):
            return {**found, "pace": "pipeline", "inflight": len(inflight)}
        case Installing(meta=meta, offset=offset):
            return {**found, "pace": "snapshot", "offset": offset, "size": meta.size, "upto": meta.last.index}
        case Halted():
            return {**found, "pace": "halted"}


# A message


def flight(one: Flight) -> Json:
    """One message that left; ``sign`` is + or − on an answer, ``lost`` says what the weather did to it at once."""
    return {
        "id": one.id,
        "src": one.src,
        "dst": one.dst,
        "sent": one.sent,
        "due": one.due,
        "kind": type(one.message).__name__,
        "name": message_name(one.message),
        "glyph": GLYPHS[type(one.message).__name__],
        "answer": isinstance(one.message, ANSWERS),
        "sign": sign(one.message),
        "entries": len(one.message.entries) if isinstance(one.message, AppendRequest) else 0,
        "says": _says(one.message),
        "cause": one.cause,
        "copy": one.copy_of,
        "to": one.reply_to,
        "lost": None if one.fate is Fate.FLYING else str(one.fate),
    }


def sign(message: AnyMessage) -> str:
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


def _says(message: AnyMessage) -> list[list[str]]:
    """Its fields by name, in words."""
    said: list[list[str]] = [["vote", str(message.vote)]]
    match message:
        case AppendRequest(prev=prev, entries=entries, commit=commit):
            said += [["prev", str(prev)], ["entries", str(len(entries))], ["commit", str(commit)]]
        case AppendAccepted(matched=matched):
            said += [["matched", str(matched)]]
        case AppendRefused(prev=prev, hint=hint):
            said += [["prev", str(prev)], ["hint", str(hint)]]
        case HeartbeatRequest(matched=matched, commit=commit, round=round):
            said += [["matched", str(matched)], ["commit", str(commit)], ["round", str(round)]]
        case HeartbeatResponse(round=round):
            said += [["round", str(round)]]
        case SnapshotRequest(meta=meta, offset=offset, data=data):
            said += [["upto", str(meta.last)], ["bytes", f"{offset}–{offset + len(data)} of {meta.size}"]]
        case SnapshotResponse(last=last, offset=offset):
            said += [["upto", str(last)], ["has", f"{offset} bytes"]]
        case _:
            said += _asked(message)
    return said


def _asked(message: AnyMessage) -> list[list[str]]:
    match message:
        case VoteRequest(last=last) | PreVoteRequest(last=last):
            return [["log ends", str(last)]]
        case VoteResponse(granted=granted, last=last) | PreVoteResponse(granted=granted, last=last):
            return [["granted", "yes" if granted else "no"], ["log ends", str(last)]]
        case _:
            return []
