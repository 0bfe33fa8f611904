"""Tells observers of a live cluster what happens, in the records that a simulation makes too.

All nodes of a process share one reporter, which numbers events and messages; the numbers of separate processes start
far from each other, so that a message's cause means the same on both sides of a wire.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Sequence

from pyraft_lab.engine.events import Boot
from pyraft_lab.engine.state import Step
from pyraft_lab.engine.types import ORIGIN, NodeId
from pyraft_lab.ledger import Answered, Failed, Finished, MayRead, Outcome, to_error
from pyraft_lab.machine import Value
from pyraft_lab.network.codec import Letter
from pyraft_lab.trace.recorder import ANSWERS, EventId, Flight, Kind, MessageId, Record, Reply, kind_of, peer_of

Observer = Callable[[Record], None]


class Reporter:
    """``observers`` are called with every record, in order, on the nodes' thread; ``now`` gives the time in seconds.

    Without observers nothing is recorded, and asking whether there are any is all it costs.
    """

    def __init__(
        self, observers: Sequence[Observer] = (), *, first: int = 0, now: Callable[[], float] = time.time
    ) -> None:
        self.observers = list(observers)
        self.now = now
        self._events, self._messages = itertools.count(first), itertools.count(first + 1)

    @classmethod
    def of_process(cls, observers: Sequence[Observer] = ()) -> "Reporter":
        """A reporter whose numbers no other process uses."""
        return cls(observers, first=secrets.randbits(38) << 24)

    def event(self) -> EventId:
        """The number of the next event."""
        return next(self._events)

    def message(self) -> MessageId:
        """The number of the next message."""
        return next(self._messages)

    def tell(
        self,
        kind: Kind,
        node: NodeId = 0,
        *,
        peer: NodeId | None = None,
        message: MessageId | None = None,
        detail: str = "",
    ) -> None:
        """Record what was done to the cluster from outside."""
        if self.observers:
            id = self.event()
            self._hand(Record(id=id, time=self.now(), kind=kind, node=node, peer=peer, message=message, detail=detail))

    def tell_step(
        self,
        step: Step,
        *,
        id: EventId,
        cause: EventId | None,
        message: MessageId | None,
        sent: Sequence[Flight],
        ended: Sequence[Outcome],
    ) -> None:
        """Record a turn of a node: what it received, which messages have left since the last, whose waiting ended."""
        self._hand(
            Record(
                id=id,
                time=self.now(),
                kind=_kind(step),
                node=step.after.id,
                cause=cause,
                step=step,
                peer=peer_of(step.event),
                message=message,
                sent=tuple(sent),
                replies=tuple(_reply(outcome, step.after.id) for outcome in ended),
            )
        )

    def flight(self, src: NodeId, dst: NodeId, letter: Letter, answers: MessageId | None) -> Flight:
        """A letter that leaves now; ``answers`` is the message that was received just before."""
        is_answer = isinstance(letter.message, ANSWERS)
        return Flight(
            id=letter.id,
            src=src,
            dst=dst,
            message=letter.message,
            sent=self.now(),
            cause=letter.cause,
            reply_to=answers if is_answer else None,
        )

    def _hand(self, record: Record) -> None:
        for observer in self.observers:
            observer(record)


def _kind(step: Step) -> Kind:
    """A node that finds something on its disk has been here before."""
    lived = step.before.log.last != ORIGIN or step.before.term > 0
    return Kind.RESTART if lived and isinstance(step.event, Boot) else kind_of(step.event)


def _reply(outcome: Outcome, node: NodeId) -> Reply:
    match outcome:
        case Answered(request, _, Value(value)):
            return Reply(request=request, ok=True, value=value)
        case Answered(request, _, answer):
            return Reply(request=request, ok=False, error=str(answer))
        case MayRead(request) | Finished(request):
            return Reply(request=request, ok=True)
        case Failed(request, failure):
            return Reply(request=request, ok=False, error=str(to_error(failure, node)))
