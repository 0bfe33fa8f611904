"""Orders that only a live cluster takes: hold its messages, deliver them one by one, freeze its timers."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import MsgspecError, Struct, convert

from pyraft_lab.errors import PyraftError
from pyraft_lab.lab.actions import Delay, Drop, UserAction
from pyraft_lab.trace.record import MessageId


class Hold(Struct, frozen=True, tag="hold"):
    """Hold every message that is sent from now on."""


class ReleaseAll(Struct, frozen=True, tag="open"):
    """Release all held messages and stop holding."""


class Release(Struct, frozen=True, tag="release"):
    """Deliver one held message."""

    message: MessageId


class Freeze(Struct, frozen=True, tag="freeze"):
    """Freeze the timers: none fires."""


class Thaw(Struct, frozen=True, tag="thaw"):
    """Resume the timers."""


AtGate = Hold | ReleaseAll | Release | Drop | Delay
LiveAction = UserAction | Hold | ReleaseAll | Release | Freeze | Thaw


class Gate(Protocol):
    """The gate that holds messages: of a cluster in this process, or of all its processes."""

    @property
    def is_closed(self) -> bool:
        """Whether messages are held."""

    def close(self) -> None:
        """Hold messages."""

    def open(self) -> None:
        """Release all."""

    def release(self, *ids: MessageId) -> None:
        """Deliver these."""

    def drop(self, *ids: MessageId) -> None:
        """Drop these."""

    def delay(self, id: MessageId, seconds: float) -> None:
        """Deliver one after ``seconds``."""


def parse_live_action(said: Any) -> LiveAction:
    """The order in a message from the drawing; ``PyraftError`` if it is invalid.

    >>> parse_live_action({"type": "release", "message": 3})
    Release(message=3)
    """
    try:
        found: LiveAction = convert(said, LiveAction)
    except MsgspecError as error:
        raise PyraftError(f"invalid order {said}: {error}") from error
    return found


def tags(kinds: Sequence[type[Any]]) -> list[str]:
    """The names of these orders in the drawing."""
    return [str(kind.__struct_config__.tag) for kind in kinds]
