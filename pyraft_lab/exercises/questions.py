"""Which steps give a question: votes, terms, entries, majorities, commits; routine steps give none.

The right answer is what the step did, by the rules of its own run (:mod:`pyraft_lab.engine.consult`).
"""

from collections.abc import Mapping
from typing import TypeVar

from pyraft_lab.arguments import instance
from pyraft_lab.engine.commands import Append, Halt, Send, Truncate
from pyraft_lab.engine.consult import answer_of, rules_of
from pyraft_lab.engine.events import Fire, Receive, Stored
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    CandidateMessage,
    FollowerMessage,
    HeartbeatRequest,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
    VoterMessage,
)
from pyraft_lab.engine.rules import VoteRefusal, has_heard_leader, pre_vote_refusal, vote_refusal
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, RaftState, Step
from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import Index, NodeId, Vote
from pyraft_lab.exercises.question import Choice, Question
from pyraft_lab.trace.annotate.own import departs
from pyraft_lab.trace.text import content, entry_name, log_end, server, servers, span, voters

SomeMessage = TypeVar("SomeMessage", bound=AnyMessage)
MAX_ENTRIES = 8
"""Entries of a log that are shown."""
REASONS: Mapping[VoteRefusal, tuple[str, str]] = {
    VoteRefusal.LEASE: ("lease", "no: I heard a leader too recently to help replace it"),
    VoteRefusal.LOG: ("log", "no: its log ends before mine"),
    VoteRefusal.VOTE: ("vote", "no: I have voted in that term, or the term is over"),
}
"""The reasons to refuse a vote: the answer, and its meaning."""


def question(step: Step) -> Question | None:
    """What the server of this step has to decide; ``None`` if the step is routine; ``ConfigError`` for no step."""
    instance("step", step, Step)
    if step.before.halted or any(isinstance(command, Halt) for command in step.commands):
        return None
    match step.event:
        case Receive(src, message):
            return _message(step, src, message)
        case Fire(timer) if timer.kind is TimerKind.ELECTION:
            return _no_answer(step)
        case Stored():
            return _own_disk(step)
        case _:
            return None


def _message(step: Step, src: NodeId, message: AnyMessage) -> Question | None:
    match message:
        case VoteRequest() | PreVoteRequest():
            return _vote(step, src, message)
        case AppendRequest():
            return _append(step, src, message)
        case HeartbeatRequest() | SnapshotRequest() | TimeoutNow():
            return _new_leader(step, src, message.vote)
        case VoteResponse() | PreVoteResponse() if isinstance(step.before.role, (PreCandidate, Candidate)):
            return _count(step, src, message)
        case AppendAccepted() if isinstance(step.after.role, Leader):
            return _commit(step, f"{server(src)} has on its disk everything up to entry {message.matched.index}")
        case Outdated():
            return _term(step, src, message.vote)
        case _:
            return _term(step, src, message.vote) if isinstance(message, FollowerMessage) else None


# Votes


def _vote(step: Step, candidate: NodeId, request: CandidateMessage) -> Question | None:
    answers: list[VoterMessage] = [*_sent(step, VoteResponse), *_sent(step, PreVoteResponse)]
    if not answers:
        return None
    before, name, term = step.before, server(candidate), request.vote.term
    early = isinstance(request, PreVoteRequest)
    asks = f"asks whether you would vote for it in term {term}" if early else f"asks for your vote in term {term}"
    rule = "pre_vote_refusal" if early else "vote_refusal"
    reasons = {why: Choice(word, meaning, {rule: why}) for why, (word, meaning) in REASONS.items()}
    words = [reasons[why].answer for why in _refusals(step, request)]
    return Question(
        node=before.id,
        about="vote",
        text=f"{name} {asks}; its log {log_end(request.last)}.",
        facts=(f"your log {log_end(before.log.last)}", _vote_fact(before), _leader_fact(before)),
        choices=(Choice("grant", "yes", {rule: None}), *reasons.values()),
        right=frozenset({"grant"} if answers[0].granted else words),
    )


def _refusals(step: Step, request: CandidateMessage) -> list[VoteRefusal]:
    """Every reason against the vote; if this run's own rule differs from Raft's, only the reason that it gives."""
    before, rules = step.before, (vote_refusal, pre_vote_refusal)
    said = answer_of(step, rules[isinstance(request, PreVoteRequest)])
    if departs(step, *rules):
        return [said] if isinstance(said, VoteRefusal) else list(VoteRefusal)
    held = {
        VoteRefusal.LEASE: has_heard_leader(before) and not (isinstance(request, VoteRequest) and request.transfer),
        VoteRefusal.LOG: request.last < before.log.last,
        VoteRefusal.VOTE: not rules_of(step).supersedes(request.vote, before.vote),
    }
    return [why for why, holds in held.items() if holds]


def _vote_fact(state: RaftState) -> str:
    given = f"went to {server(state.vote.node)}" if state.vote.node else "is free"
    return f"you are in term {state.term}, and your vote of it {given}"


def _leader_fact(state: RaftState) -> str:
    if isinstance(state.role, Leader):
        return "you lead"
    leader = f"you follow {server(state.leader)}" if state.leader else "you follow no leader"
    return (
        f"{leader}, and {'heard a leader within its lease' if has_heard_leader(state) else 'heard no leader recently'}"
    )


# A leader speaks


def _append(step: Step, leader: NodeId, request: AppendRequest) -> Question | None:
    done = _taken(step)
    if done is None or (done == "keep" and not request.entries):
        return None
    before = step.before
    return Question(
        node=before.id,
        about="append",
        text=f"{server(leader)}, leader of term {request.vote.term}, {_sends(request)}.",
        facts=(f"your log: {log_row(before)}", f"you are in term {before.term}", _leader_fact(before)),
        choices=_takings(request),
        right=frozenset({done}),
    )


def _sends(request: AppendRequest) -> str:
    """The request of an append, in words."""
    if not request.entries:
        return f"asks whether your log agrees with its own up to {entry_name(request.prev)}"
    terms = sorted({entry.id.term for entry in request.entries})
    of_terms = f"term{'s' if len(terms) > 1 else ''} {', '.join(map(str, terms))}"
    entries = span(request.entries[0].index, request.entries[-1].index)
    return f"sends {entries} ({of_terms}: {content(request.entries)}), to follow {entry_name(request.prev)}"


def _takings(request: AppendRequest) -> tuple[Choice, ...]:
    """What may be done about an append."""
    refuse = Choice(
        "refuse", "the entry before them is not in my log: I take nothing", {"supersedes": True, "log_matches": False}
    )
    outdated = Choice("outdated", "its term is over: I take nothing and say so", {"supersedes": False})
    if not request.entries:
        return (Choice("keep", "they agree so far: I say yes"), refuse, outdated)
    cut = {"supersedes": True, "log_matches": True, "new_entries": request.entries}
    return (
        Choice("append", "the logs agree so far: I append what is new", {"supersedes": True, "log_matches": True}),
        Choice("replace", "what I have there differs: I remove mine and take theirs", cut),
        Choice("keep", "I already hold all of it: I change nothing and say yes"),
        refuse,
        outdated,
    )


def _taken(step: Step) -> str | None:
    """What Raft did with the entries; ``None`` where it ignored them."""
    if _sent(step, Outdated):
        return "outdated"
    if _sent(step, AppendRefused):
        return "refuse"
    if not _sent(step, AppendAccepted):
        return None
    if any(isinstance(command, Truncate) for command in step.commands):
        return "replace"
    return "append" if any(isinstance(command, Append) for command in step.commands) else "keep"


def _new_leader(step: Step, src: NodeId, vote: Vote) -> Question | None:
    """A message of a leader; nothing to decide where this node already follows it."""
    refused = bool(_sent(step, Outdated))
    if not refused and step.before.vote == step.after.vote:
        return None
    return Question(
        node=step.before.id,
        about="leader",
        text=f"{server(src)} says that it leads term {vote.term}.",
        facts=(_vote_fact(step.before), _leader_fact(step.before)),
        choices=(
            Choice("follow", "it leads, and I follow it", {"supersedes": True}),
            Choice("outdated", "its term is over: I tell it so", {"supersedes": False}),
        ),
        right=frozenset({"outdated" if refused else "follow"}),
    )


def _term(step: Step, src: NodeId, vote: Vote) -> Question | None:
    """An answer shows a higher term to a leader or a candidate."""
    before = step.before
    if not isinstance(before.role, (Leader, Candidate, PreCandidate)) or before.term == step.after.term:
        return None
    return Question(
        node=before.id,
        about="term",
        text=f"{server(src)} answers you, and says that it is in term {vote.term}.",
        facts=(_vote_fact(before), _leader_fact(before)),
        choices=(
            Choice("resign", "my term is over: I adopt the new one and follow", {"supersedes": True}),
            Choice("go on", "I was elected for my term and stay in it", {"supersedes": False}),
        ),
        right=frozenset({"resign"}),
    )


# Majorities


def _count(step: Step, voter: NodeId, response: VoterMessage) -> Question | None:
    if step.before.role == step.after.role:
        return None
    if step.after.term > step.before.term and not isinstance(step.after.role, Candidate):
        return _term(step, voter, response.vote)
    says = "would vote" if isinstance(response, PreVoteResponse) else "votes"
    text = f"{server(voter)} {says} for you." if response.granted else f"{server(voter)} refuses you its vote."
    return _tally(step, text)


def _tally(step: Step, text: str) -> Question:
    """Whether votes are enough: those that were counted before, and the new one."""
    before, after = step.before, step.after
    role = before.role
    assert isinstance(role, (PreCandidate, Candidate)), "only a server that asked counts votes"
    early = isinstance(role, PreCandidate)
    won, waiting = (Candidate, PreCandidate) if early else (Leader, Candidate)
    right = "won" if isinstance(after.role, won) else "wait" if isinstance(after.role, waiting) else "lost"
    sets = " and ".join(voters(config) for config in before.membership.configs)
    then = "I become a candidate" if early else "I lead"
    return Question(
        node=before.id,
        about="majority",
        text=text,
        facts=(
            f"before that, for you: {servers(role.granted)}; against you: {servers(role.refused)}",
            f"the voters: {sets}",
        ),
        choices=(
            Choice("won", f"that is a majority: {then}", {"has_won": True}),
            Choice("wait", "no majority yet: I wait for more", {"has_won": False}),
            Choice("lost", "a majority can no longer be reached: I give up"),
        ),
        right=frozenset({right}),
    )


def _own_disk(step: Step) -> Question | None:
    """The disk has caught up: a candidate's own vote counts, or a leader's own copy."""
    before, after = step.before, step.after
    if isinstance(before.role, Candidate) and before.role != after.role:
        return _tally(step, f"Your disk has your own vote of term {before.term} now.")
    if isinstance(before.role, Leader) and isinstance(after.role, Leader) and before.stored != after.stored:
        return _commit(step, f"Your own disk has everything up to entry {after.stored.index} now")
    return None


def _commit(step: Step, news: str) -> Question | None:
    """A leader counts copies; which entry is the last that is safe?"""
    before, after = step.before, step.after
    first, last = before.committed, after.log.last.index
    if not isinstance(before.role, Leader) or before.matched == after.matched or first == last:
        return None
    copies = ", ".join(f"{server(node)} {index}" for node, index in sorted(after.matched.items()))
    sets = " and ".join(voters(config) for config in after.membership.configs)
    return Question(
        node=before.id,
        about="commit",
        text=f"{news}. Up to which entry is the log committed?",
        facts=(
            f"your log: {log_row(before)}",
            f"on disk up to entry: {copies}; voters: {sets}",
            f"you lead term {before.term}",
        ),
        choices=tuple(
            Choice(str(index), _commit_meaning(index, first), {"commit_index": index})
            for index in _offered(first, after.committed, last)
        ),
        right=frozenset({str(after.committed)}),
    )


def _offered(first: Index, right: Index, last: Index) -> list[Index]:
    """Where the commit index may have come: as it was, and a few around what is right, which is anywhere among them."""
    lowest = max(first, right - 1 - last % 3)
    return sorted({first, *range(lowest, min(last, lowest + 4) + 1)})


def _commit_meaning(index: Index, committed: Index) -> str:
    return "no further than before" if index == committed else f"everything up to entry {index}"


# Silence


def _no_answer(step: Step) -> Question | None:
    before, after = step.before, step.after
    if isinstance(before.role, Leader) or not before.config.enable_elect:
        return None
    stands = isinstance(after.role, (PreCandidate, Candidate))
    return Question(
        node=before.id,
        about="silence",
        text="Your election timer fires, and no leader was heard.",
        facts=(_vote_fact(before), f"the voters: {' and '.join(map(voters, before.membership.configs)) or 'nobody'}"),
        choices=(
            Choice("stand", "I want to lead, and ask the others"),
            Choice("wait", "I keep waiting"),
        ),
        right=frozenset({"stand" if stands else "wait"}),
    )


# Words


def log_row(state: RaftState) -> str:
    """The last entries of a log, each with its term; a bar follows what is known to be committed.

    >>> from pyraft_lab.engine.log import Noop, Entry, Log
    >>> from pyraft_lab.engine.state import Disk
    >>> from pyraft_lab.engine.types import LogId
    >>> log = Log().append([Entry(LogId(1, 1, 1), Noop()), Entry(LogId(2, 3, 2), Noop())])
    >>> log_row(RaftState(id=1, disk=Disk(log=log), committed=1))
    '1:t1 | 2:t2'
    """
    log = state.log
    first = max(log.first_index, log.last.index - MAX_ENTRIES + 1)
    parts = ["…"] if first > 1 else []
    for entry in log.slice(first, log.last.index + 1):
        parts += [f"{entry.index}:t{entry.id.term}"] + (["|"] if entry.index == state.committed else [])
    return " ".join(parts) or "empty"


def _sent(step: Step, kind: type[SomeMessage]) -> list[SomeMessage]:
    sends = (command for command in step.commands if isinstance(command, Send))
    return [send.message for send in sends if isinstance(send.message, kind)]
