"""A client's command as the bytes of a log entry: MessagePack, alone or sealed in the client's session.

Whatever can be encoded here can be decoded on every node and kept in every snapshot: no number beyond 64 bits, nothing
nested without end. Both would otherwise fail where nothing can be refused any more, when the entry is committed.
"""

from collections.abc import Collection
from typing import Any

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder, Encoder

from pyraft_lab.engine.types import Index
from pyraft_lab.errors import BadCommand

SEALED = b"\xc1"
"""Starts a command that belongs to a session; the one byte with which no MessagePack value begins."""
DEEPEST = 100
"""Levels of lists and tables in one command: every node can read these, however deep its own stack is by then."""
TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
LEAST, GREATEST = -(2**63), 2**64 - 1
"""The whole numbers that MessagePack has."""

_pack = Encoder().encode
_unpack = Decoder().decode
_NESTING = frozenset({dict, list, tuple})
_HEADS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""What lists and tables begin with."""


class Sealed(Struct, frozen=True, array_like=True):
    """A command in its session: ``serial`` names it for ever.

    ``done`` says that every serial up to it has been answered, so those answers may go. ``since`` is a log index
    the client knew when it opened the session: a copy that arrives after the session has expired is told by it.
    """

    client: int
    serial: int
    done: int
    since: Index
    command: Any


_unseal = Decoder(Sealed).decode


def encode(command: Any, *, client: int = 0, serial: int = 0, done: int = 0, since: Index = 0) -> bytes:
    """A command as the bytes of a log entry; with a ``serial`` it is applied once, however often it is sent.

    ``BadCommand`` where no node could read it.
    """
    try:
        data = SEALED + _pack(Sealed(client, serial, done, since, command)) if serial else _pack(command)
    except RecursionError:
        raise BadCommand(TOO_DEEP) from None
    except (MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise BadCommand(f"{command!r} has no MessagePack form: {error}") from error
    if _is_too_deep(command, data):
        raise BadCommand(TOO_DEEP)
    return data


def opened(data: bytes) -> tuple[Any, Sealed | None]:
    """The command, and what seals it where it belongs to a session; ``ValueError`` where it is none."""
    try:
        sealed = _unseal(data[1:]) if data.startswith(SEALED) else None
        command = _unpack(data) if sealed is None else sealed.command
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except MsgspecError as wrong:  # not in every msgspec a ValueError
        raise ValueError(str(wrong)) from None
    if _is_too_deep(command, data):
        raise ValueError(TOO_DEEP)
    return command, sealed


def _is_too_deep(command: Any, data: bytes) -> bool:
    """Asked of every command: where few bytes could begin a list or a table, nothing is deep, which is quick to see."""
    return len(data) - len(data.translate(None, _HEADS)) > DEEPEST and is_deeper([command], DEEPEST + 1)


def is_deeper(value: Collection[Any], levels: int) -> bool:
    """Whether lists and tables lie in each other more than so many levels deep.

    >>> is_deeper({"x": [1]}, 1), is_deeper({"x": [1]}, 2)
    (True, False)
    """
    inner = (*value, *value.values()) if isinstance(value, dict) else value
    return any(type(one) in _NESTING and (levels <= 1 or is_deeper(one, levels - 1)) for one in inner)


def fits(number: float) -> bool:
    """Whether a number can be written down: whole ones up to 64 bits, and every other."""
    return isinstance(number, float) or LEAST <= number <= GREATEST
