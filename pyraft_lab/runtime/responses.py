"""Turn the outcome of a request into the caller's response or error."""

from typing import Any, assert_never

from msgspec import Struct

from pyraft_lab.engine.log import Configuration, Entry
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import ORIGIN, LogId, NodeId
from pyraft_lab.errors import BadCommand, OutcomeUnknown
from pyraft_lab.machine import Answer, Batched, Expired, OutOfOrder, Rejected, Value
from pyraft_lab.pending_requests import OperationDone, Outcome, ReadAllowed, RequestFailed, WriteApplied, to_error


class WriteResponse(Struct, frozen=True, kw_only=True, gc=False):
    """A write's place in the log, the machine's result, and the membership if it was a membership change."""

    log_id: LogId
    value: Any = None
    membership: Membership | None = None


def respond(outcome: Outcome, node: NodeId) -> WriteResponse:
    """The response of ``node`` to its caller; raises the error of a failed request."""
    match outcome:
        case WriteApplied():
            return _answered(outcome.entry, outcome.result)
        case RequestFailed(_, failure):
            raise to_error(failure, node)
        case ReadAllowed(_, at):
            return WriteResponse(log_id=at)
        case OperationDone():
            return WriteResponse(log_id=ORIGIN)
        case _:
            assert_never(outcome)


def _answered(entry: Entry, answer: Answer) -> WriteResponse:
    """The response to an applied entry; raises ``BadCommand`` if the machine refused it."""
    match answer:
        case Value():  # the most frequent case comes first
            membership = entry.payload.membership if type(entry.payload) is Configuration else None
            return WriteResponse(log_id=entry.id, value=answer.value, membership=membership)
        case Rejected(why):
            raise BadCommand(why)
        case Expired():
            raise OutcomeUnknown("the session was forgotten")
        case Batched():
            return WriteResponse(log_id=entry.id, value=answer.values)
        case OutOfOrder(serial):
            raise BadCommand(f"serial {serial} of its session arrived before the previous one")
        case _:
            assert_never(answer)
