"""Whatever was committed, and whatever a snapshot says, a machine answers it: alike everywhere, at once, within bounds.

``FUZZ=100000`` in the environment tries so many commands, sessions and snapshots instead of two thousand.
"""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from pyraft_lab.command import SEALED
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import StorageFailed
from pyraft_lab.machine import Counter, Expired, KeyValue, Rejected, Sessions, StateMachine, Value

TRIES = int(os.environ.get("FUZZ", "2000"))
AT_ONCE = 500
"""Commands that one machine gets before a new one is taken."""
WHOLE = (-(2**63), -1, 0, 1, 2, 3, 7, 2**31, 2**48, 2**53 - 1, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
ODD: tuple[Any, ...] = (
    None,
    True,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\U0001fae8",
    b"\xff",
    [],
    {},
    [[1]],
    {"a": {1: 2}},
)
pack = msgspec.msgpack.encode


def value_of(dice: random.Random) -> Any:
    return dice.choice(WHOLE) if dice.random() < 0.5 else dice.choice(ODD)


def command_of(dice: random.Random) -> Any:
    """Sensible, nearly sensible, or nothing like it."""
    if dice.random() < 0.1:
        return value_of(dice)
    command: dict[str, Any] = {"op": dice.choice(("put", "get", "append", "cas", "delete", "incr")), "key": "x"}
    for field in ("key", "value", "old", "new", "by", "op"):
        if dice.random() < 0.3:
            command[field] = value_of(dice)
    return command


def header_of(dice: random.Random, serial: int) -> list[Any]:
    """Client, serial, done and since: mostly lawful."""
    header: list[Any] = [dice.randrange(4), serial, dice.randrange(serial), 0]
    while dice.random() < 0.3:
        header[dice.randrange(4)] = value_of(dice)
    return header


def mutated(dice: random.Random, data: bytes) -> bytes:
    """Some bytes changed, left out, added, or the end cut off."""
    body = bytearray(data)
    for _ in range(dice.randrange(4)):
        place = dice.randrange(len(body) + 1)
        match dice.randrange(4):
            case 0:
                body[place : place + 1] = dice.randbytes(1)
            case 1:
                del body[place : place + dice.randrange(1, 8)]
            case 2:
                body[place:place] = dice.randbytes(dice.randrange(1, 8))
            case _:
                del body[place:]
    return bytes(body)


def bytes_of(dice: random.Random, serial: int) -> bytes:
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(40))
    if dice.random() < 0.02:
        return SEALED[: dice.randrange(2)] + b"\x91" * dice.choice((90, 120, 5000)) + b"\x01"
    command = command_of(dice)
    data = SEALED + pack([*header_of(dice, serial), command]) if dice.random() < 0.7 else pack(command)
    return mutated(dice, data) if dice.random() < 0.5 else data


def tries(seed: int) -> Iterator[tuple[int, int]]:
    """Seeds, and how many commands to make with each."""
    return ((seed + one, AT_ONCE) for one in range(-(-TRIES // AT_ONCE)))


@pytest.mark.parametrize("machine", [KeyValue, Counter])
@pytest.mark.timeout(0 if TRIES > 10_000 else 300)
def test_whatever_is_committed_is_answered_alike_by_a_machine_that_was_restored(
    machine: Callable[[], StateMachine],
) -> None:
    for seed, commands in tries(1):
        dice = random.Random(seed)
        one, two = (Sessions(machine(), expiry=100, most=3) for _ in range(2))
        for index in range(1, commands + 1):
            entry = Entry(LogId(1, 1, index), Normal(bytes_of(dice, index)))
            answer = one.apply(entry)
            assert isinstance(answer, Value | Rejected | Expired)
            assert pack(answer) == pack(two.apply(entry)), (seed, index, entry.payload)
            assert len(one.sessions) <= 3
            if index % 50 == 0:
                kept = one.snapshot()
                assert kept == two.snapshot(), (seed, index)
                two = Sessions(machine(), expiry=100, most=3)
                two.restore(kept)
                assert two.snapshot() == kept


def snapshot_of(dice: random.Random) -> bytes:
    sessions = [
        [dice.choice(WHOLE), [value_of(dice), value_of(dice), {dice.choice(WHOLE): {"type": "Value", "value": 1}}]]
        for _ in range(dice.randrange(3))
    ]
    machine = pack(dice.choice(([["x", 1]], [["x", value_of(dice)]], [[value_of(dice), 1]], value_of(dice))))
    return pack([sessions, machine, dice.choice((0, 0, 0, value_of(dice)))][: dice.choice((2, 3))])


@pytest.mark.parametrize("machine", [KeyValue, Counter])
@pytest.mark.timeout(0 if TRIES > 10_000 else 300)
def test_a_snapshot_is_restored_or_refused_and_then_nothing_has_changed(machine: Callable[[], StateMachine]) -> None:
    dice, restored = random.Random(2), 0
    for _ in range(TRIES):
        data = mutated(dice, snapshot_of(dice))
        sessions = Sessions(machine())
        before = sessions.snapshot()
        try:
            sessions.restore(data)
        except StorageFailed:
            assert sessions.snapshot() == before
        else:
            restored += 1
            entry = Entry(LogId(1, 1, 5), Normal(bytes_of(dice, 5)))
            assert isinstance(sessions.apply(entry), Value | Rejected | Expired)
            sessions.snapshot()
    assert 0 < restored < TRIES, "both happen"
