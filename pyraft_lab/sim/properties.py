"""What a run is judged by: checkers that see every event, and properties of one's own.

A property must always hold, should be seen sometimes, or must hold in the end. It is watched after every event from
when it was named, and remembers only where its truth turned::

    always      ████████████████████▁▁▁▁███   broken where it first was false
    sometimes   ▁▁▁▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁   holds once it was true
    eventually  ▁▁▁▁▁██▁▁▁▁▁▁▁▁████████████   holds if it is true now, since it last became so
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
    """A property that an event broke."""

    name: str
    what: str
    event: EventId
    time: float

    def __str__(self) -> str:
        return f"{self.name} broken at {self.time:.3f} s (event {self.event}): {self.what}"


class Checker(Protocol):
    """Remembers what it must about the past; a fork of the simulation asks it to remember less."""

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """What ``record`` broke; ``world`` is the world after it."""
        ...

    def fork(self, world: World) -> Self:
        """A checker that has seen what happened before ``world``, and nothing since."""
        ...


class Flip(NamedTuple):
    """From event ``event`` on, at ``time``, it was true, or false."""

    event: EventId
    time: float
    true: bool


class Property(Generic[S]):
    """A question asked after every event; ``turns`` tell when the answer changed."""

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
        """Whether it holds, judged by what was seen until now."""
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
        """The turn that decided: the first false, the first true, or the last of all."""
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
        """Ask; whether this is what broke it for good."""
        true = bool(self.predicate(sim))
        if self.turns and self.turns[-1].true == true:
            return False
        breaks = self.kind == "always" and self.holds and not true
        self.turns.append(Flip(event, time, true))
        return breaks

    def branch(self, events: EventId) -> "Property[S]":
        """The same property in another branch of time, as it was after so many events."""
        twin = Property(self.kind, self.name, self.predicate)
        twin.turns = [turn for turn in self.turns if turn.event < events]
        return twin


def panel(properties: Iterable[Property[S]]) -> "pd.DataFrame":
    """One row a property: ``name kind holds event time turns``; event and time are those that decided."""
    with needed("pandas"):
        import pandas as pd

    rows = [
        (one.name, one.kind, one.holds, *((one.decisive or (None, None))[:2]), len(one.turns)) for one in properties
    ]
    frame = pd.DataFrame(rows, columns=["name", "kind", "holds", "event", "time", "turns"])
    return frame.astype({"holds": "bool", "event": "Int64", "time": "float64", "turns": "int64"})
