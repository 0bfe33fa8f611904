"""The client's events, and the commands for its driver."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from pyraft_lab.client.batches import CallId, Part, RequestId
from pyraft_lab.client.requests import Operate, Request
from pyraft_lab.client.state import ClientCall, ClientState
from pyraft_lab.engine.types import NodeId


class AttemptTimer(Struct, frozen=True, tag=True):
    """The time of a request is over; the next attempt may take longer, since the cluster may be slow."""

    request: RequestId


class RetryTimer(Struct, frozen=True, tag=True):
    """The pause after a failed attempt is over."""


Timer = AttemptTimer | RetryTimer


class Submit(Struct, frozen=True, tag=True):
    """New calls of callers."""

    calls: Sequence[ClientCall]


class NodesKnown(Struct, frozen=True, tag=True):
    """The nodes that may be asked from now on."""

    nodes: tuple[NodeId, ...]


class Replied(Struct, frozen=True, tag=True):
    """A node replied to a request."""

    request: RequestId
    reply: Any


class Failed(Struct, frozen=True, tag=True):
    """A node refused a request, or could not be reached."""

    request: RequestId
    error: Exception


class TimerFired(Struct, frozen=True, tag=True):
    """One of the client's timers ran out: an attempt got no answer, or a wait before the next one is over."""

    timer: Timer


class GiveUp(Struct, frozen=True, tag=True):
    """These calls reached their deadline of ``seconds``, or their callers were cancelled."""

    calls: Sequence[CallId]
    seconds: float = 0.0


Event = Submit | NodesKnown | Replied | Failed | TimerFired | GiveUp


class Ask(Struct, frozen=True, tag=True):
    """Send a request to a node."""

    request: RequestId
    node: NodeId
    message: Request | Operate


class Forget(Struct, frozen=True, tag=True):
    """The reply to this request is no longer needed."""

    request: RequestId


class SetTimer(Struct, frozen=True, tag=True):
    """Start a timer; each ``level`` makes it longer, and ``at_least`` is its minimum in seconds."""

    timer: Timer
    level: int = 0
    at_least: float = 0.0


class CancelTimer(Struct, frozen=True, tag=True):
    """Stop a timer."""

    timer: Timer


class Deliver(Struct, frozen=True, tag=True):
    """Return results to callers: ``parts`` divide ``values`` in order; ``rejected`` are indexes into ``values``."""

    parts: Sequence[Part]
    values: Sequence[Any]
    rejected: Mapping[int, str] = {}

    def rejection(self, part: Part) -> str | None:
        """Why the machine rejected a command of this part; ``None`` if it rejected none."""
        if not self.rejected:
            return None
        places = range(part.place, part.place + part.count)
        return next((self.rejected[place] for place in places if place in self.rejected), None)


class Fail(Struct, frozen=True, tag=True):
    """End a call with an error."""

    call: CallId
    error: Exception


Command = Ask | Forget | SetTimer | CancelTimer | Deliver | Fail


class Step(Struct, frozen=True):
    """The result of an event: the next state, and the commands for the driver."""

    after: ClientState
    commands: tuple[Command, ...]
