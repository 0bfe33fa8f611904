"""Log replication, both sides (paper §5.3, dissertation §10.2): probe, pipeline, window, back-off, repair.

::

    leader    1 1 2 3 3      A peer is probed until the logs agree somewhere, then entries stream
                  ▲          behind each other, unanswered, as many as the window allows.
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
from pyraft_lab.engine.state import Batch, Probe, Progress, ProgressState, Replicate, Reverted, SendSnapshot
from pyraft_lab.engine.timers import HEARTBEAT, QUORUM, lease, retry
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import NO_NODE, ORIGIN, Index, LogId, NodeId

# The leader sends


def replicate(turn: Turn, peer: NodeId) -> None:
    """Send ``peer`` whatever it may have now: a probe, a window full of entries, a chunk of the snapshot."""
    progress = turn.leader.of(peer)
    assert progress is not None, "only peers with a record are replicated to"
    match progress.state:
        case Probe(asked=False):
            _send_append(turn, progress)
        case Replicate():
            _fill_window(turn, progress)
        case SendSnapshot(asked=False):
            _send_chunk(turn, progress, progress.state)
        case _:
            pass


def _fill_window(turn: Turn, progress: Progress) -> None:
    limit = turn.rules.sendable(turn.state)
    while progress.next <= limit and _has_room(turn, progress.state):
        progress = _send_append(turn, progress)
        if not isinstance(progress.state, Replicate):
            return
    if turn.config.prompt_commit and progress.commit_sent < min(turn.state.committed, progress.next - 1):
        _send_commit(turn, progress)


def _has_room(turn: Turn, progress_state: ProgressState) -> bool:
    """Flow control: a slow or dead follower costs no more than its window."""
    inflight = progress_state.inflight if isinstance(progress_state, Replicate) else ()
    waiting = sum(batch.size for batch in inflight)
    return len(inflight) < turn.config.max_inflight and waiting < turn.config.max_inflight_bytes


def _send_append(turn: Turn, progress: Progress) -> Progress:
    """One batch of entries, in order behind what was sent before."""
    prev = turn.log.id_at(progress.next - 1)
    if prev is None:
        return _start_snapshot(turn, progress)
    config, stop = turn.config, turn.rules.sendable(turn.state) + 1
    entries = turn.log.slice(
        progress.next, min(stop, progress.next + config.max_append_entries), max_bytes=config.max_append_bytes
    )
    _send_entries(turn, progress.peer, prev, entries)
    last = entries[-1].index if entries else prev.index
    progress_state: ProgressState = Probe(asked=True)
    if isinstance(progress.state, Replicate):
        progress_state = Replicate((*progress.state.inflight, Batch(last, byte_size(entries))))
    if not isinstance(progress.state, Replicate) or not progress.state.inflight:
        turn.set_timer(retry(progress.peer), progress.failures)
    following = last + 1 if isinstance(progress_state, Replicate) else progress.next
    sent = replace(
        progress,
        state=progress_state,
        next=following,
        commit_sent=max(progress.commit_sent, min(turn.state.committed, last)),
    )
    turn.set_progress(sent)
    return sent


def _send_commit(turn: Turn, progress: Progress) -> None:
    """An append without entries, so that a commit is known at once and not at the next heartbeat."""
    prev = turn.log.id_at(progress.next - 1)
    if prev is not None:
        _send_entries(turn, progress.peer, prev, ())
        turn.set_progress(replace(progress, commit_sent=turn.state.committed))


def _send_entries(turn: Turn, peer: NodeId, prev: LogId, entries: tuple[Entry, ...]) -> None:
    round, commit = turn.leader.round, turn.state.committed
    turn.send(peer, AppendRequest(vote=turn.vote, prev=prev, entries=entries, commit=commit, round=round))


def _start_snapshot(turn: Turn, progress: Progress) -> Progress:
    """The entries the peer needs are purged: it gets the snapshot instead (§7)."""
    meta = turn.state.disk.snapshot
    assert meta is not None, "only what a snapshot covers is purged"
    begun = replace(progress, state=SendSnapshot(meta))
    turn.set_progress(begun)
    replicate(turn, progress.peer)
    return begun


def _send_chunk(turn: Turn, progress: Progress, progress_state: SendSnapshot) -> None:
    """The next bytes; where the peer holds none and is silent, those of the newest snapshot there is."""
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
    """A new round of contact; the lease it may buy runs from now, when it is sent (dissertation §6.4.1)."""
    turn.lead(round=turn.leader.round + 1)
    turn.set_timer(lease(turn.leader.round))


def on_heartbeat_timer(turn: Turn) -> None:
    """The next round is due: tell whoever was not told otherwise (§5.2)."""
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
    """A round of heartbeats now, redundant or not."""
    start_round(turn)
    for progress in turn.leader.progress:
        send_heartbeat(turn, progress)


def send_heartbeat(turn: Turn, progress: Progress) -> None:
    """Commit is capped by what the peer acknowledged: a heartbeat proves nothing about the rest of its log."""
    matched = turn.log.id_at(progress.matched) or ORIGIN
    commit = min(turn.state.committed, matched.index)
    request = HeartbeatRequest(vote=turn.vote, matched=matched, commit=commit, round=turn.leader.round)
    turn.send(progress.peer, request)


# The follower answers


def on_append_request(turn: Turn, leader: NodeId, request: AppendRequest) -> None:
    """Append what is new behind ``prev``, or say where the logs may still agree (§5.3)."""
    if not _is_well_formed(request):
        return
    if not turn.rules.log_matches(turn.log, request.prev):
        refuse(turn, leader, request.prev, request.round)
        return
    entries = turn.rules.new_entries(turn.log, request.entries)
    if entries and entries[0].index <= turn.state.committed:
        turn.halt(f"leader {leader} sends {entries[0].id}, but another entry is committed there")
        return
    if entries and entries[0].index <= turn.log.last.index:
        turn.truncate(entries[0].index - 1)
    turn.append(entries)
    matched = request.entries[-1].id if request.entries else request.prev
    commit(turn, request.commit, matched.index)
    turn.send(leader, AppendAccepted(vote=turn.vote, matched=matched, round=request.round))


def _is_well_formed(request: AppendRequest) -> bool:
    """Whether entries follow ``prev`` and each other, none newer than their sender; anything else is absurd."""
    ids = (request.prev, *(entry.id for entry in request.entries))
    in_order = all(a < b and b.index == a.index + 1 for a, b in pairwise(ids))
    return in_order and ids[-1].leader <= (request.vote.term, request.vote.node)


def on_heartbeat_request(turn: Turn, leader: NodeId, request: HeartbeatRequest) -> None:
    """Stay loyal; a follower that lost what it acknowledged says so."""
    if not turn.rules.log_matches(turn.log, request.matched):
        refuse(turn, leader, request.matched, request.round)
        return
    commit(turn, request.commit, request.matched.index)
    turn.send(leader, HeartbeatResponse(vote=turn.vote, round=request.round))


def refuse(turn: Turn, leader: NodeId, prev: LogId, round: int) -> None:
    """The log lacks ``prev``: hint at the last entry that may still match."""
    hint = turn.rules.conflict_hint(turn.log, prev)
    turn.send(leader, AppendRefused(vote=turn.vote, prev=prev, hint=hint, round=round, empty=turn.log.last == ORIGIN))


def commit(turn: Turn, announced: Index, verified: Index) -> None:
    """Learn how far the leader has committed, as far as this log is verified."""
    index = turn.rules.follower_commit(turn.state, announced, verified)
    turn.update(committed=min(index, turn.log.last.index))


# The leader hears


def record_ack(turn: Turn, peer: NodeId, round: int) -> Progress | None:
    """Any answer proves contact; ``None`` where it belongs to an earlier life of the peer."""
    progress = turn.leader.of(peer)
    if progress is None or not progress.since_round <= round <= turn.leader.round:
        return None
    heard = replace(progress, last_ack_round=max(progress.last_ack_round, round), failures=0)
    turn.set_progress(_reachable_again(heard) if progress.failures else heard)
    return turn.leader.of(peer)


def _reachable_again(progress: Progress) -> Progress:
    """A peer that was silent answers again: what waits for the back-off may go now."""
    match progress.state:
        case Probe(asked=True):
            return replace(progress, state=Probe())
        case SendSnapshot(asked=True):
            return replace(progress, state=replace(progress.state, asked=False))
        case _:
            return progress


def on_heartbeat_response(turn: Turn, peer: NodeId, response: HeartbeatResponse) -> None:
    """Contact is all it proves."""
    record_ack(turn, peer, response.round)


def on_append_accepted(turn: Turn, peer: NodeId, answer: AppendAccepted) -> None:
    """The peer's disk holds everything up to ``matched``: matchIndex rises, the window opens (§5.3)."""
    progress = record_ack(turn, peer, answer.round)
    held = answer.matched.index <= turn.log.start.index or turn.log.has(answer.matched)
    if progress is None or not held:
        return
    raised = max(progress.matched, answer.matched.index)
    sure = answer.round if raised == progress.matched else turn.leader.round
    opened = _start_replicating(progress, raised, turn.log.start.index)
    accepted = replace(
        opened, matched=raised, last_append_round=answer.round, match_round=max(progress.match_round, sure)
    )
    turn.set_progress(accepted)
    _watch_progress(turn, accepted)


def _start_replicating(progress: Progress, matched: Index, start: Index) -> Progress:
    """The pace after an acknowledgement of everything up to ``matched``; the log begins behind ``start``."""
    match progress.state:
        case Replicate(inflight) if progress.matched < matched < min((b.last for b in inflight), default=0):
            return replace(progress, state=Replicate(), next=matched + 1)  # a part of a batch: go on behind it
        case Replicate(inflight):
            left = tuple(batch for batch in inflight if batch.last > matched)
            return replace(progress, state=Replicate(left), next=max(progress.next, matched + 1))
        case Probe():
            return replace(progress, state=Replicate(), next=matched + 1)
        case SendSnapshot(meta) if matched >= min(meta.last.index, start):  # entries do as well, or go on from there
            return replace(progress, state=Replicate(), next=matched + 1)
        case _:
            return replace(progress, next=max(progress.next, matched + 1))


def _watch_progress(turn: Turn, progress: Progress) -> None:
    """The retry timer runs while something is unanswered."""
    if isinstance(progress.state, Replicate):
        if progress.state.inflight:
            turn.set_timer(retry(progress.peer))
        else:
            turn.cancel_timer(retry(progress.peer))


def on_append_refused(turn: Turn, peer: NodeId, answer: AppendRefused) -> None:
    """The logs differ at ``prev``: look further back, where the hint says (§5.3)."""
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
    """A voter holds nothing: it waits for an operator if it provably lost its disk; else it may be new, and is fed."""
    if turn.log.proves_lost_disk(progress.peer, ORIGIN):
        _mark_reverted(turn, replace(progress, next=1), "lost its disk: it has led this cluster and holds nothing")
    elif turn.leader.noop > 2:  # there were leaders before; the entry of the first is the second, behind Initialize's
        turn.alarm(progress.peer, "is a voter and holds nothing: it is new, or it lost its disk; it gets the log now")


def _send_snapshot_instead(turn: Turn, progress: Progress, held: LogId) -> None:
    """A peer that was to get a snapshot holds an entry of this log: it needs only what follows."""
    if held.index > max(turn.log.start.index, progress.matched) and turn.log.has(held):
        turn.set_progress(replace(progress, state=Probe(), next=held.index + 1))


def _on_reversion(turn: Turn, progress: Progress, answer: AppendRefused) -> None:
    """A peer lacks what it had acknowledged. An answer older than the acknowledgement is merely late."""
    if answer.round > progress.match_round:
        again = replace(progress, next=turn.rules.next_probe(turn.log, answer.hint) + 1)
        _mark_reverted(turn, again, f"lost its log: it had acknowledged {progress.matched} and lacks {answer.prev}")


def _mark_reverted(turn: Turn, again: Progress, why: str) -> None:
    """A peer broke its word: it gets nothing more, unless it may begin ``again``."""
    if turn.config.allow_log_revert or again.may_revert:
        start_over(turn, again)
    else:
        turn.set_progress(replace(again, state=Reverted()))
        turn.alarm(again.peer, why)


def start_over(turn: Turn, progress: Progress) -> None:
    """Forget what the peer acknowledged; answers from before, to earlier rounds, count no more."""
    start_round(turn)
    turn.set_progress(
        replace(progress, state=Probe(), since_round=turn.leader.round, matched=0, commit_sent=0, may_revert=False)
    )


def on_retry_timer(turn: Turn, peer: NodeId) -> None:
    """No answer in time: whatever was unanswered counts as lost and goes out again, ever more slowly."""
    progress = turn.leader.of(peer)
    if progress is not None and _is_waiting(progress.state):
        turn.set_progress(_reachable_again(_backed_off(progress)))


def on_unreachable(turn: Turn, peer: NodeId) -> None:
    """The transport gave up: wait for the back-off before the next probe."""
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
    """From streaming to probing behind what is certain; one more failure in a row."""
    failures = progress.failures + 1
    if isinstance(progress.state, Replicate):
        return replace(progress, state=Probe(asked=True), next=progress.matched + 1, failures=failures)
    if isinstance(progress.state, SendSnapshot):
        progress_state = replace(progress.state, asked=True, tries=progress.state.tries + 1)
        return replace(progress, state=progress_state, failures=failures)
    return replace(progress, state=Probe(asked=True), failures=failures)


# Peers come and go


def sync_progress(turn: Turn) -> None:
    """The membership changed: a record for every member and nobody else; new ones begin in a round of their own."""
    known = {one.peer for one in turn.leader.progress}
    for gone in sorted(known - set(turn.membership)):
        turn.cancel_timer(retry(gone))
    if set(turn.membership) - known - {turn.id}:
        start_round(turn)
    start_progress(turn)


def start_progress(turn: Turn) -> None:
    """Records for members that have none yet, probed from the end of the log; records of others are dropped."""
    known = {one.peer: one for one in turn.leader.progress}
    fresh = Progress(peer=NO_NODE, next=turn.log.last.index + 1, since_round=turn.leader.round)
    members = (node for node in turn.membership if node != turn.id)
    turn.lead(progress=tuple(known.get(node) or replace(fresh, peer=node) for node in members))


# Commit


def advance_commit(turn: Turn) -> None:
    """What a quorum holds on disk is committed (§5.3, §5.4.2)."""
    if (committed := turn.rules.commit_index(turn.state)) != turn.state.committed:
        turn.update(committed=committed)


def renew_lease(turn: Turn) -> None:
    """A quorum answered a later round: the lease is renewed and check-quorum rests."""
    leader = turn.leader
    proved = turn.rules.acked_round(turn.state, leader)
    if proved > leader.acked_round:
        turn.lead(acked_round=proved)
        if turn.rules.starts_lease(leader, proved):
            turn.set_timer(lease(proved))
        if leader.acked_round <= leader.expired_round < proved:
            turn.cancel_timer(QUORUM)
