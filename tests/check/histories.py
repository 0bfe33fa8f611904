"""Histories for the tests: of a store that is linearizable by construction, and then perhaps spoilt."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from pyraft_lab.check.linearize.sequential_specs import ANY, KV, REGISTER, Input, SequentialSpec
from pyraft_lab.history import History, Operation

Ask = Callable[[Random], Input]


def store_history(
    seed: int,
    *,
    ask: Ask,
    model: SequentialSpec = REGISTER,
    operations: int,
    clients: int,
    unanswered: float = 0.0,
    wrong: int = 0,
) -> History:
    """Clients ask a single copy, which acts at a random instant between call and return; some answers may be wrong."""
    chance = Random(seed)
    calls = sorted(_calls(chance, ask, operations, clients), key=lambda call: call.acts)
    states: dict[object, object] = {}
    made = []
    for call in calls:
        key = model.partition(call.input) if model.partition else None
        states[key], answer = model.step(states.get(key, model.initial()), call.input)
        known = chance.random() >= unanswered
        output = answer if known and answer is not ANY else None
        made.append(Operation(call.client, call.called, call.returned if known else None, call.input, output))
    return History(_spoilt(made, chance, wrong))


class Call(NamedTuple):
    """One call, and the instant at which the store acts on it."""

    client: int
    called: float
    acts: float
    returned: float
    input: Input


def _calls(chance: Random, ask: Ask, operations: int, clients: int) -> Iterator[Call]:
    free = [chance.random() for _ in range(clients)]
    for _ in range(operations):
        client = min(range(clients), key=free.__getitem__)
        called = free[client]
        returned = called + chance.expovariate(1.0)
        yield Call(client, called, chance.uniform(called, returned), returned, ask(chance))
        free[client] = returned + 0.1 * chance.random()


def _spoilt(operations: Sequence[Operation], chance: Random, wrong: int) -> list[Operation]:
    """So many answers of reads become those of other reads."""
    spoilt = list(operations)
    reads = [i for i, operation in enumerate(operations) if _name(operation) == "get" and operation.returned]
    for i in chance.sample(reads, min(wrong, len(reads))):
        spoilt[i] = replace(operations[i], output=operations[chance.choice(reads)].output)
    return spoilt


def _name(operation: Operation) -> object:
    return operation.input[0] if isinstance(operation.input, tuple) else operation.input


def asks(values: int, *, keys: int = 0) -> Ask:
    """A third reads, a third writes, a third compare-and-set; ``keys=0`` is a single register."""

    def ask(chance: Random) -> Input:
        key = (f"k{chance.randrange(keys)}",) if keys else ()
        value, old = chance.randrange(values), chance.randrange(values)
        return chance.choice([("get", *key), ("put", *key, value), ("cas", *key, old, value)])

    return ask


def keyed_history(seed: int, *, operations: int = 10_000, clients: int = 10, values: int = 1_000) -> History:
    """Ten keys of a store."""
    return store_history(seed, ask=asks(values, keys=10), model=KV, operations=operations, clients=clients)


def growing_history(
    seed: int, *, operations: int = 1_700, clients: int = 50, keys: int = 10, wrong: int = 0
) -> History:
    """Long texts: half appends, nearly half reads, a few puts, many clients at a time on each key."""

    def ask(chance: Random) -> Input:
        key, number = f"k{chance.randrange(keys)}", chance.randrange(10**6)
        words = [("append", key, f"x {number} y"), ("get", key), ("put", key, f"x {number} y")]
        return chance.choices(words, weights=(50, 46, 4))[0]

    return store_history(seed, ask=ask, model=KV, operations=operations, clients=clients, wrong=wrong)


def tiny_growing_history(seed: int) -> History:
    """Up to six operations on a short text, a list or a number at small whole times, answered at random."""
    chance = Random(seed)
    kind = chance.choice((_text_operation, _list_operation, _number_operation))
    return History([_tiny(chance, client, *kind(chance)) for client in range(chance.randint(2, 6))])


def _tiny(chance: Random, client: int, input: Input, output: object) -> Operation:
    call = chance.randrange(8)
    return Operation(client, call, None if chance.random() < 0.2 else call + chance.randrange(6), input, output)


def _text_operation(chance: Random) -> tuple[Input, object]:
    item, seen = chance.choice("ab"), chance.choice((None, "a", "b", "ab", "ba", "aab", "aba", "bab"))
    return chance.choice(
        [
            (("append", item), None),
            (("append", item), None),
            (("get",), seen),
            (("get",), seen),
            (("put", item), None),
            (("cas", seen, item), chance.random() < 0.7),
            (("delete",), None),
        ]
    )


def _list_operation(chance: Random) -> tuple[Input, object]:
    item, seen = chance.randrange(2), chance.choice((None, 0, (0,), (1,), (0, 1), (1, 0), (0, 1, 1), (0, 0, 1)))
    return chance.choice(
        [
            (("append", item), None),
            (("append", (item,)), None),
            (("append", item), None),
            (("get",), seen),
            (("get",), seen),
            (("put", seen), None),
        ]
    )


def _number_operation(chance: Random) -> tuple[Input, object]:
    value = chance.randrange(4)
    return chance.choice(
        [
            (("incr",), value),
            (("incr", chance.choice((1, 2, "a"))), value),
            (("get",), value or None),
            (("put", value), None),
            (("put", "a"), None),
            (("delete",), None),
        ]
    )


def hard_history(seed: int) -> History:
    """Ninety operations of twenty clients on one register of five values: a fifth unanswered, some answered wrong."""
    return store_history(seed, ask=asks(5), operations=90, clients=20, unanswered=0.2, wrong=4 * (seed % 4))


def on_key(key: str, history: History) -> list[Operation]:
    """The operations of a register as those of one key of a store."""
    return [replace(operation, input=_with_key(key, operation.input)) for operation in history]


def _with_key(key: str, input: Input) -> Input:
    return (input[0], key, *input[1:])


def tiny_history(seed: int) -> History:
    """Up to six operations of two values at small whole times, answered at random."""
    chance = Random(seed)
    return History([_tiny_operation(chance, client) for client in range(chance.randint(1, 6))])


def _tiny_operation(chance: Random, client: int) -> Operation:
    call, a, b = chance.randrange(8), chance.randrange(2), chance.randrange(2)
    returned = None if chance.random() < 0.2 else call + chance.randrange(5)
    input, outputs = chance.choice(
        [(("get",), (0, 1, None)), (("put", a), (None,)), (("cas", a, b), (True, False)), (("delete",), (None,))]
    )
    return Operation(client, call, returned, input, chance.choice(outputs))
