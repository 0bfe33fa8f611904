"""Faulty rules: one small function each, to replace a rule of Raft.

Each is a mistake that readers of the paper have made. :mod:`pyraft_lab.check.mutants` says what each violates and how
that is found.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from msgspec.structs import replace

from pyraft_lab.command import Sealed
from pyraft_lab.engine import rules
from pyraft_lab.engine.events import Event
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.membership import Batch, ChangeLike, Membership, as_change
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRequest,
    HeartbeatRequest,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import VoteRefusal
from pyraft_lab.engine.state import Leader, RaftState
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import Index, LogId, NodeId, Vote
from pyraft_lab.machine import Answer, KeyValue, Sessions, StateMachine

# Votes


def votes_for_anyone(_state: RaftState, _request: VoteRequest) -> VoteRefusal | None:
    """Grants whatever it is asked."""
    return None


def votes_twice(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Looks at the term of its vote and not at who has it."""
    refusal = rules.vote_refusal(state, request)
    return None if refusal is VoteRefusal.VOTE and request.vote.term == state.term else refusal


def votes_for_old_terms(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Does not mind that a request comes from a term long gone."""
    refusal = rules.vote_refusal(state, request)
    return None if refusal is VoteRefusal.VOTE and request.vote.term < state.term else refusal


def ignores_logs(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Does not ask whose log is longer."""
    return _ending_with(LogId(1 << 60), state, request)


def compares_lengths(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Takes the longer log for the better one, whatever the terms in it."""
    behind = request.last.index < state.log.last.index
    return _ending_with(LogId() if behind else LogId(1 << 60), state, request)


def compares_terms(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Compares the terms of the last entries, and forgets about the length."""
    behind = request.last.term < state.log.last.term
    return _ending_with(LogId() if behind else LogId(1 << 60), state, request)


def trusts_transfers(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Lets whom the leader chose pass every check, not only the one of leases."""
    return ignores_logs(state, request) if request.transfer else rules.vote_refusal(state, request)


def ignores_vote_lease(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Votes against a leader that it has heard from a moment ago."""
    return rules.vote_refusal(state, replace(request, transfer=True))


def _ending_with(last: LogId, state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """The right answer to a candidate whose log ends there."""
    return rules.vote_refusal(state, replace(request, last=last))


def counts_any_grant(_vote: Vote, response: VoteResponse) -> bool:
    """Counts every grant that arrives, also one of an election lost long ago."""
    return response.granted


def half_is_enough(membership: Membership, granted: frozenset[NodeId]) -> bool:
    """Takes half of the voters for a majority."""
    return all(2 * len(granted & config) >= len(config) for config in membership.configs)


# Promises and the disk


def votes_before_disk(state: RaftState, message: AnyMessage) -> bool:
    """Grants a vote and saves it later."""
    return not isinstance(message, VoteResponse) and rules.waits_for_disk(state, message)


def accepts_before_disk(state: RaftState, message: AnyMessage) -> bool:
    """Acknowledges entries and writes them later."""
    return not isinstance(message, AppendAccepted) and rules.waits_for_disk(state, message)


def grants_before_disk(state: RaftState, message: AnyMessage) -> bool:
    """Takes what a leader sends for no promise, though it may lead on after a crash."""
    return not isinstance(message, (AppendRequest, HeartbeatRequest)) and rules.waits_for_disk(state, message)


def sends_all(state: RaftState) -> Index:
    """Sends entries that its own disk does not hold yet, though it may lead on after a crash."""
    return state.log.last.index


# Logs


def fits_by_length(log: Log, prev: LogId) -> bool:
    """Looks whether there is an entry at that index, and not which."""
    return prev.index <= log.last.index


def appends_duplicates(log: Log, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Writes entries that it already holds once more, and loses those after them."""
    return [entry for entry in entries if entry.index > log.start.index]


def keeps_conflicts(log: Log, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Takes only what is beyond its own last entry; what stands there already stays, right or wrong."""
    return [entry for entry in entries if entry.index > log.last.index]


def asks_for_all(log: Log, _prev: LogId) -> LogId:
    """Makes the leader probe from the start of its log; correct, but slow."""
    return log.start


def follows_old_leaders(new: Vote, old: Vote) -> bool:
    """Follows every server that says it was elected, in any term."""
    return new.committed or rules.supersedes(new, old)


# Commit


def commits_old_terms(state: RaftState) -> Index:
    """Commits what a majority holds, also where another leader created it (Figure 8)."""
    return max(state.committed, state.membership.committed_index(state.matched))


def commits_what_it_has(state: RaftState, announced: Index, _verified: Index) -> Index:
    """Believes that its own entries up to the leader's commit index are the leader's."""
    return max(state.committed, announced)


def counts_unsynced_entries(state: RaftState) -> Index:
    """Counts itself for entries that are on their way to its own disk."""
    return _commit(state, state.membership.committed_index({**state.matched, state.id: state.log.last.index}))


def commits_with_half(state: RaftState) -> Index:
    """Takes half of the voters for a majority."""
    held = (sorted((state.matched.get(one, 0) for one in config), reverse=True) for config in state.membership.configs)
    return _commit(state, min((row[(len(row) - 1) // 2] for row in held), default=0))


def counts_learners(state: RaftState) -> Index:
    """Counts every server that holds the entry, voters and learners alike."""
    return _commit(state, _middle(state.membership.nodes, state.matched))


def counts_new_voters_only(state: RaftState) -> Index:
    """Asks only the new voters, once there are any."""
    return _commit(state, _middle(state.membership.configs[-1], state.matched))


def commits_by_union(state: RaftState) -> Index:
    """Counts old and new voters together."""
    return _commit(state, _middle(state.membership.voters, state.matched))


def counts_itself(state: RaftState) -> Index:
    """Counts its own copy although the membership no longer names it."""
    if state.membership.is_joint:
        return rules.commit_index(state)
    return _commit(state, _middle(state.membership.voters | {state.id}, state.matched))


def _middle(nodes: Iterable[NodeId], matched: Mapping[NodeId, Index]) -> Index:
    held = sorted((matched.get(node, 0) for node in nodes), reverse=True)
    return held[len(held) // 2]


def _commit(state: RaftState, index: Index) -> Index:
    """The right rule for an index that was wrongly counted."""
    at = state.log.id_at(index)
    own = at is not None and at.leader == (state.vote.term, state.vote.node)
    return max(index, state.committed) if own else state.committed


# Membership


def elects_by_any_set(membership: Membership, granted: frozenset[NodeId]) -> bool:
    """While joint, one of the two majorities will do."""
    return any(2 * len(granted & config) > len(config) for config in membership.configs)


def elects_by_union(membership: Membership, granted: frozenset[NodeId]) -> bool:
    """While joint, takes a majority of all voters, old and new."""
    return 2 * len(granted & membership.voters) > len(membership.voters)


def changes_at_once(membership: Membership, change: ChangeLike, retain: bool) -> Membership:  # noqa: FBT001
    """Goes from the old voters to the new ones in one step."""
    return membership.change(change, retain).change(Batch(()), retain)


def changes_by_one(membership: Membership, change: ChangeLike, retain: bool) -> Membership:  # noqa: FBT001
    """Goes in one step where that adds or removes one voter; correct, if nothing else is wrong (dissertation §4.1)."""
    joint = membership.change(as_change(change), retain)
    small = len(joint.configs) > 1 and len(joint.configs[0] ^ joint.configs[1]) == 1
    return joint.change(Batch(()), retain) if small else joint


def changes_too_soon(state: RaftState, _leader: Leader) -> bool:
    """Waits for the last membership only, and not for an entry of its own term."""
    return state.membership_id.index <= state.committed


def changes_any_time(_state: RaftState, _leader: Leader) -> bool:
    """Begins the next change while the last is under way."""
    return True


def leaves_at_once(state: RaftState, _leader: Leader) -> bool:
    """Ends a joint membership that nobody else has heard of."""
    return state.membership.is_joint


# Snapshots


def installs_any(_state: RaftState, _last: LogId) -> bool:
    """Installs whatever snapshot arrives, however old."""
    return True


def forgets_applied(state: RaftState) -> Index:
    """Forgets what it has applied, whether or not a snapshot stands for it."""
    return state.applied if state.disk.snapshot else 0


# Reads


def reads_at_once(_leader: Leader, _round: int) -> bool:
    """Answers a read without asking whether it still leads."""
    return True


def one_ack_confirms(_state: RaftState, leader: Leader) -> int:
    """Takes the answer of one follower for that of a majority."""
    return max(leader.acked_round, *(one.last_ack_round for one in leader.progress), 0)


def reads_early(state: RaftState, _leader: Leader) -> Index:
    """Reads what it knows to be committed before anything of its own term is."""
    return state.committed


def never_loses_lease(state: RaftState) -> bool:
    """Never lets its lease run out."""
    return isinstance(state.role, Leader) and state.role.acked_round > 0


def keeps_its_lease(state: RaftState) -> bool:
    """Trusts its lease after it has asked another node to depose it."""
    kept = replace(state.role, transfer_sent=0) if isinstance(state.role, Leader) else state.role
    return rules.has_valid_lease(replace(state, role=kept))


def starts_when_answered(_leader: Leader, _proved: int) -> bool:
    """Counts the lease from when the answer came, and not from when it was asked."""
    return True


def ignores_overdue_timers(_event: Event, _overdue: Sequence[Timer]) -> Sequence[Timer]:
    """Believes that no time has passed until a timer of its own says so."""
    return ()


def starts_without_vote_lease(_state: RaftState) -> bool:
    """Forgets its vote lease in a crash."""
    return False


# Sessions


class WithoutSessions(Sessions):
    """Carries a command out as often as it is sent."""

    def _once(self, index: Index, sealed: Sealed) -> Answer:
        if sealed.client in self.sessions:
            self.sessions = self.sessions.without(sealed.client)
        return super()._once(index, sealed)

    def outcome(self, _client: int, _serial: int) -> Answer | None:
        """It remembers no answer."""
        return None


def without_sessions() -> StateMachine:
    """A table of keys that trusts its clients never to send twice; a driver takes sessions as they are."""
    return cast("StateMachine", WithoutSessions(KeyValue()))
