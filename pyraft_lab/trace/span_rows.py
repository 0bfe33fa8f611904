"""Spans as rows: what lasts for a while on a node, from the event that began it to the one that ended it.

::

    n1  ├ election ┤├ leadership ─────────────────────────── … ┤├ down ──┤
                             ├ membership ┤   ├ snapshot to n3 ┤
"""

from collections.abc import Sequence

from pyraft_lab.engine.events import Boot
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, RaftState, SendSnapshot, Step
from pyraft_lab.engine.types import Index, NodeId, Term
from pyraft_lab.trace.columns import MISSING, NEVER, Table
from pyraft_lab.trace.record import Kind, Record
from pyraft_lab.trace.schema import SPAN_KINDS, SPAN_OUTCOMES, SPANS

Span = tuple[str, Term, NodeId]
"""A span of a node: its kind, the term in which it began, and its peer or ``MISSING``."""
_KIND = {name: number for number, name in enumerate(SPAN_KINDS)}
_OUTCOME = {name: number for number, name in enumerate(SPAN_OUTCOMES)}


class SpanRows:
    """One row for each span; one that goes on has no end yet, and of one that is older than the trace no beginning."""

    def __init__(self) -> None:
        self._table = Table(SPANS)
        self._open: dict[NodeId, dict[Span, int]] = {}

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""
        for record in records:
            if record.step is not None:
                self._step(record, record.step)
            elif record.kind is Kind.CRASH and record.node is not None:
                self._end_all(record, "crashed")
                self._begin(record, ("down", record.state.term if record.state else MISSING, MISSING))

    def now(self) -> Table:
        """A copy of the table as it is now."""
        return self._table.copy()

    def _step(self, record: Record, step: Step) -> None:
        if record.node not in self._open:
            for span in lasting(step.before):
                self._begin(record, span, is_older=True)
        before, after = step.before, step.after
        if isinstance(step.event, Boot):
            self._end_all(record, "restarted" if self._is_down(record.node) else "crashed")
        elif before.role is after.role and before.disk is after.disk and before.building == after.building:
            return
        now = lasting(after)
        going = self._open.setdefault(after.id, {})
        for span in [one for one in going if one not in now]:
            self._end(record, going.pop(span), outcome(span, step))
        for span in [one for one in now if one not in going]:
            self._begin(record, span)

    def _is_down(self, node: NodeId | None) -> bool:
        return any(kind == "down" for kind, _, _ in self._open.get(node or 0, ()))

    def _begin(self, record: Record, span: Span, *, is_older: bool = False) -> None:
        assert record.node is not None, "a span is a node's"
        kind, term, peer = span
        began, first = (NEVER, MISSING) if is_older else (record.time, record.id)
        self._open.setdefault(record.node, {})[span] = len(self._table)
        self._table.add_rows([(_KIND[kind], record.node, peer, term, began, NEVER, -1, first, MISSING)])

    def _end(self, record: Record, place: int, how: str) -> None:
        for name, value in {"ended": record.time, "outcome": _OUTCOME[how], "last": record.id}.items():
            self._table.buffers[name][place] = value

    def _end_all(self, record: Record, how: str) -> None:
        for place in self._open.pop(record.node or 0, {}).values():
            self._end(record, place, how)
        self._open[record.node or 0] = {}


def lasting(state: RaftState) -> list[Span]:
    """What goes on at a node in this state, each once, in an order that depends on nothing else."""
    term, found = state.term, list[Span]()
    match state.role:
        case PreCandidate():
            found.append(("election", term + 1, MISSING))  # for the term that it enters when most would vote for it
        case Candidate():
            found.append(("election", term, MISSING))
        case Leader() as leader:
            found.append(("leadership", term, MISSING))
            if state.membership.is_joint or state.membership_id.index > max(leader.noop, state.committed):
                found.append(("membership", term, MISSING))
            if leader.transfer is not None:
                found.append(("transfer", term, leader.transfer.to))
            found.extend(("snapshot", term, one.peer) for one in leader.progress if type(one.state) is SendSnapshot)
        case _:
            pass
    if state.building:
        found.append(("build", MISSING, MISSING))
    return found


def outcome(span: Span, step: Step) -> str:
    """How a span ended in this step."""
    kind, term, peer = span
    leader = step.after.role if isinstance(step.after.role, Leader) and step.after.term == term else None
    match kind:
        case "election":
            return "won" if leader else "lost"
        case "build":
            return "built"
        case "membership" if leader:
            return "committed"
        case "snapshot" if leader:
            return "arrived" if _matched(step.after, peer) > _matched(step.before, peer) else "given up"
        case "transfer" if leader:
            return "given up"
        case _:
            return "stepped down"


def _matched(state: RaftState, peer: NodeId) -> Index:
    """How far a leader knows a peer's log to be like its own."""
    progress = state.progress_of(peer)
    return progress.matched if progress is not None else 0
