"""A client's command as the bytes of a log entry: MessagePack, alone or sealed in the client's session.

Every command that can be encoded can be decoded on every node and kept in every snapshot: it has no number beyond 64
bits and no unlimited nesting. Otherwise it would fail after the entry is committed, when it is too late to refuse it.

Bytes from other processes go through :func:`checked` before they are proposed. :func:`unseal` reads committed bytes and
refuses the same bytes on every node: it counts their nesting and does not depend on the stack.
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
"""The first byte of a command with a session; no MessagePack value begins with it."""
BATCH = SEALED + SEALED
"""The first bytes of several commands that share one session header."""
MAX_DEPTH = 100
"""The maximum nesting of lists and tables in a command; every node can read this, whatever its stack depth."""
MAX_BYTES = 64 << 20
"""The maximum size of a command in bytes; every disk and network carries this much in one piece."""
TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
MIN_NUMBER, MAX_NUMBER = -(2**63), 2**64 - 1
"""The range of MessagePack's whole numbers."""

LARGE = 64 << 10
"""Bytes above which a command is read without copying it first."""
LARGE_BATCH = 1 << 20
"""Bytes above which only the header of a batch is read before it is proposed."""
QUICK_SCAN = 512
"""Values of a large command that are looked at one after the other: most hold few, and long ones."""

_pack = Encoder().encode
_unpack = Decoder().decode
_HEADS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""The bytes with which lists and tables begin."""
_NESTS = frozenset((dict, list))
_UNREADABLE = (MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


class Sealed(Struct, frozen=True, array_like=True):
    """A command in its client's session; ``serial`` is its number there, and is never reused.

    The client has the answers to all serials up to ``done``, so they need not be kept. ``since`` is a log index
    the client knew when it opened the session; it identifies a copy that arrives after the session has expired.
    Only ``client`` may be negative, none is beyond ``arguments.LARGEST``, and ``done`` is below ``serial``.
    """

    client: int
    serial: int
    done: int
    since: Index
    command: Any


class SealedBatch(Sealed, frozen=True, array_like=True):
    """Several commands of a session under one serial: ``command`` is their list, and all are applied or none.

    A batch is applied only after the serial before it, so a client may have several on their way.
    """

    command: list[Any]


class _Unread(Sealed, frozen=True, array_like=True):
    """A session header whose commands stay bytes."""

    command: Raw


_decode_sealed = Decoder(Sealed).decode
_decode_unread = Decoder(_Unread).decode
_unseal_batch = Decoder(SealedBatch).decode


def encode(command: Any, *, client: int = 0, serial: int = 0, done: int = 0, since: Index = 0) -> bytes:
    """A command as the bytes of a log entry; with a ``serial`` it is applied once even if it is sent several times.

    Raises ``BadCommand`` if no node could read it.
    """
    try:
        data = SEALED + _pack(Sealed(client, serial, done, since, command)) if serial else _pack(command)
    except RecursionError:
        raise BadCommand(TOO_DEEP) from None
    except (MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise BadCommand(f"{shown(command)} has no MessagePack form: {error}") from error
    return checked(data)


def as_sent(value: Any) -> Any:
    """A copy of a command or query as nodes read it, with lists for tuples and sets; raises ``BadCommand``.

    >>> as_sent(("x", (1, 2)))
    ['x', [1, 2]]
    """
    return unseal(encode(value))[0]


def encode_all(commands: Sequence[Any]) -> list[bytes]:
    """:func:`encode` for every command, checked in one pass; raises ``BadCommand`` for the first bad one."""
    try:
        encoded = [*map(_pack, commands)]
        unseal(seal(encoded, client=0, serial=1, done=0, since=0))
    except _UNREADABLE:
        return [encode(command) for command in commands]
    return encoded


def seal(commands: Sequence[bytes], *, client: int, serial: int, done: int, since: Index) -> bytes:
    """Encoded commands of one session as the bytes of one log entry, under one ``serial``.

    A single command that waits for no earlier one has the form of :func:`encode`, any other list is a ``SealedBatch``.

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
    """Check a command's bytes from another process and return them; ``BadCommand`` says what is wrong."""
    if len(data) > MAX_BYTES:
        raise BadCommand(f"it has {len(data)} bytes, and {MAX_BYTES} are the most; split it")
    try:
        unseal(data)
    except ValueError as wrong:
        raise BadCommand(str(wrong)) from None
    return data


def check_batch(data: bytes, client: int, serial: int) -> None:
    """Raise ``BadCommand`` unless ``data`` is readable and of this client's session under this serial.

    A large one is not read to the end, which takes long: a text with wrong bytes is found when it is applied.
    """
    if len(data) > MAX_BYTES + LARGE:
        raise BadCommand(f"it has {len(data)} bytes, and {MAX_BYTES} are the most; split it")
    try:
        sealed = header(data) if len(data) > LARGE_BATCH else unseal(data)[1]
    except ValueError as wrong:
        raise BadCommand(str(wrong)) from None
    if sealed is None or (sealed.client, sealed.serial) != (client, serial):
        raise BadCommand(f"it is not number {serial} of the session of client {client}")


def header(data: bytes) -> Sealed | None:
    """The session header of an entry's bytes, its commands unread; raises ``ValueError`` like :func:`unseal`."""
    if not data.startswith(SEALED):
        return None
    skipped = len(BATCH) if data.startswith(BATCH) else len(SEALED)
    body = memoryview(data)[skipped:]
    try:
        sealed = _decode_unread(body)
    except _UNREADABLE as wrong:
        raise ValueError(f"it cannot be read: {wrong}") from None
    _check_header(sealed)
    if _is_too_deep(body, MAX_DEPTH + skipped):
        raise ValueError(TOO_DEEP)
    return sealed


def encoded(command: Any) -> bytes:
    """A command as the bytes of a log entry; bytes are already encoded and returned as they are."""
    return checked(command) if isinstance(command, bytes) else encode(command)


def unseal(data: bytes) -> tuple[Any, Sealed | None]:
    """The command in an entry's bytes, and its session header if it has one; raises ``ValueError`` for other bytes."""
    if data.startswith(SEALED):
        sealed = _opened_batch(_after(data, 2)) if data.startswith(BATCH) else _opened(_after(data, 1))
        return sealed.command, sealed
    # every node reads every command, and most are small: _may_nest is written out
    if (len(data) > LARGE or len(data) - len(data.translate(None, _HEADS)) > MAX_DEPTH) and _is_too_deep(
        data, MAX_DEPTH
    ):
        raise ValueError(TOO_DEEP)
    try:
        return _unpack(data), None
    except _UNREADABLE as wrong:
        raise ValueError(f"it cannot be read: {wrong}") from None


def _after(data: bytes, start: int) -> bytes | memoryview:
    """The bytes from ``start`` on; large ones are not copied."""
    return memoryview(data)[start:] if len(data) > LARGE else data[start:]


def _opened(body: bytes | memoryview) -> Sealed:
    if _is_too_deep(body, MAX_DEPTH + 1):
        raise ValueError(TOO_DEEP)
    try:
        sealed = _decode_sealed(body)
    except _UNREADABLE as wrong:
        raise ValueError(f"it cannot be read: {wrong}") from None
    _check_header(sealed)
    return sealed


def _opened_batch(body: bytes | memoryview) -> SealedBatch:
    try:
        batch = _unseal_batch(body)
    except _UNREADABLE as wrong:
        raise ValueError(TOO_DEEP if is_deeper(body, MAX_DEPTH + 2) else f"it cannot be read: {wrong}") from None
    _check_header(batch)
    if _has_deep(body, batch.command):
        raise ValueError(TOO_DEEP)
    return batch


def _has_deep(body: bytes | memoryview, commands: Sequence[Any]) -> bool:
    """Whether a command of a batch is too deep; it is two levels inside the batch."""
    if len(body) > LARGE * len(commands) and (deep := scanned(body, MAX_DEPTH + 2, most=QUICK_SCAN)) is not None:
        return deep
    return _may_nest_in(bytes(body), commands) and is_deeper(body, MAX_DEPTH + 2)


def _may_nest_in(body: bytes, commands: Sequence[Any]) -> bool:
    """Whether a command may be too deep: each needs one head, and a deep one needs more than 100 of the rest."""
    heads = len(body) - len(body.translate(None, _HEADS)) - 2
    return heads - sum(map(_NESTS.__contains__, map(type, commands))) >= MAX_DEPTH


def _check_header(sealed: Sealed) -> None:
    """Raise ``ValueError`` for session numbers out of range, which would cost too much to process."""
    for field in ("client", "serial", "done", "since"):
        value = getattr(sealed, field)
        least = -LARGEST if field == "client" else 0
        if not least <= value <= LARGEST:
            raise ValueError(f"{field}={value} of its session is not a whole number from {least} to {LARGEST}")
    if sealed.done >= sealed.serial:
        raise ValueError(f"done={sealed.done} of its session is not below its own serial={sealed.serial}")


def _is_too_deep(data: bytes | memoryview, levels: int) -> bool:
    """Whether a command is nested too deep, by the cheapest check that can tell."""
    if len(data) > LARGE and (deep := scanned(data, levels, most=QUICK_SCAN)) is not None:
        return deep
    return _may_nest(bytes(data), levels) and is_deeper(data, levels)


def _may_nest(data: bytes, levels: int) -> bool:
    """A quick check of every command: with few bytes that could begin a list or table, nothing is deep."""
    return len(data) - len(data.translate(None, _HEADS)) > levels


def is_deeper(data: bytes | memoryview, levels: int) -> bool:
    """Whether lists and tables in MessagePack bytes are nested deeper than ``levels``.

    It needs no stack, so a command is too deep on every node or on none. It also counts values that a table drops
    because it has their key twice.

    >>> is_deeper(encode({"x": [1]}), 1), is_deeper(encode({"x": [1]}), 2)
    (True, False)
    """
    return bool(scanned(data, levels, most=len(data)))


def scanned(data: bytes | memoryview, levels: int, *, most: int) -> bool | None:
    """:func:`is_deeper`, found by looking at ``most`` values; ``None`` if there are more.

    >>> long = encode(["x" * 100_000, 1])
    >>> scanned(long, 1, most=3), scanned(long, 0, most=3), scanned(long, 1, most=2)
    (False, True, None)
    """
    left, place, end = [1], 0, len(data)
    for _ in range(most):
        while left and not left[-1]:
            left.pop()
        if not left or place >= end:
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
    return False if place >= end else None


def shortened(data: bytes, *, longest: int = 1024) -> bytes:
    """A command that says how long the texts and bytes in ``data`` are, instead of those above ``longest`` bytes.

    Its session and the rest of its form stay; of a command with very many values only the first are looked at.

    >>> unseal(shortened(encode({"op": "put", "key": "x", "value": "v" * 5000}, client=7, serial=1)))[0]
    {'op': 'put', 'key': 'x', 'value': '5003 bytes'}
    """
    kept: list[bytes] = []
    begin = place = 0
    for _ in range(QUICK_SCAN):
        if place >= len(data):
            break
        size = _SIZES[data[place]]
        inner, end = (None, place + size) if size else _long(data, place)
        if inner is None and end - place > longest:
            kept += [data[begin:place], _pack(f"{end - place} bytes")]
            begin = end
        place = end
    return b"".join((*kept, data[begin:]))


def _size(head: int) -> int:
    """Bytes of a value that begins with ``head``; 0 if the size is in the next bytes, or a list or table begins."""
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
"""How many bytes of length follow a head that has a length: bin, ext, str, list, table."""


def _long(data: bytes | memoryview, place: int) -> tuple[int | None, int]:
    """How many values a list or table holds (``None`` for other values), and the place of the next value."""
    head = data[place]
    if head < 0xA0:
        return (2 * (head - 0x80) if head < 0x90 else head - 0x90), place + 1
    start = place + 1 + _WIDTHS[head]
    length = int.from_bytes(data[place + 1 : start], "big")
    if head >= 0xDC:
        return (length if head < 0xDE else 2 * length), start
    return None, start + length + (0xC7 <= head <= 0xC9)


def is_portable_number(number: float) -> bool:
    """Whether a number is the same on every machine: finite, and within 64 bits if it is whole."""
    return MIN_NUMBER <= number <= MAX_NUMBER if isinstance(number, int) else isfinite(number)
