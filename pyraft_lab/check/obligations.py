"""What each server owes the others and its operator besides safety: limits, bookkeeping, whole snapshots, transfers.

A mistake here often does no harm in a healthy cluster, and much in a large or a slow one::

    windows and message sizes   ──▶ a slow follower costs its leader all memory
    matched index goes back     ──▶ entries are sent again and again
    bytes of another snapshot   ──▶ the transfer begins again, for ever
    requests during a transfer  ──▶ the target never catches up
    an order that comes early   ──▶ the target ignores it, and the transfer fails
    votes against leases        ──▶ a server that was away deposes a leader that works
    a removal that is not final ──▶ the leader leaves, and nobody else has the entry

They are for campaigns. Under swapped rules those that presuppose such a rule are left out
(:data:`~pyraft_lab.sim.local_invariants.PRESUPPOSED`).
"""

from collections.abc import Iterator, Sequence
from typing import get_args

from pyraft_lab.check.lookahead import EVERY_WAIT_ENDS
from pyraft_lab.check.situations import IMPOSSIBLE
from pyraft_lab.engine.commands import (
    Accepted,
    Alarm,
    Append,
    Apply,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    Send,
    WriteChunk,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Boot, ChangeMembership, Fire, Propose, PurgeLog, Receive
from pyraft_lab.engine.log import Configuration, SnapshotMeta, byte_size
from pyraft_lab.engine.membership import AddVoters, Batch, Change, RemoveVoters, ReplaceVoters
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import has_heard_leader, has_lost_lease, snapshots_being_sent
from pyraft_lab.engine.state import Leader, Progress, RaftState, Replicate, Step
from pyraft_lab.engine.timers import QUORUM, TRANSFER, LeaderTimer
from pyraft_lab.engine.types import NO_NODE, Index, LogId, NodeId, Vote
from pyraft_lab.sim.local_invariants import as_violations
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.safety import NOTHING_IMPOSSIBLE, has_entry, has_majority
from pyraft_lab.sim.world import Node, World
from pyraft_lab.trace.annotate.table import remarks
from pyraft_lab.trace.record import Flight, Record

LIMITS_HOLD = "limits hold"
PROGRESS_STAYS = "progress never goes back"
ARRIVES_WHOLE = "snapshots arrive whole"
TRANSFERS_REFUSE = "transfers take no requests"
VOTERS_LEAD = "voters lead"
LEASES_BIND = "vote leases bind"
LEADS_ON = "leaders lead until they may leave"
AS_ASKED = "changes are as asked"
TARGETS_WAIT = "targets of transfers have the log"
COUNTS_ANSWERS = "only answers count"
ROUNDS_BACKED = "rounds are backed"
STORED_IS_ON_DISK = "what is stored is on disk"
SNAPSHOTS_DUE = "snapshots are built when due"
LATER_TERMS = "later terms are adopted"
TIMERS_END = "a leader's timers end with its leadership"
LEADERS = frozenset(get_args(LeaderTimer))
"""The kinds of timers that only a leader has."""
Broken = Iterator[tuple[str, str]]


class Obligations:
    """Checks what a server owes besides safety; with ``strict`` everything, whatever the rules."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.answers: dict[tuple[NodeId, Vote], dict[int, Index]] = {}
        """What each server has answered to each leadership: round -> the last index acknowledged."""

    def fork(self, world: World) -> "Obligations":
        """A checker that knows what this one knows: answers after ``world`` make it no stricter."""
        assert world.events >= 0, "a world has a past"
        past = Obligations(strict=self.strict)
        past.answers = {whom: dict(answers) for whom, answers in self.answers.items()}
        return past

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The obligations that a record violates."""
        found: list[tuple[str, str]] = []
        for flight in record.sent:
            found += messages_are_small(flight, world)
            self._note(flight)
        if record.step is not None:
            found += self._step(record.step, world)
        return as_violations(found, record, world, strict=self.strict) if found else []

    def _step(self, step: Step, world: World) -> Broken:
        after = step.after
        if type(step.event) is Boot:  # what a leader asked before its restart is no longer its own
            self.answers = {whom: known for whom, known in self.answers.items() if whom[1].node != after.id}
        if step.commands:
            yield from alarms_have_causes(step)
            yield from transfers_keep_snapshots(step, world)
            yield from leases_bind(step)
            yield from later_terms_are_adopted(step)
            yield from changes_are_as_asked(step)
            yield from targets_have_the_log(step, world)
            yield from leaders_lead_on(step)
            yield from snapshots_arrive_whole(step, world)
            yield from pieces_are_small(step)
        if type(step.before.role) is Leader and type(after.role) is not Leader:
            yield from timers_have_ended(world.nodes[after.id])
        if type(after.role) is Leader and after.role is not step.before.role:
            yield from windows_hold(after.role, after)
            yield from progress_stays(step)
            yield from self._is_answered(step.before, after, after.role)
            yield from rounds_are_backed(step.before, after, after.role)
        if step.before.stored != after.stored or step.before.disk is not after.disk:
            yield from stored_is_on_disk(after, world)
        if after.applied != step.before.applied:
            yield from no_snapshot_is_due(after)
            yield from no_read_waits(world.nodes[after.id])
        if type(step.event) is Propose:
            yield from requests_are_limited(step, step.event)

    def _note(self, flight: Flight) -> None:
        match flight.message:
            case AppendAccepted(vote=vote, matched=matched, round=round):
                index = matched.index
            case (
                HeartbeatResponse(vote=vote, round=round)
                | AppendRefused(vote=vote, round=round)
                | SnapshotResponse(vote=vote, round=round)
            ):
                index = 0
            case _:
                return
        answers = self.answers.setdefault((flight.src, vote), {})
        answers[round] = max(answers.get(round, 0), index)

    def _is_answered(self, before: RaftState, after: RaftState, leader: Leader) -> Broken:
        """What a leader counts of a peer was answered to it, since this record of the peer began (§5.3, §6.4)."""
        known = {one.peer: one for one in before.role.progress} if isinstance(before.role, Leader) else {}
        for one in leader.progress:
            old = known.get(one.peer)
            if old is not None and (old.last_ack_round, old.matched) == (one.last_ack_round, one.matched):
                continue
            answers = self.answers.get((one.peer, after.vote), {})
            if one.last_ack_round and one.last_ack_round not in answers:
                what = f"node {after.id} counts node {one.peer} for round {one.last_ack_round}, which it never answered"
                yield COUNTS_ANSWERS, what
            acked = max((index for round, index in answers.items() if round >= one.since_round), default=0)
            if one.matched > acked:
                what = f"node {after.id} counts {one.matched} of node {one.peer}, which has acknowledged {acked}"
                yield COUNTS_ANSWERS, what


def alarms_have_causes(step: Step) -> Broken:
    """An alarm has a cause that a right cluster permits, such as a lost disk; a damaged snapshot is none."""
    if any(type(command) is Alarm for command in step.commands):
        for remark in remarks(step):
            if remark.rule.label in IMPOSSIBLE:
                yield NOTHING_IMPOSSIBLE, f"node {step.after.id} {remark.text}"


# Leases and transfers


def leases_bind(step: Step) -> Broken:
    """A server that heard its leader within a vote lease grants no vote and no pre-vote against it (§9.6, §4.2.3).

    Pre-votes that pass over leases let a server that was cut off depose its leader: the leader learns its higher term.
    """
    event = step.event
    if type(event) is Boot:
        yield from _keeps_lease(step.after)
    if not isinstance(event, Receive) or not isinstance(event.message, (VoteRequest, PreVoteRequest)):
        return
    if (isinstance(event.message, VoteRequest) and event.message.transfer) or not has_heard_leader(step.before):
        return
    for command in step.commands:
        match command:
            case Send(dst, VoteResponse(granted=True) | PreVoteResponse(granted=True)):
                yield LEASES_BIND, f"node {step.after.id} votes for node {dst} within its leader's vote lease"
            case _:
                pass


def _keeps_lease(state: RaftState) -> Broken:
    """Who followed a leader, or campaigned, before a restart may have promised somebody a vote lease (§6.4.1)."""
    vote, is_alone = state.vote, state.membership.voters == {state.id}
    may_have_promised = not is_alone and vote.node != NO_NODE and vote.committed != (vote.node == state.id)
    if state.config.vote_lease and may_have_promised and not has_heard_leader(state):
        yield LEASES_BIND, f"node {state.id} starts with {vote}, and without a vote lease"


def later_terms_are_adopted(step: Step) -> Broken:
    """A request for a vote in a later term ends this one, whether the vote is granted or not (§5.1)."""
    match step.event:
        case Receive(src, VoteRequest(vote=vote)) if not has_heard_leader(step.before) and step.after.term < vote.term:
            yield (
                LATER_TERMS,
                f"node {step.after.id} stays in term {step.after.term}, and node {src} asks in {vote.term}",
            )
        case _:
            pass


def targets_have_the_log(step: Step, world: World) -> Broken:
    """The target of a transfer is told to campaign when it has the whole log: before that it would not (§3.10)."""
    for command in step.commands:
        match command:
            case Send(dst, TimeoutNow(vote=vote, last=LogId() as last)):
                disk = world.nodes[dst].synced
                if not (disk.vote > vote or has_entry(disk, last)):
                    yield TARGETS_WAIT, f"node {step.after.id} tells node {dst} to campaign, which lacks {last}"
            case _:
                pass


# Memberships (§6)


def leaders_lead_on(step: Step) -> Broken:
    """Within its term a leader leaves if it has lost its quorum, or is removed for good (§6, dissertation §6.2)."""
    before, after, event = step.before, step.after, step.event
    if type(before.role) is not Leader or type(after.role) is Leader or before.vote != after.vote:
        return
    is_removed = after.id not in after.membership.nodes and after.membership_id.index <= after.committed
    if not is_removed and not (isinstance(event, Fire) and event.timer == QUORUM and has_lost_lease(before)):
        where = f"{after.membership} from {after.membership_id} on, with {after.committed} committed"
        yield LEADS_ON, f"node {after.id} leaves term {after.term} in {where}"
    if is_removed:
        yield from _hands_over(step, before.role)


def _hands_over(step: Step, leader: Leader) -> Broken:
    """Who leaves tells the target an operator named to campaign, else the voter with most of the log (§3.10)."""
    after, handover = step.after, leader.transfer
    voters = {one.peer: one.matched for one in leader.progress if one.peer in after.membership.voters}
    told = {one.dst for one in step.commands if type(one) is Send and type(one.message) is TimeoutNow}
    if handover is not None and (handover.asked or handover.to not in voters or step.event == Fire(TRANSFER)):
        return
    answered = {step.event.src} if isinstance(step.event, Receive) else set()  # it may have just got the rest
    best = answered | {peer for peer, matched in voters.items() if matched == max(voters.values())}
    wanted = best if handover is None else {handover.to}
    if voters and not (told and told <= wanted):
        yield LEADS_ON, f"node {after.id} leaves and tells {sorted(told)} to campaign, instead of {sorted(wanted)}"


def timers_have_ended(node: Node) -> Broken:
    """Who leads no more has no timer of a leader: one that fires in its next leadership would mean another round."""
    left = sorted(str(timer) for timer in node.timers if timer.kind in LEADERS)
    if node.up and left:
        yield TIMERS_END, f"node {node.id} leads no more, and has {', '.join(left)}"


def changes_are_as_asked(step: Step) -> Broken:
    """A leader's next membership has the voters that were asked for; who votes no more stays only if that was asked."""
    before, after = step.before, step.after
    if not isinstance(before.role, Leader) or before.vote != after.vote:
        return
    old, asked = before.membership, step.event if isinstance(step.event, ChangeMembership) else None
    for entry in (one for command in step.commands if type(command) is Append for one in command.entries):
        if not isinstance(entry.payload, Configuration):
            continue
        new, where = entry.payload.membership, f"node {after.id} goes from {old} to {entry.payload.membership}"
        wanted = old.configs[-1] if asked is None else voters_after(asked.change, old.configs[-1])
        retain = old.retain if asked is None else asked.retain
        if new.configs[-1] != wanted or (new.is_joint and new.retain != retain):
            yield AS_ASKED, f"{where}, and was asked for {sorted(wanted)}, with those who leave: {retain}"
        left = old.voters - new.voters
        if (not retain and left & set(new.nodes)) or (asked is None and set(old.nodes) - left - set(new.nodes)):
            yield AS_ASKED, f"{where}, with the nodes {sorted(new.nodes)}"
        if asked is None and retain and left - set(new.nodes):
            yield AS_ASKED, f"{where}, and {sorted(left)} were to stay as learners"
        old, asked = new, None


def voters_after(change: Change, voters: frozenset[NodeId]) -> frozenset[NodeId]:
    """The voters that a change asks for, computed apart from the code that is checked."""
    match change:
        case AddVoters(more):
            return voters | set(more)
        case RemoveVoters(fewer):
            return voters - fewer
        case ReplaceVoters(others):
            return others
        case Batch(changes):
            for one in changes:
                voters = voters_after(one, voters)
            return voters
        case _:
            return voters


# Limits (dissertation §10.2.1; the settings of Config)


def messages_are_small(flight: Flight, world: World) -> Broken:
    """An append has at most the entries and bytes that the settings say, a snapshot's chunk at most its bytes."""
    match flight.message:
        case AppendRequest(entries=entries) if len(entries) > 1:
            config, size = _config(world, flight), byte_size(entries)
            if len(entries) > config.max_append_entries or size > config.max_append_bytes:
                yield LIMITS_HOLD, f"node {flight.src} sends {len(entries)} entries of {size} bytes in one message"
        case SnapshotRequest(data=data) if len(data) > _config(world, flight).snapshot_chunk:
            yield LIMITS_HOLD, f"node {flight.src} sends {len(data)} bytes of a snapshot in one message"
        case _:
            pass


def _config(world: World, flight: Flight) -> Config:
    return world.nodes[flight.src].state.config


def pieces_are_small(step: Step) -> Broken:
    """Entries are given to the machine in pieces of at most ``max_apply_entries``; ``keep_logs`` of them are kept."""
    for command in step.commands:
        if type(command) is Purge and not isinstance(step.event, (PurgeLog, Boot)):
            kept = step.after.snapshot_last.index - command.upto.index
            if kept < step.after.config.keep_logs:
                yield LIMITS_HOLD, f"node {step.after.id} purges its log to {command.upto}, and keeps {kept} entries"
        if type(command) is Apply and len(command.entries) > step.after.config.max_apply_entries:
            yield LIMITS_HOLD, f"node {step.after.id} applies {len(command.entries)} entries in one piece"


def windows_hold(leader: Leader, state: RaftState) -> Broken:
    """A leader has at most ``max_inflight`` messages on their way to a peer, and ``max_inflight_bytes`` and a message.

    A window is full when its bytes reach the limit; the message that fills it may go beyond.
    """
    config = state.config
    for one in leader.progress:
        if type(one.state) is Replicate and one.state.inflight:
            batches = one.state.inflight
            before_last = sum(batch.size for batch in batches[:-1])
            if len(batches) > config.max_inflight or before_last >= config.max_inflight_bytes:
                yield LIMITS_HOLD, f"node {state.id} has {len(batches)} messages on their way to node {one.peer}"


def requests_are_limited(step: Step, event: Propose) -> Broken:
    """A leader accepts writes while it transfers nothing, and as many uncommitted bytes as its settings say (§3.10).

    A single request always passes if nothing waits; several that were merged have to fit together.
    """
    before = step.before
    if not any(type(command) is Accepted for command in step.commands):
        return
    if isinstance(before.role, Leader) and before.role.transfer is not None:
        yield TRANSFERS_REFUSE, f"node {before.id} accepts writes while it transfers to node {before.role.transfer.to}"
    limit = before.config.max_uncommitted_bytes
    waiting = before.log.byte_size - before.log.byte_size_at(before.committed)
    added = step.after.log.byte_size - before.log.byte_size
    if limit is not None and (waiting or len(event.requests) > 1) and added and waiting + added > limit:
        yield LIMITS_HOLD, f"node {before.id} accepts {added} more bytes, and {waiting} wait already ({event.requests})"


def no_snapshot_is_due(state: RaftState) -> Broken:
    """A server that has applied as much as its settings say builds a snapshot, unless it is sending an older one."""
    base, config = max(state.snapshot_last.index, state.attempted), state.config
    if state.building or state.log.id_at(state.applied) is None or state.applied <= state.snapshot_last.index:
        return
    if any(meta != state.disk.snapshot for meta in snapshots_being_sent(state)):
        return
    size = state.log.byte_size_at(state.applied) - state.log.byte_size_at(base)
    for limit, reached in (
        (config.snapshot_logs_since_last, state.applied - base),
        (config.snapshot_bytes_since_last, size),
    ):
        if limit is not None and reached >= limit:
            yield SNAPSHOTS_DUE, f"node {state.id} has applied {reached} since its snapshot, the limit is {limit}"


def no_read_waits(node: Node) -> Broken:
    """A read is answered as soon as what it must see is applied, by entries or by a snapshot (dissertation §6.4)."""
    for read in node.pending.reads:
        if read.at.index <= node.pending.applied:
            yield EVERY_WAIT_ENDS, f"node {node.id} has applied {node.pending.applied}, and a read of {read.at} waits"


# Bookkeeping (§5.3)


def progress_stays(step: Step) -> Broken:
    """Within a record of progress what a peer acknowledged does not become less; and only a voter is elected."""
    before, after = step.before, step.after
    assert isinstance(after.role, Leader), "only a leader has progress records"
    if not isinstance(before.role, Leader) or before.vote != after.vote:
        if after.id not in before.membership.voters | after.membership.voters | before.committed_membership.voters:
            yield VOTERS_LEAD, f"node {after.id} leads term {after.term} of {after.membership}, which it is no voter of"
        return
    known: dict[int, Progress] = {one.peer: one for one in before.role.progress}
    for one in after.role.progress:
        old = known.get(one.peer)
        if old is not None and old.since_round == one.since_round and one.matched < old.matched:
            what = f"node {after.id} counted {old.matched} of node {one.peer}, and now {one.matched}"
            yield PROGRESS_STAYS, what


def rounds_are_backed(before: RaftState, after: RaftState, leader: Leader) -> Broken:
    """A round counts as answered only by a majority of every voter set: reads and leases rest on it (§6, §6.4)."""
    was = (
        before.role.acked_round if isinstance(before.role, Leader) and before.vote == after.vote else leader.acked_round
    )
    if leader.acked_round <= was:
        return
    answered = {after.id, *(one.peer for one in leader.progress if one.last_ack_round >= leader.acked_round)}
    if not has_majority(after.membership, answered):
        what = f"node {after.id} takes round {leader.acked_round} as answered, and only {sorted(answered)} did"
        yield ROUNDS_BACKED, what


def stored_is_on_disk(state: RaftState, world: World) -> Broken:
    """What a server counts as its own copy is in its log, and on its disk (dissertation §10.2.1)."""
    node, at = world.nodes[state.id], state.stored
    if at.index <= state.log.start.index or node.disk_faults.lying:
        return
    if not (state.log.has(at) and has_entry(node.synced, at)):
        yield (
            STORED_IS_ON_DISK,
            f"node {state.id} counts its own copy up to {at}, and its disk has {node.synced.log.last}",
        )


# Snapshots (§7, Figure 13)


def snapshots_arrive_whole(step: Step, world: World) -> Broken:
    """The bytes that arrived of a snapshot are the first ones of that snapshot, as another server has it."""
    node = world.nodes[step.after.id]
    for command in step.commands:
        match command:
            case WriteChunk(meta) if node.state.incoming is not None and node.state.incoming.meta == meta:
                yield from _is_part(node, meta, node.arriving, world)
            case InstallSnapshot(meta):
                stored = next((one.data for one in node.snapshots if one.meta == meta), b"")
                yield from _is_part(node, meta, stored, world)
            case _:
                pass


def transfers_keep_snapshots(step: Step, world: World) -> Broken:
    """What a peer is receiving is kept, and the entries after it: else the transfer begins again, for ever."""
    kept, still = [one.meta for one in world.nodes[step.after.id].snapshots], snapshots_being_sent(step.after)
    for meta in (one for one in snapshots_being_sent(step.before) if one in still):
        for command in step.commands:
            if type(command) is SaveSnapshot and meta not in kept:
                yield ARRIVES_WHOLE, f"node {step.after.id} replaces its snapshot to {meta.last}, which it is sending"
            if type(command) is Purge and type(step.event) is not PurgeLog and command.upto.index > meta.last.index:
                yield ARRIVES_WHOLE, f"node {step.after.id} purges to {command.upto}, while it sends {meta.last}"


def _is_part(node: Node, meta: SnapshotMeta, data: bytes, world: World) -> Broken:
    others = (kept for other in world.nodes.values() if other.id != node.id for kept in other.snapshots)
    whole = next((kept.data for kept in others if kept.meta == meta), None)
    if whole is not None and data != whole[: len(data)]:
        yield ARRIVES_WHOLE, f"node {node.id} has {len(data)} bytes that are not those of the snapshot to {meta.last}"
