"""What a trace, its files and its followers are given is checked before any work, in words."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyraft_lab import ConfigError, PyraftError, Simulation, Trace
from pyraft_lab.errors import RecordNotFound
from tests.absurd import DEEP


@pytest.fixture(scope="module")
def trace() -> Trace:
    sim = Simulation(nodes=3, seed=7)
    sim.run(0.5)
    return sim.trace


@pytest.mark.parametrize("name", ["run.txt", "run", "missing/run.jsonl", "missing/run.parquet", "", None, 5])
def test_a_trace_is_saved_only_where_it_can_be(trace: Trace, tmp_path: Path, name: Any) -> None:
    with pytest.raises(PyraftError, match="path="):
        trace.save(tmp_path / name if isinstance(name, str) else name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["run.txt", "missing.jsonl", "missing.parquet", None, 5])
def test_a_trace_is_loaded_only_from_a_file_of_one(tmp_path: Path, name: Any) -> None:
    with pytest.raises(PyraftError, match="path="):
        Trace.load(tmp_path / name if isinstance(name, str) else name)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:0],
        lambda data: b"hello" + data[:0],
        lambda data: data[: len(data) // 2],
        lambda data: b"\n".join([*data.split(b"\n")[:5], *data.split(b"\n")[7:]]),
        lambda data: b"\n".join(data.split(b"\n")[:-3]) + b"\n",
    ],
    ids=["empty", "no trace", "cut", "lines missing", "end missing"],
)
def test_a_damaged_file_is_refused(trace: Trace, tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]) -> None:
    path = trace.save(tmp_path / f"run{suffix}")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(PyraftError, match="run"):
        Trace.load(path)


def test_a_frame_in_parquet_is_no_trace(trace: Trace, tmp_path: Path) -> None:
    trace.events.to_parquet(tmp_path / "events.parquet")
    with pytest.raises(PyraftError, match="is not a trace file"):
        Trace.load(tmp_path / "events.parquet")


def test_a_file_without_count_and_checksum_is_read(trace: Trace, tmp_path: Path) -> None:
    path = trace.save(tmp_path / "run.jsonl")
    _, *lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([b'{"format":"pyraft-lab trace 2"}', *lines]))
    assert Trace.load(path).records == trace.records


@pytest.mark.parametrize("broker", ["", "localhost", "http://localhost", "mqtt://localhost:99999", None, 5])
def test_only_a_broker_is_followed(broker: Any) -> None:
    with pytest.raises(PyraftError):
        Trace.follow(broker, "demo")


@pytest.mark.parametrize("cluster", ["", "a/b", "#", None, 5])
def test_only_a_cluster_with_a_name_is_followed(cluster: Any) -> None:
    with pytest.raises(PyraftError, match="cluster"):
        Trace.follow("mqtt://127.0.0.1:1", cluster)


@pytest.mark.parametrize("limit", [-1, 1.5, "5", True, 2**70, int])
def test_a_ring_has_a_whole_number_of_places(limit: Any) -> None:
    with pytest.raises(PyraftError, match="limit"):
        Trace(limit=limit)


@pytest.mark.parametrize("records", [5, [5], "records", range(10**12)])
def test_a_trace_is_made_of_records(records: Any) -> None:
    with pytest.raises(PyraftError, match="records"):
        Trace(records)


@pytest.mark.parametrize(
    "window", [("x", None), (None, math.nan), (3.0, 1.0), (True, None), (10**400, None), (None, float)]
)
def test_a_story_has_a_window_in_seconds(trace: Trace, window: tuple[Any, Any]) -> None:
    with pytest.raises(PyraftError, match="st"):
        trace.story(*window)


@pytest.mark.parametrize("name", [None, "", "event", 1, [], DEEP])
def test_a_table_is_one_of_those_that_there_are(trace: Trace, name: Any) -> None:
    with pytest.raises(ConfigError, match="name"):
        trace.table(name)


@pytest.mark.parametrize("what", ["x", "\ud800", math.nan, -1.5, DEEP, {}])
def test_a_question_is_about_a_record(trace: Trace, what: Any) -> None:
    for ask in (trace.why, trace.why_not):
        with pytest.raises(PyraftError):
            ask(what)


@pytest.mark.parametrize("events", ["x", None, 1.5, -1, DEEP])
def test_a_copy_ends_after_a_number_of_events(trace: Trace, events: Any) -> None:
    with pytest.raises(ConfigError, match="events"):
        trace.copy(events)


def test_a_record_is_found_by_its_number_only(trace: Trace) -> None:
    with pytest.raises(RecordNotFound):
        trace.record(DEEP)
