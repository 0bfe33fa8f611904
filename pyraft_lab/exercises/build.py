"""Build Raft: from an empty table to a whole Raft, graded stage by stage."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from pyraft_lab.arguments import function
from pyraft_lab.engine.rules import Rules
from pyraft_lab.errors import PyraftError, shown
from pyraft_lab.exercises import own_rules
from pyraft_lab.exercises.hints import Hints
from pyraft_lab.exercises.marked import Marked, page, points
from pyraft_lab.exercises.quiz import unknown
from pyraft_lab.exercises.sessions_stage import sessions_with
from pyraft_lab.exercises.skeletons import EMPTY
from pyraft_lab.exercises.stages import SESSIONS, STAGES, SessionsStage, Stage
from pyraft_lab.machine import StateMachine


class StageReport(Struct, frozen=True):
    """The marks of several stages."""

    marks: tuple[Marked, ...]

    @property
    def score(self) -> int:
        """The points of all stages together."""
        return sum(one.score for one in self.marks)

    @property
    def out_of(self) -> int:
        """The points that these stages have."""
        return sum(one.out_of for one in self.marks)

    def __str__(self) -> str:
        return "\n\n".join([*(f"{one.exercise}\n{one}" for one in self.marks), points(self.score, self.out_of)])

    __repr__ = __str__


class Build:
    """All stages, in order; ``exercises.build`` is one, and keeps the score of this session.

    >>> build = Build()
    >>> [stage.name for stage in build.stages][:3]
    ['election', 'log', 'commit']
    """

    def __init__(self) -> None:
        self.stages: tuple[Stage | SessionsStage, ...] = (*map(Stage, STAGES), SessionsStage())

    def __call__(self) -> "Build":
        """This object: ``exercises.build()`` and ``exercises.build`` are the same."""
        return self

    def stage(self, name: str) -> Stage | SessionsStage:
        """A stage by name; raises ``ConfigError`` for an unknown one."""
        for one in self.stages:
            if one.name == name:
                return one
        raise unknown("stage", name, [one.name for one in self.stages])

    def empty(self) -> Rules:
        """The empty table: every rule is a skeleton."""
        return EMPTY

    def mine(self) -> Rules:
        """The empty table with the rules of your ``%%rule`` cells in it; give it to ``LocalCluster(rules=...)``."""
        return own_rules.mine()

    def machine(self, apply_once: Callable[..., Any]) -> Callable[[], StateMachine]:
        """A maker of key-value machines with your sessions, for ``LocalCluster(machine=...)``."""
        return sessions_with(function("apply_once", apply_once))

    def grade(self, rules: Rules | None = None, *, upto: str = "", apply_once: Any = None) -> StageReport:
        """Grade a table (by default that of your ``%%rule`` cells), up to a stage if one is named."""
        if upto != "":
            self.stage(upto)
        marks: list[Marked] = []
        for one in self.stages:
            if isinstance(one, Stage):
                marks.append(one.grade(rules))
            elif apply_once is not None:
                marks.append(one.grade(apply_once))
            if one.name == upto:
                break
        return StageReport(tuple(marks))

    @property
    def score(self) -> int:
        """The points so far."""
        return sum(one.score for one in self.stages)

    @property
    def out_of(self) -> int:
        """The points of all stages."""
        return sum(one.out_of for one in self.stages)

    @property
    def hints(self) -> Hints:
        """The hints of the first stage that is not complete."""
        return self._next.hints

    def hint(self) -> str:
        """One more hint for the first stage that is not complete."""
        return self.hints.more()

    @property
    def _next(self) -> Stage | SessionsStage:
        return next((one for one in self.stages if one.score < one.out_of), self.stages[-1])

    @property
    def text(self) -> str:
        """The stages with their points, and the next one."""
        done = "\n".join(f"  {one.name:<12} {points(one.score, one.out_of)}" for one in self.stages)
        return f"Build Raft\n{done}\n\n{self._next.text}"

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return page(self.text)

    @property
    def picture(self) -> str:
        """The points of every stage as SVG."""
        from pyraft_lab.viz.answers import shares

        had = {one.name: one.score for one in self.stages}
        return shares.sketch(had, title="Build Raft", finding=points(self.score, self.out_of)).to_svg()


def has_stage(name: str) -> bool:
    """Whether there is such a stage."""
    return name == SESSIONS or any(one.name == name for one in STAGES)


def stage_of(name: str) -> Stage | SessionsStage:
    """A new stage by name; raises ``PyraftError`` for an unknown one."""
    if not has_stage(name):
        raise PyraftError(f"there is no stage {shown(name)}")
    return SessionsStage() if name == SESSIONS else Stage(next(one for one in STAGES if one.name == name))
