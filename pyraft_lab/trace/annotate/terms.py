"""Terms and leaders (§5.1, §5.2): which leader a server follows, what is out of date, how leaders keep contact."""

from pyraft_lab.engine.commands import NoQuorum, Refuse
from pyraft_lab.engine.consult import ask
from pyraft_lab.engine.election import (
    adopt_vote,
    follow,
    on_lease_timer,
    on_quorum_timer,
    on_vote_lease_timer,
    recognise_leader,
    step_down,
)
from pyraft_lab.engine.engine import on_candidate, on_follower
from pyraft_lab.engine.engine import step as turn
from pyraft_lab.engine.messages import HeartbeatRequest, Outdated
from pyraft_lab.engine.replication import on_heartbeat_request, on_heartbeat_response, on_heartbeat_timer, renew_lease
from pyraft_lab.engine.rules import acked_round, has_lost_lease, has_valid_lease, starts_lease, supersedes
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, Step
from pyraft_lab.engine.types import NodeId, Vote
from pyraft_lab.trace.annotate.own import cause, departs
from pyraft_lab.trace.annotate.rule import (
    DECISIVE,
    ROUTINE,
    Explained,
    Remarks,
    Rule,
    commands,
    has_sent,
    is_active,
    sent,
)
from pyraft_lab.trace.text import majorities, server, servers

TERM_ADOPTED = Rule("higher term adopted", "§5.1", adopt_vote, "A server that sees a higher term adopts it.")
STEPPED_DOWN = Rule(
    "stepped down: higher term",
    "§5.1",
    step_down,
    "A leader or candidate that sees a higher term becomes a follower.",
    DECISIVE,
)
LEADER_RECOGNISED = Rule(
    "leader recognised", "§5.2", follow, "A server follows the leader of its term, or of a later one."
)
CANDIDATE_YIELDS = Rule(
    "candidate yields to a leader", "§5.2", follow, "Another server leads this term: the candidacy is over.", DECISIVE
)
STALE_LEADER = Rule(
    "stale leader refused",
    "§5.1",
    recognise_leader,
    "The leader of an earlier term gets the current term as its answer.",
    DECISIVE,
)
OUT_OF_DATE = Rule(
    "out of date", "§5.1", on_follower, "What belongs to an earlier term, role or round is ignored.", ROUTINE
)
MALFORMED = Rule("malformed message ignored", "§5.1", on_candidate, "No server speaks in the name of another.", ROUTINE)
HALTED = Rule(
    "halted", "", turn, "A server that saw what cannot happen in a correct cluster has stopped and does nothing."
)
VOTE_LEASE_OVER = Rule(
    "vote lease over",
    "dissertation §4.2.3",
    on_vote_lease_timer,
    "The leader was not heard for one election timeout: the server may vote for others again.",
    ROUTINE,
)
HEARTBEATS_SENT = Rule(
    "heartbeats sent", "§5.2", on_heartbeat_timer, "A leader keeps its followers from campaigning.", ROUTINE
)
HEARTBEATS_SPARED = Rule(
    "heartbeats skipped",
    "openraft",
    on_heartbeat_timer,
    "A follower that just acknowledged entries needs no heartbeat.",
    ROUTINE,
)
HEARTBEAT_HEARD = Rule("heartbeat heard", "§5.2", on_heartbeat_request, "The leader is alive: keep waiting.", ROUTINE)
CONTACT = Rule("contact", "dissertation §6.2", on_heartbeat_response, "A follower answers the leader's round.", ROUTINE)
LEASE_RENEWED = Rule(
    "lease renewed",
    "dissertation §6.4.1",
    renew_lease,
    "A majority answered a round: nobody else can be elected until its lease runs out.",
    ROUTINE,
)
LEASE_SUPERSEDED = Rule(
    "lease superseded",
    "dissertation §6.4.1",
    on_lease_timer,
    "A round's lease ran out; a later round's holds.",
    ROUTINE,
)
LEASE_OVER = Rule(
    "lease over",
    "dissertation §6.4.1",
    has_lost_lease,
    "No majority answered in time: no new writes, no lease reads.",
    DECISIVE,
)
QUORUM_LOST = Rule(
    "leader without quorum steps down",
    "dissertation §6.2",
    on_quorum_timer,
    "A leader that hears from no majority steps down.",
    DECISIVE,
)
READS_FAILED = Rule(
    "reads failed: no quorum",
    "dissertation §6.4",
    on_lease_timer,
    "Waiting reads that no majority confirmed in time fail.",
)

RULES = (
    TERM_ADOPTED, STEPPED_DOWN, LEADER_RECOGNISED, CANDIDATE_YIELDS, STALE_LEADER, OUT_OF_DATE, MALFORMED, HALTED,
    HEARTBEATS_SENT, HEARTBEATS_SPARED, HEARTBEAT_HEARD, CONTACT, VOTE_LEASE_OVER, LEASE_RENEWED, LEASE_SUPERSEDED,
    LEASE_OVER, QUORUM_LOST, READS_FAILED,
)  # fmt: skip

# What this server does not act on


def out_of_date(what: str) -> Remarks:
    """Something came too late to matter."""
    return (Explained(OUT_OF_DATE, lambda: f"ignores {what}"),)


def malformed(src: NodeId) -> Remarks:
    """A message that no correct server sends."""
    return (Explained(MALFORMED, lambda: f"ignores a message from {server(src)} that no correct server sends"),)


def term_adopted(step: Step, src: NodeId) -> Remarks:
    """A higher vote was seen (§5.1): a term is adopted, a leadership or a candidacy ends."""
    before, after = step.before, step.after
    later = after.term > before.term
    if is_active(before.role) and not is_active(after.role):
        news = f"learns of term {after.term} from {server(src)}" if later else f"steps aside for {server(src)}"
        yield Explained(STEPPED_DOWN, lambda: f"{news} and gives up its {leader_announced(step)}")
    elif later and not after.vote.node:
        yield Explained(TERM_ADOPTED, lambda: f"adopts term {after.term} from {server(src)}")


def leader_announced(step: Step) -> str:
    """What the server was before this step."""
    match step.before.role:
        case Leader():
            return f"leadership of term {step.before.term}"
        case Candidate() | PreCandidate():
            return "candidacy"
        case _:
            return "rest"


def corrected(step: Step, src: NodeId) -> Remarks:
    """``Outdated`` arrived: the term is another one."""
    return list(term_adopted(step, src)) or out_of_date(f"{server(src)}'s message about an earlier term")


# Following


def not_followed(step: Step, src: NodeId, vote: Vote) -> Remarks:
    """Why this server does not follow the leader whose message arrived; nothing if it does."""
    if has_sent(step, Outdated):
        told = f"tells {server(src)} that term {vote.term} is over: the term is {step.after.term}"
        if departs(step, supersedes):
            told = f"does not follow {server(src)}, leader of term {vote.term}, and sends it its own vote"
        return (Explained(cause(step, STALE_LEADER, supersedes), told),)
    return () if vote.committed and vote.node == src else malformed(src)


def recognised(step: Step, src: NodeId, vote: Vote) -> Remarks:
    """A message of its leader arrived; there is nothing to tell where this server already follows that leader."""
    before, after = step.before, step.after
    if is_active(before.role):
        follows = f"follows {server(src)}, leader of term {after.term}"
        return (Explained(_yielding(step), lambda: f"gives up its {leader_announced(step)} and {follows}"),)
    if before.leader != src or before.disk.vote != vote:
        return (Explained(LEADER_RECOGNISED, lambda: f"follows {server(src)}, leader of term {vote.term}"),)
    return ()


def _yielding(step: Step) -> Rule:
    return STEPPED_DOWN if step.after.term > step.before.term else CANDIDATE_YIELDS


def vote_lease_over(step: Step) -> Remarks:
    """The leader's lease on a follower ran out."""
    leader = server(step.before.leader)
    yield Explained(VOTE_LEASE_OVER, lambda: f"has not heard {leader} for a while and may vote for others again")


# Leading


def round_begun(step: Step) -> Remarks:
    """A heartbeat round was due, or ordered."""
    beats = sent(step, HeartbeatRequest)
    if not beats:
        return (Explained(HEARTBEATS_SPARED, "has no heartbeat to send"),)
    return (Explained(HEARTBEATS_SENT, lambda: f"sends heartbeats to {servers(peer for peer, _ in beats)}"),)


def lease_renewed(step: Step) -> Remarks:
    """A later round was proved."""
    before, after = step.before.role, step.after.role
    if type(before) is not Leader or type(after) is not Leader or after.acked_round <= before.acked_round:
        return ()
    if after.transfer_sent and not ask(step, has_valid_lease, step.after):
        return ()
    return (Explained(cause(step, LEASE_RENEWED, acked_round, starts_lease), lambda: _renewed_by(step, after)),)


def _renewed_by(step: Step, role: Leader) -> str:
    heard = {one.peer for one in role.progress if one.last_ack_round >= role.acked_round} | {step.after.id}
    return f"has its lease renewed by {majorities(step.after.membership, heard)}"


def lease_expired(step: Step) -> Remarks:
    """The lease of a round ran out; usually a later one holds by then."""
    if has_lost_lease(step.after) and not has_lost_lease(step.before):
        yield Explained(LEASE_OVER, "has had no answer from a majority within its lease and accepts no more writes")
    else:
        yield Explained(LEASE_SUPERSEDED, "lets the lease of an earlier round run out")
    yield from reads_failed(step)


def reads_failed(step: Step) -> Remarks:
    """Reads that no quorum confirmed."""
    for refuse in commands(step, Refuse):
        if isinstance(refuse.refusal, NoQuorum):
            got = servers(refuse.refusal.got)
            yield Explained(
                READS_FAILED, f"fails its waiting reads: only {got} answered, too few of {refuse.refusal.membership}"
            )


def quorum_timed_out(step: Step) -> Remarks:
    """The time to find a quorum again is over."""
    if isinstance(step.after.role, Leader):
        yield from out_of_date("its quorum timer")
    else:
        yield Explained(QUORUM_LOST, lambda: f"still hears no majority and gives up its {leader_announced(step)}")
