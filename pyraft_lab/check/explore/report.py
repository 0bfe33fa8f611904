"""The result of a search, as a value and in words."""

from msgspec import Struct

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.exactly_once import MakeMachine
from pyraft_lab.check.explore.explorer_state import Action, ExplorerState
from pyraft_lab.check.explore.replay import replay
from pyraft_lab.engine.engine import Engine
from pyraft_lab.errors import PyraftError
from pyraft_lab.machine import KeyValue
from pyraft_lab.sim.simulation import Simulation


class Report(Struct, frozen=True, kw_only=True):
    """The result of a search: a violated property with a shortest path to it, or none within the bounds.

    ``worlds``, ``transitions`` and ``turns`` are the same in every run, whatever the ``executor``; ``turns`` counts how
    often Raft itself was asked. ``exhausted`` says that every world within the bounds was seen, ``interrupted`` that
    somebody stopped the search. ``end`` is the world in which ``broken`` is violated, ``reached`` the first one that
    met the goal; ``path`` leads there from ``start``.

    ``searches`` is more than 1 where a report sums up several of them (:func:`~pyraft_lab.check.explore.quick.quick`).

    A search says little of what it never came to: ``facts_seen`` names the messages that were sent and the facts that
    came about, ``never`` those of the caller's ``sometimes`` that no world satisfied.
    """

    worlds: int
    transitions: int
    turns: int
    depth: int
    exhausted: bool
    start: ExplorerState
    engine: Engine
    bounds: Bounds = Bounds()
    broken: str = ""
    path: tuple[Action, ...] = ()
    end: ExplorerState | None = None
    reached: ExplorerState | None = None
    facts_seen: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    interrupted: bool = False
    searches: int = 1
    machine: MakeMachine = KeyValue

    def __str__(self) -> str:
        seen = f"{self.worlds:,} states, {self.transitions:,} steps between them"
        if self.searches > 1:
            return f"{self.searches} small searches: nothing is violated ({seen})"
        if self.broken:
            return f"{self.bounds}: {self.broken} is violated after {_steps(self.path)}; no run is shorter ({seen})"
        if self.reached is not None:
            return f"{self.bounds}: the goal is reached after {_steps(self.path)} ({seen})"
        return f"{self.bounds}: {self._extent()}; nothing is violated ({seen})"

    def _extent(self) -> str:
        """How much of the space was seen; a level holds the worlds that are equally many steps from the start."""
        if self.exhausted:
            return f"every state seen, up to {self.depth} steps from the start"
        if self.interrupted:
            return f"interrupted after {self.depth} level{'s' * (self.depth != 1)}"
        if self.depth >= self.bounds.depth:
            return f"not finished: the {self.depth} levels asked for, and there are more"
        return f"not finished: {self.depth} levels, and there are more states than {self.bounds.worlds:,}"

    def __bool__(self) -> bool:
        return not self.broken

    def story(self) -> str:
        """The path, one step a line."""
        return "\n".join(f"{number:3} {act}" for number, act in enumerate(self.path, 1))

    def simulation(self) -> Simulation:
        """The run that was found as a simulation: look at it, rewind it, continue it.

        Raises ``PyraftError`` if nothing was found.
        """
        found = self.end or self.reached
        if found is None:
            raise PyraftError(
                "the search found no violation and did not reach its goal, so there is no run; widen its bounds"
            )
        return replay(found, self.engine, self.machine)


def _steps(path: tuple[Action, ...]) -> str:
    return "1 step" if len(path) == 1 else f"{len(path)} steps"
