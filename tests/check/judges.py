"""Two slower judges of the same question: every order, and the plain search of Wing, Gong and Lowe."""

from collections.abc import Sequence
from math import inf

from pyraft_lab.check.linearize.sequential_specs import ANY, SequentialSpec, State
from pyraft_lab.history import History, Operation


def every_order(operations: Sequence[Operation], model: SequentialSpec, state: State) -> bool:
    """Try each operation that no other one must precede, and the rest after it; forget nothing, skip nothing."""
    if all(operation.returned is None for operation in operations):
        return True
    return any(
        may_come_first(operation, operations)
        and fits(operation, model, state)
        and every_order(
            [other for other in operations if other is not operation], model, model.step(state, operation.input)[0]
        )
        for operation in operations
    )


def may_come_first(operation: Operation, operations: Sequence[Operation]) -> bool:
    return not any(other.returned is not None and other.returned < operation.call for other in operations)


def fits(operation: Operation, model: SequentialSpec, state: State) -> bool:
    answer = model.step(state, operation.input)[1]
    return operation.returned is None or answer is ANY or answer == operation.output


class PlainSearch:
    """Wing and Gong's search with Lowe's cache over a linked list of calls and returns; nothing else is clever.

    An operation without a return returns at the end of time with an answer that fits everything.
    """

    def __init__(self, history: History, model: SequentialSpec) -> None:
        self.model = model
        self.steps = 0
        self.operations = list(history)
        self.ok: bool | None = None

    def run(self, limit: int) -> None:
        """Search until there is a verdict or the model was stepped ``limit`` times."""
        events = self._events()
        after, before = [*range(1, len(events) + 1), 0], [len(events), *range(len(events))]
        returns = {i: at for at, (_, is_return, i) in enumerate(events, start=1) if is_return}
        state, placed, at = self.model.initial(), 0, after[0]
        tried: set[tuple[int, State]] = set()
        trail: list[tuple[int, State]] = []

        def unlink(node: int) -> None:
            after[before[node]], before[after[node]] = after[node], before[node]

        def relink(node: int) -> None:
            after[before[node]] = before[after[node]] = node

        while after[0] and self.steps < limit:
            _, is_return, i = events[at - 1]
            if not is_return:
                self.steps += 1
                there = placed | 1 << i, self.model.step(state, self.operations[i].input)[0]
                if fits(self.operations[i], self.model, state) and there not in tried:
                    tried.add(there)
                    trail.append((at, state))
                    placed, state = there
                    unlink(at)
                    unlink(returns[i])
                    at = after[0]
                else:
                    at = after[at]
            elif trail:
                at, state = trail.pop()
                i = events[at - 1][2]
                placed &= ~(1 << i)
                relink(returns[i])
                relink(at)
                at = after[at]
            else:
                self.ok = False
                return
        self.ok = None if after[0] else True

    def _events(self) -> list[tuple[float, bool, int]]:
        calls = [(operation.call, False, i) for i, operation in enumerate(self.operations)]
        returns = [
            (inf if operation.returned is None else operation.returned, True, i)
            for i, operation in enumerate(self.operations)
        ]
        return sorted(calls + returns)
