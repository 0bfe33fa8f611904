"""A run as a list of moves that can be played again with some of them left out.

A move names what it is about by where that came from: not "message 17" but "what move 9 sent to node 2". So when moves
are left out, those that they brought about fall away by themselves, and all others still find what they mean::

    9  node 1's election timer ──▶ vote request to 2      14  deliver (9, 1, 2, VoteRequest)
                               └─▶ vote request to 3      15  deliver (9, 1, 3, VoteRequest)

Where move 9 sends no such thing any more, because say an earlier vote has made the majority, the next best message of
that type on that link is taken.

A message that is not delivered is late, a disk that does not sync is slow: so cuts, losses and delays are no moves.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.conditions import Micros
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import (
    Action,
    Attempt,
    Cut,
    Delay,
    Deliver,
    Drop,
    Duplicate,
    FireTimer,
    Heal,
    Hold,
    Invoke,
    Partition,
    Release,
    SetWeather,
)
from pyraft_lab.trace.record import EventId, Flight, Kind, MessageId, Record

MoveNumber = int
"""Where a move stands in its script; -1, -2 … are the first starts of nodes 1, 2 …"""
MOVE_INTERVAL: Micros = 1000
"""Time between two moves that are played again, where only their order counts."""
WITHHOLDING = (Cut, Delay, Drop, Heal, Hold, Partition, Release, SetWeather)
"""Decisions that change only what arrives when."""


class Origin(NamedTuple):
    """Names a message: the move that sent it, from where to where, of which type, and the how manieth of these."""

    sender: MoveNumber
    src: NodeId
    dst: NodeId
    type: str
    nth: int


class Move(NamedTuple):
    """One action of a run, at its time; ``message`` and ``call`` tell what it is about in every other run, too."""

    number: MoveNumber
    time: Micros
    action: Action
    message: Origin | None = None
    call: MoveNumber | None = None


Timing = Callable[[Simulation, Move], Micros | None]
"""When a move is made in a run; ``None`` if it cannot be made now."""


class Names:
    """What messages and calls are called in one run: from origin to number, and back."""

    def __init__(self, sim: Simulation) -> None:
        self.numbers: dict[EventId, MoveNumber] = {event: -node for event, node in enumerate(sim.nodes)}
        self.messages: dict[Origin, MessageId] = {}
        self.origins: dict[MessageId, Origin] = {}
        self.requests: dict[MoveNumber, RequestId] = {}
        self.calls: list[MoveNumber] = []
        self._counts: dict[tuple[MoveNumber, NodeId, NodeId, str], int] = defaultdict(int)

    def learn(self, place: MoveNumber, action: Action, event: EventId, sent: Iterable[Flight]) -> None:
        """A move was made, and this left because of it."""
        self.numbers[event] = place
        for flight in sent:
            self._name(flight)
        if isinstance(action, Invoke):
            self.calls.append(place)
            self.requests[place] = len(self.calls)

    def rename(self, flight: Flight, origin: Origin) -> None:
        """A message is better known by another origin."""
        self.messages[origin], self.origins[flight.id] = flight.id, origin

    def find(self, origin: Origin, flying: Iterable[Flight]) -> MessageId | None:
        """The message of that origin, or else the first under way that is like it."""
        if origin in self.messages:
            return self.messages[origin]
        like = (origin.src, origin.dst, origin.type)
        return next((one.id for one in flying if (one.src, one.dst, type(one.message).__name__) == like), None)

    def _name(self, flight: Flight) -> None:
        sender = self.numbers.get(flight.cause)
        if sender is not None:
            kind = (sender, flight.src, flight.dst, type(flight.message).__name__)
            self.rename(flight, Origin(*kind, self._counts[kind]))
            self._counts[kind] += 1


def moves_of(sim: Simulation) -> list[Move]:
    """The moves of a recorded run; what only withheld something is left out."""
    writer = Writer(sim)
    boots = len(sim.again(record=False).nodes)
    for past, record in list(zip(sim.past, sim.trace.records, strict=True))[boots:]:
        writer.write(past.action, past.now, record)
    return writer.moves


class Writer:
    """Writes down a run."""

    def __init__(self, sim: Simulation) -> None:
        self.names = Names(sim)
        self.moves: list[Move] = []
        self.arrived = {record.message for record in sim.trace.records if record.kind is Kind.RECEIVE}

    def write(self, action: Action, time: Micros, record: Record) -> None:
        """One more record."""
        place = len(self.moves)
        if record.kind is not Kind.UNDELIVERED and not isinstance(action, WITHHOLDING):
            self.moves.append(self._move(place, time, action))
        self.names.learn(place, action, record.id, record.sent)
        for flight in record.sent:
            if flight.copy_of is not None and flight.id in self.arrived and record.kind is not Kind.DUPLICATE:
                self._double(flight, time)

    def _move(self, place: MoveNumber, time: Micros, action: Action) -> Move:
        match action:
            case Deliver(message) | Duplicate(message):
                return Move(place, time, action, message=self.names.origins[message])
            case Attempt(call):
                return Move(place, time, action, call=self.names.calls[call - 1])
            case _:
                return Move(place, time, action)

    def _double(self, flight: Flight, time: Micros) -> None:
        """What the weather doubled is doubled by a move of its own."""
        assert flight.copy_of is not None, "only a copy has an original"
        place = len(self.moves)
        original = self.names.origins[flight.copy_of]
        self.moves.append(Move(place, time, Duplicate(flight.copy_of), message=original))
        self.names.rename(flight, Origin(place, flight.src, flight.dst, type(flight.message).__name__, 0))


def play(sim: Simulation, moves: Sequence[Move], stop: Callable[[Simulation], object], *, timing: Timing) -> list[Move]:
    """Make these moves one after the other, those that still make sense, until ``stop``; the moves that were made."""
    names, made = Names(sim), list[Move]()
    for move in moves:
        meant, time = _resolved(sim, names, move), timing(sim, move)
        if meant is None or time is None:
            continue
        try:
            record = sim.force(meant.action, time)
        except (PyraftError, AssertionError):
            continue
        names.learn(move.number, meant.action, record.id, record.sent)
        made.append(meant)
        if stop(sim):
            break
    return made


def in_order_only(sim: Simulation, _move: Move) -> Micros:
    """One after the other: timers, too, may run out when they like."""
    return sim.world.now + MOVE_INTERVAL


def by_the_clock(sim: Simulation, move: Move) -> Micros | None:
    """Each at its own time; then no lease outlasts its timer, and no follower is free before its own has run out."""
    time = max(move.time, sim.world.now)
    for due in [due for due in sim.world.event_queue if due.time < time and _ends_lease(sim, due.action)]:
        sim.force(due.action, due.time)
    match move.action:
        case FireTimer(timer=timer) if timer.kind is TimerKind.LEASE:
            return None
        case FireTimer(node, timer) if timer.kind is TimerKind.VOTE_LEASE:
            set_for = sim.world.nodes[node].timers.get(timer) if node in sim.nodes else None
            return time if set_for is not None and set_for.time <= time else None
        case _:
            return time


def _ends_lease(sim: Simulation, action: Action) -> bool:
    return (
        isinstance(action, FireTimer)
        and action.timer.kind is TimerKind.LEASE
        and not sim.world.nodes[action.node].paused
    )


def _resolved(sim: Simulation, names: Names, move: Move) -> Move | None:
    """The move as it is in this run; ``None`` where there is no such message or call."""
    match move:
        case Move(action=Deliver() | Duplicate() as action, message=Origin() as origin):
            message = names.find(origin, sim.world.flights.values())
            if message is None or message not in names.origins:
                return None
            return move._replace(action=type(action)(message), message=names.origins[message])
        case Move(action=Attempt(), call=int() as call):
            return move._replace(action=Attempt(names.requests[call])) if call in names.requests else None
        case _:
            return move
