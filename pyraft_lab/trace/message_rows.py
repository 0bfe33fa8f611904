"""Messages as rows: what each said, and what later records tell of its fate."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    PreVoteResponse,
    SnapshotRequest,
    VoteResponse,
)
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.columns import MISSING, NEVER, Table
from pyraft_lab.trace.record import AWAY, UP, Fate, Flight, Kind, MessageId, Record
from pyraft_lab.trace.schema import MESSAGES

_COLUMNS = {column.name: column for column in MESSAGES}
_FATES = {fate.value: _COLUMNS["fate"].code(fate.value) for fate in Fate}
FLYING, DELIVERED, DROPPED = (_FATES[fate.value] for fate in (Fate.FLYING, Fate.DELIVERED, Fate.DROPPED))
DEAD, UNKNOWN = _FATES[Fate.DEAD.value], _FATES[Fate.UNKNOWN.value]
Place = int
"""The number of a row."""


class MessageRows:
    """One row for each message that left a node.

    Three things determine a message's fate: the record of its arrival or loss; in live clusters, where no network
    reports a loss, the crash of its receiver; and missing records of its receiver. Only the first is certain.
    """

    def __init__(self) -> None:
        self._table = Table(MESSAGES)
        self._places: dict[MessageId, Place] = {}
        self._early: dict[MessageId, tuple[int, float]] = {}
        self._open: defaultdict[NodeId, dict[Place, bool]] = defaultdict(dict)
        self._presumed: dict[Place, int] = {}
        self._down: set[NodeId] = set()

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""
        self._append([flight for record in records for flight in record.sent])
        for record in records:
            if record.message is not None:
                self._on_arrival(record.message, record)
            if record.kind in _PRESENCE:
                self._presume(record)
            for flight in record.sent:
                self._watch(self._places[flight.id], flight)

    def now(self) -> Table:
        """A copy of the table as it is now; messages without a certain fate have the presumed one."""
        still = self._table.copy()
        fates = still.buffers["fate"]
        for place, fate in self._presumed.items():
            if fates[place] == FLYING:
                fates[place] = fate
        return still

    def _append(self, flights: Sequence[Flight]) -> None:
        new = [flight for flight in flights if flight.id not in self._places]
        if not new:
            return
        first = len(self._table)
        self._table.add_columns(*_columns_of(new))
        self._places.update({flight.id: place for place, flight in enumerate(new, first)})
        for flight in new if self._early else ():
            if flight.id in self._early:
                self._tell(self._places[flight.id], *self._early.pop(flight.id))

    def _on_arrival(self, message: MessageId, record: Record) -> None:
        """A record tells what became of a message; in live clusters it may come before that of the sending."""
        received = NEVER
        match record.kind:
            case Kind.RECEIVE:
                fate, received = DELIVERED, record.time
            case Kind.UNDELIVERED:
                fate = _FATES.get(record.detail, UNKNOWN)
            case Kind.DROP:
                fate = DROPPED
            case _:
                return
        place = self._places.get(message)
        if place is None:
            self._early[message] = fate, received
        else:
            self._tell(place, fate, received)

    def _tell(self, place: Place, fate: int, received: float) -> None:
        buffers = self._table.buffers
        buffers["fate"][place] = fate
        if received == received:  # noqa: PLR0124 (a time, not NaN)
            buffers["received"][place] = received
        self._presumed.pop(place, None)
        self._open[buffers["dst"][place]].pop(place, None)

    def _presume(self, record: Record) -> None:
        """Messages to a node that is away are dead; those to a node some of whose records are missing: unknown."""
        if record.kind in AWAY:
            self._down.add(record.node)
            is_live = self._open[record.node]
            self._presumed.update(dict.fromkeys((place for place, live in is_live.items() if live), DEAD))
            self._open[record.node] = {place: live for place, live in is_live.items() if not live}
        elif record.kind in UP:
            self._down.discard(record.node)
        else:
            for place in self._open.pop(record.node, ()):
                self._presumed.setdefault(place, UNKNOWN)

    def _watch(self, place: Place, flight: Flight) -> None:
        """A message is on its way; the simulation knows when it arrives (``due``), and tells what becomes of it."""
        if self._table.buffers["fate"][place] == FLYING:
            is_live = self._open[flight.dst][place] = flight.due is None
            if is_live and flight.dst in self._down:
                self._presumed[place] = DEAD


_PRESENCE = AWAY | UP | {Kind.GAP}


Packed = tuple[Any, ...]
_KINDS: dict[type[AnyMessage], int] = {kind: _COLUMNS["kind"].code(kind.__name__) for kind in get_args(AnyMessage)}
_NO_CHUNK: Packed = (MISSING, MISSING, MISSING)


def _columns_of(flights: Sequence[Flight]) -> Iterator[Sequence[Any]]:
    """The columns of the rows of these messages, in the order of the table."""
    messages = [flight.message for flight in flights]
    said, chunks = zip(*[_CONTENTS.get(type(one), _nothing)(one) for one in messages], strict=True)
    yield [one.id for one in flights]
    yield [_KINDS[type(one)] for one in messages]
    yield [one.src for one in flights]
    yield [one.dst for one in flights]
    yield [one.vote.term for one in messages]
    yield [one.sent for one in flights]
    yield (NEVER,) * len(flights)
    yield [_FATES[one.fate] for one in flights]
    yield [MISSING if one.reply_to is None else one.reply_to for one in flights]
    yield from zip(*said, strict=True)
    yield [MISSING if one.copy_of is None else one.copy_of for one in flights]
    yield [NEVER if one.due is None else one.due for one in flights]
    yield [one.cause for one in flights]
    yield from zip(*chunks, strict=True)


Contents = tuple[Packed, Packed]
"""``entries prev_index commit granted success``, and ``offset length size`` of a snapshot chunk."""
_NOTHING: Contents = (MISSING, MISSING, MISSING, -1, -1), _NO_CHUNK
_ACCEPTED: Contents = (MISSING, MISSING, MISSING, -1, 1), _NO_CHUNK


def _nothing(_: AnyMessage) -> Contents:
    return _NOTHING


def _append_request(message: AppendRequest) -> Contents:
    return (len(message.entries), message.prev.index, message.commit, -1, -1), _NO_CHUNK


def _heartbeat(message: HeartbeatRequest) -> Contents:
    return (MISSING, MISSING, message.commit, -1, -1), _NO_CHUNK


def _refusal(message: AppendRefused) -> Contents:
    return (MISSING, message.prev.index, MISSING, -1, 0), _NO_CHUNK


def _vote(message: VoteResponse | PreVoteResponse) -> Contents:
    return (MISSING, MISSING, MISSING, int(message.granted), -1), _NO_CHUNK


def _chunk(message: SnapshotRequest) -> Contents:
    meta = message.meta
    return (MISSING, meta.last.index, MISSING, -1, -1), (message.offset, len(message.data), meta.size)


_CONTENTS: Mapping[type[AnyMessage], Callable[[Any], Contents]] = {
    AppendRequest: _append_request,
    HeartbeatRequest: _heartbeat,
    AppendAccepted: lambda _: _ACCEPTED,
    AppendRefused: _refusal,
    VoteResponse: _vote,
    PreVoteResponse: _vote,
    SnapshotRequest: _chunk,
}
"""By type: a match takes ten times as long to deny a struct's class as to affirm it."""
