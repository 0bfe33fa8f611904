"""A machine's answers, and each client's session, which keeps the answers it has not acknowledged (§6.3)."""

import re
from typing import Any

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder, Encoder

from pyraft_lab.arguments import LARGEST
from pyraft_lab.engine.types import Index
from pyraft_lab.errors import StorageFailed
from pyraft_lab.immutable_map import ImmutableMap

MAX_ANSWERS = 1 << 18
"""The maximum number of unacknowledged answers in one session; at this number it accepts no new command."""
ANSWER_BYTES = 64 << 20
"""The maximum bytes of such answers in one session; all sessions together keep four times as many."""


class Value(Struct, frozen=True, tag=True, gc=False):
    """The machine applied the command and returned ``value``."""

    value: Any = None


class Rejected(Struct, frozen=True, tag=True):
    """The machine did not accept the command and has not changed; ``why`` says what is wrong with it."""

    why: str


class Expired(Struct, frozen=True, tag=True):
    """The session had expired by entry ``index``: it is no longer known whether its command was applied before."""

    index: Index


class Batched(Struct, frozen=True, tag=True):
    """The machine's answers to the commands of a batch; ``rejected`` says which it refused, and why."""

    values: list[Any]
    rejected: dict[int, str] = {}


class OutOfOrder(Struct, frozen=True, tag=True):
    """The batch arrived before its predecessor and was not applied: send it again after that one."""

    serial: int


Answer = Value | Rejected | Expired | Batched | OutOfOrder


class Session(Struct, frozen=True):
    """A client's session: the index of its last use, and its answers to serials beyond ``done``; a value."""

    used: Index
    done: int = 0
    answers: ImmutableMap[int, Answer] = ImmutableMap()
    bytes: int = 0

    def acknowledge(self, done: int) -> "Session":
        """Without the answers up to ``done``; the cost depends on their number and not on how far ``done`` jumps."""
        if done <= self.done:
            return self
        seen = range(self.done + 1, done + 1)
        answers, size = self.answers, self.bytes
        for serial in seen if len(seen) <= len(answers) else [one for one in answers if one <= done]:
            answer = answers.get(serial)
            if answer is not None:
                answers, size = answers.without(serial), size - _size(answer)
        return Session(self.used, done, answers, size)

    def has_answered(self, serial: int) -> bool:
        """Whether this serial was applied, or its client no longer waits for it."""
        return serial <= self.done or serial in self.answers

    def remember(self, serial: int, answer: Answer) -> "Session":
        """With the answer to a serial, the newest one."""
        return Session(self.used, self.done, self.answers.put(serial, answer), self.bytes + _size(answer))

    @property
    def is_full(self) -> bool:
        """Whether the session is at its limit of answers or bytes."""
        return len(self.answers) >= MAX_ANSWERS or self.bytes >= ANSWER_BYTES


_pack = Encoder().encode
_PLACE = re.compile(" object at 0x[0-9a-fA-F]+")
"""The memory address in a default ``repr``; it differs between nodes."""
_PLAIN = (bool, int, float, type(None))


def _size(answer: Answer) -> int:
    """The approximate size of an answer in bytes; the same on every node."""
    if type(answer) is Expired or (type(answer) is Value and type(answer.value) in _PLAIN):
        return 32
    try:
        return 32 + len(_pack(answer))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return 32  # it has no MessagePack form: the snapshot will say so


class MachineImage(Struct, frozen=True, array_like=True):
    """The contents of a snapshot: the sessions and the machine's bytes."""

    sessions: tuple[tuple[int, tuple[Index, int, dict[int, Answer]]], ...]
    machine: bytes
    forgotten: Index = 0


_read = Decoder(MachineImage).decode


def read_image(data: bytes) -> tuple[MachineImage, dict[int, Session]]:
    """The contents of a snapshot and its sessions; raises ``StorageFailed`` for other bytes."""
    try:
        image = _read(data)
    except (MsgspecError, ValueError, OverflowError, RecursionError) as wrong:
        raise unreadable_snapshot(wrong) from None
    return image, _restored(image)


def _restored(image: MachineImage) -> dict[int, Session]:
    """The sessions of a snapshot, in order of their last use; raises ``StorageFailed`` for impossible numbers."""
    sessions: dict[int, Session] = {}
    last = 0
    for client, (used, done, answers) in image.sessions:
        if not (last <= used <= LARGEST and 0 <= done <= LARGEST and client not in sessions):
            raise unreadable_snapshot(f"session {client} has done={done} and was used last at {used}, after {last}")
        if not all(done < serial <= LARGEST for serial in answers):
            raise unreadable_snapshot(f"session {client} has an answer to a serial outside of {done + 1} to {LARGEST}")
        sessions[client] = Session(used, done, ImmutableMap.of(answers), sum(map(_size, answers.values())))
        last = used
    if not 0 <= image.forgotten <= LARGEST:
        raise unreadable_snapshot(f"sessions are forgotten up to {image.forgotten}")
    return sessions


def unreadable_snapshot(why: object) -> StorageFailed:
    """The error for bytes that are not a snapshot of this machine."""
    return StorageFailed(f"a snapshot cannot be restored, it is damaged or of another machine: {why}")


def shown(value: Any) -> str:
    """A value as text for an answer: short, and the same on every Python version (``repr`` varies with Unicode)."""
    words = _PLACE.sub("", ascii(value[:101] if isinstance(value, (str, bytes)) else value))
    return words if len(words) <= 100 else f"{words[:100]}..."
