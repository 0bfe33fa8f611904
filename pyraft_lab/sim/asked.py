"""The clients' requests that wait for an answer, found by their id, by their client's number, or by their batch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.client.requests import Operate, WriteBatch
from pyraft_lab.client.requests import Request as ClientRequest
from pyraft_lab.client.serving import BatchName
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.immutable_map import ImmutableMap

if TYPE_CHECKING:
    from pyraft_lab.sim.world import Request


class Asked(Struct, frozen=True, kw_only=True):
    """A client's request to a node, until the node answers it: its ``id`` there, and its number at its ``client``.

    ``call`` is the call to a named node that it is for. A batch that its node has in progress already shares that one's
    outcome: ``shares`` is its id. ``has_arrived`` says that the request has reached the node; ``place`` counts the
    requests that were sent before.
    """

    id: RequestId
    client: int
    request: int
    node: NodeId
    message: "ClientRequest | Operate | Request"
    call: RequestId | None = None
    shares: RequestId | None = None
    has_arrived: bool = False
    place: int = 0


class AskedRequests(Struct, frozen=True, kw_only=True):
    """All requests that wait for an answer; a change costs the same however many they are.

    ``batches`` are those in progress at each node, ``sharing`` the requests that share the outcome of one; ``sent``
    counts all requests so far.
    """

    by_id: ImmutableMap[RequestId, Asked] = ImmutableMap()
    by_number: ImmutableMap[tuple[int, int], RequestId] = ImmutableMap()
    batches: ImmutableMap[tuple[NodeId, BatchName], RequestId] = ImmutableMap()
    sharing: ImmutableMap[RequestId, tuple[RequestId, ...]] = ImmutableMap()
    sent: int = 0

    def __contains__(self, id: object) -> bool:
        return id in self.by_id

    def add(self, asked: Asked) -> "AskedRequests":
        """With a request that was just sent."""
        return replace(
            self,
            by_id=self.by_id.put(asked.id, replace(asked, place=self.sent)),
            by_number=self.by_number.put((asked.client, asked.request), asked.id),
            sent=self.sent + 1,
        )

    def arrived(self, asked: Asked, shares: RequestId | None) -> "AskedRequests":
        """With a request that has reached its node, where it is in progress or shares the outcome of another."""
        by_id = self.by_id.put(asked.id, replace(self.by_id[asked.id], has_arrived=True, shares=shares))
        if shares is not None:
            return replace(
                self, by_id=by_id, sharing=self.sharing.put(shares, (*self.sharing.get(shares, ()), asked.id))
            )
        if isinstance(asked.message, WriteBatch):
            return replace(self, by_id=by_id, batches=self.batches.put(_batch(asked.node, asked.message), asked.id))
        return replace(self, by_id=by_id)

    def without(self, asked: Asked) -> "AskedRequests":
        """Without a request that was answered."""
        known = self.by_id.get(asked.id)
        if known is None:
            return self
        batches, sharing = self.batches, self.sharing
        if isinstance(known.message, WriteBatch) and batches.get(_batch(known.node, known.message)) == known.id:
            batches = batches.without(_batch(known.node, known.message))
        if known.id in sharing:
            sharing = sharing.without(known.id)
        return replace(
            self,
            by_id=self.by_id.without(known.id),
            by_number=self.by_number.without((known.client, known.request)),
            batches=batches,
            sharing=sharing,
        )

    def find(self, client: int, request: int) -> Asked:
        """The request with this number at its client."""
        return self.by_id[self.by_number[client, request]]

    def in_progress(self, node: NodeId, name: BatchName) -> dict[BatchName, RequestId]:
        """The request by which a node has the batch of this name in progress; empty if it has not."""
        found = self.batches.get((node, name))
        return {} if found is None else {name: found}

    def waiting_for(self, node: NodeId, outcome: RequestId) -> list[Asked]:
        """The requests that an outcome of a node answers, in the order in which they were sent."""
        first = self.by_id.get(outcome)
        if first is None or first.node != node:
            return []
        return [first, *_in_order(self.by_id[id] for id in self.sharing.get(outcome, ()) if id in self.by_id)]

    def at(self, node: NodeId) -> list[Asked]:
        """The requests that have reached a node, in the order in which they were sent."""
        return _in_order(one for one in self.by_id.values() if one.node == node and one.has_arrived)


def _batch(node: NodeId, message: WriteBatch) -> tuple[NodeId, BatchName]:
    return node, (message.client, message.serial)


def _in_order(asked: Iterable[Asked]) -> list[Asked]:
    return sorted(asked, key=lambda one: one.place)
