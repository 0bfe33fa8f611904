"""Histories as Jepsen writes them, good and bad."""

import pytest

from pyraft_lab.check.linearize.edn import read_edn
from pyraft_lab.check.linearize.jepsen import read_jepsen
from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.errors import HistoryError
from pyraft_lab.history import Operation

REGISTER = """
{:process 0, :type :invoke, :f :write, :value 3, :time 10}
{:process 1, :type :invoke, :f :read, :value nil, :time 11}
{:process :nemesis, :type :info, :f :start-partition, :value "cut [n1 n2]", :time 12}
{:process 0, :type :ok, :f :write, :value 3, :time 20}
{:process 1, :type :ok, :f :read, :value 3, :time 21}
{:process 0, :type :invoke, :f :cas, :value [3 4], :time 30}
{:process 1, :type :invoke, :f :cas, :value [9 9], :time 31}
{:process 1, :type :fail, :f :cas, :value [9 9], :time 32}
{:process 0, :type :info, :f :cas, :value [3 4], :error :timeout, :time 40}
{:process 5, :type :invoke, :f :read, :value nil, :time 41}
"""


def test_invocations_and_completions_are_paired() -> None:
    assert list(read_jepsen(REGISTER)) == [
        Operation(0, 10, 20, ("put", 3)),
        Operation(1, 11, 21, ("get",), 3),
        Operation(0, 30, None, ("cas", 3, 4)),
        Operation(5, 41, None, ("get",)),
    ]


def test_a_history_that_was_read_can_be_judged() -> None:
    assert check_linearizable(read_jepsen(REGISTER), "cas-register")
    assert not check_linearizable(read_jepsen(REGISTER.replace(":read, :value 3", ":read, :value 4")))


def test_without_times_the_order_of_the_lines_counts() -> None:
    lines = "{:process 0 :type :invoke :f :read} {:process 0 :type :ok :f :read :value 1}"
    assert list(read_jepsen(lines)) == [Operation(0, 0, 1, ("get",), 1)]


def test_keys_are_taken_from_the_values() -> None:
    lines = """
    [#jepsen.history.Op{:process 0 :type :invoke :f :read :value [:x nil]}
     #jepsen.history.Op{:process 0 :type :ok :f :read :value [:x 1]}
     {:process 0 :type :invoke :f :cas :value ["y" [1 2]]}
     {:process 0 :type :ok :f :cas :value ["y" [1 2]]}
     {:process 0 :type :invoke :f :write :value [7 0]}]
    """
    assert list(read_jepsen(lines, keyed=True)) == [
        Operation(0, 0, 1, ("get", "x"), 1),
        Operation(0, 2, 3, ("cas", "y", 1, 2), output=True),
        Operation(0, 4, None, ("put", 7, 0)),
    ]


def test_a_function_nobody_knows_keeps_its_name_value_and_answer() -> None:
    lines = "{:process 0 :type :invoke :f :enqueue :value 1} {:process 0 :type :ok :f :enqueue :value :done}"
    assert list(read_jepsen(lines)) == [Operation(0, 0, 1, ("enqueue", 1), "done")]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("{:process 0 :type :ok :f :read}", "line 1: process 0 completes what it has not invoked"),
        ("{:process 0 :type :invoke}\n{:process 0 :type :invoke}", "line 2: process 0 invokes again"),
        ("\n{:process 0 :type :done}", "line 2: process 0 has the :type 'done'"),
        ("{:process 0}", "line 1: process 0 has the :type None"),
        ("{:process 0 :type :invoke :f :cas :value 3}", "line 1: process 0 compares and sets 3, which is not"),
        ("[1]", "line 1: an event is a map"),
        ("{:process 0", "line 1: '{' is never closed"),
        ("\n]", "line 2: ']' closes nothing"),
        ("{:process 0 :type}", "line 1: a map with a key that has no value"),
        ("{{} 1}", "line 1: a map with a map for a key"),
        ('\n\n"no end', "line 3: cannot read"),
    ],
)
def test_what_cannot_be_a_history_is_refused_with_its_line(lines: str, words: str) -> None:
    with pytest.raises(HistoryError, match=words.replace("[", r"\[")):
        read_jepsen(lines)


def test_a_key_that_is_missing_is_asked_for() -> None:
    with pytest.raises(HistoryError, match=r"is not \[key value\]; is this history keyed"):
        read_jepsen("{:process 0 :type :invoke :f :read :value 3}", keyed=True)


def test_a_completion_before_its_invocation_in_time_is_refused() -> None:
    lines = "{:process 0 :type :invoke :f :read :time 9} {:process 0 :type :ok :f :read :time 8}"
    with pytest.raises(HistoryError, match="returned at 8, before its call at 9"):
        read_jepsen(lines)


def test_the_notation_has_all_its_shapes() -> None:
    text = r"""(1 -2 3N 4.5 1e3 2.5M) #{true} "a\"b\n" nil sym ; the rest is a comment
    {} [], #inst "2020-01-01" """
    assert [form.value for form in read_edn(text)] == [
        (1, -2, 3, 4.5, 1000.0, 2.5),
        (True,),
        'a"b\n',
        None,
        "sym",
        {},
        (),
        "2020-01-01",
    ]
