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
from pyraft_lab.client.requests import Request
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.membership import Change
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError, shown
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


class Initialize(Struct, frozen=True, tag=True):
    """Found the cluster with these voters."""

    voters: tuple[NodeId, ...]


class AddLearner(Struct, frozen=True, tag=True):
    """Let a node receive the log; ``blocking`` waits until it has it."""

    node: NodeId
    blocking: bool = True


class ChangeMembership(Struct, frozen=True, tag=True):
    """Change who votes; those who leave stay as learners with ``retain``."""

    change: Change
    retain: bool = False


class TransferLeader(Struct, frozen=True, tag=True):
    """Let this node lead."""

    to: NodeId


class AllowNextRevert(Struct, frozen=True, tag=True):
    """This node lost its log, and may be sent it again from nothing."""

    node: NodeId


class TriggerSnapshot(Struct, frozen=True, tag=True):
    """Build a snapshot now."""


Operation = Initialize | AddLearner | ChangeMembership | TransferLeader | AllowNextRevert | TriggerSnapshot
"""What an operator asks for."""
RpcRequest = WriteCommands | ReadQuery | ReadIndex | Operation | Request


class RpcCall(Struct, frozen=True, array_like=True):
    """A question; the answer carries the same number."""

    number: int
    question: RpcRequest


class RpcError(Struct, frozen=True, tag=True):
    """An error: its class, and what it was made with."""

    error: str
    facts: Mapping[str, Any]


class RpcResult(Struct, frozen=True, tag=True):
    """What was asked for."""

    value: Any = None


class RpcReply(Struct, frozen=True, array_like=True):
    """The answer to the question of this number."""

    number: int
    answer: RpcResult | RpcError


class _Numbered(Struct, frozen=True, array_like=True):
    number: int
    rest: msgspec.Raw


_encoder = msgspec.msgpack.Encoder(enc_hook=str)
_asked = msgspec.msgpack.Decoder(RpcCall)
_numbered = msgspec.msgpack.Decoder(_Numbered)
_reply = msgspec.msgpack.Decoder(RpcReply)
_metrics = msgspec.msgpack.Decoder(Metrics)


def encode(message: RpcCall | RpcReply | Metrics) -> bytes:
    """As it travels; what has no form of its own travels as its text."""
    return _encoder.encode(message)


def decode_call(data: bytes) -> RpcCall:
    """A question; ``msgspec.MsgspecError`` where the bytes are none."""
    return read(_asked, data)


def number_of(data: bytes) -> int | None:
    """The number of a question that cannot be read, so that its asker can be told; ``None`` where even that is lost."""
    try:
        return read(_numbered, data).number
    except msgspec.MsgspecError:
        return None


def decode_reply(data: bytes) -> RpcReply:
    """An answer; ``msgspec.MsgspecError`` where the bytes are none."""
    return read(_reply, data)


def decode_metrics(data: bytes) -> Metrics:
    """A node's metrics; ``msgspec.MsgspecError`` where the bytes are none."""
    return read(_metrics, data)


def encode_value(value: Any) -> msgspec.Raw:
    """A part of an answer, encoded by itself; raises what keeps it from travelling."""
    return msgspec.Raw(_encoder.encode(value))


def refused(error: PyraftError) -> RpcError:
    """An error as it travels; a fact without a form of its own as its text."""
    facts = {name: value if _travels(value) else shown(value) for name, value in vars(error).items()}
    return RpcError(type(error).__name__, facts or {"message": str(error)})


def _travels(value: Any) -> bool:
    try:
        _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def to_error(refusal: RpcError) -> PyraftError:
    """The error that was raised at the other end.

    >>> to_error(refused(errors.NotLeader(3, node=1)))
    NotLeader('node 1 refuses: not the leader; ask node 3')
    """
    known = vars(errors).get(refusal.error)
    if not (isinstance(known, type) and issubclass(known, PyraftError)) or known is PyraftError:
        return PyraftError(_message(refusal))
    try:
        return known(**{name: value for name, value in refusal.facts.items() if name != "message"})
    except (TypeError, ValueError, AttributeError, LookupError):  # of another version, or nobody's
        return PyraftError(_message(refusal))


def _message(refusal: RpcError) -> str:
    return str(refusal.facts.get("message", f"{refusal.error}: {shown(dict(refusal.facts))}"))
