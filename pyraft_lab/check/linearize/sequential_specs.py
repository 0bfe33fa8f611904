"""What one correct copy would do: the sequential objects that a history is compared with.

A ``Model`` is two functions.  ``initial()`` is the state before the first operation, and ``step(state, input)`` gives
the state after an operation together with the answer that a single, never failing copy would return.  A history is
linearizable when its operations can be put in one order, each at some instant between its call and its return, so that
stepping the model through them gives every client the answer it got.

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

from pyraft_lab.errors import HistoryError

State: TypeAlias = Any  # states and inputs are the model's own business: the search only hashes and compares them
Input: TypeAlias = Any
Output: TypeAlias = Any


class Unchecked(Enum):
    """The answer of an operation whose answer says nothing (a ``put``): whatever the client heard is right."""

    ANY = "any"


ANY = Unchecked.ANY


def _never(_input: Input, _output: Output) -> bool:
    return False


class SequentialSpec(Struct, frozen=True, kw_only=True):
    """A sequential object: ``initial() -> state`` and ``step(state, input) -> (state, answer)``; states must hash.

    Two more functions are optional and make hard histories easy.  ``partition(input) -> key`` splits the history into
    objects that know nothing of each other, each with its own state.  ``looks(input, output) -> bool`` is true of an
    operation that changes nothing in *any* state in which it gives this answer (a ``get``, a refused ``cas``);
    ``output`` is None where the outcome is unknown.
    """

    initial: Callable[[], State]
    step: Callable[[State, Input], tuple[State, Output]]
    partition: Callable[[Input], Hashable] | None = None
    is_read: Callable[[Input, Output], bool] = _never


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
        case _:
            raise HistoryError(f"a register knows get, put, cas, append and delete, but not {input!r}")


def _appended(value: State, item: object) -> State:
    """Text grows by text; anything else grows into a tuple, item by item."""
    match value, item:
        case None, str():
            return item
        case str(), str():
            return value + item
        case tuple(), _:
            return (*value, item)
        case None, _:
            return (item,)
        case _:
            return (value, item)


def register_is_read(input: Input, output: Output) -> bool:
    """A ``get`` never changes a register, nor does a ``cas`` that was refused."""
    return input[0] == "get" or (input[0] == "cas" and output is False)


def kv_step(value: State, input: Input) -> tuple[State, Output]:
    """One key of a store: a register whose inputs carry the key in second place."""
    return register_step(value, input[:1] + input[2:])


def kv_key(input: Input) -> Any:
    """The key of ``("get", key)``, ``("put", key, value)`` and the like."""
    match input:
        case ("get" | "delete", key) | ("put" | "append", key, _) | ("cas", key, _, _):
            return key
        case _:
            raise HistoryError(
                "a kv store knows (get, key), (put, key, value), (append, key, value), (cas, key, old, new) "
                f"and (delete, key), but not {input!r}"
            )


def _nothing() -> None:
    return None


REGISTER = SequentialSpec(initial=_nothing, step=register_step, is_read=register_is_read)
KV = SequentialSpec(initial=_nothing, step=kv_step, partition=kv_key, is_read=register_is_read)
MODELS = {"register": REGISTER, "cas-register": REGISTER, "kv": KV}
