"""The gates of all nodes of a cluster, operated from one place over the broker: hold, release and drop messages.

::

    pyraft/<cluster>/gate           retained: "closed", or nothing
    pyraft/<cluster>/gate/orders   the messages to release, now or later, and those to drop

Nodes that accept fault control (:mod:`pyraft_lab.network.fault_control`) accept these commands, too.
"""

from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from pyraft_lab.network.codec import read
from pyraft_lab.network.gate import Gate, NotHeld

GATE, ORDERS = "gate", "gate/orders"
CLOSED = b"closed"

Publish = Callable[[str, bytes, bool], None]
"""Send a payload to a topic below the cluster; the last argument says whether it is retained."""


class ReleaseMessages(Struct, frozen=True, tag=True):
    """Release these messages after ``seconds``."""

    ids: tuple[int, ...]
    seconds: float = 0.0


class DropMessages(Struct, frozen=True, tag=True):
    """Drop these messages."""

    ids: tuple[int, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(ReleaseMessages | DropMessages)


class RemoteGate:
    """The gates of all nodes that accept fault control, with the methods of :class:`~pyraft_lab.network.gate.Gate`.

    It holds nothing itself, and only the nodes know the held messages; a trace of the cluster shows them as messages
    that were sent and did not arrive.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self.is_closed = False

    def close(self) -> None:
        """Hold messages from now on."""
        self.is_closed = True
        self._publish(GATE, CLOSED, True)  # noqa: FBT003 (positional, as the callable takes it)

    def open(self) -> None:
        """Hold no more messages, and deliver everything."""
        self.is_closed = False
        self._publish(GATE, b"", True)  # noqa: FBT003

    def release(self, *ids: int) -> None:
        """Deliver these messages, in this order."""
        self._order(ReleaseMessages(ids))

    def delay(self, id: int, seconds: float) -> None:
        """Deliver a message after ``seconds``."""
        self._order(ReleaseMessages((id,), seconds))

    def drop(self, *ids: int) -> None:
        """Drop these messages."""
        self._order(DropMessages(ids))

    def _order(self, order: ReleaseMessages | DropMessages) -> None:
        self._publish(ORDERS, _encode(order), False)  # noqa: FBT003


def carry_out(gate: Gate, topic: str, payload: bytes) -> None:
    """Apply a published gate command; messages held by other nodes, and garbage, are ignored."""
    if topic == GATE and payload == CLOSED:
        gate.close()
    elif topic == GATE:
        gate.open()
    elif topic == ORDERS:
        with suppress(msgspec.MsgspecError):
            _decide(gate, read(_decoder, payload))


def _decide(gate: Gate, order: ReleaseMessages | DropMessages) -> None:
    for id in order.ids:
        with suppress(NotHeld):
            match order:
                case ReleaseMessages(seconds=seconds):
                    gate.delay(id, seconds)
                case DropMessages():
                    gate.drop(id)
