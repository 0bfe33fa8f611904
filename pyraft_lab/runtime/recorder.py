"""Report what happens in a live cluster to observers, in the same records that a simulation makes.

All nodes of a process share one recorder, which numbers events and messages. The numbers of different processes start
far from each other, so a message's cause is the same id on both sides of the network.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from pyraft_lab.arguments import at_least, functions
from pyraft_lab.engine.commands import Alarm
from pyraft_lab.engine.events import Boot
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import ORIGIN, NodeId
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.network.codec import Envelope
from pyraft_lab.pending_requests import Outcome, WriteApplied, respond
from pyraft_lab.runtime.hooks import HookErrors, name_of
from pyraft_lab.session import Value
from pyraft_lab.trace.record import (
    EventId,
    Flight,
    Kind,
    MessageId,
    Record,
    Reply,
    kind_of,
    record_step,
    reply,
    reply_to,
)

Observer = Callable[[Record], None]
Level = Literal["off", "protocol", "steps", "full"]
SLOW = 0.1
"""Seconds after which a call of an observer is slow: two of them already delay the heartbeats."""


class Recorder:
    """Call ``observers`` with every record, in order, on the nodes' thread; ``now`` gives the time in seconds.

    Observers delay the nodes and must be fast: a slow one is logged as a warning. One that raises is logged
    once and called again with the next record.

    ``level`` sets how much is recorded, and may be changed at any time::

        off        nothing, at almost no cost
        protocol   steps that changed a node's role, vote, membership or snapshot, and external actions
        steps      every step, without its messages
        full       everything

    With ``sample=n`` only every n-th of the steps is recorded that ``protocol`` would leave out.
    """

    def __init__(
        self,
        observers: Sequence[Observer] = (),
        *,
        first: int = 0,
        now: Callable[[], float] = time.time,
        level: Level = "full",
        sample: int = 1,
    ) -> None:
        at_least("sample", sample, 1)
        self.observers = functions("observers", observers)
        self._hook_errors: dict[int, HookErrors] = {}
        self.now, self.level, self.sample = now, level, sample
        self._events, self._messages = itertools.count(first), itertools.count(first + 1)

    @classmethod
    def of_process(
        cls, observers: Sequence[Observer] = (), *, now: Callable[[], float] = time.time, level: Level = "full"
    ) -> "Recorder":
        """A recorder whose ids no other process uses."""
        return cls(observers, first=secrets.randbits(38) << 24, now=now, level=level)

    @property
    def level(self) -> Level:
        """The present level."""
        return self._level

    @level.setter
    def level(self, level: Level) -> None:
        if level not in get_args(Level):
            raise ConfigError("level", level, f"must be one of {', '.join(get_args(Level))}")
        self._level = level
        self.is_on = bool(self.observers) and level != "off"
        self.tells_messages = self.is_on and level != "steps"

    def observe(self, observer: Observer) -> None:
        """Add an observer; it gets every record from now on."""
        self.observers.append(observer)
        self.level = self.level

    def event(self) -> EventId:
        """The number of the next event."""
        return next(self._events)

    def message(self) -> MessageId:
        """The number of the next message."""
        return next(self._messages)

    def record(
        self,
        kind: Kind,
        node: NodeId = 0,
        *,
        peer: NodeId | None = None,
        message: MessageId | None = None,
        detail: str = "",
    ) -> None:
        """Record an external action on the cluster."""
        if self.is_on:
            id = self.event()
            self._emit(Record(id=id, time=self.now(), kind=kind, node=node, peer=peer, message=message, detail=detail))

    def leaves_out(self, step: Step, id: EventId) -> bool:
        """Whether the level leaves out a step, the event ``id``; it then costs no more than this decision."""
        if not self.is_on:
            return True
        return (self._level == "protocol" or id % self.sample != 0) and not is_notable(step)

    def flight(self, src: NodeId, dst: NodeId, envelope: Envelope, received: MessageId | None) -> Flight:
        """A message that leaves now; ``received`` is the message that was received just before."""
        message = envelope.message
        return Flight(
            id=envelope.id,
            src=src,
            dst=dst,
            message=message,
            sent=self.now(),
            cause=envelope.cause,
            reply_to=reply_to(message, received),
        )

    def record_step(
        self,
        step: Step,
        *,
        id: EventId,
        cause: EventId | None,
        message: MessageId | None,
        sent: Sequence[Flight],
        ended: Sequence[Outcome],
    ) -> None:
        """Record a node's turn: the received message, the messages sent since the last turn, and finished requests."""
        self._emit(
            record_step(
                step,
                id=id,
                time=self.now(),
                kind=_kind(step),
                cause=cause,
                message=message,
                sent=sent,
                replies=[_reply(outcome, step.after.id) for outcome in ended],
            )
        )

    def _emit(self, record: Record) -> None:
        for observer in self.observers:
            began = time.monotonic()
            try:
                observer(record)
            except Exception as error:  # noqa: BLE001 (whatever the application's code raises)
                self._about(observer).failed(error)
            if time.monotonic() - began > SLOW:
                self._about(observer).took(time.monotonic() - began)

    def _about(self, observer: Observer) -> HookErrors:
        return self._hook_errors.setdefault(id(observer), HookErrors(f"the observer {name_of(observer)}"))


def is_notable(step: Step) -> bool:
    """Whether the step changed the node's role, vote, membership or snapshot, or raised an alarm."""
    before, after = step.before, step.after
    return (
        type(step.event) is Boot
        or (before.role is not after.role and _is_other_role(before, after))
        or (before.disk is not after.disk and _is_other_disk(before, after))
        or Alarm in map(type, step.commands)
    )


def _is_other_role(before: RaftState, after: RaftState) -> bool:
    return type(before.role) is not type(after.role) or before.leader != after.leader


def _is_other_disk(before: RaftState, after: RaftState) -> bool:
    return (
        before.vote != after.vote
        or before.membership_id != after.membership_id
        or before.snapshot_last != after.snapshot_last
    )


def _kind(step: Step) -> Kind:
    """``restart`` for a node that found state on its disk, else ``start``."""
    if type(step.event) is not Boot:
        return kind_of(step.event)
    lived = step.before.log.last != ORIGIN or step.before.term > 0
    return Kind.RESTART if lived else Kind.BOOT


def _reply(outcome: Outcome, node: NodeId) -> Reply:
    if type(outcome) is WriteApplied and type(outcome.result) is Value:  # nearly every one
        return Reply(request=outcome.request, ok=True, value=outcome.result.value)
    try:
        return reply(outcome.request, respond(outcome, node).value)
    except PyraftError as error:
        return reply(outcome.request, error)
