"""A schedule: a run as a list of moves that can be replayed with some of them left out.

A move identifies messages by their origin: not "message 17" but "what move 9 sent to node 2". So when moves are left
out, the moves that depend on them are skipped, and all others still find their messages::

    9  node 1's election timer ──▶ vote request to 2      14  deliver (9, 1, 2, VoteRequest)
                               └─▶ vote request to 3      15  deliver (9, 1, 3, VoteRequest)

If move 9 no longer sends such a message, for example because an earlier vote already made the majority, the first
other message of that type on that link is taken.

An undelivered message is just late, and an unsynced disk is slow: so cuts, losses and delays need no moves.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.conditions import Micros
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import (
    Action,
    Cut,
    Delay,
    Deliver,
    Drop,
    Duplicate,
    FireTimer,
    Heal,
    Hold,
    Partition,
    Release,
    SetWeather,
)
from pyraft_lab.trace.record import EventId, Flight, Kind, MessageId, Record

MoveNumber = int
"""The position of a move in its schedule; -1, -2 … are the first starts of nodes 1, 2 …"""
MOVE_INTERVAL: Micros = 1000
"""Microseconds between two replayed moves when only their order matters."""
WITHHOLDING = (Cut, Delay, Drop, Heal, Hold, Partition, Release, SetWeather)
"""Decisions that change only when messages arrive."""


class Origin(NamedTuple):
    """The origin of a message: the move that sent it, source, destination, type, and its number among equal ones."""

    sender: MoveNumber
    src: NodeId
    dst: NodeId
    type: str
    nth: int


class Move(NamedTuple):
    """One action of a run with its time; ``message`` identifies its subject in every other run too."""

    number: MoveNumber
    time: Micros
    action: Action
    message: Origin | None = None


Timing = Callable[[Simulation, Move], Micros | None]
"""A function that gives the time of a move in a run, in microseconds; ``None`` if it cannot be made now."""


class Names:
    """The names of messages and calls in one run: from origin to number, and back."""

    def __init__(self, sim: Simulation) -> None:
        self.numbers: dict[EventId, MoveNumber] = {event: -node for event, node in enumerate(sim.nodes)}
        self.messages: dict[Origin, MessageId] = {}
        self.origins: dict[MessageId, Origin] = {}
        self._counts: dict[tuple[MoveNumber, NodeId, NodeId, str], int] = defaultdict(int)

    def learn(self, place: MoveNumber, event: EventId, sent: Iterable[Flight]) -> None:
        """Record a move and the messages it sent."""
        self.numbers[event] = place
        for flight in sent:
            self._name(flight)

    def rename(self, flight: Flight, origin: Origin) -> None:
        """Give a message another origin."""
        self.messages[origin], self.origins[flight.id] = flight.id, origin

    def find(self, origin: Origin, flying: Iterable[Flight]) -> MessageId | None:
        """The message of that origin, or else the first similar one on its way; ``None`` if there is none."""
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
    """The moves of a recorded run, without decisions that only cut, drop or delay."""
    writer = Writer(sim)
    boots = len(sim.again(record=False).nodes)
    for past, record in list(zip(sim.past, sim.trace.records, strict=True))[boots:]:
        writer.write(past.action, past.now, record)
    return writer.moves


class Writer:
    """Builds the moves of a run from its records."""

    def __init__(self, sim: Simulation) -> None:
        self.names = Names(sim)
        self.moves: list[Move] = []
        self.arrived = {record.message for record in sim.trace.records if record.kind is Kind.RECEIVE}

    def write(self, action: Action, time: Micros, record: Record) -> None:
        """Add the move of one more record."""
        place = len(self.moves)
        if record.kind is not Kind.UNDELIVERED and not isinstance(action, WITHHOLDING):
            self.moves.append(self._move(place, time, action))
        self.names.learn(place, record.id, record.sent)
        for flight in record.sent:
            if flight.copy_of is not None and flight.id in self.arrived and record.kind is not Kind.DUPLICATE:
                self._double(flight, time)

    def _move(self, place: MoveNumber, time: Micros, action: Action) -> Move:
        match action:
            case Deliver(message) | Duplicate(message):
                return Move(place, time, action, message=self.names.origins[message])
            case _:
                return Move(place, time, action)

    def _double(self, flight: Flight, time: Micros) -> None:
        """Add a move for a message that the weather duplicated."""
        assert flight.copy_of is not None, "only a copy has an original"
        place = len(self.moves)
        original = self.names.origins[flight.copy_of]
        self.moves.append(Move(place, time, Duplicate(flight.copy_of), message=original))
        self.names.rename(flight, Origin(place, flight.src, flight.dst, type(flight.message).__name__, 0))


def play(sim: Simulation, moves: Sequence[Move], stop: Callable[[Simulation], object], *, timing: Timing) -> list[Move]:
    """Make the moves in order, skipping those that are not possible, until ``stop``; returns the moves made."""
    names, made = Names(sim), list[Move]()
    for move in moves:
        meant, time = _resolved(sim, names, move), timing(sim, move)
        if meant is None or time is None:
            continue
        try:
            record = sim.force(meant.action, time)
        except (PyraftError, AssertionError):
            continue
        names.learn(move.number, record.id, record.sent)
        made.append(meant)
        if stop(sim):
            break
    return made


def in_order_only(sim: Simulation, _move: Move) -> Micros:
    """A timing that keeps only the order of moves; timers may fire at any time."""
    return sim.world.now + MOVE_INTERVAL


def by_the_clock(sim: Simulation, move: Move) -> Micros | None:
    """A timing that keeps each move's own time, so leases and vote leases end when their timers fire."""
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
    """The move with the numbers of this run; ``None`` if there is no such message or call."""
    match move:
        case Move(action=Deliver() | Duplicate() as action, message=Origin() as origin):
            message = names.find(origin, sim.world.flights.values())
            if message is None or message not in names.origins:
                return None
            return move._replace(action=type(action)(message), message=names.origins[message])
        case _:
            return move
