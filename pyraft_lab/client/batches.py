"""The batches of a client that are not applied yet, found by serial and by request, and those that hold others back."""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from pyraft_lab.immutable_map import ImmutableMap

CallId = int
RequestId = int


class Part(Struct, frozen=True, gc=False):
    """``count`` results of a call, from its result ``start`` on; ``place`` is the first one's index in the reply."""

    call: CallId
    start: int
    count: int
    place: int


class Batch(Struct, frozen=True, kw_only=True):
    """Commands with one serial, from one or more calls.

    ``request`` is the id of the request in progress. ``sent`` counts the sends that were not refused before they could
    be applied. ``is_uncertain`` says that an attempt ended without an answer, so the client asks for the outcome before
    it sends again. ``must_wait`` holds back a batch that arrived out of order, until an earlier one is
    applied.
    """

    serial: int
    parts: tuple[Part, ...]
    commands: Sequence[bytes]
    request: RequestId | None = None
    sent: int = 0
    is_uncertain: bool = False
    must_wait: bool = False

    @property
    def holds_back(self) -> bool:
        """Whether later batches wait for it: it is to be sent, or its outcome to be found out."""
        return self.request is None or self.is_uncertain


class Batches(Struct, frozen=True, kw_only=True):
    """Batches in order of their serials; ``first`` is the first serial, ``held`` are those that hold others back.

    A change costs the same however many batches are in progress.
    """

    by_serial: ImmutableMap[int, Batch] = ImmutableMap()
    by_request: ImmutableMap[RequestId, int] = ImmutableMap()
    held: tuple[int, ...] = ()
    first: int = 0

    @classmethod
    def of(cls, batches: Iterable[Batch]) -> "Batches":
        """These batches."""
        found = cls()
        for batch in batches:
            found = found.put(batch)
        return found

    def __len__(self) -> int:
        return len(self.by_serial)

    def __iter__(self) -> Iterator[Batch]:
        return (self.by_serial[serial] for serial in sorted(self.by_serial))

    @property
    def holding_back(self) -> tuple[Batch, ...]:
        """The batches that hold others back, in order."""
        return tuple(self.by_serial[serial] for serial in self.held)

    def of_request(self, request: RequestId) -> Batch:
        """The batch of a request in progress."""
        return self.by_serial[self.by_request[request]]

    def put(self, batch: Batch) -> "Batches":
        """With a batch in place of that with its serial, if there is one."""
        serial = batch.serial
        held = [one for one in self.held if one != serial]
        if batch.holds_back:
            insort(held, serial)
        by_request = self._requests_without(serial)
        return Batches(
            by_serial=self.by_serial.put(serial, batch),
            by_request=by_request if batch.request is None else by_request.put(batch.request, serial),
            held=tuple(held),
            first=min(self.first, serial) if self.by_serial else serial,
        )

    def without(self, serial: int) -> "Batches":
        """Without the batch that has this serial, if there is one."""
        if serial not in self.by_serial:
            return self
        left, first = self.by_serial.without(serial), self.first
        if not left:
            return Batches()
        while first not in left:
            first += 1
        held = tuple(one for one in self.held if one != serial)
        return Batches(by_serial=left, by_request=self._requests_without(serial), held=held, first=first)

    def _requests_without(self, serial: int) -> ImmutableMap[RequestId, int]:
        """The requests in progress without that of a batch."""
        before = self.by_serial.get(serial)
        is_in_progress = before is not None and before.request is not None
        return self.by_request.without(before.request) if is_in_progress else self.by_request
