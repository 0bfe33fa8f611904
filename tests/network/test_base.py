import asyncio
import threading

import pytest

from pyraft_lab.errors import DuplicateNode
from pyraft_lab.network.base import Counters, MemoryNetwork, Outbox, PeerUnreachable
from tests.network.wires import Remembering, envelope, heavy


async def test_messages_arrive_in_order_and_share_a_frame() -> None:
    network, mailbox = MemoryNetwork(), Remembering()
    sender = await network.join(1, Remembering())
    await network.join(2, mailbox)
    for id in (1, 2, 3):
        sender.send(2, envelope(id))
    assert await mailbox.until_messages(3) == [(1, 1), (1, 2), (1, 3)]
    assert (sender.counters.frames, sender.counters.sent) == (1, 3)


async def test_nothing_is_delivered_before_the_sender_yields() -> None:
    network, mailbox = MemoryNetwork(), Remembering()
    sender = await network.join(1, Remembering())
    await network.join(2, mailbox)
    sender.send(2, envelope(1))
    assert mailbox.envelopes == []


async def test_who_writes_to_nobody_hears_that_nobody_is_there() -> None:
    mailbox = Remembering()
    sender = await MemoryNetwork().join(1, mailbox)
    sender.send(2, envelope(1))
    await mailbox.until(lambda box: bool(box.notices))
    assert mailbox.notices == [PeerUnreachable(2, undelivered=(1,))]


async def test_a_node_that_left_gets_nothing_and_may_return() -> None:
    network, before, after = MemoryNetwork(), Remembering(), Remembering()
    sender = await network.join(1, Remembering())
    gone = await network.join(2, before)
    await gone.close()
    await network.join(2, after)
    sender.send(2, envelope(1))
    assert await after.until_messages(1) == [(1, 1)]
    assert before.envelopes == []


async def test_the_second_node_of_an_id_is_refused() -> None:
    network = MemoryNetwork()
    await network.join(1, Remembering())
    with pytest.raises(DuplicateNode, match="node 1"):
        await network.join(1, Remembering())


async def test_nodes_on_other_loops_get_their_messages_there() -> None:
    network, joined, done = MemoryNetwork(), threading.Event(), []
    sender = await network.join(1, Remembering())

    async def live_elsewhere() -> None:
        mailbox = Remembering()
        await network.join(2, mailbox)
        joined.set()
        done.extend(await mailbox.until_messages(1))

    other = threading.Thread(target=lambda: asyncio.run(live_elsewhere()))
    other.start()
    await asyncio.to_thread(joined.wait, 10)
    sender.send(2, envelope(1))
    await asyncio.to_thread(other.join, 10)
    assert done == [(1, 1)]


def test_an_outbox_forgets_the_oldest_beyond_its_limit() -> None:
    counters = Counters()
    outbox = Outbox(counters, limit=2)
    for id in (1, 2, 3):
        outbox.put(2, envelope(id))
    assert [(dst, [one.id for one in envelopes]) for dst, envelopes in outbox.take()] == [(2, [2, 3])]
    assert counters.overflow == 1


def test_a_frame_takes_no_more_than_it_may() -> None:
    outbox = Outbox(Counters(), frame_bytes=1000)
    for id, size in ((1, 300), (2, 300), (3, 5000), (4, 300)):
        outbox.put(2, heavy(id, size))
    assert [[one.id for one in envelopes] for _, envelopes in outbox.take()] == [[1, 2], [3], [4]]
    assert not outbox
