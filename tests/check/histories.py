"""Histories for the tests: of a store that is linearizable by construction, and then perhaps spoilt."""

from collections.abc import Callable, Iterator
from random import Random

from pyraft_lab.check.models import ANY, KV, REGISTER, Input, Model
from pyraft_lab.history import History, Operation

Ask = Callable[[Random], Input]


def store_history(
    seed: int, *, ask: Ask, model: Model, operations: int, clients: int, unanswered: float = 0.0
) -> History:
    """Clients ask a single copy, which acts at a random instant between call and return."""
    chance = Random(seed)
    calls = sorted(_calls(chance, ask, operations, clients), key=lambda call: call[2])
    states: dict[object, object] = {}
    made = []
    for client, called, _acted, returned, input in calls:
        key = model.partition(input) if model.partition else None
        states[key], answer = model.step(states.get(key, model.initial()), input)
        output = None if answer is ANY else answer
        known = chance.random() >= unanswered
        made.append(Operation(client, called, returned if known else None, input, output if known else None))
    return History(made)


def _calls(chance: Random, ask: Ask, operations: int, clients: int) -> Iterator[tuple[int, float, float, float, Input]]:
    free = [chance.random() for _ in range(clients)]
    for _ in range(operations):
        client = min(range(clients), key=free.__getitem__)
        called = free[client]
        returned = called + chance.expovariate(1.0)
        yield client, called, chance.uniform(called, returned), returned, ask(chance)
        free[client] = returned + 0.1 * chance.random()


def asks(values: int, *, keys: int = 0) -> Ask:
    """A third reads, a third writes, a third compare-and-set; ``keys=0`` is a single register."""

    def ask(chance: Random) -> Input:
        key = (f"k{chance.randrange(keys)}",) if keys else ()
        value, old = chance.randrange(values), chance.randrange(values)
        return chance.choice([("get", *key), ("put", *key, value), ("cas", *key, old, value)])

    return ask


def spoilt(history: History, seed: int, *, values: int) -> History:
    """One answer of a read, in the later half, becomes another value."""
    chance = Random(seed)
    operations = list(history)
    late = sorted(operations, key=lambda operation: operation.call)[len(operations) // 2 :]
    reads = [o for o in late if o.returned is not None and REGISTER.looks(o.input, True)]
    victim = chance.choice(reads)
    wrong = chance.choice([value for value in range(values) if value != victim.output])
    operations[operations.index(victim)] = Operation(victim.client, victim.call, victim.returned, victim.input, wrong)
    return History(operations)


def keyed_history(seed: int, *, operations: int = 10_000, clients: int = 10, values: int = 10**9) -> History:
    """Ten keys of a store."""
    return store_history(seed, ask=asks(values, keys=10), model=KV, operations=operations, clients=clients)


def hard_history(seed: int) -> History:
    """Ninety operations of twenty clients on one register of five values, a fifth without a return; half are spoilt."""
    history = store_history(seed, ask=asks(5), model=REGISTER, operations=90, clients=20, unanswered=0.2)
    return spoilt(history, seed, values=5) if seed % 2 else history
