"""What a broker costs: a request of 1 kB and its answer through each of them: ``python -m tests.bench.brokers``.

Two clients as nodes have them, in this process, one request under way at a time. Printed are the processor's time of
all processes for one request, this one's and the broker's, the least of the rounds; and the median round trip, the
least of the rounds too: other programs of the machine can only add to both.

mosquitto and the embedded broker run as :mod:`pyraft_lab.network.broker` runs them, iotcore as its own command does.
A broker that is not installed is said to be skipped (``pip install iotcore==0.4.0``). moat-lib-mqtt is not tried: it
speaks MQTT 5 only, and nodes speak 3.1.1, as every other broker does.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Literal

import aiomqtt
from msgspec import Struct

from pyraft_lab.network.broker import free_port, mosquitto, start
from pyraft_lab.network.connection import cancellable
from pyraft_lab.network.mqtt import MqttNetwork

REQUEST, ANSWER = b"q" * 1000, b"a" * 32
TICK = os.sysconf("SC_CLK_TCK")
QoS = Literal[0, 1]


class Served(Struct, frozen=True):
    """A broker that runs: what clients connect to, and its process."""

    url: str
    pid: int


class Cost(Struct, frozen=True):
    """Seconds of the processor and of the clock for one request and its answer."""

    cpu: float
    trip: float


@contextmanager
def own(kind: Literal["mosquitto", "embedded"]) -> Iterator[Served]:
    with start(kind=kind) as broker:
        yield Served(broker.url, broker.pid)


@contextmanager
def iotcore() -> Iterator[Served]:
    port = free_port()
    command = (sys.executable, "-m", "iotcore", "--listen", "127.0.0.1", "--port", str(port), "--log-level", "CRITICAL")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until_it_accepts(port)
            yield Served(f"mqtt://127.0.0.1:{port}", process.pid)
        finally:
            process.kill()


def until_it_accepts(port: int, *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody accepts connections at port {port} within {seconds:g} s")


def candidates() -> Mapping[str, Callable[[], AbstractContextManager[Served]] | None]:
    """How to start each of them; ``None`` for one that is not installed."""
    return {
        "mosquitto": (lambda: own("mosquitto")) if mosquitto() else None,
        "embedded": lambda: own("embedded"),
        "iotcore": iotcore if find_spec("iotcore") else None,
    }


def spent(pid: int) -> float:
    """Seconds of the processor that a process has taken, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def measure(served: Served, qos: QoS, seconds: float) -> Cost:
    """One request after another for so long."""
    network = MqttNetwork(served.url, qos=qos)
    answered = asyncio.Event()
    asked = asyncio.Event()
    trips: list[float] = []
    async with (
        network.connect("one", lambda _: answered.set()) as one,
        network.connect("other", lambda _: asked.set()) as other,
        asyncio.TaskGroup() as group,
    ):
        await one.subscribe("bench/one", qos)
        await other.subscribe("bench/other", qos)
        answering = group.create_task(answer(other, asked, qos))
        cpu, began = spent(served.pid) + time.process_time(), time.perf_counter()
        while time.perf_counter() < began + seconds:
            left = time.perf_counter()
            answered.clear()
            await asyncio.gather(one.publish("bench/other", REQUEST, qos), answered.wait())
            trips.append(time.perf_counter() - left)
        cost = Cost((spent(served.pid) + time.process_time() - cpu) / len(trips), median(trips))
        answering.cancel()
    return cost


async def answer(client: aiomqtt.Client, asked: asyncio.Event, qos: QoS) -> None:
    while True:
        await asked.wait()
        asked.clear()
        await cancellable(client.publish("bench/one", ANSWER, qos))


def main(rounds: int = 3, seconds: float = 2.0) -> int:
    """Print a line for each broker, and 0: there is nothing to fail."""
    there = {name: run for name, run in candidates().items() if run is not None}
    costs: dict[tuple[str, QoS], list[Cost]] = {}
    for _ in range(rounds):
        for name, run in there.items():
            with run() as served:
                for qos in (0, 1):
                    costs.setdefault((name, qos), []).append(asyncio.run(measure(served, qos, seconds)))
    for name in candidates():
        sys.stdout.write(f"{name:<18}{told(costs, name) if name in there else '  skipped: not installed'}\n")
    return 0


def told(costs: Mapping[tuple[str, QoS], list[Cost]], name: str) -> str:
    """The least cost at both qualities of service.

    >>> told({("m", 0): [Cost(0.0005, 0.001)], ("m", 1): [Cost(0.0007, 0.002)]}, "m")
    '  QoS 0:   500 µs, 1.0 ms   QoS 1:   700 µs, 2.0 ms'
    """
    parts = []
    for qos in (0, 1):
        runs = costs[name, qos]
        cpu, trip = min(run.cpu for run in runs), min(run.trip for run in runs)
        parts.append(f"  QoS {qos}: {cpu * 1e6:5.0f} µs, {trip * 1e3:.1f} ms")
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
