"""Machines are deterministic, and a client's command happens once, however often it is sent."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyraft_lab.command import MAX_DEPTH, SEALED, checked, encode, is_deeper
from pyraft_lab.engine.log import Entry, Noop, Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import BadCommand, ConfigError, StorageFailed
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
    assert apply(machine, 1, put | {"value": nested(MAX_DEPTH - 1)}) == Value()
    machine.restore(machine.snapshot())
    for levels in (MAX_DEPTH, 100_000):
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
    assert Sessions(KeyValue()).apply(Entry(LogId(1, 1, 1), Noop())) == Value()


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


def sealed(client: Any = 1, serial: Any = 1, done: Any = 0, since: Any = 0) -> bytes:
    return SEALED + msgspec.msgpack.encode((client, serial, done, since, INCR))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"serial": 2**62 + 1, "done": 2**62}, "serial=4611686018427387905"),
        ({"serial": 5, "done": 5}, "done=5 of its session is not below its own serial=5"),
        ({"done": -1}, "done=-1"),
        ({"client": -(2**53)}, "client="),
        ({"client": 2**63}, "client="),
        ({"since": 2**53}, "since="),
        ({"serial": 0}, "serial=0"),
        ({"serial": "one"}, "cannot be read"),
    ],
)
def test_an_absurd_session_is_refused_at_the_gate_and_by_the_machine(header: dict[str, Any], why: str) -> None:
    data = sealed(**header)
    with pytest.raises(BadCommand, match=why):
        checked(data)
    answer = Sessions(KeyValue()).apply(Entry(LogId(1, 1, 1), Normal(data)))
    assert isinstance(answer, Rejected)
    assert why in answer.why


def test_a_command_with_an_absurd_session_is_refused_when_it_is_made() -> None:
    with pytest.raises(BadCommand, match="client="):
        encode(INCR, client=2**53, serial=1)


def test_a_command_longer_than_any_network_carries_is_refused_at_the_gate() -> None:
    with pytest.raises(BadCommand, match="split it"):
        encode({"op": "put", "key": "x", "value": bytes(64 << 20)})


def test_a_session_may_acknowledge_far_ahead_and_costs_no_more_for_it() -> None:
    machine = Sessions(KeyValue())
    apply(machine, 1, INCR, client=1, serial=1)
    assert apply(machine, 2, INCR, client=1, serial=2**52, done=2**52 - 1) == Value(2)
    assert dict(machine.sessions[1].answers) == {2**52: Value(2)}


def test_a_session_that_acknowledges_nothing_takes_no_more_commands_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyraft_lab.session.ANSWER_BYTES", 1000)
    machine = Sessions(KeyValue())
    grow = {"op": "append", "key": "x", "value": "y" * 400}
    answers = [apply(machine, serial, grow, client=1, serial=serial) for serial in range(1, 5)]
    assert [type(answer) for answer in answers] == [Value, Value, Rejected, Rejected]
    assert apply(machine, 5, grow, client=1, serial=1) == answers[0], "what was answered is still known"
    assert isinstance(apply(machine, 6, grow, client=1, serial=5, done=4), Value), "and it may go on after that"


def test_of_too_many_sessions_the_idlest_goes_and_its_late_copy_is_not_applied() -> None:
    machine = Sessions(KeyValue(), most=3)
    for index in range(1, 5):
        apply(machine, index, INCR, client=index, serial=1, since=0)
    assert list(machine.sessions) == [2, 3, 4]
    other = Sessions(KeyValue(), most=3)
    other.restore(machine.snapshot())
    assert other == machine
    for replica in (machine, other):
        assert apply(replica, 5, INCR, client=1, serial=1, since=0) == Expired(5)
        assert apply(replica, 6, INCR, client=9, serial=1, since=5) == Value(5)
    assert other.snapshot() == machine.snapshot()


def test_sessions_are_also_forgotten_where_their_answers_take_too_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyraft_lab.machine.ANSWER_BYTES", 300)
    machine = Sessions(KeyValue({"x": "y" * 400}))
    for index in range(1, 5):
        apply(machine, index, {"op": "get", "key": "x"}, client=index, serial=1, since=index - 1)
    assert list(machine.sessions) == [3, 4]
    assert machine.fork() == machine


def test_a_deep_value_is_found_also_where_a_table_names_its_key_twice() -> None:
    twice = b"\x82\xa1a" + b"\x91" * 500 + b"\x01" + b"\xa1a\x01"
    machine = Sessions(KeyValue())
    answer = machine.apply(Entry(LogId(1, 1, 1), Normal(b"\x83\xa2op\xa3put\xa3key\xa1x\xa5value" + twice)))
    assert isinstance(answer, Rejected)
    assert "deeper than 100 levels" in answer.why


@given(packed, st.integers(1, 6))
def test_how_deep_bytes_are_nested_is_counted_as_it_is_in_the_value(value: Any, levels: int) -> None:
    def depth(one: Any) -> int:
        inner = [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    assert is_deeper(msgspec.msgpack.encode(value), levels) == (depth(value) > levels)


@pytest.mark.parametrize("size", [20, 40, 300, 70_000])
@pytest.mark.parametrize(
    "make", [bytes, lambda size: "x" * size, lambda size: [0] * size, lambda n: dict.fromkeys(range(n))]
)
def test_long_values_are_stepped_over_when_depth_is_counted(make: Any, size: int) -> None:
    data = msgspec.msgpack.encode([make(size), [[1.5]], msgspec.msgpack.Ext(5, bytes(size)), 2**40, -(2**40), [[[]]]])
    assert is_deeper(data, 3)
    assert not is_deeper(data, 4)


def test_a_truth_value_is_no_key_and_no_number() -> None:
    table = KeyValue({"x": True, "empty": ""})
    for command in (
        {"op": "put", "key": True, "value": 1},
        {"op": "incr", "key": "x"},
        {"op": "incr", "key": "y", "by": True},
        {"op": "incr", "key": "empty"},
        {"op": "incr", "key": "y", "by": float("inf")},
    ):
        assert isinstance(table.apply(command), Rejected)
    query: Any = True
    assert isinstance(table.query(query), Rejected)
    assert table.data == {"x": True, "empty": ""}


def test_what_is_refused_is_named_shortly_and_in_plain_letters() -> None:
    answer = KeyValue().apply("\U0001fae8" * 10_000)
    assert isinstance(answer, Rejected)
    assert answer.why.isascii()
    assert len(answer.why) < 300
    extension = {"op": "append", "key": "x", "value": msgspec.msgpack.Ext(5, b"")}
    assert KeyValue().apply(extension) == Rejected("cannot append <msgspec.msgpack.Ext> to None"), "no place in memory"


def test_a_value_can_be_appended_to_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyraft_lab.machine.MAX_VALUE_BYTES", 3)
    table = KeyValue()
    assert table.apply({"op": "append", "key": "x", "value": "abc"}) == "abc"
    assert isinstance(table.apply({"op": "append", "key": "x", "value": "d"}), Rejected)


def image(*sessions: Any, machine: bytes = b"\x90", forgotten: Any = 0) -> bytes:
    return msgspec.msgpack.encode((sessions, machine, forgotten))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x91" * 100_000,
        image((1, (5, 2**62, {}))),
        image((1, (2**60, 0, {}))),
        image((1, (5, 0, {})), (2, (4, 0, {}))),
        image((1, (5, 0, {})), (1, (5, 0, {}))),
        image((1, (5, 7, {7: Value(1)}))),
        image(forgotten=-1),
        image(machine=b"\x01"),
        image(machine=msgspec.msgpack.encode([([1], 2)])),
        image(machine=msgspec.msgpack.encode([(None, 2)])),
    ],
)
def test_a_snapshot_that_makes_no_sense_is_refused_whole(data: bytes) -> None:
    machine = Sessions(KeyValue({"x": 1}))
    with pytest.raises(StorageFailed, match="a snapshot cannot be restored"):
        machine.restore(data)
    assert machine == Sessions(KeyValue({"x": 1}))


def test_a_counter_refuses_a_snapshot_that_is_no_sum() -> None:
    for data in (b"\xa1x", b"\xc3", b""):
        with pytest.raises(StorageFailed, match="a snapshot cannot be restored"):
            Counter().restore(data)


def test_a_table_of_an_older_version_may_have_a_truth_value_for_a_key() -> None:
    table = KeyValue()
    table.restore(msgspec.msgpack.encode([(True, "one")]))
    assert table.query(1) == "one"


def test_an_answer_without_a_messagepack_form_is_given_all_the_same() -> None:
    class Odd(KeyValue):
        def apply(self, _command: Any, /) -> Any:
            return object

    assert isinstance(apply(Sessions(Odd()), 1, INCR, client=1, serial=1), Value)


@pytest.mark.parametrize("data", [5, "x", ["a"], True, [("x", 1)]])
def test_a_table_begins_with_a_map(data: Any) -> None:
    with pytest.raises(ConfigError, match="data"):
        KeyValue(data)
