"""Elections (§5.2, §5.4.1, dissertation §9.6): who campaigns, who votes for whom and why not, who wins."""

from pyraft_lab.engine.commands import Alarm, SaveVote, SetTimer
from pyraft_lab.engine.consult import answer_of
from pyraft_lab.engine.election import (
    become_leader,
    campaign,
    on_election_timer,
    on_own_vote_stored,
    on_pre_vote_request,
    on_pre_vote_response,
    on_vote_request,
    on_vote_response,
)
from pyraft_lab.engine.messages import (
    CandidateMessage,
    PreVoteRequest,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
    VoterMessage,
)
from pyraft_lab.engine.rules import (
    VoteRefusal,
    answers_vote,
    has_heard_leader,
    has_won,
    may_campaign,
    pre_vote_refusal,
    vote_refusal,
)
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, Step
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.trace.annotate.own import cause, departs
from pyraft_lab.trace.annotate.rule import DECISIVE, Explained, Remarks, Rule, commands, is_active, sent
from pyraft_lab.trace.annotate.terms import malformed, out_of_date, term_adopted
from pyraft_lab.trace.text import entry_name, log_end, majorities, server, servers

PRE_VOTE_ASKED = Rule(
    "pre-vote asked", "dissertation §9.6", campaign, "Before a new term begins, a server asks whether it could win it."
)
CANDIDACY = Rule(
    "candidacy", "§5.2", campaign, "A new term, a vote for itself, a vote request to every other voter.", DECISIVE
)
UNDECIDED = Rule(
    "election undecided",
    "§5.2",
    on_election_timer,
    "The election timer fired before a majority answered: the server campaigns again.",
)
NO_VOTER = Rule("campaign withheld: not a voter", "§6", may_campaign, "Only a voter may become a candidate.")
SWITCHED_OFF = Rule(
    "campaign withheld: switched off", "openraft", on_election_timer, "Elections by timer are switched off."
)
PRE_VOTE_GRANTED = Rule(
    "pre-vote granted",
    "dissertation §9.6",
    on_pre_vote_request,
    "The voter would grant this vote; it promises nothing.",
)
PRE_VOTE_REFUSED_LEASE = Rule(
    "pre-vote refused: lease",
    "dissertation §9.6",
    has_heard_leader,
    "The voter heard a leader too recently to help replace it.",
)
PRE_VOTE_REFUSED_LOG = Rule(
    "pre-vote refused: log",
    "dissertation §9.6",
    on_pre_vote_request,
    "The candidate's log ends before the voter's.",
)
PRE_VOTE_REFUSED_VOTE = Rule(
    "pre-vote refused: vote", "dissertation §9.6", on_pre_vote_request, "The vote of that term is no longer free."
)
VOTE_GRANTED = Rule(
    "vote granted",
    "§5.2, §5.4.1",
    on_vote_request,
    "The vote of the term was free, and the candidate's log is at least as up-to-date as the voter's.",
    DECISIVE,
)
VOTE_REFUSED_LEASE = Rule(
    "vote refused: lease",
    "§6, dissertation §4.2.3",
    has_heard_leader,
    "The voter heard a leader too recently to help replace it.",
    DECISIVE,
)
VOTE_REFUSED_LOG = Rule(
    "vote refused: log",
    "§5.4.1",
    vote_refusal,
    "The candidate's log ends before the voter's: it may lack committed entries.",
    DECISIVE,
)
VOTE_REFUSED_VOTE = Rule(
    "vote refused: vote", "§5.2", vote_refusal, "The term is over, or its vote went to another candidate.", DECISIVE
)
PRE_VOTE_COUNTED = Rule("pre-vote counted", "dissertation §9.6", on_pre_vote_response, "One more voter would agree.")
PRE_VOTE_WON = Rule(
    "pre-vote won", "dissertation §9.6", on_pre_vote_response, "A majority would agree: the election can begin."
)
PRE_VOTE_LOST = Rule(
    "pre-vote lost", "dissertation §9.6", on_pre_vote_response, "A majority can no longer agree: no election begins."
)
DISK_LOST = Rule(
    "vote of a lost disk",
    "§5.1, §5.4.1",
    on_vote_response,
    "A server that has led and holds nothing has lost its disk: it does not know what it promised.",
)
VOTE_COUNTED = Rule("vote counted", "§5.2", on_vote_response, "A vote that names this candidate and this term counts.")
OWN_VOTE_COUNTED = Rule(
    "own vote counted", "§5.1, §5.2", on_own_vote_stored, "A candidate's own vote counts once it is on its disk."
)
REFUSAL_COUNTED = Rule(
    "refusal counted", "§5.2", on_vote_response, "A voter refused: it will not be part of a majority."
)
LONGER_LOG_ELSEWHERE = Rule(
    "longer wait: more up-to-date rival",
    "openraft",
    on_vote_response,
    "Another server has a more up-to-date log: it should campaign first.",
)
ELECTED = Rule("elected", "§5.2", has_won, "A majority voted for the candidate: it leads the term.", DECISIVE)
ELECTED_JOINTLY = Rule(
    "elected by both majorities", "§6", has_won, "While joint, a leader needs a majority of each voter set.", DECISIVE
)
FIRST_ENTRY = Rule(
    "first entry of a leadership",
    "§5.4.2, §8",
    become_leader,
    "A new leader appends a no-op entry: with it all earlier entries commit.",
)
ELECTION_LOST = Rule("election lost", "§5.2", on_vote_response, "A majority can no longer be reached.", DECISIVE)

RULES = (
    PRE_VOTE_ASKED, PRE_VOTE_GRANTED, PRE_VOTE_REFUSED_LEASE, PRE_VOTE_REFUSED_LOG, PRE_VOTE_REFUSED_VOTE,
    PRE_VOTE_COUNTED, PRE_VOTE_WON, PRE_VOTE_LOST, CANDIDACY, UNDECIDED, NO_VOTER, SWITCHED_OFF, VOTE_GRANTED,
    VOTE_REFUSED_LEASE, VOTE_REFUSED_LOG, VOTE_REFUSED_VOTE, DISK_LOST, VOTE_COUNTED, OWN_VOTE_COUNTED, REFUSAL_COUNTED,
    LONGER_LOG_ELSEWHERE, ELECTED, ELECTED_JOINTLY, FIRST_ENTRY, ELECTION_LOST,
)  # fmt: skip
_REFUSED = {
    VoteRefusal.LEASE: (PRE_VOTE_REFUSED_LEASE, VOTE_REFUSED_LEASE),
    VoteRefusal.LOG: (PRE_VOTE_REFUSED_LOG, VOTE_REFUSED_LOG),
    VoteRefusal.VOTE: (PRE_VOTE_REFUSED_VOTE, VOTE_REFUSED_VOTE),
}

# Campaigning


def campaigned(step: Step, occasion: str = "") -> Remarks:
    """A campaign begins, on some occasion ("times out"); or why it does not."""
    asked = [peer for peer, _ in sent(step, PreVoteRequest)]
    vote = step.after.vote
    if commands(step, SaveVote) and isinstance(step.after.role, Candidate):
        opening = f"{occasion}, " if occasion else ""
        yield Explained(CANDIDACY, lambda: f"{opening}becomes candidate in term {vote.term}{_votes_asked(step)}")
    elif isinstance(step.after.role, PreCandidate):
        they = "they" if len(asked) > 1 else "it"
        would = f"asks {servers(asked)} whether {they} would vote for it in term {vote.term + 1}"
        yield Explained(PRE_VOTE_ASKED, lambda: f"{occasion} and {would}")
    elif departs(step, may_campaign):
        yield Explained(
            cause(step, NO_VOTER, may_campaign), lambda: f"{occasion or 'is asked to campaign'}, but does not campaign"
        )
    elif answer_of(step, may_campaign) is False:
        yield Explained(NO_VOTER, lambda: f"{occasion or 'may not campaign'}, but has no vote")
    else:
        yield Explained(SWITCHED_OFF, lambda: f"{occasion}, but elections are switched off")


def _votes_asked(step: Step) -> str:
    """Which servers a candidate asks; the only voter asks none."""
    asked = [peer for peer, _ in sent(step, VoteRequest)]
    if not asked:
        return " and is the only voter"
    return f" and asks {servers(asked)} for {'their votes' if len(asked) > 1 else 'its vote'}"


def timed_out(step: Step) -> Remarks:
    """The election timer fired (§5.2)."""
    match step.before.role:
        case Leader():
            yield from out_of_date("its election timer")
        case PreCandidate() | Candidate():
            yield Explained(UNDECIDED, "has no majority when its election timer fires")
            yield from campaigned(step, "tries again")
        case _:
            yield from campaigned(step, "times out")


# Voting


def requested(step: Step, candidate: NodeId, request: CandidateMessage) -> Remarks:
    """A vote request, or a pre-vote request, arrived."""
    answers: list[tuple[int, VoterMessage]] = [*sent(step, PreVoteResponse), *sent(step, VoteResponse)]
    if not answers:
        yield from malformed(candidate)
    elif answers[0][1].granted:
        yield _granted(step, candidate, request)
    else:
        yield _refused(step, candidate, request)
    yield from term_adopted(step, candidate)


def _granted(step: Step, candidate: NodeId, request: CandidateMessage) -> Explained:
    """Names both logs, so that a grant against Raft's rule (a mutant's) can be seen."""
    name, term = server(candidate), request.vote.term
    logs = comparison(candidate, request.last, step.before.log.last)
    if isinstance(request, PreVoteRequest):
        return Explained(PRE_VOTE_GRANTED, lambda: f"would vote for {name} in term {term}: {logs}")
    again = "again " if step.before.vote == request.vote else ""
    return Explained(VOTE_GRANTED, lambda: f"{again}votes for {name} in term {term}: {logs}")


def comparison(candidate: NodeId, theirs: LogId, own: LogId) -> str:
    """Whose log is at least as up-to-date (§5.4.1): both ends, and what decides between them."""
    if theirs == own:
        return f"both logs end with {entry_name(own)}" if own.index else "both logs are empty"
    decisive = "the later term" if theirs.leader != own.leader else "in the same term the longer log"
    ahead = server(candidate) if theirs > own else "it"
    return f"{server(candidate)}'s log {log_end(theirs)}, its own {log_end(own)}, and {decisive} wins: {ahead} is ahead"


def _refused(step: Step, candidate: NodeId, request: CandidateMessage) -> Explained:
    before = step.before
    early = isinstance(request, PreVoteRequest)
    refusal = answer_of(step, pre_vote_refusal if early else vote_refusal)
    is_known = isinstance(refusal, VoteRefusal)
    rule = _REFUSED[refusal if is_known else VoteRefusal.VOTE][0 if early else 1]
    told = f"{'would refuse' if early else 'refuses'} {server(candidate)} its vote of term {request.vote.term}"
    if departs(step, vote_refusal, pre_vote_refusal):
        return Explained(rule if is_known else cause(step, rule, vote_refusal, pre_vote_refusal), told)
    if not is_known:
        return Explained(rule, f"{told}; the rules of its run do not explain that")
    why = reason(step, request.vote)
    if refusal is VoteRefusal.LEASE:
        why = f"it heard {_office(step)} within the lease"
    elif refusal is VoteRefusal.LOG:
        why = comparison(candidate, request.last, before.log.last)
    return Explained(rule, lambda: f"{told}: {why}")


def _office(step: Step) -> str:
    leader = step.before.leader
    return "a quorum as leader" if leader == step.before.id else f"its leader {server(leader)}"


def reason(step: Step, wanted: Vote) -> str:
    """Why the vote is not free."""
    held = step.before.vote
    if held.term > wanted.term:
        return f"it is already in term {held.term}"
    if held.node == step.before.id:
        return "it votes for itself"
    return f"that vote went to {server(held.node)}" if held.node else "that vote is not free"


# Counting


def answered(step: Step, voter: NodeId, response: VoterMessage) -> Remarks:
    """A voter has answered."""
    before, after = step.before, step.after
    if before.vote.term < after.vote.term and not isinstance(after.role, Candidate):
        yield from term_adopted(step, voter)
    elif is_active(before.role) and _is_settled(step, response):
        already = "already leader" if isinstance(before.role, Leader) else "already a candidate"
        kind = "pre-vote" if isinstance(response, PreVoteResponse) else "vote"
        yield from out_of_date(f"{server(voter)}'s {kind if response.granted else 'refusal'}: {already}")
    elif not is_active(before.role) or before.role == after.role or isinstance(before.role, Leader):
        late = "" if departs(step, answers_vote) else ", which comes too late"
        yield from out_of_date(f"{server(voter)}'s {'vote' if response.granted else 'refusal'}{late}")
    else:
        yield _counted(step, voter, response)
        yield from outcome(step, voter)


def _is_settled(step: Step, response: VoterMessage) -> bool:
    """Whether the answer belongs to a question of this campaign that is already decided."""
    sought = Vote(step.before.term, step.before.id)
    early = isinstance(response, PreVoteResponse) and not isinstance(step.before.role, PreCandidate)
    return response.asked == sought and (early or isinstance(step.before.role, Leader))


def _counted(step: Step, voter: NodeId, response: VoterMessage) -> Explained:
    early = isinstance(response, PreVoteResponse)
    name = server(voter)
    if any(alarm.peer == voter for alarm in commands(step, Alarm)):
        return Explained(
            DISK_LOST, lambda: f"does not count {name}'s answer: {name} has been leader, and its log is now empty"
        )
    if not response.granted:
        return Explained(
            REFUSAL_COUNTED, lambda: f"hears that {name} {'would refuse' if early else 'refuses'} to vote for it"
        )
    if early:
        return Explained(PRE_VOTE_COUNTED, lambda: f"hears that {name} would vote for it")
    return Explained(VOTE_COUNTED, lambda: f"gets {name}'s vote of term {response.asked.term}")


def outcome(step: Step, voter: NodeId) -> Remarks:
    """What a counted vote led to, if anything."""
    before, after = step.before.role, step.after.role
    granted = before.granted | {voter} if isinstance(before, (PreCandidate, Candidate)) else frozenset({voter})
    majority = majorities(step.before.membership, granted)
    match after:
        case Leader():
            yield from elected(step, majority)
        case Candidate() if isinstance(before, PreCandidate):
            enough = "goes on with" if departs(step, has_won) else "has the majority it needs:"
            yield Explained(cause(step, PRE_VOTE_WON, has_won), lambda: f"{enough} {majority}")
            yield from campaigned(step)
        case PreCandidate() | Candidate():
            if any(one.backoff for one in commands(step, SetTimer)):
                yield Explained(
                    LONGER_LOG_ELSEWHERE,
                    lambda: f"waits longer before it tries again: {server(voter)}'s log is more up-to-date",
                )
        case _ if isinstance(before, PreCandidate):
            yield Explained(PRE_VOTE_LOST, "can no longer reach a majority and begins no election")
        case _:
            yield Explained(ELECTION_LOST, lambda: f"can no longer reach a majority in term {step.after.term}")


def elected(step: Step, majority: str) -> Remarks:
    """The candidate becomes leader."""
    rule = cause(step, ELECTED_JOINTLY if step.before.membership.is_joint else ELECTED, has_won)
    yield Explained(rule, lambda: f"becomes leader of term {step.after.term} with the votes of {majority}")
    noop = step.after.log.last
    if noop != step.before.log.last:
        yield Explained(FIRST_ENTRY, lambda: f"appends the no-op {entry_name(noop)}")


def own_vote_stored(step: Step) -> Remarks:
    """The candidate's own vote is durable."""
    yield Explained(OWN_VOTE_COUNTED, lambda: f"counts its own vote of term {step.before.term}, now that it is on disk")
    yield from outcome(step, step.before.id)
