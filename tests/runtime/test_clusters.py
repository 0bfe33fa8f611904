"""Both kinds of cluster keep the same promises, and leave nothing behind however they begin and end."""

import asyncio
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pyraft_lab import Cluster
from pyraft_lab.engine.config import Config
from pyraft_lab.errors import DuplicateNode, NetworkFailed, PyraftError, StorageFailed, Timeout, UnknownNode
from pyraft_lab.network import broker
from pyraft_lab.pending_requests import WriteResponse
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.processes import ProcessCluster
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import ReadIndex

CALM = Config(election_timeout=(0.5, 1.0), heartbeat_interval=0.1)
Make = Callable[..., Cluster]
KINDS: dict[str, Make] = {
    "in process": LocalCluster,
    "processes": lambda nodes, **settings: LocalCluster(nodes, processes=True, **settings),
}
each_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@pytest.fixture
async def at_broker() -> AsyncIterator[str]:
    """The address of a broker of one's own."""
    started = await asyncio.to_thread(broker.start)
    yield started.url
    await asyncio.to_thread(started.stop)


def left() -> list[str]:
    """Threads of clusters that are still there."""
    return [one.name for one in threading.enumerate() if one.name.startswith(("raft cluster", "trace of"))]


def children() -> list[str]:
    """Processes that this one has started and not ended."""
    listed = subprocess.run(["ps", "-A", "-o", "ppid=,args="], capture_output=True, text=True, check=True).stdout
    each = [line.split(maxsplit=1) for line in listed.splitlines()]
    return sorted(args for parent, args in each if int(parent) == os.getpid() and not args.startswith("ps "))


@each_kind
async def test_a_cluster_of_each_kind_answers_alike(make: Make) -> None:
    cluster = make(3, config=CALM)
    assert isinstance(cluster, Cluster)
    async with cluster:
        leader = await cluster.wait_leader(20)
        assert sorted(cluster.metrics) == [1, 2, 3]
        added = await cluster.add_learner(4)
        assert isinstance(added, WriteResponse)
        assert added.membership is not None
        assert added.membership.learners == {4}
        changed = await cluster.change_membership({1, 2, 3, 4} - {leader % 3 + 1}, retain=True)
        assert isinstance(changed, WriteResponse)
        assert changed.log_id > added.log_id
        assert changed.membership is not None
        assert changed.membership.voters == {1, 2, 3, 4} - {leader % 3 + 1}
        with pytest.raises(UnknownNode):
            cluster.pause(9)
        cluster.pause(leader)
        async with asyncio.timeout(20):
            while await cluster.wait_leader(20) == leader:  # noqa: ASYNC110 (the paused one leads, as far as it knows)
                await asyncio.sleep(0.02)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        cluster.resume(leader)
        assert await cluster.client.read("x") == 1
        told = cluster.trace.events
        assert {"pause", "resume"} <= set(told.kind)


@each_kind
async def test_a_learner_that_is_not_waited_for_is_one_at_once(make: Make) -> None:
    async with make(1, config=CALM, trace=None) as cluster:
        await cluster.wait_leader(20)
        cluster.partition({1})  # whoever comes later stands outside
        response = await cluster.add_learner(2, blocking=False)
        assert response.membership is not None
        assert response.membership.learners == {2}
        assert cluster.metrics[1].replication[2] == 0


def test_both_kinds_take_the_same_arguments_and_return_the_same() -> None:
    for name, promised in inspect.getmembers(Cluster, inspect.isfunction):
        if name.startswith("_"):
            continue
        for kind in (LocalCluster, ProcessCluster):
            assert inspect.signature(getattr(kind, name)) == inspect.signature(promised), (kind, name)
    for name in vars(LocalCluster):
        assert name.startswith("_") or hasattr(ProcessCluster, name), name


async def test_what_stays_in_other_processes_is_refused_with_advice() -> None:
    cluster: Any = LocalCluster(1, processes=True, trace=None)
    asks: list[Callable[[], object]] = [
        lambda: cluster.nodes,
        lambda: cluster.raft(1),
        lambda: cluster.gate,
        cluster.freeze,
        cluster.thaw,
        lambda: cluster.level,
    ]
    for ask in asks:
        with pytest.raises(PyraftError, match="processes=True"):
            ask()


@each_kind
async def test_a_cluster_that_has_not_begun_says_so(make: Make) -> None:
    cluster = make(1)
    for ask in (lambda: cluster.client, lambda: cluster.metrics, cluster.new_client, cluster.heal):
        with pytest.raises(PyraftError, match="async with"):
            ask()
    with pytest.raises(PyraftError, match="async with"):
        await cluster.wait_leader()
    await cluster.close()


@each_kind
async def test_a_cluster_begins_once_at_a_time_and_may_begin_again(make: Make) -> None:
    cluster = make(1, config=CALM, trace=None)
    for _ in range(2):
        async with cluster:
            await cluster.client.write({"op": "put", "key": "x", "value": 1})
            with pytest.raises(PyraftError, match="already running"):
                await cluster.__aenter__()
            assert await cluster.client.read("x") == 1
        await cluster.close()
        assert left() == []


@each_kind
async def test_a_beginning_that_fails_leaves_nothing(make: Make, tmp_path: Path, at_broker: str) -> None:
    before = children()
    (tmp_path / "node-2").touch()
    with pytest.raises((StorageFailed, PyraftError, OSError)):
        await make(3, storage=tmp_path, network=at_broker, trace=None).__aenter__()
    with pytest.raises(NetworkFailed):
        await make(3, network="mqtt://127.0.0.1:1").__aenter__()
    assert left() == []
    assert children() == before, "the broker"


@each_kind
@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
async def test_a_beginning_that_is_cancelled_leaves_nothing(make: Make, after: float) -> None:
    before = children()
    beginning = asyncio.ensure_future(make(3, network="mqtt", config=CALM).__aenter__())
    await asyncio.wait([beginning], timeout=after)
    beginning.cancel()
    (outcome,) = await asyncio.gather(beginning, return_exceptions=True)
    if isinstance(outcome, Cluster):  # it was quicker
        await outcome.close()
    assert left() == []
    assert children() == before


@each_kind
async def test_a_second_cluster_of_the_same_name_at_the_same_broker_is_refused(make: Make, at_broker: str) -> None:
    async with make(1, config=CALM, network=at_broker, name="twin", trace=None) as cluster:
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        with pytest.raises((PyraftError, DuplicateNode), match=r"twin|running elsewhere"):
            await make(1, config=CALM, network=at_broker, name="twin", trace=None).__aenter__()
        async with make(1, config=CALM, network=at_broker, name="other", trace=None) as other:
            assert await other.client.read("x") is None
        assert await cluster.client.read("x") == 1


async def test_of_two_process_clusters_of_one_name_that_start_at_once_one_stays(at_broker: str) -> None:
    def begin() -> "asyncio.Future[Cluster]":
        return asyncio.ensure_future(
            LocalCluster(1, processes=True, config=CALM, network=at_broker, name="twin", trace=None).__aenter__()
        )

    outcomes = await asyncio.gather(begin(), begin(), begin(), return_exceptions=True)
    up = [one for one in outcomes if isinstance(one, Cluster)]
    refused = [str(one) for one in outcomes if isinstance(one, PyraftError)]
    try:
        assert (len(up), len(refused)) == (1, 2), outcomes
        assert all("cluster 'twin' is already up or starting at this broker" in told for told in refused)
        assert await up[0].client.read("x") is None
    finally:
        for one in up:
            await one.close()


async def test_a_connection_that_is_closed_leaves_nobody_waiting(at_broker: str) -> None:
    async with Remote.connect(at_broker, cluster="nobody") as remote:
        with pytest.raises(Timeout):
            await remote.ask(1, ReadIndex(), seconds=0.1)
        with pytest.raises(Timeout):
            await remote.leader(seconds=0.1)
        await remote.catch_up()
        waiting = [
            asyncio.ensure_future(remote.ask(1, ReadIndex())),
            asyncio.ensure_future(remote.until(lambda: False)),
            asyncio.ensure_future(remote.ask_leader(ReadIndex())),
        ]
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NetworkFailed] * 3
    with pytest.raises(NetworkFailed, match="is closed"):
        await remote.ask(1, ReadIndex())


def test_nothing_of_a_notebook_is_imported_for_a_cluster() -> None:
    asked = "import sys, pyraft_lab.runtime.processes; print('IPython' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
