"""Log replication, both sides (paper §5.3, dissertation §10.2): probe, pipeline, window, back-off, repair.

::

    leader    1 1 2 3 3      A peer is probed until the logs agree somewhere, then entries stream
                  ▲          without waiting for answers, as many as the window allows.
    follower  1 1 2 2        A refusal's hint skips whole terms on the way back.
"""

from itertools import pairwise

from msgspec.structs import replace

from pyraft_lab.engine.commands import SendChunk
from pyraft_lab.engine.log import Entry, byte_size
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
)
from pyraft_lab.engine.rules import is_stalled
from pyraft_lab.engine.state import Inflight, Probe, Progress, ProgressState, Replicate, Reverted, SendSnapshot
from pyraft_lab.engine.timers import HEARTBEAT, QUORUM, lease, retry
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import NO_NODE, ORIGIN, Index, LogId, NodeId

# The leader sends


def replicate_to_all(turn: Turn) -> None:
    """Send every peer what its progress allows now; most have all there is, and are passed over at once."""
    limit, committed = turn.rules.sendable(turn.state), turn.state.committed
    for progress in turn.leader.progress:
        if progress.next <= limit or progress.commit_sent < committed or type(progress.state) is not Replicate:
            replicate(turn, progress)


def replicate(turn: Turn, progress: Progress) -> None:
    """Send a peer what its progress allows now: a probe, a window of entries, or a chunk of the snapshot."""
    match progress.state:
        case Replicate():
            _fill_window(turn, progress)
        case Probe(asked=False):
            _send_append(turn, progress)
        case SendSnapshot(asked=False):
            _send_chunk(turn, progress, progress.state)
        case _:
            pass


def _fill_window(turn: Turn, progress: Progress) -> None:
    state = turn.state
    limit = turn.rules.sendable(state)
    while progress.next <= limit and _has_room(turn, progress.state):
        progress = _send_append(turn, progress)
        if not isinstance(progress.state, Replicate):
            return
    if (
        progress.commit_sent < state.committed
        and progress.commit_sent < progress.next - 1
        and turn.config.prompt_commit
    ):
        _send_commit(turn, progress)


def _has_room(turn: Turn, progress_state: ProgressState) -> bool:
    """Whether the window has room: a slow or dead follower costs at most its window (max_inflight settings)."""
    inflight = progress_state.inflight if isinstance(progress_state, Replicate) else ()
    waiting = sum(batch.size for batch in inflight)
    return len(inflight) < turn.config.max_inflight and waiting < turn.config.max_inflight_bytes


def _send_append(turn: Turn, progress: Progress) -> Progress:
    """Send one batch of entries, the next after the entries already sent."""
    prev = turn.log.id_at(progress.next - 1)
    if prev is None:
        return _start_snapshot(turn, progress)
    config, stop = turn.config, turn.rules.sendable(turn.state) + 1
    entries = turn.log.slice(
        progress.next, min(stop, progress.next + config.max_append_entries), max_bytes=config.max_append_bytes
    )
    _send_entries(turn, progress.peer, prev, entries)
    last, size = entries[-1].index if entries else prev.index, byte_size(entries)
    progress_state: ProgressState = Probe(asked=True)
    if isinstance(progress.state, Replicate):
        progress_state = Replicate((*progress.state.inflight, Inflight(last, size)))
    if not isinstance(progress.state, Replicate) or not progress.state.inflight:
        turn.set_timer(retry(progress.peer), progress.failures + _doublings(size))
    following = last + 1 if isinstance(progress_state, Replicate) else progress.next
    sent = replace(
        progress,
        state=progress_state,
        next=following,
        commit_sent=max(progress.commit_sent, min(turn.state.committed, last)),
    )
    turn.set_progress(sent)
    return sent


def _doublings(size: int) -> int:
    """How often the retry timeout is doubled for ``size`` bytes: a copy of a large entry would delay the first one.

    >>> [_doublings(size << 20) for size in (0, 1, 2, 16)]
    [0, 1, 2, 5]
    """
    return (size >> 20).bit_length()


def _send_commit(turn: Turn, progress: Progress) -> None:
    """Send an append without entries: the follower learns of a commit at once, not with the next heartbeat."""
    prev = turn.log.id_at(progress.next - 1)
    if prev is not None:
        _send_entries(turn, progress.peer, prev, ())
        turn.set_progress(replace(progress, commit_sent=turn.state.committed))


def _send_entries(turn: Turn, peer: NodeId, prev: LogId, entries: tuple[Entry, ...]) -> None:
    round, commit = turn.leader.round, turn.state.committed
    turn.send(peer, AppendRequest(vote=turn.vote, prev=prev, entries=entries, commit=commit, round=round))


def _start_snapshot(turn: Turn, progress: Progress) -> Progress:
    """Start sending a snapshot, because the entries the peer needs are purged (§7)."""
    meta = turn.state.disk.snapshot
    assert meta is not None, "only what a snapshot covers is purged"
    begun = replace(progress, state=SendSnapshot(meta))
    turn.set_progress(begun)
    replicate(turn, begun)
    return begun


def _send_chunk(turn: Turn, progress: Progress, progress_state: SendSnapshot) -> None:
    """Send the next chunk; to a silent peer that holds no bytes yet, one of the newest snapshot."""
    newest = turn.state.disk.snapshot
    assert newest is not None, "a snapshot is sent only where there is one"
    progress_state = (
        progress_state
        if progress_state.offset or not is_stalled(progress_state)
        else replace(progress_state, meta=newest)
    )
    turn.emit(
        SendChunk(
            dst=progress.peer,
            vote=turn.vote,
            meta=progress_state.meta,
            offset=progress_state.offset,
            length=turn.config.snapshot_chunk,
            round=turn.leader.round,
        )
    )
    turn.set_timer(retry(progress.peer), max(progress.failures, progress_state.tries))
    turn.set_progress(replace(progress, state=replace(progress_state, asked=True)))


# Heartbeats


def start_round(turn: Turn) -> None:
    """Start a new heartbeat round; its lease, if a quorum answers, runs from now, when it is sent (§6.4.1)."""
    turn.lead(round=turn.leader.round + 1)
    turn.set_timer(lease(turn.leader.round))


def on_heartbeat_timer(turn: Turn) -> None:
    """Start the next round: send a heartbeat to every peer, except those that need none (§5.2)."""
    turn.set_timer(HEARTBEAT)
    ending = turn.leader.round
    start_round(turn)
    if not turn.config.enable_heartbeat:
        return
    spared = turn.config.suppress_heartbeats and not turn.leader.reads  # a read that waits needs every answer
    for progress in turn.leader.progress:
        if not (spared and progress.last_append_round == ending):
            send_heartbeat(turn, progress)


def send_heartbeats(turn: Turn) -> None:
    """Start a round and send a heartbeat to every peer, even to those that need none."""
    start_round(turn)
    for progress in turn.leader.progress:
        send_heartbeat(turn, progress)


def send_heartbeat(turn: Turn, progress: Progress) -> None:
    """Send a heartbeat whose commit index is at most the acknowledged one: it checks nothing beyond that."""
    matched = turn.log.id_at(progress.matched) or ORIGIN
    commit = min(turn.state.committed, matched.index)
    request = HeartbeatRequest(vote=turn.vote, matched=matched, commit=commit, round=turn.leader.round)
    turn.send(progress.peer, request)


# The follower answers


def on_append_request(turn: Turn, leader: NodeId, request: AppendRequest) -> None:
    """Append the new entries after ``prev``, or refuse with a hint where the logs may still agree (§5.3)."""
    if not _is_well_formed(request):
        return
    if not turn.rules.log_matches(turn.log, request.prev):
        refuse(turn, leader, request.prev, request.round)
        return
    entries = turn.rules.new_entries(turn.log, request.entries)
    if entries and entries[0].index <= turn.state.committed:
        turn.halt(
            f"n{leader} sends entry {entries[0].id.index} of term {entries[0].id.term} as leader, "
            "but another entry is committed at that index"
        )
        return
    if entries and entries[0].index <= turn.log.last.index:
        turn.truncate(entries[0].index - 1)
    turn.append(entries)
    matched = request.entries[-1].id if request.entries else request.prev
    commit(turn, request.commit, matched.index)
    turn.send(leader, AppendAccepted(vote=turn.vote, matched=matched, round=request.round))


def _is_well_formed(request: AppendRequest) -> bool:
    """Whether entries follow ``prev`` and each other, none newer than the sender; a correct leader sends no others."""
    ids = [request.prev, *[entry.id for entry in request.entries]]
    in_order = all(a < b and b.index == a.index + 1 for a, b in pairwise(ids))
    return in_order and ids[-1].leader <= (request.vote.term, request.vote.node)


def on_heartbeat_request(turn: Turn, leader: NodeId, request: HeartbeatRequest) -> None:
    """Renew the vote lease and commit; a follower that lost acknowledged entries refuses instead."""
    if not turn.rules.log_matches(turn.log, request.matched):
        refuse(turn, leader, request.matched, request.round)
        return
    commit(turn, request.commit, request.matched.index)
    turn.send(leader, HeartbeatResponse(vote=turn.vote, round=request.round))


def refuse(turn: Turn, leader: NodeId, prev: LogId, round: int) -> None:
    """Refuse an append, since the log lacks ``prev``; the hint is the last entry that may still match."""
    hint = turn.rules.conflict_hint(turn.log, prev)
    turn.send(leader, AppendRefused(vote=turn.vote, prev=prev, hint=hint, round=round, empty=turn.log.last == ORIGIN))


def commit(turn: Turn, announced: Index, verified: Index) -> None:
    """Advance the commit index to the leader's, but not beyond ``verified``, where the logs are known to match."""
    index = turn.rules.follower_commit(turn.state, announced, verified)
    index = min(index, turn.log.last.index)
    if index != turn.state.committed:
        turn.update(committed=index)


# The leader handles answers


def record_ack(turn: Turn, peer: NodeId, round: int) -> Progress | None:
    """Record that the peer answered ``round``; ``None`` if the answer is older than its progress record."""
    leader = turn.leader
    progress = leader.of(peer)
    if progress is None or not progress.since_round <= round <= leader.round:
        return None
    if round <= progress.last_ack_round and not progress.failures:
        return progress
    heard = replace(progress, last_ack_round=max(progress.last_ack_round, round), failures=0)
    heard = _reachable_again(heard) if progress.failures else heard
    turn.set_progress(heard)
    return heard


def _reachable_again(progress: Progress) -> Progress:
    """A silent peer answers again: allow at once what would wait for the back-off."""
    match progress.state:
        case Probe(asked=True):
            return replace(progress, state=Probe())
        case SendSnapshot(asked=True):
            return replace(progress, state=replace(progress.state, asked=False))
        case _:
            return progress


def on_heartbeat_response(turn: Turn, peer: NodeId, response: HeartbeatResponse) -> None:
    """Record the round; a heartbeat's answer proves nothing else."""
    record_ack(turn, peer, response.round)


def on_append_accepted(turn: Turn, peer: NodeId, answer: AppendAccepted) -> None:
    """Raise matchIndex to ``matched``, which is on the peer's disk, and free room in the window (§5.3)."""
    progress = record_ack(turn, peer, answer.round)
    held = answer.matched.index <= turn.log.start.index or turn.log.has(answer.matched)
    if progress is None or not held:
        return
    raised = max(progress.matched, answer.matched.index)
    sure = answer.round if raised == progress.matched else turn.leader.round
    state, following = _start_replicating(progress, raised, turn.log.start.index)
    accepted = replace(
        progress,
        state=state,
        next=following,
        matched=raised,
        last_append_round=answer.round,
        match_round=max(progress.match_round, sure),
    )
    turn.set_progress(accepted)
    _watch_progress(turn, accepted)


def _start_replicating(progress: Progress, matched: Index, start: Index) -> tuple[ProgressState, Index]:
    """State and next index after an acknowledgement up to ``matched``; ``start`` is the last purged index."""
    match progress.state:
        case Replicate(inflight) if progress.matched < matched < min([b.last for b in inflight], default=0):
            return Replicate(), matched + 1  # a part of a batch: continue after it
        case Replicate(inflight):
            left = tuple([batch for batch in inflight if batch.last > matched])
            return Replicate(left), max(progress.next, matched + 1)
        case Probe():
            return Replicate(), matched + 1
        case SendSnapshot(meta) if matched >= min(meta.last.index, start):  # entries do as well, or go on from there
            return Replicate(), matched + 1
        case _:
            return progress.state, max(progress.next, matched + 1)


def _watch_progress(turn: Turn, progress: Progress) -> None:
    """Keep the retry timer running while a message is unanswered."""
    if isinstance(progress.state, Replicate):
        if progress.state.inflight:
            turn.set_timer(retry(progress.peer), _doublings(progress.state.inflight[0].size))
        else:
            turn.cancel_timer(retry(progress.peer))


def on_append_refused(turn: Turn, peer: NodeId, answer: AppendRefused) -> None:
    """The logs differ at ``prev``: probe further back, where the hint points (§5.3)."""
    progress = record_ack(turn, peer, answer.round)
    if progress is None or isinstance(progress.state, Reverted):
        return
    if isinstance(progress.state, SendSnapshot):
        _send_snapshot_instead(turn, progress, answer.hint)
    elif answer.prev.index <= progress.matched:
        _on_reversion(turn, progress, answer)
    elif isinstance(progress.state, Replicate) or answer.prev.index == progress.next - 1:
        agreed = max(progress.matched, min(turn.rules.next_probe(turn.log, answer.hint), answer.prev.index - 1))
        turn.set_progress(replace(progress, state=Probe(), next=agreed + 1))
        if answer.empty and peer in turn.membership.voters:
            _on_lost_disk(turn, progress)


def _on_lost_disk(turn: Turn, progress: Progress) -> None:
    """A voter's log is empty: stop sending if it provably lost its disk; else it may be new, and gets the log."""
    if turn.log.proves_lost_disk(progress.peer, ORIGIN):
        _mark_reverted(turn, replace(progress, next=1), "lost its disk: it has led this cluster and holds nothing")
    elif turn.leader.noop > 2:  # there were leaders before; the first one's noop is entry 2, after Initialize's
        turn.alarm(progress.peer, "is a voter and holds nothing: it is new, or it lost its disk; it gets the log now")


def _send_snapshot_instead(turn: Turn, progress: Progress, held: LogId) -> None:
    """Send entries instead of a snapshot, since the peer holds an entry of this log."""
    if held.index > max(turn.log.start.index, progress.matched) and turn.log.has(held):
        turn.set_progress(replace(progress, state=Probe(), next=held.index + 1))


def _on_reversion(turn: Turn, progress: Progress, answer: AppendRefused) -> None:
    """A peer lacks entries it had acknowledged; ignore an answer older than that acknowledgement."""
    if answer.round > progress.match_round:
        again = replace(progress, next=turn.rules.next_probe(turn.log, answer.hint) + 1)
        _mark_reverted(turn, again, f"lost its log: it had acknowledged {progress.matched} and lacks {answer.prev}")


def _mark_reverted(turn: Turn, again: Progress, why: str) -> None:
    """Stop sending to a peer that lost acknowledged entries, unless an operator allowed it to start ``again``."""
    if turn.config.allow_log_revert or again.may_revert:
        start_over(turn, again)
    else:
        turn.set_progress(replace(again, state=Reverted()))
        turn.alarm(again.peer, why)


def start_over(turn: Turn, progress: Progress) -> None:
    """Reset the peer's progress; answers to rounds before this one no longer count."""
    start_round(turn)
    turn.set_progress(
        replace(progress, state=Probe(), since_round=turn.leader.round, matched=0, commit_sent=0, may_revert=False)
    )


def on_retry_timer(turn: Turn, peer: NodeId) -> None:
    """No answer in time: treat unanswered messages as lost and send them again, with growing back-off."""
    progress = turn.leader.of(peer)
    if progress is not None and _is_waiting(progress.state):
        turn.set_progress(_reachable_again(_backed_off(progress)))


def on_unreachable(turn: Turn, peer: NodeId) -> None:
    """The transport could not deliver: wait for the back-off before the next probe."""
    progress = turn.leader.of(peer)
    if progress is not None and not isinstance(progress.state, Reverted):
        behind = _backed_off(progress)
        turn.set_progress(behind)
        turn.set_timer(retry(peer), behind.failures)


def _is_waiting(progress_state: ProgressState) -> bool:
    match progress_state:
        case Probe(asked=asked) | SendSnapshot(asked=asked):
            return asked
        case Replicate(inflight):
            return bool(inflight)
        case _:
            return False


def _backed_off(progress: Progress) -> Progress:
    """Count one more failure; stop streaming and probe from the last acknowledged entry."""
    failures = progress.failures + 1
    if isinstance(progress.state, Replicate):
        return replace(progress, state=Probe(asked=True), next=progress.matched + 1, failures=failures)
    if isinstance(progress.state, SendSnapshot):
        progress_state = replace(progress.state, asked=True, tries=progress.state.tries + 1)
        return replace(progress, state=progress_state, failures=failures)
    return replace(progress, state=Probe(asked=True), failures=failures)


# Peers are added and removed


def sync_progress(turn: Turn) -> None:
    """After a change of membership: one progress record per other member; new records start with a new round."""
    known = {one.peer for one in turn.leader.progress}
    for gone in sorted(known - set(turn.membership)):
        turn.cancel_timer(retry(gone))
    if set(turn.membership) - known - {turn.id}:
        start_round(turn)
    start_progress(turn)


def start_progress(turn: Turn) -> None:
    """Add records for new members, probed from the end of the log, and drop records of removed ones."""
    known = {one.peer: one for one in turn.leader.progress}
    fresh = Progress(peer=NO_NODE, next=turn.log.last.index + 1, since_round=turn.leader.round)
    members = (node for node in turn.membership if node != turn.id)
    turn.lead(progress=tuple(known.get(node) or replace(fresh, peer=node) for node in members))


# Commit


def advance_commit(turn: Turn) -> None:
    """Commit what a quorum holds on disk (§5.3, §5.4.2)."""
    if (committed := turn.rules.commit_index(turn.state)) != turn.state.committed:
        turn.update(committed=committed)


def renew_lease(turn: Turn) -> None:
    """Renew the lease, and stop the check-quorum timer, once a quorum has answered a later round."""
    leader = turn.leader
    proved = turn.rules.acked_round(turn.state, leader)
    if proved > leader.acked_round:
        turn.lead(acked_round=proved)
        if turn.rules.starts_lease(leader, proved):
            turn.set_timer(lease(proved))
        if leader.acked_round <= leader.expired_round < proved:
            turn.cancel_timer(QUORUM)
