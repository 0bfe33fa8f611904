"""Events: everything a driver may pass to the engine."""

from typing import Literal, get_args

from msgspec import Struct

from pyraft_lab.arguments import choice, instance, integer, node_id
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Noop, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Change, Membership
from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import Index, LogId, NodeId, RequestId, Vote
from pyraft_lab.errors import ConfigError


class Precondition(Struct, frozen=True, kw_only=True, gc=False):
    """Preconditions of a membership change, checked by the leader; ``None`` checks nothing (openraft Precondition)."""

    leader: tuple[int, NodeId] | None = None
    last: LogId | None = None
    membership: LogId | None = None

    def validated(self) -> "Precondition":
        """These preconditions; raises ``ConfigError``, naming the field, if one could never hold."""
        leadership("only_if.leader", self.leader)
        for field, value in (("last", self.last), ("membership", self.membership)):
            if value is not None:
                instance(f"only_if.{field}", value, LogId)
        return self


Guard = Precondition
"""The earlier name."""


def leadership(field: str, value: object) -> tuple[int, NodeId] | None:
    """The leadership a request is for: (term, node), or ``None`` for any; raises ``ConfigError`` for other values."""
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ConfigError(field, value, "must be a pair (term, node), as Vote and LogId have them")
    return integer(field, value[0], what="a term"), node_id(field, value[1])


class Boot(Struct, frozen=True, tag=True, gc=False):
    """The node starts from its disk; the first event of every node."""


class Receive(Struct, frozen=True, tag=True, gc=False):
    """A message has arrived from node ``src``."""

    src: NodeId
    message: AnyMessage


class Fire(Struct, frozen=True, tag=True, gc=False):
    """A timer has fired."""

    timer: Timer


class Stored(Struct, frozen=True, tag=True, gc=False):
    """Every storage command issued up to this vote and this end of the log is durable.

    The pair names a state of the disk, not an index: a late completion cannot
    confirm an entry that has been truncated and written again since.
    """

    vote: Vote
    last: LogId


class Propose(Struct, frozen=True, tag=True, kw_only=True, gc=False):
    """A batch of clients' writes: ``requests[i]`` waits for ``payloads[i]``.

    ``leader`` is the expected leader: any other leadership refuses the batch (openraft with_leader).
    """

    requests: tuple[RequestId, ...]
    payloads: tuple[Normal | Noop, ...]
    leader: tuple[int, NodeId] | None = None


ReadPolicy = Literal["index", "lease"]


def read_policy(policy: ReadPolicy) -> ReadPolicy:
    """The policy of a read on a live node, checked; raises ``ConfigError`` for any other value."""
    advice = "'local' is for simulations; what one live node has, raft.with_machine() tells"
    return choice("policy", policy, get_args(ReadPolicy), advice=advice)


class Read(Struct, frozen=True, tag=True, gc=False):
    """Clients ask from which index a read is linearizable (dissertation §6.4; openraft ReadPolicy).

    With ``index`` the leader asks a majority. With ``lease`` it asks nobody: this assumes that clocks differ in rate by
    at most ``clock_drift``, and that a driver notices a pause longer than the lease (``rules.fires_first``) first.
    """

    requests: tuple[RequestId, ...]
    policy: ReadPolicy = "index"


class ChangeMembership(Struct, frozen=True, tag=True, kw_only=True, gc=False):
    """An operator changes the membership; a change of voters passes through a joint membership (§6)."""

    request: RequestId
    change: Change
    retain: bool = False
    guard: Precondition = Precondition()


class Initialize(Struct, frozen=True, tag=True, gc=False):
    """The first membership of a pristine node (openraft initialize)."""

    request: RequestId
    membership: Membership


class Elect(Struct, frozen=True, tag=True, gc=False):
    """Campaign now; with ``pre_vote`` after a pre-vote, whatever the configuration says."""

    pre_vote: bool = False


class SendHeartbeat(Struct, frozen=True, tag=True, gc=False):
    """Send a round of heartbeats now, even to followers that need none."""


class TransferLeader(Struct, frozen=True, tag=True, gc=False):
    """Transfer leadership to a voter (dissertation §3.10)."""

    request: RequestId
    to: NodeId


class BuildSnapshot(Struct, frozen=True, tag=True, gc=False):
    """Build a snapshot of what is applied, unless one is being built."""


class SnapshotBuilt(Struct, frozen=True, tag=True, gc=False):
    """The machine has built a snapshot; ``None`` if it refused to."""

    meta: SnapshotMeta | None


class SnapshotGone(Struct, frozen=True, tag=True, gc=False):
    """The driver no longer has the snapshot that is being sent to ``peer``."""

    peer: NodeId


class PurgeLog(Struct, frozen=True, tag=True, gc=False):
    """Purge entries up to ``upto``, as far as the snapshot covers them."""

    upto: Index


class AllowRevert(Struct, frozen=True, tag=True, gc=False):
    """Allow a follower that lost its log to start again with an empty one (openraft allow_next_revert)."""

    request: RequestId
    peer: NodeId


class Unreachable(Struct, frozen=True, tag=True, gc=False):
    """The transport could not deliver a message to ``peer``."""

    peer: NodeId


class Configure(Struct, frozen=True, tag=True, gc=False):
    """Use another configuration from now on; the runtime's toggles send this event."""

    config: Config


Request = Propose | Read | ChangeMembership | Initialize | TransferLeader | AllowRevert
"""Events with a client or operator that waits for an answer."""
Trigger = Elect | SendHeartbeat | BuildSnapshot | PurgeLog | Configure
"""Events an operator may trigger; each is a no-op on a node it does not fit."""
Notice = SnapshotBuilt | SnapshotGone | Unreachable
"""Events from a driver's machine, disk or transport."""
Event = Boot | Receive | Fire | Stored | Request | Trigger | Notice
