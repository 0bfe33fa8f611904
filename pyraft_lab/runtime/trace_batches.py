"""Numbered batches of records: a follower notices missing records, and starts again from a full state.

::

    sender    #0 #1 #2 │ #3 #4 │ #5 │ full state, #6 #7       a batch has the number of its first record
                           × lost                             numbers count a node's records since its start
    receiver  #0 #1 #2 ─────────▶ #5: 2 are missing, so the change of #5 cannot be read: ask for the full state
                                  #6: 1 more is missing; the state is known again

Batches may be lost, duplicated, late or forged. Invalid batches are dropped and counted.
"""

import math
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from pyraft_lab.arguments import LARGEST
from pyraft_lab.engine.log import CHUNK, Chunk, Configuration, Log
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.network.codec import read
from pyraft_lab.trace.files import Reader
from pyraft_lab.trace.record import EventId, Flight, Record, gap
from pyraft_lab.trace.shortening import ShortWriter

RUNS = 16
"""Runs of one node that a receiver remembers, for batches that come late."""
MOST = 1_000_000
"""The most records that may be missing at once; a batch with a larger gap is forged."""
ID_LIMIT = 1 << 63
"""Ids of events and messages are below this: they are columns of integers."""


class RecordBatch(Struct, frozen=True, array_like=True):
    """``lines`` of records from ``number`` on, of a node's ``run``; ``full_state``: its state before them, or empty."""

    run: int
    number: int
    full_state: bytes
    lines: tuple[bytes, ...]


_decode = msgspec.msgpack.Decoder(RecordBatch)
_encode = msgspec.msgpack.Encoder().encode


class Sender:
    """Number the records of one node; ``run`` distinguishes its starts."""

    def __init__(self, node: NodeId, *, run: int) -> None:
        self._node, self._run = node, run
        self._count = 0
        self._records: list[Record] = []
        self._base: Record | None = None
        self._is_asked = False
        self._writer = ShortWriter()

    def add(self, record: Record, *, is_followed: bool) -> None:
        """Add a record to the next batch; without a follower it is only counted."""
        self._count += 1
        if is_followed or self._records:
            self._records.append(record)
        elif record.step is not None:
            self._base = record

    def add_full_state(self) -> None:
        """Put the node's full state into the next batch."""
        self._is_asked = True

    def take(self) -> bytes | None:
        """The next batch; ``None`` if there is nothing to send."""
        whole = self._whole() if self._is_asked else b""
        if not whole and not self._records:
            return None
        lines = tuple(map(self._writer.line, self._records))
        batch = RecordBatch(self._run, self._count - len(lines), whole, lines)
        self._is_asked = False
        self.forget()
        return _encode(batch)

    def forget(self) -> None:
        """Drop the waiting records; they stay counted, and the node's present state is known."""
        self._base = next((record for record in reversed(self._records) if record.step is not None), self._base)
        self._records = []

    def _whole(self) -> bytes:
        """The node's state before the waiting records; empty for a node whose start is the first of them."""
        self._writer = ShortWriter()
        if self._base is None:
            return b""
        return self._writer.line(gap(0, node=self._node, time=self._base.time, count=0, state=self._base.after))


class Run:
    """What is known of one run of a node: ``next`` is the number of the next expected record."""

    def __init__(self, next: int | None) -> None:
        self.next = next
        self.reader = Reader()
        self.needs_full_state = False
        self.omitted = 0
        self.time = 0.0


class Receiver:
    """Read the batches of one node; ``new_id`` numbers the records that report gaps."""

    def __init__(self, node: NodeId, new_id: Callable[[], EventId]) -> None:
        self.unreadable = 0
        self._node, self._new_id = node, new_id
        self._runs: dict[int, Run] = {}
        self._newest = Run(None)

    @property
    def needs_full_state(self) -> bool:
        """Whether the receiver needs a full state to go on."""
        return bool(self._runs) and (self._newest.needs_full_state or self._newest.next is None)

    def read(self, payload: bytes) -> list[Record]:
        """The records of a batch; before them a record for each gap."""
        batch = self._batch(payload)
        if batch is None:
            self.unreadable += 1
            return []
        return [*self._run_of(batch.run), *self._records(self._newest, batch)]

    def _batch(self, payload: bytes) -> RecordBatch | None:
        try:
            batch = read(_decode, payload)
        except (msgspec.MsgspecError, ValueError):
            return None
        known = self._runs.get(batch.run)
        is_far = known is not None and known.next is not None and batch.number > known.next + MOST
        return None if is_far or not 0 <= batch.number < ID_LIMIT else batch

    def end(self) -> list[Record]:
        """The record of a gap that was not yet reported."""
        run = self._newest
        omitted, run.omitted = run.omitted, 0
        return [self._gap(run, omitted)] if omitted else []

    def _run_of(self, id: int) -> list[Record]:
        """Change to another run of the node, if the batch has one; nothing is missing before the very first batch."""
        run = self._runs.pop(id, None) or Run(0 if self._runs else None)
        told = self.end() if run is not self._newest else []
        self._runs[id] = self._newest = run
        if len(self._runs) > RUNS:
            del self._runs[next(iter(self._runs))]
        return told

    def _records(self, run: Run, batch: RecordBatch) -> Iterator[Record]:
        if run.next is not None and batch.number > run.next:
            yield from self._lose(run, batch.number - run.next)
            run.next = batch.number
        if batch.full_state and (run.next is None or batch.number >= run.next):
            yield from self._resume(run, batch)
        for number, line in enumerate(batch.lines, batch.number):
            if run.next is None or number >= run.next:
                yield from self._record(run, number, line)

    def _record(self, run: Run, number: int, line: bytes) -> Iterator[Record]:
        """One record; none if it cannot be read without the missing ones."""
        record = self._read(run.reader, line)
        if run.next is None and (record is None or record.step is None):
            return
        run.next = number + 1
        if record is None:
            yield from self._lose(run, 1)
            return
        if run.needs_full_state and record.step is not None:
            yield self._found(run, record.time, record.step.before)
        run.time = record.time
        yield record

    def _read(self, reader: Reader, line: bytes) -> Record | None:
        known = reader.log_of(self._node)
        try:
            record = reader.record(line)
        except (msgspec.MsgspecError, ValueError):
            return None
        return record if is_plausible(record, self._node, known) else None

    def _lose(self, run: Run, count: int) -> Iterator[Record]:
        """Report ``count`` missing records: at once, or with the next full state if one is awaited."""
        run.reader = Reader()
        run.omitted += count
        if not run.needs_full_state:
            run.needs_full_state = True
            yield from self.end()

    def _resume(self, run: Run, batch: RecordBatch) -> Iterator[Record]:
        """Accept a full state; it is a record if something is missing, else only the base of the next ones."""
        reader = Reader()
        told = self._read(reader, batch.full_state)
        if told is None or told.state is None:
            self.unreadable += 1
        elif run.next is None or run.needs_full_state:
            run.reader, run.next = reader, batch.number
            if run.needs_full_state:
                yield self._found(run, told.time, told.state)

    def _found(self, run: Run, time: float, state: RaftState) -> Record:
        omitted, run.omitted, run.needs_full_state, run.time = run.omitted, 0, False, time
        return self._gap(run, omitted, state)

    def _gap(self, run: Run, count: int, state: RaftState | None = None) -> Record:
        return gap(self._new_id(), node=self._node, time=run.time, count=count, state=state)


def is_plausible(record: Record, node: NodeId, known: Log | None = None) -> bool:
    """Whether a received record can be one of this node: its own state, with plausible numbers and times.

    ``known`` is the part of the node's log that was already checked.
    """
    states = [record.state] if record.state is not None else []
    states += [record.step.before, record.step.after] if record.step is not None else []
    return (
        all(state.id == node == record.node and _is_reasonable(state, known or Log()) for state in states)
        and all(0 <= id < ID_LIMIT for id in (record.id, record.message or 0, record.cause or 0))
        and all(0 <= id <= LARGEST for id in (record.node, record.peer or 0))
        and math.isfinite(record.time)
        and all(map(_can_fly, record.sent))
    )


def _can_fly(flight: Flight) -> bool:
    ids = (flight.id, flight.reply_to or 0, flight.copy_of or 0, flight.cause)
    small = (flight.src, flight.dst, flight.message.vote.term)
    return (
        all(-1 <= id < ID_LIMIT for id in ids)
        and all(0 <= one <= LARGEST for one in small)
        and math.isfinite(flight.sent)
        and (flight.due is None or math.isfinite(flight.due))
    )


def _is_reasonable(state: RaftState, known: Log) -> bool:
    log = state.log
    ends = (log.start.index, log.start.term, log.last.index, log.last.term)
    numbers = (state.term, state.vote.node, state.leader, state.committed, state.applied, state.stored.index)
    return all(0 <= number <= LARGEST for number in (*numbers, *ends)) and _is_log(log, known)


def _is_log(log: Log, known: Log) -> bool:
    """Whether the entries of a log are where it says; chunks that were checked before are right."""
    seen = set(map(id, known.chunks))
    at, last = log.start.index, log.start
    for chunk in log.chunks:
        if not chunk.entries or (id(chunk) not in seen and not _is_chunk(chunk, at + 1)):
            return False
        at, last = at + len(chunk.entries), chunk.entries[-1].id
    return last == log.last and all(_is_configuration(log, index) for index in log.configs)


def _is_chunk(chunk: Chunk, first: Index) -> bool:
    """Whether a chunk holds consecutive entries from ``first`` on."""
    ids = [entry.id for entry in chunk.entries]
    stop = first + len(ids)
    return (
        [id.index for id in ids] == list(range(first, stop))
        and (first - 1) // CHUNK == (stop - 2) // CHUNK
        and all(0 <= id.term <= LARGEST and 0 <= id.node <= LARGEST for id in ids)
    )


def _is_configuration(log: Log, index: Index) -> bool:
    return log.start.index < index <= log.last.index and isinstance(log.entry(index).payload, Configuration)
