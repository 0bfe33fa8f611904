"""A live node judges time by the clock, however long its event loop stood still."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pyraft_lab.engine.commands import CancelTimer, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, VOTE_LEASE, Timer, TimerKind, lease
from pyraft_lab.errors import NotLeader
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.timers import MOST_EXTENSIONS, Timers
from pyraft_lab.runtime.virtual_time import PART, VirtualLoop, run_virtually

QUICK = Config(election_timeout=(0.02, 0.04), heartbeat_interval=0.01)
STEADY = Config(election_timeout=(0.5, 1.0), heartbeat_interval=0.1)


def stand_still(seconds: float) -> None:
    """The whole process does nothing else, as in a long garbage collection."""
    time.sleep(seconds)


async def test_a_timer_has_run_out_when_the_clock_says_so_though_the_loop_has_not_noticed() -> None:
    clock = Timers(lambda: None, random.Random(1))
    clock.set(SetTimer(VOTE_LEASE), QUICK, 1)
    clock.set(SetTimer(HEARTBEAT), QUICK, 2)
    assert not clock.has_due
    assert clock.overdue() == ()
    stand_still(0.03)
    assert clock.overdue() == (HEARTBEAT, VOTE_LEASE)
    assert clock.take(VOTE_LEASE) == 1
    assert not clock.has_due, "what the loop has not noticed comes after the messages that waited"
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the loop runs its alarms behind what waited
    assert clock.has_due
    assert clock.take_due() == (HEARTBEAT, 2)
    assert not clock.has_due
    clock.stop()


async def test_a_timer_that_is_set_again_or_stopped_does_not_run_out() -> None:
    clock = Timers(lambda: None, random.Random(1))
    for timer in (HEARTBEAT, lease(1), lease(2), ELECTION):
        clock.set(SetTimer(timer), QUICK, 1)
    stand_still(0.05)
    clock.set(SetTimer(HEARTBEAT), STEADY, 2)
    clock.cancel(CancelTimer(Timer(TimerKind.LEASE)))
    clock.cancel(CancelTimer(ELECTION))
    assert clock.overdue() == ()
    assert not clock.has_due
    clock.stop()


async def test_a_frozen_clock_hides_what_ran_out_unless_it_is_asked_for() -> None:
    clock = Timers(lambda: None, random.Random(1))
    clock.set(SetTimer(lease(1)), QUICK, 1)
    clock.freeze()
    stand_still(0.03)
    assert (clock.has_due, clock.overdue()) == (False, ())
    assert clock.overdue(frozen_too=True) == (lease(1),)
    clock.thaw()
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the loop runs its alarms behind what waited
    assert clock.has_due
    clock.stop()


async def test_a_loop_that_is_free_is_woken_when_a_timer_runs_out() -> None:
    woken = asyncio.Event()
    clock = Timers(woken.set, random.Random(1))
    clock.set(SetTimer(HEARTBEAT), QUICK, 1)
    await asyncio.wait_for(woken.wait(), 10)
    assert clock.has_due
    clock.stop()


async def late_ring(times: int) -> list[bool]:
    """Whether an election timer is due after each of several stalls that last longer than it runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)

    async def of_node() -> Timers:
        PART.set(3)
        clock = Timers(lambda: None, random.Random(1))
        clock.set(SetTimer(ELECTION), STEADY, 1)
        return clock

    clock, found = await asyncio.create_task(of_node()), []
    for _ in range(times):
        loop.suspend(3)
        await asyncio.sleep(2.0)
        loop.resume(3)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found.append(clock.has_due)
    await asyncio.sleep(1.01 * STEADY.heartbeat_interval)
    return [*found, clock.has_due]


def test_a_node_that_could_not_listen_listens_for_one_more_heartbeat_before_it_campaigns() -> None:
    assert run_virtually(late_ring(1)) == [False, True]


def test_a_node_that_is_always_late_campaigns_in_the_end() -> None:
    assert run_virtually(late_ring(MOST_EXTENSIONS + 1)) == [*[False] * MOST_EXTENSIONS, True, True]


@asynccontextmanager
async def led() -> AsyncIterator[tuple[Raft, ...]]:
    """Three nodes of this process; the first leads and has served a lease read."""
    network = MemoryNetwork()
    nodes = [Raft(id, network=network, config=STEADY) for id in (1, 2, 3)]
    for node in nodes:
        await node.start()
    await nodes[0].initialize({1, 2, 3})
    await nodes[0].wait(20).role("leader")
    await nodes[0].client_write({"op": "put", "key": "x", "value": 1})
    assert await nodes[0].read("x", policy="lease") == 1
    yield tuple(nodes)
    for node in nodes:
        await node.shutdown()


async def test_a_lease_that_ran_out_while_the_process_stood_still_serves_no_read() -> None:
    async with led() as (leader, *_):
        stand_still(0.6)
        with pytest.raises(NotLeader, match="lost touch"):
            await leader.ensure_linearizable(policy="lease")


async def test_a_leader_that_stood_still_takes_no_write_until_a_majority_answers() -> None:
    async with led() as (leader, *_):
        stand_still(0.6)
        with pytest.raises(NotLeader, match="lost touch"):
            await leader.client_write({"op": "put", "key": "x", "value": 2})


async def test_a_leader_that_stood_still_changes_no_membership_until_a_majority_answers() -> None:
    async with led() as (leader, *_):
        stand_still(0.6)
        with pytest.raises(NotLeader, match="lost touch"):
            await leader.change_membership({1, 2})


async def test_a_frozen_leader_serves_no_read_by_a_lease_that_is_over() -> None:
    async with led() as nodes:
        for node in nodes:
            node.runtime.tick(on=False)
        await asyncio.sleep(0.6)
        with pytest.raises(NotLeader, match="lost touch"):
            await nodes[0].ensure_linearizable(policy="lease")
        for node in nodes:
            node.runtime.tick(on=True)


def test_a_timer_that_is_set_again_and_again_rings_once_after_the_last_time() -> None:
    async def rings() -> list[tuple[float, Timer]]:
        loop, found = asyncio.get_running_loop(), list[tuple[float, Timer]]()
        clock = Timers(lambda: found.append((round(loop.time(), 3), clock.take_due()[0])), random.Random(1))
        for _ in range(50):
            clock.set(SetTimer(VOTE_LEASE), STEADY, 1)
            clock.set(SetTimer(HEARTBEAT), STEADY, 2)
            clock.cancel(CancelTimer(HEARTBEAT))
            await asyncio.sleep(0.1)
        clock.set(SetTimer(HEARTBEAT), STEADY, 3)
        clock.set(SetTimer(ELECTION), QUICK, 3)
        await asyncio.sleep(10)
        return found

    found = run_virtually(rings())
    assert [timer for _, timer in found] == [ELECTION, HEARTBEAT, VOTE_LEASE]
    assert [at for at, _ in found[1:]] == [5.1, 5.4]
