"""Goal puzzles: you are the network. Bring a cluster to a state, with as few actions as the par.

The answer is a run: its capsule proves that it began where the puzzle begins, and that only allowed actions were used.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from msgspec import Struct

from pyraft_lab.arguments import instance
from pyraft_lab.engine.events import Elect
from pyraft_lab.errors import CapsuleError, PyraftError
from pyraft_lab.exercises.exercise import Entry, Exercise
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.timeline import ExternalAction
from pyraft_lab.sim.world import Action, Call, Invoke, Notify, TransferLeadership

POINTS = 3


class PuzzleText(Struct, frozen=True, kw_only=True):
    """A puzzle as data.

    ``start`` makes the cluster, ``missing`` says what of the goal is missing in a run (empty: it is reached), ``par``
    is the number of actions of a good solution, ``forbidden`` names methods that may not be used.
    """

    name: str
    chapter: int
    goal: str
    start: Callable[[], Simulation]
    missing: Callable[[Simulation], str]
    par: int
    section: str
    hints: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


class Puzzle(Exercise):
    """A puzzle; made by :func:`pyraft_lab.exercises.puzzle`. Act on :attr:`simulation`, then call :meth:`check`."""

    form: ClassVar[str] = "puzzle"

    def __init__(self, puzzle: PuzzleText) -> None:
        super().__init__(puzzle.name, out_of=POINTS, hints=puzzle.hints)
        self._puzzle = puzzle
        self._first = puzzle.start()
        self.simulation = self._first.fork()

    @property
    def par(self) -> int:
        """The number of actions of a good solution."""
        return self._puzzle.par

    @property
    def actions(self) -> int:
        """The number of actions so far."""
        return len(self._own(self.simulation))

    @property
    def text(self) -> str:
        """The goal, the par, and what is at hand."""
        without = f"  not allowed: {', '.join(self._puzzle.forbidden)}\n" if self._puzzle.forbidden else ""
        return (
            f"{self._puzzle.goal}. Par: {self.par} action{'s' if self.par > 1 else ''}.\n{without}"
            f"  the cluster: {self.simulation!r}\n"
            "  act with .simulation.partition(...), .crash(...), .write(...) and let time pass with .run(seconds);\n"
            "  or act in Lab(puzzle.simulation) at the newest moment; then .check(); .reset() starts again\n"
            f"  points: 1 for the goal, 2 with at most {2 * self.par} actions, 3 with at most {self.par}"
        )

    def reset(self) -> Simulation:
        """Start again; returns the new simulation."""
        self.simulation = self._first.fork()
        return self.simulation

    def check(self, simulation: Simulation | None = None) -> Marked:
        """Say what is missing, or how the solution compares with the par; ``simulation`` may be a fork."""
        run = instance("simulation", self.simulation if simulation is None else simulation, Simulation)
        if run.world.setting != self._first.world.setting:
            raise PyraftError(f"this is not a run of puzzle {self.name!r}; act on .simulation, or on a fork of it")
        return self.answer(run if self._own(run) else ...)

    def _blank(self) -> str:
        return f"{self.exercise}: no action yet; act on .simulation, then .check()"

    def read(self, given: Any) -> str:
        """A run, or its capsule."""
        return given.capsule() if isinstance(given, Simulation) else str(given)

    def mark(self, answer: Any) -> Marked:
        """Run a capsule again and judge it: one point for the goal, one within twice the par, one within the par."""
        try:
            run = Simulation.from_capsule(str(answer))
        except (CapsuleError, PyraftError) as wrong:
            return self._marked(answer, 0, f"✗ this run cannot be played again: {wrong}")
        why = self._unfair(run) or self._puzzle.missing(run)
        if why:
            return self._marked(answer, 0, f"✗ not yet: {why}\n  goal: {self._puzzle.goal}")
        used = len(self._own(run))
        self.simulation = run
        score = 1 + (used <= 2 * self.par) + (used <= self.par)
        more = "" if used <= self.par else f"; par is {self.par}: try with fewer"
        said = f"✓ reached with {used} action{'s' if used > 1 else ''}{more}\n  {self._puzzle.section}"
        return self._marked(answer, score, said, _still(run))

    def _marked(self, answer: Any, score: int, text: str, picture: str = "") -> Marked:
        return Marked(
            exercise=self.exercise, score=score, out_of=POINTS, text=text, answer=str(answer), picture=picture
        )

    def _own(self, run: Simulation) -> tuple[ExternalAction, ...]:
        """The actions after the start."""
        return run.external_actions[len(self._first.external_actions) :]

    def _unfair(self, run: Simulation) -> str:
        """Why a run is no solution of this puzzle: another start, or a forbidden action; empty if it is fair."""
        first = self._first
        if run.world.setting != first.world.setting or run.origin != first.origin:
            return "the run belongs to another cluster; begin with .simulation"
        if run.external_actions[: len(first.external_actions)] != first.external_actions or run.now < first.now:
            return "the run does not begin where the puzzle begins; begin with .simulation"
        used = {method_of(one.action) for one in self._own(run)}
        wrong = sorted(used & set(self._puzzle.forbidden))
        return f"{' and '.join(wrong)} may not be used here" if wrong else ""

    @property
    def picture(self) -> str:
        """The run so far as SVG, message by message."""
        from pyraft_lab.viz.timelines import roles

        return roles.sketch(self.simulation, title=self._puzzle.goal).to_svg()


def method_of(action: Action) -> str:
    """The method of a simulation that does an action, as far as a puzzle may forbid it.

    >>> method_of(Notify(3, Elect(pre_vote=False)))
    'elect'
    """
    match action:
        case Invoke(call=Call(request=TransferLeadership())):
            return "transfer"
        case Notify(event=Elect()):
            return "elect"
        case _:
            return type(action).__name__.lower()


def _still(run: Simulation) -> str:
    """Who led when, as HTML."""
    from pyraft_lab.viz.sketch import twin
    from pyraft_lab.viz.timelines import roles

    return twin(roles.sketch(run))


def entry_of_puzzle(puzzle: PuzzleText) -> Entry:
    """The row of a puzzle in the catalogue."""
    return Entry(
        exercise=f"puzzle/{puzzle.name}",
        form="puzzle",
        name=puzzle.name,
        chapter=puzzle.chapter,
        points=POINTS,
        title=puzzle.goal,
    )
