"""What the answers still to come say of a configuration: it may be hopeless, or its state may not matter any more.

A read that answered v needs the state v before it returns. If the state is another one, some operation that is not
placed yet has to leave v, or something that grows into v; and it must have been called before the read returned::

    state "ab"     next read → "abc"    an append may still lead there
    state "ba"     next read → "abc"    only a put of "a", "ab", "abc" or "" that is not placed yet can help
    state 1        next read → 2        only a write of 2 that is not placed yet can help: without one it is hopeless

A state that only such a write can help is lost: nobody will read it, so all lost states are alike. Without this, every
order of the appends before a put would be another state, and would be tried.

The next read is the one that returns first of those not placed. What an operation ``needs`` and ``leaves`` is said by
the :class:`SequentialSpec`.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import accumulate
from math import inf

from msgspec import Struct

from pyraft_lab.check.linearize.sequential_specs import ANY, GROWS, UNKNOWN, SequentialSpec, State
from pyraft_lab.history import Operation


class Outlook(Enum):
    """What the answers still to come say of a half-made order."""

    OPEN = auto()
    """The next read may get its answer from this state, or nothing is known."""
    LOST = auto()
    """No answer depends on the state: another one will replace it before the next read."""
    HOPELESS = auto()
    """The next read can never get its answer."""


class Goal(Struct, frozen=True):
    """A returned operation by its place among the returned ones, the state it needs, and its return."""

    place: int
    state: State
    returned: float


class Foresight:
    """What the operations of one object need and leave; if the model does not tell, every outlook is open.

    ``returned`` and ``unanswered`` are sorted by call, as the search has them.
    """

    def __init__(self, returned: Sequence[Operation], unanswered: Sequence[Operation], model: SequentialSpec) -> None:
        self._model = model
        self._calls = [operation.call for operation in returned]
        self._guess_calls = [operation.call for operation in unanswered]
        self._writers: dict[State, list[int]] = defaultdict(list)
        self._guesses: dict[State, list[int]] = defaultdict(list)
        self._bases: dict[State, tuple[State, ...]] = {}
        self._is_growing = False
        self._is_known = self._note(returned, self._writers) and self._note(unanswered, self._guesses)
        self._needs = [model.needs(one.input, one.output) for one in returned]
        self._may_lose = all(model.needs(one.input, None) is ANY for one in unanswered)
        self._goals = self._find_goals(returned)
        self._earliest = _earliest(self._goals, len(returned))

    def _note(self, operations: Sequence[Operation], writers: dict[State, list[int]]) -> bool:
        """Note who leaves which state; false if there is an operation of which nothing is known."""
        for place, operation in enumerate(operations):
            output = None if operation.returned is None else operation.output
            if self._model.is_read(operation.input, output):
                continue
            left = self._model.leaves(operation.input, output)
            if left is UNKNOWN:
                return False
            if left is GROWS:
                self._is_growing = True
            else:
                writers[left].append(place)
        return True

    def _find_goals(self, returned: Sequence[Operation]) -> tuple[Goal, ...]:
        goals = (
            Goal(place, need, inf if one.returned is None else one.returned)
            for place, (one, need) in enumerate(zip(returned, self._needs, strict=True))
            if need is not ANY and need is not UNKNOWN
        )
        return tuple(sorted(goals, key=lambda goal: goal.returned))

    def outlook(self, first: int, ahead: int, used: int, state: State) -> Outlook:
        """Whether the next read can still get its answer; the arguments are the fields of ``search.Configuration``."""
        if not self._is_known:
            return Outlook.OPEN
        goal = self._next_goal(first, ahead)
        if goal is not None:
            if self._leads_to(state, goal.state):
                return Outlook.OPEN
            if not any(self._is_left(base, goal, first, ahead, used) for base in self._bases_of(goal.state)):
                return Outlook.HOPELESS
        return Outlook.LOST if self._is_lost(first, ahead, state, goal) else Outlook.OPEN

    def _next_goal(self, first: int, ahead: int) -> Goal | None:
        """The goal that returns first of those not placed."""
        for number in range(self._earliest[first], len(self._goals)):
            goal = self._goals[number]
            place = goal.place - first
            if place >= 0 and not ahead >> place & 1:
                return goal
        return None

    def _leads_to(self, state: State, goal: State) -> bool:
        """Whether ``goal`` is this state or grows out of it; ``ANY`` is no state."""
        return bool(state == goal) or (self._is_growing and self._model.may_become(state, goal))

    def _bases_of(self, goal: State) -> tuple[State, ...]:
        """The goal, and the states that some operation leaves and that may grow into it."""
        if not self._is_growing:
            return (goal,)
        if goal not in self._bases:
            left = {**self._writers, **self._guesses}
            grown = (state for state in left if state != goal and self._model.may_become(state, goal))
            self._bases[goal] = (goal, *grown)
        return self._bases[goal]

    def _is_left(self, state: State, goal: Goal, first: int, ahead: int, used: int) -> bool:
        """Whether an operation that leaves ``state`` is not placed yet, and was called before the goal returned."""
        writers = self._writers.get(state, ())
        for number in range(bisect_left(writers, first), len(writers)):
            place = writers[number]
            if self._calls[place] > goal.returned:
                break
            if not ahead >> place - first & 1:
                return True
        guesses = self._guesses.get(state, ())
        return any(not used >> one & 1 and self._guess_calls[one] <= goal.returned for one in guesses)

    def _is_lost(self, first: int, ahead: int, state: State, goal: Goal | None) -> bool:
        """Whether no operation that may come before the next goal asks what the state is."""
        limit = inf if goal is None else goal.returned
        needs = (self._needs[place] for place in self._unplaced(first, ahead, limit))
        return self._may_lose and not any(need is UNKNOWN or self._leads_to(state, need) for need in needs)

    def _unplaced(self, first: int, ahead: int, limit: float) -> Iterator[int]:
        for place in range(first, len(self._calls)):
            if self._calls[place] > limit:
                return
            if not ahead >> place - first & 1:
                yield place


def _earliest(goals: Sequence[Goal], count: int) -> Sequence[int]:
    """For each number of operations placed without a gap, the first goal that may be among the rest."""
    earliest = [len(goals)] * (count + 1)
    for number, goal in enumerate(goals):
        earliest[goal.place] = number
    return tuple(reversed(tuple(accumulate(reversed(earliest), min))))
