"""The suite passes what keeps its word, and catches what does not."""

import asyncio
import secrets
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from msgspec import Struct

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode
from pyraft_lab.network import broker
from pyraft_lab.network.base import Counters, Endpoint, Mailbox, MemoryNetwork
from pyraft_lab.network.codec import Envelope, Garbage, decode, encode
from pyraft_lab.network.conformance import CASES, Case, Fresh, MakeNetwork, check, name_of, run
from pyraft_lab.network.faults import Faults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.runtime.raft import Raft
from tests.network.conftest import BROKERS

LENGTH = struct.Struct("<I")
Ports = dict[NodeId, int]


class Streams:
    """A network as a user may write it: a TCP server for each node, a connection to each peer, frames with a length."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        if node in self.ports:
            raise DuplicateNode(node)
        end = Stream(self.ports, node, mailbox)
        self.ports[node] = 0
        server = await asyncio.start_server(end.listen, "127.0.0.1")
        self.ports[node] = server.sockets[0].getsockname()[1]
        end.server = server
        return end

    async def close(self) -> None:
        """Nothing is shared."""


class Stream:
    """One node's server, and a task for each peer it writes to."""

    server: asyncio.Server

    def __init__(self, ports: Ports, node: NodeId, mailbox: Mailbox) -> None:
        self.counters = Counters()
        self.ports, self.node, self.mailbox = ports, node, mailbox
        self.is_open = True
        self.waiting: dict[NodeId, asyncio.Queue[Envelope]] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.readers: set[asyncio.StreamWriter] = set()

    def send(self, dst: NodeId, envelope: Envelope) -> None:
        if not self.is_open:
            return
        if dst not in self.waiting:
            self.waiting[dst] = asyncio.Queue(1000)
            self.tasks.append(asyncio.create_task(self.keep(dst)))
        with suppress(asyncio.QueueFull):
            self.waiting[dst].put_nowait(envelope)

    async def keep(self, dst: NodeId) -> None:
        while True:
            with suppress(OSError):
                await self.write(dst)
            await asyncio.sleep(0.01)

    async def write(self, dst: NodeId) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.ports.get(dst, 0))
        try:
            while not writer.is_closing():
                frame = encode(self.node, [await self.waiting[dst].get()])
                writer.write(LENGTH.pack(len(frame)) + frame)
                await writer.drain()
                self.counters.sent += 1
        finally:
            writer.close()

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.readers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                self.take(await reader.readexactly(length))
        writer.close()

    def take(self, frame: bytes) -> None:
        if not self.is_open:
            return
        try:
            src, envelopes = decode(frame)
        except Garbage:
            self.counters.garbage += 1
            return
        self.counters.received += len(envelopes)
        self.mailbox.receive(src, envelopes)

    async def close(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        del self.ports[self.node]
        for task in self.tasks:
            task.cancel()
        for writer in self.readers:
            writer.close()
        self.server.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def streams() -> MakeNetwork:
    ports: Ports = {}
    return lambda: Streams(ports)


def memory() -> MakeNetwork:
    hub = MemoryNetwork()
    return lambda: hub


def spoilt() -> MakeNetwork:
    hub = Faults(MemoryNetwork())
    hub.conditions(loss=0.3, delay=(0.0, 0.03))
    return lambda: hub


@pytest.mark.parametrize("fresh", [memory, spoilt, streams])
@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_a_network_keeps_the_promise(case: Case, fresh: Fresh) -> None:
    await check(case, fresh)


@pytest.fixture(params=BROKERS, scope="module")
def around_a_broker(request: pytest.FixtureRequest) -> Iterator[Fresh]:
    """Clusters without number around one broker of each kind."""
    if request.param == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with broker.start(kind=request.param) as running:
        yield lambda: partial(MqttNetwork, running.url, cluster=secrets.token_hex(4))


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_mqtt_keeps_the_promise(case: Case, around_a_broker: Fresh) -> None:
    await check(case, around_a_broker)


async def test_a_cluster_lives_on_a_network_of_a_users_own() -> None:
    reach = streams()
    rafts = [Raft(id, config=Config(election_timeout=(0.5, 1.0)), network=reach()) for id in (1, 2, 3)]
    for raft in rafts:
        await raft.start()
    await rafts[0].initialize({1, 2, 3})
    leader = rafts[((await rafts[0].wait(20).leader()).leader or 1) - 1]
    assert (await leader.client_write({"op": "incr", "key": "x"})).value == 1
    for raft in rafts:
        await raft.shutdown()


class Joined(Struct):
    """A node that has just joined a network in memory: what a fault below spoils."""

    hub: MemoryNetwork
    node: NodeId
    end: Any
    mailbox: Any


def hasty(it: Joined) -> None:
    """Delivers at once."""
    it.end.send = lambda dst, envelope: it.hub.carry(dst, encode(it.node, [envelope]))


def astray(it: Joined) -> None:
    """Delivers from a thread of its own."""
    receive = it.mailbox.receive

    def elsewhere(src: NodeId, envelopes: Sequence[Envelope]) -> None:
        thread = threading.Thread(target=receive, args=(src, envelopes))
        thread.start()
        thread.join()

    it.mailbox.receive = elsewhere


def gossiping(it: Joined) -> None:
    """Delivers every envelope to everybody."""
    send = it.end.send
    it.end.send = lambda _, envelope: [send(peer, envelope) for peer in (1, 2, 3)]


def narrow(it: Joined) -> None:
    """Loses what is large."""
    send = it.end.send
    it.end.send = lambda dst, envelope: send(dst, envelope) if envelope.size < 60_000 else None


def careless(it: Joined) -> None:
    """Carries appends without their last entry."""
    send = it.end.send

    def carry(dst: NodeId, envelope: Envelope) -> None:
        match envelope.message:
            case AppendRequest(vote=vote, prev=prev, entries=entries):
                send(
                    dst,
                    Envelope(envelope.id, envelope.cause, AppendRequest(vote=vote, prev=prev, entries=entries[:-1])),
                )
            case _:
                send(dst, envelope)

    it.end.send = carry


def faithful(it: Joined) -> None:
    """Goes on delivering to those who have left."""
    before, receive = getattr(it.hub, f"box_{it.node}", None), it.mailbox.receive

    def deliver(src: NodeId, envelopes: Sequence[Envelope]) -> None:
        for box in (before, receive):
            if box is not None:
                box(src, envelopes)

    setattr(it.hub, f"box_{it.node}", receive)
    it.mailbox.receive = deliver


def strict(it: Joined) -> None:
    """Raises where nobody is."""
    send = it.end.send

    def carry(dst: NodeId, envelope: Envelope) -> None:
        if dst > 3:
            raise LookupError(dst)
        send(dst, envelope)

    it.end.send = carry


def forgetful(it: Joined) -> None:
    """Lets a second node in under the name of the first."""
    it.hub.leave(it.node)


class Spoilt(MemoryNetwork):
    """A network in memory with a fault."""

    def __init__(self, fault: Callable[[Joined], None]) -> None:
        super().__init__()
        self.fault = fault

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        end = await super().join(node, mailbox)
        self.fault(Joined(self, node, end, mailbox))
        return end


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        (hasty, "nothing is delivered while it is being sent"),
        (astray, "messages are delivered on the loop of their receiver"),
        (gossiping, "no node gets a message for another"),
        (narrow, "a large message arrives"),
        (careless, "every kind of message arrives as it was sent"),
        (faithful, "a node that left receives nothing"),
        (forgetful, "a node is there once"),
        (strict, "a message to a missing node is no error"),
    ],
)
async def test_a_network_that_breaks_its_word_is_caught(fault: Callable[[Joined], None], promise: str) -> None:
    def fresh() -> MakeNetwork:
        hub = Spoilt(fault)
        return lambda: hub

    cases = [case for case in CASES if name_of(case).replace("_", " ") == promise]
    report = await run(fresh, cases, limit=2.0)
    assert [one.name for one in report.broken] == [promise]


def test_every_promise_is_a_sentence_of_its_own() -> None:
    assert len({name_of(case) for case in CASES}) == len(CASES)
    assert all(case.__doc__ for case in CASES)
