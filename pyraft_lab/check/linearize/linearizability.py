"""Is a history linearizable?  Could one copy, acting at one instant inside each call, have given all these answers?

    history ──▶ one object for each key ──▶ one search for each object, taking turns ──▶ verdict

Independent objects are checked separately: a history is linearizable if each of its objects is (Herlihy and Wing,
1990). This divides both length and concurrency.  The searches take turns of a thousand steps, because one key may be
refuted in milliseconds while another alone would keep the machine busy for hours.  The question is NP-complete, so a
limit of time, steps or memory may end a search; the verdict is then "unknown".

>>> from pyraft_lab.history import History, Operation
>>> stale = History([
...     Operation(1, 0.0, 1.0, ("put", "x", 1)),
...     Operation(1, 2.0, 3.0, ("put", "x", 2)),
...     Operation(2, 4.0, 5.0, ("get", "x"), 1),
... ])
>>> verdict = check_linearizable(stale, model="kv")
>>> verdict.ok
False
>>> print(verdict.explain())
Not linearizable: key 'x'.
A longest order that explains its answers has 2 of them; it ends with:
  client 1's put 'x' 1, after which the state is 1
  client 1's put 'x' 2, after which the state is 2
Now client 2's get 'x' → 1, called at 4 and returned at 5, has no place: the state is 2, so the answer should be 2.
No other order places more operations.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from operator import itemgetter

from pyraft_lab.arguments import function, instance, integer, seconds
from pyraft_lab.check.linearize.search import Search
from pyraft_lab.check.linearize.sequential_specs import MODELS, SequentialSpec, State
from pyraft_lab.check.linearize.verdict import Blocked, Verdict
from pyraft_lab.errors import HistoryError, shown
from pyraft_lab.history import History, Operation

MEMORY = 400 * 2**20  # bytes of remembered configurations; with all the rest a check stays below 500 MB
LONGEST_STEPS = 10_000  # after a refusal, for the longest order: it explains the refusal, and decides nothing
STEPS_PER_TURN = 1000  # steps of the model before it is the next object's turn


def check_linearizable(
    history: History,
    model: str | SequentialSpec = "register",
    timeout: float | None = None,
    *,
    steps: int | None = None,
    memory: int | None = MEMORY,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Search for an order of the operations that explains every answer.

    ``model`` is ``"register"`` (also called ``"cas-register"``), ``"kv"`` (all commands of ``KeyValue``)
    or a :class:`SequentialSpec` of your own.  ``timeout`` is in seconds of the ``clock``, ``steps`` in questions to the
    model, ``memory`` in bytes.  A budget is kept to within one turn of one search.  Without a timeout the clock is not
    read, and the verdict depends on the arguments alone.
    """
    judge = _model(model)
    instance("history", history, History)
    if timeout is not None:
        seconds("timeout", timeout)
        function("clock", clock)
    for name, most in (("steps", steps), ("memory", memory)):
        if most is not None:
            integer(name, most)
    searches = [Search(operations, judge, key=key) for key, operations in _objects(history, judge).items()]
    contest = FairSearches(searches, steps=steps, memory=memory)
    reason = contest.run(lambda: False) if timeout is None else contest.run(_alarm(clock, timeout))
    return _verdict(history, searches, reason)


class FairSearches:
    """Searches that take turns, and what they may use together; None is no limit."""

    def __init__(self, searches: Sequence[Search], *, steps: int | None, memory: int | None) -> None:
        self._waiting = deque(searches)
        self._steps = inf if steps is None else steps
        self._memory = inf if memory is None else memory

    def run(self, is_late: Callable[[], bool]) -> str | None:
        """Advance all until one is refuted or none is left to wait; returns what ran out, if anything did."""
        reason = None
        while self._waiting:
            if self._steps <= 0:
                return "steps"
            if is_late():
                return "time"
            search = self._waiting.popleft()
            self._advance(search)
            if search.ok is False:
                return None
            if self._memory < 0 and self._waiting:
                reason = "memory"
                self._drop_largest()
        return reason

    def _advance(self, search: Search) -> None:
        steps, memory = search.steps, search.bytes
        search.advance(int(min(STEPS_PER_TURN, self._steps)))
        self._steps -= search.steps - steps
        self._memory -= search.bytes - memory
        if search.ok is None:
            self._waiting.append(search)
        elif search.ok:
            self._release(search)

    def _drop_largest(self) -> None:
        greediest = max(self._waiting, key=lambda search: search.bytes)
        self._waiting.remove(greediest)
        self._release(greediest)

    def _release(self, search: Search) -> None:
        self._memory += search.bytes
        search.stop()


def _model(model: str | SequentialSpec) -> SequentialSpec:
    match model:
        case SequentialSpec():
            return model
        case str() if model in MODELS:
            return MODELS[model]
        case _:
            names = ", ".join(map(repr, MODELS))
            raise HistoryError(f"there is no model {shown(model)}; take {names} or a SequentialSpec of your own")


def _objects(history: History, model: SequentialSpec) -> Mapping[Hashable, Sequence[Operation]]:
    """The operations of each object, objects and operations in the order of the history."""
    if model.partition is None:
        return {None: tuple(history)}
    objects: dict[Hashable, list[Operation]] = defaultdict(list)
    for operation in history:
        objects[model.partition(operation.input)].append(operation)
    return objects


def _alarm(clock: Callable[[], float], timeout: float) -> Callable[[], bool]:
    deadline = clock() + timeout
    return lambda: clock() >= deadline


def _verdict(history: History, searches: Sequence[Search], reason: str | None) -> Verdict:
    keys, steps = len(searches), sum(search.steps for search in searches)
    for search in searches:
        if search.ok is False:
            verdict = _refusal(history, search, keys, steps)
            search.stop()
            return verdict
    undecided = [search for search in searches if search.ok is None]
    if undecided:
        longest = max((search.deepest.path() for search in undecided), key=len)
        names = tuple(search.key for search in undecided)
        return Verdict(
            ok=None, history=history, longest=longest, reason=reason, undecided=names, keys=keys, steps=steps
        )
    pairs = sorted((pair for search in searches for pair in _points(search.deepest.path())), key=itemgetter(0))
    order = tuple(operation for _, operation in pairs)
    points = tuple(point for point, _ in pairs)
    return Verdict(ok=True, history=history, order=order, points=points, longest=order, keys=keys, steps=steps)


def _points(order: Sequence[Operation]) -> Iterator[tuple[float, Operation]]:
    """Each operation as early as its own call and its place in the order allow.

    This is never after its return, because everything before it in the order was called by then.  So the orders of all
    objects can be merged by their points, and the merged order also respects calls and returns across objects.
    """
    return zip(accumulate((operation.call for operation in order), max), order, strict=True)


def _refusal(history: History, search: Search, keys: int, steps: int) -> Verdict:
    """The verdict on an object without an order: after the longest one, the most urgent operation has no place."""
    is_longest = search.find_longest(LONGEST_STEPS)
    model, here = search.model, search.deepest.configuration
    operation = search.returned[search.candidates(here)[0]]
    expected = model.step(here.state, operation.input)[1]
    return Verdict(
        ok=False,
        history=history,
        longest=search.deepest.path(),
        is_longest=is_longest,
        states=_states(search.deepest.path(), model),
        blocked=Blocked(operation=operation, state=here.state, expected=expected),
        key=search.key,
        keys=keys,
        steps=steps,
    )


def _states(order: Sequence[Operation], model: SequentialSpec) -> tuple[State, ...]:
    states = [model.initial()]
    for operation in order:
        states.append(model.step(states[-1], operation.input)[0])
    return tuple(states[1:])
