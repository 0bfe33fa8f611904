"""A node's side of clients: what it does about a request, and what it replies; simulated and live nodes drive this.

A batch is proposed once: while it is in progress at a node, a repetition and the question for its outcome wait for the
same end. All other requests need a linearizable read first.
"""

from collections.abc import Callable, Container
from typing import Any, assert_never

from msgspec import Struct

from pyraft_lab.client.requests import FindOutcome, OpenSession, ReadMany, Request, WriteBatch
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.types import Index
from pyraft_lab.session import Answer, Rejected, Value

BatchName = tuple[int, int]
"""A batch of all clients: the client's id and the batch's serial."""


class ProposeBatch(Struct, frozen=True, tag=True):
    """Propose a batch that is not in progress here."""

    name: BatchName
    data: bytes


class WaitForBatch(Struct, frozen=True, tag=True):
    """Wait for the end of a batch in progress, and reply with its answer."""

    name: BatchName


class EnsureRead(Struct, frozen=True, tag=True):
    """Make sure the machine holds everything a read must see, then :func:`reply`."""

    policy: ReadPolicy


Decision = ProposeBatch | WaitForBatch | EnsureRead


def decide(request: Request, in_progress: Container[BatchName]) -> Decision:
    """What a node does about a request while these batches are in progress there.

    >>> decide(WriteBatch(b"x", 7, 1), ()), decide(WriteBatch(b"x", 7, 1), {(7, 1)})
    (ProposeBatch(name=(7, 1), data=b'x'), WaitForBatch(name=(7, 1)))
    >>> decide(FindOutcome(7, 1), {(7, 1)}), decide(FindOutcome(7, 1), ())
    (WaitForBatch(name=(7, 1)), EnsureRead(policy='index'))
    """
    match request:
        case WriteBatch(client=client, serial=serial) | FindOutcome(client, serial) if (client, serial) in in_progress:
            return WaitForBatch((client, serial))
        case WriteBatch(data, client, serial):
            return ProposeBatch((client, serial), data)
        case ReadMany(_, policy):
            return EnsureRead(policy)
        case FindOutcome() | OpenSession():
            return EnsureRead("index")
        case _:
            assert_never(request)


def reply(
    request: OpenSession | FindOutcome | ReadMany,
    at: Index,
    *,
    query: Callable[[Any], Any],
    outcome: Callable[[int, int], Answer | None],
) -> Any:
    """The reply to a request once its read is ensured up to index ``at``; ``query`` and ``outcome`` ask the machine.

    >>> reply(ReadMany(("x",)), 3, query=str.upper, outcome=lambda client, serial: None)
    (Value(value='X'),)
    """
    match request:
        case OpenSession():
            return at
        case FindOutcome(client, serial):
            return outcome(client, serial)
        case ReadMany(queries):
            answers = [query(one) for one in queries]
            return tuple(one if isinstance(one, Rejected) else Value(one) for one in answers)
        case _:
            assert_never(request)
