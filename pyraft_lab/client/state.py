"""The state of a client: what it knows, its requests in progress, and its waiting calls."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.client.batches import Batches, CallId, RequestId
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.immutable_map import ImmutableMap

MOST_TRIED = 6
"""The most attempts that an error lists."""
MOST_EXPIRED = 8
"""Sessions in a row that may expire unused; then a write fails instead of opening one more."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits on what a client has in progress; more than that waits in the client."""

    batches: int = 4
    """Batches of writes without an answer."""
    commands: int = 2048
    """Commands in one batch."""
    bytes: int = 512 << 10
    """Bytes in one batch; a single larger command goes alone."""
    read_requests: int = 4
    """Read requests without an answer."""
    queries: int = 2048
    """Queries in one request."""


class Write(Struct, frozen=True, gc=False):
    """A caller's encoded commands, applied in order; ``start`` is the number of its commands already taken."""

    call: CallId
    commands: Sequence[bytes]
    start: int = 0


class Read(Struct, frozen=True, gc=False):
    """A caller's query."""

    call: CallId
    query: Any
    policy: ReadPolicy = "index"


class Operation(Struct, frozen=True):
    """An operator's request, sent alone; with ``is_local`` any node may answer it, so the answer shows no leader.

    ``is_uncertain`` says that an attempt ended without an answer, so it may have been carried out.
    """

    call: CallId
    operation: Any
    is_local: bool = False
    is_uncertain: bool = False


ClientCall = Write | Read | Operation


class Session(Struct, frozen=True):
    """The client's id in the log, the index at which its session begins, and the serial of its next batch."""

    client: int
    since: Index = 0
    next: int = 1
    is_open: bool = False


class Reading(Struct, frozen=True):
    """Queries that share one request."""

    request: RequestId
    reads: tuple[Read, ...]


class Tried(Struct, frozen=True):
    """One attempt: the node that was asked, and its error."""

    node: NodeId
    said: str


class ClientState(Struct, frozen=True, kw_only=True):
    """The whole state of a client; a value.

    ``asked`` names the node of every request in progress; ``failures`` counts the attempts since the last success, and
    ``silences`` those of them without an answer in time. A node is ``silent`` until it answers; it misses one turn, and
    then is ``skipped``. ``turn`` selects the next node if no leader is known. While ``is_resting`` no request is
    sent. ``expired`` counts the sessions in a row that expired before a batch was applied.
    """

    limits: Limits = Limits()
    session: Session
    nodes: tuple[NodeId, ...] = ()
    leader: NodeId | None = None
    turn: int = 0
    failures: int = 0
    silences: int = 0
    silent: frozenset[NodeId] = frozenset()
    skipped: frozenset[NodeId] = frozenset()
    expired: int = 0
    is_resting: bool = False
    tried: tuple[Tried, ...] = ()
    asked: ImmutableMap[RequestId, NodeId] = ImmutableMap()
    next_request: RequestId = 1
    opening: RequestId | None = None
    writes: tuple[Write, ...] = ()
    reads: tuple[Read, ...] = ()
    batches: Batches = Batches()
    readings: ImmutableMap[RequestId, Reading] = ImmutableMap()
    operations: tuple[Operation, ...] = ()
    operating: ImmutableMap[RequestId, Operation] = ImmutableMap()

    @property
    def to_skip(self) -> frozenset[NodeId]:
        """The silent nodes that have not missed their turn yet."""
        return self.silent - self.skipped

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to send."""
        return not (self.writes or self.reads or self.batches or self.readings or self.operations or self.operating)


def first_batch(writes: Sequence[Write], limits: Limits) -> tuple[tuple[Write, ...], tuple[Write, ...]]:
    """The writes of the next batch, and the remaining ones; a long write is divided.

    >>> taken, left = first_batch((Write(1, (b"a", b"b")), Write(2, (b"c",))), Limits(commands=1))
    >>> taken, left
    ((Write(call=1, commands=(b'a',), start=0),), (Write(call=1, commands=(b'b',), start=1), Write(call=2, ...)))
    """
    taken: list[Write] = []
    commands, room = limits.commands, limits.bytes
    for place, write in enumerate(writes):
        count = _fitting(write.commands, commands, room if taken else max(room, len(write.commands[0])))
        if count < len(write.commands):
            left = replace(write, commands=write.commands[count:], start=write.start + count)
            first = (replace(write, commands=write.commands[:count]),) if count else ()
            return (*taken, *first), (left, *writes[place + 1 :])
        taken.append(write)
        commands -= count
        room -= sum(map(len, write.commands))
    return tuple(taken), ()


def _fitting(commands: Sequence[bytes], most: int, room: int) -> int:
    """How many of the first commands fit into ``room`` bytes, at most ``most``."""
    if len(commands) == 1:
        return int(most > 0 and len(commands[0]) <= room)
    sizes = accumulate(map(len, commands[:most]))
    return sum(1 for size in sizes if size <= room)
