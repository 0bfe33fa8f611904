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
  whatever the other can.  So only the frugal configurations are remembered, and a wasteful one is not entered; an
  unanswered operation that would change nothing thus never happens.
* A look (an operation that never changes anything) whose answer fits now may as well happen now: whatever order worked
  with it later works with it here.  No other continuation needs trying.
* Of two operations with the same input and output that may come next, the one that returns first goes first: in an
  order that has them the other way round they can change places.  An unanswered operation waits for a returned one
  with the same input, and for an unanswered one that was called earlier, for the same reason.

And what makes it find an order soon, if there is one: the walk goes on from the configuration that has placed most, and
places what returns first; but each unanswered operation that it has used is a guess, and a guess costs as much as many
placed operations gain.  So what can be explained without guessing is, and rarely is a frugal configuration met late.

Sources: Wing and Gong, *Testing and verifying concurrent objects*, 1993; Lowe, *Testing for linearizability*, 2017.
"""

from collections.abc import Container, Hashable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf
from operator import attrgetter
from sys import getsizeof
from typing import NamedTuple, TypeAlias

from pyraft_lab.check.linearize.sequential_specs import ANY, Input, Output, SequentialSpec, State
from pyraft_lab.history import Operation

ENTRY_BYTES = 350  # a remembered configuration without its state: measured, rounded up
NODE_BYTES = 900  # a visit that waits, with its moves
GUESS = 20  # placed operations that a configuration must be ahead of another to be worth one guess more


class Configuration(NamedTuple):
    """Which operations have taken effect, and the state they left."""

    first: int  # returned operations before this one: all
    ahead: int  # returned operation `first + i`: if bit i is set
    used: int  # unanswered operation i: if bit i is set
    state: State


class SearchNode(NamedTuple):
    """A configuration on the walk, and how it was reached."""

    configuration: Configuration
    position: int  # how many returned operations have taken effect
    operation: Operation | None = None
    before: "SearchNode | None" = None

    def path(self) -> tuple[Operation, ...]:
        """The operations that led here."""
        operations, node = [], self
        while node.operation and node.before:
            operations.append(node.operation)
            node = node.before
        return tuple(reversed(operations))


Moves: TypeAlias = Iterator[SearchNode | None]  # where to go next; None where only guesses are left


class Search:
    """The walk over one object's configurations, a slice at a time, so that many objects can take turns."""

    def __init__(self, operations: Sequence[Operation], model: SequentialSpec, *, key: Hashable = None) -> None:
        self.key = key
        self.model = model
        self.ok: bool | None = None
        self.steps = 0  # of the model
        self.returned = sorted((o for o in operations if o.returned is not None), key=attrgetter("call"))
        self.unanswered = sorted((o for o in operations if _may_matter(o, model)), key=attrgetter("call"))
        self._calls = [o.call for o in self.returned]
        self._returns = [inf if o.returned is None else o.returned for o in self.returned]
        self._looks = [model.is_read(o.input, o.output) for o in self.returned]
        self._twins = _twins(self.unanswered)
        self._state_bytes = 0
        self._tried: dict[tuple[int, int, State], tuple[int, ...]] = {}
        self._waiting: list[tuple[int, int, SearchNode, Moves]] = []  # a heap by cost, of equal ones the latest first
        self._turns = count(0, -1)
        self.deepest = SearchNode(Configuration(0, 0, 0, model.initial()), 0)  # where most operations were placed
        self._walk: Iterator[None] = self._nodes()

    @property
    def bytes(self) -> int:
        """How much memory the search takes now, roughly."""
        return len(self._tried) * ENTRY_BYTES + len(self._waiting) * NODE_BYTES + self._state_bytes

    def advance(self, steps: int) -> None:
        """Go on for about so many steps of the model; ``ok`` tells whether that was enough."""
        limit = self.steps + steps
        for _ in self._walk:
            if self.steps >= limit:
                return

    def stop(self) -> None:
        """Stop, and keep nothing but the result."""
        self._walk = iter(())
        self._waiting.clear()
        self._tried.clear()
        self._state_bytes = 0

    def _nodes(self) -> Iterator[None]:
        """One move a turn, until all returned operations are placed or nothing is left to try."""
        node, moves = self.deepest, self._moves(self.deepest)
        while node.configuration.first < len(self.returned):
            there = self._next_node(node, moves)
            if there:
                node, moves = there, self._moves(there)
            elif self._waiting:
                _, _, node, moves = heappop(self._waiting)
            else:
                self.ok = False
                return
            yield
        self.ok, self.deepest = True, node

    def _next_node(self, node: SearchNode, moves: Moves) -> SearchNode | None:
        """Where a move leads from here; the visit itself waits, for its other moves may be needed."""
        for there in moves:
            if there is None:
                self._wait(node, moves, GUESS)
                return None
            if self._is_new(there.configuration):
                self._wait(node, moves, 0)
                if there.position > self.deepest.position:
                    self.deepest = there
                return there
        return None

    def _wait(self, node: SearchNode, moves: Moves, extra: int) -> None:
        cost = GUESS * node.configuration.used.bit_count() - node.position + extra
        heappush(self._waiting, (cost, next(self._turns), node, moves))

    def _moves(self, node: SearchNode) -> Moves:
        """What may happen next; the module's docstring says what is left out, and why it may be."""
        candidates = self.candidates(node.configuration)
        for i in candidates:
            if self._looks[i] and self._ask(self.returned[i], node.configuration.state)[0]:
                return iter((self._place(i, node, node.configuration.state),))
        return self._alternatives(node, candidates)

    def candidates(self, here: Configuration) -> list[int]:
        """The returned operations that may come next, most urgent first: no other one returned before their call."""
        free, i, deadline = ~here.ahead, here.first, inf
        found: list[int] = []
        while True:
            run = (free & -free).bit_length() - 1  # so many operations have been placed already
            free, i = free >> run + 1, i + run
            if i >= len(self._calls) or self._calls[i] > deadline:
                return sorted(found, key=self._returns.__getitem__) if len(found) > 1 else found
            found.append(i)
            deadline = min(deadline, self._returns[i])
            i += 1

    def _alternatives(self, node: SearchNode, candidates: Sequence[int]) -> Moves:
        placed: dict[Input, Output] = {}
        for i in candidates:
            operation = self.returned[i]
            is_twin = operation.input in placed and placed[operation.input] == operation.output
            if is_twin or self._looks[i]:
                continue
            fits, state = self._ask(operation, node.configuration.state)
            if fits:
                placed[operation.input] = operation.output
                yield self._place(i, node, state)
        yield None
        yield from self._guesses(node, self._returns[candidates[0]], placed)

    def _guesses(self, node: SearchNode, deadline: float, placed: Container[Input]) -> Moves:
        """Operations without a return that may have happened, although nobody was told."""
        here = node.configuration
        for i, operation in enumerate(self.unanswered):
            if operation.call > deadline:
                return
            waits = here.used & self._twins[i] != self._twins[i] or operation.input in placed
            if waits or here.used >> i & 1:
                continue
            _, state = self._ask(operation, here.state)
            there = here._replace(used=here.used | 1 << i, state=state)
            yield SearchNode(there, node.position, operation, node)

    def _ask(self, operation: Operation, state: State) -> tuple[bool, State]:
        """Would the model have answered what the client heard, and what state would it leave?"""
        self.steps += 1
        after, answer = self.model.step(state, operation.input)
        return answer is ANY or answer == operation.output, after

    def _place(self, i: int, node: SearchNode, state: State) -> SearchNode:
        first, ahead, used, _ = node.configuration
        ahead |= 1 << i - first
        run = (ahead ^ ahead + 1).bit_length() - 1  # operations placed without a gap need no bit any more
        there = Configuration(first + run, ahead >> run, used, state)
        return SearchNode(there, node.position + 1, self.returned[i], node)

    def _is_new(self, here: Configuration) -> bool:
        """Enter a configuration unless a more frugal one with the same future was entered before; remember it."""
        first, ahead, used, state = here
        rivals = self._tried.get((first, ahead, state))
        if rivals is None:
            self._tried[first, ahead, state] = (used,)
            self._state_bytes += getsizeof(state)
            return True
        if any(rival & used == rival for rival in rivals):
            return False
        frugal = [rival for rival in rivals if rival & used != used]
        self._tried[first, ahead, state] = (*frugal, used)
        return True


def _may_matter(operation: Operation, model: SequentialSpec) -> bool:
    """An unanswered look constrains nothing."""
    return operation.returned is None and not model.is_read(operation.input, None)


def _twins(operations: Sequence[Operation]) -> list[int]:
    """For each operation the bit of the last one before it with the same input, or 0."""
    bits: dict[Input, int] = {}
    twins = []
    for i, operation in enumerate(operations):
        twins.append(bits.get(operation.input, 0))
        bits[operation.input] = 1 << i
    return twins
