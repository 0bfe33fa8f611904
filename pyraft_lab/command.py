"""A client's command as the bytes of a log entry: MessagePack, alone or sealed in the client's session.

Whatever can be encoded here can be decoded on every node and kept in every snapshot: no number beyond 64 bits, nothing
nested without end. Both would otherwise fail where nothing can be refused any more, when the entry is committed.

What other processes send as bytes goes through :func:`checked` before it is proposed. :func:`opened` reads whatever was
committed, and refuses the same bytes on every node: how deep they are nested is counted, not tried.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from msgspec import MsgspecError, Raw, Struct
from msgspec.msgpack import Decoder, Encoder

from pyraft_lab.arguments import LARGEST
from pyraft_lab.engine.types import Index
from pyraft_lab.errors import BadCommand, shown

SEALED = b"\xc1"
"""Starts a command that belongs to a session; the one byte with which no MessagePack value begins."""
BATCH = SEALED + SEALED
"""Starts several commands that share one session header."""
MAX_DEPTH = 100
"""Levels of lists and tables in one command: every node can read these, however deep its own stack is by then."""
MAX_BYTES = 64 << 20
"""The most bytes of one command: every disk and every network carries as many in one piece."""
TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
LEAST, GREATEST = -(2**63), 2**64 - 1
"""The whole numbers that MessagePack has."""

_pack = Encoder().encode
_unpack = Decoder().decode
_HEADS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""What lists and tables begin with."""
_NESTS = frozenset((dict, list))
_UNREADABLE = (MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


class Sealed(Struct, frozen=True, array_like=True):
    """A command in its session: ``serial`` names it for ever.

    ``done`` says that every serial up to it has been answered, so those answers may go. ``since`` is a log index
    the client knew when it opened the session: a copy that arrives after the session has expired is told by it.
    Only ``client`` may be negative, none is beyond ``arguments.LARGEST``, and ``done`` is below ``serial``.
    """

    client: int
    serial: int
    done: int
    since: Index
    command: Any


class Batch(Sealed, frozen=True, array_like=True):
    """Commands of a session under one serial: ``command`` is their list, and all are applied or none.

    It is applied after the serial before it and never ahead of that, so a client may have several on their way.
    """

    command: list[Any]


_decode_sealed = Decoder(Sealed).decode
_unseal_batch = Decoder(Batch).decode
_split_batch = Decoder(tuple[int, int, int, Index, list[Raw]]).decode


def encode(command: Any, *, client: int = 0, serial: int = 0, done: int = 0, since: Index = 0) -> bytes:
    """A command as the bytes of a log entry; with a ``serial`` it is applied once, however often it is sent.

    ``BadCommand`` where no node could read it.
    """
    try:
        data = SEALED + _pack(Sealed(client, serial, done, since, command)) if serial else _pack(command)
    except RecursionError:
        raise BadCommand(TOO_DEEP) from None
    except (MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise BadCommand(f"{shown(command)} has no MessagePack form: {error}") from error
    return checked(data)


def encode_all(commands: Sequence[Any]) -> list[bytes]:
    """Every command as :func:`encode` returns it, checked in one pass; ``BadCommand`` is that of the first bad one."""
    try:
        encoded = [*map(_pack, commands)]
        unseal(seal(encoded, client=0, serial=1, done=0, since=0))
    except _UNREADABLE:
        return [encode(command) for command in commands]
    return encoded


def seal(commands: Sequence[bytes], *, client: int, serial: int, done: int, since: Index) -> bytes:
    """Encoded commands of one session as the bytes of one log entry, under one ``serial``.

    A single command that waits for no earlier one has the form of :func:`encode`; all others make a :class:`Batch`.

    >>> seal([encode(1)], client=7, serial=2, done=1, since=0) == encode(1, client=7, serial=2, done=1)
    True
    """
    header = b"\x95" + _pack(client) + _pack(serial) + _pack(done) + _pack(since)
    if len(commands) == 1 and done == serial - 1:
        return SEALED + header + commands[0]
    return b"".join((BATCH, header, _list_head(len(commands)), *commands))


def _list_head(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2) if count < 1 << 16 else b"\xdd" + count.to_bytes(4)


def checked(data: bytes) -> bytes:
    """The bytes of a command from somebody else, before they are proposed; ``BadCommand`` says what is wrong."""
    if len(data) > MAX_BYTES:
        raise BadCommand(f"it has {len(data)} bytes, and {MAX_BYTES} are the most; split it")
    try:
        unseal(data)
    except ValueError as wrong:
        raise BadCommand(str(wrong)) from None
    return data


def check_batch(data: bytes, client: int, serial: int) -> None:
    """``BadCommand`` where ``data`` is not of this client's session under this serial, or no node could read it."""
    try:
        sealed = unseal(data)[1]
    except ValueError as wrong:
        raise BadCommand(str(wrong)) from None
    if sealed is None or (sealed.client, sealed.serial) != (client, serial):
        raise BadCommand(f"it is not number {serial} of the session of client {client}")


def encoded(command: Any) -> bytes:
    """A command as the log keeps it; bytes are one that is encoded already."""
    return checked(command) if isinstance(command, bytes) else encode(command)


def unseal(data: bytes) -> tuple[Any, Sealed | None]:
    """The command, and what seals it where it belongs to a session; ``ValueError`` where it is none."""
    if data.startswith(BATCH):
        batch = _opened_batch(data[2:])
        return batch.command, batch
    is_sealed = data.startswith(SEALED)
    body, levels = (data[1:], MAX_DEPTH + 1) if is_sealed else (data, MAX_DEPTH)
    if _may_nest(body, levels) and is_deeper(body, levels):
        raise ValueError(TOO_DEEP)
    try:
        found = _decode_sealed(body) if is_sealed else _unpack(body)
    except _UNREADABLE as wrong:
        raise ValueError(f"it cannot be read: {wrong}") from None
    if not is_sealed:
        return found, None
    _check_header(found)
    return found.command, found


def _opened_batch(body: bytes) -> Batch:
    try:
        batch = _unseal_batch(body)
    except _UNREADABLE as wrong:
        raise ValueError(TOO_DEEP if is_deeper(body, MAX_DEPTH + 2) else f"it cannot be read: {wrong}") from None
    _check_header(batch)
    if _may_nest_in(body, batch.command) and _is_deeper_in(body):
        raise ValueError(TOO_DEEP)
    return batch


def _may_nest_in(body: bytes, commands: Sequence[Any]) -> bool:
    """Each list or table among the commands takes one head; of those left over a deep command needs more than 100."""
    heads = len(body) - len(body.translate(None, _HEADS)) - 2
    return heads - sum(map(_NESTS.__contains__, map(type, commands))) >= MAX_DEPTH


def _is_deeper_in(body: bytes) -> bool:
    parts = [bytes(part) for part in _split_batch(body)[4]]
    return any(_may_nest(part, MAX_DEPTH) and is_deeper(part, MAX_DEPTH) for part in parts)


def _check_header(sealed: Sealed) -> None:
    """No number of a session may be one that somebody would have to count up to."""
    for field in ("client", "serial", "done", "since"):
        value = getattr(sealed, field)
        least = -LARGEST if field == "client" else 0
        if not least <= value <= LARGEST:
            raise ValueError(f"{field}={value} of its session is not a whole number from {least} to {LARGEST}")
    if sealed.done >= sealed.serial:
        raise ValueError(f"done={sealed.done} of its session is not below its own serial={sealed.serial}")


def _may_nest(data: bytes, levels: int) -> bool:
    """Asked of every command: where few bytes could begin a list or a table, nothing is deep, which is quick to see."""
    return len(data) - len(data.translate(None, _HEADS)) > levels


def is_deeper(data: bytes, levels: int) -> bool:
    """Whether lists and tables lie in each other more than so many levels deep, in MessagePack bytes.

    It needs no stack, so that a command is too deep on every node or on none; also where a table names a key twice and
    the first value is not kept.

    >>> is_deeper(encode({"x": [1]}), 1), is_deeper(encode({"x": [1]}), 2)
    (True, False)
    """
    left, place, end = [1], 0, len(data)
    while place < end:
        while not left[-1]:
            left.pop()
            if not left:
                return False
        left[-1] -= 1
        size = _SIZES[data[place]]
        if size > 0:
            place += size
            continue
        inner, place = _long(data, place)
        if inner is not None:
            if len(left) > levels:
                return True
            left.append(inner)
    return False


def _size(head: int) -> int:
    """Bytes of a value that begins with ``head``; 0 where that takes a look at the next bytes, or begins a nest."""
    match head:
        case _ if head <= 0x7F or head >= 0xE0 or 0xC0 <= head <= 0xC3:
            return 1
        case _ if 0xA0 <= head <= 0xBF:
            return 1 + head - 0xA0
        case _ if 0xD4 <= head <= 0xD8:
            return 2 + (1 << head - 0xD4)
        case _:
            return {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}.get(
                head, 0
            )


_NUMBERS = {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
_SIZES = tuple(map(_size, range(256)))
_WIDTHS = dict(zip((*range(0xC4, 0xCA), *range(0xD9, 0xE0)), (1, 2, 4, 1, 2, 4, 1, 2, 4, 2, 4, 2, 4), strict=True))
"""Bytes of the length behind the heads that have one: bin, ext, str, list, table."""


def _long(data: bytes, place: int) -> tuple[int | None, int]:
    """How many values a list or table holds (``None`` for all else), and where reading goes on."""
    head = data[place]
    if head < 0xA0:
        return (2 * (head - 0x80) if head < 0x90 else head - 0x90), place + 1
    start = place + 1 + _WIDTHS[head]
    length = int.from_bytes(data[place + 1 : start], "big")
    if head >= 0xDC:
        return (length if head < 0xDE else 2 * length), start
    return None, start + length + (0xC7 <= head <= 0xC9)


def is_portable_number(number: float) -> bool:
    """Whether a number can be written down and means the same on every machine: finite, whole ones up to 64 bits."""
    return LEAST <= number <= GREATEST if isinstance(number, int) else isfinite(number)
