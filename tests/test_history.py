"""Operations and histories: what is refused at the gate, and that nothing is lost on the way to a file and back."""

import math
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from pyraft_lab.errors import HistoryError, PyraftError
from pyraft_lab.history import History, Operation, from_json
from tests.absurd import DEEP


def test_a_return_before_its_call_is_refused() -> None:
    with pytest.raises(HistoryError, match="client 3's get 'x' returned at 1, before its call at 2"):
        Operation(client=3, call=2.0, returned=1.0, input=("get", "x"))


@pytest.mark.parametrize(("call", "returned"), [(math.nan, 1.0), (math.inf, None), (0.0, math.inf), (0.0, math.nan)])
def test_a_time_that_is_no_number_is_refused(call: float, returned: float | None) -> None:
    with pytest.raises(HistoryError, match="write None for an unknown return"):
        Operation(client=3, call=call, returned=returned, input=("get", "x"))


def test_what_does_not_hash_is_refused() -> None:
    with pytest.raises(HistoryError, match="does not hash"):
        Operation(1, 0, 1, ("put", "x", {"a": 1}))


def test_lists_become_tuples_all_the_way_down() -> None:
    operation = Operation(1, 0, 1, ["put", "x", [1, [2]]], [3])
    assert operation.input == ("put", "x", (1, (2,)))
    assert operation.output == (3,)


def test_an_operation_reads_as_a_sentence() -> None:
    assert str(Operation("ann", 0, 1, ("cas", "x", 1, 2), output=True)) == "client ann's cas 'x' 1 2 → True"
    assert str(Operation(1, 0, None, 5)) == "client 1's 5 → ?"


def test_a_history_holds_operations_only() -> None:
    with pytest.raises(HistoryError, match="a history holds operations, not 5"):
        History([5])  # type: ignore[list-item]


def test_a_bad_history_is_caught_as_any_error_of_ours() -> None:
    assert issubclass(HistoryError, PyraftError)
    assert issubclass(HistoryError, ValueError)


EVERYTHING = History(
    [
        Operation(1, 0.25, 1.5, ("put", "x", (1, 2)), None),
        Operation("ann", 0.5, None, ("cas", "x", None, "é"), None),
        Operation(2, 2.0, 2.0, ("get", "x"), (1, 2)),
    ]
)


def test_json_lines_give_back_the_same_history() -> None:
    assert History.from_jsonl(EVERYTHING.to_jsonl()) == EVERYTHING


def test_blank_lines_are_skipped() -> None:
    assert History.from_jsonl("\n" + EVERYTHING.to_jsonl() + "\n\n") == EVERYTHING


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: Input data was truncated"),
        ('{"client":1,"call":0,"returned":1}', "line 2: .*missing required field `input`"),
        ('{"client":1,"call":0,"returned":1,"input":["get"],"key":1}', "line 2: .*unknown field `key`"),
        ('{"client":1,"call":3,"returned":1,"input":["get"]}', "line 2: client 1's get returned at 1, before"),
        ('{"client":1,"call":"a","returned":1,"input":["get"]}', r"line 2: Expected `float`, got `str` - at `\$.call`"),
    ],
)
def test_a_bad_line_is_named(line: str, words: str) -> None:
    good = '{"client":1,"call":0,"returned":1,"input":["get"]}'
    with pytest.raises(HistoryError, match=words) as caught:
        History.from_jsonl(f"{good}\n{line}")
    assert caught.value.line == 2


def test_a_frame_has_one_row_an_operation() -> None:
    expected = pd.DataFrame(
        {
            "client": pd.Series(["1", "ann", "2"], dtype="str"),
            "call": [0.25, 0.5, 2.0],
            "returned": [1.5, math.nan, 2.0],
            "op": ["put", "cas", "get"],
            "input": [msgspec.json.encode(operation.input).decode() for operation in EVERYTHING],
            "output": pd.Series(["null", None, "[1,2]"], dtype="str"),
            "known": [True, False, True],
        }
    )
    pd.testing.assert_frame_equal(EVERYTHING.frame, expected)


def test_a_frame_goes_to_parquet_and_back_whatever_the_values_are(tmp_path: Path) -> None:
    values: list[object] = [1, "one", None, True, (1, "two")]
    calls = [Operation(place, 0.0, 1.0, ("put", "x", value), value) for place, value in enumerate(values)]
    frame = History(calls).frame
    frame.to_parquet(tmp_path / "history.parquet")
    back = pd.read_parquet(tmp_path / "history.parquet")
    pd.testing.assert_frame_equal(back, frame)
    assert [from_json(text) for text in back["output"]] == values
    assert list(frame.attrs["columns"]) == list(frame.columns)


def test_the_frame_of_an_empty_history_has_its_columns() -> None:
    assert list(History().frame.columns) == list(EVERYTHING.frame.columns)


@pytest.mark.parametrize("call", ["0", None, 10**400])
def test_a_time_of_another_type_is_refused(call: Any) -> None:
    with pytest.raises(HistoryError, match="a time that is not a number"):
        Operation(1, call, call, ("get", "x"))


@pytest.mark.parametrize("operations", [None, 3, "get", [1], range(10**12), DEEP])
def test_a_history_of_anything_else_is_refused(operations: Any) -> None:
    with pytest.raises(HistoryError, match="a history holds"):
        History(operations)


@pytest.mark.parametrize("client", [None, 1.5, True, [1], DEEP])
def test_a_client_is_a_number_or_a_text(client: Any) -> None:
    with pytest.raises(HistoryError, match="a client is"):
        Operation(client, 0.0, 1.0, ("get", "x"))


def test_a_value_nested_too_deep_does_not_hash() -> None:
    with pytest.raises(HistoryError, match="does not hash"):
        Operation(1, 0.0, 1.0, DEEP)
