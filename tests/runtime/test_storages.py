"""A storage serves one node at a time, and always the same one; a lost disk is seen."""

import logging
from pathlib import Path
from shutil import rmtree

import pytest

from pyraft_lab.engine.commands import Alarm
from pyraft_lab.engine.config import Config
from pyraft_lab.errors import PreconditionFailed, StorageFailed, WrongStorage
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.metrics import alarms
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.storage.memory import MemoryStorage

PATIENT = Config(election_timeout=(1.0, 2.0), heartbeat_interval=0.1)
"""A new leader would not know what its predecessor saw: no leadership ends because this machine is busy."""


class Falsy(MemoryStorage):
    """Empty, and therefore false, as many containers are."""

    def __len__(self) -> int:
        return len(self.disk.log)


class Nobodys:
    """A storage as users wrote them before storages could be claimed."""

    def __init__(self) -> None:
        disk = MemoryStorage()
        self.load, self.write, self.close = disk.load, disk.write, disk.close
        self.put_snapshot, self.snapshot, self.read_chunk = disk.put_snapshot, disk.snapshot, disk.read_chunk


async def test_a_storage_in_use_is_refused_to_another_handle_and_the_first_goes_on() -> None:
    disk = MemoryStorage()
    first = Raft(1, storage=disk)
    await first.start()
    for other in (Raft(1, storage=disk), Raft(2, storage=disk)):
        with pytest.raises(StorageFailed, match=r"the MemoryStorage that node \d was given is in use by node 1"):
            await other.start()
    await first.initialize({1})
    await first.client_write({"op": "put", "key": "x", "value": 1})
    await first.shutdown()
    again = Raft(1, storage=disk)
    await again.start()
    await again.shutdown()


async def test_a_memory_storage_belongs_to_the_node_that_used_it_first() -> None:
    disk = MemoryStorage()
    first = Raft(1, storage=disk, cluster="demo")
    await first.start()
    await first.shutdown()
    with pytest.raises(
        WrongStorage, match="belongs to node 1 of cluster demo and cannot be used by node 2 of cluster demo"
    ):
        await Raft(2, storage=disk, cluster="demo").start()


async def test_a_storage_that_cannot_be_claimed_works_as_ever() -> None:
    disk = Nobodys()
    for node in (1, 2):
        raft = Raft(node, storage=disk, cluster="demo")
        await raft.start()
        await raft.shutdown()


async def test_an_empty_storage_of_ones_own_is_taken_though_it_is_false() -> None:
    disk = Falsy()
    raft = Raft(1, storage=disk)
    await raft.start()
    await raft.initialize({1})
    await raft.shutdown()
    assert len(disk) > 0


async def test_a_cluster_refuses_the_directories_of_another_one(tmp_path: Path) -> None:
    async with LocalCluster(2, storage=tmp_path, name="a") as cluster:
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
    with pytest.raises(WrongStorage, match="belongs to node 1 of cluster a and cannot be used by node 1 of cluster b"):
        await LocalCluster(2, storage=tmp_path, name="b").__aenter__()
    (tmp_path / "node-1").rename(tmp_path / "other")
    (tmp_path / "node-2").rename(tmp_path / "node-1")
    with pytest.raises(WrongStorage, match="belongs to node 2 of cluster a and cannot be used by node 1 of cluster a"):
        await LocalCluster(2, storage=tmp_path, name="a").__aenter__()
    (tmp_path / "node-1").rename(tmp_path / "node-2")
    (tmp_path / "other").rename(tmp_path / "node-1")
    async with LocalCluster(2, storage=tmp_path, name="a") as cluster:
        assert await cluster.client.read("x") == 1


async def test_a_process_cluster_refuses_the_directory_of_another_one(tmp_path: Path) -> None:
    async with LocalCluster(1, storage=tmp_path, name="a"):
        pass
    before = sorted(path.name for path in (tmp_path / "node-1").iterdir())
    with pytest.raises(WrongStorage, match="belongs to node 1 of cluster a and cannot be used by node 1 of cluster b"):
        await LocalCluster(1, storage=tmp_path, name="b", processes=True).__aenter__()
    assert sorted(path.name for path in (tmp_path / "node-1").iterdir()) == before


async def test_a_voter_that_lost_its_disk_is_seen_by_everybody_who_looks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with LocalCluster(3, storage=tmp_path, config=PATIENT) as cluster:
        leader = await cluster.wait_leader()
        lost = next(node for node in (1, 2, 3) if node != leader)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        await cluster.raft(lost).wait(5).applied(cluster.metrics[leader].committed)
        await cluster.kill(lost)
        rmtree(tmp_path / f"node-{lost}")
        with caplog.at_level(logging.WARNING):
            await cluster.restart(lost)
            seen = await cluster.raft(leader).wait(5).until(lambda now: lost in now.reverted)
        assert f"node {leader} raises an alarm about node {lost}: lost its log" in caplog.text
        assert f"allow-next-revert {lost}" in alarms({leader: seen})[0]
        told = [record for record in cluster.trace.records if "lost its log" in record.detail]
        assert told
        assert all(any(isinstance(one, Alarm) for one in record.step.commands) for record in told if record.step)
        assert cluster.trace.events["detail"].str.contains("lost its log").any()
        with pytest.raises(PreconditionFailed):
            await cluster.allow_next_revert(9)
        await cluster.allow_next_revert(lost)
        await cluster.raft(lost).wait(5).applied(cluster.metrics[leader].committed)
        assert not cluster.metrics[leader].reverted


async def test_a_voter_that_holds_nothing_is_seen_by_everybody_who_looks_until_the_leadership_ends(
    tmp_path: Path,
) -> None:
    """Nobody can tell whether it is new or lost its disk: it gets the log, and the operator hears of it."""
    async with LocalCluster(3, storage=tmp_path, config=PATIENT) as cluster:
        first = await cluster.wait_leader()
        second, empty = (node for node in (1, 2, 3) if node != first)
        await cluster.kill(empty)
        await cluster.transfer(second)
        rmtree(tmp_path / f"node-{empty}")
        await cluster.restart(empty)
        seen = await cluster.raft(second).wait(5).until(lambda now: empty in now.alarms)
        words = "is a voter and holds nothing: it is new, or it lost its disk; it gets the log now"
        assert alarms({second: seen}) == (f"node {empty} {words}",)
        await cluster.raft(empty).wait(5).applied(seen.committed)
        assert alarms(cluster.metrics) == (f"node {empty} {words}",)
        await cluster.transfer(first)
        await cluster.raft(second).wait(5).role("follower")
        assert alarms(cluster.metrics) == ()
