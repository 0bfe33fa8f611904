"""A whole cluster as one value: nodes with their disks, machines and timers, messages under way, clients, and time.

::

    world ──act(world, action)──▶ world        an action is anything that may happen next: a message arrives,
      └──── actions(world)                     a timer runs out, a disk catches up, a server crashes …

Keeping a world is keeping a name: nothing in it ever changes, and what two worlds have in common they share.

Same-instant rule: what is due at the same microsecond happens in the order in which it was put on the agenda.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, assert_never

from msgspec import Struct

from pyraft_lab.engine.commands import StorageCommand, TakeSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import Event, Precondition
from pyraft_lab.engine.membership import Change, Membership
from pyraft_lab.engine.state import Disk, Leader, RaftState
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import Index, NodeId, RequestId
from pyraft_lab.machine import Sessions
from pyraft_lab.pending_requests import PendingRequests
from pyraft_lab.sim.conditions import Micros, Weather
from pyraft_lab.sim.disk import NO_DISK_FAULTS, Batch, DiskFaults, StoredSnapshot
from pyraft_lab.trace.record import EventId, Flight, MessageId

# What may happen


class Deliver(Struct, frozen=True, tag=True):
    """A message arrives."""

    message: MessageId


class FireTimer(Struct, frozen=True, tag=True):
    """A timer of a node runs out."""

    node: NodeId
    timer: Timer


class Sync(Struct, frozen=True, tag=True):
    """The disk of a node has its oldest unsynced batch of writes."""

    node: NodeId


class Build(Struct, frozen=True, tag=True):
    """The machine of a node has built its snapshot."""

    node: NodeId


class SnapshotMissing(Struct, frozen=True, tag=True):
    """A leader finds that it no longer has the snapshot it is sending to ``peer``."""

    node: NodeId
    peer: NodeId


class GiveUp(Struct, frozen=True, tag=True):
    """A node that no longer leads stops waiting for what became of its last entries."""

    node: NodeId


class Attempt(Struct, frozen=True, tag=True):
    """A client tries its call (again)."""

    call: RequestId


Pending = Deliver | FireTimer | Sync | Build | SnapshotMissing | GiveUp | Attempt
"""What happens by itself when its time has come."""


class Start(Struct, frozen=True, tag=True):
    """A server starts from its disk."""

    node: NodeId


class Crash(Struct, frozen=True, tag=True):
    """A server dies: what its disk had not synced is gone, and so is all its memory.

    Of those writes a share of ``torn``, the first ones, has reached the disk all the same.
    """

    node: NodeId
    torn: float = 0.0


class Pause(Struct, frozen=True, tag=True):
    """A server stands still, as in a long collection of garbage; what comes for it waits."""

    node: NodeId


class Resume(Struct, frozen=True, tag=True, omit_defaults=True):
    """A paused server goes on, and everything that waited happens at once.

    It notices only ``late`` that timers have run out meanwhile: messages and calls that waited come before them, as
    in an event loop. What must fire before those fires all the same (:func:`~pyraft_lab.engine.rules.fires_first`).
    """

    node: NodeId
    late: Micros = 0


class Drift(Struct, frozen=True, tag=True):
    """The clock of a server runs ``rate`` times as fast as it should from now on."""

    node: NodeId
    rate: float


class Skew(Struct, frozen=True, tag=True):
    """The clock of a server jumps forward ``by`` so much, or back: its timers end sooner, or later."""

    node: NodeId
    by: Micros


class SetDiskFault(Struct, frozen=True, tag=True):
    """The disk of a server is in this state from now on."""

    node: NodeId
    health: DiskFaults


class Wipe(Struct, frozen=True, tag=True):
    """The disk of a server that is down is replaced by an empty one: its vote, log and snapshot are lost.

    Raft assumes that a voter keeps what it promised. With a lost disk it may vote twice in a term and forget what it
    acknowledged, so committed entries may be lost.
    """

    node: NodeId


class Hold(Struct, frozen=True, tag=True):
    """The network holds its breath, as a broker may: what is under way, or leaves, does not arrive for now."""


class Release(Struct, frozen=True, tag=True):
    """The network goes on; what it held arrives at once."""


class Cut(Struct, frozen=True, tag=True):
    """Nothing from ``src`` reaches ``dst`` any more."""

    src: NodeId
    dst: NodeId


class Partition(Struct, frozen=True, tag=True, omit_defaults=True):
    """Only within a group messages arrive; nodes in no group form one more. ``name`` is for the reader."""

    groups: tuple[tuple[NodeId, ...], ...]
    name: str = ""


class Heal(Struct, frozen=True, tag=True):
    """These links work again; none named: every one."""

    links: tuple[tuple[NodeId, NodeId], ...] = ()


class Drop(Struct, frozen=True, tag=True):
    """A message under way is lost."""

    message: MessageId


class Duplicate(Struct, frozen=True, tag=True):
    """A message under way will arrive twice."""

    message: MessageId


class Delay(Struct, frozen=True, tag=True):
    """A message under way takes longer."""

    message: MessageId
    by: Micros


class Notify(Struct, frozen=True, tag=True):
    """An operator's order to a node, for which nobody waits."""

    node: NodeId
    event: Event


class Invoke(Struct, frozen=True, tag=True):
    """A client begins a call."""

    call: "Call"


class Join(Struct, frozen=True, tag=True):
    """A new server with an empty disk starts; it belongs to no cluster yet."""

    node: NodeId


class SetWeather(Struct, frozen=True, tag=True):
    """The weather changes."""

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
"""What somebody outside decides."""
Action = Pending | Decision


# What clients and operators want


class Write(Struct, frozen=True, tag=True):
    """A command for the state machine."""

    command: Any


class Query(Struct, frozen=True, tag=True):
    """A question to the state machine: linearizable by ``index`` or ``lease``, or ``local`` as the node has it."""

    query: Any
    policy: str = "index"


class Reconfigure(Struct, frozen=True, tag=True):
    """Another membership."""

    change: Change
    retain: bool = False
    guard: Precondition = Precondition()


class TransferLeadership(Struct, frozen=True, tag=True):
    """Another leader."""

    to: NodeId


class InitializeCluster(Struct, frozen=True, tag=True):
    """The first membership of a cluster."""

    membership: Membership


class PermitRevert(Struct, frozen=True, tag=True):
    """A follower that lost its log may begin anew."""

    peer: NodeId


Request = Write | Query | Reconfigure | TransferLeadership | InitializeCluster | PermitRevert


class Call(Struct, frozen=True, kw_only=True):
    """A wish of a client: ``to`` one node, or (``None``) to whoever leads, tried until it is answered."""

    client: int
    request: Request
    to: NodeId | None = None


# What there is


class OpenCall(Struct, frozen=True, kw_only=True):
    """A call that is not answered yet: in its session it is ``serial``, and now it waits at node ``at``.

    ``joint`` is the index of the committed joint membership whose end a change of membership waits for.
    """

    id: RequestId
    call: Call
    serial: int
    began: EventId
    since: Index = 0
    at: NodeId | None = None
    hint: NodeId | None = None
    joint: Index | None = None
    tries: int = 0
    due: "ScheduledAction | None" = None


class ScheduledAction(NamedTuple):
    """One line of the agenda; ``order`` counts lines, so that no two are equal."""

    time: Micros
    sequence: int
    action: Pending
    cause: EventId | None


class Building(Struct, frozen=True):
    """A snapshot being built: of this machine as it was."""

    command: TakeSnapshot
    machine: Sessions


class Node(Struct, frozen=True, kw_only=True):
    """One server.

    ``synced`` is what its disk would hold after a loss of power now; ``state.disk`` is what was written. ``batches``
    lie between the two; ``owed`` is what a lying disk has confirmed and not done. ``lives`` counts its starts;
    ``sent``, ``drawn`` and ``wrote`` count what it drew chances for. ``overdue`` are timers that had run out when it
    was resumed and have not fired yet, the longest due first. ``giving_up`` is when it gives up the writes of a
    leadership that has ended.
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
    batches: tuple[Batch, ...] = ()
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
    """What a world is made of and never changes; ``machine`` makes the state machine of a node that starts."""

    seed: int
    engine: Engine
    config: Config
    machine: Any


class World(Struct, frozen=True, kw_only=True):
    """Everything at one instant: how many calls ``clients`` began; ``events`` happened, and number the next record."""

    setting: Setting
    weather: Weather
    nodes: Mapping[NodeId, Node]
    now: Micros = 0
    event_queue: tuple[ScheduledAction, ...] = ()
    flights: Mapping[MessageId, Flight] = {}
    cuts: frozenset[tuple[NodeId, NodeId]] = frozenset()
    held: bool = False
    calls: Mapping[RequestId, OpenCall] = {}
    clients: Mapping[int, int] = {}
    events: EventId = 0
    sequence: int = 0
    messages: MessageId = 0
    requests: RequestId = 0

    @property
    def leader(self) -> NodeId | None:
        """The node that leads in the highest term, of those that are up."""
        leading = [(one.state.vote, one.id) for one in self.nodes.values() if one.up and one.state.leader == one.id]
        return max(leading)[1] if leading else None

    # As the world of the explorer, for predicates that may be asked of both

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
        """Every server that leads, in whatever term."""
        return tuple(node.id for node in self.servers if isinstance(node.state.role, Leader))


def actions(world: World) -> tuple[Pending, ...]:
    """What may happen next by itself, soonest first; what waits for a paused node or a held network is not among it."""
    return tuple(due.action for due in world.event_queue if not is_blocked(world, due.action))


def is_blocked(world: World, action: Pending) -> bool:
    """Whether an action cannot happen now, because its node or the network stands still."""
    match action:
        case Deliver(message):
            return world.held or world.nodes[world.flights[message].dst].paused
        case FireTimer(node) | Sync(node) | Build(node) | SnapshotMissing(node) | GiveUp(node):
            return world.nodes[node].paused
        case Attempt():
            return False
        case _:
            assert_never(action)
