"""What one correct copy would do: the sequential objects that a history is compared with.

A :class:`SequentialSpec` is two functions.  ``initial()`` is the state before the first operation, and ``step(state,
input)`` gives the state after an operation together with the answer that a single, never failing copy would return.  A
history is linearizable when its operations can be put in one order, each at some instant between its call and its
return, so that stepping the model through them gives every client the answer it got.

>>> def step(total, input):
...     return total + input, total + input
>>> counter = SequentialSpec(initial=lambda: 0, step=step)
>>> counter.step(3, 4)
(7, 7)
"""

from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, TypeAlias

from msgspec import Struct

from pyraft_lab.errors import HistoryError, shown
from pyraft_lab.machine import KeyValue
from pyraft_lab.session import Rejected

State: TypeAlias = Any  # states and inputs are the model's own business: the search only hashes and compares them
Input: TypeAlias = Any
Output: TypeAlias = Any


class Unchecked(Enum):
    """The answer of an operation whose answer is not checked (a ``put``): any output is right."""

    ANY = "any"


class StateHint(Enum):
    """The state an operation leaves, where that is not one state whatever it meets."""

    GROWS = "grows"
    """A longer state, as an ``append`` does."""
    UNKNOWN = "unknown"
    """It depends on more than the operation and its answer tell."""


ANY = Unchecked.ANY
GROWS = StateHint.GROWS
UNKNOWN = StateHint.UNKNOWN


def _never(_one: Input, _other: Output) -> bool:
    return False


def _unknown(_input: Input, _output: Output) -> StateHint:
    return UNKNOWN


class SequentialSpec(Struct, frozen=True, kw_only=True):
    """A sequential object: ``initial() -> state`` and ``step(state, input) -> (state, answer)``; states must hash.

    Two more functions are optional and make hard histories easy.  ``partition(input) -> key`` splits the history into
    independent objects, each with its own state.  ``is_read(input, output) -> bool`` is true of an operation that
    changes nothing in *any* state in which it gives this answer (a ``get``, a refused ``cas``);
    ``output`` is None where the outcome is unknown.

    Three more let the search look ahead to answers that are still to come.  ``needs(input, output)`` is the state in
    which an operation gives this answer, ``ANY`` if it does so in every state.  ``leaves(input, output)`` is the state
    after it, if it changes anything, or ``GROWS`` if it makes the state longer.  ``UNKNOWN`` is right for both where
    nothing is known.  ``may_become(state, goal) -> bool`` is whether growing operations can make ``goal`` of ``state``.
    """

    initial: Callable[[], State]
    step: Callable[[State, Input], tuple[State, Output]]
    partition: Callable[[Input], Hashable] | None = None
    is_read: Callable[[Input, Output], bool] = _never
    needs: Callable[[Input, Output], State] = _unknown
    leaves: Callable[[Input, Output], State] = _unknown
    may_become: Callable[[State, State], bool] = _never


def register_step(value: State, input: Input) -> tuple[State, Output]:
    """One register, None at first; ``cas`` answers whether it wrote, writes and deletes answer nothing that is judged.

    >>> register_step(None, ("put", 1))
    (1, <Unchecked.ANY: 'any'>)
    >>> register_step(1, ("cas", 1, 2)), register_step(1, ("cas", 3, 4))
    ((2, True), (1, False))
    """
    match input:
        case ("get",):
            return value, value
        case ("put", new):
            return new, ANY
        case ("cas", old, new):
            return (new, True) if value == old else (value, False)
        case ("append", item):
            return _appended(value, item), ANY
        case ("delete",):
            return None, ANY
        case ("incr",):
            return _increased(value, 1)
        case ("incr", by):
            return _increased(value, by)
        case _:
            raise HistoryError(f"a register knows get, put, cas, append, delete and incr, but not {shown(input)}")


def _appended(value: State, item: object) -> State:
    """Text grows by text and a tuple by a tuple, as in ``KeyValue``; anything else becomes a tuple, item by item."""
    match value, item:
        case None, str() | tuple():
            return item
        case (str(), str()) | (tuple(), tuple()):
            return value + item
        case tuple(), _:
            return (*value, item)
        case None, _:
            return (item,)
        case _:
            return (value, item)


def _increased(value: State, by: object) -> tuple[State, Output]:
    """The machine's own arithmetic: nothing counts as 0, and what cannot be added changes nothing."""
    answer = KeyValue({"": value}).apply({"op": "incr", "key": "", "by": by})
    return (value if isinstance(answer, Rejected) else answer), answer


def register_is_read(input: Input, output: Output) -> bool:
    """A ``get`` never changes a register, nor does a ``cas`` that was refused."""
    match input:
        case ("get", *_):
            return True
        case ("cas", *_):
            return output is False
        case _:
            return False


def register_needs(input: Input, output: Output) -> State:
    """The value that a register must have for this answer; a refused ``cas`` and an ``incr`` do not tell it.

    >>> register_needs(("get",), 7), register_needs(("put", 1), None), register_needs(("cas", 1, 2), False)
    (7, <Unchecked.ANY: 'any'>, <StateHint.UNKNOWN: 'unknown'>)
    """
    match input:
        case ("get",):
            return output
        case ("cas", old, _) if output is True:
            return old
        case ("put" | "append", _) | ("delete",):
            return ANY
        case _:
            return UNKNOWN


def register_leaves(input: Input, output: Output) -> State:
    """The value that an operation leaves if it changes a register; of an ``incr`` only its answer tells."""
    match input:
        case ("put", new) | ("cas", _, new):
            return new
        case ("delete",):
            return None
        case ("append", _):
            return GROWS
        case ("incr", *_) if output is not None:
            return output
        case _:
            return UNKNOWN


def register_may_become(value: State, goal: State) -> bool:
    """Whether appends may make ``goal`` of ``value``.

    >>> register_may_become("ab", "abc"), register_may_become("b", "abc"), register_may_become(None, (1, 2))
    (True, False, True)
    """
    match value, goal:
        case str(), str():
            return goal.startswith(value)
        case tuple(), tuple():
            return goal[: len(value)] == value
        case None, str() | tuple():
            return True
        case _, (first, *_):  # what was no list became its first item
            return value == first or register_may_become(value, first)
        case _:
            return False


def kv_needs(input: Input, output: Output) -> State:
    """As ``register_needs``, of one key."""
    return register_needs(input[:1] + input[2:], output)


def kv_leaves(input: Input, output: Output) -> State:
    """As ``register_leaves``, of one key."""
    return register_leaves(input[:1] + input[2:], output)


def kv_step(value: State, input: Input) -> tuple[State, Output]:
    """One key of a store: a register whose inputs carry the key in second place."""
    return register_step(value, input[:1] + input[2:])


def kv_key(input: Input) -> Any:
    """The key of ``("get", key)``, ``("put", key, value)`` and the like."""
    match input:
        case ("get" | "delete" | "incr", key) | ("put" | "append" | "incr", key, _) | ("cas", key, _, _):
            return key
        case _:
            raise HistoryError(
                "a kv store knows (get, key), (put, key, value), (append, key, value), (cas, key, old, new), "
                f"(delete, key) and (incr, key, by), but not {shown(input)}"
            )


def _nothing() -> None:
    return None


REGISTER = SequentialSpec(
    initial=_nothing,
    step=register_step,
    is_read=register_is_read,
    needs=register_needs,
    leaves=register_leaves,
    may_become=register_may_become,
)
KV = SequentialSpec(
    initial=_nothing,
    step=kv_step,
    partition=kv_key,
    is_read=register_is_read,
    needs=kv_needs,
    leaves=kv_leaves,
    may_become=register_may_become,
)
MODELS = {"register": REGISTER, "cas-register": REGISTER, "kv": KV}
