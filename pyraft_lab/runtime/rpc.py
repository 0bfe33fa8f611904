"""RPC messages: calls of clients in other processes to a node, and the replies and errors that return.

::

    pyraft/<cluster>/<node>/ask/<client>       a call
    pyraft/<cluster>/answers/<client>/<node>   its reply
    pyraft/<cluster>/<node>/status             retained: the node's metrics; cleared when it goes

An error arrives as the same class with the same fields; ``NotLeader`` still names the leader.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab import errors
from pyraft_lab.client.requests import Request, WriteBatch
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.membership import Change
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError, shown
from pyraft_lab.network.attachments import LARGE_DATA
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
    """Return a committed index, linearizably."""


class Initialize(Struct, frozen=True, tag=True):
    """Initialize the cluster with these voters."""

    voters: tuple[NodeId, ...]


class AddLearner(Struct, frozen=True, tag=True):
    """Let a node receive the log; ``blocking`` waits until it has caught up."""

    node: NodeId
    blocking: bool = True


class ChangeMembership(Struct, frozen=True, tag=True):
    """Change the voters; with ``retain`` removed voters stay as learners."""

    change: Change
    retain: bool = False


class TransferLeader(Struct, frozen=True, tag=True):
    """Transfer leadership to this voter."""

    to: NodeId


class AllowNextRevert(Struct, frozen=True, tag=True):
    """Let this node, which lost its log, start from nothing, once."""

    node: NodeId


class TriggerSnapshot(Struct, frozen=True, tag=True):
    """Build a snapshot now."""


Operation = Initialize | AddLearner | ChangeMembership | TransferLeader | AllowNextRevert | TriggerSnapshot
"""The operator's calls."""
RpcRequest = WriteCommands | ReadQuery | ReadIndex | Operation | Request


class RpcCall(Struct, frozen=True, array_like=True):
    """A call; the reply carries the same number."""

    number: int
    question: RpcRequest


class RpcError(Struct, frozen=True, tag=True):
    """An error: its class and its fields."""

    error: str
    facts: Mapping[str, Any]


class RpcResult(Struct, frozen=True, tag=True):
    """The result of a call."""

    value: Any = None


class RpcReply(Struct, frozen=True, array_like=True):
    """The reply to the call with this number."""

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
    """The payload of a message; a value without an encoding is sent as its text."""
    return _encoder.encode(message)


def decode_call(data: bytes) -> RpcCall:
    """A call from its payload; raises ``msgspec.MsgspecError`` for garbage."""
    return read(_asked, data)


def in_pieces(call: RpcCall | RpcReply) -> list[bytes]:
    """The payload of a call, and the large data of a batch of writes as an attachment, which is not copied."""
    if isinstance(call, RpcCall) and isinstance(call.question, WriteBatch) and len(call.question.data) > LARGE_DATA:
        return [encode(replace(call, question=replace(call.question, data=b""))), call.question.data]
    return [encode(call)]


def decode_pieces(pieces: Sequence[bytes]) -> RpcCall:
    """A call from its payload and attachment; raises ``msgspec.MsgspecError`` for garbage."""
    call = decode_call(pieces[0])
    match call.question, pieces[1:]:
        case WriteBatch(data=b""), [data]:
            return replace(call, question=replace(call.question, data=data))
        case _, []:
            return call
        case _:
            raise msgspec.ValidationError("a call with attachments that it does not need")


def number_of(data: bytes) -> int | None:
    """The number of a call that cannot be read, so that its caller gets an error; ``None`` if it is unreadable too."""
    try:
        return read(_numbered, data).number
    except msgspec.MsgspecError:
        return None


def decode_reply(data: bytes) -> RpcReply:
    """A reply from its payload; raises ``msgspec.MsgspecError`` for garbage."""
    return read(_reply, data)


def decode_metrics(data: bytes) -> Metrics:
    """A node's metrics from their payload; raises ``msgspec.MsgspecError`` for garbage."""
    return read(_metrics, data)


def encode_value(value: Any) -> msgspec.Raw:
    """A part of a reply, encoded by itself; raises the error that prevents it."""
    return msgspec.Raw(_encoder.encode(value))


def refused(error: PyraftError) -> RpcError:
    """An error as an RPC message; a field without an encoding is sent as its text."""
    facts = {name: value if _travels(value) else shown(value) for name, value in vars(error).items()}
    return RpcError(type(error).__name__, facts or {"message": str(error)})


def _travels(value: Any) -> bool:
    try:
        _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def to_error(refusal: RpcError) -> PyraftError:
    """Rebuild the error that the other process raised.

    >>> to_error(refused(errors.NotLeader(3, node=1)))
    NotLeader('node 1 refuses: not the leader; ask node 3')
    """
    known = vars(errors).get(refusal.error)
    if not (isinstance(known, type) and issubclass(known, PyraftError)) or known is PyraftError:
        return PyraftError(_message(refusal))
    try:
        return known(**{name: value for name, value in refusal.facts.items() if name != "message"})
    except (TypeError, ValueError, AttributeError, LookupError):  # of another version, or forged
        return PyraftError(_message(refusal))


def _message(refusal: RpcError) -> str:
    return str(refusal.facts.get("message", f"{refusal.error}: {shown(dict(refusal.facts))}"))
