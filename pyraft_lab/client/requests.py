"""What a client asks of a node, and what a node answers."""

from collections.abc import Sequence
from typing import Any, assert_never

from msgspec import Struct, convert

from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.types import Index
from pyraft_lab.session import Answer, Rejected, Value


class OpenSession(Struct, frozen=True, tag=True):
    """Name a log index that is committed, linearizably: the session begins there."""


class WriteBatch(Struct, frozen=True, tag=True):
    """Replicate ``data``, the commands of one session under one serial, and apply them once."""

    data: bytes
    client: int
    serial: int


class FindOutcome(Struct, frozen=True, tag=True):
    """Say what became of this serial: wait for it where it is on its way, and look for its answer."""

    client: int
    serial: int


class ReadMany(Struct, frozen=True, tag=True):
    """Answer queries after one linearizable read; as many of the first ones as fit into one reply."""

    queries: Sequence[Any]
    policy: ReadPolicy = "index"


Request = OpenSession | WriteBatch | FindOutcome | ReadMany


def reply_of(request: Request, value: Any) -> Any:
    """A reply in its own types, after it travelled as plain values; ``msgspec.ValidationError`` where it is none."""
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
