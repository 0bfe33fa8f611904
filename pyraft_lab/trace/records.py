"""Records as they are made: of a step, and of records that are missing."""

from collections.abc import Sequence

from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.recorder import EventId, Flight, Kind, MessageId, Record, Reply, kind_of, peer_of

MISSING = "records are missing"
WHOLE = "its whole state is known again"


def record_step(
    step: Step,
    *,
    id: EventId,
    time: float,
    cause: EventId | None = None,
    message: MessageId | None = None,
    sent: Sequence[Flight] = (),
    replies: Sequence[Reply] = (),
) -> Record:
    """The record of one turn of a node; ``message`` is the id of the one received, ``sent`` what left at once."""
    return Record(
        id=id,
        time=time,
        kind=kind_of(step.event),
        node=step.after.id,
        cause=cause,
        step=step,
        peer=peer_of(step.event),
        message=message,
        sent=tuple(sent),
        replies=tuple(replies),
    )


def gap(id: EventId, *, node: NodeId, time: float, count: int, state: RaftState | None = None) -> Record:
    """The record that says how many records of a node are missing since ``time``; ``state`` is how it stands now."""
    detail = f"{count} {MISSING}" if count else WHOLE
    return Record(id=id, time=time, kind=Kind.GAP, node=node, detail=detail, state=state)


def missing_in(record: Record) -> int:
    """How many records are missing, as a record of :func:`gap` tells."""
    count = record.detail.partition(" ")[0]
    return int(count) if record.kind is Kind.GAP and count.isdecimal() else 0
