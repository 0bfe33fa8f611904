"""Why something has not happened: which server lacks an entry, which rule refused a vote, where a request was lost."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import assert_never

from msgspec.structs import replace

from pyraft_lab.engine.consult import Departure, Function, departures
from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.messages import (
    AppendRequest,
    PreVoteRequest,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
    VoterMessage,
)
from pyraft_lab.engine.rules import commit_index, may_campaign
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, Progress, RaftState, Reverted, SendSnapshot, Step
from pyraft_lab.engine.types import Index, NodeId, Term
from pyraft_lab.trace.annotate.commitment import majority_holds
from pyraft_lab.trace.annotate.own import departs, departure_text
from pyraft_lab.trace.annotate.rule import sent
from pyraft_lab.trace.causes import CausalIndex, last
from pyraft_lab.trace.questions import Commits, Explanation, Happens, Leads, Question, Votes
from pyraft_lab.trace.record import Flight, Kind, Record
from pyraft_lab.trace.sentences import first_explanation
from pyraft_lab.trace.text import log_end, majorities, message_name, server, servers

MAX_SENTENCES = 3
"""How many of the requests that were lost in the same way are named."""


def explain_absence(past: CausalIndex, asked: Question) -> Explanation:
    """Why not; and what the run's own rules said where they answered otherwise than Raft's."""
    return with_own_rules(_why_absent(past, asked), past.records)


def with_own_rules(told: Explanation, records: Iterable[Record]) -> Explanation:
    """The explanation, and for each rule of this run that departed from Raft's own in these records what it said last.

    What the answer says already is not said again.
    """
    found: dict[str, list[tuple[Record, Departure]]] = {}
    for record in records:
        for one in departures(record.step) if record.step is not None else ():
            found.setdefault(one.rule, []).append((record, one))
    said = "\n".join((told.answer, *told.reasons))
    new = [times for times in found.values() if departure_text(times[-1][1]) not in said]
    return replace(told, reasons=(*told.reasons, *map(_own_rule, new)))


def _own_rule(times: Sequence[tuple[Record, Departure]]) -> str:
    record, one = times[-1]
    often = f", for the last of {len(times)} times" if len(times) > 1 else ""
    return f"On {server(record.node)}, at t={record.time:.3f}{often}, {departure_text(one)}."


def _why_absent(past: CausalIndex, asked: Question) -> Explanation:
    match asked:
        case Votes():
            return _not_voted(past, asked)
        case Commits(index):
            return _not_committed(past, index)
        case Leads(leader, term):
            return _not_leading(past, leader, term)
        case Happens(event):
            return Explanation(f"Record {event} is not kept.")
        case _:
            assert_never(asked)


# No vote


def _not_voted(past: CausalIndex, asked: Votes) -> Explanation:
    """The vote was refused, never asked for, or the request was lost."""
    voter, candidate = asked.vote
    when = "" if asked.term is None else f" in term {asked.term}"
    who = f"{server(voter)} did not vote for {server(candidate)}{when}"
    arrived = last((one, step) for one, step in past.steps(voter) if _is_refused(step, asked))
    if arrived is not None:
        record, step = arrived
        why = f"at t={record.time:.3f} it {first_explanation(step)}"
        return Explanation(f"{who}: {why}.", (), past.slice([record]), past.flights)
    asking = [one for one in past.flights.values() if one.dst == voter and _asks(one, candidate, asked.term)]
    if asking:
        return _unanswered_requests(past, who, asking)
    return Explanation(f"{who}: {server(candidate)} never asked it to.", (_never_asked(past, candidate, asked.term),))


def _unanswered_requests(past: CausalIndex, who: str, asking: Sequence[Flight]) -> Explanation:
    """What became of the last requests."""
    final = asking[-MAX_SENTENCES:]
    fates = [f"The {message_name(one.message)} of t={one.sent:.3f} {past.fate(one)}." for one in final]
    vain = "no request" if len(asking) == len(final) else f"none of {len(asking)} requests"
    return _shown(past, Explanation(f"{who}: {vain} reached it.", tuple(fates)), final)


def _is_refused(step: Step, asked: Votes) -> bool:
    """Whether this step refuses the vote that is asked about, or says that it would."""
    match step.event:
        case Receive(src, VoteRequest(vote=vote) | PreVoteRequest(vote=vote)):
            fits = src == asked.vote[1] and asked.term in (None, vote.term)
            answers: list[tuple[NodeId, VoterMessage]] = [*sent(step, VoteResponse), *sent(step, PreVoteResponse)]
            return fits and any(not answer.granted for _, answer in answers)
        case _:
            return False


def _asks(flight: Flight, candidate: NodeId, term: Term | None) -> bool:
    match flight.message:
        case VoteRequest(vote=vote) | PreVoteRequest(vote=vote):
            return flight.src == candidate and term in (None, vote.term)
        case _:
            return False


def _never_asked(past: CausalIndex, candidate: NodeId, term: Term | None) -> str:
    stood = sorted({step.after.term for _, step in past.steps(candidate) if isinstance(step.after.role, Candidate)})
    if not stood:
        return f"{server(candidate)} was never a candidate."
    if term in stood:
        return f"{server(candidate)} was a candidate in term {term} and asked others."
    terms = ", ".join(map(str, stood))
    return f"{server(candidate)} was a candidate in term {terms}{'' if term is None else f', not in term {term}'}."


# No commit


def _not_committed(past: CausalIndex, index: Index) -> Explanation:
    """There is no such entry, or no leader, or too few servers hold it, or it is of an earlier term."""
    no = f"Entry {index} is not committed"
    having = [node for node, state in past.states.items() if state.log.last.index >= index]
    leader = past.leader()
    if any(state.committed >= index for state in past.states.values()):
        return Explanation(f"Entry {index} is committed, but the records of that time are not kept.")
    if not having:
        return Explanation(f"{no}: no log has it{_longest(past)}.")
    if leader is None:
        return Explanation(f"{no}: there is no leader.", tuple(_standing(past, node) for node in sorted(past.states)))
    if leader not in having:
        own = f"leader {server(leader)}'s log {log_end(past.states[leader].log.last)}"
        return Explanation(f"{no}: {own}; what {servers(having)} has there will be removed (§5.3).")
    return _too_few(past, past.states[leader], index)


def _longest(past: CausalIndex) -> str:
    longest = max(past.states.values(), key=lambda state: state.log.last.index, default=None)
    return f"; the longest log, {server(longest.id)}'s, {log_end(longest.log.last)}" if longest else ""


def _too_few(past: CausalIndex, state: RaftState, index: Index) -> Explanation:
    """The leader has it: count the servers that hold it, set by set."""
    holding = frozenset(node for node, matched in state.matched.items() if matched >= index)
    held, no = majorities(state.membership, holding), f"Entry {index} is not committed"
    if departed_last(past, state.id, commit_index):
        return Explanation(f"{no}, though {held} hold it: the leader's rule for that is not Raft's own.")
    if majority_holds(state) >= index:
        return Explanation(f"{no}, though {held} hold it: {_earlier(state, index)} (§5.4.2, Figure 8).")
    answer = f"{no}: leader {server(state.id)} knows it only on the disks of {held} (§5.3)."
    carriers = {node: _carrier(past, state, node, index) for node in sorted(state.membership.voters - holding)}
    reasons = tuple(_lack(past, state, node, carrier) for node, carrier in carriers.items())
    return _shown(past, Explanation(answer, reasons), [flight for flight in carriers.values() if flight])


def _earlier(state: RaftState, index: Index) -> str:
    """Figure 8: counting does not commit an entry of an earlier term."""
    term = state.log.entry(index).id.term
    return f"it is of term {term}, and only an entry of {server(state.id)}'s own term {state.term} commits by counting"


def _carrier(past: CausalIndex, leader: RaftState, node: NodeId, index: Index) -> Flight | None:
    """The last message that was to bring the entry to ``node``, if one left in this term."""
    return past.latest(flight for flight in past.flights.values() if _brings(flight, leader, node, index))


def _brings(flight: Flight, leader: RaftState, node: NodeId, index: Index) -> bool:
    match flight.message:
        case AppendRequest(vote=vote, entries=entries):
            ours = (flight.src, flight.dst, vote.term) == (leader.id, node, leader.term)
            return ours and any(entry.index == index for entry in entries)
        case _:
            return False


def _shown(past: CausalIndex, told: Explanation, flights: Sequence[Flight]) -> Explanation:
    """The answer with the records that sent these messages, where they arrived, and those that never arrived."""
    ends = {flight.id: landed for flight in flights if (landed := past.arrival(flight))}
    missed = tuple(flight for flight in flights if flight.id not in ends)
    return replace(
        told, records=past.slice([*past.senders(flights), *ends.values()]), flights=past.flights, missed=missed
    )


def _lack(past: CausalIndex, leader: RaftState, node: NodeId, carrier: Flight | None) -> str:
    """What one server holds, and why not more."""
    if node in past.down:
        return _down_since(past.down[node])
    if node == leader.id:
        return f"{server(node)}'s own disk holds entries up to {leader.stored.index}."
    assert isinstance(leader.role, Leader), "only a leader knows who lacks what"
    known = leader.role.of(node)
    held = _progress(known) if known else "is not replicated to"
    return f"{server(node)} {held}{_carried(past, carrier)}."


def _carried(past: CausalIndex, carrier: Flight | None) -> str:
    """How far the entry came on its way to one server, and the acknowledgement on its way back."""
    if carrier is None:
        return ""
    what = f"; the {message_name(carrier.message)} of t={carrier.sent:.3f}"
    landed = past.arrival(carrier)
    if landed is None or landed.step is None:
        return f"{what} {past.fate(carrier)}"
    answer = past.latest(flight for flight in past.flights.values() if flight.reply_to == carrier.id)
    if answer is None:
        return f"{what} arrived, and its disk has not finished"
    return f"{what} arrived, the {message_name(answer.message)} {past.fate(answer)}"


def _progress(known: Progress) -> str:
    held = f"acknowledged entries up to {known.matched}" if known.matched else "acknowledged nothing"
    match known.state:
        case SendSnapshot(meta, offset):
            return f"{held}; it is receiving a snapshot and holds {offset} of its {meta.size} bytes"
        case Reverted():
            return f"{held} and lost its log: it is sent nothing more"
        case _:
            return f"{held}, and has not answered in time ({known.failures} in a row)" if known.failures else held


# No leadership


def _not_leading(past: CausalIndex, node: NodeId, term: Term | None) -> Explanation:
    """Unknown, down, not a voter, defeated, or a follower of another leader."""
    state = past.states.get(node)
    who = f"{server(node)} {'never led' if term is None else f'did not lead term {term}'}"
    if state is None:
        return Explanation(f"{who}: there is no such server.")
    campaign = _last_campaign(past, node, term)
    if campaign is not None:
        return _defeated(past, who, *campaign)
    return Explanation(
        f"{who}: it never campaigned{'' if term is None else ' in that term'}.", (_standing(past, node),)
    )


def _last_campaign(past: CausalIndex, node: NodeId, term: Term | None) -> tuple[Record, Step] | None:
    return last(
        (record, step)
        for record, step in past.steps(node)
        if isinstance(step.after.role, (Candidate, PreCandidate))
        and not (type(step.before.role) is type(step.after.role) and step.before.term == step.after.term)
        and term in (None, _sought(step.after))
    )


def _sought(state: RaftState) -> Term:
    """The term a server campaigns for."""
    return state.term + 1 if isinstance(state.role, PreCandidate) else state.term


def _defeated(past: CausalIndex, who: str, record: Record, step: Step) -> Explanation:
    """The servers asked in the last campaign, and what each answered."""
    term, early = _sought(step.after), isinstance(step.after.role, PreCandidate)
    campaign = f"before an election of term {term}" if early else f"as candidate of term {term}"
    asked = [
        flight
        for flight in past.flights.values()
        if flight.sent >= record.time
        and _asks(flight, step.after.id, term)
        and isinstance(flight.message, PreVoteRequest) == early
    ]
    tries = max(Counter(flight.dst for flight in asked if flight.copy_of is None).values(), default=1)
    tried = f" in {tries} tries, the last at t={max(flight.sent for flight in asked):.3f}" if tries > 1 else ""
    answer = f"{who}: {campaign} it found no majority of {step.after.membership}{tried}."
    final = list({flight.dst: flight for flight in sorted(asked, key=lambda one: (one.sent, one.dst))}.values())
    reasons = tuple(_reception(past, flight) for flight in final)
    told = _shown(past, Explanation(answer, reasons), final)
    return replace(told, records=told.records or past.slice([record]))


def _reception(past: CausalIndex, flight: Flight) -> str:
    """What happened to one vote request."""
    record = past.arrival(flight)
    name = server(flight.dst)
    if record is None or record.step is None:
        return f"{name}: the request {past.fate(flight)}."
    return f"{name} {first_explanation(record.step)}{_answer_fate(past, record)}."


def _answer_fate(past: CausalIndex, record: Record) -> str:
    """Whether the answer arrived; if not, it counted for nothing."""
    for flight in past.flights.values():
        if flight.cause == record.id and isinstance(flight.message, (VoteResponse, PreVoteResponse)):
            landed = past.arrival(flight)
            return "" if landed is not None and landed.step is not None else f", but the answer {past.fate(flight)}"
    return ", but its answer was never sent"


def _down_since(record: Record) -> str:
    """Since when a server is down."""
    happened = "crashed at" if record.kind is Kind.CRASH else "has not been heard from since"
    return f"{server(record.node)} {happened} t={record.time:.3f}."


def departed_last(past: CausalIndex, node: NodeId, rule: Function) -> bool:
    """Whether the last step of a server came out otherwise than under Raft's own ``rule``."""
    found = last(past.steps(node))
    return found is not None and departs(found[1], rule)


def _standing(past: CausalIndex, node: NodeId) -> str:
    """The state of a server in the end."""
    state = past.states[node]
    if node in past.down:
        return _down_since(past.down[node])
    if departed_last(past, node, may_campaign):
        return f"{server(node)} does not campaign: this run's rule for that is not Raft's own."
    if not may_campaign(state):
        return f"{server(node)} is not a voter of {state.membership} (§6)."
    if state.leader and state.leader != node:
        return f"{server(node)} follows {server(state.leader)}, leader of term {state.term} (§5.2)."
    return f"{server(node)} is in term {state.term} and its log {log_end(state.log.last)}."
