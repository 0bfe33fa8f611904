"""Hooks of the application run where they were registered, hold nothing up, and stop nothing."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.machine import Counter
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.trace.record import Record

ALONE = Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03)


async def led(raft: Raft) -> Raft:
    """A node that leads itself."""
    await raft.start()
    await raft.initialize({1})
    await raft.wait(20).role("leader")
    return raft


async def test_a_hook_of_a_clusters_node_may_use_the_queue_of_the_loop_it_was_registered_on() -> None:
    told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    async with LocalCluster(3) as cluster:
        leader = await cluster.wait_leader(20)
        for raft in cluster.nodes.values():
            raft.on_leader_change(
                lambda now: told.put_nowait(("start", now.id)), lambda now: told.put_nowait(("stop", now.id))
            )
        assert await asyncio.wait_for(told.get(), 20) == ("start", leader)
    assert await asyncio.wait_for(told.get(), 20) == ("stop", leader)


async def test_each_kind_of_hook_runs_on_the_thread_it_was_registered_in() -> None:
    here, where = threading.get_ident(), set[int]()
    async with LocalCluster(1) as cluster:
        await cluster.wait_leader(20)
        done = asyncio.Event()

        def note(*_: object) -> None:
            where.add(threading.get_ident())

        async def note_and_tell(*_: object) -> None:
            note()
            done.set()

        cluster.raft(1).on_leader_change(note, note)
        cluster.raft(1).on_cluster_leader_change(note_and_tell)
        await asyncio.wait_for(done.wait(), 20)
    assert where == {here}


def test_a_hook_registered_where_no_loop_runs_has_a_thread_of_its_own() -> None:
    seen, places = threading.Event(), list[int]()

    def start(_: Metrics) -> None:
        places.append(threading.get_ident())
        seen.set()

    with LoopThread("the node's own") as thread:
        raft = Raft(1, config=ALONE, machine=Counter())
        raft.on_leader_change(start, lambda _: None)
        thread.home.submit(led(raft)).result(20)
        assert seen.wait(20)
        homes = thread.home.call(threading.get_ident)
        thread.home.submit(raft.shutdown()).result(20)
    assert not {homes, threading.get_ident()} & set(places)


async def test_a_hook_that_takes_long_holds_up_no_heartbeat() -> None:
    config = Config(election_timeout=(1.0, 2.0))
    async with LocalCluster(3, config=config) as cluster:
        leader = await cluster.wait_leader(20)
        term, entered = cluster.metrics[leader].term, threading.Event()
        leave = threading.Event()

        def start(_: Metrics) -> None:
            entered.set()
            leave.wait(20)

        await asyncio.to_thread(cluster.raft(leader).on_leader_change, start, lambda _: None)
        assert await asyncio.to_thread(entered.wait, 20)
        follower = next(raft for node, raft in cluster.nodes.items() if node != leader)
        for _ in range(3):
            await cluster.client.write({"op": "incr", "key": "x"})
            await follower.wait(20).leader(leader)
        assert cluster.metrics[leader].term == term
        leave.set()


Register = Callable[[Raft, Callable[..., None]], None]
HOOKS: dict[str, Register] = {
    "start": lambda raft, bad: raft.on_leader_change(bad, lambda _: None),
    "stop": lambda raft, bad: raft.on_leader_change(lambda _: None, bad),
    "succession": lambda raft, bad: raft.on_cluster_leader_change(bad),
}


@pytest.mark.parametrize("kind", HOOKS)
async def test_a_hook_that_raises_is_logged_with_its_name_and_stops_nothing(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(*_: object) -> None:
        raise ValueError("a bug of the application")

    raft = Raft(1, config=ALONE, machine=Counter())
    HOOKS[kind](raft, faulty)
    await led(raft)
    assert (await raft.client_write(1)).value == 1
    await raft.shutdown()
    logged = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert ["faulty" in entry.getMessage() for entry in logged] == [True]


async def test_a_hook_that_is_cancelled_does_not_end_what_calls_it(caplog: pytest.LogCaptureFixture) -> None:
    told = []

    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    raft = Raft(1, config=ALONE, machine=Counter())
    raft.on_leader_change(cancelled, lambda now: told.append(now.role))
    await led(raft)
    await raft.client_write(1)
    await raft.shutdown()
    assert told == ["shutdown"]
    assert "cancelled raised" in caplog.text


async def test_a_hook_whose_loop_has_ended_is_called_no_more(caplog: pytest.LogCaptureFixture) -> None:
    raft = Raft(1, config=ALONE, machine=Counter())

    async def register() -> None:
        raft.on_leader_change(lambda _: None, lambda _: None)

    await asyncio.to_thread(asyncio.run, register())
    await led(raft)
    assert (await raft.client_write(1)).value == 1
    await raft.shutdown()
    assert "is closed" in caplog.text


async def test_an_observer_that_raises_is_logged_once_and_called_again(caplog: pytest.LogCaptureFixture) -> None:
    calls = 0

    def faulty(_: Record) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("a bug of the application")

    async with LocalCluster(3, observers=[faulty]) as cluster:
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        assert await cluster.client.read("x") == 1
        assert len(cluster.trace) > 0
    assert calls > 3
    assert caplog.text.count("faulty raised") == 1


@pytest.mark.parametrize(("slow_calls", "named"), [(2, 0), (3, 1), (5, 1)])
async def test_an_observer_that_is_often_slow_is_named_once(
    slow_calls: int, named: int, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def slow(_: Record) -> None:
        nonlocal calls
        calls += 1
        if calls <= slow_calls:
            time.sleep(0.15)

    raft = await led(Raft(1, config=ALONE, machine=Counter(), observers=[slow]))
    for _ in range(5):
        await raft.client_write(1)
    await raft.shutdown()
    assert calls > slow_calls
    assert caplog.text.count("slow took") == named


async def test_what_a_look_raises_goes_to_the_one_who_looks() -> None:
    raft = await led(Raft(1, config=ALONE, machine=Counter()))
    for look in (raft.with_state(lambda _: 1 // 0), raft.with_machine(lambda _: 1 // 0)):
        with pytest.raises(ZeroDivisionError):
            await look
    with pytest.raises(ZeroDivisionError):
        await raft.wait(20).until(lambda _: bool(1 // 0))
    assert (await raft.client_write(1)).value == 1
    await raft.shutdown()
