"""A gate in every process of a cluster, worked from one place over the broker: hold letters, let them pass, lose them.

::

    pyraft/<cluster>/gate           retained: "closed", or nothing
    pyraft/<cluster>/gate/letters   which letters pass, now or later, and which are lost

Nodes that obey decrees about the weather (:mod:`pyraft_lab.network.fault_control`) obey these, too.
"""

from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from pyraft_lab.network.codec import read
from pyraft_lab.network.gate import Gate, NotHeld

GATE, LETTERS = "gate", "gate/letters"
CLOSED = b"closed"

Publish = Callable[[str, bytes, bool], None]
"""Sends a payload to a topic below the cluster; the last argument says whether it is retained."""


class ReleaseMessages(Struct, frozen=True, tag=True):
    """Let these letters pass after so many seconds."""

    ids: tuple[int, ...]
    seconds: float = 0.0


class DropMessages(Struct, frozen=True, tag=True):
    """Lose these letters."""

    ids: tuple[int, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(ReleaseMessages | DropMessages)


class RemoteGate:
    """The gates of all nodes that obey, as one; works like :class:`~pyraft_lab.network.gate.Gate`, but holds nothing.

    What waits is known to the nodes alone; a trace of the cluster shows it as messages that left and did not arrive.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self.is_closed = False

    def close(self) -> None:
        """Hold letters from now on."""
        self.is_closed = True
        self._publish(GATE, CLOSED, True)  # noqa: FBT003 (positional, as the callable takes it)

    def open(self) -> None:
        """Hold no more, and let everything pass."""
        self.is_closed = False
        self._publish(GATE, b"", True)  # noqa: FBT003

    def release(self, *ids: int) -> None:
        """Let these letters pass, in this order."""
        self._order(ReleaseMessages(ids))

    def delay(self, id: int, seconds: float) -> None:
        """Let a letter pass after so many seconds."""
        self._order(ReleaseMessages((id,), seconds))

    def drop(self, *ids: int) -> None:
        """Lose these letters."""
        self._order(DropMessages(ids))

    def _order(self, order: ReleaseMessages | DropMessages) -> None:
        self._publish(LETTERS, _encode(order), False)  # noqa: FBT003


def carry_out(gate: Gate, topic: str, payload: bytes) -> None:
    """Obey what was published about gates; letters that another node holds, and garbage, are let be."""
    if topic == GATE and payload == CLOSED:
        gate.close()
    elif topic == GATE:
        gate.open()
    elif topic == LETTERS:
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
