"""Bad weather for a real network: cuts, partitions, loss and delay on any link, and a gate that holds single letters.

It wraps a network and acts where letters are sent, so that it works alike in memory and over MQTT. Every way to lose a
letter is told to ``on_fate``; letters the network itself loses nobody can tell of.
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
"""One direction between two nodes: from, to."""
Fate = Literal["lost", "cut", "dropped"]


class Link(Struct, frozen=True, kw_only=True):
    """How letters travel one way: each is lost with probability ``loss``, or arrives after a delay in seconds."""

    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    is_cut: bool = False

    def __post_init__(self) -> None:
        probability("loss", self.loss)
        time_range("delay", self.delay)


class LinkFaults(Struct, frozen=True, kw_only=True):
    """How all links are to be, as one value that can be handed to other processes; the empty one heals everything."""

    groups: tuple[frozenset[NodeId], ...] = ()
    cuts: tuple[Direction, ...] = ()
    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse what makes no sense, from whomever it comes: ``ConfigError``, and garbage where it came by wire."""
        sides("groups", self.groups)
        for one in self.cuts:
            node_pair("cuts", one)
        probability("loss", self.loss)
        time_range("delay", self.delay)


CLEAR = Link()
"""Nothing is lost and nothing is late beyond what the network itself takes."""


class Faults:
    """A network whose links can be spoilt, and whose letters can be held at a :class:`Gate`.

    Links, partitions and the gate may be changed from any thread; what was sent before a change is not called back.
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
        """The name that the wrapped network knows."""
        return cluster_of(self.network)

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        """Join the wrapped network through the weather."""
        return FaultyEndpoint(self, node, await self.network.join(node, mailbox))

    async def close(self) -> None:
        """Close the wrapped network."""
        self.gate.close_for_good()
        await self.network.close()

    def conditions(self, *, loss: float = 0.0, delay: tuple[float, float] = (0.0, 0.0)) -> None:
        """How every link is that has no rule of its own."""
        self._conditions = Link(loss=loss, delay=delay)

    def degrade(self, src: NodeId, dst: NodeId, *, loss: float = 0.0, delay: tuple[float, float] = (0.0, 0.0)) -> None:
        """A rule for one way from ``src`` to ``dst``."""
        self._links = {**self._links, node_pair("link", (src, dst)): Link(loss=loss, delay=delay)}

    def cut(self, src: NodeId, dst: NodeId) -> None:
        """Nothing gets from ``src`` to ``dst``; the other way is as before."""
        link = node_pair("link", (src, dst))
        self._links = {**self._links, link: replace(self.link(*link), is_cut=True)}

    def partition(self, *groups: AbstractSet[NodeId]) -> None:
        """Nodes of different groups do not hear each other; nodes in no group form one more."""
        self._groups = tuple(map(frozenset, sides("groups", groups)))

    def heal(self) -> None:
        """Undo cuts, partitions, rules and weather; the gate stays as it is."""
        self._links, self._groups, self._conditions = {}, (), CLEAR

    def impose(self, faults: LinkFaults) -> None:
        """Let the links be as decreed; ``ConfigError`` for weather that cannot be, and nothing has changed then."""
        weather = Link(loss=faults.loss, delay=faults.delay)
        self.heal()
        self._conditions = weather
        self.partition(*faults.groups)
        for src, dst in faults.cuts:
            self.cut(src, dst)

    def link(self, src: NodeId, dst: NodeId) -> Link:
        """How letters travel from ``src`` to ``dst`` at present."""
        link = self._links.get((src, dst), self._conditions)
        return replace(link, is_cut=True) if self._side(src) != self._side(dst) else link

    def fate(self, src: NodeId, dst: NodeId, envelope: Envelope, fate: Fate) -> None:
        """Tell who listens that a letter will not arrive."""
        if self.on_fate is not None:
            self.on_fate(src, dst, envelope, fate)

    def is_lost(self, link: Link) -> bool:
        """Draw whether a letter gets lost."""
        return link.loss > 0 and self._chance.random() < link.loss

    def delay(self, link: Link) -> float:
        """Draw how late a letter is, in seconds."""
        return self._chance.uniform(*link.delay) if link.delay[1] else 0.0

    def _side(self, node: NodeId) -> int:
        return side_of(node, self._groups)


class FaultyEndpoint:
    """One node's end of a spoilt network."""

    def __init__(self, faults: Faults, node: NodeId, inner: Endpoint) -> None:
        self._faults, self._node, self._inner = faults, node, inner
        self._loop = asyncio.get_running_loop()
        self._delayed: set[asyncio.TimerHandle] = set()

    @property
    def counters(self) -> Counters:
        """What passed the wrapped endpoint."""
        return self._inner.counters

    def send(self, dst: NodeId, envelope: Envelope) -> None:
        """Hold the letter at the gate, or let it meet the weather."""
        gate = self._faults.gate
        if gate.is_closed and gate.holds(Held(self._node, dst, envelope, release=self._release, drop=self._drop)):
            return
        self._apply_fate(dst, envelope)

    async def close(self) -> None:
        """Leave; letters that are still late never arrive."""
        for handle in self._delayed:
            handle.cancel()
        await self._inner.close()

    def _apply_fate(self, dst: NodeId, envelope: Envelope) -> None:
        """Cut, lost, late or simply sent."""
        link = self._faults.link(self._node, dst)
        if link.is_cut:
            self._faults.fate(self._node, dst, envelope, "cut")
        elif self._faults.is_lost(link):
            self._faults.fate(self._node, dst, envelope, "lost")
        else:
            self._send_after(self._faults.delay(link), dst, envelope)

    def _release(self, held: Held, seconds: float) -> None:
        """From the gate, whatever thread opens it, back onto the loop; what is released is not lost any more."""
        self._loop.call_soon_threadsafe(self._send_after, seconds, held.dst, held.envelope)

    def _drop(self, held: Held) -> None:
        self._faults.fate(held.src, held.dst, held.envelope, "dropped")

    def _send_after(self, seconds: float, dst: NodeId, envelope: Envelope) -> None:
        if seconds <= 0:
            self._inner.send(dst, envelope)
            return
        self._delayed = {handle for handle in self._delayed if handle.when() > self._loop.time()}
        self._delayed.add(self._loop.call_later(seconds, self._inner.send, dst, envelope))
