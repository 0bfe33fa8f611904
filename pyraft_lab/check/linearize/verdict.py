"""What a check of a history found, as a value and in sentences."""

from collections.abc import Hashable

from msgspec import Struct

from pyraft_lab.check.linearize.sequential_specs import Output, State
from pyraft_lab.history import History, Operation

SHOWN = 5  # operations of the longest order that an explanation shows


class Blocked(Struct, frozen=True, kw_only=True):
    """The operation that has no place after the longest order, the state it met, and the answer that would fit."""

    operation: Operation
    state: State
    expected: Output


class Verdict(Struct, frozen=True, kw_only=True):
    """``ok`` is True, False, or None where a budget ended the search too early (``reason`` says which).

    ``order``      a witness: all operations that took effect, in an order that explains every answer; empty unless ok
    ``points``     for each of them an instant between its call and its return at which it may have taken effect
    ``longest``    a longest order that explains its answers: the witness, or the best that the refuted key admits
    ``is_longest`` whether it is proved that no order is longer; only for a refuted key may it be left open
    ``states``     the state after each operation of the longest order of a refuted key
    ``blocked``    the operation that then cannot come next
    ``key``        the key that was refuted; None where the model has no keys
    ``undecided``  the keys whose search was ended by a budget
    ``steps``      how often the model was asked; ``keys`` how many objects there are

    A verdict is true when it is a proof, so that ``assert check_linearizable(history)`` does what it says.
    """

    ok: bool | None
    history: History
    order: tuple[Operation, ...] = ()
    points: tuple[float, ...] = ()
    longest: tuple[Operation, ...] = ()
    is_longest: bool = True
    states: tuple[State, ...] = ()
    blocked: Blocked | None = None
    key: Hashable = None
    reason: str | None = None
    undecided: tuple[Hashable, ...] = ()
    keys: int = 0
    steps: int = 0

    def __bool__(self) -> bool:
        return self.ok is True

    def explain(self) -> str:
        """The verdict in sentences: the order found, the operation that has no place in any, or what ran out."""
        if self.ok:
            return _explain_order(self)
        return _explain_timeout(self) if self.blocked is None else _explain_refusal(self, self.blocked)


def _explain_order(verdict: Verdict) -> str:
    silent = sum(operation.returned is None for operation in verdict.history)
    used = sum(operation.returned is None for operation in verdict.order)
    guesses = f" Of the operations without an answer, {used:,} of {silent:,} took effect in it." if silent else ""
    return (
        f"Linearizable: {len(verdict.history) - silent:,} answered operations on {_objects(verdict.keys)} "
        f"have an order that explains every answer.{guesses}"
    )


def _explain_refusal(verdict: Verdict, blocked: Blocked) -> str:
    named = "" if verdict.key is None else f": key {verdict.key!r}"
    operation = blocked.operation
    placed = sum(operation.returned is not None for operation in verdict.longest)
    ending = (
        f"Now {operation}, called at {operation.call:g} and returned at {operation.returned:g}, has no place: "
        f"the state is {blocked.state!r}, so the answer should be {blocked.expected!r}."
    )
    more = "No other order places more operations."
    last = more if verdict.is_longest else "Some other order may place more, but none places all."
    return "\n".join([f"Not linearizable{named}.", *_last_of(verdict, placed), ending, last])


def _last_of(verdict: Verdict, placed: int) -> list[str]:
    if not verdict.longest:
        return ["Not one answered operation can come first."]
    steps = list(zip(verdict.longest, verdict.states, strict=True))
    shown = [f"  {operation.request}, after which the state is {state!r}" for operation, state in steps[-SHOWN:]]
    return [f"A longest order that explains its answers has {placed:,} of them; it ends with:", *shown]


def _explain_timeout(verdict: Verdict) -> str:
    decided = verdict.keys - len(verdict.undecided)
    return (
        f"Unknown: the budget of {verdict.reason} ended the search after {verdict.steps:,} steps of the model.  "
        f"Of {_objects(verdict.keys)}, {decided:,} proved linearizable and none was refuted.  "
        f"Allow more {verdict.reason}, or record fewer clients at a time on one key."
    )


def _objects(keys: int) -> str:
    return "1 object" if keys == 1 else f"{keys:,} objects"
