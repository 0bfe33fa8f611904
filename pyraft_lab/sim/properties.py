"""Checkers, which see every event of a run, and user-defined properties.

A property must hold always, at least once, or at the end. It is evaluated after every event from its definition on,
and remembers only where its value changed::

    always      ████████████████████▁▁▁▁███   violated when it is first false
    sometimes   ▁▁▁▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁   holds after it was true once
    eventually  ▁▁▁▁▁██▁▁▁▁▁▁▁▁████████████   holds if it is true now
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, Protocol, Self, TypeVar, assert_never

from msgspec import Struct

from pyraft_lab.errors import ConfigError
from pyraft_lab.extras import needed
from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import EventId, Record

if TYPE_CHECKING:
    import pandas as pd

S = TypeVar("S")
PropertyKind = Literal["always", "sometimes", "eventually"]


class Violation(Struct, frozen=True, kw_only=True):
    """A property that an event violated; ``what`` says how, ``time`` is in virtual seconds."""

    name: str
    what: str
    event: EventId
    time: float

    def __str__(self) -> str:
        return f"{self.name} broken at {self.time:.3f} s (event {self.event}): {self.what}"


class Checker(Protocol):
    """Checks every event of a run; it may remember the past, which a fork of the simulation shortens."""

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The violations in ``record``; ``world`` is the world after it."""
        ...

    def fork(self, world: World) -> Self:
        """A checker that has seen the events before ``world`` and none after."""
        ...


class Flip(NamedTuple):
    """A change of a property's value at an event; ``time`` is in virtual seconds."""

    event: EventId
    time: float
    true: bool


class Property(Generic[S]):
    """A predicate evaluated after every event; ``turns`` are the changes of its value."""

    def __init__(self, kind: PropertyKind, name: str, predicate: Callable[[S], object]) -> None:
        if not callable(predicate):
            raise ConfigError(
                "predicate", predicate, "must be a function of the simulation, like lambda sim: sim.leader"
            )
        self.kind, self.name, self.predicate = kind, name, predicate
        self.turns: list[Flip] = []

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}: {'holds' if self.holds else 'does not hold'}>"

    @property
    def holds(self) -> bool:
        """Whether the property holds, given the events so far."""
        truths = [turn.true for turn in self.turns]
        match self.kind:
            case "always":
                return all(truths)
            case "sometimes":
                return any(truths)
            case "eventually":
                return bool(truths) and truths[-1]
            case _:
                assert_never(self.kind)

    @property
    def decisive(self) -> Flip | None:
        """The change that decides: the first false (always), the first true (sometimes), or the last (eventually)."""
        match self.kind:
            case "always":
                return next((turn for turn in self.turns if not turn.true), None)
            case "sometimes":
                return next((turn for turn in self.turns if turn.true), None)
            case "eventually":
                return self.turns[-1] if self.turns else None
            case _:
                assert_never(self.kind)

    def observe(self, sim: S, event: EventId, time: float) -> bool:
        """Evaluate the predicate after an event; returns whether this violates the property for good."""
        true = bool(self.predicate(sim))
        if self.turns and self.turns[-1].true == true:
            return False
        breaks = self.kind == "always" and self.holds and not true
        self.turns.append(Flip(event, time, true))
        return breaks

    def branch(self, events: EventId) -> "Property[S]":
        """The same property for a fork, with its changes up to ``events`` events."""
        twin = Property(self.kind, self.name, self.predicate)
        twin.turns = [turn for turn in self.turns if turn.event < events]
        return twin


def panel(properties: Iterable[Property[S]]) -> "pd.DataFrame":
    """A frame, one row per property: ``name kind holds event time turns``; event and time of the deciding change."""
    with needed("pandas"):
        import pandas as pd

    rows = [
        (one.name, one.kind, one.holds, *((one.decisive or (None, None))[:2]), len(one.turns)) for one in properties
    ]
    frame = pd.DataFrame(rows, columns=["name", "kind", "holds", "event", "time", "turns"])
    return frame.astype({"holds": "bool", "event": "Int64", "time": "float64", "turns": "int64"})
