"""Client calls as rows: what was asked of which node, and how it ended."""

from collections.abc import Iterator, Sequence
from typing import Any

from pyraft_lab.command import unseal
from pyraft_lab.engine.events import (
    AllowRevert,
    ChangeMembership,
    Event,
    Initialize,
    Propose,
    Read,
    TransferLeader,
)
from pyraft_lab.engine.log import Noop, Normal
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.trace.columns import MISSING, NEVER, Table
from pyraft_lab.trace.record import Kind, Record, Reply
from pyraft_lab.trace.schema import CALL_KINDS, CALLS
from pyraft_lab.trace.text import command_text, server, shortened

Asked = tuple[RequestId, str, str | None, int]
"""A call as a node gets it: its number, its kind, its input in words, and its client."""
Key = tuple[NodeId, RequestId]
_KIND = {name: number for number, name in enumerate(CALL_KINDS)}


class CallRows:
    """One row for each client call that a node of the trace was asked, or that ended in it.

    A simulated call keeps its number when its client tries again at another node: that stays one row. Live nodes
    number calls on their own, so there each node's calls have rows of their own. Requests with numbers below 0 are no
    calls: a client makes them itself, to begin its session.
    """

    def __init__(self) -> None:
        self._table = Table(CALLS)
        self._open: dict[Key, int] = {}
        self._is_simulated = False

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""
        for record in records:
            if record.sent and not self._is_simulated:
                self._is_simulated = any(flight.due is not None for flight in record.sent)
            if record.step is not None:
                for asked in _asked(record.step.event):
                    if asked[0] >= 0:
                        self._begin(record, asked)
            for reply in record.replies:
                if reply.request >= 0:
                    self._end(record, reply)

    def now(self) -> Table:
        """A copy of the table as it is now."""
        return self._table.copy()

    def _begin(self, record: Record, asked: Asked) -> None:
        request, kind, words, client = asked
        key, place = self._find(record.node, request)
        if place is None or self._table.buffers["input"][place] != words:
            place = len(self._table)
            self._table.add_rows(
                [(request, client, _KIND[kind], words, None, record.time, NEVER, record.node, -1, None)]
            )
        self._open.pop(key, None)
        self._open[record.node, request] = place
        self._table.buffers["node"][place] = record.node

    def _find(self, node: NodeId, request: RequestId) -> tuple[Key, int | None]:
        """The row of a call that is open: at this node, or in a simulation at the one that was asked before."""
        if (node, request) in self._open or not self._is_simulated:
            return (node, request), self._open.get((node, request))
        key = next((key for key in self._open if key[1] == request), (node, request))
        return key, self._open.get(key)

    def _end(self, record: Record, reply: Reply) -> None:
        key, place = self._find(record.node, reply.request)
        self._open.pop(key, None)
        if place is None:
            place = len(self._table)
            asked = record.time if record.kind is Kind.READ else NEVER
            kind = _KIND["read"] if record.kind is Kind.READ else -1
            row = (reply.request, MISSING, kind, None, None, asked, NEVER, record.node or MISSING, -1, None)
            self._table.add_rows([row])
        told = {"output": _said(reply), "returned": record.time, "ok": int(reply.ok), "error": reply.error}
        for name, value in told.items():
            self._table.buffers[name][place] = value


def _asked(event: Event) -> Iterator[Asked]:
    match event:
        case Propose(requests=requests, payloads=payloads):
            yield from map(_write, requests, payloads)
        case Read(requests=requests):
            yield from ((request, "read", None, MISSING) for request in requests)
        case ChangeMembership(request=request, change=change):
            yield request, "membership", str(change), MISSING
        case Initialize(request=request, membership=membership):
            yield request, "initialize", str(membership), MISSING
        case TransferLeader(request, to):
            yield request, "transfer", f"to {server(to)}", MISSING
        case AllowRevert(request, peer):
            yield request, "revert", server(peer), MISSING
        case _:
            pass


def _write(request: RequestId, payload: Normal | Noop) -> Asked:
    if not isinstance(payload, Normal):
        return request, "write", "", MISSING
    return request, "write", command_text(payload.data), _client(payload.data)


def _client(data: bytes) -> int:
    try:
        _, sealed = unseal(data)
    except ValueError:
        return MISSING
    client: Any = getattr(sealed, "client", None)
    return MISSING if client is None else int(client)


def _said(reply: Reply) -> str | None:
    if not reply.ok:
        return None
    value = reply.value
    return str(value) if isinstance(value, Membership) else shortened(repr(value))
