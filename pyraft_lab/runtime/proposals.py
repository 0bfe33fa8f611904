"""Merge the waiting write calls of a node into few ``Propose`` events; every call keeps its own outcome."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pyraft_lab.engine.events import Propose
from pyraft_lab.engine.log import Noop, Normal
from pyraft_lab.engine.requests import byte_size
from pyraft_lab.engine.types import NodeId, RequestId, Term

ExpectedLeader = tuple[Term, NodeId] | None
"""The leadership in which a write must happen; ``None`` for any."""
Call = tuple[Sequence[RequestId], Sequence[Normal | Noop], ExpectedLeader]
"""The writes of one call: they are accepted or refused together."""


def merged(calls: Sequence[Call], room: int | None) -> list[Propose]:
    """Merge calls into few events; one event has one expected leader and at most ``room`` bytes.

    >>> one, other = ((1,), (Normal(b"abc"),), None), ((2,), (Normal(b"def"),), None)
    >>> [event.requests for event in merged([one, other], None)]
    [(1, 2)]
    >>> [event.requests for event in merged([one, other], 5)]
    [(1,), (2,)]
    """
    return [_event(group) for group in _groups(calls, room)]


def _groups(calls: Sequence[Call], room: int | None) -> Iterator[list[Call]]:
    """Calls with the same expected leader that fit into ``room`` bytes; a larger call stands alone."""
    for expected_leader in dict.fromkeys(expected_leader for _, _, expected_leader in calls):
        group, group_fits = list[Call](), True
        for call in (one for one in calls if one[2] == expected_leader):
            size = byte_size(call[1])
            fits = room is None or size <= room
            room = None if room is None else max(0, room - size)
            if group and not (fits and group_fits):
                yield group
                group = []
            group.append(call)
            group_fits = fits
        yield group


def _event(calls: Iterable[Call]) -> Propose:
    calls = list(calls)
    return Propose(
        requests=tuple(chain.from_iterable(ids for ids, _, _ in calls)),
        payloads=tuple(chain.from_iterable(payloads for _, payloads, _ in calls)),
        leader=calls[0][2],
    )
