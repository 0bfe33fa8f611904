"""Leader election (paper §5.2, §5.4.1): campaign, vote, count, lead, step down; pre-vote, lease and check-quorum."""

from msgspec.structs import replace

from pyraft_lab.engine.commands import NoQuorum, NotLeading, Reason, Refuse
from pyraft_lab.engine.log import Noop
from pyraft_lab.engine.messages import (
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.replication import start_progress, start_round
from pyraft_lab.engine.rules import VoteRefusal, has_heard_leader, has_lost_lease
from pyraft_lab.engine.state import Candidate, Follower, Leader, Learner, PreCandidate, Role
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, QUORUM, TRANSFER, VOTE_LEASE, Timer, TimerKind
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import NO_NODE, NodeId, Vote

# Campaign


def on_election_timer(turn: Turn) -> None:
    """No leader was heard from for an election timeout, so the vote lease is over: start a campaign (§5.2)."""
    on_vote_lease_timer(turn)
    if isinstance(turn.role, Leader) or not turn.rules.may_campaign(turn.state):
        return
    if turn.config.enable_elect:
        campaign(turn, pre_vote=turn.config.pre_vote)
    else:
        turn.set_timer(ELECTION)


def campaign(turn: Turn, *, pre_vote: bool, transfer: bool = False) -> None:
    """Start an election, after a pre-vote where ``pre_vote`` asks for one; a single-node cluster skips it."""
    if isinstance(turn.role, Leader) or not turn.rules.may_campaign(turn.state):
        return
    if pre_vote and not turn.state.is_alone:
        _start_pre_vote(turn)
    else:
        _start_election(turn, transfer=transfer)


def _start_pre_vote(turn: Turn) -> None:
    """Ask the other voters how they would vote; nothing durable changes (pre-vote, dissertation §9.6)."""
    turn.become(PreCandidate(granted=frozenset({turn.id}), has_heard_leader=has_heard_leader(turn.state)))
    turn.set_timer(ELECTION)
    wanted = Vote(turn.vote.term + 1, turn.id)
    for peer in _other_voters(turn):
        turn.send(peer, PreVoteRequest(vote=wanted, last=turn.log.last))


def _start_election(turn: Turn, *, transfer: bool) -> None:
    """Start a new term, vote for this node and ask the other voters; its own vote counts once it is on disk (§5.2)."""
    turn.save_vote(Vote(turn.vote.term + 1, turn.id))
    turn.become(Candidate(has_heard_leader=has_heard_leader(turn.state) and not transfer))
    turn.set_timer(ELECTION)
    for peer in _other_voters(turn):
        turn.send(peer, VoteRequest(vote=turn.vote, last=turn.log.last, transfer=transfer))


def _other_voters(turn: Turn) -> list[NodeId]:
    return sorted(turn.membership.voters - {turn.id})


# Vote


def on_pre_vote_request(turn: Turn, candidate: NodeId, request: PreVoteRequest) -> None:
    """Answer how this node would vote; the answer promises nothing and changes nothing (dissertation §9.6)."""
    refusal = turn.rules.pre_vote_refusal(turn.state, request)
    answer = PreVoteResponse(vote=turn.vote, asked=request.vote, granted=refusal is None, last=turn.log.last)
    turn.send(candidate, answer)


def on_vote_request(turn: Turn, candidate: NodeId, request: VoteRequest) -> None:
    """Grant or refuse a vote (§5.2, §5.4.1); a grant is sent only when the vote is on disk."""
    refusal = turn.rules.vote_refusal(turn.state, request)
    if refusal is None:
        step_down(turn, request.vote)
        turn.set_timer(ELECTION)
    elif refusal is not VoteRefusal.LEASE:
        adopt_vote(turn, request.vote)
    answer = VoteResponse(vote=turn.vote, asked=request.vote, granted=refusal is None, last=turn.log.last)
    turn.send(candidate, answer)


# Count


def on_pre_vote_response(turn: Turn, voter: NodeId, response: PreVoteResponse) -> None:
    """Count a pre-vote; start the election with a majority. A refusal may carry a higher vote to campaign above."""
    if not response.granted and _has_higher_vote(turn, response):
        return
    if isinstance(turn.role, PreCandidate) and response.asked == Vote(turn.vote.term + 1, turn.id):
        _count(turn, voter, response)


def on_vote_response(turn: Turn, voter: NodeId, response: VoteResponse) -> None:
    """Count a vote that this candidate asked for; a higher vote ends the candidacy (§5.2)."""
    if _has_higher_vote(turn, response):
        return
    if isinstance(turn.role, Candidate) and turn.rules.answers_vote(turn.vote, response):
        _count(turn, voter, response)


def _has_higher_vote(turn: Turn, response: VoteResponse | PreVoteResponse) -> bool:
    """Whether an answer has a higher vote, which ends the campaign; defer if it also reports a more up-to-date log."""
    campaigning = isinstance(turn.role, (PreCandidate, Candidate))
    taught = adopt_vote(turn, response.vote)
    if taught and campaigning:
        _defer(turn, response)
    return taught


def _defer(turn: Turn, response: VoteResponse | PreVoteResponse) -> None:
    """Lengthen the election timer if the voter's log is more up-to-date: let that node campaign first."""
    if response.last > turn.log.last:
        turn.set_timer(ELECTION, backoff=1)


def on_own_vote_stored(turn: Turn) -> None:
    """This node's own vote is on disk and counts now, unless it would break the vote lease of a leader."""
    if isinstance(turn.role, Candidate) and not turn.role.has_heard_leader and turn.state.stored_vote == turn.vote:
        turn.become(replace(turn.role, granted=turn.role.granted | {turn.id}))
        _decide(turn)


def _count(turn: Turn, voter: NodeId, response: VoteResponse | PreVoteResponse) -> None:
    role = turn.role
    assert isinstance(role, (PreCandidate, Candidate)), "only who asked counts votes"
    lost = turn.log.proves_lost_disk(voter, response.last)
    if response.granted and not lost:
        turn.become(replace(role, granted=role.granted | {voter}))
    else:
        if lost:
            turn.alarm(voter, "lost its disk: it has led this cluster and holds nothing; its vote does not count")
        turn.become(replace(role, refused=role.refused | {voter}))
        _defer(turn, response)
    _decide(turn)


def _decide(turn: Turn) -> None:
    """Win or give up the election once its result is certain; else keep waiting."""
    role = turn.role
    assert isinstance(role, (PreCandidate, Candidate)), "only who asked counts votes"
    votes = dict.fromkeys(role.refused, False) | dict.fromkeys(role.granted, True)
    if turn.rules.has_won(turn.membership, role.granted):
        _win(turn)
    elif turn.membership.vote_result(votes) == "lost":
        turn.become(passive_role(turn, NO_NODE, heard_leader=role.has_heard_leader))


def _win(turn: Turn) -> None:
    if isinstance(turn.role, PreCandidate):
        _start_election(turn, transfer=False)
    else:
        turn.save_vote(replace(turn.vote, committed=True))
        become_leader(turn)


# Lead


def become_leader(turn: Turn) -> None:
    """Become leader: append a noop, which commits all earlier entries with it (§5.4.2, §8), and start a round."""
    _start_leading(turn, Leader(noop=turn.log.last.index + 1))


def resume_leadership(turn: Turn) -> None:
    """Continue leadership in the same term after a restart, without memory of earlier promises and requests.

    A TimeoutNow may be on its way for any existing entry, so the lease counts only nodes that hold the new noop.
    Answers to rounds before the restart may still arrive, so rounds continue at a number that no earlier incarnation
    has used: nothing is sent before the new noop is on disk, so no two incarnations begin at the same index. Reads
    wait for that noop, which follows every committed entry.
    """
    last = turn.log.last.index
    before = (last + 1) << 32
    _start_leading(
        turn, Leader(noop=last + 1, round=before, acked_round=before, expired_round=before - 1, transfer_sent=last)
    )


def _start_leading(turn: Turn, role: Leader) -> None:
    turn.cancel_timer(ELECTION)
    turn.cancel_timer(VOTE_LEASE)
    turn.become(role)
    start_round(turn)
    start_progress(turn)
    turn.write(Noop())
    turn.set_timer(HEARTBEAT)


# Step down


def follow(turn: Turn, vote: Vote) -> None:
    """A valid leader was heard from: adopt its vote, follow it, and start the vote lease (§5.2)."""
    _stop_leading(turn)
    turn.save_vote(vote)
    if not _follows(turn.role, vote.node, heard_leader=turn.config.vote_lease):
        turn.become(passive_role(turn, vote.node, heard_leader=turn.config.vote_lease))
    if type(turn.role) is Follower:
        turn.set_timer(ELECTION)
    if turn.config.vote_lease:
        turn.set_timer(VOTE_LEASE)


def _follows(role: Role, leader: NodeId, *, heard_leader: bool) -> bool:
    """Whether a node follows this leader already, as every message but the leader's first finds it."""
    if not isinstance(role, (Follower, Learner)):
        return False
    return role.leader == leader and role.has_heard_leader == heard_leader


def step_down(turn: Turn, vote: Vote) -> None:
    """Become a follower (or learner) without a known leader, under ``vote`` (§5.1)."""
    active = isinstance(turn.role, (PreCandidate, Candidate, Leader))
    _stop_leading(turn)
    turn.save_vote(vote)
    turn.become(passive_role(turn, NO_NODE, heard_leader=False))
    if active and isinstance(turn.role, Follower):
        turn.set_timer(ELECTION)


def adopt_vote(turn: Turn, vote: Vote) -> bool:
    """Adopt a higher vote seen in an answer and step down; as not committed, since its sender may not be the leader.

    A node within a vote lease ignores it: a late answer to an abandoned campaign must not end a leader's lease.
    """
    taught = turn.rules.adopted_vote(vote)
    heard_leader = not isinstance(turn.role, Leader) and has_heard_leader(turn.state)
    if heard_leader or taught == turn.vote or not turn.rules.supersedes(taught, turn.vote):
        return False
    step_down(turn, taught)
    return True


def passive_role(turn: Turn, leader: NodeId, *, heard_leader: bool) -> Follower | Learner:
    """The role of a node that neither leads nor campaigns: follower if it is a voter, else learner."""
    kind = Follower if turn.rules.may_campaign(turn.state) else Learner
    return kind(leader, heard_leader)


def refresh_role(turn: Turn) -> None:
    """The membership changed: a follower may have become a learner, or a learner a voter."""
    role = turn.role
    if type(role) is Follower and not turn.rules.may_campaign(turn.state):
        turn.become(Learner(role.leader, role.has_heard_leader))
        turn.cancel_timer(ELECTION)
    elif type(role) is Learner and turn.rules.may_campaign(turn.state):
        turn.become(Follower(role.leader, role.has_heard_leader))
        turn.set_timer(ELECTION)


def _stop_leading(turn: Turn) -> None:
    """End leadership: fail the waiting reads; waiting writes stay until their entries are truncated."""
    if type(turn.role) is not Leader:
        return
    waiting = tuple(request for read in turn.role.reads for request in read.requests)
    if waiting:
        turn.emit(Refuse(waiting, NotLeading(None, Reason.NOT_LEADER)))
    for timer in (HEARTBEAT, QUORUM, TRANSFER, Timer(TimerKind.LEASE), Timer(TimerKind.RETRY)):
        turn.cancel_timer(timer)


def recognise_leader(turn: Turn, src: NodeId, vote: Vote) -> bool:
    """Follow ``src`` if it is a leader this node may follow, else send it the newer vote; whether it was followed."""
    if not vote.committed or vote.node != src:
        return False
    if not turn.rules.supersedes(vote, turn.vote):
        turn.send(src, Outdated(vote=turn.vote))
        return False
    follow(turn, vote)
    return True


# Lease and check-quorum


def on_vote_lease_timer(turn: Turn) -> None:
    """The vote lease is over: this node may vote again, for others or for itself."""
    if not isinstance(turn.role, Leader):
        turn.become(replace(turn.role, has_heard_leader=False))
        on_own_vote_stored(turn)


def on_lease_timer(turn: Turn, round: int) -> None:
    """The lease of a round has expired. Without a later acknowledged round the leader refuses writes and steps down."""
    before = has_lost_lease(turn.state)  # later rounds expire too, and must not restart the timer
    turn.lead(expired_round=max(turn.leader.expired_round, round))
    _fail_reads(turn, round)
    if turn.config.check_quorum and has_lost_lease(turn.state) and not before:
        turn.set_timer(QUORUM)


def _fail_reads(turn: Turn, round: int) -> None:
    """Fail the reads whose round no quorum answered within a lease; ``NoQuorum`` lists the nodes that did."""
    late = tuple(read for read in turn.leader.reads if read.round <= round)
    turn.lead(reads=tuple(read for read in turn.leader.reads if read.round > round))
    for read in late:
        got = [one.peer for one in turn.leader.progress if one.last_ack_round >= read.round]
        turn.emit(Refuse(read.requests, NoQuorum((*got, turn.id), turn.membership)))


def on_quorum_timer(turn: Turn) -> None:
    """Still no quorum: step down, so that heartbeats to a minority stop (check-quorum, dissertation §6.2)."""
    if has_lost_lease(turn.state):
        step_down(turn, turn.vote)


# Transfer, seen from the target


def on_timeout_now(turn: Turn, message: TimeoutNow) -> None:
    """The leader transfers leadership: campaign at once, without regard to vote leases (dissertation §3.10)."""
    assert message.vote == turn.vote, "a leader is recognised before its request is carried out"
    if message.last in (None, turn.log.last):  # else it is late: the leader has continued, perhaps by its lease
        campaign(turn, pre_vote=False, transfer=True)
