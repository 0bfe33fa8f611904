"""What happens to a client, and what it has its driver do."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from pyraft_lab.client.requests import Request
from pyraft_lab.client.state import CallId, ClientState, Part, Read, RequestId, Write
from pyraft_lab.engine.types import NodeId


class AttemptTimer(Struct, frozen=True, tag=True):
    """A request has had its time; the next attempt may take longer."""

    request: RequestId


class RetryTimer(Struct, frozen=True, tag=True):
    """The pause after a failed attempt is over."""


Timer = AttemptTimer | RetryTimer


class Submit(Struct, frozen=True, tag=True):
    """Callers want these."""

    calls: Sequence[Write | Read]


class NodesKnown(Struct, frozen=True, tag=True):
    """These nodes may be asked from now on."""

    nodes: tuple[NodeId, ...]


class Replied(Struct, frozen=True, tag=True):
    """A node answered a request."""

    request: RequestId
    reply: Any


class Failed(Struct, frozen=True, tag=True):
    """A node refused a request, or could not be reached."""

    request: RequestId
    error: Exception


class TimerFired(Struct, frozen=True, tag=True):
    """A timer ran out."""

    timer: Timer


class GiveUp(Struct, frozen=True, tag=True):
    """These calls have had ``seconds``, or their callers have gone."""

    calls: Sequence[CallId]
    seconds: float = 0.0


Event = Submit | NodesKnown | Replied | Failed | TimerFired | GiveUp


class Ask(Struct, frozen=True, tag=True):
    """Carry a request to a node."""

    request: RequestId
    node: NodeId
    message: Request


class Forget(Struct, frozen=True, tag=True):
    """The answer to this request is of no use any more."""

    request: RequestId


class SetTimer(Struct, frozen=True, tag=True):
    """Start a timer; it is longer with each ``level``, and lasts at least so many seconds."""

    timer: Timer
    level: int = 0
    at_least: float = 0.0


class CancelTimer(Struct, frozen=True, tag=True):
    """Stop a timer."""

    timer: Timer


class Deliver(Struct, frozen=True, tag=True):
    """Hand results to callers: ``parts`` share out ``values`` in order; ``rejected`` are places among the values."""

    parts: Sequence[Part]
    values: Sequence[Any]
    rejected: Mapping[int, str] = {}


class Fail(Struct, frozen=True, tag=True):
    """End a call with an error."""

    call: CallId
    error: Exception


Command = Ask | Forget | SetTimer | CancelTimer | Deliver | Fail


class Step(Struct, frozen=True):
    """What came of an event."""

    after: ClientState
    commands: tuple[Command, ...]
