"""What is committed (§5.3, §5.4.2, Figure 8), by whose acknowledgements, and what is then applied."""

from pyraft_lab.engine.commands import Apply
from pyraft_lab.engine.engine import settle_machine
from pyraft_lab.engine.events import ChangeMembership, Event, Receive, Stored
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AppendAccepted
from pyraft_lab.engine.replication import advance_commit
from pyraft_lab.engine.rules import commit_index
from pyraft_lab.engine.state import Leader, RaftState, Step
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.trace.annotate.own import cause, departs
from pyraft_lab.trace.annotate.rule import DECISIVE, Explained, Remarks, Rule, commands, leads_on
from pyraft_lab.trace.text import contained, content, listed, majorities, span

COMMIT_BY_MAJORITY = Rule(
    "commit by majority", "§5.3, §5.4.2", commit_index, "An entry of this term is on the disks of a majority.", DECISIVE
)
COMMIT_BY_BOTH = Rule(
    "commit by both majorities",
    "§6",
    commit_index,
    "While joint, an entry needs a majority of each voter set.",
    DECISIVE,
)
COMMIT_OF_EARLIER = Rule(
    "commit of earlier terms", "§5.4.2", advance_commit, "Entries of earlier terms commit with one of this term."
)
COMMIT_WITHHELD = Rule(
    "commit withheld: earlier term",
    "§5.4.2",
    commit_index,
    "A majority holds an entry of an earlier term: that alone never commits it (Figure 8).",
    DECISIVE,
)
APPLIED = Rule("applied", "§5.3", settle_machine, "Committed entries go to the state machine, in order.")

RULES = (COMMIT_BY_MAJORITY, COMMIT_BY_BOTH, COMMIT_OF_EARLIER, COMMIT_WITHHELD, APPLIED)


def committed(step: Step) -> Remarks:
    """A leader commits, or may not commit yet."""
    if not leads_on(step):
        return ()
    if step.after.committed > step.before.committed:
        return _by_majority(step)
    if type(step.after.role) is Leader and _acknowledged(step.event) > step.after.committed:
        return () if departs(step, commit_index) else _withheld(step)
    return ()


def _acknowledged(event: Event) -> Index:
    """Up to where a disk may hold more than was known before, since only that makes a new majority; 0 if none does."""
    if type(event) is Receive:
        return event.message.matched.index if type(event.message) is AppendAccepted else 0
    return event.last.index if type(event) is Stored else 0


def _by_majority(step: Step) -> Remarks:
    first, last = step.before.committed + 1, step.after.committed
    entries = step.after.log.slice(first, last + 1)
    own = [entry for entry in entries if entry.id.leader == (step.after.term, step.after.id)]
    governing = judged_by(step)
    rule = cause(step, COMMIT_BY_BOTH if governing.is_joint else COMMIT_BY_MAJORITY, commit_index)
    yield Explained(
        rule, lambda: f"commits {contained(own or entries)}, held by {majorities(governing, holders(step, last))}"
    )
    if own and len(own) < len(entries):
        terms = sorted({entry.id.term for entry in entries if entry not in own})
        earlier = f"{span(first, first + len(entries) - len(own) - 1)} of term {listed(list(map(str, terms)))}"
        yield Explained(COMMIT_OF_EARLIER, lambda: f"with it commits {earlier}")


def _withheld(step: Step) -> Remarks:
    """Only where the majority is new; else every later acknowledgement would repeat it."""
    after = step.after
    if after.disk.log.last.index == after.committed:
        return
    held = majority_holds(after)
    if held <= after.committed or held <= majority_holds(step.before):
        return
    at = after.log.id_at(held)
    if at is not None:
        who = majorities(step.after.membership, holders(step, held))
        own = f"not of its own term {step.after.term}"
        yield Explained(
            COMMIT_WITHHELD,
            lambda: f"does not commit entry {held}, though {who} hold it: it is of term {at.term}, {own}",
        )


def majority_holds(state: RaftState) -> Index:
    """The last index that a majority of every voter set holds, whatever its term."""
    return state.membership.committed_index(state.matched)


def judged_by(step: Step) -> Membership:
    """The membership that counted: a joint one that ended in this very step judged its own entry."""
    ended = step.before.membership.is_joint and not isinstance(step.event, ChangeMembership)
    return step.before.membership if ended else step.after.membership


def holders(step: Step, index: Index) -> frozenset[NodeId]:
    """Which servers are known to hold ``index`` on disk, though a leadership may have ended in this very step."""
    matched = {**step.before.matched, **step.after.matched}
    match step.event:
        case Receive(src, AppendAccepted(matched=heard)):
            matched[src] = max(matched.get(src, 0), heard.index)
        case _:
            pass
    return frozenset(node for node, last in matched.items() if last >= index)


def applied(step: Step) -> Remarks:
    """Commands given to the state machine; no-ops and memberships are not for it."""
    entries: list[Entry] = [entry for apply in commands(step, Apply) for entry in apply.entries]
    orders = [entry for entry in entries if type(entry.payload) is Normal]
    return (Explained(APPLIED, lambda: f"applies {content(orders)}"),) if orders else ()
