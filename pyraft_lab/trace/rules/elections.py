"""Elections (§5.2, §5.4.1, dissertation §9.6): who stands, who votes for whom and why not, who wins."""

from pyraft_lab.engine.commands import Alarm, SaveVote, SetTimer
from pyraft_lab.engine.election import (
    campaign,
    on_election_timer,
    on_own_vote_stored,
    on_pre_vote_request,
    on_pre_vote_response,
    on_vote_request,
    on_vote_response,
    take_office,
)
from pyraft_lab.engine.messages import (
    CandidateMessage,
    PreVoteRequest,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
    VoterMessage,
)
from pyraft_lab.engine.rules import VoteRefusal, has_won, is_loyal, may_campaign, vote_refusal
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, Step
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.trace.rules.rule import DECISIVE, Remark, Remarks, Rule, commands, is_active, sent
from pyraft_lab.trace.rules.terms import absurd, learned, out_of_date
from pyraft_lab.trace.words import entry_name, log_end, server, servers, shares

PRE_VOTE_ASKED = Rule(
    "pre-vote asked", "dissertation §9.6", campaign, "Before a new term begins, a server asks whether it could win it."
)
CANDIDACY = Rule(
    "candidacy", "§5.2", campaign, "A new term, a vote for oneself, a request for a vote to everybody else.", DECISIVE
)
UNDECIDED = Rule(
    "election undecided", "§5.2", on_election_timer, "Time ran out before a majority answered: the campaign is renewed."
)
NO_VOTER = Rule("campaign withheld: no voter", "§6", may_campaign, "Only a voter may stand for election.")
SWITCHED_OFF = Rule(
    "campaign withheld: switched off", "openraft", on_election_timer, "Elections by timer are switched off."
)
PRE_VOTE_GRANTED = Rule(
    "pre-vote granted", "dissertation §9.6", on_pre_vote_request, "The voter would vote so; it promises nothing."
)
PRE_VOTE_REFUSED_LEASE = Rule(
    "pre-vote refused: lease", "dissertation §9.6", is_loyal, "The voter heard a leader too lately to help depose it."
)
PRE_VOTE_REFUSED_LOG = Rule(
    "pre-vote refused: log",
    "dissertation §9.6",
    on_pre_vote_request,
    "The asking server's log ends before the voter's.",
)
PRE_VOTE_REFUSED_VOTE = Rule(
    "pre-vote refused: vote", "dissertation §9.6", on_pre_vote_request, "The vote asked about is no longer free."
)
VOTE_GRANTED = Rule(
    "vote granted",
    "§5.2, §5.4.1",
    on_vote_request,
    "The term's vote was free and the candidate's log is no worse than the voter's.",
    DECISIVE,
)
VOTE_REFUSED_LEASE = Rule(
    "vote refused: lease",
    "§6, dissertation §4.2.3",
    is_loyal,
    "The voter heard a leader too lately to help depose it.",
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
PRE_VOTE_COUNTED = Rule("pre-vote counted", "dissertation §9.6", on_pre_vote_response, "One voter more would agree.")
PRE_VOTE_WON = Rule(
    "pre-vote won", "dissertation §9.6", on_pre_vote_response, "A majority would agree: the election can begin."
)
PRE_VOTE_LOST = Rule(
    "pre-vote lost", "dissertation §9.6", on_pre_vote_response, "No majority can agree any more: no election begins."
)
DISK_LOST = Rule(
    "vote of a lost disk",
    "§5.1, §5.4.1",
    on_vote_response,
    "A server that has led and holds nothing lost its disk: it does not know what it promised.",
)
VOTE_COUNTED = Rule("vote counted", "§5.2", on_vote_response, "A vote that names this candidate and this term counts.")
OWN_VOTE_COUNTED = Rule(
    "own vote counted", "§5.1, §5.2", on_own_vote_stored, "A candidate's own vote counts once it is on its disk."
)
REFUSAL_COUNTED = Rule("refusal counted", "§5.2", on_vote_response, "A voter that refused will not make a majority.")
FITTER_RIVAL = Rule(
    "longer wait: fitter rival", "openraft", on_vote_response, "Somebody has a greater log: it should campaign first."
)
ELECTED = Rule("elected", "§5.2", has_won, "A majority voted for the candidate: it leads the term.", DECISIVE)
ELECTED_JOINTLY = Rule(
    "elected by both majorities", "§6", has_won, "While joint, a leader needs a majority of each voter set.", DECISIVE
)
FIRST_ENTRY = Rule(
    "first entry of a leadership",
    "§5.4.2, §8",
    take_office,
    "A new leader appends a blank entry: with it all earlier ones commit.",
)
ELECTION_LOST = Rule("election lost", "§5.2", on_vote_response, "No majority can be reached any more.", DECISIVE)

RULES = (
    PRE_VOTE_ASKED, PRE_VOTE_GRANTED, PRE_VOTE_REFUSED_LEASE, PRE_VOTE_REFUSED_LOG, PRE_VOTE_REFUSED_VOTE,
    PRE_VOTE_COUNTED, PRE_VOTE_WON, PRE_VOTE_LOST, CANDIDACY, UNDECIDED, NO_VOTER, SWITCHED_OFF, VOTE_GRANTED,
    VOTE_REFUSED_LEASE, VOTE_REFUSED_LOG, VOTE_REFUSED_VOTE, DISK_LOST, VOTE_COUNTED, OWN_VOTE_COUNTED, REFUSAL_COUNTED,
    FITTER_RIVAL, ELECTED, ELECTED_JOINTLY, FIRST_ENTRY, ELECTION_LOST,
)  # fmt: skip
_REFUSED = {
    VoteRefusal.LEASE: (PRE_VOTE_REFUSED_LEASE, VOTE_REFUSED_LEASE),
    VoteRefusal.LOG: (PRE_VOTE_REFUSED_LOG, VOTE_REFUSED_LOG),
    VoteRefusal.VOTE: (PRE_VOTE_REFUSED_VOTE, VOTE_REFUSED_VOTE),
}

# Standing


def campaigned(step: Step, occasion: str = "") -> Remarks:
    """A campaign begins, on some occasion ("times out"); or why it does not."""
    asked = [peer for peer, _ in sent(step, PreVoteRequest)]
    vote = step.after.vote
    if commands(step, SaveVote) and isinstance(step.after.role, Candidate):
        opening = f"{occasion}, " if occasion else ""
        yield Remark(CANDIDACY, f"{opening}becomes candidate in term {vote.term}{_votes_asked(step)}")
    elif isinstance(step.after.role, PreCandidate):
        they = "they" if len(asked) > 1 else "it"
        would = f"asks {servers(asked)} whether {they} would vote for it in term {vote.term + 1}"
        yield Remark(PRE_VOTE_ASKED, f"{occasion} and {would}")
    elif not may_campaign(step.before):
        yield Remark(NO_VOTER, f"{occasion or 'may not campaign'}, but has no vote")
    else:
        yield Remark(SWITCHED_OFF, f"{occasion}, but elections are switched off")


def _votes_asked(step: Step) -> str:
    """Whom a candidate asks; one that is alone asks nobody."""
    asked = [peer for peer, _ in sent(step, VoteRequest)]
    if not asked:
        return " and is the only voter"
    return f" and asks {servers(asked)} for {'their votes' if len(asked) > 1 else 'its vote'}"


def timed_out(step: Step) -> Remarks:
    """The election timer ran out (§5.2)."""
    match step.before.role:
        case Leader():
            yield from out_of_date("its election timer")
        case PreCandidate() | Candidate():
            yield Remark(UNDECIDED, "has no majority when its time runs out")
            yield from campaigned(step, "tries again")
        case _:
            yield from campaigned(step, "times out")


# Voting


def requested(step: Step, candidate: NodeId, request: CandidateMessage) -> Remarks:
    """A vote, or a pre-vote, was asked for."""
    answers: list[tuple[int, VoterMessage]] = [*sent(step, PreVoteResponse), *sent(step, VoteResponse)]
    if not answers:
        yield from absurd(candidate)
    elif answers[0][1].granted:
        yield _granted(step, candidate, request)
    else:
        yield _refused(step, candidate, request)
    yield from learned(step, candidate)


def _granted(step: Step, candidate: NodeId, request: CandidateMessage) -> Remark:
    """Both logs are told, so that a grant against the rule (a mutant's) is seen."""
    name, term = server(candidate), request.vote.term
    logs = comparison(candidate, request.last, step.before.log.last)
    if isinstance(request, PreVoteRequest):
        return Remark(PRE_VOTE_GRANTED, f"would vote for {name} in term {term}: {logs}")
    again = "again " if step.before.vote == request.vote else ""
    return Remark(VOTE_GRANTED, f"{again}votes for {name} in term {term}: {logs}")


def comparison(candidate: NodeId, theirs: LogId, own: LogId) -> str:
    """Whose log is at least as up-to-date (§5.4.1): both ends, and what decides between them."""
    if theirs == own:
        return f"both logs end with {entry_name(own)}" if own.index else "both logs are empty"
    decisive = "the later term" if theirs.leader != own.leader else "in the same term the longer log"
    ahead = server(candidate) if theirs > own else "it"
    return f"{server(candidate)}'s log {log_end(theirs)}, its own {log_end(own)}, and {decisive} wins: {ahead} is ahead"


def _refused(step: Step, candidate: NodeId, request: CandidateMessage) -> Remark:
    before = step.before
    refusal = refusal_of(step, request)
    early = isinstance(request, PreVoteRequest)
    rule = _REFUSED[refusal][0 if early else 1]
    verb = "would refuse" if early else "refuses"
    why = reason(step, request.vote)
    if refusal is VoteRefusal.LEASE:
        why = f"it heard {_office(step)} within the lease"
    elif refusal is VoteRefusal.LOG:
        why = comparison(candidate, request.last, before.log.last)
    return Remark(rule, f"{verb} {server(candidate)} its vote of term {request.vote.term}: {why}")


def _office(step: Step) -> str:
    leader = step.before.leader
    return "a quorum as leader" if leader == step.before.id else f"its leader {server(leader)}"


def refusal_of(step: Step, request: CandidateMessage) -> VoteRefusal:
    """Why a vote was refused: what no other reason explains is the vote itself."""
    transfer = isinstance(request, VoteRequest) and request.transfer
    found = vote_refusal(step.before, VoteRequest(vote=request.vote, last=request.last, transfer=transfer))
    return found or VoteRefusal.VOTE


def reason(step: Step, wanted: Vote) -> str:
    """Why the vote is not free."""
    held = step.before.vote
    if held.term > wanted.term:
        return f"the term is {held.term} already"
    if held.node == step.before.id:
        return "it votes for itself"
    return f"that went to {server(held.node)}" if held.node else "that is not free"


# Counting


def answered(step: Step, voter: NodeId, response: VoterMessage) -> Remarks:
    """A voter has answered."""
    before, after = step.before, step.after
    if before.vote.term < after.vote.term and not isinstance(after.role, Candidate):
        yield from learned(step, voter)
    elif is_active(before.role) and _is_settled(step, response):
        already = "it leads already" if isinstance(before.role, Leader) else "it stands for election already"
        kind = "pre-vote" if isinstance(response, PreVoteResponse) else "vote"
        yield from out_of_date(f"{server(voter)}'s {kind if response.granted else 'refusal'}: {already}")
    elif not is_active(before.role) or before.role == after.role or isinstance(before.role, Leader):
        yield from out_of_date(f"{server(voter)}'s {'vote' if response.granted else 'refusal'}, which comes too late")
    else:
        yield _counted(step, voter, response)
        yield from outcome(step, voter)


def _is_settled(step: Step, response: VoterMessage) -> bool:
    """Whether the answer is about a question of this campaign that has been decided already."""
    sought = Vote(step.before.term, step.before.id)
    early = isinstance(response, PreVoteResponse) and not isinstance(step.before.role, PreCandidate)
    return response.asked == sought and (early or isinstance(step.before.role, Leader))


def _counted(step: Step, voter: NodeId, response: VoterMessage) -> Remark:
    early = isinstance(response, PreVoteResponse)
    name = server(voter)
    if any(alarm.peer == voter for alarm in commands(step, Alarm)):
        return Remark(DISK_LOST, f"does not count {name}'s answer: {name} has led, and holds nothing any more")
    if not response.granted:
        return Remark(REFUSAL_COUNTED, f"hears that {name} {'would refuse' if early else 'refuses'} it the vote")
    if early:
        return Remark(PRE_VOTE_COUNTED, f"hears that {name} would vote for it")
    return Remark(VOTE_COUNTED, f"gets {name}'s vote of term {response.asked.term}")


def outcome(step: Step, voter: NodeId) -> Remarks:
    """What a counted vote brought about, if anything."""
    before, after = step.before.role, step.after.role
    granted = before.granted | {voter} if isinstance(before, (PreCandidate, Candidate)) else frozenset({voter})
    majority = shares(step.before.membership, granted)
    match after:
        case Leader():
            yield from elected(step, majority)
        case Candidate() if isinstance(before, PreCandidate):
            yield Remark(PRE_VOTE_WON, f"has the majority it needs: {majority}")
            yield from campaigned(step)
        case PreCandidate() | Candidate():
            if any(one.patience for one in commands(step, SetTimer)):
                yield Remark(FITTER_RIVAL, f"waits longer before it tries again, for {server(voter)}'s log is greater")
        case _ if isinstance(before, PreCandidate):
            yield Remark(PRE_VOTE_LOST, "cannot reach a majority any more and begins no election")
        case _:
            yield Remark(ELECTION_LOST, f"cannot reach a majority any more in term {step.after.term}")


def elected(step: Step, majority: str) -> Remarks:
    """Office is taken."""
    rule = ELECTED_JOINTLY if step.before.membership.is_joint else ELECTED
    yield Remark(rule, f"becomes leader of term {step.after.term} with the votes of {majority}")
    blank = step.after.log.last
    if blank != step.before.log.last:
        yield Remark(FIRST_ENTRY, f"appends a blank {entry_name(blank)}")


def own_vote_stored(step: Step) -> Remarks:
    """The candidate's own vote is durable."""
    yield Remark(OWN_VOTE_COUNTED, f"counts its own vote of term {step.before.term}, now that it is on disk")
    yield from outcome(step, step.before.id)
