"""What a caller gets for the outcome of a request: a response, or its error."""

from typing import Any, assert_never

from msgspec import Struct

from pyraft_lab.engine.log import Configuration
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import ORIGIN, LogId, NodeId
from pyraft_lab.errors import BadCommand, OutcomeUnknown
from pyraft_lab.ledger import Answered, Failed, Finished, MayRead, Outcome, to_error
from pyraft_lab.machine import Expired, Rejected


class WriteResponse(Struct, frozen=True, kw_only=True, gc=False):
    """Where a write stands in the log, what the machine returned, and the membership if it was a change of one."""

    log_id: LogId
    value: Any = None
    membership: Membership | None = None


def respond(outcome: Outcome, node: NodeId) -> WriteResponse:
    """The response of ``node``; raises what a failed request has to."""
    match outcome:
        case Answered(_, entry, Rejected(why)):
            raise BadCommand(why)
        case Answered(_, entry, Expired()):
            raise OutcomeUnknown("the session was forgotten")
        case Answered(_, entry, answer):
            membership = entry.payload.membership if isinstance(entry.payload, Configuration) else None
            return WriteResponse(log_id=entry.id, value=answer.value, membership=membership)
        case Failed(_, failure):
            raise to_error(failure, node)
        case MayRead(_, at):
            return WriteResponse(log_id=at)
        case Finished():
            return WriteResponse(log_id=ORIGIN)
        case _:
            assert_never(outcome)
