"""What would a server do if it were asked now? Questions for states that a run reaches, but whose moment it misses.

The engine is a pure function, so a question costs a step and changes nothing. A run comes to some states seldom; that a
client, an operator or a late message also comes just then is rarer still::

    a leader's lease is valid, its first entry is not committed     ── a read by lease?
    it has lost its quorum, and does not know                       ── a write? a change?
    two appends are on their way                                    ── the first is acknowledged, a refusal comes late?
    it sends a snapshot, and has a newer one                        ── a third? a purge? a late answer about another?
    it transfers leadership                                         ── to another server? to itself? to a learner?
    a follower has entries that nobody else has, and callers wait   ── an append, a snapshot of the next leader?
    a server votes no more                                          ── its election timer? an operator's trigger?
    a peer has led, and holds nothing                               ── a refusal of it? its vote? is it unreachable?
    a transfer, or a snapshot that is being sent, comes to nothing  ── is the order withdrawn? is another one sent?

A state is asked when the run first comes to one of its shape, and now and then besides.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.lookahead import EVERY_WAIT_ENDS
from pyraft_lab.check.obligations import (
    ARRIVES_WHOLE,
    AS_ASKED,
    COUNTS_ANSWERS,
    LIMITS_HOLD,
    STORED_IS_ON_DISK,
    TRANSFERS_REFUSE,
    VOTERS_LEAD,
)
from pyraft_lab.engine.commands import Accepted, Apply, Done, InstallSnapshot, Purge, Readable, Send, TakeSnapshot
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import (
    AllowRevert,
    BuildSnapshot,
    ChangeMembership,
    Configure,
    Elect,
    Event,
    Fire,
    Propose,
    Read,
    ReadPolicy,
    Receive,
    SnapshotBuilt,
    SnapshotGone,
    TransferLeader,
    Unreachable,
)
from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal, SnapshotMeta
from pyraft_lab.engine.membership import AddLearners, Batch
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    PreVoteRequest,
    SnapshotRequest,
    SnapshotResponse,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import has_lost_lease, has_valid_lease, snapshots_being_sent
from pyraft_lab.engine.state import (
    Candidate,
    Leader,
    PendingTransfer,
    Progress,
    RaftState,
    Replicate,
    Reverted,
    SendSnapshot,
    Step,
)
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, TRANSFER
from pyraft_lab.engine.types import ORIGIN, LogId, NodeId, RequestId, Vote
from pyraft_lab.pending_requests import PendingRequests
from pyraft_lab.sim.local_invariants import as_violations, installs_replace_the_log
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import Record

READS_ARE_FRESH = "reads are fresh"
LOST_REFUSE = "leaders without a quorum refuse"
AS_COMPARED = "answers say what was compared"
HANDED_AS_ASKED = "transfers are as asked"
ASKED: RequestId = 0
"""The id of a request that nobody has made."""
EVERY = 16
"""Every 16th record is asked even if a state of its shape was asked before."""
Broken = Iterator[tuple[str, str]]


class WhatIf:
    """Asks states what they would do; with ``strict`` everything counts, whatever the rules."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.asked: set[tuple[object, ...]] = set()

    def fork(self, world: World) -> "WhatIf":
        """A checker for the fork, which asks every shape again."""
        assert world.events >= 0, "a world has a past"
        return WhatIf(strict=self.strict)

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """What the server of a record would do wrong."""
        step = record.step
        if step is None or step.after.halted or not world.nodes[step.after.id].up:
            return ()
        shape = shape_of(step.after)
        if shape in self.asked and record.id % EVERY:
            return ()
        self.asked.add(shape)
        one = Asked(state=step.after, engine=world.setting.engine, others=_others(step.after.id, world))
        return as_violations(list(one.answers()), record, world, strict=self.strict)


def _others(node: NodeId, world: World) -> tuple[NodeId, ...]:
    return tuple(other for other in sorted(world.nodes) if other != node)


def shape_of(state: RaftState) -> tuple[object, ...]:
    """What of a state decides the answers: states of one shape are asked once."""
    role = state.role
    if not isinstance(role, Leader):
        own = min(state.log.last.index - state.committed, 2)
        return type(role), own, state.stored == state.log.last, state.id in state.membership.voters
    windows = [len(one.state.inflight) for one in role.progress if isinstance(one.state, Replicate)]
    sent = snapshots_being_sent(state)
    return (
        role.noop <= state.committed,
        has_lost_lease(state),
        has_valid_lease(state),
        role.transfer is None,
        min(max(windows, default=0), 2),
        len(sent),
        any(meta != state.disk.snapshot for meta in sent),
        state.building,
    )


class Asked(Struct, frozen=True, kw_only=True):
    """A state that is asked, under an engine; ``others`` are the servers besides."""

    state: RaftState
    engine: Engine
    others: tuple[NodeId, ...]

    def answers(self) -> Broken:
        """What is wrong with the answers."""
        role = self.state.role
        yield from books_are_right(self.state)
        yield from self._settings()
        if isinstance(role, Candidate):
            yield from self._of_a_candidate(role)
        if not isinstance(role, Leader):
            yield from self._of_a_voter()
            if self.others and self.state.membership.configs:
                yield from self._of_a_follower()
            return
        yield from self._reads(role, "lease")
        yield from self._reads(role, "index")
        yield from self._waiting_read(role)
        yield from self._requests(role)
        yield from self._transfers(role)
        yield from self._addresses()
        yield from self._snapshots()
        for one in role.progress:
            yield from self._lost_logs(role, one)
            yield from self._lost_disks(role, one)
            yield from self._comes_to_nothing(role, one)
            if isinstance(one.state, SendSnapshot):
                yield from self._other_chunks(role, one, one.state)
            if isinstance(one.state, Replicate) and one.state.inflight:
                yield from self._late_answers(role, one, one.state)

    def _step(self, event: Event, state: RaftState | None = None) -> Step:
        return self.engine.step(self.state if state is None else state, event)

    # A leader

    def _reads(self, leader: Leader, policy: ReadPolicy) -> Broken:
        """A read waits for the leader's first entry and all it has committed; by index also for a round after it."""
        step, where = self._step(Read((ASKED,), policy)), f"a read by {policy} at node {self.state.id}"
        least = max(leader.noop, self.state.committed)
        served = [one.at.index for one in step.commands if isinstance(one, Readable) and ASKED in one.requests]
        waiting = step.after.role.reads if isinstance(step.after.role, Leader) else ()
        for read in waiting:
            if ASKED in read.requests:
                served.append(read.at.index)
                if read.round <= leader.round:
                    yield READS_ARE_FRESH, f"{where} would be served by round {read.round}, which began before it"
        if any(index < least for index in served):
            yield READS_ARE_FRESH, f"{where} would be served at {served}, and must see {least}"

    def _waiting_read(self, leader: Leader) -> Broken:
        """A read that waits for the next round has every peer asked in it, even one that needs no heartbeat (§6.4)."""
        config = replace(self.state.config, enable_heartbeat=True, suppress_heartbeats=True, read_sends_heartbeat=False)
        spared = tuple(replace(one, last_append_round=leader.round) for one in leader.progress)
        busy = replace(self.state, config=config, role=replace(leader, progress=spared))
        waiting = self._step(Read((ASKED,), "index"), busy).after
        if not isinstance(waiting.role, Leader) or all(ASKED not in read.requests for read in waiting.role.reads):
            return
        told = {command.dst for command in self._step(Fire(HEARTBEAT), waiting).commands if isinstance(command, Send)}
        for one in leader.progress:
            if one.peer not in told:
                yield EVERY_WAIT_ENDS, f"a read of node {waiting.id} would wait, and node {one.peer} is not asked"

    def _transfers(self, leader: Leader) -> Broken:
        """Leadership goes to the voter that was named last, or stays with the leader that was; nobody else is one."""
        state, voters = self.state, self.state.membership.voters
        moving = [PendingTransfer(voter) for voter in sorted(voters - {state.id})[:1]]
        for to in state.membership.nodes:
            before = moving[0] if moving and to in voters else None
            step = self._step(TransferLeader(ASKED, to), replace(state, role=replace(leader, transfer=before)))
            is_done, role = any(type(command) is Done for command in step.commands), step.after.role
            wanted = to if to in voters - {state.id} else None
            if isinstance(role, Leader) and (role.transfer and role.transfer.to) != wanted:
                yield HANDED_AS_ASKED, f"node {state.id} would go on with {role.transfer}, asked for node {to}"
            if is_done and to not in voters:
                yield HANDED_AS_ASKED, f"node {state.id} would agree to a transfer to node {to}, which is no voter"

    def _addresses(self) -> Broken:
        """The address of a node that is added once more stays: only ``SetNodes`` and ``ReplaceNodes`` change it."""
        for node, address in self.state.membership.nodes.items():
            added = ChangeMembership(request=ASKED, change=AddLearners({node: f"not {address}"}))
            if self._step(added).after.membership.nodes.get(node, address) != address:
                yield AS_ASKED, f"node {self.state.id} would change the address of node {node}, which it is to add"

    def _requests(self, leader: Leader) -> Broken:
        """A leader that transfers leadership, or has lost its quorum, takes no requests (dissertation §3.10, §6.2)."""
        is_lost = self.state.config.check_quorum and has_lost_lease(self.state)
        if leader.transfer is None and not is_lost:
            return
        name = LOST_REFUSE if is_lost else TRANSFERS_REFUSE
        write = Propose(requests=(ASKED,), payloads=(Normal(b"\xc0"),))
        for event in (write, ChangeMembership(request=ASKED, change=Batch(()))):
            if any(type(command) is Accepted for command in self._step(event).commands):
                yield name, f"node {self.state.id} would accept {type(event).__name__}"

    def _snapshots(self) -> Broken:
        """What a peer is receiving, and the entries after it, are kept whatever comes next (§7)."""
        sent, state = snapshots_being_sent(self.state), self.state
        if not sent:
            return
        taken = any(type(command) is TakeSnapshot for command in self._step(BuildSnapshot()).commands)
        if taken and any(meta != state.disk.snapshot for meta in sent):
            yield ARRIVES_WHOLE, f"node {state.id} would build a snapshot that takes the place of one it is sending"
        last, first = state.log.id_at(state.applied), min(meta.last.index for meta in sent)
        if last is None or last.index <= state.snapshot_last.index:
            return
        meta = SnapshotMeta(last, state.membership_at(last.index), state.membership_id_at(last.index))
        for command in self._step(SnapshotBuilt(meta)).commands:
            if type(command) is Purge and command.upto.index > first:
                yield ARRIVES_WHOLE, f"node {state.id} would purge to {command.upto}, while it sends up to {first}"

    def _late_answers(self, leader: Leader, one: Progress, window: Replicate) -> Broken:
        """The first append is acknowledged: the others still count, and a refusal sent before does nothing (§5.3)."""
        at = self.state.log.id_at(window.inflight[0].last)
        if at is None or at.index <= one.matched or one.since_round > leader.round:
            return
        where = f"node {self.state.id}, of node {one.peer}"
        accepted = AppendAccepted(vote=self.state.vote, matched=at, round=one.since_round)
        after = self._step(Receive(one.peer, accepted)).after
        counted = after.progress_of(one.peer)
        if counted is None:
            return
        left = counted.state.inflight if isinstance(counted.state, Replicate) else ()
        if counted.next > at.index + 1 and not {*window.inflight[1:]} <= {*left}:
            yield LIMITS_HOLD, f"{where}, would count {left} as on their way, and {window.inflight[1:]} are"
        refused = AppendRefused(vote=self.state.vote, prev=at, hint=LogId(0, 0, 0), round=leader.round)
        late = self._step(Receive(one.peer, refused), after).after.progress_of(one.peer)
        if late is not None and late.matched < counted.matched:
            yield COUNTS_ANSWERS, f"{where}, would forget {counted.matched} for a refusal sent before"

    def _lost_logs(self, leader: Leader, one: Progress) -> Broken:
        """An operator lets a peer start again that lost its log: nothing counts of what it had acknowledged."""
        at = self.state.log.id_at(one.matched)
        if at is None or not one.matched or leader.round <= max(one.match_round, one.since_round) or leader.transfer:
            return
        allowed = self._step(AllowRevert(ASKED, one.peer)).after
        refused = AppendRefused(vote=self.state.vote, prev=at, hint=ORIGIN, round=leader.round, empty=True)
        left = self._step(Receive(one.peer, refused), allowed).after.progress_of(one.peer)
        if left is not None and left.matched and not isinstance(one.state, SendSnapshot | Reverted):
            yield COUNTS_ANSWERS, f"node {self.state.id} would count {left.matched} of node {one.peer}, which lost it"
        if left is not None and left.may_revert and left.since_round > one.since_round:
            yield COUNTS_ANSWERS, f"node {self.state.id} would let node {one.peer} lose its log once more"

    def _lost_disks(self, leader: Leader, one: Progress) -> Broken:
        """A voter that has led and holds nothing gets nothing before an operator allows it, unreachable or not."""
        state, prev = self.state, self.state.log.id_at(one.next - 1)
        new = replace(one, matched=0, state=Replicate(), since_round=leader.round, may_revert=False)
        gone = replace(state, role=leader.with_progress(replace(new, state=Reverted())))
        left = self._step(Unreachable(one.peer), gone).after.progress_of(one.peer)
        if left is not None and not isinstance(left.state, Reverted):
            yield COUNTS_ANSWERS, f"node {state.id} would send its log to node {one.peer} again, which lost its own"
        is_lost = one.peer in state.membership.voters and state.log.proves_lost_disk(one.peer, ORIGIN)
        if not is_lost or state.config.allow_log_revert or prev in (None, ORIGIN):
            return
        refused = AppendRefused(vote=state.vote, prev=prev, hint=ORIGIN, round=leader.round, empty=True)
        asked = replace(state, role=leader.with_progress(new))
        left = self._step(Receive(one.peer, refused), asked).after.progress_of(one.peer)
        if left is not None and not isinstance(left.state, Reverted):
            yield COUNTS_ANSWERS, f"node {state.id} would send its log to node {one.peer}, which has lost its disk"

    def _comes_to_nothing(self, leader: Leader, one: Progress) -> Broken:
        """A target of a transfer that was told to campaign is told nothing new: an entry withdraws the order (§3.10).

        A snapshot that is there no more is not asked for again: the newest one is sent.
        """
        state, newest = self.state, self.state.disk.snapshot
        told = replace(leader, transfer=PendingTransfer(one.peer, asked=True))
        after = self._step(Fire(TRANSFER), replace(state, role=told)).after
        if isinstance(after.role, Leader) and after.log.last == state.log.last:
            yield TRANSFERS_REFUSE, f"node {state.id} would end its transfer, and node {one.peer} could still campaign"
        if newest is not None:
            old = replace(one, state=SendSnapshot(replace(newest, checksum=newest.checksum ^ 1), offset=1, asked=True))
            left = self._step(SnapshotGone(one.peer), replace(state, role=leader.with_progress(old))).after.progress_of(
                one.peer
            )
            if left is not None and isinstance(left.state, SendSnapshot) and left.state.meta != newest:
                yield ARRIVES_WHOLE, f"node {state.id} would go on sending a snapshot that it has no more"

    def _other_chunks(self, leader: Leader, one: Progress, sending: SendSnapshot) -> Broken:
        """A late answer about another snapshot says nothing about the one that is being sent (§7, Figure 13)."""
        other = replace(sending.meta.last, index=sending.meta.last.index - 1)
        answer = SnapshotResponse(vote=self.state.vote, last=other, offset=sending.meta.size, round=leader.round)
        after = self._step(Receive(one.peer, answer)).after.progress_of(one.peer)
        if after is not None and isinstance(after.state, SendSnapshot) and after.state.offset > sending.offset:
            what = f"{after.state.offset} bytes of {sending.meta.last} at node {one.peer}, which answered about {other}"
            yield COUNTS_ANSWERS, f"node {self.state.id} would count {what}"

    # Others

    def _settings(self) -> Broken:
        """New settings are in force at once."""
        wanted = replace(self.state.config, enable_elect=not self.state.config.enable_elect)
        if self._step(Configure(wanted)).after.config != wanted:
            yield LIMITS_HOLD, f"node {self.state.id} would go on with its earlier settings"

    def _of_a_candidate(self, role: Candidate) -> Broken:
        """The vote of a server that has led and holds nothing does not count: it may have voted before (§5.2)."""
        state = self.state
        for voter in sorted(state.membership.voters - role.granted - {state.id}):
            if state.log.proves_lost_disk(voter, ORIGIN):
                grant = VoteResponse(vote=state.vote, asked=state.vote, granted=True, last=ORIGIN)
                after = self._step(Receive(voter, grant)).after
                if isinstance(after.role, Leader) or (
                    isinstance(after.role, Candidate) and voter in after.role.granted
                ):
                    yield COUNTS_ANSWERS, f"node {state.id} would count the vote of node {voter}, which lost its disk"

    def _of_a_voter(self) -> Broken:
        """Who does not vote does not campaign (§6)."""
        state = self.state
        if state.id in state.membership.voters | state.committed_membership.voters:
            return
        asked = (self._step(event).commands for event in (Fire(ELECTION), Elect(pre_vote=False)))
        for command in chain.from_iterable(asked):
            if type(command) is Send and isinstance(command.message, VoteRequest | PreVoteRequest):
                yield VOTERS_LEAD, f"node {state.id} would campaign in {state.membership}, which it is no voter of"

    def _of_a_follower(self) -> Broken:
        """The next leader appends, or sends a snapshot, where a follower has entries of its own (§5.3, §7)."""
        state, other = self.state, self.others[0]
        vote, prev = Vote(state.term + 1, other, committed=True), state.log.id_at(state.committed)
        if prev is None:
            return
        own = Entry(LogId(vote.term, other, prev.index + 1), Noop())
        for entries in ((), (own,)):
            request = AppendRequest(vote=vote, prev=prev, entries=entries, round=1)
            step = self._step(Receive(other, request))
            yield from _counts_its_copy(step.after)
            yield from waits_end(step)
            for matched in _acknowledged(step):
                if matched != (own.id if entries else prev):
                    yield AS_COMPARED, f"node {state.id} would acknowledge {matched} after {prev} and {entries}"
        if state.log.last.index > own.index:
            meta = SnapshotMeta(own.id, state.membership_at(prev.index), state.membership_id_at(prev.index))
            snapshot = SnapshotRequest(vote=vote, meta=meta, offset=0, data=b"", done=True, round=1)
            step = self._step(Receive(other, snapshot))
            yield from _counts_its_copy(step.after)
            yield from installs_replace_the_log(step, meta)
            yield from waits_end(step)
            step = self._step(Receive(other, replace(snapshot, meta=replace(meta, checksum=1))))
            if any(type(command) is InstallSnapshot for command in step.commands):
                yield ARRIVES_WHOLE, f"node {state.id} would install a snapshot whose checksum is wrong"


def books_are_right(state: RaftState) -> Broken:
    """What a log keeps about its entries is what they say: their bytes, and where memberships are."""
    log, entries = state.log, [*state.log]
    size = log.byte_size - log.byte_size_at(log.start.index)
    if size != sum(entry.size for entry in entries):
        yield LIMITS_HOLD, f"node {state.id} counts {size} bytes in its log, and has {sum(one.size for one in entries)}"
    configs = tuple(entry.index for entry in entries if isinstance(entry.payload, Configuration))
    if log.configs != configs:
        yield LIMITS_HOLD, f"node {state.id} looks for memberships at {log.configs}, and they are at {configs}"


def waits_end(step: Step) -> Broken:
    """Had this server led and accepted what it has not committed, no caller would wait for an entry that is gone."""
    before, after = step.before, step.after
    pending = PendingRequests(applied=before.applied)
    for entry in before.log.slice(before.committed + 1, before.log.last.index + 1):
        pending, _ = pending.after(Accepted((entry.index,), entry.id))
    for command in step.commands:
        results = [None for _ in command.entries] if isinstance(command, Apply) else ()
        pending, _ = pending.after(command, results, log=before.log)
    for id in (id for waiting in pending.writes for _, id in waiting):
        if id.index <= after.applied or not after.log.has(id):
            yield EVERY_WAIT_ENDS, f"a caller of node {after.id} would wait for {id}, after {after.applied} is applied"


def _acknowledged(step: Step) -> Iterator[LogId]:
    for command in step.commands:
        match command:
            case Send(_, AppendAccepted(matched=matched)):
                yield matched
            case _:
                pass


def _counts_its_copy(state: RaftState) -> Broken:
    """What a server counts as its own copy is in its log (dissertation §10.2.1)."""
    if state.stored.index > state.log.start.index and not state.log.has(state.stored):
        yield STORED_IS_ON_DISK, f"node {state.id} would count its own copy up to {state.stored}, which it has not"
