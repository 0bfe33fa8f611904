"""Events: all that a driver may tell the engine."""

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


class Precondition(Struct, frozen=True, kw_only=True):
    """Preconditions of a membership change, for the leader to check; ``None`` asks nothing (openraft Precondition)."""

    leader: tuple[int, NodeId] | None = None
    last: LogId | None = None
    membership: LogId | None = None

    def validated(self) -> "Precondition":
        """This guard, or ``ConfigError`` naming what could never hold."""
        leadership("only_if.leader", self.leader)
        for field, value in (("last", self.last), ("membership", self.membership)):
            if value is not None:
                instance(f"only_if.{field}", value, LogId)
        return self


Guard = Precondition
"""The earlier name."""


def leadership(field: str, value: object) -> tuple[int, NodeId] | None:
    """A leadership that a request is for: (term, node), or ``None`` for any; ``ConfigError`` where it is neither."""
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ConfigError(field, value, "must be a pair (term, node), as Vote and LogId have them")
    return integer(field, value[0], what="a term"), node_id(field, value[1])


class Boot(Struct, frozen=True, tag=True):
    """The node starts from what its disk holds."""


class Receive(Struct, frozen=True, tag=True):
    """A message has arrived."""

    src: NodeId
    message: AnyMessage


class Fire(Struct, frozen=True, tag=True):
    """A timer has run out."""

    timer: Timer


class Stored(Struct, frozen=True, tag=True):
    """Every storage command issued while vote and log ended like this is durable.

    The pair names the state of the disk, not an index: a completion that arrives late cannot
    vouch for an entry that was truncated and written anew since.
    """

    vote: Vote
    last: LogId


class Propose(Struct, frozen=True, tag=True, kw_only=True):
    """Clients' writes, many at once: ``requests[i]`` waits for ``payloads[i]``.

    ``leader`` fences them: another leadership must not take them (openraft with_leader).
    """

    requests: tuple[RequestId, ...]
    payloads: tuple[Normal | Noop, ...]
    leader: tuple[int, NodeId] | None = None


ReadPolicy = Literal["index", "lease"]


def read_policy(policy: ReadPolicy) -> ReadPolicy:
    """The policy of a read on a live node, checked."""
    advice = "'local' is for simulations; what one live node has, raft.with_machine() tells"
    return choice("policy", policy, get_args(ReadPolicy), advice=advice)


class Read(Struct, frozen=True, tag=True):
    """Clients ask from which index on a read is linearizable (dissertation §6.4; openraft ReadPolicy).

    By ``index`` a majority is asked. By ``lease`` nobody is: it assumes that clocks differ in rate by no more than
    ``clock_drift``, and that a driver notices a pause longer than the lease (``rules.fires_first``) before it asks.
    """

    requests: tuple[RequestId, ...]
    policy: ReadPolicy = "index"


class ChangeMembership(Struct, frozen=True, tag=True, kw_only=True):
    """An operator wants another membership; a change of voters goes through a joint one."""

    request: RequestId
    change: Change
    retain: bool = False
    guard: Precondition = Precondition()


class Initialize(Struct, frozen=True, tag=True):
    """The first membership of a pristine node (openraft initialize)."""

    request: RequestId
    membership: Membership


class Elect(Struct, frozen=True, tag=True):
    """Campaign now; ``pre_vote`` asks first, whatever the configuration says."""

    pre_vote: bool = False


class SendHeartbeat(Struct, frozen=True, tag=True):
    """Send a round of heartbeats now, redundant or not."""


class TransferLeader(Struct, frozen=True, tag=True):
    """Hand leadership to a voter."""

    request: RequestId
    to: NodeId


class BuildSnapshot(Struct, frozen=True, tag=True):
    """Build a snapshot of what is applied, unless one is being built."""


class SnapshotBuilt(Struct, frozen=True, tag=True):
    """The machine has built a snapshot; ``None`` if it refused to."""

    meta: SnapshotMeta | None


class SnapshotGone(Struct, frozen=True, tag=True):
    """The driver no longer has the snapshot that is being sent to ``peer``."""

    peer: NodeId


class PurgeLog(Struct, frozen=True, tag=True):
    """Forget entries up to ``upto`` as far as the snapshot covers them."""

    upto: Index


class AllowRevert(Struct, frozen=True, tag=True):
    """This follower lost its log, and may start again from nothing (openraft allow_next_revert)."""

    request: RequestId
    peer: NodeId


class Unreachable(Struct, frozen=True, tag=True):
    """The transport could not deliver to ``peer``."""

    peer: NodeId


class Configure(Struct, frozen=True, tag=True):
    """Other settings from now on; what the runtime toggles are made of."""

    config: Config


Request = Propose | Read | ChangeMembership | Initialize | TransferLeader | AllowRevert
"""What somebody waits for an answer to."""
Trigger = Elect | SendHeartbeat | BuildSnapshot | PurgeLog | Configure
"""What an operator may order; a no-op where it makes no sense."""
Notice = SnapshotBuilt | SnapshotGone | Unreachable
"""What a driver's machine, disk or transport has to say."""
Event = Boot | Receive | Fire | Stored | Request | Trigger | Notice
