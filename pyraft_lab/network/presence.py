"""Who speaks as a node: of two processes under one id the first one stays, as long as it answers.

A process claims its id on a retained topic that every claimant reads too, and the broker puts all claims in one order.

    nobody there            my claim comes back: I am in
    an old claim is there   its process answers mine: I am out; it does not within a moment: it is dead, and I am in
    a claim after mine      I answer, and the other is out
"""

from enum import Enum, auto

import msgspec
from msgspec import Struct

from pyraft_lab.network.codec import read


class Claim(Struct, frozen=True, array_like=True):
    """``process`` speaks as the node of this topic; an ``answer`` says so to somebody who claimed it later."""

    process: int
    is_answer: bool = False

    def encode(self) -> bytes:
        """As a retained message; an empty one means that nobody is there."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, payload: bytes) -> "Claim | None":
        """The claim on a topic, ``None`` for nobody; raises ``msgspec.MsgspecError`` for garbage."""
        return read(_claims, payload) if payload else None


_claims = msgspec.msgpack.Decoder(Claim)


class NextStep(Enum):
    """What a claimant has to do about what it heard."""

    NOTHING = auto()
    ANSWER = auto()
    ENTER = auto()
    WAIT = auto()
    LEAVE = auto()


class Presence:
    """One process's side of it, on one connection; fed with every message on the topic, in order."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._is_first = False
        self._has_rival = False

    def on_claim(self, claim: Claim | None, *, is_old: bool = False) -> NextStep:
        """What to do now that ``claim`` was heard; one that the broker kept ``is_old``, and its maker may be dead."""
        if claim is None:
            return self._cleared()
        if claim.process == self._process:
            return self._came_back()
        if claim.is_answer and not is_old:
            return NextStep.LEAVE
        if self._is_first:
            return NextStep.ANSWER
        self._has_rival = True
        return NextStep.NOTHING

    def _came_back(self) -> NextStep:
        if self._is_first:
            return NextStep.NOTHING
        self._is_first = True
        return NextStep.WAIT if self._has_rival else NextStep.ENTER

    def _cleared(self) -> NextStep:
        """A dead process's last will; it may also have wiped out a living one's claim."""
        self._has_rival = False
        return NextStep.ANSWER if self._is_first else NextStep.NOTHING
