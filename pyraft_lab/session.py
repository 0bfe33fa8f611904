"""What a machine answers, and which answers are kept for each client: those it has not acknowledged yet (§6.3)."""

import re
from typing import Any

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder, Encoder

from pyraft_lab.arguments import LARGEST
from pyraft_lab.engine.types import Index
from pyraft_lab.errors import StorageFailed

MAX_ANSWERS = 1 << 18
"""Answers that one session may have waiting for its client's ``done``; it takes no new command beyond."""
ANSWER_BYTES = 64 << 20
"""Bytes of such answers, for one session; all sessions together keep four times as many."""


class Value(Struct, frozen=True, tag=True, gc=False):
    """The machine carried the command out and returned this."""

    value: Any = None


class Rejected(Struct, frozen=True, tag=True):
    """The machine could make nothing of the command, and has not changed."""

    why: str


class Expired(Struct, frozen=True, tag=True):
    """The session was forgotten by entry ``index``: whether its command happened before is not known any more."""

    index: Index


class Batched(Struct, frozen=True, tag=True):
    """What the machine returned for each command of a batch; ``rejected`` says which it refused, and why."""

    values: list[Any]
    rejected: dict[int, str] = {}


class OutOfOrder(Struct, frozen=True, tag=True):
    """The batch came ahead of the one before it and was not applied: send it again after that."""

    serial: int


Answer = Value | Rejected | Expired | Batched | OutOfOrder


class Session(Struct):
    """What is remembered of a client: when it was last used, and its answers to serials beyond ``done``."""

    used: Index
    done: int
    answers: dict[int, Answer]
    bytes: int = 0

    def acknowledge(self, done: int) -> None:
        """Let go of the answers the client has seen; that costs no more than there are, however far ``done`` jumps."""
        if done <= self.done:
            return
        seen = range(self.done + 1, done + 1)
        for serial in seen if len(seen) <= len(self.answers) else [one for one in self.answers if one <= done]:
            answer = self.answers.pop(serial, None)
            self.bytes -= 0 if answer is None else _size(answer)
        self.done = done

    def has_answered(self, serial: int) -> bool:
        """Whether this serial was applied, or its client has given it up."""
        return serial <= self.done or serial in self.answers

    def remember(self, serial: int, answer: Answer) -> None:
        """Keep the newest answer."""
        self.answers[serial] = answer
        self.bytes += _size(answer)

    @property
    def is_full(self) -> bool:
        """Whether it keeps as much as it may."""
        return len(self.answers) >= MAX_ANSWERS or self.bytes >= ANSWER_BYTES


_pack = Encoder().encode
_PLACE = re.compile(" object at 0x[0-9a-fA-F]+")
"""Where in memory a value without a ``repr`` of its own stands, which is another place on each node."""
_PLAIN = (bool, int, float, type(None))


def _size(answer: Answer) -> int:
    """About how many bytes an answer takes; the same on every node."""
    if type(answer) is Expired or (type(answer) is Value and type(answer.value) in _PLAIN):
        return 32
    try:
        return 32 + len(_pack(answer))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return 32  # it has no MessagePack form: the snapshot will say so


class MachineImage(Struct, frozen=True, array_like=True):
    """Sessions and their machine as the bytes of a snapshot have them."""

    sessions: tuple[tuple[int, tuple[Index, int, dict[int, Answer]]], ...]
    machine: bytes
    forgotten: Index = 0


_read = Decoder(MachineImage).decode


def read_image(data: bytes) -> tuple[MachineImage, dict[int, Session]]:
    """What a snapshot holds, and its sessions; ``StorageFailed`` where it cannot be one."""
    try:
        image = _read(data)
    except (MsgspecError, ValueError, OverflowError, RecursionError) as wrong:
        raise unreadable_snapshot(wrong) from None
    return image, _restored(image)


def _restored(image: MachineImage) -> dict[int, Session]:
    """The sessions of a snapshot, in order of their last use."""
    sessions: dict[int, Session] = {}
    last = 0
    for client, (used, done, answers) in image.sessions:
        if not (last <= used <= LARGEST and 0 <= done <= LARGEST and client not in sessions):
            raise unreadable_snapshot(f"session {client} has done={done} and was used last at {used}, after {last}")
        if not all(done < serial <= LARGEST for serial in answers):
            raise unreadable_snapshot(f"session {client} has an answer to a serial outside of {done + 1} to {LARGEST}")
        sessions[client] = Session(used, done, answers, sum(map(_size, answers.values())))
        last = used
    if not 0 <= image.forgotten <= LARGEST:
        raise unreadable_snapshot(f"sessions are forgotten up to {image.forgotten}")
    return sessions


def unreadable_snapshot(why: object) -> StorageFailed:
    """The error of bytes that are no snapshot of this machine."""
    return StorageFailed(f"a snapshot cannot be restored, it is damaged or of another machine: {why}")


def shown(value: Any) -> str:
    """A value as an answer names it: short, and alike on every Python, whose ``repr`` follows its Unicode tables."""
    words = _PLACE.sub("", ascii(value[:101] if isinstance(value, (str, bytes)) else value))
    return words if len(words) <= 100 else f"{words[:100]}..."
