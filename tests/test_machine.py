"""Machines are deterministic, and a client's command happens once, however often it is sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyraft_lab.command import DEEPEST, SEALED, encode
from pyraft_lab.engine.log import Blank, Entry, Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import BadCommand
from pyraft_lab.machine import Counter, Expired, KeyValue, Rejected, Sessions, Value, decode

INCR = {"op": "incr", "key": "x"}


def apply(machine: Sessions, index: int, command: Any, **session: int) -> Any:
    return machine.apply(Entry(LogId(1, 1, index), Normal(encode(command, **session))))


@pytest.mark.parametrize(
    ("commands", "results", "left"),
    [
        ([{"op": "put", "key": "x", "value": 1}], [None], {"x": 1}),
        ([{"op": "put", "key": "x", "value": 1}, {"op": "get", "key": "x"}], [None, 1], {"x": 1}),
        ([{"op": "cas", "key": "x", "old": None, "new": 2}], [True], {"x": 2}),
        ([{"op": "cas", "key": "x", "old": 1, "new": 2}], [False], {}),
        ([INCR, {"op": "incr", "key": "x", "by": 5}], [1, 6], {"x": 6}),
        ([INCR, {"op": "delete", "key": "x"}, {"op": "delete", "key": "x"}], [1, True, False], {}),
        (
            [{"op": "append", "key": "x", "value": "a"}, {"op": "append", "key": "x", "value": "b"}],
            ["a", "ab"],
            {"x": "ab"},
        ),
    ],
)
def test_the_table_does_what_it_is_told(commands: list[Any], results: list[Any], left: dict[str, Any]) -> None:
    table = KeyValue()
    assert [table.apply(command) for command in commands] == results
    assert table.data == left


@pytest.mark.parametrize(
    "command",
    [
        None,
        "put",
        {},
        {"op": "frob", "key": "x"},
        {"op": ["put"], "key": "x", "value": 1},
        {"op": "put", "key": "x"},
        {"op": "put", "key": ["x"], "value": 1},
        {"op": "append", "key": "x", "value": 3},
        {"op": "incr", "key": "x", "by": "much"},
    ],
)
def test_a_bad_command_is_answered_and_changes_nothing(command: Any) -> None:
    table = KeyValue({"x": 1})
    assert isinstance(table.apply(command), Rejected)
    assert table.data == {"x": 1}
    assert isinstance(Counter().apply(command), Rejected)


def test_bytes_that_are_no_command_are_answered_too() -> None:
    machine = Sessions(KeyValue())
    for data in (b"", b"\xc1", SEALED + b"\x00", b"\x92\x01"):
        assert isinstance(machine.apply(Entry(LogId(1, 1, 1), Normal(data))), Rejected)


def test_a_command_without_a_wire_form_is_refused_at_the_gate() -> None:
    with pytest.raises(BadCommand, match="no MessagePack form"):
        encode({"op": "put", "key": "x", "value": object()})


@pytest.mark.parametrize(
    ("begin", "more"),
    [(2**64 - 1, {"by": 1}), (-(2**63), {"by": -1}), (2**63, {"by": 2**63})],
)
@pytest.mark.parametrize("session", [{}, {"client": 1, "serial": 2}])
def test_a_sum_beyond_64_bits_is_refused_and_the_snapshot_can_be_built(
    begin: int, more: Any, session: dict[str, int]
) -> None:
    machine = Sessions(KeyValue())
    apply(machine, 1, {"op": "put", "key": "x", "value": begin})
    answer = apply(machine, 2, INCR | more, **session)
    assert isinstance(answer, Rejected)
    assert "more than 64 bits" in answer.why
    twin = Sessions(KeyValue())
    twin.restore(machine.snapshot())
    assert twin == machine
    assert machine.query("x") == begin


def test_a_counter_does_not_count_beyond_64_bits() -> None:
    counter = Counter()
    assert counter.apply(2**64 - 1) == 2**64 - 1
    assert isinstance(counter.apply(1), Rejected)
    assert counter.apply(-1) == 2**64 - 2
    counter.restore(counter.snapshot())
    assert counter.query() == 2**64 - 2


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_a_number_beyond_64_bits_is_refused_at_the_gate(value: int) -> None:
    with pytest.raises(BadCommand, match="no MessagePack form"):
        encode({"op": "put", "key": "x", "value": value})


def nested(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = [value]
    return value


def test_a_command_nested_without_end_is_refused_at_the_gate_and_by_the_machine() -> None:
    put = {"op": "put", "key": "x"}
    machine = Sessions(KeyValue())
    assert apply(machine, 1, put | {"value": nested(DEEPEST - 1)}) == Value()
    machine.restore(machine.snapshot())
    for levels in (DEEPEST, 100_000):
        with pytest.raises(BadCommand, match="deeper than 100 levels"):
            encode(put | {"value": nested(levels)})
        raw = b"\x83\xa2op\xa3put\xa3key\xa1x\xa5value" + b"\x91" * levels + b"\xc0"
        for data in (raw, SEALED + b"\x95\x01\x02\x00\x00" + raw, b"\x81" + b"\x91" * levels + b"\x01\x01"):
            answer = machine.apply(Entry(LogId(1, 1, 2), Normal(data)))
            assert isinstance(answer, Rejected)
            assert "deeper than 100 levels" in answer.why


packed = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(["x", "y", 1])


@given(
    st.lists(
        st.fixed_dictionaries({"op": st.just("put"), "key": keys, "value": packed})
        | st.fixed_dictionaries({"op": st.just("append"), "key": keys, "value": packed})
        | st.fixed_dictionaries({"op": st.just("cas"), "key": keys, "old": packed, "new": packed})
        | st.fixed_dictionaries({"op": st.just("incr"), "key": keys, "by": packed})
        | packed
    )
)
def test_whatever_is_written_can_be_kept_in_a_snapshot(commands: list[Any]) -> None:
    machine = Sessions(KeyValue())
    for index, command in enumerate(commands, start=1):
        apply(machine, index, command, client=1, serial=index)
    twin = Sessions(KeyValue())
    twin.restore(machine.snapshot())
    assert twin.snapshot() == machine.snapshot()


def test_an_entry_without_a_command_leaves_the_machine_alone() -> None:
    assert Sessions(KeyValue()).apply(Entry(LogId(1, 1, 1), Blank())) == Value()


@pytest.mark.row("CL-04")
def test_a_retry_gets_the_first_answer_also_after_a_snapshot() -> None:
    machine = Sessions(KeyValue())
    first = apply(machine, 1, INCR, client=1, serial=1)
    other = Sessions(KeyValue())
    other.restore(machine.snapshot())
    assert first == apply(other, 2, INCR, client=1, serial=1) == Value(1)
    assert apply(other, 3, INCR, client=1, serial=2) == Value(2)
    assert apply(other, 4, INCR, client=2, serial=1) == Value(3)


def test_answers_that_the_client_has_seen_are_dropped() -> None:
    machine = Sessions(KeyValue())
    for serial in range(1, 50):
        apply(machine, serial, INCR, client=1, serial=serial, done=serial - 1)
    assert len(machine.sessions[1].answers) == 1
    assert isinstance(apply(machine, 60, INCR, client=1, serial=3), Rejected)
    assert machine.query("x") == 49


def test_an_expired_session_never_applies_a_late_copy() -> None:
    machine = Sessions(KeyValue(), expiry=10)
    apply(machine, 1, INCR, client=1, serial=1, since=0)
    assert apply(machine, 20, INCR, client=1, serial=1, since=0) == Expired(20)
    assert apply(machine, 21, INCR, client=9, serial=1, since=20) == Value(2)
    assert list(machine.sessions) == [9]


COMMANDS = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["put", "get", "append", "cas", "delete", "incr"]),
            "key": st.sampled_from(["x", "y", 3]),
            "value": st.integers(0, 3) | st.just("a"),
            "old": st.none() | st.integers(0, 3),
            "new": st.integers(0, 3),
        }
    ),
    max_size=40,
)


@given(before=COMMANDS, ours=COMMANDS, theirs=COMMANDS)
def test_a_fork_and_a_snapshot_are_the_same_state_and_independent(before: Any, ours: Any, theirs: Any) -> None:
    original, straight = KeyValue(), KeyValue()
    for command in before:
        original.apply(command)
        straight.apply(command)
    fork, restored = original.fork(), KeyValue()
    restored.restore(original.snapshot())
    for command in theirs:
        fork.apply(command)
    for command in ours:
        assert original.apply(command) == restored.apply(command) == straight.apply(command)
    assert original.data == restored.data == straight.data


def test_a_fork_stays_whole_when_its_changes_become_a_table() -> None:
    table = KeyValue()
    for number in range(1000):
        table.apply({"op": "put", "key": number, "value": number})
        table = table.fork()
    table.apply({"op": "delete", "key": 7})
    assert table.fork().data == {number: number for number in range(1000) if number != 7}


def test_equal_states_have_equal_digests() -> None:
    one, two = Sessions(KeyValue({"a": 1, "b": 2})), Sessions(KeyValue({"b": 2, "a": 1}))
    assert one.digest() == two.digest()
    apply(one, 1, INCR)
    assert one.digest() != two.digest()


def test_a_counter_counts_forks_and_restores() -> None:
    counter = Counter()
    assert (counter.apply(2), counter.fork().apply(5), counter.query()) == (2, 7, 2)
    other = Counter()
    other.restore(counter.snapshot())
    assert other.total == 2


def test_a_command_reads_the_same_with_and_without_a_session() -> None:
    assert decode(encode(INCR)) == decode(encode(INCR, client=1, serial=4)) == INCR


def test_a_fork_of_sessions_forgets_and_learns_by_itself() -> None:
    machine = Sessions(KeyValue())
    apply(machine, 1, INCR, client=1, serial=1)
    fork = machine.fork()
    assert apply(fork, 2, INCR, client=1, serial=2) == Value(2)
    assert apply(machine, 2, {"op": "get", "key": "x"}, client=1, serial=2) == Value(1)
    assert apply(fork, 3, INCR, client=1, serial=2) == Value(2)
