"""A machine is worked in pieces that leave room for heartbeats."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pyraft_lab.command import encode
from pyraft_lab.engine.commands import Apply, InstallSnapshot, RestoreMachine, TakeSnapshot, WriteChunk
from pyraft_lab.engine.log import Entry, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import ORIGIN, LogId
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.runtime.applier import AT_ONCE, AT_ONCE_BYTES, Applier, Work
from pyraft_lab.runtime.disk_queue import DiskQueue
from pyraft_lab.storage.base import described
from pyraft_lab.storage.memory import MemoryStorage


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ([10] * 3, [3]),
        ([10] * (AT_ONCE + 5), [AT_ONCE, 5]),
        ([AT_ONCE_BYTES // 2] * 3, [1, 1, 1]),
        ([AT_ONCE_BYTES * 2, 10, 10], [1, 2]),
    ],
)
async def test_entries_are_applied_in_pieces_of_bounded_number_and_size(sizes: list[int], pieces: list[int]) -> None:
    storage, done, done_all = MemoryStorage(), list[Sequence[Any]](), asyncio.Event()

    def carried_out(_work: Work, results: Sequence[Any]) -> None:
        done.append(results)
        if sum(map(len, done)) == len(sizes):
            done_all.set()

    disk = DiskQueue(storage, lambda *_: None)
    applier = Applier(Sessions(KeyValue()), storage, disk, carried_out=carried_out, built=lambda *_: None)
    working = asyncio.create_task(applier.run())
    entries = tuple(
        Entry(LogId(1, 1, index), Normal(encode({"op": "put", "key": "x", "value": "v" * size})))
        for index, size in enumerate(sizes, 1)
    )
    applier.do(Apply(entries), 1)
    await asyncio.wait_for(done_all.wait(), 20)
    working.cancel()
    assert [len(results) for results in done] == pieces
    assert applier.applied == entries[-1].id


async def test_of_snapshots_that_arrived_while_a_node_stood_still_the_last_is_loaded() -> None:
    """The storage keeps the last two; work between them is passed over, since the last snapshot holds all of it."""
    storage, done, built = MemoryStorage(), asyncio.Queue[Work](), list[tuple[SnapshotMeta | None, int]]()
    disk = DiskQueue(storage, lambda *_: None)
    applier = Applier(
        Sessions(KeyValue()),
        storage,
        disk,
        carried_out=lambda work, _: done.put_nowait(work),
        built=lambda meta, cause: built.append((meta, cause)),
    )
    working = [asyncio.create_task(one()) for one in (applier.run, disk.run)]
    right, work = Sessions(KeyValue()), list[Work]()
    for last in (10, 20, 30):
        right.apply(Entry(LogId(1, 1, last), Normal(encode({"op": "put", "key": "x", "value": last}))))
        data = right.snapshot()
        meta = described(TakeSnapshot(LogId(1, 1, last), Membership.of({1}), ORIGIN), data)
        await storage.write([WriteChunk(meta, 0, data), InstallSnapshot(meta)])
        after = Entry(LogId(1, 1, last + 1), Normal(encode({"op": "incr", "key": "n"})))
        work += [RestoreMachine(meta), Apply((after,)), TakeSnapshot(after.id, meta.membership, ORIGIN)]
    for place, one in enumerate(work):
        applier.do(one, place)
    assert [await asyncio.wait_for(done.get(), 20) for _ in range(2)] == work[-3:-1]
    assert (applier.machine.query("x"), applier.machine.query("n"), applier.applied) == (30, 1, LogId(1, 1, 31))
    assert built[:2] == [(None, 2), (None, 5)], "who asked for a snapshot of what was passed over is told"
    for task in working:
        task.cancel()
