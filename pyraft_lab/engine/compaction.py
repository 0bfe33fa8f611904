"""Snapshots and compaction (paper §7, Figure 13): when to build, what to forget, how one arrives chunk by chunk."""

from zlib import crc32

from msgspec.structs import replace

from pyraft_lab.engine.commands import TakeSnapshot, WriteChunk
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.messages import AppendAccepted, SnapshotRequest, SnapshotResponse
from pyraft_lab.engine.replication import record_ack
from pyraft_lab.engine.state import Incoming, SendSnapshot
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import Index, NodeId

# Build and forget


def build(turn: Turn) -> None:
    """Have the machine build a snapshot of what is applied; appends and applies go on meanwhile.

    Not while one is being built, nor while that would take from a peer the snapshot it is receiving.
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
    """Keep the snapshot, unless a later one came meanwhile; a machine that refused is asked at the next threshold."""
    turn.update(building=False)
    if meta is not None and meta.last.index > turn.state.snapshot_last.index:
        turn.save_snapshot(meta)


def compact(turn: Turn) -> None:
    """What follows from the state: a snapshot when it is due, and entries forgotten that it covers."""
    if turn.rules.is_snapshot_due(turn.state):
        build(turn)
    upto = turn.rules.purge_upto(turn.state)
    if upto - turn.log.start.index >= turn.config.purge_batch:
        purge(turn, upto)


def purge(turn: Turn, upto: Index) -> None:
    """Forget entries up to ``upto``, as far as they may be forgotten."""
    last = turn.log.id_at(min(upto, turn.rules.purge_limit(turn.state)))
    if last is not None and last.index > turn.log.start.index:
        turn.purge(last)


# The leader's side of a transfer (the sending is replication's)


def on_snapshot_response(turn: Turn, peer: NodeId, answer: SnapshotResponse) -> None:
    """The peer holds the bytes up to ``offset``: the next chunk may go, or the same again."""
    progress = record_ack(turn, peer, answer.round)
    if progress is None or not isinstance(progress.state, SendSnapshot) or progress.state.meta.last != answer.last:
        return
    offset = min(max(answer.offset, 0), progress.state.meta.size)
    if progress.state.asked and offset == progress.state.offset:
        return  # that chunk is on its way already: a doubled answer must not double the stream
    tries = 0 if offset > progress.state.offset else progress.state.tries
    turn.set_progress(replace(progress, state=SendSnapshot(progress.state.meta, offset, tries=tries)))


def on_snapshot_gone(turn: Turn, peer: NodeId) -> None:
    """The driver has no such snapshot any more: begin again with the newest."""
    progress = turn.leader.of(peer)
    newest = turn.state.disk.snapshot
    if progress is not None and isinstance(progress.state, SendSnapshot) and newest is not None:
        same = progress.state.meta == newest
        turn.set_progress(replace(progress, state=SendSnapshot(newest, asked=same, tries=progress.state.tries)))


# The follower's side


def on_snapshot_request(turn: Turn, leader: NodeId, request: SnapshotRequest) -> None:
    """Take the next chunk, and with the last one the snapshot (Figure 13, in every case of openraft's table)."""
    meta = request.meta
    if meta.last.leader > (request.vote.term, request.vote.node):
        turn.alarm(leader, f"sends a snapshot to {meta.last}, from a leadership later than its own {request.vote}")
    elif turn.rules.is_snapshot_useful(turn.state, meta.last):
        _take_chunk(turn, leader, request)
    elif meta.last.index >= turn.log.start.index and not turn.log.has(meta.last):
        turn.halt(f"leader {leader} sends a snapshot to {meta.last}, but another entry is committed there")
    else:
        turn.send(leader, AppendAccepted(vote=turn.vote, matched=meta.last, round=request.round))


def _take_chunk(turn: Turn, leader: NodeId, request: SnapshotRequest) -> None:
    """Bytes are taken in order; whatever comes out of order is answered with where to go on."""
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
    """All bytes are here: install them if they are the right ones, else begin again."""
    if (incoming.offset, incoming.checksum) != (request.meta.size, request.meta.checksum):
        turn.alarm(leader, f"the snapshot to {request.meta.last} arrived damaged")
        turn.update(incoming=None)
        _ask_for_chunk(turn, leader, request, 0)
        return
    turn.install(request.meta)
    turn.send(leader, AppendAccepted(vote=turn.vote, matched=request.meta.last, round=request.round))
