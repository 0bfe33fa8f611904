"""Costs as counts, which no other program of the machine changes: calls of functions per event, and how they grow."""

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from cProfile import Profile
from pstats import Stats

import pytest

from pyraft_lab.engine.commands import Append
from pyraft_lab.engine.events import Boot, Fire
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.state import Leader, Step
from pyraft_lab.engine.timers import HEARTBEAT, retry
from pyraft_lab.engine.types import LogId
from pyraft_lab.runtime.recorder import Recorder
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import Record
from pyraft_lab.trace.tables import PIECE, table_of
from tests.bench.scale import Engines, Run, log_of, sessions_of


class Calls:
    """How often each function was called while ``act`` ran."""

    def __init__(self, act: Callable[[], object]) -> None:
        profile = Profile()
        profile.runcall(act)
        stats: dict[tuple[str, int, str], tuple[int, ...]] = vars(Stats(profile))["stats"]
        self._counts = [(file, name, counts[1]) for (file, _, name), counts in stats.items()]

    @property
    def all(self) -> int:
        """All calls, of Python's own functions too."""
        return sum(count for _, _, count in self._counts)

    def of(self, module: str, name: str) -> int:
        """The calls of one function of a module."""
        return sum(
            count for file, function, count in self._counts if file.endswith(f"{module}.py") and function == name
        )

    def of_own(self, name: str) -> int:
        """The calls of one of Python's own functions."""
        return sum(count for _, function, count in self._counts if name in function)


EVENTS = 1_000


@pytest.fixture(scope="module")
def run() -> Run:
    """A recorded and checked run with a write every 50 events."""
    return Run.of(record=True)


@pytest.fixture(scope="module")
def early(run: Run) -> Calls:
    """The calls of its first thousand events."""
    return Calls(lambda: run.events(EVENTS))


@pytest.fixture(scope="module")
def late(run: Run, early: Calls) -> Calls:
    """The calls of a thousand events after some more."""
    assert early.all, "they come first"
    run.events(4 * EVENTS)
    return Calls(lambda: run.events(EVENTS))


def test_an_event_looks_the_membership_up_at_most_three_times(early: Calls) -> None:
    assert 0 < early.of("engine/state", "membership") <= 3 * EVENTS
    assert 0 < early.of("engine/log", "entry") <= 4 * EVENTS


def test_an_event_makes_few_calls(early: Calls) -> None:
    assert early.all <= 225 * EVENTS, "380 before membership, leases and memories of checks were found at once"


def test_an_event_asks_seldom_of_what_class_a_value_is(early: Calls) -> None:
    assert early.of_own("isinstance") <= 20 * EVENTS, "a struct takes four times as long as other classes to say no"


def test_only_randomized_timers_draw_a_random_number(early: Calls) -> None:
    set_timers, draws = early.of("sim/server", "_set_timer"), early.of("sim/transition", "draw")
    sent = early.of("sim/transition", "send")
    assert draws < set_timers / 2 + 2 * sent


def test_an_event_costs_the_same_late_in_a_run(early: Calls, late: Calls) -> None:
    assert 0.9 < late.all / early.all < 1.1


def test_a_write_costs_no_more_because_many_others_wait() -> None:
    assert burst(600) < burst(100), "1.6 times as much before what waits was found by its number"


def burst(writes: int) -> float:
    """Calls for each of ``writes`` writes that a client asks for at once, until they are done."""
    sim = Simulation(nodes=3, seed=7, record=False, checks=())
    sim.run_until(lambda s: s.leader)
    calls = [sim.write({"op": "incr", "key": "x"}) for _ in range(writes)]
    found = Calls(lambda: sim.run_until(lambda _: calls[-1].done))
    assert all(call.ok for call in calls)
    return found.all / writes


def test_a_committed_entry_costs_the_same_after_a_long_log() -> None:
    short, long = (Calls(Engines(3, entries).write).all for entries in (300, 30_000))
    assert 0.9 < long / short < 1.1


def test_a_log_shares_all_but_its_last_chunk_with_the_log_before() -> None:
    before = log_of(3, 30_000)
    after = before.append((Entry(LogId(1, 1, before.last.index + 1), Normal(b"x")),))
    assert [a is b for a, b in zip(before.chunks, after.chunks, strict=True)].count(False) == 1


def test_a_command_that_is_applied_to_a_fork_copies_no_sessions() -> None:
    apply = sessions_of(20_000)
    tracemalloc.start()
    try:
        apply()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000, "bytes; all sessions are some megabytes"


def test_fifty_one_nodes_take_as_many_calls_a_node_as_five() -> None:
    calls = {}
    for nodes in (5, 51):
        engines = Engines(nodes)
        engines.write()
        first = engines.events
        found = Calls(engines.write)
        calls[nodes] = found.all / (engines.events - first)
    assert calls[51] < 2 * calls[5], "what a leader does for each peer at every answer is small"


# What is made and kept


def steps(sim: Simulation) -> Iterator[Step]:
    """The steps of a run."""
    return (record.step for record in sim.trace.records if record.step is not None)


def test_a_heartbeat_that_changes_nothing_keeps_the_role_it_had() -> None:
    sim = Simulation(nodes=3, seed=7)
    sim.run_until(lambda s: s.leader)
    sim.run(1)
    followed = [step for step in steps(sim) if step.before.leader and step.before.leader == step.after.leader]
    same = [step.before.role is step.after.role for step in followed if not isinstance(step.after.role, Leader)]
    assert sum(same) > 0.9 * len(same) > 10


def test_a_step_that_is_not_notable_is_left_out_before_its_messages_are_recorded() -> None:
    recorder = Recorder([list[Record]().append], level="protocol")
    sim = Simulation(nodes=3, seed=7)
    sim.run_until(lambda s: s.leader)
    sim.run(0.5)
    routine = [
        step for step in steps(sim) if isinstance(step.event, Fire) and step.event.timer in (HEARTBEAT, retry(2))
    ]
    assert routine
    assert all(recorder.leaves_out(step, 1) for step in routine)
    assert not recorder.leaves_out(next(step for step in steps(sim) if isinstance(step.event, Boot)), 2)
    assert Recorder().leaves_out(routine[0], 1), "nobody observes"


def test_values_of_the_engine_are_no_work_for_the_garbage_collector() -> None:
    entry = Entry(LogId(1, 1, 1), Normal(b"x"))
    engines = Engines(3)
    engines.write()
    state = engines.states[1]
    assert not any(map(gc.is_tracked, (entry, Append((entry,)), state, state.role, state.disk, state.log)))


def kept_by(act: Callable[[], object]) -> tuple[int, int]:
    """Bytes that remain after ``act``, and objects that the garbage collector visits from now on."""
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()
    try:
        act()
        gc.collect()
        return tracemalloc.get_traced_memory()[0], len(gc.get_objects()) - objects
    finally:
        tracemalloc.stop()


def test_a_recorded_event_keeps_little_and_leaves_the_garbage_collector_nothing_to_visit() -> None:
    run = Run.of(record=True)
    run.events(EVENTS)
    size, objects = kept_by(lambda: run.events(2 * EVENTS))
    assert size < 1_350 * 2 * EVENTS, "a sixth more before there were half as many checkpoints"
    assert objects < 2 * EVENTS, "3.7 an event when records, steps and past actions were among them"


def test_a_table_packs_its_rows_before_it_reads_the_next_records() -> None:
    records = Simulation(nodes=3, seed=7).trace.records * (2 * PIECE)
    tracemalloc.start()
    try:
        table = table_of("events", records)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table) == len(records) > 5 * PIECE
    assert most < 290 * len(records), "bytes a row; 344 with the rows of all records at once"


def test_a_simulation_starts_without_files_capsules_and_stories() -> None:
    program = "import sys; from pyraft_lab import Simulation; Simulation(nodes=3).run(0.2); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    heavy = ("sim.capsule", "sim.rebuild", "trace.files", "trace.story", "check")
    assert [name for name in heavy if f"pyraft_lab.{name}" in loaded] == []
    assert "pyraft_lab.sim.simulation" in loaded
