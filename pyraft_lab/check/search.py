"""The search for an order: Wing and Gong's, with Lowe's memory and a few things that need no trying.

The operations of one object stand sorted by call.  A ``Configuration`` says which of them have taken effect and what
state they left; the search walks from configuration to configuration until all returned operations have taken effect.

    A ├───────────┤                    nothing placed: A and B may come next (both were called before the first
    B    ├─────┤                       return, B's).  C may not: B returned before C was called.
    C             ├──────┤             A placed: only B may come next, for B's return is the first of the rest.
    D     ├────────────── ?            D never returned: it may come next whenever it was called before the first
    ─────────▲──────────────▶          return, and it may as well never come.
         first return

What makes it fast, and why it is right:

* Lowe: the same operations placed, the same state: the future is the same.  A configuration is entered once.
* With the same returned operations placed and the same state, whoever has used fewer unanswered operations can do
  whatever the other can.  So only the frugal configurations are remembered, and a wasteful one is not entered.
* A look (an operation that never changes anything) whose answer fits now may as well happen now: whatever order worked
  with it later works with it here.  No other continuation needs trying.
* Of two operations with the same input and output that may come next, the one that returns first goes first: in an
  order that has them the other way round they can change places.  An unanswered operation waits for a returned one
  with the same input, and for an unanswered one that was called earlier, for the same reason.
* An unanswered operation that leaves the state as it is has no reason to happen.

Sources: Wing and Gong, *Testing and verifying concurrent objects*, 1993; Lowe, *Testing for linearizability*, 2017.
"""

from collections.abc import Hashable, Iterator, Sequence
from math import inf
from operator import attrgetter
from sys import getsizeof
from typing import NamedTuple

from pyraft_lab.check.models import ANY, Input, Model, Output, State
from pyraft_lab.history import Operation

ENTRY_BYTES = 350  # one remembered configuration, with its share of dictionary and walk: measured, rounded up
RIVAL_BYTES = 50  # one more rival beside it


class Configuration(NamedTuple):
    """Which operations have taken effect, and the state they left."""

    first: int  # returned operations before this one: all
    ahead: int  # returned operation `first + i`: if bit i is set
    used: int  # unanswered operation i: if bit i is set
    state: State

    @property
    def placed(self) -> int:
        """How many returned operations have taken effect."""
        return self.first + self.ahead.bit_count()


class Move(NamedTuple):
    """One operation takes effect, and where that leads."""

    operation: Operation
    there: Configuration


class Search:
    """The walk over one object's configurations, a slice at a time, so that many objects can take turns."""

    def __init__(self, operations: Sequence[Operation], model: Model, *, key: Hashable = None) -> None:
        self.key = key
        self.model = model
        self.ok: bool | None = None
        self.steps = 0  # of the model
        self.bytes = 0  # of memory, roughly
        self.returned = sorted((o for o in operations if o.returned is not None), key=attrgetter("call"))
        self.unanswered = sorted((o for o in operations if _may_matter(o, model)), key=attrgetter("call"))
        self.deepest = Configuration(0, 0, 0, model.initial())
        self.longest: tuple[Operation, ...] = ()  # the order that led to the deepest configuration
        self._calls = [o.call for o in self.returned]
        self._returns = [inf if o.returned is None else o.returned for o in self.returned]
        self._looks = [model.looks(o.input, o.output) for o in self.returned]
        self._twins = _twins(self.unanswered)
        self._tried: dict[tuple[int, int, State], tuple[int, ...]] = {}
        self._order: list[Operation] = []
        self._trail = [(self.deepest, self._moves(self.deepest))]
        self._walk = self._configurations()

    def advance(self, steps: int) -> None:
        """Go on for about so many steps of the model; ``ok`` tells whether that was enough."""
        limit = self.steps + steps
        for _ in self._walk:
            if self.steps >= limit:
                return

    def abandon(self) -> None:
        """Stop, and keep nothing but the result."""
        if self._trail:
            self._note(self._trail[-1][0])
        self._trail.clear()
        self._tried.clear()
        self.bytes = 0

    def _configurations(self) -> Iterator[None]:
        """Depth first, a turn at a time, until all returned operations are placed or nothing is left to try."""
        while self._trail:
            here, moves = self._trail[-1]
            if here.first == len(self.returned):
                self.ok = True
                return self._note(here)
            move = next(filter(self._is_new, moves), None)
            if move:
                self._order.append(move.operation)
                self._trail.append((move.there, self._moves(move.there)))
            else:
                self._note(here)
                self._trail.pop()
                del self._order[-1:]
            yield
        self.ok = False

    def _note(self, here: Configuration) -> None:
        if here.placed >= self.deepest.placed:
            self.deepest, self.longest = here, tuple(self._order)

    def _moves(self, here: Configuration) -> Iterator[Move]:
        """What may happen next; the reasons for leaving things out are in the module's docstring."""
        candidates = self.candidates(here)
        for i in candidates:
            if self._looks[i] and self._ask(self.returned[i], here.state)[0]:
                yield self._place(i, here, here.state)
                return
        placed: set[Input] = set()
        yield from self._writes(here, [i for i in candidates if not self._looks[i]], placed)
        yield from self._guesses(here, self._returns[candidates[0]], placed)

    def candidates(self, here: Configuration) -> list[int]:
        """The returned operations that may come next, most urgent first: no other one returned before their call."""
        free, i, deadline = ~here.ahead, here.first, inf
        found: list[int] = []
        while True:
            run = (free & -free).bit_length() - 1  # so many operations have been placed already
            free, i = free >> run + 1, i + run
            if i >= len(self._calls) or self._calls[i] > deadline:
                return sorted(found, key=self._returns.__getitem__)
            found.append(i)
            deadline = min(deadline, self._returns[i])
            i += 1

    def _writes(self, here: Configuration, candidates: Sequence[int], placed: set[Input]) -> Iterator[Move]:
        twins: set[tuple[Input, Output]] = set()
        for i in candidates:
            operation = self.returned[i]
            twin = (operation.input, operation.output)
            if twin in twins:
                continue
            twins.add(twin)
            fits, state = self._ask(operation, here.state)
            if fits:
                placed.add(operation.input)
                yield self._place(i, here, state)

    def _guesses(self, here: Configuration, deadline: float, placed: set[Input]) -> Iterator[Move]:
        """Operations without a return that may have happened, although nobody was told."""
        for i, operation in enumerate(self.unanswered):
            if operation.call > deadline:
                return
            waits = here.used & self._twins[i] != self._twins[i] or operation.input in placed
            if waits or here.used >> i & 1:
                continue
            _, state = self._ask(operation, here.state)
            if state != here.state:
                yield Move(operation, here._replace(used=here.used | 1 << i, state=state))

    def _ask(self, operation: Operation, state: State) -> tuple[bool, State]:
        """Would the model have answered what the client heard, and what state would it leave?"""
        self.steps += 1
        after, answer = self.model.step(state, operation.input)
        return answer is ANY or answer == operation.output, after

    def _place(self, i: int, here: Configuration, state: State) -> Move:
        ahead = here.ahead | 1 << i - here.first
        run = (ahead ^ ahead + 1).bit_length() - 1  # operations placed without a gap need no bit any more
        return Move(self.returned[i], Configuration(here.first + run, ahead >> run, here.used, state))

    def _is_new(self, move: Move) -> bool:
        """Enter a configuration unless a more frugal one with the same future was entered before; remember it."""
        first, ahead, used, state = move.there
        rivals = self._tried.get((first, ahead, state))
        if rivals is None:
            self._tried[first, ahead, state] = (used,)
            self.bytes += ENTRY_BYTES + getsizeof(state) + getsizeof(ahead)
            return True
        if any(rival & used == rival for rival in rivals):
            return False
        frugal = [rival for rival in rivals if rival & used != used]
        self._tried[first, ahead, state] = (*frugal, used)
        self.bytes += RIVAL_BYTES
        return True


def _may_matter(operation: Operation, model: Model) -> bool:
    """An unanswered look constrains nothing."""
    return operation.returned is None and not model.looks(operation.input, None)


def _twins(operations: Sequence[Operation]) -> list[int]:
    """For each operation the bit of the last one before it with the same input, or 0."""
    bits: dict[Input, int] = {}
    twins = []
    for i, operation in enumerate(operations):
        twins.append(bits.get(operation.input, 0))
        bits[operation.input] = 1 << i
    return twins
