"""A machine is worked in pieces that leave room for heartbeats."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pyraft_lab.command import encode
from pyraft_lab.engine.commands import Apply
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.runtime.applier import AT_ONCE, AT_ONCE_BYTES, Applier, Work
from pyraft_lab.runtime.disk_queue import DiskQueue
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
