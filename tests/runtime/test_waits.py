"""Every wait has an end: whatever became of the node, its leadership, its network, its loop or its cluster."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.state import RaftState
from pyraft_lab.errors import (
    ChangeInProgress,
    Fatal,
    NotLeader,
    OutcomeUnknown,
    PreconditionFailed,
    PyraftError,
    QuorumNotEnough,
    Stopped,
    Timeout,
)
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.machine import Counter
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.trace.record import Record

QUICK = Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03, learner_lag=0)
BOUND = 20.0
"""Seconds within which everything ends; it is a matter of two or three."""
Call = Callable[[Raft], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "client_write": lambda raft: raft.client_write(1),
    "client_write_many": lambda raft: raft.client_write_many([1, 2]),
    "write_blank": lambda raft: raft.write_blank(),
    "ensure_linearizable": lambda raft: raft.ensure_linearizable(),
    "read": lambda raft: raft.read(None),
    "add_learner": lambda raft: raft.add_learner(9),
    "change_membership": lambda raft: raft.change_membership({raft.id}),
    "transfer_leader": lambda raft: raft.trigger.transfer_leader(9),
    "wait": lambda raft: raft.wait(1.0).applied(10**6),
}
KNOWN = (OutcomeUnknown, NotLeader, QuorumNotEnough, ChangeInProgress, Timeout, PreconditionFailed, Fatal)
Three = tuple[LocalCluster, Raft]


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    """A cluster that counts, and its leader."""
    async with LocalCluster(3, config=QUICK, machine=Counter) as cluster:
        yield cluster, cluster.raft(await cluster.wait_leader(BOUND))


async def ended(call: Awaitable[Any]) -> object:
    """What a call is answered with, in time."""
    answers: list[object] = []
    async with asyncio.timeout(BOUND):
        answers += await asyncio.gather(call, return_exceptions=True)
    return answers[0]


def rest(leader: Raft) -> set[int]:
    return {1, 2, 3} - {leader.id}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_of_a_leader_that_is_cut_off_ends(three: Three, name: str) -> None:
    cluster, leader = three
    cluster.partition({leader.id}, rest(leader))
    assert isinstance(await ended(CALLS[name](leader)), KNOWN)


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_of_a_leader_that_is_removed_meanwhile_ends(three: Three, name: str) -> None:
    cluster, leader = three
    cluster.partition({leader.id}, rest(leader))
    calling = asyncio.ensure_future(CALLS[name](leader))
    await leader.wait(BOUND).until(lambda now: now.role != "leader")
    await cluster.raft(await cluster.wait_leader(BOUND)).change_membership(rest(leader))
    cluster.heal()
    assert isinstance(await ended(calling), KNOWN)


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_of_a_leader_that_stops_meanwhile_ends(three: Three, name: str) -> None:
    cluster, leader = three
    cluster.partition({leader.id}, rest(leader))
    calling = asyncio.ensure_future(CALLS[name](leader))
    await asyncio.sleep(0)
    await cluster.kill(leader.id)
    assert isinstance(await ended(calling), KNOWN)


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_under_way_when_the_cluster_closes_ends(name: str) -> None:
    cluster = LocalCluster(3, config=QUICK, machine=Counter)
    await cluster.__aenter__()
    leader = cluster.raft(await cluster.wait_leader(BOUND))
    cluster.partition({leader.id}, rest(leader))
    calling = asyncio.ensure_future(CALLS[name](leader))
    await asyncio.sleep(0)
    await cluster.close()
    assert isinstance(await ended(calling), KNOWN)


async def test_a_leader_that_removes_itself_and_is_deposed_before_it_knows_says_that_it_does_not_know() -> None:
    """The last step of the change has left it, its answers are lost, and nobody tells a server that is no member."""

    def cut_off(record: Record) -> None:
        node, step = record.node, record.step
        if step is not None and is_last_step(step.after):
            cluster.partition({node}, {1, 2, 3} - {node})

    def is_last_step(now: RaftState) -> bool:
        return now.role_name == "leader" and not now.membership.is_joint and now.id not in now.membership.voters

    cluster = LocalCluster(3, config=QUICK, machine=Counter, observers=[cut_off])
    async with cluster:
        leader = await cluster.wait_leader(BOUND)
        changing = asyncio.ensure_future(cluster.raft(leader).change_membership({1, 2, 3} - {leader}))
        assert isinstance(await ended(changing), OutcomeUnknown)
        cluster.heal()
        new = cluster.raft(await cluster.wait_leader(BOUND))
        await new.wait(BOUND).voters({1, 2, 3} - {leader})


async def test_a_deposed_leader_that_is_told_knows() -> None:
    """It is given up only where nobody tells: a server that is a member still is told when it is back."""
    slower = Config(election_timeout=(0.5, 1.0), heartbeat_interval=0.1)
    async with LocalCluster(3, config=slower, machine=Counter) as cluster:
        leader = cluster.raft(await cluster.wait_leader(BOUND))
        cluster.partition({leader.id}, rest(leader))
        writing = asyncio.ensure_future(leader.client_write(1))
        await leader.wait(BOUND).until(lambda now: now.role != "leader")
        await cluster.client.write(5)
        cluster.heal()
        answer = await ended(writing)
    assert isinstance(answer, OutcomeUnknown)
    assert "was replaced by another leader's" in str(answer)


async def test_a_deposed_leader_whose_log_a_snapshot_replaced_knows() -> None:
    """The snapshot ends before the last of its own entries, and nothing else ever says what became of that."""
    slower = Config(election_timeout=(1.0, 2.0), heartbeat_interval=0.1, keep_logs=0, snapshot_logs_since_last=None)
    async with LocalCluster(3, config=slower, machine=Counter) as cluster:
        leader = cluster.raft(await cluster.wait_leader(BOUND))
        cluster.partition({leader.id}, rest(leader))
        writing = [asyncio.ensure_future(leader.client_write(1)) for _ in range(9)]
        await leader.wait(BOUND).until(lambda now: now.role != "leader")
        new = cluster.raft(await cluster.wait_leader(BOUND))
        await cluster.client.write(5)
        goal = new.metrics.applied
        new.trigger.snapshot()
        await new.wait(BOUND).until(lambda now: now.purged >= goal)
        cluster.heal()
        answers = [await ended(one) for one in writing]
    assert {type(answer) for answer in answers} == {OutcomeUnknown}
    assert "was replaced by another leader's" in str(answers[-1])


async def test_clocks_that_stand_still_give_nothing_up(three: Three) -> None:
    cluster, leader = three
    cluster.partition({leader.id}, rest(leader))
    writing = asyncio.ensure_future(leader.client_write(1))
    await leader.wait(BOUND).until(lambda now: now.role != "leader")
    cluster.freeze()
    longer_than_the_grace = 12 * QUICK.election_timeout[1]
    assert not (await asyncio.wait([writing], timeout=longer_than_the_grace))[0]
    cluster.thaw()
    assert isinstance(await ended(writing), OutcomeUnknown)


async def test_what_nobody_decides_ends_at_the_deadline() -> None:
    raft = Raft(1, config=QUICK, machine=Counter(), deadline=0.6)
    await raft.start()
    await raft.initialize({1})
    await raft.wait(BOUND).committed(2)
    with pytest.raises(Timeout, match=r"node 2 catching up \(it is a learner now\)"):
        await raft.add_learner(2)
    assert raft.metrics.membership.learners == {2}
    raft.pause()
    with pytest.raises(OutcomeUnknown, match=r"not decided within 0.6 s"):
        await raft.client_write(1)
    with pytest.raises(OutcomeUnknown, match=r"not decided within 0.6 s"):
        await raft.client_write_many([1, 2])
    with pytest.raises(Timeout, match="a read did not happen"):
        await raft.read(None)
    raft.resume()
    assert (await raft.client_write(0)).value == 4, "the outcome was unknown, and this is it"
    await raft.shutdown()


async def test_who_waits_for_room_waits_only_so_long() -> None:
    raft = Raft(1, config=QUICK, machine=Counter(), deadline=0.3, max_waiting=1)
    await raft.start()
    await raft.initialize({1})
    await raft.wait(BOUND).role("leader")
    raft.pause()
    await raft.client_write_ff(1)
    with pytest.raises(Timeout, match="room for one more request"):
        await raft.client_write_ff(1)
    raft.resume()
    assert await raft.read(None) == 1
    await raft.shutdown()


async def test_whoever_visits_a_loop_that_ends_hears_of_it() -> None:
    """Nobody cancelled him: what he awaits has ended."""
    started, end = threading.Event(), threading.Event()
    raft = Raft(1, config=QUICK, machine=Counter())

    async def live() -> None:
        await raft.start()
        started.set()
        await asyncio.to_thread(end.wait)

    living = asyncio.create_task(asyncio.to_thread(asyncio.run, live()))
    await asyncio.to_thread(started.wait)
    waiting = asyncio.ensure_future(raft.wait().applied(10**6))
    await asyncio.sleep(0)
    end.set()
    await living
    assert isinstance(await ended(waiting), Fatal)
    assert isinstance(await ended(raft.client_write(1)), Stopped)
    await raft.shutdown()


async def test_a_loop_that_is_closed_lets_nobody_in() -> None:
    with LoopThread("here and gone") as thread:
        home = thread.home
        for_ever = asyncio.ensure_future(asyncio.wrap_future(home.submit(asyncio.Event().wait())))
    assert isinstance(await ended(for_ever), Fatal)
    with pytest.raises(Fatal):
        await home.run(asyncio.sleep(0))


@pytest.mark.parametrize("act", ["wait_leader", "add_learner", "change_membership", "transfer", "kill", "restart"])
async def test_a_cluster_that_is_closed_says_so(act: str) -> None:
    async with LocalCluster(1, config=QUICK) as cluster:
        await cluster.wait_leader(BOUND)
    arguments: dict[str, tuple[Any, ...]] = {"wait_leader": (), "change_membership": ({1},)}
    with pytest.raises(PyraftError, match="not running"):
        await getattr(cluster, act)(*arguments.get(act, (1,)))
    with pytest.raises(PyraftError, match="not running"):
        await cluster.client.write(1)
