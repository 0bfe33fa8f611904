"""The search for an order: Wing and Gong's, with Lowe's memory and rules for what need not be tried.

The operations of one object are sorted by call.  A ``Configuration`` says which of them have taken effect, and the
state they left; the search goes from configuration to configuration until all returned operations have taken effect.

    A ├───────────┤                    nothing placed: A and B may come next (both were called before the first
    B    ├─────┤                       return, B's).  C may not: B returned before C was called.
    C             ├──────┤             A placed: only B may come next, for B's return is the first of the rest.
    D     ├────────────── ?            D never returned: it may come next whenever it was called before the first
    ─────────▲──────────────▶          return, and it may as well never come.
         first return

What makes it fast, and why it is right:

* Lowe: the same operations placed, the same state: the future is the same.  A configuration is entered once.
* With the same returned operations placed and the same state, a configuration that has used fewer unanswered operations
  can do everything the other can.  So only the frugal configurations are remembered, and a wasteful one is not entered;
  an unanswered operation that would change nothing never happens.
* A read (an operation that never changes anything) whose answer fits now may happen now: every order that works with it
  later works with it here.  Nothing else needs to be tried from here.
* Answers that are still to come show that some configurations are hopeless, and that some differ by a state that no
  answer depends on (:mod:`~pyraft_lab.check.linearize.foresight`).
* Of two operations with the same input and output that may come next, the one that returns first goes first: in an
  order that has them the other way round they can change places.  An unanswered operation waits for a returned one
  with the same input, and for an unanswered one that was called earlier, for the same reason.

If there is an order, it is found soon: the search continues from the configuration that has placed most operations, and
places the operation that returns first.  Each unanswered operation that it has used is a guess, and a guess costs as
much as many placed operations gain.  So guesses are made only where nothing else explains the answers.

Sources: Wing and Gong, *Testing and verifying concurrent objects*, 1993; Lowe, *Testing for linearizability*, 2017.
"""

from collections.abc import Container, Hashable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from operator import attrgetter
from sys import getsizeof
from typing import NamedTuple, TypeAlias

from pyraft_lab.check.linearize.foresight import Foresight, Outlook
from pyraft_lab.check.linearize.sequential_specs import ANY, Input, Output, SequentialSpec, State
from pyraft_lab.errors import HistoryError
from pyraft_lab.history import Operation

ENTRY_BYTES = 350  # a remembered configuration without its state: measured, rounded up
NODE_BYTES = 900  # a visit that waits, with its moves
LOST = -1  # the number of every state that no answer depends on
LOOK_AHEAD_AFTER = 1.5  # steps an operation of a search that goes almost straight
GUESS = 20  # placed operations that a configuration must be ahead of another to be worth one guess more


class Configuration(NamedTuple):
    """Which operations have taken effect in a half-made order, and the state they left.

    All returned operations before number ``first`` have, and of those from there on number ``first + i`` if bit i of
    ``ahead`` is set; of the operations without an answer number i if bit i of ``used`` is set.
    """

    first: int
    ahead: int
    used: int
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

    def __init__(
        self,
        operations: Sequence[Operation],
        model: SequentialSpec,
        *,
        key: Hashable = None,
        look_ahead_after: float = LOOK_AHEAD_AFTER,
    ) -> None:
        self.key, self.model, self.look_ahead_after = key, model, look_ahead_after
        self.ok: bool | None = None
        self.steps = 0  # of the model
        self.returned = sorted((o for o in operations if o.returned is not None), key=attrgetter("call"))
        self.unanswered = sorted((o for o in operations if _may_matter(o, model)), key=attrgetter("call"))
        self._calls = [o.call for o in self.returned]
        self._returns = [inf if o.returned is None else o.returned for o in self.returned]
        self._reads = [model.is_read(o.input, o.output) for o in self.returned]
        self._twins = _twins(self.unanswered)
        self._foresight: Foresight | None = None
        self._state_bytes = 0
        self._numbers: dict[State, int] = {}
        self._tried: dict[tuple[int, int, int], tuple[int, ...]] = {}
        self._waiting: list[tuple[int, int, SearchNode, Moves]] = []  # a heap by cost, of equal ones the latest first
        self._hopeless: list[tuple[int, int, SearchNode]] = []  # put aside, in the same order
        self._turns = count(0, -1)
        self.deepest = SearchNode(Configuration(0, 0, 0, model.initial()), 0)  # where most operations were placed
        self._walk: Iterator[None] = self._nodes(self.deepest, self._moves(self.deepest))

    @property
    def bytes(self) -> int:
        """How much memory the search takes now, roughly."""
        return (
            len(self._tried) * ENTRY_BYTES + (len(self._waiting) + len(self._hopeless)) * NODE_BYTES + self._state_bytes
        )

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
        self._hopeless.clear()
        self._tried.clear()
        self._numbers.clear()
        self._state_bytes = 0

    def find_longest(self, steps: int) -> bool:
        """After a refusal, go on with what was put aside; whether ``deepest`` is certain to have placed most."""
        self._waiting += [(cost, turn, node, self._moves(node)) for cost, turn, node in self._hopeless]
        self._hopeless.clear()
        if self._waiting:
            heapify(self._waiting)
            _, _, node, moves = heappop(self._waiting)
            self._walk = self._nodes(node, moves)
            self.advance(steps)
        if self.ok:
            raise HistoryError(
                "the model's needs, leaves or may_become deny an order that its step allows; leave them out"
            )
        return not self._waiting

    def _nodes(self, node: SearchNode, moves: Moves) -> Iterator[None]:
        """One move a turn, until all returned operations are placed or nothing is left to try."""
        while node.configuration.first < len(self.returned):
            there = self._next_node(node, moves)
            if there:
                node, moves = there, self._moves(there)
            elif self._waiting:
                _, _, node, moves = heappop(self._waiting)
                self._look_ahead()
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
            outlook = self._outlook(there.configuration)
            if not self._is_new(there.configuration, is_lost=outlook is Outlook.LOST):
                continue
            if there.position > self.deepest.position:
                self.deepest = there
            if outlook is not Outlook.HOPELESS:
                self._wait(node, moves, 0)
                return there
            heappush(self._hopeless, (_cost(there), next(self._turns), there))
        return None

    def _outlook(self, here: Configuration) -> Outlook:
        """A refused search goes on with what was hopeless, so it does not ask."""
        return Outlook.OPEN if self._foresight is None or self.ok is False else self._foresight.outlook(*here)

    def _look_ahead(self) -> None:
        """A walk that takes more than its share of steps looks ahead from now on; most never do, and save the time."""
        if self._foresight is None and self.steps > self.look_ahead_after * len(self.returned):
            self._foresight = Foresight(self.returned, self.unanswered, self.model)

    def _wait(self, node: SearchNode, moves: Moves, extra: int) -> None:
        heappush(self._waiting, (_cost(node) + extra, next(self._turns), node, moves))

    def _moves(self, node: SearchNode) -> Moves:
        """What may happen next; the module's docstring says what is left out, and why it may be."""
        candidates = self.candidates(node.configuration)
        for i in candidates:
            if self._reads[i] and self._ask(self.returned[i], node.configuration.state)[0]:
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
            if is_twin or self._reads[i]:
                continue
            fits, state = self._ask(operation, node.configuration.state)
            if fits:
                placed[operation.input] = operation.output
                yield self._place(i, node, state)
        yield None
        yield from self._guesses(node, self._returns[candidates[0]], placed)

    def _guesses(self, node: SearchNode, deadline: float, placed: Container[Input]) -> Moves:
        """Operations without a return that may have taken effect."""
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
        """Whether the model gives the client's answer in this state, and the state after it."""
        self.steps += 1
        after, answer = self.model.step(state, operation.input)
        return answer is ANY or answer == operation.output, after

    def _place(self, i: int, node: SearchNode, state: State) -> SearchNode:
        first, ahead, used, _ = node.configuration
        ahead |= 1 << i - first
        run = (ahead ^ ahead + 1).bit_length() - 1  # operations placed without a gap need no bit any more
        there = Configuration(first + run, ahead >> run, used, state)
        return SearchNode(there, node.position + 1, self.returned[i], node)

    def _is_new(self, here: Configuration, *, is_lost: bool) -> bool:
        """Enter a configuration unless a more frugal one with the same future was entered before; remember it."""
        first, ahead, used, state = here
        key = first, ahead, LOST if is_lost else self._number(state)
        rivals = self._tried.get(key)
        if rivals is None:
            self._tried[key] = (used,)
            return True
        if any(rival & used == rival for rival in rivals):
            return False
        frugal = [rival for rival in rivals if rival & used != used]
        self._tried[key] = (*frugal, used)
        return True

    def _number(self, state: State) -> int:
        """The number of a state: a long one is kept once, however many configurations have it."""
        known = len(self._numbers)
        number = self._numbers.setdefault(state, known)
        if number == known:
            self._state_bytes += getsizeof(state)
        return number


def _cost(node: SearchNode) -> int:
    return GUESS * node.configuration.used.bit_count() - node.position


def _may_matter(operation: Operation, model: SequentialSpec) -> bool:
    """Whether an unanswered operation may change the state; an unanswered read explains nothing."""
    return operation.returned is None and not model.is_read(operation.input, None)


def _twins(operations: Sequence[Operation]) -> list[int]:
    """For each operation the bit of the last one before it with the same input, or 0."""
    bits: dict[Input, int] = {}
    twins = []
    for i, operation in enumerate(operations):
        twins.append(bits.get(operation.input, 0))
        bits[operation.input] = 1 << i
    return twins
