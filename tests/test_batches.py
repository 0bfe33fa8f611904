"""Several commands under one session header: sealed once, applied once, in the order of their serials."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyraft_lab.command import (
    BATCH,
    LARGE_BATCH,
    MAX_BYTES,
    MAX_DEPTH,
    SealedBatch,
    check_batch,
    checked,
    encode,
    encode_all,
    seal,
    shortened,
    unseal,
)
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import BadCommand
from pyraft_lab.machine import Batched, Counter, Expired, KeyValue, OutOfOrder, Rejected, Sessions, Value
from pyraft_lab.session import Answer
from pyraft_lab.storage.inspect import _command_in_words
from pyraft_lab.trace.text import command_text

PUT = {"op": "put", "key": "x", "value": 1}


def batch(*commands: object, serial: int = 1, done: int = 0, since: int = 0) -> bytes:
    return seal([encode(command) for command in commands], client=5, serial=serial, done=done, since=since)


def apply(sessions: Sessions, index: int, data: bytes) -> Answer:
    return sessions.apply(Entry(LogId(1, 1, index), Normal(data)))


@pytest.mark.parametrize("count", [2, 15, 16, 70_000])
def test_a_batch_is_read_as_it_was_sealed(count: int) -> None:
    commands, header = unseal(batch(*range(count), serial=3, done=1, since=9))
    assert commands == list(range(count))
    assert isinstance(header, SealedBatch)
    assert (header.client, header.serial, header.done, header.since) == (5, 3, 1, 9)


def test_a_single_command_that_waits_for_none_is_sealed_as_ever() -> None:
    assert batch(PUT) == encode(PUT, client=5, serial=1)
    assert batch(PUT, serial=3, done=1).startswith(BATCH), "number 2 must be applied before it"


def test_every_command_of_a_batch_is_answered_and_a_copy_gets_the_same_answers() -> None:
    sessions = Sessions(Counter())
    first = apply(sessions, 1, batch(1, "no number", 2))
    assert isinstance(first, Batched)
    assert (first.values, list(first.rejected)) == ([1, None, 3], [1])
    assert apply(sessions, 2, batch(1, "no number", 2)) == first
    assert sessions.query(None) == 3
    assert sessions.outcome(5, 1) == first
    assert sessions.outcome(5, 2) is None
    assert sessions.outcome(6, 1) is None


def test_answers_to_a_batch_survive_a_snapshot() -> None:
    sessions, restored = Sessions(Counter()), Sessions(Counter())
    first = apply(sessions, 1, batch(1, "no number"))
    restored.restore(sessions.snapshot())
    assert restored == sessions
    assert apply(restored, 2, batch(1, "no number")) == first


def test_a_batch_ahead_of_the_one_before_it_is_not_applied_and_may_come_again() -> None:
    sessions = Sessions(Counter())
    assert apply(sessions, 1, batch(10, 20, serial=2)) == OutOfOrder(2)
    assert apply(sessions, 2, batch(1, 2)) == Batched([1, 3])
    assert apply(sessions, 3, batch(10, 20, serial=2)) == Batched([13, 33])
    assert apply(sessions, 4, batch(1, 1, serial=9, done=8)) == Batched([34, 35]), "given up ones are not waited for"


def test_a_batch_of_a_forgotten_session_is_not_applied() -> None:
    sessions = Sessions(Counter(), expiry=5)
    apply(sessions, 1, batch(1, 2))
    assert apply(sessions, 20, batch(1, 2, serial=2, done=1)) == Expired(20)


def test_nesting_is_counted_for_each_command_of_a_batch() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    fine = batch(*[deep] * 3)
    assert checked(fine) == fine
    packed = msgspec.msgpack.encode([deep])
    too_deep = seal([encode(1), packed], client=5, serial=1, done=0, since=0)
    with pytest.raises(BadCommand, match="nested deeper"):
        checked(too_deep)
    assert isinstance(apply(Sessions(KeyValue()), 1, too_deep), Rejected)
    endless = seal([b"\x91" * 100_000 + b"\x01"], client=5, serial=2, done=0, since=0)
    with pytest.raises(BadCommand, match="nested deeper"):
        checked(endless)


def test_text_that_looks_like_nesting_is_no_nesting() -> None:
    data = batch(*[{"op": "put", "key": "x", "value": "\u07c0" * 200}] * 3)
    assert checked(data) == data


@pytest.mark.parametrize("body", [b"", b"\x95\x01", b"\x95\x05\x01\x00\x00\x01", b"\x95\x05\x01\x01\x00\x91\x01"])
def test_what_is_no_batch_is_refused_at_the_gate_and_by_the_machine(body: bytes) -> None:
    with pytest.raises(BadCommand):
        checked(BATCH + body)
    assert isinstance(apply(Sessions(KeyValue()), 1, BATCH + body), Rejected)


def test_a_batch_must_be_of_the_client_and_serial_that_its_request_names() -> None:
    check_batch(batch(PUT, PUT), 5, 1)
    for data, client, serial in ((batch(PUT, PUT), 6, 1), (batch(PUT, PUT), 5, 2), (encode(PUT), 5, 1), (BATCH, 5, 1)):
        with pytest.raises(BadCommand):
            check_batch(data, client, serial)


def test_commands_that_are_encoded_together_are_checked_one_by_one_where_one_is_bad() -> None:
    assert encode_all([1, PUT]) == [encode(1), encode(PUT)]
    with pytest.raises(BadCommand, match="object"):
        encode_all([1, object()])
    with pytest.raises(BadCommand):
        encode_all([1, 2**70])


def test_a_batch_is_told_in_few_words() -> None:
    assert command_text(batch(*[PUT] * 5)) == "5 commands: x=1, x=1, x=1"
    assert command_text(batch(1, 2)) == "2 commands: 1, 2"
    assert command_text(batch(PUT)) == "x=1"
    assert _command_in_words(batch(PUT, PUT)) == f"{PUT}, {PUT}"
    assert _command_in_words(batch(1, 2)).startswith("b'")


def test_the_short_way_of_a_put_leaves_what_the_long_way_leaves() -> None:
    table = KeyValue()
    assert table.apply({"op": "put", "key": "x", "value": None, "more": 1}) is None
    assert table.data == {"x": None}
    assert apply(Sessions(table), 1, encode({"op": "put", "key": True, "value": 1})) != Value()
    assert isinstance(table.apply({"op": "put", "key": "x"}), Rejected)


def test_of_a_large_batch_only_the_header_and_the_nesting_are_checked() -> None:
    large = encode("v" * LARGE_BATCH)
    deep = b"\x91" * (MAX_DEPTH + 1) + large
    whole, nested, too_large = (
        seal(commands, client=5, serial=1, done=0, since=0)
        for commands in ([large, large], [large, deep], [large] * (MAX_BYTES // LARGE_BATCH + 1))
    )
    check_batch(whole, 5, 1)
    wrong = [(whole, 6, 1), (whole, 5, 2), (nested, 5, 1), (whole[2:], 5, 1), (whole[:-5], 5, 1), (too_large, 5, 1)]
    for data, client, serial in wrong:
        with pytest.raises(BadCommand):
            check_batch(data, client, serial)


@given(st.lists(st.binary(max_size=3000) | st.text(max_size=2000) | st.integers(0, 9), max_size=4))
def test_a_shortened_command_has_the_same_form(values: list[object]) -> None:
    command = encode({"op": "put", "key": "x", "value": values}, client=5, serial=1)
    short, sealed = unseal(shortened(command, longest=1000))
    assert sealed is not None
    assert sealed.client == 5
    assert len(shortened(command, longest=1000)) <= 1000 * 4 + 200
    assert [_form(one) for one in short["value"]] == [_form(one) for one in values]


def _form(value: object) -> object:
    size = len(encode(value))
    return f"{size} bytes" if size > 1000 else value
