"""Traces over MQTT: nodes publish their records while a follower is there; one trace collects them all.

::

    pyraft/<cluster>/followers/<name>   retained: "I am here", every few seconds; or "send the full state of node 3"
    pyraft/<cluster>/<node>/presence    retained: the process that is this node; cleared when it ends
    pyraft/<cluster>/<node>/trace       numbered batches of records, only while a follower is there

Messages may be lost. A follower notices by the numbers, records how many records are missing, and goes on
from the full state that it requests from the node (:mod:`pyraft_lab.runtime.trace_batches`).

Clocks of different machines differ. A record knows its cause. If an effect seems to come before its cause, the
clock of its node is moved forward by the difference, permanently.
"""

import asyncio
import itertools
import math
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Self

import msgspec
from msgspec.structs import replace

from pyraft_lab.concurrency import suspender
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import Fatal
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.network.address import Certificates
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.network.presence import Claim
from pyraft_lab.runtime.presence_tracker import PresenceTracker
from pyraft_lab.runtime.trace_batches import Receiver, Sender
from pyraft_lab.trace.record import EventId, Kind, Record
from pyraft_lab.trace.trace import Trace

HELLO = 2.0
"""Seconds between two hello messages of a follower."""
TRACE_EXPIRY = 3 * HELLO
"""Seconds without a hello after which nodes stop publishing."""
PAUSE = 0.05
"""Seconds of records in one message."""
REQUESTS_STATE = 0.5
"""Seconds after which a follower repeats its request for a full state."""
MAX_WAIT = 0.25
"""Seconds that a record waits for its cause from another node."""

REMEMBERED = 100_000
"""Events whose times are kept for later effects."""

NEWS = frozenset({Kind.SILENT, Kind.HEARD})
"""Kinds of records that the follower makes about a node, by its own clock."""
FOLLOWER: NodeId = 0
WIDEST = 15
"""The most digits of a node's number in a topic."""
NEW = b"new"
"""The payload of a new follower, which knows nothing yet."""


class Publisher:
    """An observer that publishes a node's records over a session of its own, while a follower is there."""

    def __init__(self, node: NodeId, network: MqttNetwork, *, now: Callable[[], float] = time.monotonic) -> None:
        self._node, self._now = node, now
        self._until = now() + HELLO  # the hello of an existing follower takes a moment to arrive
        self._is_heard = False
        self._sender = Sender(node, run=secrets.randbits(60))
        self._news = asyncio.Event()
        self._line = MqttSession(network, f"{node}-trace", topics=["followers/+"], deliver=self._met)

    def __call__(self, record: Record) -> None:
        """Add a record to the next message, if there is a follower."""
        self._sender.add(record, is_followed=self._now() < self._until)
        self._news.set()

    async def run(self) -> None:
        """Publish until cancelled; without news it does nothing."""
        async with self._line as line:
            while await self._news.wait():
                self._news.clear()
                await asyncio.sleep(PAUSE)
                if not self._is_heard:  # encoding records without a reader could delay a heartbeat
                    if self._now() >= self._until:
                        self._sender.forget()
                    continue
                batch = self._sender.take()
                if batch is not None:
                    line.publish(f"{self._node}/trace", batch, divide=True)

    def _met(self, _topic: str, payload: bytes) -> None:
        """Handle a follower's hello; a new one, or one that misses records, needs a full state first."""
        if payload in (NEW, full_state_of(self._node)):
            self._sender.add_full_state()
        if payload:
            self._is_heard = True
            self._until = self._now() + TRACE_EXPIRY
            self._news.set()


def full_state_of(node: NodeId) -> bytes:
    """The payload with which a follower requests a node's full state."""
    return f"whole {node}".encode()


class Merger:
    """Merge the records of many nodes into one order, causes before effects; times count from ``zero``, in seconds."""

    def __init__(self, *, zero: float = 0.0) -> None:
        self._zero = zero
        self._ahead: dict[NodeId, float] = {}
        self._times: dict[EventId, float] = {}
        self._latest: dict[NodeId, float] = {}
        self._waiting: list[tuple[float, Record]] = []

    def add(self, records: Iterable[Record], *, now: float) -> None:
        """Add records in the order in which one node made them; ``now`` is their time of arrival in seconds."""
        self._waiting += [(now, record) for record in records]

    def take(self, *, now: float) -> list[Record]:
        """The records that are ready: their causes were returned before, or will no longer come."""
        ready: list[Record] = []
        held = set[NodeId]()
        progress = True
        while progress:
            progress, waiting, held = False, self._waiting, set()
            self._waiting = []
            for arrived, record in waiting:
                if record.node in held or not (self._is_due(record) or now - arrived > MAX_WAIT):
                    held.add(record.node)
                    self._waiting.append((arrived, record))
                    continue
                ready.append(self._placed(record))
                progress = True
        return sorted(ready, key=lambda record: record.time)

    def _is_due(self, record: Record) -> bool:
        return record.cause is None or record.cause in self._times

    def _placed(self, record: Record) -> Record:
        """The record with its time on the common clock."""
        clock = FOLLOWER if record.kind in NEWS else record.node
        seen = record.time + self._ahead.get(clock, 0.0)
        late = self._earliest(record, seen) - seen
        if late > 0:
            self._ahead[clock] = self._ahead.get(clock, 0.0) + late
            seen += late
        self._times[record.id] = self._latest[record.node] = seen
        if len(self._times) > REMEMBERED:
            del self._times[next(iter(self._times))]
        ahead = self._ahead.get(clock, 0.0)
        sent = tuple(replace(flight, sent=flight.sent + ahead - self._zero) for flight in record.sent)
        return replace(record, time=seen - self._zero, sent=sent)

    def _earliest(self, record: Record, seen: float) -> float:
        """The earliest time of a record: after its cause; a report about a node comes after the node's last record."""
        if record.kind in NEWS:
            return self._latest.get(record.node, seen)
        return seen if record.cause is None else self._times.get(record.cause, seen)


class FollowedTrace(Trace):
    """A trace that grows while its cluster runs elsewhere; ``close()`` it, or use it in a ``with`` block."""

    def __init__(
        self,
        broker: str,
        cluster: str,
        *,
        certificates: Certificates | None = None,
        limit: int | None = None,
        timeout: float = 5.0,
    ) -> None:
        super().__init__(limit=limit)
        self.is_open = True
        self._network = MqttNetwork(broker, cluster=cluster, certificates=certificates, timeout=timeout)
        self._zero = time.time()
        self._merger = Merger(zero=self._zero)
        self._receivers: dict[NodeId, Receiver] = {}
        self._asked: dict[NodeId, float] = {}
        self._astray = 0
        self._presence = PresenceTracker()
        self._numbers = itertools.count(secrets.randbits(38) << 24)  # far from the ids of any node
        self._line: MqttSession | None = None
        self._thread = LoopThread(f"trace of {cluster}")
        self._thread.start()
        self._listening: asyncio.Task[None] | None = None
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> None:
        """Wait for the broker; a guest on the loop that runs cannot, and connects soon."""
        home = self._thread.home
        if home.is_here and suspender() is None:
            self._up = home.submit(self._open())
        else:
            self._up = Future()
            home.wait(self._open())
            self._up.set_result(None)

    async def connected(self) -> None:
        """Return once the broker is connected; ``NetworkFailed`` says why it cannot be reached.

        Only where Python has neither threads nor a way to suspend a call, as in some browsers, is there anything left
        to wait for after ``Trace.follow``.
        """
        await asyncio.wrap_future(self._up)

    def __call__(self, record: Record) -> None:
        """Add a record; if a user stopped the node, its silence is not reported."""
        self._presence.on_record(record)
        super().__call__(record)

    @property
    def now(self) -> float:
        """Seconds since the trace began to follow; its times count from there."""
        return time.time() - self._zero

    @property
    def unreadable(self) -> int:
        """How many messages on the trace topics were invalid, and were dropped."""
        return self._astray + sum(receiver.unreadable for receiver in tuple(self._receivers.values()))

    def close(self) -> None:
        """Stop following; the collected records stay."""
        self.is_open = False
        if self._thread.is_guest and self._listening is not None:
            self._listening.cancel()
        self._thread.stop(Fatal("the trace is closed"))

    async def _open(self) -> None:
        topic = f"followers/{self._network.address.username or secrets.token_hex(4)}"
        self._line = line = MqttSession(
            self._network,
            "follower",
            topics=["+/trace", "+/presence"],
            deliver=self._hear,
            will=topic,
            connected=lambda: self._presence.connected(now=time.monotonic()),
        )
        try:
            await line.open()
        except BaseException:
            self.is_open = False
            raise
        self._listening = asyncio.create_task(self._follow(line, topic))

    async def _follow(self, line: MqttSession, topic: str) -> None:
        """Publish a hello, and collect what arrives."""
        said = -HELLO
        try:
            while True:
                if time.monotonic() - said >= HELLO:
                    line.publish(topic, NEW if said < 0 else b"here", retain=True)
                    said = time.monotonic()
                self._ask_again(line, topic)
                self._merger.add(self._news(), now=time.monotonic())
                self._gather(now=time.monotonic())
                await asyncio.sleep(PAUSE)
        finally:
            for receiver in self._receivers.values():
                self._merger.add(receiver.end(), now=time.monotonic())
            self._gather(now=math.inf)
            await line.close()

    def _gather(self, *, now: float) -> None:
        for record in self._merger.take(now=now):
            self(record)

    def _ask_again(self, line: MqttSession, topic: str) -> None:
        """Ask nodes with missing records for their full states, repeatedly until they have answered."""
        now = time.monotonic()
        for node, receiver in self._receivers.items():
            if receiver.needs_full_state and now - self._asked.get(node, -REQUESTS_STATE) >= REQUESTS_STATE:
                self._asked[node] = now
                line.publish(topic, full_state_of(node))

    @property
    def cluster(self) -> str:
        """The name of the followed cluster."""
        return self._network.cluster

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:  # noqa: FBT001, FBT002 (as a gate calls it)
        """Publish to the nodes, below the cluster's own topic; usable from any thread."""
        line = self._line
        if line is not None and self.is_open:
            self._thread.home.call(lambda: line.publish(topic, payload, retain=retain))

    def _hear(self, topic: str, payload: bytes) -> None:
        node, _, what = topic.partition("/")
        if what == "presence":
            self._see(node, payload)
            return
        if not (node.isascii() and node.isdecimal() and len(node) < WIDEST):
            self._astray += 1
            return
        id = int(node)
        receiver = self._receivers.setdefault(id, Receiver(id, lambda: next(self._numbers)))
        self._merger.add(receiver.read(payload), now=time.monotonic())

    def _see(self, node: str, payload: bytes) -> None:
        """Handle a node's presence, claimed or cleared; garbage is dropped."""
        with suppress(msgspec.MsgspecError, ValueError):
            is_claimed = Claim.decode(payload) is not None
            self._presence.on_presence(int(node), is_claimed=is_claimed, now=time.monotonic())

    def _news(self) -> list[Record]:
        """The follower's own records: nodes that are no longer heard from, and nodes that are heard from again."""
        news = self._presence.take(now=time.monotonic())
        return [Record(id=next(self._numbers), time=time.time(), kind=kind, node=node) for kind, node in news]
