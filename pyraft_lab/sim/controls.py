"""Control a cluster from outside: send requests as a client, operate it, and inject faults."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

from pyraft_lab.arguments import (
    LARGEST,
    MAX_LENGTH,
    choice,
    flag,
    instance,
    integer,
    node_id,
    node_pair,
    number,
    probability,
    seconds,
    sides,
    text,
    voters,
)
from pyraft_lab.arguments import seconds as seconds_of
from pyraft_lab.command import as_sent
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import BuildSnapshot, Configure, Elect, Precondition, PurgeLog, ReadPolicy, SendHeartbeat
from pyraft_lab.engine.membership import AddLearners, ChangeLike, Membership, as_change
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import BadCommand, ConfigError
from pyraft_lab.sim.conditions import SECOND, Weather
from pyraft_lab.sim.disk import NO_DISK_FAULTS, DiskFaults
from pyraft_lab.sim.views import ClientCall, Nodes
from pyraft_lab.sim.world import (
    Call,
    Crash,
    Cut,
    Decision,
    Delay,
    Drift,
    Drop,
    Duplicate,
    Heal,
    Hold,
    InitializeCluster,
    Join,
    Notify,
    Partition,
    Pause,
    PermitRevert,
    Query,
    Reconfigure,
    Release,
    Request,
    Resume,
    SetDiskFault,
    SetWeather,
    Skew,
    Start,
    TransferLeadership,
    Wipe,
    World,
    Write,
)
from pyraft_lab.trace.record import MessageId, Record

_ANYWHERE = Precondition()
OPERATOR = -1
"""The client id under which operators' calls run."""
SLOWEST, FASTEST = 1e-6, 1e3
"""The slowest and the fastest rate of a clock; 1 is exact."""


class Controls(ABC):
    """Every external decision as a method; each applies a :data:`~pyraft_lab.sim.world.Decision` now."""

    @property
    @abstractmethod
    def world(self) -> World:
        """The whole cluster as an immutable value at this instant."""

    @abstractmethod
    def run(self, seconds: float) -> None:
        """Run for ``seconds`` of virtual time."""

    @abstractmethod
    def decide(self, decision: Decision) -> Record:
        """Apply a decision now and return its record."""

    @abstractmethod
    def call(self, call: Call) -> ClientCall:
        """Start a client's call now."""

    @property
    def nodes(self) -> Nodes:
        """The servers by id; each view always shows the present state."""
        return Nodes(self)

    @property
    def weather(self) -> Weather:
        """The conditions of network and disks; set it to change them from now on."""
        return self.world.weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self.decide(SetWeather(instance("weather", weather, Weather)))

    # Clients and operators

    def write(self, command: Any, to: NodeId | None = None, *, client: int = 0) -> ClientCall:
        """Start a client's write; without ``to`` the client finds the leader and retries, and it is applied once.

        The command is read now, as it would be sent: lists for tuples and sets, and what you change in it later changes
        nothing. Raises ``BadCommand`` if it cannot be sent.
        """
        return self._ask(Write(as_sent(command)), to, client)

    def read(
        self, query: Any, to: NodeId | None = None, *, policy: ReadPolicy | Literal["local"] = "index", client: int = 0
    ) -> ClientCall:
        """Start a client's read: by a heartbeat round (``index``), by the ``lease``, or a node's state (``local``).

        A lease read assumes that clocks differ in rate by at most ``clock_drift``; without ``vote_lease`` it takes a
        round too.
        """
        choice("policy", policy, ("index", "lease", "local"))
        return self._ask(Query(_as_sent(query), policy), to, client)

    def initialize(self, members: Iterable[NodeId], at: NodeId) -> ClientCall:
        """Make new servers a cluster: node ``at`` gets the first membership and campaigns."""
        founders = Membership(configs=(frozenset(voters("members", members)),))
        return self._operate(InitializeCluster(founders), self._known("at", at))

    def transfer(self, to: NodeId) -> ClientCall:
        """Ask the leader to transfer leadership to a voter (dissertation §3.10)."""
        return self._operate(TransferLeadership(self._known("to", to)))

    def add_learner(self, node: NodeId) -> ClientCall:
        """Add a learner; a server with this id is started first if there is none."""
        learner = node_id("node", node)
        if learner not in self.nodes:
            self.add_node(learner)
        return self.change_membership(AddLearners(frozenset({learner})))

    def change_membership(
        self, change: ChangeLike, *, retain: bool = False, guard: Precondition = _ANYWHERE
    ) -> ClientCall:
        """Ask the leader to change the membership; answered when the last step of the change is committed (§6).

        With ``Config.auto_leave`` off it is answered when the joint membership is committed, and the operator ends that
        with another change, such as ``Batch(())``.
        """
        checked = instance("guard", guard, Precondition).validated()
        return self._operate(Reconfigure(as_change(change), flag("retain", retain), checked))

    def elect(self, node: NodeId, *, pre_vote: bool = False) -> Record:
        """Make a server campaign now."""
        return self.decide(Notify(self._known("node", node), Elect(flag("pre_vote", pre_vote))))

    def send_heartbeat(self, node: NodeId) -> Record:
        """Make a leader send a round of heartbeats now."""
        return self.decide(Notify(self._known("node", node), SendHeartbeat()))

    def snapshot(self, node: NodeId) -> Record:
        """Make a server build a snapshot of what it has applied."""
        return self.decide(Notify(self._known("node", node), BuildSnapshot()))

    def purge(self, node: NodeId, upto: Index) -> Record:
        """Make a server purge entries up to ``upto``, as far as its snapshot covers them."""
        last = integer("upto", upto, what="an index")
        return self.decide(Notify(self._known("node", node), PurgeLog(last)))

    def configure(self, node: NodeId, config: Config) -> Record:
        """Change the configuration of a running server."""
        settings = instance("config", config, Config).validated()
        return self.decide(Notify(self._known("node", node), Configure(settings)))

    def allow_revert(self, peer: NodeId) -> ClientCall:
        """Tell the leader that a follower lost its log and may start again with an empty one."""
        return self._operate(PermitRevert(self._known("peer", peer)))

    # Faults

    def crash(self, node: NodeId, *, torn: float = 0.0) -> Record:
        """Crash a server: it loses its unsynced writes, except the first ones, a share ``torn`` from 0 to 1."""
        return self.decide(Crash(self._known("node", node), probability("torn", torn)))

    def restart(self, node: NodeId) -> Record:
        """Start a crashed server from its disk."""
        return self.decide(Start(self._known("node", node)))

    def wipe(self, node: NodeId) -> Record:
        """Replace the disk of a crashed server by an empty one: its vote, log and snapshot are lost.

        Raft does not promise to survive this for a voter: it may vote twice in a term and forget what it acknowledged.
        When it restarts, the leader sends it the log only where nothing proves that it lost one; else it raises an
        alarm and waits for :meth:`allow_revert`. Raises ``PyraftError`` for a server that is up.
        """
        return self.decide(Wipe(self._known("node", node)))

    def pause(self, node: NodeId) -> Record:
        """Pause a server, as a long garbage collection does."""
        return self.decide(Pause(self._known("node", node)))

    def resume(self, node: NodeId, *, late: float = 0.0) -> Record:
        """Resume a paused server; it first notices which of its timers and leases have expired.

        With ``late`` it notices them that many seconds later, as a busy event loop does: it handles waiting messages
        and calls first. Leases and votes still follow the clock.
        """
        record = self.decide(Resume(self._known("node", node), round(seconds("late", late) * SECOND)))
        self.run(0)
        return record

    def drift(self, node: NodeId, rate: float) -> Record:
        """Make a server's clock run ``rate`` times as fast as it should."""
        return self.decide(Drift(self._known("node", node), number("rate", rate, SLOWEST, FASTEST)))

    def skew(self, node: NodeId, seconds: float) -> Record:
        """Make a server's clock jump by ``seconds``, forward or (negative) back."""
        by = number("seconds", seconds, -MAX_LENGTH, MAX_LENGTH, "seconds")
        return self.decide(Skew(self._known("node", node), round(by * SECOND)))

    def break_disk(
        self, node: NodeId, *, slow: float = 1.0, full: bool = False, corrupt: Index = 0, lying: bool = False
    ) -> Record:
        """Make a server's disk slow, full, damaged or lying (see :class:`~pyraft_lab.sim.disk.DiskFaults`)."""
        health = DiskFaults(slow=slow, full=full, corrupt=corrupt, lying=lying).validated()
        return self.decide(SetDiskFault(self._known("node", node), health))

    def mend_disk(self, node: NodeId) -> Record:
        """Repair a server's disk: damaged entries are restored, and a full disk has room again."""
        return self.decide(SetDiskFault(self._known("node", node), NO_DISK_FAULTS))

    beat, spoil, mend = send_heartbeat, break_disk, mend_disk  # the earlier names

    def hold(self) -> Record:
        """Hold all messages, as a stalled broker does; :meth:`release` delivers them at once."""
        return self.decide(Hold())

    def release(self) -> Record:
        """Deliver the messages held since :meth:`hold`, and hold no more."""
        return self.decide(Release())

    def partition(self, *groups: Iterable[NodeId], name: str = "") -> Record:
        """Deliver messages only within groups; nodes in no group form one more. The story shows the ``name``."""
        parts = sides("groups", groups)
        for node in (node for part in parts for node in part):
            self._known("groups", node)
        return self.decide(Partition(parts, text("name", name)))

    def cut(self, src: NodeId, dst: NodeId) -> Record:
        """Cut the link from ``src`` to ``dst``; the other direction stays open."""
        src, dst = node_pair("cut", (src, dst))
        return self.decide(Cut(self._known("src", src), self._known("dst", dst)))

    def heal(self, *links: tuple[NodeId, NodeId]) -> Record:
        """Restore these links (from, to); without arguments, all links."""
        return self.decide(Heal(tuple(node_pair("links", link) for link in links)))

    def drop(self, message: MessageId) -> Record:
        """Drop a message that is on its way."""
        return self.decide(Drop(integer("message", message)))

    def duplicate(self, message: MessageId) -> Record:
        """Deliver a message that is on its way twice."""
        return self.decide(Duplicate(integer("message", message)))

    def delay(self, message: MessageId, seconds: float) -> Record:
        """Delay a message that is on its way by ``seconds``."""
        by = seconds_of("seconds", seconds)
        return self.decide(Delay(integer("message", message), round(by * SECOND)))

    def add_node(self, node: NodeId) -> Record:
        """Start a new server with an empty disk; make it a member with :meth:`add_learner`."""
        return self.decide(Join(node_id("node", node)))

    def _known(self, field: str, node: NodeId) -> NodeId:
        """An existing server's id; raises ``ConfigError`` for other values and ``UnknownNode`` for other ids."""
        return self.nodes[node_id(field, node)].id

    def _ask(self, wish: Request, to: NodeId | None, client: int) -> ClientCall:
        """Start a client's call with this request."""
        server = None if to is None else self._known("to", to)
        return self.call(Call(client=integer("client", client, -LARGEST), request=wish, to=server))

    def _operate(self, wish: Request, to: NodeId | None = None) -> ClientCall:
        return self.call(Call(client=OPERATOR, request=wish, to=to))


def _as_sent(query: Any) -> Any:
    """A query as nodes read it; raises ``ConfigError`` if it cannot be sent and recorded."""
    try:
        return as_sent(query)
    except BadCommand as bad:
        raise ConfigError("query", query, bad.why) from bad
