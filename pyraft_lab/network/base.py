"""The interface of a network, and the simplest one: nodes of one process that exchange frames in memory.

A node *joins* with a mailbox and gets an endpoint. Sending never blocks: all messages that one turn of the event loop
sends to the same peer leave together, as one frame. There is no guarantee: a message may be lost, late or duplicated,
and Raft tolerates that.
"""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode
from pyraft_lab.network.attachments import attach, detach
from pyraft_lab.network.codec import Envelope, Garbage, decode, encode


class Connected(Struct, frozen=True, tag=True):
    """The endpoint can reach its network (again)."""

    where: str


class Disconnected(Struct, frozen=True, tag=True):
    """The endpoint lost its network; it tries to reconnect."""

    where: str
    why: str


class PeerUnreachable(Struct, frozen=True, tag=True):
    """``peer`` receives no messages at present; ``undelivered`` are the ids of the messages to it that were lost."""

    peer: NodeId
    undelivered: tuple[int, ...] = ()


class PeerReachable(Struct, frozen=True, tag=True):
    """``peer`` receives messages again."""

    peer: NodeId


class SessionTakenOver(Struct, frozen=True, tag=True):
    """Another process has taken this node's id: the endpoint is closed for good."""

    node: NodeId


Notice = Connected | Disconnected | PeerUnreachable | PeerReachable | SessionTakenOver
"""What a network reports to a node besides messages; never needed for correctness."""


class Mailbox(Protocol):
    """Where a node receives messages and notices; called on the loop from which it joined, and not awaited."""

    def receive(self, src: NodeId, envelopes: Sequence[Envelope]) -> None:
        """Receive messages of ``src``, in this order."""

    def notice(self, notice: Notice) -> None:
        """Receive a notice about the network itself."""


class Counters:
    """Counts of an endpoint; ``garbage``: frames dropped unread, ``overflow``: messages dropped for lack of room."""

    def __init__(self) -> None:
        self.sent = self.received = self.frames = self.bytes = self.garbage = self.overflow = 0


class Endpoint(Protocol):
    """A node's own end of the network."""

    @property
    def counters(self) -> Counters:
        """The counts of this endpoint."""

    def send(self, dst: NodeId, envelope: Envelope) -> None:
        """Queue a message to ``dst`` and return at once."""

    async def close(self) -> None:
        """Leave the network; messages that have not left yet are lost."""


class Network(Protocol):
    """A network that nodes can join."""

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        """An endpoint for ``node``; ``DuplicateNode`` if it has already joined, ``NetworkFailed`` if unreachable."""

    async def close(self) -> None:
        """Release the network's own resources; each node closes its own endpoint."""


@runtime_checkable
class NamedNetwork(Network, Protocol):
    """A network that knows the name of its cluster."""

    @property
    def cluster(self) -> str:
        """The cluster's name, shared by its nodes; empty if there is none."""
        ...


def cluster_of(network: Network) -> str:
    """The name of the network's cluster; empty if it has none."""
    return network.cluster if isinstance(network, NamedNetwork) else ""


class Outbox:
    """Messages waiting to leave, by destination; a queue holds at most ``limit`` and then drops its oldest."""

    def __init__(self, counters: Counters, *, limit: int = 4096, frame_bytes: int = 512 << 10) -> None:
        self._waiting: dict[NodeId, list[Envelope]] = {}
        self._counters, self._limit, self._frame_bytes = counters, limit, frame_bytes

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, dst: NodeId, envelope: Envelope) -> None:
        """Queue a message."""
        queue = self._waiting.setdefault(dst, [])
        if len(queue) >= self._limit:
            del queue[0]
            self._counters.overflow += 1
        queue.append(envelope)

    def take(self) -> list[tuple[NodeId, Sequence[Envelope]]]:
        """All messages, in groups that each fit into a frame; a single larger message goes alone."""
        waiting, self._waiting = self._waiting, {}
        return [(dst, group) for dst, envelopes in waiting.items() for group in in_frames(envelopes, self._frame_bytes)]

    def clear(self) -> None:
        """Drop everything: after a broken connection Raft sends again what still matters."""
        self._waiting.clear()


def in_frames(envelopes: Sequence[Envelope], limit: int) -> Iterable[Sequence[Envelope]]:
    """Consecutive groups of at most ``limit`` payload bytes each."""
    if len(envelopes) < 2:
        return [envelopes] if envelopes else []
    ends = list(itertools.accumulate([envelope.size for envelope in envelopes]))
    if ends[-1] <= limit:
        return [envelopes]
    numbered = zip(envelopes, (end // limit for end in ends), strict=True)
    return [[envelope for envelope, _ in group] for _, group in itertools.groupby(numbered, key=lambda pair: pair[1])]


class MemoryNetwork:
    """Nodes of one process; frames are encoded and decoded here too, so that encoding errors show up in memory.

    Large data are not copied: all nodes share the bytes, which nobody can change.
    """

    def __init__(self) -> None:
        self._endpoints: dict[NodeId, MemoryEndpoint] = {}

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        """Take a node in, until its endpoint is closed; raises ``DuplicateNode`` for an id that is here."""
        if node in self._endpoints:
            raise DuplicateNode(node)
        self._endpoints[node] = MemoryEndpoint(self, node, mailbox)
        return self._endpoints[node]

    async def close(self) -> None:
        """Remove all nodes."""
        self._endpoints.clear()

    def carry(self, dst: NodeId, frame: bytes, attached: Sequence[bytes] = ()) -> bool:
        """Deliver a frame and what is attached to it; returns whether its receiver was there."""
        target = self._endpoints.get(dst)
        if target is not None:
            target.deliver(frame, attached)
        return target is not None

    def leave(self, node: NodeId) -> None:
        """Remove the node."""
        self._endpoints.pop(node, None)


class MemoryEndpoint:
    """One node's end of a :class:`MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, node: NodeId, mailbox: Mailbox) -> None:
        self.counters = Counters()
        self._network, self._node, self._mailbox = network, node, mailbox
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(self.counters)
        self._open = True

    def send(self, dst: NodeId, envelope: Envelope) -> None:
        """Queue a message; the first of a turn schedules the delivery of all of them."""
        if self._open:
            if not self._outbox:
                self._loop.call_soon(self._flush)
            self._outbox.put(dst, envelope)

    async def close(self) -> None:
        """Leave; messages to this node are lost from now on."""
        self._open = False
        self._outbox.clear()
        self._network.leave(self._node)

    def deliver(self, frame: bytes, attached: Sequence[bytes] = ()) -> None:
        """Receive a frame, on this node's own loop even if the sender runs on another."""
        if self._loop is asyncio.get_running_loop():
            self._take(frame, attached)
        else:
            self._loop.call_soon_threadsafe(self._take, frame, attached)

    def _flush(self) -> None:
        for dst, envelopes in self._outbox.take():
            bare, data = detach(envelopes)
            frame = encode(self._node, bare)
            self.counters.frames += 1
            self.counters.bytes += len(frame) + sum(map(len, data))
            self.counters.sent += len(envelopes)
            if not self._network.carry(dst, frame, data):
                self._mailbox.notice(PeerUnreachable(dst, tuple(envelope.id for envelope in envelopes)))

    def _take(self, frame: bytes, attached: Sequence[bytes]) -> None:
        if not self._open:
            return
        try:
            src, bare = decode(frame)
            envelopes = attach(bare, attached)
        except Garbage:
            self.counters.garbage += 1
            return
        self.counters.received += len(envelopes)
        self._mailbox.receive(src, envelopes)
