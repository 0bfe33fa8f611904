"""A gate in a live network: it holds messages until you release, delay or drop them.

    gate.close()                     hold messages from now on (all, or those a predicate selects)
    for held in gate.held: print(held)
    gate.release(held.id)            deliver one; any order works, so this is how to reorder messages
    gate.drop(held.id)               or lose it
    gate.delay(held.id, 0.2)         or deliver it later
    gate.open()                      deliver everything in order, and hold no more

All methods work from any thread.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable

from pyraft_lab.concurrency import has_threads, wait_here
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError, Timeout
from pyraft_lab.network.codec import Envelope


class Held:
    """A message held at the gate."""

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
        """The message's id, as in the trace."""
        return self.envelope.id

    @property
    def kind(self) -> str:
        """The message's class: ``"VoteRequest"``, ``"AppendRequest"`` and so on."""
        return type(self.envelope.message).__name__

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id} from {self.src} to {self.dst}>"


class NotHeld(PyraftError, LookupError):
    """The gate holds no message with this id."""

    def __init__(self, id: int, known: Iterable[int]) -> None:
        self.id, self.known = id, tuple(known)
        super().__init__(f"message {id} is not held; the gate holds {', '.join(map(str, self.known)) or 'none'}")


Predicate = Callable[[Held], bool]


class Gate:
    """Hold messages while the gate is closed; it is open at the start."""

    def __init__(self) -> None:
        self._waiting: dict[int, Held] = {}
        self._predicates: Predicate | None = None
        self._changed = threading.Condition()

    @property
    def is_closed(self) -> bool:
        """Whether the gate holds new messages."""
        return self._predicates is not None

    @property
    def held(self) -> tuple[Held, ...]:
        """The held messages, in the order of sending."""
        with self._changed:
            return tuple(self._waiting.values())

    def close(self, predicate: Predicate = lambda _: True) -> None:
        """Hold messages from now on: all, or those for which ``predicate`` is true."""
        self._predicates = predicate

    def open(self) -> None:
        """Open the gate: deliver all held messages in the order of sending, and hold no more."""
        self._predicates = None
        for held in self._take_all():
            held.release(held, 0.0)

    def close_for_good(self) -> None:
        """Open the gate and drop the held messages; for a network that ends."""
        self._predicates = None
        self._take_all()

    def release(self, *ids: int) -> None:
        """Deliver these messages, in this order; ``NotHeld`` if one is not held."""
        for id in ids:
            held = self._take(id)
            held.release(held, 0.0)

    def delay(self, id: int, seconds: float) -> None:
        """Deliver a message after ``seconds``; ``NotHeld`` if it is not held."""
        held = self._take(id)
        held.release(held, seconds)

    def drop(self, *ids: int) -> None:
        """Drop these messages; ``NotHeld`` if one is not held."""
        for id in ids:
            held = self._take(id)
            held.drop(held)

    def wait(self, predicate: Predicate = lambda _: True, *, timeout: float = 5.0) -> Held:
        """Block until the gate holds a message with ``predicate(message)``; the first one. ``timeout`` in seconds."""
        if not has_threads():
            return wait_here(self._arrival(predicate, timeout))
        with self._changed:
            if not self._changed.wait_for(lambda: any(map(predicate, self._waiting.values())), timeout):
                raise Timeout("a matching message at the gate", timeout)
            return next(filter(predicate, self._waiting.values()))

    async def _arrival(self, predicate: Predicate, timeout: float) -> Held:  # noqa: ASYNC109
        """The same without blocking the loop, which also runs the nodes."""
        try:
            async with asyncio.timeout(timeout):
                while (found := next(filter(predicate, self._waiting.values()), None)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                return found
        except TimeoutError:
            raise Timeout("a matching message at the gate", timeout) from None

    def holds(self, held: Held) -> bool:
        """Whether the gate keeps this message; an endpoint asks before it sends."""
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
