import asyncio
import time

import pytest

from pyraft_lab.engine.commands import StorageCommand
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.messages import HeartbeatResponse
from pyraft_lab.engine.types import Vote
from pyraft_lab.errors import (
    AlreadyInitialized,
    BadCommand,
    ConfigError,
    NotInitialized,
    NotLeader,
    Panicked,
    PreconditionFailed,
    PyraftError,
    Stopped,
    StorageFailed,
    Timeout,
)
from pyraft_lab.machine import Counter
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.network.codec import Envelope, encode
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.driver import INBOX
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.trace.record import Kind
from pyraft_lab.trace.trace import Trace

ALONE = Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03)


async def alone(**settings: object) -> Raft:
    """A running cluster of one."""
    raft = Raft(1, config=ALONE, machine=Counter(), **settings)  # type: ignore[arg-type]
    await raft.start()
    await raft.initialize({1})
    await raft.wait(20).role("leader")
    return raft


async def test_a_node_alone_writes_and_reads() -> None:
    raft = await alone()
    response = await raft.client_write(5)
    assert (response.value, response.log_id.index) == (5, 3)
    assert [one.value for one in await raft.client_write_many([1, 2])] == [6, 8]
    assert await raft.read(None) == 8
    assert await raft.read(None, policy="lease") == 8
    assert (await raft.write_blank()).log_id.index == 6
    await raft.shutdown()


@pytest.mark.row("CP-27")
async def test_a_restarted_node_finds_what_it_had() -> None:
    disk = MemoryStorage()
    raft = await alone(storage=disk)
    await raft.client_write(5)
    await raft.shutdown()
    again = Raft(1, config=ALONE, machine=Counter(), storage=disk)
    await again.start()
    await again.wait(20).role("leader")
    assert await again.read(None) == 5
    await again.shutdown()


async def test_a_write_that_no_snapshot_could_keep_is_refused_and_the_node_goes_on() -> None:
    raft = await alone()
    await raft.client_write(2**64 - 1)
    deep = b"\x91" * 100_000 + b"\xc0"
    for command, why in ((1, "more than 64 bits"), (deep, "nested deeper")):
        with pytest.raises(BadCommand, match=why):
            await raft.client_write(command)
    raft.trigger.snapshot()
    await raft.wait(20).snapshot(raft.metrics.applied)
    assert await raft.read(None) == 2**64 - 1
    await raft.shutdown()


async def test_a_machine_is_restored_from_its_snapshot() -> None:
    disk = MemoryStorage()
    raft = await alone(storage=disk)
    await raft.client_write(5)
    raft.trigger.snapshot()
    now = await raft.wait(20).until(lambda now: now.snapshot.index > 0, "a snapshot")
    raft.trigger.purge(now.snapshot.index)
    await raft.wait(20).purged(now.snapshot)
    await raft.shutdown()
    again = Raft(1, config=ALONE, machine=Counter(), storage=disk)
    await again.start()
    await again.wait(20).role("leader")
    assert await again.read(None) == 5
    await again.shutdown()


async def test_a_fenced_write_happens_only_under_its_leadership() -> None:
    raft = await alone()
    term = raft.metrics.term
    assert (await raft.client_write(1, leader=(term, 1))).value == 1
    with pytest.raises(NotLeader, match="another leadership"):
        await raft.client_write(1, leader=(term + 1, 1))
    await raft.shutdown()


async def test_a_node_without_a_cluster_says_so() -> None:
    raft = Raft(1, config=ALONE)
    await raft.start()
    with pytest.raises(NotInitialized):
        await raft.client_write({"op": "get", "key": "x"})
    with pytest.raises(PreconditionFailed):
        await raft.initialize({2, 3})
    await raft.shutdown()


async def test_a_cluster_is_founded_once() -> None:
    raft = await alone()
    with pytest.raises(AlreadyInitialized):
        await raft.initialize({1})
    await raft.shutdown()


@pytest.mark.row("CP-25")
async def test_a_node_is_started_once() -> None:
    raft = await alone()
    with pytest.raises(PyraftError, match="already running"):
        await raft.start()
    await raft.shutdown()
    await raft.shutdown()
    with pytest.raises(PyraftError, match="started before; make a new Raft"):
        await raft.start()
    with pytest.raises(Stopped):
        await raft.client_write(1)


async def test_a_node_that_was_not_started_says_so() -> None:
    with pytest.raises(PyraftError, match="not been started"):
        await Raft(1).client_write(1)


@pytest.mark.row("CP-24", "CP-25")
async def test_waiting_calls_end_when_the_node_does() -> None:
    raft = Raft(1, config=ALONE)
    await raft.start()
    await raft.initialize({1, 2, 3})
    waiting = asyncio.create_task(raft.wait().leader())
    await asyncio.sleep(0)
    await raft.shutdown()
    with pytest.raises(Stopped):
        await waiting
    assert raft.metrics.role == "shutdown"


@pytest.mark.row("CP-18")
async def test_a_failing_disk_stops_the_node() -> None:
    disk = MemoryStorage()
    raft = await alone(storage=disk)
    disk.fail_next = "no space left"
    with pytest.raises(StorageFailed, match="no space left"):
        await raft.client_write(1)
    with pytest.raises(StorageFailed):
        await raft.read(None)
    assert isinstance(raft.metrics.running, StorageFailed)


class Fragile(Counter):
    """A machine with a bug."""

    def apply(self, _command: object, /) -> object:
        raise ZeroDivisionError("a bug of the machine")


@pytest.mark.row("CP-24")
async def test_a_bug_of_the_machine_is_a_panic() -> None:
    raft = Raft(1, config=ALONE, machine=Fragile())
    await raft.start()
    await raft.initialize({1})
    await raft.wait(20).role("leader")
    with pytest.raises(Panicked, match="a bug of the machine"):
        await raft.client_write(1)


@pytest.mark.row("CP-27")
async def test_a_wait_that_is_over_is_a_timeout() -> None:
    raft = await alone()
    with pytest.raises(Timeout, match="applying entry 99"):
        await raft.wait(0.01).applied(99)
    await raft.shutdown()


async def test_metrics_can_be_watched_until_the_end() -> None:
    raft = Raft(1, config=ALONE, machine=Counter())
    await raft.start()
    seen: list[str] = []

    async def watch() -> None:
        seen.extend([now.role async for now in raft.watch()])

    watching = asyncio.create_task(watch())
    await raft.initialize({1})
    await raft.wait(20).role("leader")
    await raft.shutdown()
    await watching
    assert seen[0] == "learner"
    assert "leader" in seen
    assert seen[-1] == "shutdown"


@pytest.mark.row("CL-07")
async def test_leadership_begins_and_ends_in_turn() -> None:
    told: list[tuple[str, int]] = []
    raft = Raft(1, config=ALONE, machine=Counter())

    async def start(now: Metrics) -> None:
        await asyncio.sleep(0)
        told.append(("start", now.term))

    raft.on_leader_change(start, lambda now: told.append(("stop", now.term)))
    await raft.start()
    await raft.initialize({1})
    await raft.wait(20).role("leader")
    await raft.client_write(1)
    assert told == [("start", 1)]
    await raft.shutdown()
    assert told == [("start", 1), ("stop", 1)]


async def test_a_role_that_does_not_exist_is_not_waited_for() -> None:
    raft = Raft(1)
    await raft.start()
    with pytest.raises(
        ConfigError, match="role='boss': must be one of follower, learner, precandidate, candidate, leader"
    ):
        await raft.wait(20).role("boss")  # type: ignore[arg-type]
    await raft.shutdown()


async def test_who_leads_is_told_in_order_one_at_a_time_until_the_node_ends() -> None:
    told: list[tuple[Vote | None, Vote | None]] = []
    under_way, most, news = 0, 0, asyncio.Event()

    async def change(old: Vote | None, new: Vote | None) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        told.append((old, new))
        if new is not None:
            news.set()

    async with LocalCluster(3) as cluster:
        first = await cluster.wait_leader()
        watcher = next(node for node in cluster.nodes if node != first)
        raft = cluster.raft(watcher)
        await raft.wait(20).leader(first)
        raft.on_cluster_leader_change(change)
        await asyncio.wait_for(news.wait(), 20)
        news.clear()
        await cluster.kill(first)
        await asyncio.wait_for(news.wait(), 20)
        last = told[-1][1]
    count = len(told)
    assert told[0][0] is None
    assert told[0][1] is not None
    assert (told[0][1].node, told[0][1].committed) == (first, True)
    assert [old for old, _ in told[1:]] == [new for _, new in told[:-1]], "each begins where the one before ended"
    assert last is not None
    assert last.term > told[0][1].term
    assert most == 1
    assert len(told) == count, "an ended node tells nothing"


async def test_a_leader_learns_of_itself_too_also_where_that_was_asked_for_before_the_start() -> None:
    told: list[tuple[Vote | None, Vote | None]] = []
    raft = Raft(1, config=ALONE, machine=Counter())
    raft.on_cluster_leader_change(lambda old, new: told.append((old, new)))
    await raft.start()
    await raft.initialize({1})
    await raft.wait(20).role("leader")
    await raft.client_write(1)
    await raft.shutdown()
    assert told == [(None, Vote(1, 1, committed=True))]


class Slow(MemoryStorage):
    """A disk whose first write waits to be let go; it counts its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.go.set()
        self.batches: list[int] = []

    async def write(self, commands: list[StorageCommand]) -> None:  # type: ignore[override]
        await self.go.wait()
        self.batches.append(len(commands))
        await super().write(commands)


async def test_writes_that_come_while_the_disk_is_busy_share_the_next_batch() -> None:
    disk = Slow()
    raft = await alone(storage=disk)
    disk.go.clear()
    writes = [asyncio.create_task(raft.client_write(1))]
    await raft.wait(20).log(3)
    writes += [asyncio.create_task(raft.client_write(1)) for _ in range(10)]
    await raft.wait(20).log(13)
    before = len(disk.batches)
    disk.go.set()
    await asyncio.gather(*writes)
    assert len(disk.batches) - before == 2
    await raft.shutdown()


async def test_state_and_machine_can_be_looked_at() -> None:
    raft = await alone()
    await raft.client_write(4)
    last: Entry = await raft.with_state(lambda state: state.log.entry(state.log.last.index))
    assert last.index == 3
    assert await raft.with_machine(lambda machine: machine.total) == 4
    await raft.shutdown()


async def test_a_bounded_node_makes_its_callers_wait_and_serves_them_all() -> None:
    raft = await alone(max_waiting=4)
    responses = await asyncio.gather(*(raft.client_write(1) for _ in range(50)))
    assert sorted(one.value for one in responses) == list(range(1, 51))
    await raft.shutdown()


@pytest.mark.row("CL-08")
async def test_what_is_reported_as_applied_is_in_the_machine() -> None:
    raft = await alone()
    writing = asyncio.create_task(raft.client_write_many([1] * 10))
    for number in range(1, 11):
        await raft.wait(20).applied(2 + number)
        assert await raft.with_machine(lambda machine: machine.query(None)) >= number
    await writing
    await raft.shutdown()


async def test_reads_wait_for_room_too() -> None:
    disk = Slow()
    raft = await alone(storage=disk, max_waiting=2)
    disk.go.clear()
    writes = [asyncio.create_task(raft.client_write(1)) for _ in range(2)]
    await raft.wait(20).log(4)
    reading = asyncio.create_task(raft.read(None, policy="lease"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not reading.done(), "two requests are on their way, and that is all there may be"
    disk.go.set()
    await asyncio.gather(*writes)
    assert await reading == 2
    await raft.shutdown()


async def test_a_flood_of_messages_washes_the_oldest_away() -> None:
    network, trace = MemoryNetwork(), Trace()
    raft = await alone(network=network, observers=[trace])
    said = HeartbeatResponse(vote=Vote(1, 1, committed=True))
    for first in range(1, 20_000, 200):
        assert network.carry(1, encode(2, [Envelope(id, 0, said) for id in range(first, first + 200)]))
    assert (await raft.client_write(1)).value == 1
    lost = [record.message for record in trace.records if record.kind is Kind.UNDELIVERED]
    assert lost == list(range(1, 20_000 - INBOX + 1))
    await raft.shutdown()


async def test_a_leader_knows_when_a_quorum_answered_last() -> None:
    async with LocalCluster(3, config=Config(election_timeout=(0.5, 1.0))) as cluster:
        leader = cluster.raft(await cluster.wait_leader(20))
        before = time.time()
        now = await leader.wait(20).quorum_acked(before)
        assert now.quorum_acked is not None
        assert before <= now.quorum_acked <= time.time()
        followers = [raft for raft in cluster.nodes.values() if raft is not leader]
        assert [raft.metrics.quorum_acked for raft in followers] == [None, None]
        cluster.partition({leader.id}, {raft.id for raft in followers})
        alone = time.time()
        deposed = await leader.wait(20).until(lambda now: now.role != "leader" or (now.quorum_acked or 0) > alone)
        assert deposed.role != "leader", "nobody has answered since"
