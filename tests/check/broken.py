"""Departures from Raft that the checkers must find: each a rule, or an engine, with one mistake."""

from msgspec.structs import replace

from pyraft_lab.engine.commands import Command, SaveVote
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import Event
from pyraft_lab.engine.membership import ChangeLike, Membership
from pyraft_lab.engine.messages import AnyMessage, VoteRequest
from pyraft_lab.engine.rules import RAFT, Rules, VoteRefusal, commit_index, supersedes
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import Index, NodeId, Vote


def _grant_all(_state: RaftState, _request: VoteRequest) -> None:
    return None


def _grant_twice(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    return None if request.last >= state.log.last and request.vote.term >= state.term else VoteRefusal.VOTE


def _ignore_the_log(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    return None if supersedes(request.vote, state.vote) else VoteRefusal.VOTE


def _half(membership: Membership, granted: frozenset[NodeId]) -> bool:
    return all(2 * len(granted & config) >= len(config) for config in membership.configs)


def _as_one(membership: Membership) -> Membership:
    return Membership(configs=(membership.voters,), nodes=membership.nodes)


def _most_of_all(membership: Membership, granted: frozenset[NodeId]) -> bool:
    return _as_one(membership).is_quorum(granted)


def _held_by_most_of_all(state: RaftState) -> Index:
    index = _as_one(state.membership).committed_index(state.matched)
    at = state.log.id_at(index)
    return max(index, state.committed) if at is not None and at.term == state.term else state.committed


def _unflushed(state: RaftState) -> Index:
    return commit_index(replace(state, stored=state.log.last))


def _by_counting(state: RaftState) -> Index:
    return max(state.committed, state.membership.committed_index(state.matched))


def _never(_state: RaftState, _message: AnyMessage) -> bool:
    return False


def _at_once(membership: Membership, change: ChangeLike, retain: bool) -> Membership:  # noqa: FBT001
    after = membership.change(change, retain)
    return Membership(configs=after.configs[-1:], nodes=after.nodes)


VOTES_FOR_EVERYBODY = replace(RAFT, vote_refusal=_grant_all)
VOTES_TWICE = replace(RAFT, vote_refusal=_grant_twice)
IGNORES_THE_LOG = replace(RAFT, vote_refusal=_ignore_the_log)
HALF_IS_ENOUGH = replace(RAFT, has_won=_half)
JOINT_AS_UNION = replace(RAFT, has_won=_most_of_all, commit_index=_held_by_most_of_all)
COUNTS_ITSELF_UNFLUSHED = replace(RAFT, commit_index=_unflushed)
COMMITS_BY_COUNTING = replace(RAFT, commit_index=_by_counting)
ANSWERS_BEFORE_THE_DISK = replace(RAFT, waits_for_disk=_never)
CHANGES_IN_ONE_STEP = replace(RAFT, next_membership=_at_once)


class ForgetsItsVote(Engine, frozen=True):
    """Keeps the term on disk, but not for whom it voted."""

    rules: Rules = RAFT

    def step(self, state: RaftState, event: Event) -> Step:
        done = super().step(state, event)
        return replace(done, commands=tuple(map(_without_the_name, done.commands)))


def _without_the_name(command: Command) -> Command:
    return SaveVote(Vote(command.vote.term)) if isinstance(command, SaveVote) else command
