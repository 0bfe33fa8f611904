"""``pyraft-lab bench``: the speed of the live cluster, the simulator and the explorer on this machine."""

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore
from pyraft_lab.network import broker
from pyraft_lab.runtime.bench import NetworkName, Speed, StorageName, measure, measure_client
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.terminal import options
from pyraft_lab.terminal.peers import PeerSpeed, environment, measure_peer

EXAMPLES = """pyraft-lab bench
pyraft-lab bench --json --seconds 0.5
pyraft-lab bench --peers"""
NETWORKS: tuple[NetworkName, ...] = ("memory", "mqtt")
WAYS: tuple[tuple[NetworkName, StorageName], ...] = tuple(product(NETWORKS, ("memory", "sqlite")))
OUTSTANDING = (1, 64, 4096)
CALLS: tuple[tuple[int, int], ...] = ((1, 1), (64, 1), (4096, 1), (16, 1024))
"""Pairs of concurrent client calls and commands per call."""
PEER_ROUNDS = 5
"""How often peers are measured with each number of writes at once."""
S = TypeVar("S", Speed, PeerSpeed)
ROUNDS = 3
"""How often tracing is measured, on and off in turn; the fastest of each counts, because machines are busy."""


class Figures(Struct, frozen=True, kw_only=True):
    """All results; ``tracing`` is the share of processor time that a full trace adds to a write.

    ``clients`` measures client calls, ``live`` calls of a node's handle, ``peers`` other Rafts: medians of
    ``PEER_ROUNDS`` runs, which take turns with runs of ``clients``.
    """

    clients: tuple[Speed, ...]
    live: tuple[Speed, ...]
    tracing: float
    simulated_steps: float
    explored_worlds: float
    broker: str
    peers: tuple[PeerSpeed, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    chosen = _parser().parse_args(arguments)
    console = Console()
    python = environment() if chosen.peers else None  # before anything is measured
    figures = bench(chosen.seconds)
    if python is not None:
        figures = with_peers(figures, python, chosen.seconds)
    if chosen.json:
        console.print_json(msgspec.json.encode(figures).decode())
    else:
        console.print(*_tables(figures), sep="\n")
    return options.OVER


def bench(seconds: float) -> Figures:
    """All results on this machine; each run takes ``seconds``."""
    called = (
        asyncio.run(measure_client(network=network, outstanding=outstanding, batch=batch, seconds=seconds))
        for network, (outstanding, batch) in product(NETWORKS, CALLS)
    )
    live = (
        asyncio.run(measure(network=network, storage=storage, outstanding=outstanding, seconds=seconds))
        for (network, storage), outstanding in product(WAYS, OUTSTANDING)
    )
    return Figures(
        clients=tuple(called),
        live=tuple(live),
        tracing=tracing(seconds),
        simulated_steps=simulated_steps(seconds),
        explored_worlds=explored_worlds(),
        broker="mosquitto" if broker.mosquitto() else "embedded",
    )


def with_peers(figures: Figures, python: Path, seconds: float) -> Figures:
    """The figures with those of peers, and with our client's measured in turn with them."""
    ours: list[Speed] = []
    theirs: list[PeerSpeed] = []
    for outstanding in OUTSTANDING:
        pairs = [
            (
                asyncio.run(measure_client(outstanding=outstanding, seconds=seconds)),
                measure_peer(python, outstanding=outstanding, seconds=seconds),
            )
            for _ in range(PEER_ROUNDS)
        ]
        ours.append(median_of([our for our, _ in pairs]))
        theirs.append(median_of([their for _, their in pairs]))
    measured = {(one.network, one.outstanding, one.batch): one for one in ours}
    clients = tuple(measured.get((one.network, one.outstanding, one.batch), one) for one in figures.clients)
    return replace(figures, clients=clients, peers=tuple(theirs))


def median_of(runs: Sequence[S]) -> S:
    """The run with the median number of writes."""
    return sorted(runs, key=lambda run: run.writes)[len(runs) // 2]


def tracing(seconds: float) -> float:
    """The share of processor time that a full trace adds to a write."""
    runs = [
        (
            asyncio.run(measure(level="off", seconds=seconds)).cpu,
            asyncio.run(measure(level="full", seconds=seconds)).cpu,
        )
        for _ in range(ROUNDS)
    ]
    return min(full for _, full in runs) / min(off for off, _ in runs) - 1


def simulated_steps(seconds: float) -> float:
    """Steps per second of a simulated cluster of five servers with writes."""
    sim = Simulation(nodes=5, seed=1, record=False)
    sim.run_until(lambda s: s.leader, timeout=30)
    end, steps, began = time.perf_counter() + seconds, 0, time.perf_counter()
    while time.perf_counter() < end:
        sim.write({"op": "incr", "key": "x"})
        for _ in range(50):
            sim.step()
        steps += 50
    return steps / (time.perf_counter() - began)


def explored_worlds() -> float:
    """States per second that the explorer visits: three servers with two election timeouts."""
    began = time.perf_counter()
    return explore(3, bounds=Bounds(timeouts=2)).worlds / (time.perf_counter() - began)


def _tables(figures: Figures) -> Iterator[Table | str]:
    table = Table(title=f"committed writes of 100 bytes, three nodes in one process (MQTT: {figures.broker})")
    for column in ("call", "network", "storage", "at once", "writes/s", "p50 ms", "p99 ms", "CPU µs"):
        table.add_column(column, justify="left" if column in {"call", "network", "storage"} else "right")
    for one in (*figures.clients, *figures.live):
        table.add_row(
            one.call,
            one.network,
            one.storage,
            f"{one.outstanding:,}",
            f"{one.writes:,.0f}",
            f"{one.p50:.2f}",
            f"{one.p99:.2f}",
            f"{one.cpu:.0f}",
        )
    for peer in figures.peers:
        speed = (f"{peer.outstanding:,}", f"{peer.writes:,.0f}", f"{peer.p50:.2f}", "", f"{peer.cpu:.0f}")
        table.add_row(peer.peer, "tcp", "memory", *speed)
    yield table
    yield f"a full trace adds      {figures.tracing:.0%} to a write's processor time"
    yield f"simulated cluster of 5 {figures.simulated_steps:,.0f} steps/s"
    yield f"explorer               {figures.explored_worlds:,.0f} states/s"


def _parser() -> argparse.ArgumentParser:
    parser = options.parser("bench", "Throughput and latency on this machine, and the cost of tracing.", EXAMPLES)
    parser.add_argument(
        "--seconds", type=options.seconds, default=1.0, metavar="S", help="how long each run takes (default 1)"
    )
    parser.add_argument(
        "--peers", action="store_true", help="measure PySyncObj in turn, in an environment of its own (installs it)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
