"""Records of several nodes in one order, whatever their clocks say."""

import asyncio
import time
from collections.abc import Callable

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.network import broker
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.trace_stream import HELLO, MAX_WAIT, TRACE_EXPIRY, Merger, Publisher
from pyraft_lab.trace.record import Kind, Record
from pyraft_lab.trace.trace import Trace


def record(id: int, node: int, time: float, cause: int | None = None) -> Record:
    return Record(id=id, node=node, time=time, kind=Kind.RECEIVE, cause=cause)


def test_an_effect_waits_for_its_cause() -> None:
    merger = Merger()
    merger.add([record(20, node=2, time=5.0, cause=10)], now=0.0)
    assert merger.take(now=0.0) == []
    merger.add([record(10, node=1, time=4.0)], now=0.1)
    assert [one.id for one in merger.take(now=0.1)] == [10, 20]


def test_a_clock_that_is_behind_is_put_forward() -> None:
    merger = Merger()
    merger.add([record(10, node=1, time=100.0)], now=0.0)
    merger.add([record(20, node=2, time=3.0, cause=10), record(21, node=2, time=3.5)], now=0.0)
    assert [(one.id, one.time) for one in merger.take(now=0.0)] == [(10, 100.0), (20, 100.0), (21, 100.5)]


def test_a_cause_that_never_comes_holds_nobody_up() -> None:
    merger = Merger()
    merger.add([record(20, node=2, time=5.0, cause=10)], now=0.0)
    assert [one.id for one in merger.take(now=MAX_WAIT + 0.01)] == [20]


@pytest.mark.usefixtures("each_broker")
async def test_a_trace_follows_a_cluster_that_runs_elsewhere() -> None:
    with broker.start() as running:
        network = MqttNetwork(running.url)
        publisher = Publisher(1, network)
        raft = Raft(1, config=Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03), observers=[publisher])
        publishing = asyncio.create_task(publisher.run())
        await raft.start()
        await raft.initialize({1})
        await raft.wait(10).role("leader")
        trace = await asyncio.to_thread(Trace.follow, running.url, "demo")
        with trace:
            while not any(one.kind == "propose" for one in trace.records):
                await raft.client_write({"op": "incr", "key": "x"})
                await asyncio.sleep(0.05)
        publishing.cancel()
        await asyncio.wait([publishing])
        await raft.shutdown()
    assert trace.states.iloc[-1].role == "leader"
    assert (trace.events.time.diff().dropna() >= 0).all()


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.02)


class Clock:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


async def test_a_followed_trace_says_what_it_missed_and_drops_what_a_stranger_publishes() -> None:
    with broker.start() as running:
        network, clock = MqttNetwork(running.url), Clock()
        publisher = Publisher(1, network, now=clock)
        raft = Raft(1, config=Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03), observers=[publisher])
        publishing = asyncio.create_task(publisher.run())
        await raft.start()
        await raft.initialize({1})
        await raft.wait(10).role("leader")
        trace = await asyncio.to_thread(Trace.follow, running.url, "demo")
        with trace:
            while not any(one.kind == "propose" for one in trace.records):
                await raft.client_write({"op": "incr", "key": "x"})
                await asyncio.sleep(0.05)
            clock.ahead += (
                TRACE_EXPIRY + HELLO
            )  # the node thinks that nobody follows, until it hears the next sign of life
            await raft.client_write_many([{"op": "incr", "key": "x"}] * 5)
            for garbage in (b"", b"hello", bytes(100)):
                trace.publish("1/trace", garbage)
            trace.publish("nobody/trace", b"hello")
            while trace.gaps.empty or trace.unreadable < 4:
                await raft.client_write({"op": "incr", "key": "x"})
                await asyncio.sleep(0.05)
            last = (await raft.client_write({"op": "incr", "key": "x"})).log_id.index
            async with asyncio.timeout(20):
                await asyncio.to_thread(until, lambda: trace.states.iloc[-1].commit >= last)
        publishing.cancel()
        await asyncio.wait([publishing])
        await raft.shutdown()
    assert set(trace.gaps.node) == {1}
    assert trace.gaps["count"].sum() > 5
    entries = trace.entries
    assert list(entries["index"]) == list(range(1, last + 1)), "the log is whole again"
    assert entries[entries["index"] < last].committed.notna().all()
