"""How verdicts plug into a simulation: a checker sees every event and says what it broke."""

from collections.abc import Sequence
from typing import Protocol, Self

from msgspec import Struct

from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import EventId, Record


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


def default_checks() -> tuple[Checker, ...]:
    """The safety properties of the paper, and the duties they rest on.

    They are verdicts and live a floor higher; a simulation without them would not say when Raft is broken, which
    is what it is for, so it asks for them here and nowhere else.
    """
    from pyraft_lab.check.duties import Duties
    from pyraft_lab.check.invariants import Safety

    return Safety(), Duties()
