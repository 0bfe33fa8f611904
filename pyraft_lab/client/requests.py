"""The requests of a client, and a node's replies."""

from collections.abc import Sequence
from typing import Any, assert_never

from msgspec import Struct, convert

from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.types import Index
from pyraft_lab.session import Answer, Rejected, Value


class OpenSession(Struct, frozen=True, tag=True):
    """Return a committed log index, linearizably: the session begins there."""


class WriteBatch(Struct, frozen=True, tag=True):
    """Replicate ``data``, the commands of one session with one serial, and apply them once."""

    data: bytes
    client: int
    serial: int


class FindOutcome(Struct, frozen=True, tag=True):
    """Find the outcome of this serial: wait if it is in progress, and look for its answer."""

    client: int
    serial: int


class ReadMany(Struct, frozen=True, tag=True):
    """Answer queries after one linearizable read: as many of the first ones as fit into one reply."""

    queries: Sequence[Any]
    policy: ReadPolicy = "index"


Request = OpenSession | WriteBatch | FindOutcome | ReadMany


class Operate(Struct, frozen=True):
    """Carry out an operator's request, such as a membership change; its form is the driver's."""

    operation: Any


def reply_of(request: Request, value: Any) -> Any:
    """Convert a decoded reply to its own types; raises ``msgspec.ValidationError`` if it does not match."""
    match request:
        case OpenSession():
            return convert(value, Index)
        case WriteBatch():
            return convert(value, Answer)
        case FindOutcome():
            return convert(value, Answer | None)
        case ReadMany():
            return convert(value, tuple[Value | Rejected, ...])
        case _:
            assert_never(request)
