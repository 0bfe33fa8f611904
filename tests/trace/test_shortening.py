"""A published line of a large command is short, and the same on every node."""

import pytest

from pyraft_lab.command import unseal
from pyraft_lab.engine.log import Log, Normal
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.files import Reader, Writer
from pyraft_lab.trace.record import Record, gap
from pyraft_lab.trace.shortening import LARGE, ShortWriter

BIG = "v" * (1 << 20)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """A run in which a large value is written, and a server that was away gets it later."""
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader, timeout=30)
    sim.write({"op": "put", "key": "x", "value": BIG})
    sim.write({"op": "put", "key": "y", "value": "small"})
    sim.run(2.0)
    return list(sim.trace.records)


def commands(log: Log) -> list[object]:
    """The commands of all clients in a log; each client's may be in a batch."""
    told = [unseal(entry.payload.data)[0] for entry in log if isinstance(entry.payload, Normal)]
    return [command for one in told for command in (one if isinstance(one, list) else [one])]


def test_lines_with_a_large_command_are_short_and_can_be_read(records: list[Record]) -> None:
    writer, reader = ShortWriter(), Reader()
    read = [reader.record(line) for line in map(writer.line, records) if len(line) < LARGE]
    assert len(read) == len(records)
    assert [one.kind for one in read] == [one.kind for one in records]
    logs = {one.node: one.after.log for one in read if one.after is not None}
    assert len(logs) == 3
    short = {"op": "put", "key": "x", "value": f"{len(BIG) + 5} bytes"}
    assert all(commands(log) == [short, {"op": "put", "key": "y", "value": "small"}] for log in logs.values())


def test_a_full_state_is_short_as_well(records: list[Record]) -> None:
    last = next(one for one in reversed(records) if one.step is not None)
    assert len(Writer().line(gap(1, node=last.node, time=0.0, count=0, state=last.after))) > len(BIG)
    assert len(ShortWriter().line(gap(1, node=last.node, time=0.0, count=0, state=last.after))) < LARGE


def test_small_commands_are_written_as_ever() -> None:
    sim = Simulation(nodes=3, seed=2)
    sim.run_until(lambda s: s.leader, timeout=30)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(1.0)
    writer, short = Writer(), ShortWriter()
    assert [writer.line(one) for one in sim.trace.records] == [short.line(one) for one in sim.trace.records]
