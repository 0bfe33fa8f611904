"""The words of a scenario: what is done to a cluster, whatever it is made of, and what comes of it.

A scenario is a value. Each line pairs an act with its answer::

    Scenario(
        "a value outlives the leader that took it",
        (Write(put("x", 1)), None),
        (Kill("leader"), None),
        (Read("x"), 1),
        machine={"x": 1},
    )

Nodes are named by what they are, for elections go one way here and another there: ``"leader"``, ``"follower"`` (the
voter of the lowest id that does not lead), ``"other"`` (the next one), or a name that :class:`Name` gave before.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Precondition, ReadPolicy
from pyraft_lab.engine.membership import ChangeLike
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError

Who = NodeId | str
CONFIG = Config(election_timeout=(0.4, 0.8), heartbeat_interval=0.05, snapshot_logs_since_last=None, keep_logs=0)
"""Short enough for elections in live clusters, long enough beside a busy process."""
WITHIN = 20.0
"""Seconds in which everything that should happen does; never reached by a test that passes."""


ANY = "whichever"
"""The error may name a leader or none: that is a matter of who was heard first."""


class Error(Struct, frozen=True):
    """A call fails with an error of this class; ``leader`` is the node it says to ask, by name (or ``ANY``)."""

    kind: type[PyraftError]
    leader: str = ""


class Members(Struct, frozen=True):
    """A membership: who votes, and who only learns."""

    voters: frozenset[NodeId]
    learners: frozenset[NodeId] = frozenset()


class Joint(Struct, frozen=True):
    """A joint membership: both sets of voters."""

    configs: tuple[frozenset[NodeId], ...]


# Clients


class Write(Struct, frozen=True):
    """A client writes: through its session, or once at one node; ``within`` is its deadline in seconds."""

    command: Any
    at: Who | None = None
    client: int = 1
    within: float = WITHIN


class Read(Struct, frozen=True):
    """A client reads a key."""

    key: Any
    at: Who | None = None
    policy: ReadPolicy | str = "index"
    within: float = WITHIN


class Begin(Struct, frozen=True):
    """A call is made and not waited for yet."""

    name: str
    act: "Write | Read | Change"


class End(Struct, frozen=True):
    """The answer to a call that was begun."""

    name: str


# Operators


class Initialize(Struct, frozen=True):
    """A cluster is founded on one node."""

    voters: frozenset[NodeId]
    at: NodeId


class AddLearner(Struct, frozen=True):
    """A node is started and receives the log."""

    node: Any


class Change(Struct, frozen=True):
    """Another membership."""

    change: ChangeLike | Any
    retain: bool = False
    at: Who | None = None
    guard: Precondition = Precondition()


class Transfer(Struct, frozen=True):
    """Leadership is handed to a voter; the act ends when that one leads, or once the order is given."""

    to: Who
    waits: bool = True


class Elect(Struct, frozen=True):
    """A node campaigns; the act ends when it leads."""

    node: Who


class Snapshot(Struct, frozen=True):
    """A node keeps a snapshot of all it has applied."""

    node: Who


class Purge(Struct, frozen=True):
    """A node forgets the entries that its snapshot covers."""

    node: Who


class AllowRevert(Struct, frozen=True):
    """The operator vouches that a node lost its log and may start from nothing."""

    node: Who


# Faults


class Kill(Struct, frozen=True):
    """A node dies; its disk stays."""

    node: Who


class Restart(Struct, frozen=True):
    """A node starts from its disk."""

    node: Who


class Wipe(Struct, frozen=True):
    """The disk of a dead node is replaced by an empty one."""

    node: Who


class Pause(Struct, frozen=True):
    """A node stands still, as a stopped process: what comes for it waits, and its timers run out unseen."""

    node: Who


class Resume(Struct, frozen=True):
    """A node that stood still goes on."""

    node: Who


class Partition(Struct, frozen=True):
    """Nodes of these groups do not hear each other; all others are in one more."""

    groups: tuple[tuple[Who, ...], ...]


class Cut(Struct, frozen=True):
    """Nothing gets from one node to another."""

    src: Who
    dst: Who


class Heal(Struct, frozen=True):
    """All links are whole again."""


# Looking on


class Name(Struct, frozen=True):
    """A node gets a name that stays when its role changes."""

    name: str
    node: Who


class AwaitLeader(Struct, frozen=True):
    """Somebody else than that node leads."""

    than: Who


class AwaitRole(Struct, frozen=True):
    """A node has this role, as it sees itself."""

    node: Who
    role: Literal["leader", "follower", "learner"]


class AwaitAppended(Struct, frozen=True):
    """A node has an entry that it does not know to be committed."""

    node: Who


class Settle(Struct, frozen=True):
    """Every member that is up has applied all the leader has."""


class Ends(Struct, frozen=True):
    """How a scenario ends: the table that every member holds, and who the members are."""

    machine: Mapping[Any, Any]
    members: Members


class Scenario:
    """A name, lines of an act and its answer, and the end.

    ``pending`` says what is not right yet.
    """

    def __init__(
        self,
        name: str,
        *lines: tuple[Any, Any],
        machine: Mapping[Any, Any] | None = None,
        nodes: int = 3,
        voters: set[NodeId] | None = None,
        learners: frozenset[NodeId] | set[NodeId] = frozenset(),
        config: Config = CONFIG,
        initialize: bool = True,
        settles: bool = True,
        pending: str = "",
    ) -> None:
        self.name, self.lines = name, lines
        self.nodes, self.config, self.initialize = nodes, config, initialize
        self.ends = Ends(machine or {}, Members(frozenset(voters or range(1, nodes + 1)), frozenset(learners)))
        self.settles, self.pending = settles, pending

    def __repr__(self) -> str:
        return self.name

    @property
    def wipes(self) -> bool:
        """Whether it takes a disk that can be wiped."""
        return any(isinstance(act, Wipe) for act, _ in self.lines)


def put(key: Any, value: Any) -> dict[str, Any]:
    """Set a key."""
    return {"op": "put", "key": key, "value": value}


def incr(key: str, by: int = 1) -> dict[str, Any]:
    """Add to a counter."""
    return {"op": "incr", "key": key, "by": by}


def cas(key: str, old: Any, new: Any) -> dict[str, Any]:
    """Set a key if it has this value."""
    return {"op": "cas", "key": key, "old": old, "new": new}


def delete(key: str) -> dict[str, Any]:
    """Remove a key."""
    return {"op": "delete", "key": key}
