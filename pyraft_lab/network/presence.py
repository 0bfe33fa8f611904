"""One process per node id: of two processes with the same id the first one stays, as long as it answers.

A process claims its id on a retained topic that every claimant reads, and the broker puts all claims in one order.

    no claim                my claim comes back: I have the id
    an old claim is there   its process answers mine: I end; no answer within a moment: it is dead, I have the id
    a claim after mine      I answer, and the other one ends
"""

from enum import Enum, auto

import msgspec
from msgspec import Struct

from pyraft_lab.network.codec import read


class Claim(Struct, frozen=True, array_like=True):
    """A claim of ``process`` to be this topic's node; an ``answer`` rejects a later claim."""

    process: int
    is_answer: bool = False

    def encode(self) -> bytes:
        """The retained payload; an empty payload means that there is no claim."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, payload: bytes) -> "Claim | None":
        """The claim in a payload, ``None`` if empty; raises ``msgspec.MsgspecError`` for garbage."""
        return read(_claims, payload) if payload else None


_claims = msgspec.msgpack.Decoder(Claim)


class NextStep(Enum):
    """What a claimant has to do next."""

    NOTHING = auto()
    ANSWER = auto()
    ENTER = auto()
    WAIT = auto()
    LEAVE = auto()


class Presence:
    """One process's claim of a node id, on one connection; it needs every message of the topic, in order."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._is_first = False
        self._has_rival = False

    def on_claim(self, claim: Claim | None, *, is_old: bool = False) -> NextStep:
        """The next step after ``claim``; ``is_old`` marks a retained claim, whose process may be dead."""
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
        """Handle a cleared topic: a dead process's last will, which may have cleared a living process's claim, too."""
        self._has_rival = False
        return NextStep.ANSWER if self._is_first else NextStep.NOTHING
