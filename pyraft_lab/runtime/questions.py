"""What clients of other processes ask a node, and how answers and errors travel back.

::

    pyraft/<cluster>/<node>/ask/<client>       a question
    pyraft/<cluster>/answers/<client>/<node>   its answer
    pyraft/<cluster>/<node>/status             retained: the node's metrics; cleared when it goes

An error arrives as what it was: the class and its facts travel, and ``NotLeader`` still names the leader.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pyraft_lab import errors
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.membership import Change
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.network.codec import read
from pyraft_lab.runtime.metrics import Metrics


class WriteCommands(Struct, frozen=True, tag=True):
    """Replicate encoded commands."""

    commands: tuple[bytes, ...]


class ReadQuery(Struct, frozen=True, tag=True):
    """Answer a query of the machine."""

    query: Any
    policy: ReadPolicy = "index"


class ReadIndex(Struct, frozen=True, tag=True):
    """An index that is committed, linearizably."""


class Found(Struct, frozen=True, tag=True):
    """Found the cluster with these voters."""

    voters: tuple[NodeId, ...]


class TakeLearner(Struct, frozen=True, tag=True):
    """Let a node receive the log; ``blocking`` waits until it has it."""

    node: NodeId
    blocking: bool = True


class ChangeMembers(Struct, frozen=True, tag=True):
    """Change who votes; those who leave stay as learners with ``retain``."""

    change: Change
    retain: bool = False


class HandOver(Struct, frozen=True, tag=True):
    """Let this node lead."""

    to: NodeId


class AllowNextRevert(Struct, frozen=True, tag=True):
    """This node lost its log, and may be sent it again from nothing."""

    node: NodeId


class KeepSnapshot(Struct, frozen=True, tag=True):
    """Build a snapshot now."""


Operation = Found | TakeLearner | ChangeMembers | HandOver | AllowNextRevert | KeepSnapshot
"""What an operator asks for."""
Question = WriteCommands | ReadQuery | ReadIndex | Operation


class Asked(Struct, frozen=True, array_like=True):
    """A question; the answer carries the same number."""

    number: int
    question: Question


class Refused(Struct, frozen=True, tag=True):
    """An error: its class, and what it was made with."""

    error: str
    facts: Mapping[str, Any]


class Result(Struct, frozen=True, tag=True):
    """What was asked for."""

    value: Any = None


class Reply(Struct, frozen=True, array_like=True):
    """The answer to the question of this number."""

    number: int
    answer: Result | Refused


_encoder = msgspec.msgpack.Encoder(enc_hook=str)
_asked = msgspec.msgpack.Decoder(Asked)
_reply = msgspec.msgpack.Decoder(Reply)
_metrics = msgspec.msgpack.Decoder(Metrics)


def encode(message: Asked | Reply | Metrics) -> bytes:
    """As it travels; what has no form of its own travels as its text."""
    return _encoder.encode(message)


def decode_asked(data: bytes) -> Asked:
    """A question; ``msgspec.MsgspecError`` where the bytes are none."""
    return read(_asked, data)


def decode_reply(data: bytes) -> Reply:
    """An answer; ``msgspec.MsgspecError`` where the bytes are none."""
    return read(_reply, data)


def decode_metrics(data: bytes) -> Metrics:
    """A node's metrics; ``msgspec.MsgspecError`` where the bytes are none."""
    return read(_metrics, data)


def refused(error: PyraftError) -> Refused:
    """An error as it travels."""
    return Refused(type(error).__name__, vars(error) or {"message": str(error)})


def to_error(refusal: Refused) -> PyraftError:
    """The error that was raised at the other end.

    >>> to_error(refused(errors.NotLeader(3, node=1)))
    NotLeader('node 1 refuses: not the leader; ask node 3')
    """
    known = vars(errors).get(refusal.error)
    try:
        if isinstance(known, type) and issubclass(known, PyraftError):
            return known(**refusal.facts)
    except TypeError:
        pass
    return PyraftError(str(refusal.facts.get("message", f"{refusal.error}: {dict(refusal.facts)}")))
