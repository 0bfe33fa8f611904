"""A gate across a live network: letters wait before it until somebody looks at them and decides.

    gate.close()                     from now on letters are held (all, or those a predicate picks)
    for held in gate.held: print(held)
    gate.release(held.id)            let one pass; out of turn if you like, which is how letters are reordered
    gate.drop(held.id)               or lose it
    gate.delay(held.id, 0.2)         or let it pass later
    gate.open()                      let everything pass, in order, and hold no more

Works from any thread.
"""

import threading
from collections.abc import Callable, Iterable

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError, Timeout
from pyraft_lab.network.codec import Envelope


class Held:
    """A letter before the gate."""

    def __init__(
        self,
        src: NodeId,
        dst: NodeId,
        envelope: Envelope,
        *,
        release: Callable[["Held", float], None],
        drop: Callable[["Held"], None],
    ) -> None:
        self.src, self.dst, self.envelope = src, dst, envelope
        self.release, self.drop = release, drop

    @property
    def id(self) -> int:
        """The letter's id, as in the trace."""
        return self.envelope.id

    @property
    def kind(self) -> str:
        """The message's class: ``"VoteRequest"``, ``"AppendRequest"`` and so on."""
        return type(self.envelope.message).__name__

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id} from {self.src} to {self.dst}>"


class NotHeld(PyraftError, LookupError):
    """No letter of this id waits before the gate."""

    def __init__(self, id: int, known: Iterable[int]) -> None:
        self.id, self.known = id, tuple(known)
        super().__init__(f"letter {id} is not held; waiting are {', '.join(map(str, self.known)) or 'none'}")


Predicate = Callable[[Held], bool]


class Gate:
    """Holds letters while it is closed; open from the start."""

    def __init__(self) -> None:
        self._waiting: dict[int, Held] = {}
        self._predicates: Predicate | None = None
        self._changed = threading.Condition()

    @property
    def is_closed(self) -> bool:
        """Whether letters are being held."""
        return self._predicates is not None

    @property
    def held(self) -> tuple[Held, ...]:
        """What waits, in the order of sending."""
        with self._changed:
            return tuple(self._waiting.values())

    def close(self, predicate: Predicate = lambda _: True) -> None:
        """Hold letters from now on: all, or those for which ``predicate`` is true."""
        self._predicates = predicate

    def open(self) -> None:
        """Hold no more, and let everything pass in the order of sending."""
        self._predicates = None
        for held in self._take_all():
            held.release(held, 0.0)

    def close_for_good(self) -> None:
        """Hold no more, and forget what waits; for a network that ends."""
        self._predicates = None
        self._take_all()

    def release(self, *ids: int) -> None:
        """Let these letters pass, in this order."""
        for id in ids:
            held = self._take(id)
            held.release(held, 0.0)

    def delay(self, id: int, seconds: float) -> None:
        """Let a letter pass after so many seconds."""
        held = self._take(id)
        held.release(held, seconds)

    def drop(self, *ids: int) -> None:
        """Lose these letters."""
        for id in ids:
            held = self._take(id)
            held.drop(held)

    def wait(self, predicate: Predicate = lambda _: True, *, timeout: float = 5.0) -> Held:
        """The first letter before the gate that ``predicate`` likes, as soon as there is one; blocks its thread."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(map(predicate, self._waiting.values())), timeout):
                raise Timeout("a letter of this kind before the gate", timeout)
            return next(filter(predicate, self._waiting.values()))

    def holds(self, held: Held) -> bool:
        """Whether the gate keeps this letter; what an endpoint asks before it sends."""
        predicate = self._predicates
        if predicate is None or not predicate(held):
            return False
        with self._changed:
            self._waiting[held.id] = held
            self._changed.notify_all()
        return True

    def _take(self, id: int) -> Held:
        with self._changed:
            if id not in self._waiting:
                raise NotHeld(id, self._waiting)
            return self._waiting.pop(id)

    def _take_all(self) -> list[Held]:
        with self._changed:
            everything = list(self._waiting.values())
            self._waiting.clear()
            return everything
