"""Local invariants: what each server must keep so that Figure 3 holds, checked after every step under Raft's own rules.

A violated local invariant does no harm yet, but shows a mistake many steps before a safety property is violated::

    an election without a majority   ──▶ two leaders of one term    ──▶ two entries committed in one place
    a commit of an earlier term      ──▶ a leader without the entry ──▶ …

Under swapped rules the invariants that presuppose such a rule are left out (:data:`PRESUPPOSED`, :func:`left_out`), so
that a run shows the consequences to the end; all others are checked. ``strict`` checks all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec.structs import asdict

from pyraft_lab.engine.commands import Append, Apply, InstallSnapshot, Readable, SaveSnapshot
from pyraft_lab.engine.events import Boot, Fire, Read, Receive
from pyraft_lab.engine.log import Configuration, Entry, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules, has_valid_lease
from pyraft_lab.engine.state import Candidate, Disk, Leader, PreCandidate, Progress, RaftState, Reverted, Step
from pyraft_lab.engine.timers import ELECTION, VOTE_LEASE, Timer, lease
from pyraft_lab.engine.types import Index, NodeId, RequestId, Term, Vote
from pyraft_lab.sim.conditions import Micros
from pyraft_lab.sim.facts import is_idle
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.safety import has_entry, has_majority
from pyraft_lab.sim.world import Node, World
from pyraft_lab.trace.record import EventId, Flight, Kind, Record

Found = Iterator[tuple[str, str]]
ProgressRecord = tuple[Vote, NodeId, int]
"""What a leadership knows of a peer, since a round: its vote, the peer, and ``since_round``."""
PROMISES = (ELECTION, VOTE_LEASE)
"""A follower's timers: until they fire it promises its leader to vote for no other."""
_READS = ("is_read_safe", "acked_round", "read_at", "has_valid_lease", "starts_lease", "starts_with_vote_lease")
_LEASES = ("has_valid_lease", "starts_lease", "starts_with_vote_lease", "acked_round", "fires_first")
_VOTES = ("vote_refusal", "pre_vote_refusal", "supersedes", "adopted_vote", "has_won", "answers_vote")
PRESUPPOSED: Mapping[str, tuple[str, ...]] = {
    "one answer a call": (),
    "pre-votes are backed": ("has_won",),
    "elections are backed": ("has_won", "answers_vote", "waits_for_disk"),
    "durable before request": ("waits_for_disk",),
    "durable before contact": ("waits_for_disk",),
    "bounds hold": ("vote_refusal", "follower_commit", "is_snapshot_useful", "purge_limit", "purge_upto", "supersedes"),
    "logs are in order": ("supersedes", "log_matches", "new_entries", "vote_refusal"),
    "applies in order": ("is_snapshot_useful",),
    "one change at a time": ("may_change", "may_leave"),
    "memberships are adjacent": ("next_membership", "may_change", "may_leave"),
    "snapshots stand for what is applied": ("follower_commit", "commit_index"),
    "installs replace the log": ("is_snapshot_useful",),
    "commits are of the own term": ("commit_index",),
    "progress is true": ("waits_for_disk", "new_entries", "log_matches", "sendable", "supersedes", *_VOTES),
    "messages are true": ("sendable", "supersedes"),
    "one lease at a time": (*_LEASES, *_VOTES, "may_campaign"),
    "reads are fresh": (*_READS, *_LEASES, *_VOTES),
    "limits hold": (),
    "progress never goes back": ("supersedes", "log_matches", "new_entries"),
    "snapshots arrive whole": ("is_snapshot_useful",),
    "transfers take no requests": (),
    "only answers count": ("supersedes",),
    "rounds are backed": ("acked_round",),
    "what is stored is on disk": (),
    "voters lead": ("may_campaign", "has_won"),
    "changes are as asked": ("next_membership",),
    "vote leases bind": ("vote_refusal", "pre_vote_refusal", "starts_with_vote_lease"),
    "later terms are adopted": ("vote_refusal", "supersedes", "adopted_vote"),
    "transfers are as asked": (),
    "a leader's timers end with its leadership": (),
    "targets of transfers have the log": (),
    "snapshots are built when due": ("is_snapshot_due", "would_interrupt_transfer"),
    "answers say what was compared": ("log_matches", "new_entries", "supersedes"),
    "leaders without a quorum refuse": (),
    "leaders lead until they may leave": (),
}
"""The rules that each local invariant presupposes: under another such rule it is left out."""


def left_out(rules: Rules) -> Mapping[str, tuple[str, ...]]:
    """The local invariants that are not checked under these rules, each with the swapped rules that it presupposes.

    >>> from msgspec.structs import replace
    >>> left_out(replace(RAFT, commit_index=lambda state: state.log.last.index))
    {'snapshots stand for what is applied': ('commit_index',), 'commits are of the own term': ('commit_index',)}
    """
    usual = ADVANCED if rules.supersedes is ADVANCED.supersedes else RAFT
    swapped = {name for name, rule in asdict(rules).items() if rule is not getattr(usual, name)}
    found = {
        name: tuple(rule for rule in dict.fromkeys(needs) if rule in swapped) for name, needs in PRESUPPOSED.items()
    }
    return {name: needs for name, needs in found.items() if needs}


def as_violations(
    found: Sequence[tuple[str, str]], record: Record, world: World, *, strict: bool
) -> Sequence[Violation]:
    """What a record was found to violate, without what is left out under the rules in use; all of it if ``strict``."""
    skipped = {} if strict else left_out(world.setting.engine.rules)
    return [
        Violation(name=name, what=what, event=record.id, time=record.time)
        for name, what in found
        if name not in skipped
    ]


class LocalInvariants:
    """Checks a simulation for violated local invariants; with ``strict`` all of them, whatever the rules."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.grants: dict[tuple[Term, NodeId, NodeId], EventId] = {}
        self.pre_grants: dict[tuple[Term, NodeId, NodeId], EventId] = {}
        self.heights: list[tuple[Index, EventId]] = [(0, -1)]
        self.floors: dict[tuple[NodeId, RequestId], tuple[Index, EventId]] = {}
        self.answered: dict[RequestId, EventId] = {}
        self.timeless: EventId | None = None
        """The event after which leases promise nothing: clocks differ too much, or a timer fired before its time."""
        self.earlier: World | None = None
        """The world before the record that is checked next."""
        self.wiped: dict[EventId, Mapping[ProgressRecord, Index]] = {}
        """By the event that cost a server its disk: the last index that the records of it then may still count."""

    def fork(self, world: World) -> "LocalInvariants":
        """A checker that knows the events before ``world``."""
        events, past = world.events, LocalInvariants(strict=self.strict)
        past.grants = {key: event for key, event in self.grants.items() if event < events}
        past.pre_grants = {key: event for key, event in self.pre_grants.items() if event < events}
        past.heights = [one for one in self.heights if one[1] < events]
        past.floors = {key: value for key, value in self.floors.items() if value[1] < events}
        past.answered = {key: event for key, event in self.answered.items() if event < events}
        past.wiped = {event: lost for event, lost in self.wiped.items() if event < events}
        past.timeless = self.timeless if self.timeless is not None and self.timeless < events else None
        past.earlier = world
        return past

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The local invariants that the record violates."""
        step = record.step
        if step is None:
            self._watch_faults(record, world)
        elif type(step.event) is Fire:
            self._watch_timers(record, step.event.timer, world)
        self.earlier = world
        found = [*self._replied(record)] if record.replies else []
        for flight in record.sent:
            if flight.copy_of is None and type(flight.message) is not HeartbeatRequest:
                found += self._sent(record.id, flight, world)
        if step is not None and not is_idle(step):
            found += self._step(record.id, step, world)
        return as_violations(found, record, world, strict=self.strict) if found else []

    def _watch_faults(self, record: Record, world: World) -> None:
        self._watch_clocks(record, world)
        if record.kind is Kind.WIPE:
            self.wiped[record.id] = _acknowledged(record.node, world)

    @property
    def _lost(self) -> Mapping[ProgressRecord, Index]:
        return {one: index for lost in self.wiped.values() for one, index in lost.items()}

    def _replied(self, record: Record) -> Found:
        for reply in record.replies:
            if reply.request in self.answered:
                yield "one answer a call", f"call {reply.request} is answered a second time"
            self.answered[reply.request] = record.id

    def _step(self, event: EventId, step: Step, world: World) -> list[tuple[str, str]]:
        before, after = step.before, step.after
        found: list[tuple[str, str]] = []
        if before.disk is not after.disk or before.committed != after.committed:
            found += (*bounds_hold(step), *_of_commands(step))
        if type(after.role) is Leader:
            found += self._led(step, world)
        if type(before.role) is PreCandidate and type(after.role) is Candidate:
            found += self._stands(step, world)
        if after.committed > self.heights[-1][0]:
            self.heights.append((after.committed, event))
        if type(step.event) is Read or (step.commands and Readable in map(type, step.commands)):
            found += self._reads(event, step)
        return found

    # Elections and leases

    def _led(self, step: Step, world: World) -> Found:
        before, after = step.before, step.after
        if before.committed != after.committed:
            yield from commits_are_of_the_own_term(step)
        if before.role is after.role:
            return
        led = type(before.role) is Leader and (before.disk is after.disk or before.vote == after.vote)
        if not led and type(step.event) is not Boot:
            yield from self._elected(after, world)
        yield from progress_is_true(step, world, self._lost if self.wiped else {})
        if self.timeless is None and not has_valid_lease(before) and has_valid_lease(after):
            yield from one_lease_at_a_time(after.id, world)

    def _stands(self, step: Step, world: World) -> Found:
        """A pre-candidate that stands has the pre-votes of a majority, each for this term (dissertation §9.6)."""
        term, node = step.after.term, step.after.id
        granted = {node, *(voter for voter in world.nodes if (term, node, voter) in self.pre_grants)}
        by_votes = isinstance(step.event, Receive) and isinstance(step.event.message, PreVoteResponse)
        if by_votes and not has_majority(step.before.membership, granted):
            yield "pre-votes are backed", f"node {node} stands in term {term} after pre-votes of {sorted(granted)}"

    def _elected(self, leader: RaftState, world: World) -> Found:
        """A leader has votes of a majority of every voter set, each on disk before it was sent (§5.2, §6)."""
        granted = {voter for voter in world.nodes if (leader.term, leader.id, voter) in self.grants}
        if _is_bound(world.nodes[leader.id].synced, Vote(leader.term, leader.id)):
            granted.add(leader.id)
        if not has_majority(leader.membership, granted):
            yield (
                "elections are backed",
                f"node {leader.id} leads term {leader.term} with the votes of {sorted(granted)} only",
            )

    def _sent(self, event: EventId, flight: Flight, world: World) -> Iterable[tuple[str, str]]:
        disk, message = world.nodes[flight.src].synced, flight.message
        match message:
            case HeartbeatResponse(vote=vote) | AppendAccepted(vote=vote) | AppendRefused(vote=vote):
                if not _is_bound(disk, vote):
                    answers = f"node {flight.src} answers {vote}, but its disk has {disk.vote}"
                    return [("durable before contact", answers)]
            case AppendRequest():
                return message_is_true(flight.src, message, world)
            case VoteResponse(granted=True, asked=asked):
                self.grants[asked.term, asked.node, flight.src] = event
            case PreVoteResponse(granted=True, asked=asked):
                self.pre_grants[asked.term, asked.node, flight.src] = event
            case VoteRequest(vote=vote):
                if disk.vote.term < vote.term:
                    stands = f"node {flight.src} stands in term {vote.term}, its disk does not"
                    return [("durable before request", stands)]
            case _:
                pass
        return ()

    # Reads

    def _reads(self, event: EventId, step: Step) -> Found:
        """A read sees everything committed anywhere when it started (§8); a lease read too, unless clocks fail."""
        height, node = self.heights[-1][0], step.after.id
        if isinstance(step.event, Read):
            judged = step.event.policy == "index" or self.timeless is None
            for request in step.event.requests:
                self.floors.setdefault((node, request), (height if judged else 0, event))
        for ready in (command for command in step.commands if isinstance(command, Readable)):
            floor = max(self.floors[node, request][0] for request in ready.requests)
            if ready.at.index < floor:
                yield "reads are fresh", f"node {step.after.id} serves a read at {ready.at}, but {floor} was committed"

    def _watch_clocks(self, record: Record, world: World) -> None:
        """Note the first record after which clocks differ by more than ``clock_drift``: leases promise nothing then."""
        if record.kind is Kind.DRIFT and self.timeless is None:
            rates = [node.rate for node in world.nodes.values()]
            drift = world.setting.config.clock_drift
            if "jumps" in record.detail or max(rates) * (1 - drift) > min(rates):
                self.timeless = record.id

    def _watch_timers(self, record: Record, timer: Timer, world: World) -> None:
        """Note a timer that was fired before its time, by hand or in a random walk: followers then promise nothing."""
        if self.timeless is None and self.earlier is not None and timer in PROMISES:
            due = self.earlier.nodes[record.node].timers.get(timer)
            if due is not None and due.time > world.now:
                self.timeless = record.id


# One step


def bounds_hold(step: Step) -> Found:
    """Terms never decrease; snapshot, applied, committed and last index are in this order (Figure 2, §5.1, §7)."""
    before, after = step.before, step.after
    if after.term < before.term:
        yield "bounds hold", f"node {after.id} was in term {before.term}, and now in {after.term}"
    if not after.snapshot_last.index <= after.applied <= after.committed <= after.log.last.index:
        at = f"{after.snapshot_last.index}, {after.applied}, {after.committed}, {after.log.last.index}"
        yield "bounds hold", f"node {after.id} has snapshot, applied, committed and last entry at {at}"
    if after.snapshot_last.index < before.snapshot_last.index:
        yield "bounds hold", f"node {after.id} replaces its snapshot by an earlier one, to {after.snapshot_last}"


def _of_commands(step: Step) -> Found:
    """The violations that the commands of one step show, one invariant per kind of command."""
    applied = step.before.applied
    for command in step.commands:
        match command:
            case Append(entries):
                yield from logs_are_in_order(step, entries)
                yield from memberships_are_adjacent(step, entries)
            case InstallSnapshot(meta):
                yield from installs_replace_the_log(step, meta)
                applied = meta.last.index
            case Apply(entries):
                yield from applies_in_order(step, applied, entries)
                applied = entries[-1].index
            case SaveSnapshot(meta):
                yield from snapshots_stand_for_what_is_applied(step, meta)
            case _:
                pass


def logs_are_in_order(step: Step, entries: Sequence[Entry]) -> Found:
    """The leaders of entries never decrease along a log (§5.3)."""
    before = step.after.log.id_at(entries[0].index - 1)
    ids = [*(() if before is None else (before,)), *(entry.id for entry in entries)]
    if any(later.leader < earlier.leader for earlier, later in pairwise(ids)):
        yield "logs are in order", f"node {step.after.id} has an older leader's entry after a newer one's"


def applies_in_order(step: Step, applied: Index, entries: Sequence[Entry]) -> Found:
    """Entries are applied in order, without a gap and none twice (§5.3)."""
    if entries[0].index != applied + 1:
        yield "applies in order", f"node {step.after.id} applies {entries[0].id} directly after {applied}"


def memberships_are_adjacent(step: Step, entries: Sequence[Entry]) -> Found:
    """A leader changes its membership one step at a time, and quorums of both sides of a step meet (§6)."""
    before, after = step.before, step.after
    if not isinstance(before.role, Leader) or before.vote != after.vote:
        return
    for entry in entries:
        if isinstance(entry.payload, Configuration):
            waits = _waits(after, entry.index, before.role.noop)
            if waits is not None:
                yield "one change at a time", f"node {after.id} appends membership {entry.id} before {waits} commits"
            if not _meet(before.membership, entry.payload.membership):
                what = f"{before.membership} and {entry.payload.membership} share no voter set"
                yield "memberships are adjacent", what


def _waits(leader: RaftState, change: Index, noop: Index) -> Index | None:
    """The uncommitted index that a change must wait for: the previous change, or this leadership's noop."""
    earlier = (noop, *(index for index in leader.log.configs if index < change))
    return next((index for index in earlier if index > leader.committed), None)


def snapshots_stand_for_what_is_applied(step: Step, meta: SnapshotMeta) -> Found:
    """A snapshot covers only applied entries and has the membership in effect at its end (§7)."""
    if not _is_true(step.before, meta):
        yield "snapshots stand for what is applied", f"node {step.after.id} keeps a snapshot to {meta.last}"


def installs_replace_the_log(step: Step, meta: SnapshotMeta) -> Found:
    """After an install the log begins after the snapshot; later entries stay if they match it, else are removed (§7).

    ::

        snapshot to 3     1 1 1              1 1 1               1 1 1
        log before        1 1 1 2 2          1 2 2 2             1 1
        log after               2 2          nothing             nothing
    """
    before, after = step.before.log, step.after
    where, name = f"node {after.id} installed a snapshot to {meta.last}", "installs replace the log"
    if after.snapshot_last != meta.last or min(after.applied, after.committed) < meta.last.index:
        yield name, f"{where}, and has snapshot {after.snapshot_last}, {after.applied} applied, {after.committed} known"
    if after.log.start != meta.last:
        yield name, f"{where}, and its log begins after {after.log.start}"
    left = [entry.id for entry in after.log]
    if any(later.index != place for place, later in enumerate(left, start=meta.last.index + 1)):
        yield name, f"{where}, and its log goes on with a gap: {left[0]} to {left[-1]}"
    if left != [entry.id for entry in before if entry.index > meta.last.index and before.has(meta.last)]:
        yield name, f"{where}, and what followed it in its log is not what is left: {left}"


def _meet(old: Membership, new: Membership) -> bool:
    """Whether every quorum of one shares a node with every quorum of the other: a common set, or one voter changed."""
    if set(old.configs) & set(new.configs):
        return True
    return len(old.configs) == len(new.configs) == 1 and len(old.voters ^ new.voters) <= 1


def _is_true(state: RaftState, meta: SnapshotMeta) -> bool:
    return (
        meta.last.index <= state.applied
        and state.log.id_at(meta.last.index) in (meta.last, None)
        and (meta.membership_id, meta.membership)
        == (state.membership_id_at(meta.last.index), state.membership_at(meta.last.index))
    )


# Leaders and messages


def commits_are_of_the_own_term(step: Step) -> Found:
    """A leader counts copies only of entries of its own term; earlier ones commit with them (§5.4.2, Figure 8)."""
    leader = step.after
    at = leader.log.id_at(leader.committed)
    if at is not None and at.leader != (leader.term, leader.id):
        yield "commits are of the own term", f"node {leader.id} commits {at} by counting, in term {leader.term}"


def progress_is_true(step: Step, world: World, lost: Mapping[ProgressRecord, Index]) -> Found:
    """Matched is below next, and on the peer's disk unless the peer follows another leader now (§5.3).

    A peer that lacks acknowledged entries waits for an operator, and is sent nothing from ``next`` on. A leader cannot
    know of a peer's ``lost`` disk before the peer answers: up to that index its earlier answers count, for the record
    that the leader kept then. A peer that was removed and added again has a new record, and nothing of it counts.
    """
    leader, before = step.after, step.before.role
    assert isinstance(leader.role, Leader), "only a leader has progress records"
    known = before.progress if type(before) is Leader else ()
    for one in [one for one in leader.role.progress if one not in known]:
        old = before.of(one.peer) if type(before) is Leader else None
        if old is not None and old.matched == one.matched and old.next == one.next:
            continue
        if not isinstance(one.state, Reverted) and not one.matched < one.next <= leader.log.last.index + 1:
            at = f"matched {one.matched}, next {one.next}, last {leader.log.last.index}"
            yield "progress is true", f"node {leader.id} keeps of node {one.peer}: {at}"
        record = (leader.vote, one.peer, one.since_round)
        if one.matched > lost.get(record, 0) and not _has_matched(leader, one, world):
            yield (
                "progress is true",
                f"node {leader.id} thinks that node {one.peer} holds {one.matched}; it does not",
            )


def _acknowledged(node: NodeId, world: World) -> Mapping[ProgressRecord, Index]:
    """The last index that a server has acknowledged, to leaders or in messages still on their way, by record of it."""
    leaders = [(one.state.vote, one.state.role) for one in world.nodes.values()]
    kept = {
        (vote, node, progress.since_round): progress.matched
        for vote, role in leaders
        if isinstance(role, Leader)
        for progress in role.progress
        if progress.peer == node
    }
    sent = [one.message.matched.index for one in world.flights.values()
            if one.src == node and isinstance(one.message, AppendAccepted)]  # fmt: skip
    last = max((*kept.values(), *sent), default=0)
    return dict.fromkeys(kept, last)


def _has_matched(leader: RaftState, one: Progress, world: World) -> bool:
    at = leader.log.id_at(one.matched)
    if at is None or not one.matched or one.peer not in world.nodes:
        return True
    disk = world.nodes[one.peer].synced
    return disk.vote > leader.vote or has_entry(disk, at)


def one_lease_at_a_time(leader: NodeId, world: World) -> Found:
    """While one leader's lease is valid, no other leader's is (dissertation §6.4.1)."""
    if _has_running_lease(world.nodes[leader], world.now):
        for id, node in world.nodes.items():
            if id != leader and _has_running_lease(node, world.now):
                yield "one lease at a time", f"nodes {id} and {leader} both hold a lease"


def _has_running_lease(node: Node, now: Micros) -> bool:
    """Whether a server leads with an unexpired lease by the clock; a paused server notices the expiry late."""
    role = node.state.role
    if not (node.up and isinstance(role, Leader) and has_valid_lease(node.state)):
        return False
    ends = node.timers.get(lease(role.acked_round))
    return ends is None or (ends.time > now and lease(role.acked_round) not in node.overdue)


def message_is_true(src: NodeId, request: AppendRequest, world: World) -> Found:
    """An append has consecutive entries of its sender's log, and no commit index beyond its sender's (§5.3)."""
    state, entries = world.nodes[src].state, request.entries
    if state.vote != request.vote:
        return  # it waited for the disk, and its sender no longer leads
    if request.commit > state.committed:
        yield "messages are true", f"node {src} announces commit {request.commit}, but knows of {state.committed}"
    if entries and not (
        entries[0].index == request.prev.index + 1
        and entries[-1].index == request.prev.index + len(entries)
        and (state.log.has(entries[-1].id) or entries[-1].index < state.log.first_index)
    ):
        yield "messages are true", f"node {src} sends entries after {request.prev} that its log does not have there"


def _is_bound(disk: Disk, vote: Vote) -> bool:
    return disk.vote.term > vote.term or disk.vote >= vote
