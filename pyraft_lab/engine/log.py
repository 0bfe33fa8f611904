"""The replicated log as a value: the cost of appending depends on the batch and not on the log's length.

Entries live in chunks of 256, each a tuple that older logs share::

    start ─┐   ┌── chunk 0 ──┐ ┌── chunk 1 ──┐      every chunk begins at a multiple of 256,
     (0)   └─▶ 1 2 3 … 255 256 257 258 … 300 ◀─ last   so an index finds its place by division
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import ORIGIN, Index, LogId, NodeId

CHUNK = 256


class Noop(Struct, frozen=True, tag="Blank", array_like=True, gc=False):
    """No command: a new leader's first entry, and a barrier (§8, dissertation §6.4)."""


class Normal(Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A command for the state machine, as bytes that only the machine reads."""

    data: bytes


class Configuration(Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A membership; effective as soon as it is appended (§6)."""

    membership: Membership


Payload = Noop | Normal | Configuration


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One entry of the log: its id (term, leader, index) and its payload."""

    id: LogId
    payload: Payload

    @property
    def index(self) -> Index:
        """The entry's index in the log."""
        return self.id.index

    @property
    def size(self) -> int:
        """Bytes of the entry's command (0 for a noop or membership); flow control counts these."""
        return len(self.payload.data) if isinstance(self.payload, Normal) else 0


def byte_size(entries: Iterable[Entry]) -> int:
    """The sum of the entries' sizes in bytes of commands."""
    return sum([len(entry.payload.data) for entry in entries if isinstance(entry.payload, Normal)])


class SnapshotMeta(Struct, frozen=True, cache_hash=True, gc=False):
    """What a snapshot covers: the log up to ``last`` and the membership there (§7, Figure 13); ``size`` in bytes."""

    last: LogId
    membership: Membership
    membership_id: LogId = ORIGIN
    size: int = 0
    checksum: int = 0


class Chunk(Struct, frozen=True, cache_hash=True, gc=False):
    """Up to 256 consecutive entries; ``byte_size`` is the bytes of all entries before them."""

    byte_size: int
    entries: tuple[Entry, ...]

    @property
    def end(self) -> int:
        """Bytes up to and including the chunk's last entry."""
        return self.byte_size + byte_size(self.entries)


class Log(Struct, frozen=True, cache_hash=True, gc=False):
    """Entries ``start.index + 1 … last.index``; what came before is in a snapshot.

    ``runs`` holds the first id of each leader's run of entries, ``configs`` the indexes of membership entries:
    both stay short, so that looking up a term or the membership does not depend on the log's length.
    """

    start: LogId = ORIGIN
    last: LogId = ORIGIN
    chunks: tuple[Chunk, ...] = ()
    runs: tuple[LogId, ...] = ()
    configs: tuple[Index, ...] = ()
    byte_size: int = 0

    def __len__(self) -> int:
        return self.last.index - self.start.index

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(chunk.entries for chunk in self.chunks)

    def proves_lost_disk(self, node: NodeId, last: LogId) -> bool:
        """Whether ``node``, whose log ends with ``last``, must have lost its disk: it has led, but its log is empty.

        A leader has a membership and its own vote on its disk before it asks for votes. A node that never led may
        simply be new or slow, so the answer is no; also once the entries of its leaderships are purged.
        """
        return last == ORIGIN and any(run.node == node for run in self.runs)

    @property
    def first_index(self) -> Index:
        """The first index that is not purged (one after the last index if the log is empty)."""
        return self.start.index + 1

    def entry(self, index: Index) -> Entry:
        """The entry at ``index``, which must be neither purged nor beyond the end."""
        start = self.start.index
        assert start < index <= self.last.index, "only entries between start and last are here"
        entries = self.chunks[(index - 1) // CHUNK - start // CHUNK].entries
        return entries[index - entries[0].id.index]

    def id_at(self, index: Index) -> LogId | None:
        """The id at ``index``; ``None`` where it is purged or not written yet."""
        if index == self.last.index:
            return self.last
        if index == self.start.index:
            return self.start
        return self.entry(index).id if self.start.index < index <= self.last.index else None

    def configuration(self, index: Index) -> Entry | None:
        """The last membership entry at or before ``index``; ``None`` if the log holds none."""
        for place in reversed(self.configs):
            if place <= index:
                return self.entry(place)
        return None

    def has(self, id: LogId) -> bool:
        """Whether the log holds exactly this entry, or begins right after it."""
        return self.id_at(id.index) == id

    def slice(self, first: Index, stop: Index, *, max_bytes: int | None = None) -> tuple[Entry, ...]:
        """The existing entries of ``first … stop - 1``; at least one, then as many as fit into ``max_bytes``."""
        first, stop = max(first, self.first_index), min(stop, self.last.index + 1)
        if first >= stop:
            return ()
        base = _number(self.first_index)
        chunks = self.chunks[_number(first) - base : _number(stop - 1) - base + 1]
        found = chunks[0].entries if len(chunks) == 1 else tuple(chain.from_iterable(one.entries for one in chunks))
        skip = first - found[0].id.index
        found = found[skip : skip + stop - first]
        return found if max_bytes is None else _fitting(found, max_bytes)

    def append(self, entries: Sequence[Entry]) -> "Log":
        """This log with ``entries`` appended; costs O(entries), not O(log)."""
        if not entries:
            return self
        assert entries[0].index == self.last.index + 1, "entries continue the log without a gap"
        chunks = list(self.chunks)
        weight = self.byte_size
        # asked of every entry, so by type: isinstance takes ten times as long to say no
        memberships = tuple([entry.index for entry in entries if type(entry.payload) is Configuration])
        for added in _by_chunk(entries):
            if chunks and _number(chunks[-1].entries[0].index) == _number(added[0].index):
                chunks[-1] = Chunk(chunks[-1].byte_size, chunks[-1].entries + added)
            else:
                chunks.append(Chunk(weight, added))
            weight += byte_size(added)
        return replace(
            self,
            last=entries[-1].id,
            chunks=tuple(chunks),
            runs=self.runs + _new_runs(self.last.leader if self.chunks else None, entries),
            configs=self.configs + memberships,  # the same tuple where there are none
            byte_size=weight,
        )

    def truncate(self, after: Index) -> "Log":
        """This log without the entries after index ``after``."""
        assert after >= self.start.index, "what a snapshot covers is committed and never truncated"
        if after >= self.last.index:
            return self
        last = self.id_at(after)
        assert last is not None, "an index between start and last has an id"
        if after == self.start.index:
            return replace(self, last=last, chunks=(), runs=(), configs=(), byte_size=self.byte_size_at(after))
        place = _number(after) - _number(self.first_index)
        cut = self.chunks[place]
        tail = Chunk(cut.byte_size, cut.entries[: after - cut.entries[0].index + 1])
        return replace(
            self,
            last=last,
            chunks=(*self.chunks[:place], tail),
            runs=tuple(run for run in self.runs if run.index <= after),
            configs=tuple(index for index in self.configs if index <= after),
            byte_size=tail.end,
        )

    def purge(self, upto: LogId) -> "Log":
        """This log without the entries up to ``upto``; empty if ``upto`` is beyond the end or conflicts with it."""
        if upto.index <= self.start.index:
            return self
        if not self.has(upto) or upto == self.last:
            return Log(start=upto, last=upto, byte_size=self.byte_size)
        place = _number(upto.index + 1) - _number(self.first_index)
        cut = self.chunks[place]
        gone = cut.entries[: upto.index + 1 - cut.entries[0].index]
        head = Chunk(cut.byte_size + byte_size(gone), cut.entries[len(gone) :])
        first = head.entries[0].id
        return replace(
            self,
            start=upto,
            chunks=(head, *self.chunks[place + 1 :]),
            runs=(first, *(run for run in self.runs if run.index > first.index)),
            configs=tuple(index for index in self.configs if index > upto.index),
        )

    def byte_size_at(self, index: Index) -> int:
        """Bytes of all entries up to ``index``, purged ones included."""
        if index >= self.last.index:
            return self.byte_size
        if not self.chunks or index <= self.start.index:
            return self.chunks[0].byte_size if self.chunks else self.byte_size
        chunk = self.chunks[_number(index) - _number(self.first_index)]
        upto = index - chunk.entries[0].index + 1
        return chunk.byte_size + byte_size(chunk.entries[:upto])

    def last_no_newer(self, id: LogId) -> LogId:
        """The last id at or before ``id.index`` of a leader no newer than ``id``'s: where a probe may jump (§5.3)."""
        run = bisect_right(self.runs, (id.term, id.node), key=lambda first: first.leader)
        end = self.runs[run].index - 1 if run < len(self.runs) else self.last.index
        return self.id_at(max(min(end, id.index), self.start.index)) or self.start


def _number(index: Index) -> int:
    """The number of the chunk that holds ``index`` in an unpurged log."""
    return (index - 1) // CHUNK


def _by_chunk(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Split ``entries`` at the chunk boundaries."""
    place = 0
    while place < len(entries):
        end = place + CHUNK - (entries[place].index - 1) % CHUNK
        yield tuple(entries[place:end])
        place = end


def _new_runs(leader: tuple[int, int] | None, entries: Sequence[Entry]) -> tuple[LogId, ...]:
    """The ids in ``entries`` at which the leader changes, ``leader`` being that of the entry before them."""
    if leader == entries[-1].id.leader:
        return ()  # leaders never decrease along a log, so there is no other between them
    before = (leader, *(entry.id.leader for entry in entries[:-1]))
    return tuple(entry.id for previous, entry in zip(before, entries, strict=True) if previous != entry.id.leader)


def _fitting(entries: tuple[Entry, ...], max_bytes: int) -> tuple[Entry, ...]:
    """The first of ``entries``, and the following ones that fit into ``max_bytes`` with it."""
    if byte_size(entries) <= max_bytes:
        return entries
    total = 0
    for count, entry in enumerate(entries):
        total += entry.size
        if count and total > max_bytes:
            return entries[:count]
    return entries
