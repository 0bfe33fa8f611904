"""Snapshots and compaction (paper §7, Figure 13): when to build, what to purge, how a snapshot arrives in chunks."""

from zlib import crc32

from msgspec.structs import replace

from pyraft_lab.engine.commands import TakeSnapshot, WriteChunk
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.messages import AppendAccepted, SnapshotRequest, SnapshotResponse
from pyraft_lab.engine.replication import record_ack
from pyraft_lab.engine.state import Incoming, SendSnapshot
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import Index, NodeId

# Build and purge


def build(turn: Turn) -> None:
    """Ask the machine to build a snapshot of what is applied; appends and applies continue meanwhile.

    Does nothing while a snapshot is being built, or while a new one would interrupt a transfer to a peer.
    """
    state = turn.state
    at = turn.log.id_at(state.applied)
    if (
        state.building
        or turn.rules.would_interrupt_transfer(state)
        or at is None
        or at.index <= state.snapshot_last.index
    ):
        return
    turn.update(building=True, attempted=at.index)
    turn.emit(TakeSnapshot(at, state.membership_at(at.index), state.membership_id_at(at.index)))


def on_snapshot_built(turn: Turn, meta: SnapshotMeta | None) -> None:
    """Store the built snapshot unless a later one has arrived; after ``None`` (refused) wait for the next threshold."""
    turn.update(building=False)
    if meta is not None and meta.last.index > turn.state.snapshot_last.index:
        turn.save_snapshot(meta)


def compact(turn: Turn) -> None:
    """Build a snapshot if one is due, and purge entries that the stored snapshot covers."""
    if turn.rules.is_snapshot_due(turn.state):
        build(turn)
    upto = turn.rules.purge_upto(turn.state)
    if upto - turn.log.start.index >= turn.config.purge_batch:
        purge(turn, upto)


def purge(turn: Turn, upto: Index) -> None:
    """Purge entries up to ``upto``, but no further than the snapshot and running transfers allow."""
    last = turn.log.id_at(min(upto, turn.rules.purge_limit(turn.state)))
    if last is not None and last.index > turn.log.start.index:
        turn.purge(last)


# The leader's side of a transfer (the sending is replication's)


def on_snapshot_response(turn: Turn, peer: NodeId, answer: SnapshotResponse) -> None:
    """Record that the peer holds the bytes up to ``offset``, and send the next chunk or repeat the last."""
    progress = record_ack(turn, peer, answer.round)
    if progress is None or not isinstance(progress.state, SendSnapshot) or progress.state.meta.last != answer.last:
        return
    offset = min(max(answer.offset, 0), progress.state.meta.size)
    if progress.state.asked and offset == progress.state.offset:
        return  # that chunk is on its way already: a duplicate answer must not duplicate the stream
    tries = 0 if offset > progress.state.offset else progress.state.tries
    turn.set_progress(replace(progress, state=SendSnapshot(progress.state.meta, offset, tries=tries)))


def on_snapshot_gone(turn: Turn, peer: NodeId) -> None:
    """The driver no longer has the snapshot: restart the transfer with the newest one."""
    progress = turn.leader.of(peer)
    newest = turn.state.disk.snapshot
    if progress is not None and isinstance(progress.state, SendSnapshot) and newest is not None:
        same = progress.state.meta == newest
        turn.set_progress(replace(progress, state=SendSnapshot(newest, asked=same, tries=progress.state.tries)))


# The follower's side


def on_snapshot_request(turn: Turn, leader: NodeId, request: SnapshotRequest) -> None:
    """Store the next chunk; after the last one install the snapshot (Figure 13, in every case of openraft's table)."""
    meta = request.meta
    if meta.last.leader > (request.vote.term, request.vote.node):
        turn.alarm(leader, f"sends a snapshot to {meta.last}, from a leadership later than its own {request.vote}")
    elif turn.rules.is_snapshot_useful(turn.state, meta.last):
        _take_chunk(turn, leader, request)
    elif meta.last.index >= turn.log.start.index and not turn.log.has(meta.last):
        turn.halt(
            f"n{leader} sends a snapshot up to entry {meta.last.index} of term {meta.last.term} as leader, "
            "but another entry is committed at that index"
        )
    else:
        turn.send(leader, AppendAccepted(vote=turn.vote, matched=meta.last, round=request.round))


def _take_chunk(turn: Turn, leader: NodeId, request: SnapshotRequest) -> None:
    """Store bytes that arrive in order; answer any others with the offset to continue at."""
    known = turn.state.incoming
    incoming = known if known is not None and known.meta == request.meta else Incoming(request.meta)
    if request.offset == incoming.offset:
        turn.emit(WriteChunk(request.meta, request.offset, request.data))
        incoming = _with(incoming, request.data)
    turn.update(incoming=incoming)
    if incoming.offset >= request.meta.size:
        _finish(turn, leader, request, incoming)
    else:
        _ask_for_chunk(turn, leader, request, incoming.offset)


def _with(incoming: Incoming, data: bytes) -> Incoming:
    return Incoming(incoming.meta, incoming.offset + len(data), crc32(data, incoming.checksum))


def _ask_for_chunk(turn: Turn, leader: NodeId, request: SnapshotRequest, offset: int) -> None:
    answer = SnapshotResponse(vote=turn.vote, last=request.meta.last, offset=offset, round=request.round)
    turn.send(leader, answer)


def _finish(turn: Turn, leader: NodeId, request: SnapshotRequest, incoming: Incoming) -> None:
    """Install the complete snapshot if its size and checksum match; else restart the transfer."""
    if (incoming.offset, incoming.checksum) != (request.meta.size, request.meta.checksum):
        turn.alarm(leader, f"the snapshot to {request.meta.last} arrived damaged")
        turn.update(incoming=None)
        _ask_for_chunk(turn, leader, request, 0)
        return
    turn.install(request.meta)
    turn.send(leader, AppendAccepted(vote=turn.vote, matched=request.meta.last, round=request.round))
