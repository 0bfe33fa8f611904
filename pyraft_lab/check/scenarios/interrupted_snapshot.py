"""Interrupted snapshots: a transfer in chunks does not go to its end undisturbed (§7, Figure 13).

A follower was down while the others went on, each with a snapshot of its own, and purged their logs. When some of the
leader's snapshot has arrived, and before all of it has, something happens::

    replaced      ──▶ the leader builds newer snapshots meanwhile
    other leader  ──▶ the leader is cut off, and the next one sends another snapshot
    late chunks   ──▶ chunks and answers arrive twice, late, and in any order
    restarted     ──▶ the follower restarts, and has nothing of it
    silent        ──▶ the answers are lost, until the leader keeps nothing for it any more
    overtaken     ──▶ the follower builds a snapshot itself, and a later one arrives before it has

In the end everything is healed, and the follower must get there.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.messages import SnapshotRequest, SnapshotResponse
from pyraft_lab.engine.state import SendSnapshot
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import Timeout
from pyraft_lab.sim.conditions import Purpose, Weather, chance
from pyraft_lab.sim.simulation import Simulation

CLIENT = 1
KEYS = 5
LENGTH = 60
"""Characters of each value: the snapshot takes several chunks."""
BUSY = 0.3
"""Virtual seconds in which clients go on writing after the interruption."""
SLOW_DISK = (0.05, 0.1)
"""So slow that a snapshot arrives before the follower's own is built."""
LONGEST = 2.0
"""Virtual seconds until something that must happen first has happened."""


class InterruptedSnapshotScenario(Struct, frozen=True):
    """One such transfer; the seed says who lags, and what happens."""

    def run(self, sim: Simulation) -> None:
        """Run it; where no transfer comes about, nothing is interrupted."""
        weather, leader = sim.weather, sim.run_until(lambda s: s.leader)
        assert leader is not None, "run_until waits for one"
        name = list(_ACTS)[int(chance(sim.seed, Purpose.FAULT, 4, 0) * len(_ACTS))]
        lagging = next(node for node in sim.nodes if node != leader)
        self._write(sim, 2)
        if name == "overtaken":  # it keeps in memory what it has applied
            sim.partition({lagging}, set(sim.nodes) - {lagging})
        else:
            sim.crash(lagging)
        for node in sim.nodes:
            self._write(sim, 3)
            if sim.nodes[node].up and node != lagging:
                sim.snapshot(node)
                sim.run(0.05)
                sim.purge(node, sim.nodes[node].state.snapshot_last.index)
        sim.heal()
        if not sim.nodes[lagging].up:
            sim.restart(lagging)
        with suppress(Timeout):
            sim.run_until(lambda s: _is_arriving(s, lagging), timeout=LONGEST)
        if sim.leader is not None and not sim.violations:
            _ACTS[name](sim, sim.leader, lagging)
        self._end(sim, weather)

    def _write(self, sim: Simulation, count: int) -> None:
        """Write some values, one after the other."""
        for number in range(count):
            key, value = f"x{number % KEYS}", f"{sim.world.events} ".ljust(LENGTH, ".")
            call = sim.write({"op": "put", "key": key, "value": value}, client=CLIENT)
            with suppress(Timeout):
                sim.run_until(lambda _, call=call: call.done, timeout=LONGEST)  # type: ignore[misc]

    def _end(self, sim: Simulation, weather: Weather) -> None:
        """Heal everything, and let clients write and read on."""
        sim.weather = weather
        sim.heal()
        for node in sim.nodes:
            if not sim.nodes[node].up:
                sim.restart(node)
        until = sim.now + BUSY
        while sim.now < until and not sim.violations:
            sim.write({"op": "append", "key": "y", "value": "a"}, client=CLIENT)
            sim.read("y", client=CLIENT + 1)
            sim.run(BUSY / 10)


def _is_arriving(sim: Simulation, node: NodeId) -> bool:
    """Whether a part of a snapshot has arrived at a server, its leader knows that, and more is to come."""
    incoming, leader = sim.nodes[node].state.incoming, sim.leader
    progress = None if leader is None else sim.nodes[leader].state.progress_of(node)
    if incoming is None or progress is None or not isinstance(progress.state, SendSnapshot):
        return False
    return 0 < progress.state.offset <= incoming.offset < incoming.meta.size


def _replaced(sim: Simulation, leader: NodeId, _lagging: NodeId) -> None:
    for number in range(3):
        sim.write({"op": "put", "key": f"z{number}", "value": number}, client=CLIENT)
        sim.run(0.02)
        if sim.nodes[leader].up:
            sim.snapshot(leader)


def _other_leader(sim: Simulation, leader: NodeId, lagging: NodeId) -> None:
    sim.partition({leader}, set(sim.nodes) - {leader})
    with suppress(Timeout):
        sim.run_until(lambda s: s.leader not in (leader, None), timeout=LONGEST)
        sim.run_until(lambda s: _is_arriving(s, lagging), timeout=0.1)
    sim.heal()
    sim.run(0.01)


def _late_chunks(sim: Simulation, _leader: NodeId, _lagging: NodeId) -> None:
    for number in range(12):
        parts = [one for one in sim.flying if isinstance(one.message, (SnapshotRequest, SnapshotResponse))]
        for place, flight in enumerate(parts[-2:]):
            copy = sim.duplicate(flight.id).sent[0].id
            sim.delay(copy, 0.002 + 0.05 * chance(sim.seed, Purpose.FAULT, 5, 2 * number + place))
        sim.run(0.004)


def _restarted(sim: Simulation, _leader: NodeId, lagging: NodeId) -> None:
    _late_chunks(sim, _leader, lagging)
    sim.crash(lagging)
    sim.run(0.01)
    sim.restart(lagging)


def _silent(sim: Simulation, leader: NodeId, lagging: NodeId) -> None:
    sim.cut(lagging, leader)
    for _ in range(25):
        sim.run(0.1)
        if sim.nodes[leader].up:
            sim.snapshot(leader)
            sim.write({"op": "put", "key": "w", "value": sim.world.events}, client=CLIENT)
    sim.heal()


def _overtaken(sim: Simulation, leader: NodeId, lagging: NodeId) -> None:
    for _ in range(200):
        incoming = sim.nodes[lagging].state.incoming
        if incoming is None or incoming.meta.size - incoming.offset <= sim.nodes[lagging].state.config.snapshot_chunk:
            break
        sim.run(0.001)
    sim.weather = replace(sim.weather, disk=SLOW_DISK)
    if sim.nodes[lagging].up:
        sim.snapshot(lagging)
    _replaced(sim, leader, lagging)


_ACTS: Mapping[str, Callable[[Simulation, NodeId, NodeId], None]] = {
    "replaced": _replaced,
    "other leader": _other_leader,
    "late chunks": _late_chunks,
    "restarted": _restarted,
    "silent": _silent,
    "overtaken": _overtaken,
}
