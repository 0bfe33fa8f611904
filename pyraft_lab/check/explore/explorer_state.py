"""Small worlds without time: a few servers, the messages between them, the past, and the possible next actions."""

from collections.abc import Callable, Iterator
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.explore.history_variables import HistoryVariables
from pyraft_lab.check.explore.reads import ReadAsked, ReadRefused
from pyraft_lab.check.explore.server_state import LocalStep, Message, ServerState, expire, restart, settle, sync, turn
from pyraft_lab.command import encode
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.events import (
    BuildSnapshot,
    ChangeMembership,
    Event,
    Propose,
    Read,
    ReadPolicy,
    Receive,
    TransferLeader,
)
from pyraft_lab.engine.log import Configuration, Entry, Log, Normal
from pyraft_lab.engine.membership import Change, Membership
from pyraft_lab.engine.state import Disk, Leader
from pyraft_lab.engine.timers import Timer, TimerKind
from pyraft_lab.engine.types import LogId, NodeId
from pyraft_lab.machine import decode
from pyraft_lab.sim.simulation import Simulation

NO_SNAPSHOTS = Config(
    pre_vote=False,
    vote_lease=False,
    check_quorum=False,
    prompt_commit=False,
    snapshot_logs_since_last=None,
    keep_logs=0,
)
"""The paper's Raft, without the refinements that multiply interleavings; the settings of :func:`cluster`."""


class Deliver(Struct, frozen=True, tag=True):
    """A message arrives; ``again`` where a copy of it stays on its way."""

    message: Message
    again: bool = False

    @property
    def node(self) -> NodeId:
        """To whom it happens."""
        return self.message.dst

    def __str__(self) -> str:
        copy = ", and a copy stays on its way" if self.again else ""
        return f"n{self.node} receives {type(self.message.message).__name__} from n{self.message.src}{copy}"


class Expire(Struct, frozen=True, tag=True):
    """A timer fires."""

    node: NodeId
    timer: Timer

    def __str__(self) -> str:
        about = f" for n{self.timer.key}" if self.timer.kind is TimerKind.RETRY else ""
        return f"n{self.node}: its {self.timer.kind} timer{about} fires"


class Submit(Struct, frozen=True, tag=True):
    """A client asks a leader to write; ``again`` if it sends a command once more, because it knows no answer."""

    node: NodeId
    data: bytes
    again: bool = False

    def __str__(self) -> str:
        return f"a client asks n{self.node} to write {decode(self.data)}{' once more' if self.again else ''}"


class Ask(Struct, frozen=True, tag=True):
    """A client asks a server to read; ``request`` is the number of the read."""

    node: NodeId
    request: int
    policy: ReadPolicy = "index"

    def __str__(self) -> str:
        return f"a client asks n{self.node} to read by {self.policy}"


class Transfer(Struct, frozen=True, tag=True):
    """An operator asks a leader to transfer leadership."""

    node: NodeId
    to: NodeId

    def __str__(self) -> str:
        return f"an operator asks n{self.node} to transfer leadership to n{self.to}"


class Reconfigure(Struct, frozen=True, tag=True):
    """An operator asks a leader for another membership."""

    node: NodeId
    change: Change

    def __str__(self) -> str:
        return f"an operator asks n{self.node} for {self.change}"


class Compact(Struct, frozen=True, tag=True):
    """A server builds a snapshot and forgets what it covers."""

    node: NodeId

    def __str__(self) -> str:
        return f"n{self.node} builds a snapshot"


class Sync(Struct, frozen=True, tag=True):
    """A disk finishes its oldest write."""

    node: NodeId

    def __str__(self) -> str:
        return f"n{self.node}: its oldest write is durable"


class Crash(Struct, frozen=True, tag=True):
    """A server crashes and starts again from its disk."""

    node: NodeId

    def __str__(self) -> str:
        return f"n{self.node} crashes and restarts"


class Silence(Struct, frozen=True, tag=True):
    """Every message on its way is lost."""

    def __str__(self) -> str:
        return "every message on its way is lost"


Asked = Submit | Ask | Transfer | Reconfigure | Compact
"""What a client or an operator asks of a server."""
Action = Deliver | Expire | Asked | Sync | Crash
"""What may happen to one server."""


class PathStep(Struct, frozen=True):
    """Something that happened, and whether disks were instant then."""

    act: Action | Silence
    instant: bool = True


class ExplorerState(Struct, frozen=True):
    """A few servers at one moment, spelt out: what predicates look at, and what a search may start from.

    ``past`` is what happened since ``origin``: a simulation, or servers that had heard nothing.
    """

    servers: tuple[ServerState, ...]
    messages: tuple[Message, ...] = ()
    history: HistoryVariables = HistoryVariables()
    path: tuple[PathStep, ...] = ()
    origin: Simulation | None = None

    def __getitem__(self, node: NodeId) -> ServerState:
        return next(server for server in self.servers if server.state.id == node)

    def __iter__(self) -> Iterator[ServerState]:
        return iter(self.servers)

    @property
    def leaders(self) -> tuple[NodeId, ...]:
        """Who leads, in whatever term."""
        return tuple(one.state.id for one in self.servers if isinstance(one.state.role, Leader))

    def quiet(self) -> "ExplorerState":
        """This world once every message on its way is lost: a stage from which another search may go on."""
        return replace(self, messages=(), path=(*self.path, PathStep(Silence())))


Predicate = Callable[[ExplorerState], bool]


def cluster(
    nodes: int | Membership = 3, *, config: Config = NO_SNAPSHOTS, engine: Engine | None = None
) -> ExplorerState:
    """A start for searches: servers that know their membership and have heard nothing."""
    membership = nodes if isinstance(nodes, Membership) else Membership.of(range(1, nodes + 1))
    disk = Disk(log=Log().append((Entry(LogId(0, 0, 1), Configuration(membership)),)))
    engine = raft() if engine is None else engine
    fresh = (ServerState(engine.start(node, disk, config), disk) for node in sorted(membership))
    return ExplorerState(servers=tuple(restart(engine, local).after for local in fresh))


def apply(engine: Engine, local: ServerState, act: Action, *, instant: bool = True) -> LocalStep:
    """What ``act`` does to the server it happens to; with ``instant`` disks nothing waits to become durable."""
    move = _apply(engine, local, act)
    return settle(engine, move) if instant else move


def _apply(engine: Engine, local: ServerState, act: Action) -> LocalStep:
    match act:
        case Deliver(message):
            return turn(engine, local, Receive(message.src, message.message))
        case Expire(_, timer):
            return expire(engine, local, timer)
        case Ask():
            return _ask(engine, local, act)
        case Submit() | Transfer() | Reconfigure() | Compact():
            return turn(engine, local, event_of(act))
        case Sync():
            return sync(engine, local)
        case Crash():
            return restart(engine, local)
        case _:
            assert_never(act)


def _ask(engine: Engine, local: ServerState, act: Ask) -> LocalStep:
    """A read begins, unless it is refused at once: then nothing has happened."""
    move = turn(engine, local, event_of(act))
    if ReadRefused(act.request) in move.facts:
        return LocalStep(local)
    return move._replace(facts=(ReadAsked(act.request), *move.facts))


def event_of(act: Asked) -> Event:
    """What a client or an operator asks, as an event of the engine."""
    match act:
        case Ask(_, request, policy):
            return Read((request,), policy)
        case Transfer(_, to):
            return TransferLeader(request=0, to=to)
        case Submit(_, data):
            return Propose(requests=(0,), payloads=(Normal(data),))
        case Reconfigure(_, change):
            return ChangeMembership(request=0, change=change)
        case Compact():
            return BuildSnapshot()
        case _:
            assert_never(act)


def written(count: int) -> bytes:
    """The command of the ``count``-th write of a search: each is another one."""
    return encode({"op": "put", "key": "x", "value": count})


def counted(count: int) -> bytes:
    """The same for a search in which clients repeat commands: each client sends one, in its session."""
    return encode({"op": "incr", "key": "x"}, client=count, serial=1)
