"""Choose the next requests: batches in order, then reads, as many as the limits allow.

If no leader is known, one request at a time searches for it, and the others wait.
"""

from copy import copy
from itertools import accumulate, takewhile
from typing import Any

from msgspec.structs import force_setattr, replace

from pyraft_lab.client.batches import Batch, Part, RequestId
from pyraft_lab.client.events import Ask, AttemptTimer, Command, RetryTimer, SetTimer
from pyraft_lab.client.requests import FindOutcome, OpenSession, Operate, ReadMany, Request, WriteBatch
from pyraft_lab.client.state import ClientState, Read, Reading, Write, first_batch
from pyraft_lab.command import seal
from pyraft_lab.engine.events import ReadPolicy

SEARCH_LEVELS = 2
"""How many levels shorter an attempt is that searches for the leader: it lasts a quarter."""


class Turn:
    """The working copy of one step: the state and the commands so far.

    ``state`` is this turn's own copy, which :meth:`know` changes in place; nobody else holds it before the turn ends.
    """

    def __init__(self, state: ClientState) -> None:
        self.state = copy(state)
        self.commands: list[Command] = []

    def know(self, **changes: Any) -> None:
        """Change the state."""
        for name, value in changes.items():
            force_setattr(self.state, name, value)

    def tell(self, command: Command) -> None:
        """Add a command for the driver."""
        self.commands.append(command)

    @property
    def may_ask(self) -> bool:
        """Whether one more request may be sent now."""
        state = self.state
        return bool(state.nodes) and not state.is_resting and (state.leader is not None or not state.asked)


def ask_all(turn: Turn) -> None:
    """Send every request that may be sent now."""
    if turn.state.is_idle or turn.state.is_resting:
        return
    if not turn.state.nodes:
        turn.know(failures=turn.state.failures + 1)
        rest(turn)
        return
    _open_session(turn)
    _send_again(turn)
    _send_new(turn)
    _read(turn)
    _operate(turn)


def rest(turn: Turn, *, at_least: float = 0.0) -> None:
    """Send nothing for a while, longer after each failure."""
    if not turn.state.is_resting:
        turn.know(is_resting=True)
        turn.tell(SetTimer(RetryTimer(), turn.state.failures, at_least))


def _open_session(turn: Turn) -> None:
    """Open a session at its first use, and again after it was forgotten and all its batches have ended."""
    state = turn.state
    is_wanted = (state.writes or state.batches) and not state.session.is_open and state.opening is None
    if is_wanted and turn.may_ask and not any(batch.sent for batch in state.batches):
        turn.know(opening=_ask(turn, OpenSession()))


def _send_again(turn: Turn) -> None:
    """Send waiting batches again, in order; none may overtake one whose outcome is unknown.

    Nothing is applied in a session that was forgotten, so no batch waits there for another: each only hears its end.
    """
    is_blocked, first, is_open = False, turn.state.batches.first, turn.state.session.is_open
    for batch in turn.state.batches.holding_back:
        if batch.request is None and turn.may_ask and (batch.sent or is_open):
            if (is_blocked and not batch.is_uncertain) or (batch.must_wait and is_open and batch.serial != first):
                return
            _send(turn, batch)
        is_blocked = is_blocked or batch.is_uncertain


def _send_new(turn: Turn) -> None:
    """Send new batches, as long as all earlier ones are in progress."""
    while turn.state.writes and turn.state.session.is_open and turn.may_ask:
        state = turn.state
        if len(state.batches) >= state.limits.batches or state.batches.held:
            return
        taken, left = first_batch(state.writes, state.limits)
        batch = _batch_of(taken, state.session.next)
        session = replace(state.session, next=state.session.next + 1)
        turn.know(writes=left, batches=state.batches.put(batch), session=session)
        _send(turn, batch)


def _batch_of(writes: tuple[Write, ...], serial: int) -> Batch:
    places = accumulate((len(write.commands) for write in writes), initial=0)
    return Batch(
        serial=serial,
        parts=tuple(
            Part(write.call, write.start, len(write.commands), place)
            for write, place in zip(writes, places, strict=False)
        ),
        commands=[command for write in writes for command in write.commands],
    )


def _send(turn: Turn, batch: Batch) -> None:
    """Send the commands of a batch, or ask for its outcome."""
    session = turn.state.session
    if batch.is_uncertain:
        sent = replace(batch, request=_ask(turn, FindOutcome(session.client, batch.serial)))
    else:
        done = turn.state.batches.first - 1
        data = seal(batch.commands, client=session.client, serial=batch.serial, done=done, since=session.since)
        request = _ask(turn, WriteBatch(data, session.client, batch.serial))
        sent = replace(batch, request=request, sent=batch.sent + 1, must_wait=False)
    turn.know(batches=turn.state.batches.put(sent))


def _read(turn: Turn) -> None:
    """Send waiting reads; successive reads with the same policy share a request."""
    while turn.state.reads and turn.may_ask and len(turn.state.readings) < turn.state.limits.read_requests:
        waiting = turn.state.reads
        policy = waiting[0].policy
        taken = _of_policy(policy, waiting[: turn.state.limits.queries])
        request = _ask(turn, ReadMany(tuple(read.query for read in taken), policy))
        turn.know(reads=waiting[len(taken) :], readings=turn.state.readings.put(request, Reading(request, taken)))


def _operate(turn: Turn) -> None:
    """Send waiting operations, each alone."""
    while turn.state.operations and turn.may_ask:
        first, *others = turn.state.operations
        request = _ask(turn, Operate(first.operation))
        turn.know(operations=tuple(others), operating=turn.state.operating.put(request, first))


def _of_policy(policy: ReadPolicy, reads: tuple[Read, ...]) -> tuple[Read, ...]:
    return tuple(takewhile(lambda read: read.policy == policy, reads))


def _ask(turn: Turn, message: Request | Operate) -> RequestId:
    """Send a request to the leader, or to the next node if no leader is known.

    A node that does not lead says so at once, so a search waits for no answer long. The time of an operation is not cut
    short, because some may be sent once only.
    """
    state, request = turn.state, turn.state.next_request
    node = state.nodes[state.turn % len(state.nodes)] if state.leader is None else state.leader
    turn.know(next_request=request + 1, asked=state.asked.put(request, node))
    turn.tell(Ask(request, node, message))
    is_search = (state.leader is None or state.leader in state.silent) and not isinstance(message, Operate)
    level = state.silences - SEARCH_LEVELS
    turn.tell(SetTimer(AttemptTimer(request), level if is_search else max(level, 0)))
    return request
