"""A whole cluster as one value: nodes with disks, machines and timers, messages on their way, clients, and time.

::

    world ──apply(world, action)──▶ world      an action is anything that may happen next: a message arrives,
      └──── actions(world)                     a timer fires, a disk syncs, a server crashes …

A world never changes, so keeping one costs only a reference, and two worlds share their common parts.

Actions due at the same microsecond happen in the order in which they were put on the agenda.
"""

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from msgspec import Struct

from pyraft_lab.client.events import Timer as ClientTimer
from pyraft_lab.client.state import ClientState
from pyraft_lab.engine.commands import StorageCommand, TakeSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import Event, Precondition
from pyraft_lab.engine.membership import Change, Membership
from pyraft_lab.engine.state import Disk, Leader, RaftState
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import Index, NodeId, RequestId
from pyraft_lab.immutable_map import ImmutableMap
from pyraft_lab.machine import Sessions
from pyraft_lab.pending_requests import PendingRequests
from pyraft_lab.sim.asked import AskedRequests
from pyraft_lab.sim.conditions import Micros, Weather
from pyraft_lab.sim.disk import NO_DISK_FAULTS, DiskFaults, StoredSnapshot, UnsyncedWrites
from pyraft_lab.trace.record import EventId, Flight, MessageId

# Actions


class Deliver(Struct, frozen=True, tag=True, gc=False):
    """A message on its way arrives."""

    message: MessageId


class FireTimer(Struct, frozen=True, tag=True, gc=False):
    """A node's election, heartbeat or other timer runs out."""

    node: NodeId
    timer: Timer


class Sync(Struct, frozen=True, tag=True, gc=False):
    """The disk of a node syncs its oldest unsynced batch of writes."""

    node: NodeId


class Build(Struct, frozen=True, tag=True, gc=False):
    """The machine of a node finishes its snapshot."""

    node: NodeId


class SnapshotMissing(Struct, frozen=True, tag=True, gc=False):
    """A leader no longer has the snapshot that it is sending to ``peer``."""

    node: NodeId
    peer: NodeId


class GiveUp(Struct, frozen=True, tag=True, gc=False):
    """A former leader stops waiting for the outcome of its last entries."""

    node: NodeId


class Reach(Struct, frozen=True, tag=True, gc=False):
    """A client's request reaches its node."""

    client: int
    request: int


class WakeClient(Struct, frozen=True, tag=True, gc=False):
    """A timer of a client fires: an attempt takes too long, or a pause is over."""

    client: int
    timer: ClientTimer


Pending = Deliver | FireTimer | Sync | Build | SnapshotMissing | GiveUp | Reach | WakeClient
"""Actions that happen by themselves when they are due."""


class Start(Struct, frozen=True, tag=True):
    """A server starts from its disk."""

    node: NodeId


class Crash(Struct, frozen=True, tag=True):
    """A server crashes and loses its unsynced writes and its memory.

    The first of those writes, a share ``torn`` from 0 to 1, have reached the disk nevertheless.
    """

    node: NodeId
    torn: float = 0.0


class Pause(Struct, frozen=True, tag=True):
    """A server pauses, as in a long garbage collection; its messages and timers wait."""

    node: NodeId


class Resume(Struct, frozen=True, tag=True, omit_defaults=True):
    """A paused server resumes, and everything that waited happens at once.

    It notices expired timers ``late`` microseconds later: it handles waiting messages and calls first, as an event
    loop does, except for timers that must fire before them (:func:`~pyraft_lab.engine.rules.fires_first`).
    """

    node: NodeId
    late: Micros = 0


class Drift(Struct, frozen=True, tag=True):
    """The clock of a server runs ``rate`` times as fast as it should, from now on."""

    node: NodeId
    rate: float


class Skew(Struct, frozen=True, tag=True):
    """The clock of a server jumps by ``by`` microseconds, forward or back; its timers fire earlier or later."""

    node: NodeId
    by: Micros


class SetDiskFault(Struct, frozen=True, tag=True):
    """The disk of a server has these faults from now on."""

    node: NodeId
    health: DiskFaults


class Wipe(Struct, frozen=True, tag=True):
    """A stopped server's disk is replaced by an empty one; its vote, log and snapshot are lost.

    Raft assumes that a voter keeps its promises. With a lost disk it may vote twice in a term and lose acknowledged
    entries, so committed entries may be lost.
    """

    node: NodeId


class Hold(Struct, frozen=True, tag=True):
    """The network holds all messages, as a stalled broker does, until ``Release``."""


class Release(Struct, frozen=True, tag=True):
    """The network delivers the held messages at once and holds no more."""


class Cut(Struct, frozen=True, tag=True):
    """The link from ``src`` to ``dst`` is cut; the other direction stays as it is."""

    src: NodeId
    dst: NodeId


class Partition(Struct, frozen=True, tag=True, omit_defaults=True):
    """Messages arrive only within groups; nodes in no group form one more. ``name`` is for the story only."""

    groups: tuple[tuple[NodeId, ...], ...]
    name: str = ""


class Heal(Struct, frozen=True, tag=True):
    """These links (from, to) work again; all links if none is given."""

    links: tuple[tuple[NodeId, NodeId], ...] = ()


class Drop(Struct, frozen=True, tag=True):
    """A message on its way is lost."""

    message: MessageId


class Duplicate(Struct, frozen=True, tag=True):
    """A message on its way will arrive twice."""

    message: MessageId


class Delay(Struct, frozen=True, tag=True):
    """A message on its way arrives ``by`` microseconds later."""

    message: MessageId
    by: Micros


class Notify(Struct, frozen=True, tag=True):
    """An operator's trigger for a node, without an answer."""

    node: NodeId
    event: Event


class Invoke(Struct, frozen=True, tag=True):
    """A client starts a call."""

    call: "Call"


class Join(Struct, frozen=True, tag=True):
    """A new server starts with an empty disk; it belongs to no cluster yet."""

    node: NodeId


class SetWeather(Struct, frozen=True, tag=True):
    """The weather of the network and disks changes."""

    weather: Weather


Decision = (
    Start
    | Crash
    | Pause
    | Resume
    | Drift
    | Skew
    | SetDiskFault
    | Wipe
    | Hold
    | Release
    | Cut
    | Partition
    | Heal
    | Drop
    | Duplicate
    | Delay
    | Notify
    | Invoke
    | Join
    | SetWeather
)
"""Actions that are decided from outside."""
Action = Pending | Decision


# Requests of clients and operators


class Write(Struct, frozen=True, tag=True):
    """Write: a command for the state machine."""

    command: Any


class Query(Struct, frozen=True, tag=True):
    """Read from the state machine: linearizable by ``index`` or ``lease``, or ``local`` from the node's state."""

    query: Any
    policy: str = "index"


class Reconfigure(Struct, frozen=True, tag=True):
    """Change the membership (§6)."""

    change: Change
    retain: bool = False
    guard: Precondition = Precondition()


class TransferLeadership(Struct, frozen=True, tag=True):
    """Transfer leadership to another voter (dissertation §3.10)."""

    to: NodeId


class InitializeCluster(Struct, frozen=True, tag=True):
    """Give a new cluster its first membership."""

    membership: Membership


class PermitRevert(Struct, frozen=True, tag=True):
    """Allow a follower that lost its log to start again with an empty one."""

    peer: NodeId


Request = Write | Query | Reconfigure | TransferLeadership | InitializeCluster | PermitRevert


class Call(Struct, frozen=True, kw_only=True):
    """A client's request ``to`` one node, tried once, or (``None``) to the leader that it looks for, until answered."""

    client: int
    request: Request
    to: NodeId | None = None


# State


class OpenCall(Struct, frozen=True, kw_only=True):
    """An unanswered call; a membership change waits for the end of the joint membership at index ``joint``."""

    id: RequestId
    call: Call
    began: EventId
    joint: Index | None = None


class SimulatedClient(Struct, frozen=True, kw_only=True):
    """A client: the state of its machine (:mod:`pyraft_lab.client.machine`), and what its driver keeps beside it.

    ``arrivals`` is the time at which its last request reaches each node; ``drawn`` counts its random numbers.
    """

    state: ClientState
    timers: ImmutableMap[ClientTimer, "ScheduledAction"] = ImmutableMap()
    arrivals: Mapping[NodeId, Micros] = {}
    drawn: int = 0


class ScheduledAction(Struct, frozen=True, order=True, gc=False):
    """One entry of the agenda; ``order`` numbers the entries, so that no two are equal."""

    time: Micros
    sequence: int
    action: Pending
    cause: EventId | None


class Building(Struct, frozen=True):
    """A snapshot being built, from a copy of the machine at its start."""

    command: TakeSnapshot
    machine: Sessions


class Node(Struct, frozen=True):
    """One server with its disk, machine and timers.

    ``synced`` is what its disk would hold after a power failure now; ``state.disk`` is what was written. ``batches``
    are the writes between the two; ``acked_unwritten`` are those a lying disk has confirmed without a sync.
    ``incarnation`` counts its starts; ``sent``, ``drawn`` and ``wrote`` count its draws of random numbers. ``overdue``
    are timers that had expired when it resumed and have not fired yet, the longest overdue first. ``giving_up`` is the
    scheduled end of its wait for the writes of an ended leadership.
    """

    id: NodeId
    state: RaftState
    machine: Sessions
    synced: Disk = Disk()
    disk_faults: DiskFaults = NO_DISK_FAULTS
    acked_unwritten: tuple[StorageCommand, ...] = ()
    incarnation: int = 0
    up: bool = False
    paused: bool = False
    rate: float = 1.0
    batches: tuple[UnsyncedWrites, ...] = ()
    pending: PendingRequests = PendingRequests()
    snapshots: tuple[StoredSnapshot, ...] = ()
    arriving: bytes = b""
    building: Building | None = None
    timers: Mapping[Timer, ScheduledAction] = {}
    overdue: tuple[Timer, ...] = ()
    giving_up: ScheduledAction | None = None
    arrivals: Mapping[NodeId, Micros] = {}
    busy: Micros = 0
    sent: int = 0
    drawn: int = 0
    wrote: int = 0


class Setting(Struct, frozen=True, kw_only=True):
    """The constant settings of a world; ``machine`` makes the state machine of a starting node."""

    seed: int
    engine: Engine
    config: Config
    machine: Any


class World(Struct, frozen=True):
    """The whole cluster at one instant.

    ``calls`` are the open calls of clients, ``changes`` those of them that wait for the end of a joint membership, and
    ``asked`` the requests that wait for an answer; ``own_requests`` counts those that clients sent for themselves.
    ``delayed`` are the nodes that are paused or have overdue timers. ``events``
    is the number of past events and the id of the next record.
    """

    setting: Setting
    weather: Weather
    nodes: Mapping[NodeId, Node]
    now: Micros = 0
    event_queue: tuple[ScheduledAction, ...] = ()
    flights: Mapping[MessageId, Flight] = {}
    cuts: frozenset[tuple[NodeId, NodeId]] = frozenset()
    held: bool = False
    delayed: frozenset[NodeId] = frozenset()
    calls: ImmutableMap[RequestId, OpenCall] = ImmutableMap()
    changes: tuple[RequestId, ...] = ()
    clients: ImmutableMap[int, SimulatedClient] = ImmutableMap()
    asked: AskedRequests = AskedRequests()
    events: EventId = 0
    sequence: int = 0
    messages: MessageId = 0
    requests: RequestId = 0
    own_requests: int = 0

    @property
    def leader(self) -> NodeId | None:
        """The running leader with the highest term; ``None`` if there is none."""
        leading = [(one.state.vote, one.id) for one in self.nodes.values() if one.up and one.state.leader == one.id]
        return max(leading)[1] if leading else None

    # The same interface as the explorer's world, for predicates that work on both

    def __getitem__(self, node: NodeId) -> Node:
        return self.nodes[node]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.servers)

    @property
    def servers(self) -> tuple[Node, ...]:
        """The servers that are up, in order of their ids."""
        return tuple(node for _, node in sorted(self.nodes.items()) if node.up)

    @property
    def leaders(self) -> tuple[NodeId, ...]:
        """The ids of all running servers that lead, in any term."""
        return tuple(node.id for node in self.servers if isinstance(node.state.role, Leader))


def actions(world: World) -> tuple[Pending, ...]:
    """The scheduled actions, soonest first, without those that wait for a paused node or a held network."""
    return tuple(due.action for due in world.event_queue if not is_blocked(world, due.action))


def is_blocked(world: World, action: Pending) -> bool:
    """Whether an action cannot happen now, because its node is paused or the network is held."""
    match action:
        case Deliver(message):
            return world.held or world.nodes[world.flights[message].dst].paused
        case FireTimer(node) | Sync(node) | Build(node) | SnapshotMissing(node) | GiveUp(node):
            return world.nodes[node].paused
        case Reach(client, request):
            return world.nodes[world.asked.find(client, request).node].paused
        case WakeClient():
            return False
        case _:
            assert_never(action)
