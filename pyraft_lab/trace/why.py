"""Why something happened: the few records that led to a fact, and the majorities it rests on.

::

    trace.why(leader=3, term=5)       whose votes made it leader
    trace.why(committed=7)            whose disks held it
    trace.why(vote=(2, 1), term=4)    why the voter could grant it
    trace.why(42)                     what led to one record
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

from pyraft_lab.engine.events import Receive, Stored
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.messages import VoteRequest, VoteResponse
from pyraft_lab.engine.rules import vote_refusal
from pyraft_lab.engine.state import Candidate, Leader, Step
from pyraft_lab.engine.types import Index, NodeId, Term
from pyraft_lab.trace.annotate.commitment import holders, judged_by
from pyraft_lab.trace.annotate.elections import comparison
from pyraft_lab.trace.annotate.own import departs
from pyraft_lab.trace.annotate.rule import sent
from pyraft_lab.trace.causes import CausalIndex, last
from pyraft_lab.trace.questions import Commits, Explanation, Happens, Leads, Question, Votes, question
from pyraft_lab.trace.record import Record
from pyraft_lab.trace.sentences import first_explanation
from pyraft_lab.trace.text import majorities, payload_text, server
from pyraft_lab.trace.why_not import explain_absence, with_own_rules


def why(records: Sequence[Record], what: object = None, **fact: object) -> Explanation:
    """Why a record or a fact came about; where it did not, why not."""
    return _explained(records, what, fact)


def why_not(records: Sequence[Record], what: object = None, **fact: object) -> Explanation:
    """Why a fact did not come about: which rule prevented it; where it did, why."""
    return _explained(records, what, fact)


def _explained(records: Sequence[Record], what: object, fact: Mapping[str, object]) -> Explanation:
    """Why a fact is so, or why it is not: which of the two is what the records say."""
    past, asked = CausalIndex(records), question(what, fact)
    found = _found(past, asked)
    return explain_absence(past, asked) if found is None else with_own_rules(found, found.records)


def _found(past: CausalIndex, asked: Question) -> Explanation | None:
    """The explanation of what is so; ``None`` where it is not."""
    match asked:
        case Leads(leader, term):
            beginning = past.became_leader(leader, term)
            return _why_leader(past, *beginning) if beginning else None
        case Commits(index):
            return _why_committed(past, index)
        case Votes():
            return _why_vote(past, asked)
        case Happens(event):
            return _why_event(past, event)
        case _:
            assert_never(asked)


def _why_event(past: CausalIndex, event: int) -> Explanation:
    record = past.by_id.get(event)
    if record is None:
        return Explanation(f"Record {event} is not kept.")
    chain = past.slice([record])
    return Explanation(f"What led to record {event}:", (), chain, past.flights)


# Elections


def _why_leader(past: CausalIndex, record: Record, step: Step) -> Explanation:
    """The candidacy, and every vote that was counted before the leadership."""
    term, node = step.after.term, step.after.id
    counted = [one for one, turn in past.steps(node) if one.id <= record.id and _counts_vote(turn, term)]
    granted = {node, *(one.peer for one in counted if one.peer)}
    majority = majorities(step.before.membership, granted)
    answer = f"{server(node)} leads term {term} since t={record.time:.3f}: {majority} voted for it (§5.2)."
    reasons = [_grant(past, one) for one in counted if one.peer]
    return Explanation(answer, tuple(filter(None, reasons)), past.slice(counted), past.flights)


def _counts_vote(step: Step, term: int) -> bool:
    """Whether a candidate of ``term`` has a vote more after this step, its own included."""
    role = step.before.role
    if not isinstance(role, Candidate) or step.before.term != term or step.after.role == role:
        return False
    match step.event:
        case Receive(message=VoteResponse(granted=granted)):
            return granted
        case Stored():
            return True
        case _:
            return False


def _grant(past: CausalIndex, counted: Record) -> str:
    """Why one voter could grant its vote: both logs at that time."""
    for record in past.causes_of(counted):
        match record.step:
            case Step(before=before, event=Receive(src, VoteRequest(vote=vote, last=theirs))):
                logs = comparison(src, theirs, before.log.last)
                voted = f"{server(record.node)} voted for {server(src)} at t={record.time:.3f}"
                if departs(record.step, vote_refusal):
                    return f"{voted}, though Raft's own rule would have refused: {logs}."
                return f"{voted}: its vote of term {vote.term} was free, and {logs} (§5.2, §5.4.1)."
            case _:
                pass
    return ""


def _why_vote(past: CausalIndex, asked: Votes) -> Explanation | None:
    """The last grant that fits the question."""
    granting = last((record, step) for record, step in past.steps(asked.vote[0]) if _is_granted(step, asked))
    if granting is None:
        return None
    record, step = granting
    answer = f"{server(record.node)} {first_explanation(step)}."
    return Explanation(answer, (), past.slice([record]), past.flights)


def _is_granted(step: Step, asked: Votes) -> bool:
    """Whether this step grants the vote that is asked about."""
    match step.event:
        case Receive(src, VoteRequest(vote=wanted)):
            fits = src == asked.vote[1] and asked.term in (None, wanted.term)
            return fits and any(answer.granted for _, answer in sent(step, VoteResponse))
        case _:
            return False


# Commits


def _why_committed(past: CausalIndex, index: Index) -> Explanation | None:
    """The leader's step that first committed it, and the acknowledgements that made the majority."""
    for record, step in past.steps():
        if step.before.committed < index <= step.after.committed and isinstance(step.before.role, Leader):
            return _commit(past, index, record, step)
    return None


def _commit(past: CausalIndex, index: Index, record: Record, step: Step) -> Explanation:
    """The last entry that this step committed is the one whose majority decided."""
    decisive = step.after.committed
    holding = holders(step, decisive)
    knew = f"{server(record.node)} knew it on the disks of {majorities(judged_by(step), holding)}"
    answer = f"Entry {index} ({_entry(step, index)}) is committed since t={record.time:.3f}: {knew} (§5.3)."
    acknowledged = [found for node in sorted(holding) if (found := _acknowledged(past, record, node, decisive))]
    reasons = (*_by_a_later(step, index, decisive), *(_holding(one, decisive) for one in acknowledged))
    return Explanation(answer, reasons, past.slice([*acknowledged, record]), past.flights)


def _entry(step: Step, index: Index) -> str:
    found: tuple[Entry, ...] = step.after.log.slice(index, index + 1)
    return f"{payload_text(found[0].payload)}, term {found[0].id.term}" if found else "purged since"


def _by_a_later(step: Step, index: Index, decisive: Index) -> tuple[str, ...]:
    """An entry may commit with a later one: always so if it is of an earlier term."""
    if index == decisive:
        return ()
    own = f"of the leader's own term {step.after.term}"
    return (f"Entry {index} committed with entry {decisive}, {own}: with it all before it are committed (§5.4.2).",)


def _acknowledged(past: CausalIndex, commit: Record, node: NodeId, index: Index) -> Record | None:
    """When the leader first knew that ``node`` holds ``index``."""
    for record, step in past.steps(commit.node):
        newly = step.before.matched.get(node, 0) < index and node in holders(step, index)
        if newly and step.before.term == step.after.term == commit_term(commit):
            return record
    return None


def commit_term(commit: Record) -> Term:
    """The term in which a commit happened."""
    return commit.step.before.term if commit.step is not None else 0


def _holding(record: Record, index: Index) -> str:
    leader, when = server(record.node), f"t={record.time:.3f}"
    if record.peer:
        peer = server(record.peer)
        return f"{peer} acknowledged everything up to entry {index}; {leader} heard that at {when} (§5.3)."
    return f"{leader}'s own disk held entry {index} at {when} (dissertation §10.2.1)."
