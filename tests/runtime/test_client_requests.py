"""A node proposes each batch once, says when to come back, and serves many queries by one read."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pyraft_lab import LocalCluster
from pyraft_lab.client.requests import FindOutcome, OpenSession, ReadMany, Request, WriteBatch
from pyraft_lab.command import encode, seal
from pyraft_lab.errors import NotLeader, OutcomeUnknown, Overloaded
from pyraft_lab.machine import Batched, Counter, Rejected, Value
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.runtime.raft import Raft


class Fussy(Counter):
    """A counter that refuses one query and stumbles over another."""

    def query(self, query: object = None, /) -> float:
        if query == "stumble":
            raise ZeroDivisionError("a bug")
        return super().query(query)


def batch(*commands: int, serial: int = 1) -> WriteBatch:
    data = seal([encode(one) for one in commands], client=7, serial=serial, done=serial - 1, since=0)
    return WriteBatch(data, 7, serial)


@pytest.fixture
async def alone() -> AsyncIterator[Raft]:
    raft = Raft(1, network=MemoryNetwork(), machine=Fussy(), max_waiting=5)
    await raft.start()
    await raft.initialize({1})
    await raft.wait(10).until(lambda now: now.has_committed, "a first commit")
    yield raft
    await raft.shutdown()


async def test_a_batch_that_comes_twice_while_it_is_on_its_way_is_one_entry(alone: Raft) -> None:
    before = alone.metrics.last_log.index
    requests: list[Request] = [batch(1, 2), batch(1, 2), FindOutcome(7, 1)]
    replies = await asyncio.gather(*map(alone.serve, requests))
    assert replies == [Batched([1, 3])] * 3
    assert alone.metrics.last_log.index == before + 1


async def test_the_outcome_of_what_never_came_is_nothing(alone: Raft) -> None:
    assert await alone.serve(FindOutcome(7, 1)) is None
    await alone.serve(batch(4, 5))
    assert await alone.serve(FindOutcome(7, 1)) == Batched([4, 9])


async def test_one_read_answers_many_queries_and_a_stumble_is_its_own(alone: Raft) -> None:
    await alone.serve(batch(4))
    first, second, third = await alone.serve(ReadMany((None, "stumble", None)))
    assert (first, third) == (Value(4), Value(4))
    assert second == Rejected("ZeroDivisionError: a bug")
    assert await alone.serve(OpenSession()) == alone.metrics.committed


async def test_a_full_node_says_when_to_come_back(alone: Raft, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Overloaded, match="requests are waiting and 5 are allowed; try again in") as full:
        await asyncio.gather(*(alone.serve(batch(1, serial=serial)) for serial in range(1, 20)))
    assert full.value.retry_after
    await alone.wait(10).applied(alone.metrics.last_log.index)
    monkeypatch.setattr("pyraft_lab.runtime.client_requests.MOST_BATCHES", 1)
    with pytest.raises(Overloaded, match="batches are waiting"):
        await asyncio.gather(*(alone.serve(batch(1, serial=serial)) for serial in range(30, 35)))
    monkeypatch.setattr("pyraft_lab.runtime.client_requests.MOST_BATCHES", 99)
    monkeypatch.setattr("pyraft_lab.runtime.client_requests.MOST_BYTES", 1)
    with pytest.raises(Overloaded, match="bytes are uncommitted"):
        await asyncio.gather(*(alone.serve(batch(1, serial=serial)) for serial in range(40, 45)))


async def test_a_follower_names_the_leader_and_a_batch_that_is_not_decided_has_an_unknown_outcome() -> None:
    async with LocalCluster(3, machine=Counter) as cluster:
        leader = await cluster.wait_leader(20)
        follower = next(node for node in (1, 2, 3) if node != leader)
        await cluster.raft(follower).wait(20).leader(leader)
        with pytest.raises(NotLeader) as refused:
            await cluster.raft(follower).serve(batch(1))
        assert refused.value.leader == leader


async def test_a_batch_without_a_quorum_ends_with_the_deadline() -> None:
    network = MemoryNetwork()
    rafts = [Raft(id, network=network, machine=Counter(), deadline=0.3) for id in (1, 2)]
    for raft in rafts:
        await raft.start()
    await rafts[0].initialize({1, 2})
    leader = (await rafts[0].wait(10).leader()).leader or 1
    first, second = rafts[leader - 1], rafts[2 - leader]
    await first.wait(10).until(lambda now: now.has_committed, "a first commit")
    second.pause()
    with pytest.raises(OutcomeUnknown, match=r"not decided within 0\.3 s"):
        await first.serve(batch(1))
    second.resume()
    for raft in rafts:
        await raft.shutdown()
