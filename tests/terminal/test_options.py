"""Every command against words that make no sense: one line that says so, before anything is done, and never a crash."""

import json
from pathlib import Path

import pytest

from pyraft_lab.cli import COMMANDS, main
from pyraft_lab.engine.config import Config
from pyraft_lab.runtime.process import SLOW_NETWORK
from pyraft_lab.terminal import options
from pyraft_lab.terminal.client import as_json
from pyraft_lab.terminal.values import value_of

NOWHERE = "mqtt://127.0.0.1:1"
"""Nobody listens there: a command that was refused for another reason has not tried to reach it."""
NUMBERS = ("x", "-1", "1.5", "1e9", "²", "9" * 5000, "", "nan")
TIMES = ("x", "nan", "inf", "-inf", "-1", "0", "1e300", "", "1_000", "9" * 5000)

OPTIONS = [
    ("simulate", "--nodes", (*NUMBERS, "0", "-3", "100")),
    ("simulate", "--seed", NUMBERS),
    ("simulate", "--seconds", TIMES),
    ("simulate", "--faults", ("heavyy", "")),
    ("simulate", "--rules", ("paxos",)),
    ("check", "--nodes", (*NUMBERS, "0")),
    ("check", "--seeds", ("5:1", "0:0", "a:b", "1:2:3", ":", "1,,2", "-3:2", "0:99999999999", "9" * 5000)),
    ("check", "--seconds", TIMES),
    ("check", "--workers", (*NUMBERS, "0")),
    ("explore", "--nodes", (*NUMBERS, "0")),
    ("explore", "--timeouts", NUMBERS),
    ("explore", "--worlds", (*NUMBERS, "0")),
    ("bench", "--seconds", TIMES),
    ("demo", "--nodes", (*NUMBERS, "0", "2", "99")),
    ("demo", "--seconds", TIMES),
    ("demo", "--broker", ("localhost", "http://x", "mqtt://", "mqtt://h:99999", "mqtt://h:0", "mqtt://a:b#c@h")),
    ("broker", "--port", (*NUMBERS, "65536")),
    ("broker", "--nodes", ("0", "1,1", "x", "1,,2")),
    ("broker", "--clients", ("a/b", "", "ann,ann", "a,#")),
    ("broker", "--cafile", ("nowhere.pem",)),
    (f"node --broker {NOWHERE} --data x", "--id", (*NUMBERS, "0")),
    (f"node --broker {NOWHERE} --data x --id 1", "--peers", ("1,1", "", "0", "1;2")),
    (f"node --broker {NOWHERE} --id 1", "--data", ("", " ")),
    (f"node --broker {NOWHERE} --data x --id 1", "--cluster", ("a/b", "", "#", "x" * 65)),
    (f"client --broker {NOWHERE} status", "--timeout", TIMES),
    (f"teach room --broker {NOWHERE}", "--seats", (*NUMBERS, "31")),
    (f"teach room --broker {NOWHERE}", "--pace", ("x", "0.5", "nan", "inf", "1001")),
    (f"watch --broker {NOWHERE}", "--cluster", ("a/b",)),
]


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [(command, option, value) for command, option, values in OPTIONS for value in values],
    ids=lambda text: text[:40],
)
def test_a_value_that_makes_no_sense_is_refused_in_one_line(
    command: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused([*command.split(), f"{option}={value}"], capsys)
    assert f"argument {option}" in told
    assert len(told) < 900


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("put x", "put takes KEY VALUE, not 'x'"),
        ("put x 1 2", "put takes KEY VALUE, not 'x 1 2'"),
        ("get", "get takes KEY, not nothing"),
        ("status 3", "status takes no arguments"),
        ("hael", "did you mean heal?"),
        ("add-learner x", "'x' is not a node"),
        ("add-learner 0", "'0' is not a node"),
        ("transfer 9223372036854775808", "is not a node"),
        ("remove", "remove takes N"),
        ("change-membership 1,1", "a node appears twice"),
        ("change-membership ,", "'' is not a node"),
        ("partition 1,2 2,3", "node 2 is in two groups"),
        ("partition", "partition takes"),
        ("partition 1 x", "'x' is not a node"),
        ("loss 2", "'2' is not a share"),
        ("loss nan", "'nan' is not a number"),
        ("put x NaN", "NaN is not a JSON number"),
        ("put x [1,Infinity]", "Infinity is not a JSON number"),
        ("put x 1e999", "a number in it is too large"),
        ("put x 99999999999999999999999", "JSON cannot express"),
        ("put x [{}]".format("9" * 5000), "a number in it is too large"),
        (r'put x "\ud800"', "JSON cannot express"),
        ("put x {}".format("[" * 5000 + "]" * 5000), "is nested more than 100 levels deep"),
        ("put x {}".format('{"a":' * 101 + "1" + "}" * 101), "is nested more than 100 levels deep"),
        ("get \udcff", "is not text in UTF-8"),
        ("put x a\0b", "is not text in UTF-8"),
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_words_of_the_client_are_read_before_it_connects(
    given: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(["client", "--broker", NOWHERE, *given.split(" ")], capsys)


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "9" * 5000, ""])
def test_a_number_of_entries_is_a_number(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", ".", f"--entries={number}"])
    assert ended.value.code == 2
    assert "is not a number of entries" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"node --id 1 --broker {NOWHERE} --data x --peers 1,2", "--peers goes with --init"),
        (f"demo --network memory --broker {NOWHERE}", "--network memory has no broker"),
    ],
)
def test_options_that_say_nothing_together_are_refused(
    command: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(command.split(), capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_takes_bytes_that_are_no_text(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not text in UTF-8" in refused([command, "\udcff"], capsys)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ('{"hearbeat_interval": 0.1}', "'hearbeat_interval' is unknown; did you mean heartbeat_interval?"),
        ('{"heartbeat_interval": 9}', "must be below the shortest election timeout, 0.3 s"),
        ('{"heartbeat_interval": "fast"}', "heartbeat_interval"),
        ('{"keep_logs": 1.5}', "keep_logs"),
        ("[1]", "is not a JSON object"),
        ("{", "is not a JSON object"),
        ("[" * 5000, "is not a JSON object"),
    ],
    ids=lambda text: text[:40],
)
def test_a_knob_that_is_none_is_named(knobs: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["node", "--id", "1", "--data", "x", "--broker", NOWHERE, "--config", knobs]
    assert told in refused(command, capsys)


def test_one_knob_leaves_the_others_as_they_are_for_nodes() -> None:
    assert options.config_over(SLOW_NETWORK)('{"keep_logs": 7}') == Config(
        election_timeout=SLOW_NETWORK.election_timeout, heartbeat_interval=SLOW_NETWORK.heartbeat_interval, keep_logs=7
    )


@pytest.mark.parametrize(
    ("command", "name", "why"),
    [
        ("simulate --trace", "nowhere/run.parquet", "No such file or directory"),
        ("simulate --trace", "run.csv", "must end in .parquet or .jsonl"),
        ("simulate --trace", "run", "must end in .parquet or .jsonl"),
        ("simulate --trace", "folder.jsonl", "is not a file"),
        ("simulate --trace", "file.txt/run.jsonl", "Not a directory"),
        ("check --out", "run.jsonl", "must end in .parquet"),
        ("check --out", "nowhere/run.parquet", "cannot be written"),
        ("demo --report", "nowhere/x.html", "cannot be written"),
        ("demo --report", "x.pdf", "must end in .html"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_run(
    command: str, name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "file.txt").touch()
    assert why in refused([*command.split(), str(tmp_path / name)], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder.jsonl"]


def test_a_file_that_can_be_written_is_as_it_was_until_then(tmp_path: Path) -> None:
    read, old, new = options.new_file(".jsonl"), tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_text("kept")
    assert (read(str(old)), read(str(new))) == (old, new)
    assert old.read_text() == "kept"
    assert not new.exists()


@pytest.mark.parametrize(
    "answer",
    [float("nan"), [float("inf")], {"a": float("-inf")}, {1: "x"}, {(1, 2): 3}, {None: 1}, b"\xff", {b"k": {1.5: 2}}],
    ids=str,
)
def test_an_answer_is_always_valid_json(answer: object) -> None:
    json.loads(as_json(answer), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("three", "three"), ("[1, 2]", [1, 2]), ("[[[[", "[[[["), ("", ""), ("null", None)]
)
def test_a_value_is_json_if_it_is_json_and_else_a_text(text: str, value: object) -> None:
    assert value_of(text) == value


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command is refused."""
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(("former", "name"), [("loyalty", "vote_lease"), ("read_beats", "read_sends_heartbeat")])
def test_a_setting_may_still_be_given_by_its_earlier_name(former: str, name: str) -> None:
    read = options.config_over(Config())
    assert getattr(read(f'{{"{former}": false}}'), name) is False
    assert read(f'{{"{former}": false}}') == read(f'{{"{name}": false}}') != Config()
