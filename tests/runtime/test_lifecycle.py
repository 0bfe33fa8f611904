"""A node's life: started once, or again where it could not; shut down at any moment; with a machine of its own."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import ConfigError, DuplicateNode, NetworkFailed, PyraftError, Stopped, StorageFailed
from pyraft_lab.machine import Counter, KeyValue, Sessions
from pyraft_lab.network.base import Endpoint, Mailbox, MemoryNetwork
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.virtual_time import run_virtually
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.sqlite import SqliteStorage

ALONE = Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03)


class Away(MemoryNetwork):
    """A network that is not there at first."""

    is_there = False

    async def join(self, node: int, mailbox: Mailbox) -> Endpoint:
        if not self.is_there:
            raise NetworkFailed("the network", "nobody answers")
        return await super().join(node, mailbox)


class Stuck(MemoryNetwork):
    """A network that lets nobody in until ``let_in`` is set; ``asked`` once somebody knocks."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let_in = asyncio.Event(), asyncio.Event()

    async def join(self, node: int, mailbox: Mailbox) -> Endpoint:
        self.asked.set()
        await self.let_in.wait()
        return await super().join(node, mailbox)


def others() -> list[str]:
    """What else runs on this loop."""
    return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@pytest.fixture(params=["memory", "sqlite"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Of each kind."""
    return MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path)


async def counted(raft: Raft) -> int:
    """What one more increment makes."""
    await raft.wait(20).role("leader")
    value: int = (await raft.client_write(1)).value
    return value


async def test_a_start_that_failed_can_be_tried_again(disk: Storage) -> None:
    network = Away()
    raft = Raft(1, config=ALONE, network=network, storage=disk, machine=Counter())
    for _ in range(2):
        with pytest.raises(NetworkFailed):
            await raft.start()
        assert others() == []
        with pytest.raises(PyraftError, match="has not been started"):
            await raft.client_write(1)
    network.is_there = True
    await raft.start()
    await raft.initialize({1})
    assert await counted(raft) == 1
    await raft.shutdown()
    assert others() == []


async def test_of_two_starts_at_once_one_is_refused(disk: Storage) -> None:
    raft = Raft(1, config=ALONE, storage=disk, machine=Counter())
    first, second = await asyncio.gather(raft.start(), raft.start(), return_exceptions=True)
    assert first is None
    assert "is already starting" in str(second)
    await raft.initialize({1})
    assert await counted(raft) == 1
    await raft.shutdown()
    assert others() == []


async def test_a_shutdown_ends_a_start_under_way(disk: Storage) -> None:
    network = Stuck()
    raft = Raft(1, config=ALONE, network=network, storage=disk, machine=Counter())
    starting = asyncio.create_task(raft.start())
    await network.asked.wait()
    await raft.shutdown()
    with pytest.raises(Stopped):
        await starting
    assert isinstance(raft.metrics.running, Stopped)
    with pytest.raises(PyraftError, match="started before"):
        await raft.start()
    await raft.shutdown()
    assert others() == []


async def test_a_shutdown_at_any_moment_of_a_start_leaves_nothing_running() -> None:
    for turns in range(12):
        raft = Raft(1, config=ALONE, storage=MemoryStorage(), machine=Counter())
        starting = asyncio.create_task(raft.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        await raft.shutdown()
        await asyncio.gather(starting, return_exceptions=True)
        await raft.shutdown()
        assert others() == []
        assert isinstance(raft.metrics.running, Stopped)


async def test_a_start_that_is_cancelled_can_be_tried_again(disk: Storage) -> None:
    network = Stuck()
    raft = Raft(1, config=ALONE, network=network, storage=disk, machine=Counter())
    starting = asyncio.create_task(raft.start())
    await network.asked.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert others() == []
    network.let_in.set()
    await raft.start()
    await raft.initialize({1})
    assert await counted(raft) == 1
    await raft.shutdown()


async def test_a_node_that_was_not_started_says_so_whatever_it_is_asked() -> None:
    raft = Raft(1)
    assert raft.metrics.role == "learner"
    with pytest.raises(PyraftError, match="await start"):
        raft.watch()
    with pytest.raises(PyraftError, match="await start"):
        raft.pause()
    with pytest.raises(PyraftError, match="await start"):
        await raft.wait(1).leader()
    await raft.shutdown()


async def test_a_machine_serves_one_life() -> None:
    disk, machine = MemoryStorage(), Counter()
    raft = Raft(1, config=ALONE, storage=disk, machine=machine)
    await raft.start()
    await raft.initialize({1})
    assert await counted(raft) == 1
    await raft.shutdown()
    for used in (machine, Sessions(machine)):
        with pytest.raises(PyraftError, match=r"already used by node 1.*machine=Counter\(\)"):
            await Raft(1, config=ALONE, storage=disk, machine=used).start()
    raft = Raft(1, config=ALONE, storage=disk, machine=Counter())
    await raft.start()
    assert await counted(raft) == 2
    await raft.shutdown()


async def test_a_machine_serves_one_node() -> None:
    machine, network = Counter(), MemoryNetwork()
    first = Raft(1, config=ALONE, network=network, machine=machine)
    await first.start()
    with pytest.raises(PyraftError, match="machine of node 2 was already used by node 1"):
        await Raft(2, config=ALONE, network=network, machine=machine).start()
    await first.shutdown()


async def test_a_machine_to_which_nothing_was_applied_may_serve_again() -> None:
    disk, machine = MemoryStorage(), Counter()
    disk.fail_next = None
    for _ in range(2):
        raft = Raft(1, config=ALONE, storage=disk, machine=machine)
        await raft.start()
        await raft.shutdown()


async def test_a_machine_with_sessions_of_its_own_keeps_them() -> None:
    sessions: Any = Sessions(Counter(), expiry=7)
    raft = Raft(1, config=ALONE, machine=sessions)
    await raft.start()
    await raft.initialize({1})
    assert await counted(raft) == 1
    assert await raft.with_machine(lambda machine: machine.total) == 1
    await raft.shutdown()
    assert sessions.machine.total == 1


async def test_a_cluster_makes_a_machine_for_each_node() -> None:
    for machine in (Sessions(KeyValue()), KeyValue()):
        with pytest.raises(ConfigError, match="a class or a function"):
            LocalCluster(3, machine=machine)  # type: ignore[arg-type]
    async with LocalCluster(1, machine=lambda: Sessions(Counter())) as cluster:
        assert await cluster.client.write(1) == 1
    only = Counter()
    with pytest.raises(PyraftError, match="machine of node 2 was already used by node 1"):
        await LocalCluster(3, machine=lambda: only).__aenter__()


async def test_a_second_node_of_the_same_id_is_refused_and_hurts_nobody() -> None:
    network = MemoryNetwork()
    first = Raft(1, config=ALONE, network=network, machine=Counter())
    await first.start()
    await first.initialize({1})
    with pytest.raises(DuplicateNode):
        await Raft(1, config=ALONE, network=network).start()
    assert await counted(first) == 1
    await first.shutdown()


async def test_a_disk_that_cannot_be_read_is_no_end(tmp_path: Path) -> None:
    (tmp_path / "disk").touch()
    raft = Raft(1, config=ALONE, storage=SqliteStorage(tmp_path / "disk"), machine=Counter())
    with pytest.raises(StorageFailed):
        await raft.start()
    (tmp_path / "disk").unlink()
    await raft.start()
    await raft.initialize({1})
    assert await counted(raft) == 1
    await raft.shutdown()


@pytest.mark.parametrize("turns", range(12))
def test_a_loop_that_ends_in_the_middle_of_a_start_ends(turns: int, tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path)

    async def leave() -> None:
        raft = Raft(1, config=ALONE, storage=disk, machine=Counter())
        starting.append(asyncio.create_task(raft.start()))
        for _ in range(turns):
            await asyncio.sleep(0)

    async def again() -> None:
        raft = Raft(1, config=ALONE, storage=SqliteStorage(tmp_path), machine=Counter())
        await raft.start()  # refused, if anything held the directory
        await raft.shutdown()

    starting: list[asyncio.Task[None]] = []
    run_virtually(leave())  # an endless wait would be an error there
    assert starting[0].done()
    run_virtually(again())
