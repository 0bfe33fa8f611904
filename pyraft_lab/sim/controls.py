"""What somebody outside may do to a cluster: ask as a client, order as an operator, break things as fate."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

from pyraft_lab.command import encode
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Beat, BuildSnapshot, Configure, Elect, Guard, PurgeLog, ReadPolicy
from pyraft_lab.engine.membership import AddLearners, ChangeLike, Membership, as_change
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import ConfigError, at_least
from pyraft_lab.sim.disk import SOUND, Health
from pyraft_lab.sim.views import ClientCall, Nodes
from pyraft_lab.sim.weather import SECOND, Weather
from pyraft_lab.sim.world import (
    Call,
    Crash,
    Cut,
    Decision,
    Delay,
    Drift,
    Drop,
    Duplicate,
    Forgive,
    Found,
    HandOver,
    Heal,
    Hold,
    Join,
    Partition,
    Pause,
    Query,
    Reconfigure,
    Release,
    Resume,
    SetWeather,
    Skew,
    Spoil,
    Start,
    Tell,
    Wish,
    World,
    Write,
)
from pyraft_lab.trace.recorder import MessageId, Record

_ANYWHERE = Guard()
OPERATOR = -1
"""The client id under which operators' calls run."""


class Controls(ABC):
    """Every decision of the outside as a method; each is a :data:`~pyraft_lab.sim.world.Decision` that happens now."""

    @property
    @abstractmethod
    def world(self) -> World:
        """The whole cluster as a value; keep it, and you have kept this instant."""

    @abstractmethod
    def run(self, seconds: float) -> None:
        """Let so much virtual time pass."""

    @abstractmethod
    def decide(self, decision: Decision) -> Record:
        """Let a decision happen now."""

    @abstractmethod
    def call(self, call: Call) -> ClientCall:
        """Have a client call now."""

    @property
    def nodes(self) -> Nodes:
        """The servers, by id, as they are at any moment."""
        return Nodes(self)

    @property
    def weather(self) -> Weather:
        """What network and disks are like; set it to change them from now on."""
        return self.world.weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self.decide(SetWeather(weather))

    # Clients and operators

    def write(self, command: Any, to: NodeId | None = None, *, client: int = 0) -> ClientCall:
        """Have a client write; without ``to`` it finds the leader itself, and tries until it is answered, once."""
        encode(command)
        return self.call(Call(client=client, wish=Write(command), to=to))

    def read(
        self, query: Any, to: NodeId | None = None, *, policy: ReadPolicy | Literal["local"] = "index", client: int = 0
    ) -> ClientCall:
        """Have a client read: by a round of contact (``index``), by the ``lease``, or what a node has (``local``).

        A lease is only as good as the clocks: it assumes that they differ in rate by at most ``clock_drift``.
        """
        if policy not in ("index", "lease", "local"):
            raise ConfigError("policy", policy, "is 'index', 'lease' or 'local'")
        return self.call(Call(client=client, wish=Query(query, policy), to=to))

    def initialize(self, members: Iterable[NodeId], at: NodeId) -> ClientCall:
        """Make pristine servers a cluster: node ``at`` gets the first membership and campaigns."""
        return self._operate(Found(Membership.of(members)), at)

    def transfer(self, to: NodeId) -> ClientCall:
        """Ask the leader to hand over to a voter."""
        self.nodes[to]
        return self._operate(HandOver(to))

    def add_learner(self, node: NodeId) -> ClientCall:
        """Let a server listen; it is started first if there is none of that id."""
        if node not in self.nodes:
            self.add_node(node)
        return self.change_membership(AddLearners(frozenset({node})))

    def change_membership(self, change: ChangeLike, *, retain: bool = False, guard: Guard = _ANYWHERE) -> ClientCall:
        """Ask the leader for another membership; answered when its first entry is committed."""
        return self._operate(Reconfigure(as_change(change), retain, guard))

    def elect(self, node: NodeId, *, pre_vote: bool = False) -> Record:
        """Have a server campaign now."""
        return self.decide(Tell(node, Elect(pre_vote)))

    def beat(self, node: NodeId) -> Record:
        """Have a leader send a round of heartbeats now."""
        return self.decide(Tell(node, Beat()))

    def snapshot(self, node: NodeId) -> Record:
        """Have a server build a snapshot of what it has applied."""
        return self.decide(Tell(node, BuildSnapshot()))

    def purge(self, node: NodeId, upto: Index) -> Record:
        """Have a server forget entries up to ``upto`` that its snapshot covers."""
        return self.decide(Tell(node, PurgeLog(upto)))

    def configure(self, node: NodeId, config: Config) -> Record:
        """Give a running server other settings."""
        return self.decide(Tell(node, Configure(config.validated())))

    def allow_revert(self, peer: NodeId) -> ClientCall:
        """Tell the leader that a follower lost its log and may begin anew."""
        self.nodes[peer]
        return self._operate(Forgive(peer))

    # Faults

    def crash(self, node: NodeId, *, torn: float = 0.0) -> Record:
        """Kill a server: unsynced writes are gone, but for the first ones, a share of ``torn``."""
        return self.decide(Crash(node, torn))

    def restart(self, node: NodeId) -> Record:
        """Start a dead server from its disk."""
        return self.decide(Start(node))

    def pause(self, node: NodeId) -> Record:
        """Stop a server's time, as a long collection of garbage does."""
        return self.decide(Pause(node))

    def resume(self, node: NodeId, *, late: float = 0.0) -> Record:
        """Let a paused server go on; first of all it finds which of its timers have run out, leases among them.

        With ``late`` it notices them only so many seconds later, as a busy event loop does: messages and calls that
        waited come first. Leases and votes are judged by the clock all the same.
        """
        at_least("late", late, 0, "seconds")
        record = self.decide(Resume(node, round(late * SECOND)))
        self.run(0)
        return record

    def drift(self, node: NodeId, rate: float) -> Record:
        """Let a server's clock run ``rate`` times as fast as it should."""
        return self.decide(Drift(node, rate))

    def skew(self, node: NodeId, seconds: float) -> Record:
        """Let a server's clock jump forward by so much, or back."""
        return self.decide(Skew(node, round(seconds * SECOND)))

    def spoil(
        self, node: NodeId, *, slow: float = 1.0, full: bool = False, corrupt: Index = 0, lying: bool = False
    ) -> Record:
        """Let a server's disk be slow, full, damaged or lying (:class:`~pyraft_lab.sim.disk.Health` says how)."""
        return self.decide(Spoil(node, Health(slow=slow, full=full, corrupt=corrupt, lying=lying)))

    def mend(self, node: NodeId) -> Record:
        """Make a server's disk sound again: restored where it was damaged, with room where it was full."""
        return self.decide(Spoil(node, SOUND))

    def hold(self) -> Record:
        """Let the network hold all messages, as a broker that hiccups; :meth:`release` lets them go at once."""
        return self.decide(Hold())

    def release(self) -> Record:
        """Let the network go on after :meth:`hold`."""
        return self.decide(Release())

    def partition(self, *groups: Iterable[NodeId], name: str = "") -> Record:
        """Let messages through within groups only; who is in none is alone. The story tells the ``name``."""
        return self.decide(Partition(_disjoint(groups), name))

    def cut(self, src: NodeId, dst: NodeId) -> Record:
        """Let nothing through from ``src`` to ``dst``; the other way stays open."""
        return self.decide(Cut(src, dst))

    def heal(self, *links: tuple[NodeId, NodeId]) -> Record:
        """Make these links (from, to) whole; without any, all of them."""
        return self.decide(Heal(links))

    def drop(self, message: MessageId) -> Record:
        """Lose a message that is under way."""
        return self.decide(Drop(message))

    def duplicate(self, message: MessageId) -> Record:
        """Let a message that is under way arrive twice."""
        return self.decide(Duplicate(message))

    def delay(self, message: MessageId, seconds: float) -> Record:
        """Let a message that is under way take longer."""
        at_least("seconds", seconds, 0)
        return self.decide(Delay(message, round(seconds * SECOND)))

    def add_node(self, node: NodeId) -> Record:
        """Start a new server with an empty disk; make it a member with :meth:`add_learner`."""
        return self.decide(Join(node))

    def _operate(self, wish: Wish, to: NodeId | None = None) -> ClientCall:
        return self.call(Call(client=OPERATOR, wish=wish, to=to))


def _disjoint(groups: Iterable[Iterable[NodeId]]) -> tuple[tuple[NodeId, ...], ...]:
    sides = tuple(tuple(sorted(set(group))) for group in groups)
    named = [node for side in sides for node in side]
    if len(named) != len(set(named)):
        raise ConfigError("groups", sides, "a node can be on one side only")
    return sides
