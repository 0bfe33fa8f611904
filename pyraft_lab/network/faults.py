"""Link faults for a real network: cuts, partitions, loss and delay, and a gate that holds single messages.

It wraps a network and acts when messages are sent, so it works the same in memory and over MQTT. ``on_fate`` is called
for every message lost here; losses in the network itself are not visible.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.arguments import node_pair, probability, side_of, sides, time_range
from pyraft_lab.engine.types import NodeId
from pyraft_lab.network.base import Counters, Endpoint, Mailbox, Network, cluster_of
from pyraft_lab.network.codec import Envelope
from pyraft_lab.network.gate import Gate, Held

Direction = tuple[NodeId, NodeId]
"""One direction of a link: from, to."""
Fate = Literal["lost", "cut", "dropped"]


class Link(Struct, frozen=True, kw_only=True):
    """The conditions of one direction: lose each message with probability ``loss``, or delay it (seconds)."""

    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    is_cut: bool = False

    def __post_init__(self) -> None:
        probability("loss", self.loss)
        time_range("delay", self.delay)


class LinkFaults(Struct, frozen=True, kw_only=True):
    """The faults of all links, as one value that other processes can apply; the empty one heals everything."""

    groups: tuple[frozenset[NodeId], ...] = ()
    cuts: tuple[Direction, ...] = ()
    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for impossible values, also for those that arrive over the network."""
        sides("groups", self.groups)
        for one in self.cuts:
            node_pair("cuts", one)
        probability("loss", self.loss)
        time_range("delay", self.delay)


CLEAR = Link()
"""No loss and no delay besides the network's own."""


class Faults:
    """A network with link faults and a :class:`Gate` that can hold its messages.

    Links, partitions and the gate may be changed from any thread; a change does not affect messages that were already
    sent.
    """

    def __init__(self, network: Network, *, chance: random.Random | None = None) -> None:
        self.network = network
        self.gate = Gate()
        self.on_fate: Callable[[NodeId, NodeId, Envelope, Fate], None] | None = None
        self._chance = random.Random() if chance is None else chance
        self._links: Mapping[Direction, Link] = {}
        self._conditions = CLEAR
        self._groups: tuple[frozenset[NodeId], ...] = ()

    @property
    def cluster(self) -> str:
        """The name of the wrapped network's cluster."""
        return cluster_of(self.network)

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        """Join the wrapped network through these faults."""
        return FaultyEndpoint(self, node, await self.network.join(node, mailbox))

    async def close(self) -> None:
        """Close the wrapped network."""
        self.gate.close_for_good()
        await self.network.close()

    def conditions(self, *, loss: float = 0.0, delay: tuple[float, float] = (0.0, 0.0)) -> None:
        """Set loss and delay (seconds) of all links that have no rule of their own."""
        self._conditions = Link(loss=loss, delay=delay)

    def degrade(self, src: NodeId, dst: NodeId, *, loss: float = 0.0, delay: tuple[float, float] = (0.0, 0.0)) -> None:
        """Set loss and delay (seconds) of one direction, from ``src`` to ``dst``."""
        self._links = {**self._links, node_pair("link", (src, dst)): Link(loss=loss, delay=delay)}

    def cut(self, src: NodeId, dst: NodeId) -> None:
        """Cut the link from ``src`` to ``dst``; the other direction stays as it is."""
        link = node_pair("link", (src, dst))
        self._links = {**self._links, link: replace(self.link(*link), is_cut=True)}

    def partition(self, *groups: AbstractSet[NodeId]) -> None:
        """Cut all links between the groups; nodes in no group form one more group."""
        self._groups = tuple(map(frozenset, sides("groups", groups)))

    def heal(self) -> None:
        """Undo cuts, partitions, loss and delay; the gate stays as it is."""
        self._links, self._groups, self._conditions = {}, (), CLEAR

    def impose(self, faults: LinkFaults) -> None:
        """Set all faults at once; ``ConfigError`` for impossible values, and then nothing changes."""
        weather = Link(loss=faults.loss, delay=faults.delay)
        self.heal()
        self._conditions = weather
        self.partition(*faults.groups)
        for src, dst in faults.cuts:
            self.cut(src, dst)

    def link(self, src: NodeId, dst: NodeId) -> Link:
        """The present conditions from ``src`` to ``dst``."""
        link = self._links.get((src, dst), self._conditions)
        if self._groups and self._side(src) != self._side(dst):
            return replace(link, is_cut=True)
        return link

    def fate(self, src: NodeId, dst: NodeId, envelope: Envelope, fate: Fate) -> None:
        """Report the fate of a message that will not arrive to ``on_fate``."""
        if self.on_fate is not None:
            self.on_fate(src, dst, envelope, fate)

    def is_lost(self, link: Link) -> bool:
        """Draw whether a message is lost."""
        return link.loss > 0 and self._chance.random() < link.loss

    def delay(self, link: Link) -> float:
        """Draw the delay of a message, in seconds."""
        return self._chance.uniform(*link.delay) if link.delay[1] else 0.0

    def _side(self, node: NodeId) -> int:
        return side_of(node, self._groups)


class FaultyEndpoint:
    """One node's end of a network with faults."""

    def __init__(self, faults: Faults, node: NodeId, inner: Endpoint) -> None:
        self._faults, self._node, self._inner = faults, node, inner
        self._loop = asyncio.get_running_loop()
        self._delayed: set[asyncio.TimerHandle] = set()

    @property
    def counters(self) -> Counters:
        """The counts of the wrapped endpoint."""
        return self._inner.counters

    def send(self, dst: NodeId, envelope: Envelope) -> None:
        """Hold the message at the gate, or apply the link's faults to it."""
        gate = self._faults.gate
        if gate.is_closed and gate.holds(Held(self._node, dst, envelope, release=self._release, drop=self._drop)):
            return
        self._apply_fate(dst, envelope)

    async def close(self) -> None:
        """Leave; delayed messages are lost."""
        for handle in self._delayed:
            handle.cancel()
        await self._inner.close()

    def _apply_fate(self, dst: NodeId, envelope: Envelope) -> None:
        """Drop, lose, delay or send the message."""
        link = self._faults.link(self._node, dst)
        if link.is_cut:
            self._faults.fate(self._node, dst, envelope, "cut")
        elif self._faults.is_lost(link):
            self._faults.fate(self._node, dst, envelope, "lost")
        else:
            self._send_after(self._faults.delay(link), dst, envelope)

    def _release(self, held: Held, seconds: float) -> None:
        """Send a message that the gate released, from any thread, on this node's loop; it is not lost any more."""
        self._loop.call_soon_threadsafe(self._send_after, seconds, held.dst, held.envelope)

    def _drop(self, held: Held) -> None:
        self._faults.fate(held.src, held.dst, held.envelope, "dropped")

    def _send_after(self, seconds: float, dst: NodeId, envelope: Envelope) -> None:
        if seconds <= 0:
            self._inner.send(dst, envelope)
            return
        self._delayed = {handle for handle in self._delayed if handle.when() > self._loop.time()}
        self._delayed.add(self._loop.call_later(seconds, self._inner.send, dst, envelope))
